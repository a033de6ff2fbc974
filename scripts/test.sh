#!/usr/bin/env bash
# All tests, from a fresh clone or again: makes or reuses .venv, installs what tests need, runs pytest with the words given.
#   scripts/test.sh                            everything
#   scripts/test.sh --fast                     without installations, commands that train, kills and clusters
#   scripts/test.sh tests/algorithms -x        a part
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
make_environment test
# Nothing is fetched at run time: what a test needs is embedded, generated or installed.
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false WANDB_MODE=offline
export PATH="$PWD/.venv/bin:$PATH"
unset PYTHONPATH # another checkout there would be tested in place of this one
# One core a test process; three at a time on two cores, since some wait for a cluster, each with whole files, whose tests
# share what they set up. The longest files come first (tests/conftest.py), whatever the number of their tests.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder "$@"
