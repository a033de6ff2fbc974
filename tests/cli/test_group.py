"""What rank 0 of a launched group does, which is worker and parent at once."""

import os
import signal
import sys
from importlib.util import find_spec

import pytest
from fabricated import experiment, run_of

from expctl.base.refusal import Refusal
from expctl.cli import group
from expctl.launch.launch import Outcome
from expctl.launch.launched import ProcessGroup
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


def composed_under(monkeypatch, launched, *words):
    """The experiment that rank 0 of a launched group checks and claims."""
    made = []
    monkeypatch.setattr(group, "take_part", lambda launched, composed: made.append(composed()) or 0)
    group.join_group(launched, list(words))
    return made[0]


@pytest.mark.parametrize(("launched", "rows"), [(ProcessGroup(0, 2, 1), 64), (ProcessGroup(0, 4, 2), 32)])
def test_the_batch_follows_from_the_processes_that_were_launched(monkeypatch, tmp_path, launched, rows):
    monkeypatch.chdir(tmp_path)
    experiment = composed_under(monkeypatch, launched, "prompts_per_step=8")
    assert experiment.config["args"]["per_device_train_batch_size"] == rows
    assert experiment.hardware["num_processes"] * experiment.hardware["num_machines"] == launched.world
    assert experiment.in_group


OWN_NODE = ["generation=vllm_server", "generation.own_node=true", "hardware=cpu_2"]


def test_of_a_servers_own_node_nothing_is_counted(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = [*OWN_NODE, "hardware.num_machines=2", "prompts_per_step=8"]
    experiment = composed_under(monkeypatch, ProcessGroup(0, 6, 3), *words)
    assert (experiment.hardware["num_processes"], experiment.hardware["num_machines"]) == (2, 2)
    assert experiment.config["args"]["per_device_train_batch_size"] == 32
    with pytest.raises(Refusal, match="4 processes were launched beside the machine"):
        composed_under(monkeypatch, ProcessGroup(0, 6, 3), *OWN_NODE)
    with pytest.raises(Refusal, match="launched on one machine") as said:
        composed_under(monkeypatch, ProcessGroup(0, 2, 1), *OWN_NODE)
    assert "srun --nodes 2 --ntasks-per-node 2" in said.value.do


def test_each_rank_finds_the_code_of_the_working_folder(monkeypatch, tmp_path):
    """Of `srun expctl`, whose first place to look is the folder of the command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "code_of_the_user.py").touch()
    monkeypatch.setattr(group, "take_part", lambda launched, composed: 0)
    group.join_group(ProcessGroup(1, 2, 1), [])
    assert find_spec("code_of_the_user") is not None


def test_a_batch_that_does_not_divide_by_the_processes_that_were_launched(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match="on 3 processes: 128 rows do not divide by 3"):
        composed_under(monkeypatch, ProcessGroup(0, 3, 1), "prompts_per_step=8")
