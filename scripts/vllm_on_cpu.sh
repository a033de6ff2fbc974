#!/usr/bin/env bash
# vLLM on a CPU: makes or reuses .venv-vllm, with expctl and the real engine, and runs the command that is given in it.
#   scripts/vllm_on_cpu.sh                                                            only makes it
#   scripts/vllm_on_cpu.sh expctl generation=vllm model=smollm2_135m hardware=cpu     a training
set -euo pipefail
started="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
make_vllm_environment
export PATH="$PWD/.venv-vllm/bin:$PATH"
if [ $# -gt 0 ]; then
  cd "$started"
  exec "$@"
fi
