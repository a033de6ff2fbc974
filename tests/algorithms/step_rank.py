"""Steps of so many prompts, cut in every way that their number of processes allows. One rank, or the only one.

`python step_rank.py FOLDER` is one of two ranks; `train_all` alone is one process. All in float64, by gradient descent
without clipping, so that the weights after the steps say what their gradients were.
"""

import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from gfpo_trainer import varied_reward
from replay_rank import by_prompt_and_step
from tiny_policy import EOS, PAD, WORDS, scripted_rollout, tiny_prompts, tiny_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel
from trl.kernels import chunked_logprob

from expctl.algorithms.composed import ComposedConfig, ComposedTrainer
from expctl.algorithms.filters import Shortest
from expctl.algorithms.gfpo import GFPOConfig, GFPOTrainer
from expctl.algorithms.grpo import GRPOTrainer
from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig, GRPOWithReplayBufferTrainer
from expctl.algorithms.gspo_token import GRPOTrainer as GSPOTokenTrainer
from expctl.algorithms.token_advantages import DiscountedCredit
from expctl.config.micro_batches import MicroBatches, Step

PROMPTS, G, STEPS = 8, 4, 3
# Micro-batches of a step that are tried, by the number of processes.
CUTS = {1: (1, 8), 2: (4,)}
SETTINGS = {
    "max_steps": STEPS,
    "learning_rate": 0.1,
    "lr_scheduler_type": "constant",
    "optim": "sgd",
    "max_grad_norm": 0.0,
    "logging_steps": 1,
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "save_strategy": "no",
    "seed": 5,
}
SAMPLED = {"num_generations": G, "max_completion_length": 8}


class OddK(Shortest):
    """Keeps 2, 3, 2, 2, ... of the groups: rows that no number of micro-batches shares evenly.

    For a loss over tokens: in one over rows the fillers scale the advantages, which TRL has in float32.
    """

    def remains(self, group_rewards):
        return [3 if group % 4 == 1 else 2 for group in range(len(group_rewards))]


@dataclass
class Scenario:
    """An algorithm: its trainer, the class and the fields of its arguments, and how many completions it keeps."""

    trainer: type
    config: type
    kept: int = G
    fields: dict[str, Any] = field(default_factory=dict)
    keywords: dict[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> bool:
        return "num_generations" in self.fields

    def step(self, world: int) -> Step:
        return Step(PROMPTS, G, self.kept, world) if self.samples else Step(PROMPTS, world=world)


def sampled(trainer, config, kept=G, keywords=None, **fields):
    common = {"reward_funcs": varied_reward, "rollout_func": scripted_rollout, "train_dataset": tiny_prompts()}
    return Scenario(trainer, config, kept, SAMPLED | fields, common | (keywords or {}))


def answers(count=24):
    completions = [f"{i % 7}{'b' * (i % 4)}" for i in range(count)]
    return Dataset.from_dict({"prompt": tiny_prompts(count)["prompt"], "completion": completions})


def pairs(count=24):
    chosen = [f"{i % 7}{'b' * (i % 4)}" for i in range(count)]
    rejected = [f"{i % 5}{'a' * (i % 3)}" for i in range(count)]
    return Dataset.from_dict({"prompt": tiny_prompts(count)["prompt"], "chosen": chosen, "rejected": rejected})


SHORTEST = {"group_filter_func": "shortest"}
SCENARIOS = {
    "grpo": sampled(GRPOTrainer, trl.GRPOConfig, loss_type="grpo"),
    "gfpo, drop": sampled(GFPOTrainer, GFPOConfig, 2, SHORTEST, num_remains_in_group=2, loss_type="dapo"),
    "gfpo, uneven": sampled(GFPOTrainer, GFPOConfig, 3, {"group_filter_func": OddK()}, loss_type="dapo"),
    "gfpo, mask": sampled(GFPOTrainer, GFPOConfig, G, SHORTEST, num_remains_in_group=2, filtered="mask"),
    "gspo_token": sampled(
        GSPOTokenTrainer,
        trl.GRPOConfig,
        keywords={"token_advantages": DiscountedCredit(0.9)},
        importance_sampling_level="sequence_token",
        loss_type="grpo",
        num_iterations=2,
    ),
    "replay": sampled(
        GRPOWithReplayBufferTrainer,
        GRPOWithReplayBufferConfig,
        keywords={"reward_funcs": by_prompt_and_step},
        loss_type="grpo",
    ),
    "gfpo with replay": sampled(
        ComposedTrainer,
        ComposedConfig,
        2,
        SHORTEST | {"reward_funcs": by_prompt_and_step},
        num_remains_in_group=2,
        replay_buffer_size=8,
    ),
    "sft": Scenario(trl.SFTTrainer, trl.SFTConfig, 1, {"max_length": 32}, {"train_dataset": answers()}),
    "dpo": Scenario(trl.DPOTrainer, trl.DPOConfig, 1, {"max_length": 32}, {"train_dataset": pairs()}),
}


def policy(seed: int = 0) -> GPT2LMHeadModel:
    """A model that computes in the format of its weights throughout, which is float64.

    It knows no positions: GPT-2's are absolute, so that the padding before a prompt, another on each rank, would count.
    """
    torch.manual_seed(seed)
    size = {"vocab_size": len(WORDS), "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    ends = {"bos_token_id": None, "eos_token_id": EOS, "pad_token_id": PAD}
    model = GPT2LMHeadModel(GPT2Config(**size, **ends, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)).double()
    model.transformer.wpe.weight.requires_grad_(False).zero_()
    return model


def compute_in_float64(replace=setattr):
    """Have TRL take log-probabilities in float64, where it writes float32. `replace`: as `setattr`."""
    names = dict(vars(torch)) | {"float32": torch.float64}
    replace(chunked_logprob, "torch", types.SimpleNamespace(**names))
    replace(torch.Tensor, "float", torch.Tensor.double)


def built(scenario: Scenario, cut: MicroBatches, folder: Path, **fields: Any):
    """The trainer of a scenario whose step is cut so."""
    batch = {"per_device_train_batch_size": cut.rows, "gradient_accumulation_steps": cut.accumulation}
    if scenario.samples:
        batch["steps_per_generation"] = cut.per_generation
    args = scenario.config(output_dir=str(folder), **SETTINGS | scenario.fields | batch | fields)
    keywords = dict(scenario.keywords)
    if scenario.trainer is trl.DPOTrainer:
        keywords["ref_model"] = policy(1)
    torch.manual_seed(0)
    return scenario.trainer(policy(), args=args, processing_class=tiny_tokenizer(), **keywords)


def weights(trainer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


def train_all(folder: Path, world: int) -> dict[str, dict[int, torch.Tensor]]:
    """`weights[scenario][micro-batches]` after the steps."""
    ended: dict[str, dict[int, torch.Tensor]] = {}
    for name, scenario in SCENARIOS.items():
        ended[name] = {}
        for cut in scenario.step(world).cuts():
            if cut.accumulation in CUTS[world]:
                trainer = built(scenario, cut, folder / "run")
                trainer.train()
                ended[name][cut.accumulation] = weights(trainer)
                rescued = [log["replay/rescued"] for log in trainer.state.log_history if "replay/rescued" in log]
                assert ("replay" in name) == any(rescued), rescued
    return ended


if __name__ == "__main__":
    torch.set_num_threads(1)
    compute_in_float64()
    there = Path(sys.argv[1])
    reached = train_all(there, 2)
    torch.save(reached, there / f"rank_{torch.distributed.get_rank()}.pt")
