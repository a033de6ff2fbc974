"""Twenty random kills, of worker, rank, launcher, command and all at once, saving included, cost nothing.

`scripts/faults.py` does it, and many more when asked. What is killed here was forked: where a kill falls into a step or
a save, and what lies on the disk then, is the same. Started processes are killed in test_interruption.py.
"""

import importlib.util

import pytest
from harness import REPOSITORY, clean_environment, forked_workers


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("ranks", "kills", "steps"), [("1", "14", "98"), ("2", "6", "42")])
def test_nothing_is_lost_by_kills_at_random_moments(ranks, kills, steps, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("faults", REPOSITORY / "scripts" / "faults.py")
    faults = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(faults)
    monkeypatch.setattr(faults, "environment", lambda: clean_environment(**forked_workers()))
    faults.main(["--ranks", ranks, "--kills", kills, "--steps", steps, "--start-seconds", "2"])
    out = capsys.readouterr().out
    assert f"{kills} kills" in out and "nothing lost" in out
