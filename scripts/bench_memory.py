#!/usr/bin/env python
"""Peaks of allocated bytes of real trainings on this machine's CPU, beside what `expctl plan` foresees.

    scripts/bench_memory.py                 measure every case, a line of tests/plan/cpu.csv for each phase
    scripts/bench_memory.py "tiny, LoRA"    those whose names have this in them
    scripts/bench_memory.py --picture       draw docs/pictures/memory.png from what was measured

Every allocation of torch is counted (its profiler's records), not the process's resident memory: pages that are not
touched yet, freed ones that the C library keeps, and what Python and its libraries take, would blur the comparison. The
second step of a training is measured, when the optimizer has its states. Completions run to the limit.
"""

import csv
import gc
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expctl.cli.hydra_app import compose
from expctl.config.source.defaults import FieldValues
from expctl.plan import Adapter, Device, Plan, Precision, Sampling, Workload, estimate
from expctl.plan.model_config import model_config
from expctl.plan.shape import shape_of

HERE = Path(__file__).resolve().parent.parent
TABLES = HERE / "tests" / "plan"
PICTURE = HERE / "docs" / "pictures" / "memory.png"
GIB = 2**30
SAMPLING = "expctl: sampling"
ALL_LINEAR = frozenset(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
QUICK = [
    "args.max_steps=2",
    "args.do_eval=false",
    "args.save_strategy=no",
    "args.warmup_steps=0",
    "hardware=cpu",
    "prompts_per_step=null",
    "args.gradient_accumulation_steps=1",
]
TINY = ["model=tiny"]
SMOLLM2 = ["model=smollm2_135m", "dataset=arithmetic", "args.max_completion_length=32"]
FOUR = "args.per_device_train_batch_size=4"
GRPO = ["algorithm=grpo", "args.num_generations=4"]
CASES = {
    "tiny, 16 rows": [*TINY, *GRPO, "args.per_device_train_batch_size=16"],
    "tiny, 64 rows": [*TINY, *GRPO, "args.per_device_train_batch_size=64"],
    "tiny, 256 rows": [*TINY, *GRPO, "args.per_device_train_batch_size=256"],
    "tiny, 384 tokens": [*TINY, *GRPO, "args.per_device_train_batch_size=32", "args.max_completion_length=384"],
    "tiny, checkpointing": [*TINY, *GRPO, "args.per_device_train_batch_size=64", "args.gradient_checkpointing=true"],
    "tiny, LoRA": [*TINY, *GRPO, "args.per_device_train_batch_size=64", "peft=lora"],
    "tiny, reference": [*TINY, *GRPO, "args.per_device_train_batch_size=64", "args.beta=0.04"],
    "tiny, GFPO, drop": [*TINY, "args.per_device_train_batch_size=64"],
    "tiny, GFPO, mask": [*TINY, "args.per_device_train_batch_size=64", "args.filtered=mask"],
    "tiny, 4 x 16 rows": [*TINY, *GRPO, "args.per_device_train_batch_size=16", "args.gradient_accumulation_steps=4"],
    "tiny, SFT": [*TINY, "algorithm=sft"],
    "tiny, DPO": [*TINY, "algorithm=dpo"],
    "SmolLM2, 4 rows": [*SMOLLM2, *GRPO, FOUR],
    "SmolLM2, 8 rows": [*SMOLLM2, *GRPO, "args.per_device_train_batch_size=8"],
    "SmolLM2, 128 tokens": [*SMOLLM2, *GRPO, FOUR, "args.max_completion_length=128"],
    "SmolLM2, checkpointing": [*SMOLLM2, *GRPO, FOUR, "args.gradient_checkpointing=true"],
    "SmolLM2, LoRA": [*SMOLLM2, *GRPO, FOUR, "peft=lora"],
    "SmolLM2, reference": [*SMOLLM2, *GRPO, FOUR, "args.beta=0.04"],
    "SmolLM2, DPO, LoRA": [*SMOLLM2, "algorithm=dpo", FOUR, "peft=lora"],
}


def foreseen(words: list[str]) -> dict[str, int | None]:
    """What `expctl plan` says of an experiment, by phase."""
    experiment = compose([*QUICK, *words])
    plan = estimate(experiment, FieldValues(experiment.config["args"], experiment.code_folders))
    return {"training": plan.training.total, "sampling": plan.sampling.total if plan.sampling else None}


def peaks(words: list[str]) -> dict[str, int | None]:
    """The peaks of a training's second step, in bytes, by phase; None where nothing is sampled."""
    config = compose([*QUICK, *words]).config
    if config["algorithm"]["kind"] == "prompt-only":
        config["args"]["generation_kwargs"] = {"min_new_tokens": config["args"]["max_completion_length"]}
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(config, folder)
        watch = Watch(trainer)
        trainer.add_callback(watch.callback())
        trainer.train()
    return watch.peaks()


def _trainer(config: dict[str, Any], folder: str) -> Any:
    from expctl import models
    from expctl.worker import build

    build.set_seed(config["seed"])
    arguments = build.build(config["args"], output_dir=folder, report_to=[])
    build.make_floats(arguments)
    rows, _ = build.build(config["dataset"])
    model, tokenizer = models.load(**config["model"])
    parts = {"model": model, "args": arguments, "train_dataset": rows, "processing_class": tokenizer}
    return build.construct(config, parts | build.adapter(config) | build.rewards(config), [])


class Watch:
    """Counts the allocations of a trainer's second step, and tells those of the sampling from the others."""

    def __init__(self, trainer: Any):
        from torch.autograd.profiler import profile

        self.trainer = trainer
        self.profile = profile(use_kineto=True, profile_memory=True)
        self.before = 0
        self.samples = hasattr(trainer, "_generate_and_score_completions")
        if self.samples:
            self._mark_sampling()

    def _mark_sampling(self) -> None:
        from torch.profiler import record_function

        sample = self.trainer._generate_and_score_completions

        def marked(inputs: Any) -> Any:
            with record_function(SAMPLING):
                return sample(inputs)

        self.trainer._generate_and_score_completions = marked

    def callback(self) -> Any:
        """What begins and ends the count."""
        from transformers import TrainerCallback

        watch = self

        class AtSecondStep(TrainerCallback):
            def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.global_step == 1:
                    watch.start()

            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.global_step == 2:
                    watch.profile.__exit__(None, None, None)

        return AtSecondStep()

    def start(self) -> None:
        """Count what is there, and every allocation from here on."""
        import torch

        gc.collect()
        models = [self.trainer.model, getattr(self.trainer, "ref_model", None)]
        held = [tensor for model in models if model for tensor in (*model.parameters(), *model.buffers())]
        held += [parameter.grad for parameter in self.trainer.model.parameters()]
        held += [value for state in self.trainer.optimizer.state.values() for value in state.values()]
        storages = [tensor.untyped_storage() for tensor in held if isinstance(tensor, torch.Tensor)]
        self.before = sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
        self.profile.__enter__()

    def peaks(self) -> dict[str, int | None]:
        """The most that was there at once, by phase."""
        events = sorted(self.profile.kineto_results.events(), key=lambda event: event.start_ns())
        spans = [(event.start_ns(), event.end_ns()) for event in events if event.name() == SAMPLING]
        now, training, sampling = self.before, self.before, self.before
        for event in events:
            if event.name() != "[memory]":
                continue
            now += event.nbytes()
            if any(start <= event.start_ns() <= end for start, end in spans):
                sampling = max(sampling, now)
            else:
                training = max(training, now)
        return {"training": training, "sampling": sampling if self.samples else None}


def table(name: str) -> list[dict[str, str]]:
    """The lines of a measured table."""
    text = [line for line in (TABLES / name).read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(text))


def h200_workload(line: dict[str, str]) -> Workload:
    """The workload of a line of h200.csv."""
    rows, accumulation = int(line["rows"]), int(line["accumulation"])
    adapter = Adapter(16, ALL_LINEAR) if line["lora"] == "True" else None
    sampling = None
    if line["prompt_tokens"]:
        sampling = Sampling(rows * accumulation, int(line["prompt_tokens"]), int(line["completion_tokens"]))
    length = sampling.length if sampling else int(line["max_length"])
    if line["filtered"] == "drop":
        rows = rows * int(line["num_remains_in_group"]) // int(line["num_generations"])
    refers = line["algorithm"] == "dpo" or float(line["beta"] or 0) > 0
    return Workload(
        shape=shape_of(model_config(line["shape"]).values),
        precision=Precision(4 if line["dtype"] == "float32" else 2, autocast=True),
        rows=2 * rows if line["algorithm"] == "dpo" else rows,
        length=length,
        scored=sampling.completion if sampling else length,
        micro_batches=accumulation,
        checkpointing=line["gradient_checkpointing"] == "True",
        optimizer=line["optim"],
        adapter=adapter,
        reference=refers and adapter is None,
        sampling=sampling,
    )


def h200() -> Iterator[tuple[float, float]]:
    """Foreseen and measured GiB of every training and sampling on the H200."""
    for line in table("h200.csv"):
        plan = Plan(h200_workload(line), Device("H200"))
        yield plan.training.total / GIB, float(line["train_GiB"])
        if line["sample_GiB"] and plan.sampling:
            yield plan.sampling.total / GIB, float(line["sample_GiB"])


def cpu() -> Iterator[tuple[float, float]]:
    """The same of every case on a CPU."""
    for line in table("cpu.csv"):
        size = foreseen(CASES[line["case"]])[line["phase"]]
        yield (size or 0) / GIB, int(line["bytes"]) / GIB


def draw() -> None:
    """What is foreseen as a share of what was measured, over what was measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.6, 3.2), dpi=110)
    axes.axhspan(0.85, 1.15, color="#eeeeee", zorder=0)
    axes.axhline(1, color="#777777", linewidth=0.8, zorder=1)
    for points, marker, colour, label in (
        (list(h200()), "o", "#0072b2", "NVIDIA H200: Qwen3-0.6B and 1.7B"),
        (list(cpu()), "^", "#d55e00", "CPU: the embedded model and SmolLM2-135M"),
    ):
        sizes, ratios = [size for _, size in points], [planned / size for planned, size in points]
        axes.scatter(sizes, ratios, marker=marker, s=20, color=colour, alpha=0.7, label=label, zorder=2)
    axes.set(xscale="log", xlabel="measured, GiB", ylabel="foreseen / measured", ylim=(0.8, 1.2))
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Software": None})


def main(words: list[str]) -> None:
    """Measure, a line as soon as it is known; or draw."""
    if words == ["--picture"]:
        draw()
        return
    for name, case in CASES.items():
        if words and not any(word in name for word in words):
            continue
        planned = foreseen(case)
        for phase, size in peaks(case).items():
            if size:
                ratio = (planned[phase] or 0) / size
                print(f'"{name}",{phase},{size},{planned[phase]},{ratio:.3f}', flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
