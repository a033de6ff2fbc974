"""The order of the files: of two processes that take one after another, none is left with a long one at the end.

Examples that Hypothesis draws have no deadline, since a busy machine would decide over them, and are the same in every
run; `--hypothesis-profile=others` draws new ones.
"""

from hypothesis import settings

settings.register_profile("others", deadline=None)
settings.register_profile("the same", deadline=None, derandomize=True)
settings.load_profile("the same")

# By the minutes that they take, the longest first. All others follow, as they are found.
LONGEST = [
    "system/test_faults.py", "system/test_readme.py", "system/test_interruption.py", "system/test_fresh_clone.py",
    "system/test_slurm.py", "system/test_sweep.py", "system/test_search.py", "system/test_exact_resume.py",
    "system/test_phases.py", "system/test_ranks.py", "system/test_disk.py", "system/test_sharded.py",
    "system/test_real_model.py", "system/test_ray.py", "system/test_rerun.py", "system/test_upstream.py",
    "worker/test_resume.py", "system/test_user_code.py", "system/test_run.py", "algorithms/test_composed.py",
    "cli/test_verify.py", "verify/test_checks.py", "algorithms/test_bema_for_ref_model.py",
]  # fmt: skip


def pytest_collection_modifyitems(items):
    def place(item) -> int:
        file = "/".join(item.path.parts[-2:])
        return LONGEST.index(file) if file in LONGEST else len(LONGEST)

    items.sort(key=place)
