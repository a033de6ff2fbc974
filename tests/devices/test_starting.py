"""Engines that share a device start one after the other, and a dead process holds nobody up."""

import os
import signal
import subprocess
import sys

from expctl.base.file_lock import is_locked
from expctl.devices.starting import alone_on

STARTS = """
import sys, time
from pathlib import Path
from expctl.devices.starting import alone_on
folder, name = Path(sys.argv[1]), sys.argv[2]
with alone_on(["1", "0"], folder):
    with (folder / "log").open("a") as log:
        log.write(f"{name} in\\n"); log.flush()
        if name == "killed":
            print("in", flush=True); time.sleep(600)
        time.sleep(0.05)
        log.write(f"{name} out\\n")
"""


def started(folder, name, **keywords):
    return subprocess.Popen([sys.executable, "-c", STARTS, str(folder), name], **keywords)


def held(file):
    descriptor = os.open(file, os.O_RDWR)
    try:
        return is_locked(descriptor)
    finally:
        os.close(descriptor)


def test_processes_that_want_the_same_devices_come_one_after_the_other(tmp_path):
    processes = [started(tmp_path, str(number)) for number in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    lines = (tmp_path / "log").read_text().split("\n")[:-1]
    assert len(lines) == 8
    for entered, left in zip(lines[::2], lines[1::2], strict=True):
        assert entered.split()[0] == left.split()[0]


def test_a_killed_process_leaves_no_lock(tmp_path):
    killed = started(tmp_path, "killed", stdout=subprocess.PIPE, text=True)
    assert killed.stdout.readline() == "in\n" and held(tmp_path / "engine-0") and held(tmp_path / "engine-1")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    with alone_on(["0", "1"], tmp_path):
        assert held(tmp_path / "engine-0")


def test_other_devices_are_not_waited_for(tmp_path):
    with alone_on(["0"], tmp_path), alone_on(["1"], tmp_path):
        assert held(tmp_path / "engine-0") and held(tmp_path / "engine-1")
    assert not held(tmp_path / "engine-0")
