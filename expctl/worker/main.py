"""One rank from start to end: build, evaluate, train, evaluate, save, and report the outcome."""

import contextlib
import faulthandler
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from expctl.base.data_kinds import with_current_kinds
from expctl.base.evaluation import trains
from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from expctl.base.parent_death import exit_with_parent
from expctl.runs.files import Run, read_metrics
from expctl.runs.lock import is_held
from expctl.runs.manifest import COMPLETED, FAILED, INTERRUPTED, recorded
from expctl.runs.phases import times_in
from expctl.runs.progress import Progress
from expctl.runs.ranks import Presence
from expctl.runs.records import WorkerOutcome
from expctl.worker.failure_report import report_failure
from expctl.worker.libraries import import_libraries
from expctl.worker.preflight.main import RefusedError, is_preflight_due, run_preflight
from expctl.worker.stop import StoppedError, StopRequest, exit_when_peers_are_lost
from expctl.worker.trackers import close_trackers
from expctl.worker.watchdog import HangWatchdog

if TYPE_CHECKING:
    from transformers import Trainer


def run_rank(folder: Path) -> NoReturn:
    """Run this rank to its end and exit the process, without tearing down the libraries."""
    exit_with_parent(os.getppid())()
    run = Run(folder)
    if not is_held(run.lock):
        sys.exit(f"no command holds {folder}: it died, or this is no way to start a run (expctl resume {folder.name})")
    code = run_attempt(run, StopRequest(run, leave=lambda: os._exit(EXIT_FAILED)))
    with contextlib.suppress(OSError):  # a full disk
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def run_attempt(run: Run, stop: StopRequest) -> int:
    """Make one attempt at the run on this rank, and report its outcome to the parent in a file.

    Returns:
        The exit code.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    faulthandler.enable()
    presence = Presence(run, rank)
    if world > 1:
        exit_when_peers_are_lost(run, stop)
    try:
        config = with_current_kinds(yaml.safe_load(run.config.read_text(encoding="utf-8")))
        watchdog = HangWatchdog(run, rank, config["hardware"]["hang_minutes"])
        status = train(run, config, stop, Progress(run.progress, silent=rank != 0), watchdog)
        watchdog.end()
        if rank == 0:
            WorkerOutcome(status=status).write(run.outcome)
    except RefusedError as refusal:
        watchdog.end()
        refusal.outcome().write(run.outcome)
        presence.leave()
        return EXIT_REFUSED
    except BaseException as error:
        report_failure(run, rank, world, error)
        if rank == 0:
            close_trackers(run, FAILED)
        presence.leave()
        return EXIT_FAILED
    if rank == 0:
        close_trackers(run, status)
    presence.leave()
    return EXIT_COMPLETED if status == COMPLETED else EXIT_INTERRUPTED


def train(run: Run, config: dict[str, Any], stop: StopRequest, progress: Progress, watchdog: HangWatchdog) -> str:
    """Preflight, build, evaluate, train, evaluate, save; return `completed` or `interrupted`.

    Raises:
        RefusedError: the preflight found that the training would fail; nothing of it has begun.
    """
    began = time.perf_counter()
    progress.phase("loading libraries")
    import_libraries(config)
    checkpoint = checkpoint_to_resume(run)
    if is_preflight_due(checkpoint):
        progress.phase("checking")
        run_preflight(config, stop)
        if stop.requested:
            return INTERRUPTED
    from expctl.worker import control_callbacks, summary
    from expctl.worker.random_states import RandomStates
    from expctl.worker.repeated_warnings import RepeatedWarnings
    from expctl.worker.step_times import StepTimes
    from expctl.worker.steps import check_steps_taken
    from expctl.worker.token_count import count_tokens

    progress.phase("loading model and data")
    trainer = _build_trainer(run, config, stop, progress, watchdog, checkpoint)
    if not trains(config):
        return _evaluate_only(trainer, run, config, stop, progress, began)
    states = RandomStates(trainer)
    times = StepTimes(trainer)
    trainer.add_callback(times)
    count_tokens(trainer)
    evaluates = bool(config["args"].get("do_eval")) and trainer.eval_dataset is not None
    repeated = RepeatedWarnings()
    repeated.install()
    try:
        before = _evaluate_before(trainer, run, stop, progress, checkpoint) if evaluates else {}
        control_callbacks.raise_if_stopped(stop, trainer.args.device)
        progress.phase("training")
        earlier = sum(times_in(read_metrics(run.metrics)).seconds.values())  # of the steps that are not trained again
        built = time.perf_counter()
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trained = time.perf_counter()
        if stop.agreed and trainer.state.global_step < trainer.state.max_steps:
            return INTERRUPTED
        check_steps_taken(trainer.state)
        after = _evaluate_after(trainer, run, stop, progress) if evaluates else {}
    except StoppedError:
        return INTERRUPTED
    finally:
        repeated.report()
    progress.phase("saving the model")
    summary.save_model(trainer, run, config)
    states.save(run)
    training, total = earlier + trained - built, earlier + time.perf_counter() - began
    seconds = {"start": built - began, "training": training, "total": total}
    if trainer.is_world_process_zero():
        summary.write_summary(trainer, run, config, before, after, seconds, times.rest)
    return COMPLETED


def checkpoint_to_resume(run: Run) -> Path | None:
    """The checkpoint that the parent verified, and named in the manifest for every rank; None for a first attempt."""
    attempts = recorded(run).attempts
    step = attempts[-1].from_step if attempts else 0
    return run.checkpoints / f"checkpoint-{step}" if step else None


def _build_trainer(
    run: Run,
    config: dict[str, Any],
    stop: StopRequest,
    progress: Progress,
    watchdog: HangWatchdog,
    checkpoint: Path | None,
) -> "Trainer":
    """The trainer with expctl's callbacks; the metrics of an earlier attempt are cut off after its checkpoint."""
    from expctl.worker import build, control_callbacks
    from expctl.worker.health import HealthMonitor
    from expctl.worker.record import MetricsRecorder, drop_rows_after
    from expctl.worker.steps import check_some_step

    if not int(os.environ.get("RANK", 0)):
        drop_rows_after(run.metrics, checkpoint)
    control = [control_callbacks.StopOnRequest(stop), control_callbacks.Heartbeat(watchdog)]
    callbacks = [MetricsRecorder(run, progress), HealthMonitor(run, progress), *control]
    trainer = build.build_trainer(config, run, callbacks, stop)
    if trains(config):
        check_some_step(trainer.args, trainer.train_dataset)
    return trainer


