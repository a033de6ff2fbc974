"""One rank of a training run with filter, ratio and replay at once; writes what it saw. Started by test_composed.py."""

import json
import sys
from pathlib import Path

from replay_rank import ROWS, SIZE, by_prompt_and_step, summary, watch
from tiny_policy import scripted_rollout, tiny_prompts, tiny_tokenizer

from expctl.algorithms.composed import ComposedConfig, ComposedTrainer

SETTINGS = {
    "num_generations": SIZE,
    "num_remains_in_group": SIZE // 2,
    "importance_sampling_level": "sequence_token",
    "loss_type": "grpo",
    "replay_buffer_size": 8,
    "replay_max_uses": 2,
    "replay_max_fraction": 0.6,
    "beta": 0.05,
    "max_steps": 5,
    "learning_rate": 1e-2,
    "max_completion_length": 8,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
    "disable_tqdm": True,
}


def main(folder: Path, world_size: int) -> None:
    seen = []
    rows = ROWS // world_size
    trainer = ComposedTrainer(
        str(folder / "model"),
        by_prompt_and_step,
        ComposedConfig(output_dir=str(folder / "run"), per_device_train_batch_size=rows, **SETTINGS),
        tiny_prompts(),
        processing_class=tiny_tokenizer(),
        rollout_func=scripted_rollout,
        group_filter_func="shortest",
    )
    watch(trainer, seen)
    trainer.train()
    trainer._store_pending()
    report = {
        "processes": trainer.accelerator.num_processes,
        "rollouts": seen,
        "buffer": [{key: group[key] for key in group if key != "logps"} for group in summary(trainer.replay_buffer)],
        "weights": [parameter.double().sum().item() for parameter in trainer.model.parameters()],
    }
    (folder / f"rank_{trainer.accelerator.process_index}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
