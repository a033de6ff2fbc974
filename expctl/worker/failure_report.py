"""What goes wrong on a rank, in words for whoever reads them first."""

import contextlib
import errno
import shutil
import time
import traceback

from expctl.runs import ranks
from expctl.runs.checkpoints import ASIDE
from expctl.runs.files import Run
from expctl.runs.manifest import FAILED
from expctl.runs.records import WorkerOutcome

# How long after a failed talk between ranks the kernel may take to show which of them is dead.
SHOW_SECONDS = 2.0


def report(run: Run, rank: int, world: int, error: BaseException) -> None:
    """Leave word of a failure for the parent: the cause, not what followed from it; the traceback goes to the log."""
    if is_full_disk(error):
        # What was being written is of no use, and its room is needed to say so.
        shutil.rmtree(run.checkpoints / ASIDE, ignore_errors=True)
    with contextlib.suppress(OSError):
        # The first rank to fail knows why; the others only notice that it is gone.
        if not run.outcome.exists():
            _outcome(run, rank, world, error).write(run.outcome)
        traceback.print_exception(error)


def _outcome(run: Run, rank: int, world: int, error: BaseException) -> WorkerOutcome:
    gone = _lost(run) if world > 1 else []
    if gone:
        lost = [one["rank"] for one in gone]
        return WorkerOutcome(status=FAILED, rank=rank, error=ranks.describe(gone), lost=lost)
    if is_full_disk(error):
        message = f"the disk is full ({run.folder}); make room: nothing that was complete is lost"
        return WorkerOutcome(status=FAILED, rank=rank, error=message)
    return WorkerOutcome(status=FAILED, rank=rank, error=one_line(error) + _advice(error))


# Words of a library's error -> what is meant, and what to do.
ADVICE = {
    "index out of range in self": "a token or a position beyond what the model's embedding has rows for: look at the "
    "tokenizer of model.path, and at prompts longer than its max_position_embeddings",
    "CUDA out of memory": "a smaller args.per_device_train_batch_size (with args.gradient_accumulation_steps), "
    "args.gradient_checkpointing=true, fewer tokens, or peft=lora",
    "DefaultCPUAllocator": "the memory of this machine is used up: a smaller args.per_device_train_batch_size",
    "CUBLAS_STATUS_NOT_INITIALIZED": "most often the GPU's memory is used up: a smaller batch",
    "device-side assert": "most often a token beyond the embedding: run once with hardware=cpu to see which",
    "probability tensor contains": "the model gives NaN: a smaller args.learning_rate, or model.dtype=float32",
    "NCCL": "the GPUs cannot talk to each other: NCCL_DEBUG=INFO shows why",
}


def _advice(error: BaseException) -> str:
    said = str(error)
    return next((f" ({advice})" for words, advice in ADVICE.items() if words in said), "")


def _lost(run: Run) -> list[dict]:
    until = time.monotonic() + SHOW_SECONDS
    while not (gone := ranks.lost(run)) and time.monotonic() < until and not run.outcome.exists():
        time.sleep(0.1)
    return gone


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is that of a disk without room (libraries word it differently)."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(error) for words in ("No space left on device", "Disk quota exceeded")):
            return True
        if "PytorchStreamWriter failed writing" in str(error) or "iostream error" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def one_line(error: BaseException) -> str:
    """The error as the person reads it first: its type and message, of the cause where Hydra wrapped one."""
    while type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}".strip()
