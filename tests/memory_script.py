"""`scripts/bench_memory.py` as a module: it has the measured tables, and measures."""

import importlib.util

from harness import REPOSITORY

_SPEC = importlib.util.spec_from_file_location("bench_memory", REPOSITORY / "scripts" / "bench_memory.py")
SCRIPT = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(SCRIPT)
