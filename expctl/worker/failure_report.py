"""Reports the failure of a rank: the cause, and advice where the error is a known one."""

import contextlib
import errno
import shutil
import time
import traceback

from expctl.runs import ranks
from expctl.runs.checkpoints import ASIDE
from expctl.runs.files import Run
from expctl.runs.manifest import FAILED
from expctl.runs.records import ProcessRecord, WorkerOutcome

# After a collective has failed: how long the kernel may take to show which rank is dead.
LOST_SECONDS = 2.0


def report_failure(run: Run, rank: int, world: int, error: BaseException) -> None:
    """Write the cause of a failure into the run's outcome file, for the parent; print the traceback into the log."""
    if is_full_disk(error):
        # The unfinished checkpoint is of no use, and its room is needed for the report.
        shutil.rmtree(run.checkpoints / ASIDE, ignore_errors=True)
    with contextlib.suppress(OSError):
        # The first rank to fail knows the cause; the others only notice that it is gone.
        if not run.outcome.exists():
            _outcome(run, rank, world, error).write(run.outcome)
        traceback.print_exception(error)


def _outcome(run: Run, rank: int, world: int, error: BaseException) -> WorkerOutcome:
    lost_ranks = _lost_ranks(run) if world > 1 else []
    if lost_ranks:
        lost = [lost.rank for lost in lost_ranks if lost.rank is not None]
        return WorkerOutcome(status=FAILED, rank=rank, error=ranks.describe(lost_ranks), lost=lost)
    if is_full_disk(error):
        message = f"the disk is full ({run.folder}); make room: nothing that was complete is lost"
        return WorkerOutcome(status=FAILED, rank=rank, error=message)
    return WorkerOutcome(status=FAILED, rank=rank, error=one_line(error) + _advice(error))


# Words of a library's error -> what it means, and what to do.
ADVICE = {
    "index out of range in self": "a token or a position beyond what the model's embedding has rows for: look at the "
    "tokenizer of model.path, and at prompts longer than its max_position_embeddings",
    "CUDA out of memory": "a smaller args.per_device_train_batch_size (with args.gradient_accumulation_steps), "
    "args.gradient_checkpointing=true, fewer tokens, or peft=lora",
    "DefaultCPUAllocator": "the memory of this machine is used up: a smaller args.per_device_train_batch_size",
    "CUBLAS_STATUS_NOT_INITIALIZED": "most often the GPU's memory is used up: a smaller batch",
    "device-side assert": "most often a token beyond the embedding: run once with hardware=cpu to see which",
    "probability tensor contains": "the model gives NaN: a smaller args.learning_rate, or model.dtype=float32",
    "No available memory for the cache blocks": "a larger args.vllm_gpu_memory_utilization: it is a share of the whole "
    "device, and what others hold there counts",
    "Error in memory profiling": "another process gave memory back while the engine measured: the same command again",
    "is less than desired": "a smaller args.vllm_gpu_memory_utilization: it is a share of the whole device",
    "larger than the available KV cache memory": "a smaller args.vllm_max_model_length, or a larger "
    "args.vllm_gpu_memory_utilization",
    "vLLM server can't be reached": "a longer generation.timeout, or a look at the server's own log",
    "NCCL": "the GPUs cannot talk to each other: NCCL_DEBUG=INFO shows why",
}


def _advice(error: BaseException) -> str:
    message = str(error)
    for words, advice in ADVICE.items():
        if words in message:
            return f" ({advice})"
    return ""


def _lost_ranks(run: Run) -> list[ProcessRecord]:
    """The ranks that died without a report; waited for until another rank has reported the cause."""
    deadline = time.monotonic() + LOST_SECONDS
    while True:
        lost_ranks = ranks.lost(run)
        if lost_ranks or time.monotonic() >= deadline or run.outcome.exists():
            return lost_ranks
        time.sleep(0.1)


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, is that of a full disk (libraries word it differently)."""
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
    """Type and message of an error; of its cause where Hydra's `instantiate` wrapped one."""
    error = cause_of(error)
    return f"{type(error).__name__}: {error}".strip()


def cause_of(error: BaseException) -> BaseException:
    """The error that Hydra's `instantiate` wrapped, else the error itself."""
    while type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        error = error.__cause__
    return error
