"""Jobs that a scheduler runs: handed over once, waited for across commands, cancelled by the command that has them."""

import os
import signal
from types import SimpleNamespace

import pytest

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.cli.scheduler_task import forced_once
from expctl.runs import manifest
from expctl.runs.files import Run, write_json
from expctl.runs.lock import Lock
from expctl.sweep import scheduler_pool, slurm
from expctl.sweep.job import SweepJob, Waiting
from expctl.sweep.scheduler_pool import SchedulerPool
from expctl.sweep.slurm import Slurm


class Queue:
    """A scheduler on paper: a job that is looked at for the second time does what is planned for it, and is gone.

    Where nothing is planned its run completes; None keeps it in the queue.
    """

    def __init__(self, *, left=(), others=(), plan=None):
        self._queued_earlier, self._others, self._plan = set(left), set(others), plan or {}
        self.jobs, self.submitted = dict.fromkeys(left, 0), []

    def queued_earlier(self, jobs):
        return self._queued_earlier

    def submit(self, jobs):
        for job in jobs:
            self.submitted.append(job.run.run_id)
            self.jobs[job.run.run_id] = 0

    def is_over(self, job):
        name = job.run.run_id
        if name in self.jobs:
            self.jobs[name] += 1
            if self.jobs[name] > 1 and (does := self._plan.pop(name, complete)):
                del self.jobs[name]
                does(job.run)
        return name not in self.jobs, f"job of {name} is gone"

    def cancel(self):
        self.jobs = {name: looks for name, looks in self.jobs.items() if name in self._others}
        return self._others

    def close(self):
        pass


def begin(run):
    run.folder.mkdir(parents=True, exist_ok=True)
    if not run.manifest.exists():
        manifest.create(run)
    manifest.start_attempt(run, 0, {})


def complete(run):
    begin(run)
    write_json(run.summary, {"objective": 1.0})
    manifest.end_attempt(run, "completed", to_step=1, exit_code=0)


def vanish(run):
    """The job ends, and its run was not begun."""


def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler_pool, "LOOK_SECONDS", 0.0)

    def job(name, force=False):
        experiment = Experiment({"force": force}, {}, [], tmp_path)
        state = Waiting(experiment, Run(tmp_path / "outputs" / name))
        return SweepJob((f"seed={name}",), (f"seed={name}",), state)

    return job


def statuses(jobs):
    return [job.status for job in jobs]


def test_cells_whose_jobs_an_earlier_command_left_in_the_queue_are_waited_for_and_not_submitted_again(job):
    jobs = [job("a"), job("b"), job("c")]
    begin(jobs[1].run)
    held = Lock(jobs[1].run.lock)  # it runs already, in its job
    queue = Queue(left=["a", "b"], plan={"b": lambda run: manifest.end_attempt(run, "failed", to_step=0, exit_code=1)})
    assert SchedulerPool(jobs, queue).run() is None
    held.release()
    assert queue.submitted == ["c"]
    assert statuses(jobs) == ["completed", "failed", "completed"]


def test_a_job_of_an_earlier_command_that_is_gone_is_submitted_again_and_one_of_this_command_has_failed(job):
    jobs = [job("a"), job("b")]
    queue = Queue(left=["a"], plan={"a": vanish, "b": vanish})
    SchedulerPool(jobs, queue).run()
    assert queue.submitted == ["b", "a"]
    assert statuses(jobs) == ["completed", "failed"] and jobs[1].error == "job of b is gone"


def test_ctrl_c_cancels_what_is_this_commands_and_leaves_the_rest_to_those_that_wait_for_it(job):
    jobs = [job("a"), job("b"), job("c")]
    begin(jobs[1].run)
    begin(jobs[2].run)
    held = [Lock(one.run.lock) for one in jobs[1:]]  # b has a job of another command, c runs somewhere without one
    queue = Queue(left=["b"], others=["b"], plan={"b": None})
    assert SchedulerPool(jobs, queue, look=once(interrupt)).run() == "SIGINT"
    for one in held:
        one.release()
    assert statuses(jobs) == ["interrupted"] * 3 and list(queue.jobs) == ["b"]


def once(does):
    left = [does]
    return lambda: left.pop()() if left else None


def test_ctrl_c_while_jobs_are_handed_over_cancels_them_too(job):
    queue = Queue()
    submit = queue.submit
    queue.submit = lambda jobs: (interrupt(), submit(jobs))
    jobs = [job("a")]
    assert SchedulerPool(jobs, queue).run() == "SIGINT"
    assert statuses(jobs) == ["interrupted"] and queue.jobs == {}


