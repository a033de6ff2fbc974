#!/usr/bin/env bash
# What a change is held to besides the tests: style (ruff) and types (mypy, strict). Settings are in pyproject.toml.
#   scripts/check.sh            look
#   scripts/check.sh --fix      mend what ruff can mend, then look
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
make_environment test
if [ "${1:-}" = --fix ]; then
  .venv/bin/python -m ruff check --quiet --fix . || true
  .venv/bin/python -m ruff format --quiet .
fi
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/python -m mypy
