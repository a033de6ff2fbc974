"""What keeping a run costs: checkpoints beside transformers' own, metrics of a step."""

import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]

# Qwen3's architecture at about 100 million parameters, in float32; AdamW keeps two more numbers for each.
SIZE = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "vocab_size": 16000,
    "head_dim": 64,
}


def checkpoint(repeat: int) -> Table:
    """The same model and optimizer saved by turns: by the stock trainer, and whole, sealed and with the counters."""
    with tempfile.TemporaryDirectory() as folder:
        stock, ours = _trained(Path(folder) / "stock"), _trained(Path(folder) / "ours", whole=True)
        seconds: dict[str, list[float]] = {"transformers": [], "expctl": []}
        for _ in range(repeat):
            seconds["transformers"].append(_saved(stock))
            seconds["expctl"].append(_saved(ours))
        written = sum(file.stat().st_size for file in Path(folder, "stock").rglob("*") if file.is_file())
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    beyond = statistics.median(b / a for a, b in zip(*seconds.values(), strict=True)) - 1
    rows = [(name, f"{median:.2f}", "") for name, median in medians.items()]
    return ("", "median s", "beyond"), [*rows, (f"{written / 1e9:.2f} GB", "", f"{100 * beyond:+.1f} %")]


def metrics(repeat: int) -> Table:
    """Rows of 25 numbers, as many as GRPO logs, with the progress file kept fresh."""
    from expctl.runs.files import Run
    from expctl.runs.progress import Progress
    from expctl.worker.record import MetricsRecorder

    steps, found = 2000, []
    logs = {f"rewards/function_{number}/mean": 0.1 * number for number in range(25)}
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder))
            record = MetricsRecorder(run, Progress(run.progress))
            began = time.perf_counter()
            for step in range(steps):
                state = SimpleNamespace(global_step=step, max_steps=steps, is_world_process_zero=True)
                record.on_log(None, state, None, logs=logs)
                record.on_step_end(None, state, None)
            found.append(1000 * (time.perf_counter() - began) / steps)
    return ("", "median ms", "max"), [("a step", f"{statistics.median(found):.4f}", f"{max(found):.4f}")]


def _trained(folder: Path, whole: bool = False):
    """A trainer after one step, so that its optimizer has something to save."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM, Trainer, TrainingArguments
    from transformers.utils import logging

    from expctl.worker.checkpoint import make_checkpoints_atomic

    logging.disable_progress_bar()
    torch.manual_seed(0)
    row = {"input_ids": [1, 2, 3, 4], "labels": [1, 2, 3, 4]}
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        per_device_train_batch_size=1,
        save_total_limit=1,
    )
    trainer = Trainer(Qwen3ForCausalLM(Qwen3Config(**SIZE)), arguments, train_dataset=[row, row])
    if whole:
        make_checkpoints_atomic(trainer, folder, SimpleNamespace(agreed=False))
    trainer.train()
    return trainer


def _saved(trainer) -> float:
    """Seconds of one checkpoint, of a step not saved before."""
    trainer.state.global_step += 1
    began = time.perf_counter()
    trainer._save_checkpoint(trainer.model, None)
    trainer.control = trainer.callback_handler.on_save(trainer.args, trainer.state, trainer.control)
    return time.perf_counter() - began
