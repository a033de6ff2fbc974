"""A rank that does not move is reported, and only then."""

import threading
import time

from expctl.runs.files import Run, hang_reports
from expctl.worker.watchdog import HangWatchdog


def waits_forever(free: threading.Event) -> None:
    free.wait(60)


def until(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_stacks_of_every_thread_are_written_while_others_run(tmp_path):
    """Beside threads that never rest: to look at them from below the interpreter ends the process."""
    free = threading.Event()

    def never_rests() -> None:
        while not free.is_set():
            sum(range(100))

    threads = [threading.Thread(target=waits_forever, args=(free,))]
    threads += [threading.Thread(target=never_rests) for _ in range(2)]
    for thread in threads:
        thread.start()
    watchdog = HangWatchdog(Run(tmp_path), 0, minutes=0.2 / 60)
    until(lambda: hang_reports(Run(tmp_path)))
    free.set()
    stacks = (tmp_path / "stacks" / "rank-0.txt").read_text()
    assert "waits_forever" in stacks and "never_rests" in stacks and "MainThread" in stacks
    watchdog.end()


def test_a_rank_with_signs_of_life_is_not_reported_and_leaves_nothing(tmp_path):
    watchdog = HangWatchdog(Run(tmp_path), 0, minutes=2 / 60)
    for _ in range(30):
        time.sleep(0.1)
        watchdog.reset()
    watchdog.end()
    assert list(tmp_path.iterdir()) == []


def test_null_never_watches(tmp_path):
    watchdog = HangWatchdog(Run(tmp_path), 0, minutes=None)
    watchdog.reset()
    watchdog.end()
    assert list(tmp_path.iterdir()) == []
