"""A server of vLLM on the CPU, which begins and ends with its run."""

import signal
from pathlib import Path

import pytest
from engine_runs import assert_sampled_with_its_own_weights, has_reached
from harness import alive, expctl, manifest, only_run, start, wait_for

pytestmark = pytest.mark.timeout(900)


def with_descendants(pid: int) -> set[int]:
    """A process and all that it, or what it started, has started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_a_server_ends_with_a_killed_command_and_begins_again_with_the_next(words, tmp_path):
    """Server, engine and worker are processes of vLLM."""
    words = [*words, "generation=vllm_server", "args.save_steps=1"]
    command = start(*words, cwd=tmp_path, forked=True)
    wait_for(lambda: has_reached(tmp_path, 2), seconds=800)
    run, started = only_run(tmp_path), with_descendants(command.pid)
    command.send_signal(signal.SIGKILL)
    command.communicate()
    wait_for(lambda: not any(alive(pid) for pid in started), seconds=120)

    assert expctl(*words, cwd=tmp_path, timeout=800).returncode == 0
    assert manifest(run)["status"] == "completed"
    assert_sampled_with_its_own_weights(run)
