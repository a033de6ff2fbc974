"""One rank of a training run with replay; writes what it saw. Started by test_replay_ranks.py."""

import json
import sys
from pathlib import Path

from accelerate.utils import gather_object
from replay_setup import replay_trainer
from transformers import Qwen3ForCausalLM

from expctl.algorithms.rows import unpack

ROWS, SIZE = 60, 12  # five groups of twelve straddle the ranks, two or three of them


def by_prompt_and_step(prompts, completions, trainer_state, **_):
    """About half of the groups without variance, others with more and more of it; None for some rows."""
    rewards = []
    for prompt, completion in zip(prompts, completions, strict=True):
        kind = (int(prompt[0]) + trainer_state.global_step) % 4
        reward = float(len(completion)) if kind == 0 else float(completion[0] in "0123") if kind == 1 else 1.0
        rewards.append(None if kind == 1 and completion[0] == "7" else reward)
    return rewards


def watch(trainer, seen):
    """Keep, for every rollout, the rows of all ranks in rank order."""
    original = trainer._generate_and_score_completions

    def watched(inputs):
        batch = original(inputs)
        replayed = batch["replayed"].tolist() if "replayed" in batch else [False] * len(batch["prompt_ids"])
        rows = [
            {
                "prompt": row["prompt_ids"].tolist(),
                "completion": row["completion_ids"].tolist(),
                "advantage": row["advantages"].item(),
                "ref": row["ref_per_token_logps"].tolist(),
                "replayed": flag,
            }
            for row, flag in zip(unpack(batch), replayed, strict=True)
        ]
        seen.append({"rows": gather_object(rows), "tokens": batch["num_items_in_batch"].item()})
        return batch

    trainer._generate_and_score_completions = watched


def summary(buffer):
    return [
        {
            "serial": group.serial,
            "step": group.step,
            "uses": group.uses,
            "priority": group.priority,
            "rewards": [None if reward != reward else reward for reward in group.rewards.flatten().tolist()],
            "completions": [row["completion_ids"].tolist() for row in group.rows],
            "logps": [row["old_per_token_logps"].tolist() for row in group.rows],
        }
        for group in buffer.groups
    ]


def main(folder: Path, world_size: int) -> None:
    seen = []
    trainer = replay_trainer(
        folder / "run",
        by_prompt_and_step,
        model=Qwen3ForCausalLM.from_pretrained(folder / "model"),
        per_device_train_batch_size=ROWS // world_size,
        num_generations=SIZE,
        beta=0.05,
        max_steps=5,
        save_strategy="steps",
        save_steps=3,
        replay_max_uses=2,
        replay_max_fraction=0.6,
    )
    watch(trainer, seen)
    trainer.train()
    trainer._store_pending()
    rank = trainer.accelerator.process_index
    report = {
        "folder": str(folder),
        "processes": trainer.accelerator.num_processes,
        "rollouts": seen,
        "buffer": summary(trainer.replay_buffer),
        "bytes": trainer.replay_buffer.nbytes,
        "weights": [parameter.double().sum().item() for parameter in trainer.model.parameters()],
    }
    (folder / f"rank_{rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
