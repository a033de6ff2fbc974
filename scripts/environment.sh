# Sourced by the other scripts: makes or reuses .venv in the clone and installs expctl into it, once for each state of
# the files that say what to install. `make_environment test` installs what the tests need as well.

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
  local extra="${1:-}" python wanted stamp=".venv/.expctl-installed${1:+-$1}"
  wanted="$(cat pyproject.toml requirements-tested.txt | sha256sum | cut -d' ' -f1) $PWD"
  if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  if ! .venv/bin/python -c 'import sys' 2>/dev/null; then
    python="$(find_python)" || return 1
    rm -rf .venv
    "$python" -m venv .venv
  fi
  echo "installing expctl${extra:+ with what the $extra needs} into .venv (once; a minute or two)"
  # The pins choose torch's CPU build where one is offered, and keep pip from trying other versions. pip would compile
  # all modules, two thirds of its time; Python compiles those that are imported, once, and keeps them.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
    --constraint requirements-tested.txt --editable ".${extra:+[$extra]}"
  echo "$wanted" > "$stamp"
}
