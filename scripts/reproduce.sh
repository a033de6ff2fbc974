#!/usr/bin/env bash
# A miniature reproduction: all its runs, side by side, then the comparison with its plots and its page in outputs/.
#   scripts/reproduce.sh gfpo_paper_mini              carries on where it was stopped
#   scripts/reproduce.sh replay_mini args.max_steps=20 seed=0,1,2
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
name="${1:?which? .venv/bin/expctl list experiment}"
shift
make_environment
.venv/bin/expctl -m "experiment=$name" "$@"
.venv/bin/expctl compare --plots "outputs/$name" --html "outputs/$name.html"
