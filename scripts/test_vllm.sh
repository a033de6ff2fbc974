#!/usr/bin/env bash
# The tests with the real vLLM, on the CPU: makes or reuses .venv-vllm, runs pytest with the words given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
make_vllm_environment
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false WANDB_MODE=offline
export PATH="$PWD/.venv-vllm/bin:$PATH"
unset PYTHONPATH # another checkout there would be tested in place of this one
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv-vllm/bin/python -m pytest --vllm --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@" tests/engine
