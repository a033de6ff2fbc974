"""A run has one living owner: on one machine by the kernel's word, across machines by a heartbeat."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from expctl.runs import lock
from expctl.runs.lock import Lock, LockedError, is_held

HOLD = (
    "import sys, time; from pathlib import Path; from expctl.runs.lock import Lock\n"
    "held = Lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
)


def left_by_another_host(path, beat=1):
    path.write_text(json.dumps({"host": "node17", "pid": 4242, "beat": beat}) + "\n")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(lock, "SILENT_SECONDS", 0.6)
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.1)


def test_a_second_taker_is_told_who_holds_it(tmp_path):
    held = Lock(tmp_path / "lock")
    with pytest.raises(LockedError) as refused:
        Lock(tmp_path / "lock")
    assert refused.value.holder.pid == os.getpid() and refused.value.holder.host
    held.release()
    Lock(tmp_path / "lock").release()


def test_the_lock_of_a_process_that_was_killed_is_free_at_once(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    assert is_held(tmp_path / "lock")
    with pytest.raises(LockedError) as refused:
        Lock(tmp_path / "lock")
    assert refused.value.holder.pid == holder.pid
    holder.kill()
    holder.wait()
    assert not is_held(tmp_path / "lock")
    Lock(tmp_path / "lock").release()


def test_a_holder_on_another_machine_that_shows_life_is_respected(tmp_path, impatient):
    path = tmp_path / "lock"
    left_by_another_host(path)
    over = threading.Event()

    def beat():
        count = 1
        while not over.wait(0.1):
            count += 1
            left_by_another_host(path, count)

    other = threading.Thread(target=beat)
    other.start()
    with pytest.raises(LockedError) as refused:
        Lock(path)
    over.set()
    other.join()
    assert refused.value.holder.host == "node17" and refused.value.holder.pid == 4242
    assert is_held(path)


def test_a_holder_on_another_machine_that_is_silent_is_given_up(tmp_path, impatient):
    left_by_another_host(tmp_path / "lock")
    held = Lock(tmp_path / "lock")
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    held.release()


def test_a_lock_that_was_released_on_another_machine_is_taken_without_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "SILENT_SECONDS", 1e9)
    Lock(tmp_path / "lock").release()
    assert (tmp_path / "lock").read_text() == ""
    Lock(tmp_path / "lock").release()


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_is_wrong_decides_nothing(hours, tmp_path, impatient):
    """A dead holder's file from the future, or a living one's from the past: only whether it moves counts."""
    path = tmp_path / "lock"
    left_by_another_host(path)
    stamp = time.time() + hours * 3600
    os.utime(path, (stamp, stamp))
    Lock(path).release()


def test_the_holder_beats(tmp_path, impatient):
    held = Lock(tmp_path / "lock")
    first = json.loads((tmp_path / "lock").read_text())["beat"]
    end = time.monotonic() + 20
    while json.loads((tmp_path / "lock").read_text())["beat"] < first + 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    held.release()


def test_asking_never_keeps_a_taker_away(tmp_path):
    over = threading.Event()

    def ask():
        while not over.is_set():
            is_held(tmp_path / "lock")

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    try:
        for _ in range(50):
            Lock(tmp_path / "lock").release()
    finally:
        over.set()
        for thread in asking:
            thread.join()


def test_of_many_takers_at_once_exactly_one_wins(tmp_path):
    taking = (
        "import sys; from pathlib import Path; from expctl.runs.lock import Lock, LockedError\n"
        "sys.stdin.readline()\ntry:\n    held = Lock(Path(sys.argv[1])); print('won', flush=True)\n"
        "except LockedError:\n    print('lost', flush=True)\nsys.stdin.readline()"
    )
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", taking, tmp_path / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for taker in takers:
        taker.stdin.write("go\n")
        taker.stdin.flush()
    words = [taker.stdout.readline().strip() for taker in takers]
    for taker in takers:
        taker.communicate("end\n")
    assert sorted(words) == ["lost"] * 5 + ["won"]


def test_a_lock_whose_folder_was_set_aside_in_the_meantime_is_taken_anew(tmp_path):
    """Holding a file that no longer has the name is holding nothing."""
    (tmp_path / "run").mkdir()
    first = Lock(tmp_path / "run" / "lock")
    (tmp_path / "run").rename(tmp_path / "aside")
    (tmp_path / "run").mkdir()
    second = Lock(tmp_path / "run" / "lock")
    first.release()
    assert is_held(tmp_path / "run" / "lock")
    second.release()
