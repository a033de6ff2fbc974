"""Twenty random kills, of worker, rank, launcher, command and all at once, saving included, cost nothing.

`scripts/faults.py` does it, and many more when asked.
"""

import sys

import pytest
from harness import REPOSITORY, run


@pytest.mark.parametrize(("ranks", "kills", "steps"), [("1", "12", "84"), ("2", "8", "56")])
def test_nothing_is_lost_by_kills_at_random_moments(ranks, kills, steps, tmp_path):
    script = REPOSITORY / "scripts" / "faults.py"
    words = ["--ranks", ranks, "--kills", kills, "--steps", steps]
    done = run(sys.executable, str(script), *words, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills" in done.stdout and "nothing lost" in done.stdout
