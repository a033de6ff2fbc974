"""One rank of a training run with dynamic sampling and a filter; started by test_dynamic_sampling.py."""

import json
import sys
from pathlib import Path

from accelerate.utils import gather_object
from tiny_policy import scripted_rollout, tiny_prompts, tiny_tokenizer

from expctl.algorithms.composed import ComposedConfig, ComposedTrainer
from expctl.algorithms.rows import unpack

ROWS, SIZE = 60, 12  # five groups of twelve: the third straddles two ranks
SETTINGS = {
    "num_generations": SIZE,
    "num_remains_in_group": SIZE // 2,
    "resample_tries": 3,
    "beta": 0.05,
    "max_steps": 3,
    "learning_rate": 1e-2,
    "max_completion_length": 8,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
    "disable_tqdm": True,
}


def two_of_five_teach(prompts, completions, log_extra, **_):
    log_extra("of", list(prompts))
    return [
        len(text) + len(prompt) / 8 if int(prompt[0]) % 5 < 2 else 1.0
        for prompt, text in zip(prompts, completions, strict=True)
    ]


def watch(trainer, seen):
    original = trainer._generate_and_score_completions

    def watched(inputs):
        batch = original(inputs)
        rows = [
            {"prompt": row["prompt_ids"].tolist(), "completion": row["completion_ids"].tolist(), "sample": sample}
            | {"advantage": row["advantages"].item()}
            for row, sample in zip(unpack(batch), batch["sample_index"].tolist(), strict=True)
        ]
        seen.append({"rows": gather_object(rows), "tokens": batch["num_items_in_batch"].item()})
        return batch

    trainer._generate_and_score_completions = watched


def main(folder: Path, world_size: int) -> None:
    seen = []
    trainer = ComposedTrainer(
        str(folder / "model"),
        two_of_five_teach,
        ComposedConfig(output_dir=str(folder / "run"), per_device_train_batch_size=ROWS // world_size, **SETTINGS),
        tiny_prompts(),
        processing_class=tiny_tokenizer(),
        rollout_func=scripted_rollout,
        group_filter_func="shortest",
    )
    watch(trainer, seen)
    trainer.train()
    metrics = [
        {name: value for name, value in entry.items() if name.startswith("dynamic_sampling/")}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
    report = {
        "processes": trainer.accelerator.num_processes,
        "rollouts": seen,
        "metrics": metrics,
        "columns": [list(trainer._logs["prompt"]), list(trainer._logs["extra"]["of"])],
        "weights": [parameter.double().sum().item() for parameter in trainer.model.parameters()],
    }
    (folder / f"rank_{trainer.accelerator.process_index}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