def _evaluate_only(
    trainer: Any, run: Run, config: dict[str, Any], stop: StopRequest, progress: Progress, began: float
) -> str:
    """Evaluate, and train nothing; return `completed` or `interrupted`."""
    from expctl.worker.benchmarks import BenchmarkTrainer
    from expctl.worker.evaluation import evaluate, evaluate_benchmarks, write_evaluation

    progress.phase("evaluating")
    try:
        with stop.abortable():
            if isinstance(trainer, BenchmarkTrainer):
                metrics, intervals = evaluate_benchmarks(trainer, run)
            else:
                metrics, intervals = evaluate(trainer, run, progress)
    except StoppedError:
        return INTERRUPTED
    if trainer.is_world_process_zero():
        write_evaluation(run, config, metrics, intervals, time.perf_counter() - began)
    return COMPLETED


def _evaluate_before(
    trainer: "Trainer", run: Run, stop: StopRequest, progress: Progress, checkpoint: Path | None
) -> dict[str, Any]:
    """The evaluation before training: the one that an earlier attempt recorded, else made now."""
    from expctl.worker.distributed import evaluate_before_training

    recorded = _recorded_before(run) if checkpoint else {}
    if recorded:
        return recorded

    @contextlib.contextmanager
    def phase() -> Iterator[None]:
        progress.phase("evaluating before training")
        with stop.abortable():
            yield
        progress.phase("training")

    return evaluate_before_training(trainer, phase)


def _recorded_before(run: Run) -> dict[str, Any]:
    """The evaluation before training that an earlier attempt recorded, at step 0."""
    from expctl.worker.named_sets import merged
    from expctl.worker.record import is_evaluation

    rows = [row for row in read_metrics(run.metrics) if row.get("step") == 0 and is_evaluation(row)]
    return _without_step(merged(reversed(rows)))


def _evaluate_after(trainer: "Trainer", run: Run, stop: StopRequest, progress: Progress) -> dict[str, Any]:
    """The evaluation after training: the one within training on the last step, else made now."""
    progress.phase("evaluating after training")
    checkpoint = run.checkpoints / f"checkpoint-{trainer.state.global_step}"
    with stop.abortable(saved=checkpoint.is_dir()):
        return _evaluated_at_the_end(trainer) or trainer.evaluate()


def _evaluated_at_the_end(trainer: "Trainer") -> dict[str, Any]:
    """The evaluation within training that fell on the last step, if the model has not changed since."""
    from expctl.worker.named_sets import has_loss, merged

    if trainer.args.load_best_model_at_end:
        return {}
    state = trainer.state
    rows = [row for row in state.log_history if row["step"] == state.global_step and has_loss(row)]
    return _without_step(merged(rows))


def _without_step(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "step"}
