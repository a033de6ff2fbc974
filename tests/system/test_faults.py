"""Twenty random kills, of worker, rank, launcher, command and all at once, saving included, cost nothing.

`scripts/faults.py` does it, and many more when asked.
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
    # Workers that are to be killed are started; those of the run that they are compared with need not be.
    monkeypatch.setattr(faults, "environment", clean_environment)
    faults.main(["--ranks", ranks, "--kills", kills, "--steps", steps], forked_workers())
    said = capsys.readouterr().out
    assert f"{kills} kills" in said and "nothing lost" in said
