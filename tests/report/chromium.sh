#!/usr/bin/env bash
# A Chromium for the tests of the page: installs Debian's where there is none, and says where it is. Needs root for that.
set -euo pipefail
if ! command -v chromium >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  install=(apt-get install -qq -y --no-install-recommends chromium)
  "${install[@]}" >/dev/null 2>&1 || { apt-get update -qq && "${install[@]}"; } >&2 ||
    { echo "Chromium could not be installed: the tests of the page need Debian and root" >&2; exit 1; }
fi
command -v chromium