def test_a_cell_that_stands_twice_in_the_grid_is_handed_over_once(job):
    jobs, queue = [job("a"), job("a")], Queue()
    SchedulerPool(jobs, queue).run()
    assert queue.submitted == ["a"] and statuses(jobs) == ["completed"] * 2


def test_a_run_that_is_forced_is_done_when_its_new_attempt_is_and_not_because_of_the_old_one(job, tmp_path):
    old = job("a", force=True)
    complete(old.run)
    told = manifest.read(old.run)
    told.attempts[0].started = "2020-01-01T00:00:00+00:00"
    told.write(old.run.manifest)

    def again(run):
        run.manifest.unlink()
        complete(run)

    queue = Queue(plan={"a": again})
    SchedulerPool([old], queue).run()
    assert queue.submitted == ["a"] and old.status == "completed"
    assert manifest.read(old.run).attempts[0].started > "2020-01-02"


def test_force_holds_for_the_first_time_of_a_job_and_not_when_it_is_put_back(tmp_path):
    experiment = Experiment({"force": True}, {}, (), tmp_path)
    forced = [forced_once(experiment, tmp_path / "0.begun").config["force"] for _ in range(3)]
    assert forced == [True, False, False]


def test_a_disk_that_is_full_when_cells_are_handed_over_is_one_message(job):
    queue = Queue()

    def submit(jobs):
        raise OSError(28, "No space left on device")

    queue.submit = submit
    with pytest.raises(Refusal, match="cannot be handed over: No space left on device"):
        SchedulerPool([job("a")], queue).run()


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Jobs -> a function that makes what a command knows of Slurm, where squeue shows those jobs."""
    monkeypatch.setattr(Slurm, "_check", lambda self: None)
    said = []
    asked = SimpleNamespace(queue={}, cancelled=said, code=0)

    def ask(*command):
        if command[0] == "scancel":
            said.extend(command[2:])
        lines = "".join(f"{job} {folder}/submission_file_1.sh\n" for job, folder in asked.queue.items())
        return SimpleNamespace(returncode=asked.code, stdout=lines, stderr="Unable to contact slurm controller")

    monkeypatch.setattr(slurm, "_ask", ask)
    return asked


def submission(outputs, name, cells):
    """The folder that a command and submitit have left."""
    folder = outputs / "sweeps" / "slurm" / name
    for job in cells:
        (folder / job).mkdir(parents=True)
        (folder / job / f"{job}_submitted.pkl").touch()
    write_json(folder / "cells.json", {run: [] for run in cells.values()})
    return folder


def test_jobs_are_found_by_what_slurm_and_the_submission_say_of_them(cluster, job, tmp_path, capsys):
    folder = submission(tmp_path / "outputs", "one", {"7_9": "a", "7_10": "b", "7_11": "c"})
    submission(tmp_path / "outputs", "before", {"6": "d"})
    cluster.queue = {"7_10": folder, "7_11": folder, "6": "/somewhere/else", "8": folder}
    jobs = [job(name) for name in "abd"]
    found = Slurm({}, None, None, None)
    assert found.queued_earlier(jobs) == {"b"}, "a has ended, c is not asked for, d is another's job with an old number"
    assert "1 job (7_10) of an earlier command" in capsys.readouterr().out
    assert not found.is_over(jobs[1])[0] and found.is_over(jobs[0]) == (True, None)


def test_jobs_that_a_living_command_waits_for_are_not_cancelled_by_another(cluster, job, tmp_path):
    folder = submission(tmp_path / "outputs", "one", {"7": "a"})
    cluster.queue = {"7": folder}
    first, second = Slurm({}, None, None, None), Slurm({}, None, None, None)
    assert first.queued_earlier([job("a")]) == second.queued_earlier([job("a")]) == {"a"}
    assert second.cancel() == {"a"} and cluster.cancelled == []
    assert first.cancel() == set() and cluster.cancelled == ["7"]
    first.close()
    assert second.cancel() == set(), "nobody waits for it any more"


def test_a_slurm_that_does_not_say_what_is_queued_is_asked_again_before_anything_is_submitted_twice(cluster, job):
    cluster.code = 1
    with pytest.raises(Refusal, match="does not say which jobs are there: Unable to contact slurm controller"):
        Slurm({}, None, None, None).queued_earlier([job("a")])
