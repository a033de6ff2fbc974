#!/usr/bin/env bash
# From a fresh clone to a trained model: makes .venv, installs, runs `expctl` with the words given.
#   scripts/quickstart.sh                      the embedded example
#   scripts/quickstart.sh algorithm=grpo       any other experiment
set -euo pipefail
started="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
make_environment
expctl="$PWD/.venv/bin/expctl"
cd "$started"
exec "$expctl" "$@"
