"""One rank from start to end: build, evaluate, train, evaluate, save, say what became of it."""

import os
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

import yaml

from expctl.runs.files import Run, read_json, read_metrics, write_json
from expctl.runs.manifest import EXIT_COMPLETED, EXIT_FAILED, EXIT_INTERRUPTED
from expctl.runs.progress import Progress
from expctl.worker.stop import StopRequest, die_with_parent


def work(folder: Path) -> NoReturn:
    """Run this rank to its end and leave the process (nothing is gained from tearing the libraries down)."""
    die_with_parent()
    run = Run(folder)
    stop = StopRequest(run)
    code = attempt(run, stop)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def attempt(run: Run, stop: StopRequest) -> int:
    """One attempt at the run, by this rank; the exit code. What went wrong is written for the parent to read."""
    rank = int(os.environ.get("RANK", 0))
    try:
        status = train(run, stop, Progress(run.progress, silent=rank != 0))
    except BaseException as error:
        traceback.print_exc()
        # The first rank to fail knows why; the others only notice that it is gone.
        if not run.outcome.exists():
            write_json(run.outcome, {"status": "failed", "rank": rank, "error": _one_line(error)})
        return EXIT_FAILED
    if rank == 0:
        write_json(run.outcome, {"status": status})
    return EXIT_COMPLETED if status == "completed" else EXIT_INTERRUPTED


def train(run: Run, stop: StopRequest, progress: Progress) -> str:
    """Build, evaluate before, train, evaluate after, save; `completed` or `interrupted`."""
    began = time.perf_counter()
    progress.phase("loading libraries")
    from expctl.worker import build, finish
    from expctl.worker.trackers import close_trackers

    config = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    progress.phase("loading model and data")
    checkpoint = carried_on_from(run)
    trainer = build.trainer(config, run, progress, stop)
    evaluate = bool(config["args"].get("do_eval")) and trainer.eval_dataset is not None

    before = _evaluated_before(run) if checkpoint else {}
    if evaluate and not before and not stop.asked:
        progress.phase("evaluating before training")
        before = trainer.evaluate()
    progress.phase("training")
    built = time.perf_counter()
    if not stop.asked:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trained = time.perf_counter()
    if stop.asked and trainer.state.global_step < trainer.state.max_steps:
        return "interrupted"

    after = {}
    if evaluate:
        progress.phase("evaluating after training")
        after = trainer.evaluate()
    progress.phase("saving the model")
    finish.save_model(trainer, run)
    seconds = {"start": built - began, "training": trained - built, "total": time.perf_counter() - began}
    if trainer.is_world_process_zero():
        finish.write_summary(trainer, run, config, before, after, seconds)
        close_trackers()
    return "completed"


def carried_on_from(run: Run) -> Path | None:
    """The checkpoint that whoever claimed the run found whole, and wrote into the manifest for every rank."""
    step = read_json(run.manifest)["attempts"][-1]["from_step"]
    return run.checkpoints / f"checkpoint-{step}" if step else None


def _evaluated_before(run: Run) -> dict[str, float]:
    """The evaluation before training that an earlier attempt recorded, at step 0."""
    rows = [
        row for row in read_metrics(run.metrics) if row.get("step") == 0 and any(k.startswith("eval_") for k in row)
    ]
    return {key: value for key, value in rows[0].items() if key != "step"} if rows else {}


def _one_line(error: BaseException) -> str:
    """The error as the person reads it first: its type and message, of the cause where Hydra wrapped one."""
    while type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}".strip()
