"""One rank from start to end: build, evaluate, train, evaluate, save, say what became of it."""

import contextlib
import faulthandler
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml

from expctl.base.data_kinds import with_current_kinds
from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from expctl.base.parent_death import hear_of_death
from expctl.runs.files import Run, read_metrics
from expctl.runs.lock import is_held
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED, recorded
from expctl.runs.progress import Progress
from expctl.runs.ranks import Presence
from expctl.runs.records import WorkerOutcome
from expctl.worker.failure_report import report
from expctl.worker.libraries import import_libraries
from expctl.worker.preflight.main import RefusedError, is_wanted, refuse_what_is_hopeless
from expctl.worker.stop import StoppedError, StopRequest, leave_when_peers_are_gone
from expctl.worker.trackers import close_trackers
from expctl.worker.watchdog import HangReport


def work(folder: Path) -> NoReturn:
    """Run this rank to its end and leave the process (nothing is gained from tearing the libraries down)."""
    hear_of_death(os.getppid())()
    run = Run(folder)
    if not is_held(run.lock):
        sys.exit(f"no command holds {folder}: it died, or this is no way to start a run (expctl resume {folder.name})")
    code = attempt(run, StopRequest(run, leave=lambda: os._exit(EXIT_FAILED)))
    with contextlib.suppress(OSError):  # a full disk
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def attempt(run: Run, stop: StopRequest) -> int:
    """One attempt at the run, by this rank; the exit code. What went wrong is written for the parent to read."""
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    faulthandler.enable()
    presence = Presence(run, rank)
    if world > 1:
        leave_when_peers_are_gone(run, stop)
    try:
        config = with_current_kinds(yaml.safe_load(run.config.read_text(encoding="utf-8")))
        hang = HangReport(run, rank, config["hardware"]["hang_minutes"])
        status = train(run, config, stop, Progress(run.progress, silent=rank != 0), hang)
        hang.end()
        if rank == 0:
            WorkerOutcome(status=status).write(run.outcome)
    except RefusedError as refused:
        hang.end()
        refused.outcome().write(run.outcome)
        presence.leave()
        return EXIT_REFUSED
    except BaseException as error:
        report(run, rank, world, error)
        if rank == 0:
            close_trackers(run, FAILED)
        presence.leave()
        return EXIT_FAILED
    if rank == 0:
        close_trackers(run, status)
    presence.leave()
    return EXIT_COMPLETED if status == COMPLETED else EXIT_INTERRUPTED


def train(run: Run, config: dict[str, Any], stop: StopRequest, progress: Progress, hang: HangReport) -> str:
    """Check, build, evaluate before, train, evaluate after, save; `completed` or `interrupted`.

    Raises:
        RefusedError: the check found that the training would fail; nothing of it has begun.
    """
    began = time.perf_counter()
    progress.phase("loading libraries")
    import_libraries(config)
    checkpoint = carried_on_from(run)
    if is_wanted(checkpoint):
        progress.phase("checking")
        refuse_what_is_hopeless(config, stop)
        if stop.asked:
            return INTERRUPTED
    from expctl.worker import build, control_callbacks, summary
    from expctl.worker.distributed import evaluate_before_training
    from expctl.worker.health import Health
    from expctl.worker.record import Record, drop_what_comes_again
    from expctl.worker.steps import check_some_step, check_steps_taken

    progress.phase("loading model and data")
    if not int(os.environ.get("RANK", 0)):
        drop_what_comes_again(run.metrics, checkpoint)
    control = [control_callbacks.StopWhenTold(stop), control_callbacks.SignsOfLife(hang)]
    callbacks = [Record(run, progress), Health(run, progress), *control]
    trainer = build.trainer(config, run, callbacks, stop)
    check_some_step(trainer.args, trainer.train_dataset)
    evaluate = bool(config["args"].get("do_eval")) and trainer.eval_dataset is not None
    try:
        before = _evaluated_before(run) if checkpoint else {}
        if evaluate and not before:
            before = evaluate_before_training(trainer, lambda: _evaluating_before(progress, stop))
        control_callbacks.stop_here_if_told(stop, trainer.args.device)
        progress.phase("training")
        built = time.perf_counter()
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trained = time.perf_counter()
        if stop.agreed and trainer.state.global_step < trainer.state.max_steps:
            return INTERRUPTED
        check_steps_taken(trainer.state)
        after = {}
        if evaluate:
            progress.phase("evaluating after training")
            with stop.breaking_off(saved=(run.checkpoints / f"checkpoint-{trainer.state.global_step}").is_dir()):
                after = _evaluated_at_the_end(trainer) or trainer.evaluate()
    except StoppedError:
        return INTERRUPTED
    progress.phase("saving the model")
    summary.save_model(trainer, run, config)
    seconds = {"start": built - began, "training": trained - built, "total": time.perf_counter() - began}
    if trainer.is_world_process_zero():
        summary.write_summary(trainer, run, config, before, after, seconds)
    return COMPLETED


def carried_on_from(run: Run) -> Path | None:
    """The checkpoint that whoever claimed the run found whole, and wrote into the manifest for every rank."""
    attempts = recorded(run).attempts
    step = attempts[-1].from_step if attempts else 0
    return run.checkpoints / f"checkpoint-{step}" if step else None


@contextlib.contextmanager
def _evaluating_before(progress: Progress, stop: StopRequest) -> Iterator[None]:
    progress.phase("evaluating before training")
    with stop.breaking_off():
        yield
    progress.phase("training")


def _evaluated_before(run: Run) -> dict[str, float]:
    """The evaluation before training that an earlier attempt recorded, at step 0."""
    from expctl.worker.record import is_evaluation

    rows = [row for row in read_metrics(run.metrics) if row.get("step") == 0 and is_evaluation(row)]
    return {key: value for key, value in rows[0].items() if key != "step"} if rows else {}


def _evaluated_at_the_end(trainer: Any) -> dict[str, float]:
    """The evaluation within training that fell on the last step, if the model has not changed since."""
    if trainer.args.load_best_model_at_end:
        return {}
    state = trainer.state
    rows = [row for row in state.log_history if row["step"] == state.global_step and "eval_loss" in row]
    return {key: value for key, value in rows[-1].items() if key != "step"} if rows else {}
