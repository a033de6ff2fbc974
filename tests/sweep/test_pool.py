"""The pool: every device busy, none used twice, no job passed over for ever, and every end accounted for."""

import os
import signal
import socket

import pytest

from expctl.base import ports
from expctl.config import engine_facts
from expctl.devices import detection, leases
from expctl.launch import engine_server, launch
from expctl.runs import manifest
from expctl.runs.lock import Lock
from expctl.sweep.pool import Pool
from tests.sweep.hall import on_gpus, swim


def test_as_many_jobs_as_the_cores_hold_run_at_once_and_all_end(hall, jobs):
    made = jobs(*[f"seed={seed}" for seed in range(5)])
    assert swim(hall, made) is None
    assert hall.most == 2 and [job.status for job in made] == ["completed"] * 5
    assert [job.objective for job in made] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("n_jobs", [1, 4])
def test_n_jobs_sets_the_number_at_once(n_jobs, hall, jobs):
    swim(hall, jobs(*[f"seed={seed}" for seed in range(5)]), n_jobs=n_jobs)
    assert hall.most == n_jobs


def test_a_job_that_needs_many_devices_is_not_passed_over(hall, jobs, monkeypatch, tmp_path):
    on_gpus(monkeypatch, tmp_path, ["0", "1"])
    gpu = "hardware=gpu model.dtype=float32 hardware.bf16=false"
    made = jobs(f"seed=0 {gpu}", f"seed=1 {gpu} hardware.num_processes=2", f"seed=2 {gpu}", f"seed=3 {gpu}")
    swim(hall, made)
    assert hall.order == ["0", "0,1", "0", "1"]
    assert all(job.status == "completed" for job in made)


def test_devices_that_other_sweeps_have_are_waited_for_and_that_is_said_once(hall, jobs, monkeypatch, tmp_path, capsys):
    on_gpus(monkeypatch, tmp_path, ["0"])
    taken = leases.Machine().lend_gpus(1)
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 5:
            taken.give_back()

    (job,) = jobs("seed=0 hardware=gpu model.dtype=float32 hardware.bf16=false")
    swim(hall, [job], look=look)
    assert job.status == "completed" and len(looks) > 5
    assert capsys.readouterr().err.count("1 of the 1 GPUs are not free at once: other sweeps on this machine") == 1


def test_a_job_that_fails_does_not_keep_the_others(hall, jobs):
    made = jobs(*[f"seed={seed}" for seed in range(4)])
    swim(hall, made, fates={1: "failed"})
    assert [job.status for job in made] == ["completed", "failed", "completed", "completed"]
    assert made[1].error == "KeyError: 'lost'"


def test_fail_fast_stops_what_runs_and_begins_nothing_more(hall, jobs):
    made = jobs(*[f"seed={seed}" for seed in range(4)])
    swim(hall, made, fates={0: "failed", 1: "waits"}, fail_fast=True)
    assert [job.status for job in made] == ["failed", "interrupted", "interrupted", "interrupted"]
    assert not made[2].run.folder.exists()


def test_a_signal_saves_what_runs_and_the_same_sweep_again_finishes_the_rest(hall, jobs):
    words = [f"seed={seed}" for seed in range(4)]
    made = jobs(*words)
    counted = []

    def look():
        counted.append(1)
        if len(counted) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    fates = {1: "waits", 2: "waits", 3: "waits"}
    assert swim(hall, made, fates=fates, look=look, looks=2) == "SIGINT"
    assert {job.status for job in made} == {"completed", "interrupted"}
    again = jobs(*words)
    swim(hall, again)
    assert [job.status for job in again] == ["completed"] * 4
    attempts = [len(manifest.read(job.run).attempts) for job in again]
    assert attempts[0] == 1 and attempts[1] == 2, "what was completed is not done twice, what was begun is carried on"


def test_a_job_that_another_sweep_is_at_is_left_to_it_and_taken_over_when_given_up(hall, jobs):
    made = jobs("seed=0", "seed=1")
    made[0].run.folder.mkdir(parents=True)
    theirs = Lock(made[0].run.lock)
    seen = []

    def look():
        seen.append(made[0].status)
        if len(seen) == 8:
            theirs.release()

    swim(hall, made, look=look)
    assert "elsewhere" in seen
    assert [job.status for job in made] == ["completed", "completed"]


def test_a_job_that_stands_twice_in_the_grid_is_trained_once(hall, jobs):
    made = jobs("seed=0", "seed=0", "seed=1")
    swim(hall, made)
    assert [job.status for job in made] == ["completed"] * 3
    assert len(hall.order) == 2


def test_a_job_that_a_full_disk_kept_from_saying_why_it_failed_has_failed_of_that(hall, jobs, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest, "end_attempt", full)
    [job] = jobs("seed=0")
    swim(hall, [job], fates={0: "mute"})
    assert job.status == "failed"
    assert job.error == f"{job.run.folder} cannot be written: No space left on device"


def test_two_jobs_of_many_threads_do_not_wait_for_ever(hall, jobs):
    made = jobs("seed=0 hardware.threads=64", "seed=1 hardware.threads=64")
    swim(hall, made)
    assert hall.most == 1 and [job.status for job in made] == ["completed"] * 2


