"""The steps of the carried algorithms beside GRPO's, in one process, taking turns (`scripts/bench.py gfpo`)."""

import contextlib
import dataclasses
import io
import statistics
import tempfile
import time
from pathlib import Path

import torch
import transformers

from expctl import models
from expctl.algorithms.bema import BEMASchedule, BEMAWeights
from expctl.algorithms.gfpo import GFPOConfig, GFPOTrainer
from expctl.algorithms.grpo import GRPOTrainer
from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig, GRPOWithReplayBufferTrainer
from expctl.data.arithmetic import load
from expctl.rewards.arithmetic import accuracy

GROUP, KEPT, ROWS, STORED, WARMUP = 16, 4, 128, 1000, 5
# How the kept rows of a step are cut: as rows are sampled, and as hardware.rows=16 counts them.
EIGHT, TWO = f"gfpo k={KEPT}, 8 x 4 kept rows", f"gfpo k={KEPT}, 2 x 16 kept rows"


class Stopwatch(transformers.TrainerCallback):
    """Seconds of each step, and those of it that were spent sampling completions."""

    def __init__(self, trainer):
        self.steps, self.sampling = [], []
        self._in_sampling = 0.0
        sample = trainer._generate_single_turn

        def timed(*words, **named):
            began = time.perf_counter()
            try:
                return sample(*words, **named)
            finally:
                self._in_sampling += time.perf_counter() - began

        trainer._generate_single_turn = timed
        trainer.add_callback(self)

    def on_step_begin(self, args, state, control, **_):
        self._began, self._in_sampling = time.perf_counter(), 0.0

    def on_step_end(self, args, state, control, **_):
        self.steps.append(time.perf_counter() - self._began)
        self.sampling.append(self._in_sampling)

    @property
    def rest(self) -> list[float]:
        return [whole - sampled for whole, sampled in zip(self.steps, self.sampling, strict=True)]


def gfpo(repeat: int) -> list[tuple[str, str, str, str]]:
    """Rows of the table: name, median step, median without sampling, ratio to GRPO's and what it is to be at most."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    steps = WARMUP + 4 * repeat
    runs = {
        "grpo": lambda folder: trainer(GRPOTrainer, folder, steps),
        f"gfpo k={KEPT}": lambda folder: trainer(GFPOTrainer, folder, steps, GFPOConfig, num_remains_in_group=KEPT),
        "gfpo k=G": lambda folder: trainer(GFPOTrainer, folder, steps, GFPOConfig, num_remains_in_group=GROUP),
        f"replay, {STORED} groups": lambda folder: with_stored_groups(folder, steps),
        EIGHT: lambda folder: cut(folder, steps, 8),
        TWO: lambda folder: cut(folder, steps, 2),
    }
    watches = {name: measured(make) for name, make in runs.items()}
    median = {
        name: (statistics.median(w.steps[WARMUP:]), statistics.median(w.rest[WARMUP:])) for name, w in watches.items()
    }
    whole, rest = median["grpo"]
    bound = {f"gfpo k={KEPT}": KEPT / GROUP + 0.15, "gfpo k=G": 1.02, f"replay, {STORED} groups": 1.03}
    rows = [("grpo", f"{1000 * whole:.0f}", f"{1000 * rest:.0f}", "")]
    for name, limit in bound.items():
        ratio = median[name][1] / rest if name.endswith(f"k={KEPT}") else median[name][0] / whole
        of = "without sampling" if name.endswith(f"k={KEPT}") else "whole step"
        shown = f"{ratio:.3f} of {of} (at most {limit:.2f})"
        rows.append((name, f"{1000 * median[name][0]:.0f}", f"{1000 * median[name][1]:.0f}", shown))
    for name, (step, without) in list(median.items())[-2:]:
        shown = "" if name == EIGHT else f"{without / median[EIGHT][1]:.3f} of the eight without sampling"
        rows.append((name, f"{1000 * step:.0f}", f"{1000 * without:.0f}", shown))
    return [*rows, bema()]


def measured(make) -> Stopwatch:
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        made = make(Path(folder))
        watch = Stopwatch(made)
        made.train()
    return watch


def trainer(kind, folder: Path, steps: int, config=None, rows: int = ROWS, **named):
    """A trainer on the embedded model with a reference model; every step starts from the same weights' scale."""
    from trl import GRPOConfig

    model, tokenizer = models.load("embedded:tiny")
    train, _ = load(kind="prompt-only", seed=0, train_size=512, eval_size=1)
    args = (config or GRPOConfig)(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=rows,
        num_generations=GROUP,
        beta=0.04,
        learning_rate=1e-6,
        max_completion_length=64,
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=10**6,
        seed=0,
        gradient_checkpointing=False,
        **named,
    )
    extra = {"group_filter_func": "shortest"} if kind is GFPOTrainer else {}
    return kind(model=model, args=args, processing_class=tokenizer, reward_funcs=accuracy, train_dataset=train, **extra)


def cut(folder: Path, steps: int, micro_batches: int):
    """GFPO with its step in so many micro-batches."""
    batch = {"rows": ROWS // micro_batches, "gradient_accumulation_steps": micro_batches}
    return trainer(GFPOTrainer, folder, steps, GFPOConfig, num_remains_in_group=KEPT, **batch)


def with_stored_groups(folder: Path, steps: int):
    """Replay with a buffer that is full before the first measured step."""
    made = trainer(GRPOWithReplayBufferTrainer, folder, steps, GRPOWithReplayBufferConfig, replay_buffer_size=STORED)
    made.add_callback(Fill(made.replay_buffer))
    return made


class Fill(transformers.TrainerCallback):
    """After a few steps, fills the buffer with copies of what it holds."""

    def __init__(self, buffer):
        self.buffer = buffer

    def on_step_end(self, args, state, control, **_):
        if state.global_step != WARMUP:
            return
        held = list(self.buffer.groups)
        for number in range(STORED - len(held)):
            self.buffer.add(dataclasses.replace(held[number % len(held)], serial=-1))


def bema() -> tuple[str, str, str, str]:
    """An update beside one plain pass over the same parameters (a copy of each to fp32)."""
    model, _ = models.load("embedded:tiny")
    parameters = dict(model.named_parameters())
    weights = BEMAWeights(BEMASchedule())
    weights.start(parameters)

    def one_pass() -> None:
        for parameter in parameters.values():
            parameter.detach().clone().mul_(0.5).add_(1.0)

    update = statistics.median(clock(lambda: weights.update(parameters, 5)) for _ in range(200))
    single = statistics.median(clock(one_pass) for _ in range(200))
    return ("bema update", f"{1000 * update:.2f}", "", f"{update / single:.2f} of one copy, product and sum of each")


def clock(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
