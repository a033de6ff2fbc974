"""Peaks of allocated bytes of real trainings on this machine's CPU, beside what `expctl plan` foresees.

Every allocation of torch is counted (its profiler's records), not the process's resident memory: pages that are not
touched yet, freed ones that the C library keeps, and what Python and its libraries take, would blur the comparison.

    peaks(words) -> {"training": bytes, "sampling": bytes or None}

The second step of a training is measured, when the optimizer has its states. Completions run to the limit.
"""

import json
import sys
import tempfile
from typing import Any

QUICK = ["args.max_steps=2", "args.do_eval=false", "args.save_strategy=no", "args.warmup_steps=0", "hardware=cpu"]
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
    """What `expctl plan` says of an experiment."""
    from expctl.cli.hydra_app import compose
    from expctl.config.source.defaults import FieldValues
    from expctl.plan import estimate

    experiment = compose([*words, *QUICK])
    plan = estimate(experiment, FieldValues(experiment.config["args"], experiment.code_folders))
    return {"training": plan.training.total, "sampling": plan.sampling and plan.sampling.total}


def peaks(words: list[str]) -> dict[str, int | None]:
    """The peaks of a training's second step, in bytes."""
    from expctl.cli.hydra_app import compose

    experiment = compose([*words, *QUICK])
    config = experiment.config
    if config["algorithm"]["kind"] == "prompt-only":
        config["args"]["generation_kwargs"] = {"min_new_tokens": config["args"]["max_completion_length"]}
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(config, folder)
        watch = _Watch(trainer)
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


class _Watch:
    """The allocations of a step, and which of them fall into the sampling."""

    def __init__(self, trainer: Any):
        from torch.autograd.profiler import profile

        self.trainer = trainer
        self.profile = profile(use_kineto=True, profile_memory=True)
        self.before = 0
        self.sampled: list[tuple[int, int]] = []
        self.samples = hasattr(trainer, "_generate_and_score_completions")
        if self.samples:
            self._time_sampling()

    def _time_sampling(self) -> None:
        import torch

        real = self.trainer._generate_and_score_completions

        def timed(inputs: Any) -> Any:
            with torch.profiler.record_function("expctl sampling"):
                return real(inputs)

        self.trainer._generate_and_score_completions = timed

    def callback(self) -> Any:
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
        import gc

        import torch

        gc.collect()
        trainer = self.trainer
        held = [*trainer.model.parameters(), *trainer.model.buffers()]
        if getattr(trainer, "ref_model", None) is not None:
            held += trainer.ref_model.parameters()
        held += [value for state in trainer.optimizer.state.values() for value in state.values()]
        held += [parameter.grad for parameter in trainer.model.parameters() if parameter.grad is not None]
        storages = {
            tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes()
            for tensor in held
            if isinstance(tensor, torch.Tensor)
        }
        self.before = sum(storages.values())
        self.profile.__enter__()

    def peaks(self) -> dict[str, int | None]:
        events = self.profile.kineto_results.events()
        spans = [(each.start_ns(), each.end_ns()) for each in events if each.name() == "expctl sampling"]
        now, training, sampling = self.before, self.before, self.before
        for each in sorted((each for each in events if each.name() == "[memory]"), key=lambda each: each.start_ns()):
            now += each.nbytes()
            if any(start <= each.start_ns() <= end for start, end in spans):
                sampling = max(sampling, now)
            else:
                training = max(training, now)
        return {"training": training, "sampling": sampling if self.samples else None}


def main(names: list[str]) -> None:
    """Print the table, a line as soon as it is measured."""
    for name, words in CASES.items():
        if names and not any(wanted in name for wanted in names):
            continue
        measured, planned = peaks(words), foreseen(words)
        for phase, size in measured.items():
            if size is not None:
                print(
                    json.dumps(
                        {
                            "case": name,
                            "phase": phase,
                            "measured": size,
                            "foreseen": planned[phase],
                            "ratio": round(planned[phase] / size, 3),
                        }
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
