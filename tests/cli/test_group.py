"""What rank 0 of a launched group does, which is worker and parent at once."""

import os
import signal
import sys

import pytest
from fabricated import experiment, run_of

from expctl.cli import group
from expctl.launch.launch import Outcome
from expctl.runs.claim import Claim
from expctl.runs.files import write_json
from expctl.runs.manifest import REFUSED


def test_a_signal_while_a_refused_run_is_taken_away_does_not_take_it_away_again(tmp_path, monkeypatch):
    """A launcher sends it as soon as the first rank has left, and the run's folder may be half gone."""
    run = run_of(experiment(tmp_path))
    settled = []

    def attempt(run, stop):
        write_json(run.outcome, {"status": REFUSED})
        return 2

    def settle(claimed, code, received):
        settled.append(code)
        os.kill(os.getpid(), signal.SIGTERM)
        return Outcome(2, error="refused")

    def leave(run, code):
        raise SystemExit(code)

    monkeypatch.setattr("expctl.worker.main.run_attempt", attempt)
    monkeypatch.setattr(group, "settle", settle)
    monkeypatch.setattr(group, "exit_with_parent", lambda parent: lambda: None)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    handlers |= {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        with pytest.raises(SystemExit) as left:
            group._lead_to_the_end(run, Claim(run, new=True), {}, sys.stdout, leave)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert left.value.code == 2 and settled == [2]
