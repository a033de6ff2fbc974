"""One rank of several that train, and resume in the same processes. Started by test_resume_ranks.py."""

import json
import shutil
import sys
from pathlib import Path

import torch
from resuming import SAMPLING, resumed, whole

TWO = ["hardware=cpu_2"]
CASES = {
    "sft": (
        [
            *TWO,
            "algorithm=sft",
            "peft=lora",
            "peft.lora_dropout=0.1",
            "args.max_steps=7",
            "args.do_eval=true",
            "args.gradient_accumulation_steps=2",
        ],
        [1, 3],
    ),
    "gfpo": (
        [
            *TWO,
            "algorithm=gfpo",
            *SAMPLING,
            "args.max_steps=7",
            "args.num_generations=8",
            "args.do_eval=true",
            "args.num_remains_in_group=null",
            "algorithm.trainer.group_filter_func=adaptive_difficulty",
            "args.steps_per_generation=2",
            "args.logging_steps=2",
        ],
        [3],
    ),
    "grpo_replay": (
        [
            *TWO,
            "algorithm=grpo_replay",
            *SAMPLING,
            "args.max_steps=6",
            "args.replay_max_fraction=1",
            "args.do_eval=true",
            "dataset.train_size=8",
        ],
        [2, 3, 6],
    ),
}


def main(folder: Path, rank: int) -> None:
    """Write for each case whether this rank's resumed trainings equal its undisturbed one, and its weights' sum."""
    results = {}
    for case, (words, steps) in CASES.items():
        place = folder / case
        undisturbed = whole(place, *words)
        results[case] = {"sum": sum(value.double().abs().sum().item() for value in undisturbed.weights.values())}
        for step in steps:
            torch.distributed.barrier()
            if rank == 0:
                shutil.copytree(place, folder / f"{case}_{step}")
            torch.distributed.barrier()
            try:
                resumed(folder / f"{case}_{step}", step, *words, copied=True).assert_equals(undisturbed)
            except AssertionError as differs:
                results[case][f"resumed at {step}"] = str(differs)[:2000] or "differs"
    (folder / f"rank_{rank}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
