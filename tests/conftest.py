"""The order of the files, so that of two processes none is left with a long one at the end; and the fast lane.

Examples that Hypothesis draws have no deadline, since a busy machine would decide over them, and are the same in every
run; `--hypothesis-profile=others` draws new ones.
"""

import gc
from pathlib import Path

import harness
import pytest
from hypothesis import settings

settings.register_profile("others", deadline=None)
settings.register_profile("the same", deadline=None, derandomize=True)
settings.load_profile("the same")

# By the seconds that they take, the longest first, so that processes end together: with worker/test_resume_lineup.py
# among the last, two of three had nothing to do for two minutes. All others follow, as they are found.
LONGEST = [
    "system/test_readme.py",
    "system/test_fresh_clone.py",
    "system/test_slurm.py",
    "worker/test_resume.py",
    "system/test_interruption.py",
    "worker/test_resume_lineup.py",
    "system/test_ray.py",
    "system/test_sharded.py",
    "system/test_real_model.py",
    "system/test_network.py",
    "system/test_faults.py",
    "system/test_sweep.py",
    "system/test_search.py",
    "system/test_phases.py",
    "system/test_determinism.py",
    "cli/test_new.py",
    "system/test_exact_resume.py",
    "system/test_trackers.py",
    "system/test_reproduce.py",
    "system/test_gpu_check.py",
    "system/test_fuzz.py",
    "system/test_preflight.py",
    "system/test_sample.py",
    "system/test_ranks.py",
    "system/test_disk.py",
    "system/test_run.py",
    "system/test_stages.py",
    "cli/test_hostile_folders.py",
    "cli/test_verify.py",
    "verify/test_checks.py",
    "algorithms/test_bema_for_ref_model.py",
    "algorithms/test_composed.py",
    "algorithms/test_replay_resume.py",
    "algorithms/test_gfpo_training.py",
    "worker/test_engine.py",
    "worker/test_resume_ranks.py",
    "worker/test_pickles.py",
]
# What the fast lane leaves to the whole suite: commands that train, several processes, every check broken once.
SLOW_ROOMS = ("system", "verify")
SLOW = [
    *LONGEST,
    "algorithms/test_bema_ranks.py",
    "algorithms/test_gfpo_ranks.py",
    "algorithms/test_prompts_per_step.py",
    "algorithms/test_replay_ranks.py",
    "cli/test_locale.py",
    "report/test_page_in_chromium.py",
]
VLLM_ROOM = "engine"


def pytest_addoption(parser):
    parser.addoption("--vllm", action="store_true", help="the tests with the real vLLM, which need its environment")
    parser.addoption("--fast", action="store_true", help="the fast lane: no command that trains, no other process")


def pytest_configure(config):
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        harness.share_fork_servers()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Leave to a test's own objects what looks for garbage: the libraries' million took 0.3 s of each `empty_cache`."""
    gc.collect()
    gc.freeze()
    harness.remember_packages()


def pytest_ignore_collect(collection_path, config):
    if collection_path.parent.name == VLLM_ROOM and not config.getoption("--vllm"):
        return True  # a command of their own: scripts/test_vllm.sh
    slow = collection_path.parent.name in SLOW_ROOMS or _in_room(collection_path) in SLOW
    return True if config.getoption("--fast") and slow else None


def pytest_collection_modifyitems(items):
    def position(item) -> int:
        file = _in_room(item.path)
        return LONGEST.index(file) if file in LONGEST else len(LONGEST)

    items.sort(key=position)


def _in_room(path: Path) -> str:
    """`room/test_file.py`"""
    return "/".join(path.parts[-2:])
