"""Who of a run's ranks is alive, who left and who was lost is known without asking them."""

import os
import signal
import subprocess
import sys

import pytest

from expctl.runs import ranks
from expctl.runs.files import Run

LIVE = (
    "import sys, time; from pathlib import Path; from expctl.runs.files import Run\n"
    "from expctl.runs.ranks import Presence\npresence = Presence(Run(Path(sys.argv[1])), int(sys.argv[2]))\n"
    "print('here', flush=True)\n"
    "if sys.stdin.readline().strip() == 'leave': presence.leave()"
)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def rank(run, number):
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE, run.folder, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "here\n"
    return process


def test_a_run_that_was_never_started_has_no_ranks(run):
    assert ranks.alive(run) == ranks.lost(run) == []


def test_one_that_leaves_is_not_lost_and_one_that_is_killed_is(run):
    first, second = rank(run, 0), rank(run, 1)
    assert [rank.pid for rank in ranks.alive(run)] == [first.pid, second.pid]
    assert ranks.lost(run) == []
    first.communicate("leave\n")
    second.send_signal(signal.SIGKILL)
    second.wait()
    assert ranks.alive(run) == []
    assert [rank.rank for rank in ranks.lost(run)] == [1]
    assert f"rank 1 (process {second.pid} on " in ranks.describe(ranks.lost(run))


def test_all_that_are_alive_can_be_ended_at_once(run):
    processes = [rank(run, number) for number in range(2)]
    assert not ranks.wait_for_end(run, seconds=0.2)
    ranks.kill(run)
    assert [process.wait() for process in processes] == [-signal.SIGKILL] * 2
    assert ranks.wait_for_end(run, seconds=10)


def test_a_new_attempt_begins_with_no_one(run):
    process = rank(run, 0)
    process.kill()
    process.wait()
    ranks.clear(run)
    assert ranks.lost(run) == []


def test_a_file_that_was_cut_short_is_no_rank(run):
    run.ranks.mkdir()
    (run.ranks / "rank-0").write_bytes(b"")
    (run.ranks / "rank-0.swp").write_bytes(b"nonsense")
    assert ranks.alive(run) == ranks.lost(run) == []
    assert os.listdir(run.ranks)
