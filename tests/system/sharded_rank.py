"""One rank of several that train, and resume, with or without a model that is split. Started by test_sharded.py."""

import json
import os
import shutil
import sys
from math import prod
from pathlib import Path
from types import SimpleNamespace

import resuming
import torch
from equal_runs import timeless
from resuming import SAMPLING, SMALL, composed
from transformers import TrainerCallback

from expctl.runs import manifest
from expctl.runs.files import Run
from expctl.worker import build, summary
from expctl.worker.distributed import evaluate_before_training

# Adam divides a gradient of almost nothing by itself: how a processor rounds it would decide over a whole step. With an
# epsilon far above all gradients a step is the averaged gradient times a number, as with SGD, and there are still
# moments to save (without any, torch 2.13 cannot resume an FSDP2 training).
LINEAR = ["args.adam_epsilon=1.0", "args.learning_rate=0.1", "args.warmup_steps=0"]
CASES = {
    "sft": ["algorithm=sft", *LINEAR],
    "dpo": ["algorithm=dpo", *LINEAR],
    # Few tokens to choose from, so that a completion ends early, and the ranks not at the same time.
    "gfpo": [
        "algorithm=gfpo",
        *SAMPLING,
        "args.max_completion_length=24",
        "args.top_k=12",
        "args.num_remains_in_group=2",
        *LINEAR,
    ],
}
STEPS, RESUMED_AT = 4, 2
heard: list[list[str]] = []
reward = resuming.remainder


def remainder(completions: list[str], **columns) -> list[float]:
    heard.append(completions)
    return reward(completions, **columns)


class Held(TrainerCallback):
    """Notes how many numbers of each parameter this rank holds between the steps, of how many."""

    def on_step_end(self, args, state, control, model=None, **_) -> None:
        self.numbers = {}
        for name, parameter in model.named_parameters():
            here = parameter.ds_tensor if hasattr(parameter, "ds_tensor") else parameter
            here = here.to_local() if hasattr(here, "to_local") else here
            self.numbers[name] = here.numel(), prod(getattr(parameter, "ds_shape", parameter.shape))


def train(words: list[str], run: Run, checkpoint: Path | None) -> dict:
    """Evaluate, train, evaluate, save, as a worker does; what this rank saw of it."""
    heard.clear()
    held = Held()
    config = composed(*SMALL, *words)
    trainer = build.build_trainer(config, run, [held], SimpleNamespace(requested=False, agreed=False))
    before = evaluate_before_training(trainer) if checkpoint is None else {}
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    rows = [row for row in trainer.state.log_history if row["step"] and "train_runtime" not in row]
    evaluated = {"before": timeless(before), "after": timeless(trainer.evaluate())}
    summary.save_model(trainer, run, config)
    return evaluated | {"rows": list(map(timeless, rows)), "held": held.numbers, "completions": list(heard)}


def main(folder: Path, cases: list[str], words: list[str]) -> None:
    """Write down each case as it went undisturbed, and, of a split model, resumed from the checkpoint in its middle."""
    resuming.remainder = remainder
    rank, found = int(os.environ["RANK"]), {}
    for case in cases:
        run, again = Run(folder / case), Run(folder / f"{case}_resumed")
        if rank == 0:
            run.folder.mkdir()
            manifest.create(run)
        found[case] = train([*CASES[case], *words], run, None)
        if "hardware=cpu_2" in words:
            continue
        torch.distributed.barrier()
        if rank == 0:
            shutil.copytree(run.folder, again.folder)
        torch.distributed.barrier()
        checkpoint = again.checkpoints / f"checkpoint-{RESUMED_AT}"
        found[f"{case}_resumed"] = train([*CASES[case], *words], again, checkpoint)
    (folder / f"rank_{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:])