@pytest.mark.parametrize("what", ["begin_attempt", "note"])
def test_a_job_that_cannot_begin_fails_and_gives_its_run_and_its_devices_back(what, hall, jobs, monkeypatch):
    made = jobs("seed=0", "seed=1", "seed=2")
    module = launch if what == "begin_attempt" else manifest
    write = getattr(module, what)

    def full(claimed, *rest):
        run = getattr(claimed, "run", claimed)
        if run.run_id == made[0].run.run_id:
            raise OSError(28, "No space left on device")  # as the kernel says it: without a file's name
        write(claimed, *rest)

    monkeypatch.setattr(module, what, full)
    swim(hall, made)
    assert [job.status for job in made] == ["failed", "completed", "completed"]
    assert made[0].error == f"{made[0].run.folder} cannot be written: No space left on device"
    assert manifest.read(made[0].run).status == "failed"
    assert hall.most == 2
    Lock(made[0].run.lock).release()


@pytest.fixture
def vllm(monkeypatch):
    """A vLLM that the checks find, be there one or none."""
    monkeypatch.setattr(engine_facts, "vllm_version", lambda: engine_facts.UNKNOWN)
    monkeypatch.setattr(engine_facts, "head_sizes_on_cpu", list)


@pytest.mark.usefixtures("vllm")
def test_jobs_at_once_with_an_engine_of_their_own_have_a_port_each_which_is_free_again_at_their_ends(hall, jobs):
    made = jobs(*[f"seed={seed} generation=vllm hardware=cpu" for seed in range(2)])
    assert swim(hall, made) is None and hall.most == 2
    ports = [int(environment["MASTER_PORT"]) for environment in hall.environments]
    assert len(set(ports)) == 2
    for port, environment in zip(ports, hall.environments, strict=True):
        assert environment["MASTER_ADDR"] == "127.0.0.1" and "RANK" not in environment
        assert environment["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0" and environment["VLLM_CPU_KVCACHE_SPACE"] == "1"
        with socket.socket() as free:
            free.bind(("", port))


@pytest.mark.usefixtures("vllm")
def test_a_machine_without_a_free_port_fails_the_job_and_says_so(hall, jobs, monkeypatch):
    def none_left():
        raise ports.NoPortError(98, "no port of this machine is free for an engine of vLLM")

    monkeypatch.setattr(launch, "HeldPort", none_left)
    (job,) = jobs("generation=vllm hardware=cpu")
    assert swim(hall, [job]) is None
    assert job.status == "failed" and manifest.read(job.run).error.startswith("no port of this machine is free")


def test_jobs_without_an_engine_have_no_port(hall, jobs):
    swim(hall, jobs("seed=0"))
    assert not [name for name in hall.environments[0] if name.startswith(("MASTER_", "VLLM_"))]


class StandInServer:
    """A server that only keeps the books; `said` is what it finds wrong."""

    begun, ended, said = [], [], None

    def __init__(self, run, config, environment, folder):
        workers, own = engine_server.share_devices(config, environment)
        self.of_workers = {"CUDA_VISIBLE_DEVICES": ",".join(workers), "EXPCTL_VLLM_URL": "http://127.0.0.1:1"}
        self.devices = own
        StandInServer.begun.append(self)

    def trouble(self):
        return StandInServer.said

    def stop(self):
        StandInServer.ended.append(self)


@pytest.fixture
def servers(monkeypatch, vllm):
    monkeypatch.setattr(detection, "visible_gpus", lambda: 2)
    monkeypatch.setattr(detection, "compute_capability", lambda: 9.0)
    monkeypatch.setattr(launch, "EngineServer", StandInServer)
    monkeypatch.setattr(StandInServer, "begun", [])
    monkeypatch.setattr(StandInServer, "ended", [])
    monkeypatch.setattr(StandInServer, "said", None)
    return StandInServer


def test_a_run_with_a_server_leases_the_devices_of_both_and_ends_it(hall, jobs, servers, monkeypatch, tmp_path):
    on_gpus(monkeypatch, tmp_path, ["0", "1", "2"])
    made = jobs(*[f"seed={seed} generation=vllm_server hardware=gpu" for seed in range(2)])
    assert swim(hall, made) is None
    assert hall.most == 1, "three devices hold one run and its server"
    assert hall.order == ["0", "0"] and [server.devices for server in servers.begun] == [["1"], ["1"]]
    assert hall.environments[0]["EXPCTL_VLLM_URL"] == "http://127.0.0.1:1"
    assert servers.ended == servers.begun and [job.status for job in made] == ["completed"] * 2


def test_a_run_whose_server_fails_ends_with_it_and_says_why(hall, jobs, servers, monkeypatch, tmp_path):
    on_gpus(monkeypatch, tmp_path, ["0", "1"])
    servers.said = "the server of vLLM was killed by SIGKILL"
    (job,) = jobs("generation=vllm_server hardware=gpu")
    assert swim(hall, [job], fates={0: "waits"}) is None
    assert job.status == "failed" and manifest.read(job.run).error == servers.said
    assert servers.ended == servers.begun


def test_a_worker_that_cannot_be_started_leaves_no_server(hall, jobs, servers, monkeypatch, tmp_path):
    on_gpus(monkeypatch, tmp_path, ["0", "1"])
    (job,) = jobs("generation=vllm_server hardware=gpu")

    def start(experiment):
        def fail(*_):
            raise OSError(28, "No space left on device")

        return fail

    assert Pool([job], n_jobs=None, fail_fast=False, start=start).run() is None
    assert job.status == "failed" and servers.ended == servers.begun and len(servers.begun) == 1
