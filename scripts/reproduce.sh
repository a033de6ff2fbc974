#!/usr/bin/env bash
# A miniature reproduction: all its runs, side by side, then the comparison with its plots and its page beside them.
#   scripts/reproduce.sh gfpo_paper_mini              carries on where it was stopped
#   scripts/reproduce.sh replay_mini args.max_steps=5 seed=0,1
#   scripts/reproduce.sh lineup_mini                  compared at the same number of tokens, and of seconds
#   scripts/reproduce.sh smollm2_words                makes its model, data and first stage where they are missing
set -euo pipefail
name="${1:?which? expctl list experiment}"
shift
outputs="${EXPCTL_OUTPUTS:-outputs}"
scripts="$(dirname "${BASH_SOURCE[0]}")"
if [ "$name" = smollm2_words ]; then # begins with the model of a first stage
  python "$scripts/make_smollm2.py"
  python "$scripts/make_word_problems.py"
  expctl experiment=smollm2_worked
  first="$(expctl ls experiment=smollm2_worked status=completed --columns run | head -n 1)"
  set -- "model.path=$outputs/$first/model" "$@"
fi
expctl -m "experiment=$name" "$@"
excess=()
if [ "$name" = lineup_mini ]; then # its rows end after different numbers of steps
  for budget in tokens=47000 cpu_seconds=5.5; do
    expctl compare "experiment=$name" --baseline grpo --at "$budget" --plots "$outputs/$name/${budget%=*}" \
      --html "$outputs/${name}_${budget%=*}.html"
  done
  exit
fi
if [ "$name" != replay_mini ] && [ "$name" != bema_dpo_mini ]; then
  excess=(--baseline grpo --excess "completion length") # the paper's excess length reduction
fi
expctl compare "experiment=$name" ${excess[@]+"${excess[@]}"} --plots "$outputs/$name" --html "$outputs/$name.html"
