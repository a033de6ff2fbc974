#!/usr/bin/env bash
# A miniature reproduction: all its runs, side by side, then the comparison with its plots and its page beside them.
#   scripts/reproduce.sh gfpo_paper_mini              carries on where it was stopped
#   scripts/reproduce.sh replay_mini args.max_steps=5 seed=0,1
set -euo pipefail
name="${1:?which? expctl list experiment}"
shift
outputs="${EXPCTL_OUTPUTS:-outputs}"
expctl -m "experiment=$name" "$@"
excess=()
if [ "$name" = gfpo_paper_mini ]; then
  excess=(--excess "completion length") # the paper's excess length reduction
fi
expctl compare ${excess[@]+"${excess[@]}"} --plots "$outputs/$name" --html "$outputs/$name.html"
