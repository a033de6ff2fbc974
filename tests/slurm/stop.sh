#!/usr/bin/env bash
# Ends the Slurm that start.sh began: stop.sh FOLDER.
set -uo pipefail
folder="$1"
SLURM_CONF="$folder/slurm.conf" timeout 5 scancel --quiet --user="$(id -un)" --full --signal=KILL
for pid in "$folder"/*.pid; do
  [ -e "$pid" ] && kill -KILL "$(cat "$pid")" 2>/dev/null
done
exit 0
