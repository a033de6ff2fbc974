"""A replay trainer with scripted rewards, shared by the tests of replay."""

import torch
import trl
from tiny_policy import scripted_rollout, tiny_model, tiny_prompts, tiny_tokenizer
from transformers import Qwen3ForCausalLM
from trl import GRPOConfig

from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig, GRPOWithReplayBufferTrainer
from expctl.algorithms.rows import unpack

GROUP = 4
# The same generation batch of two groups, trained on in two steps and twice.
REUSE = {"steps_per_generation": 2, "num_iterations": 2, "per_device_train_batch_size": GROUP}
ACCUMULATE = {"steps_per_generation": 2, "gradient_accumulation_steps": 2, "per_device_train_batch_size": GROUP}
EQUAL = [1.0, 1.0, 1.0, 1.0]
MIXED = [0.0, 1.0, 1.0, 0.0]
STRONG = [0.0, 5.0, 5.0, 0.0]


class Script:
    """Rewards by rollout: one list of groups each; the last one is repeated."""

    __name__ = "script"

    def __init__(self, *rollouts):
        self.rollouts, self.calls = rollouts, 0

    def __call__(self, completions, **_):
        groups = self.rollouts[min(self.calls, len(self.rollouts) - 1)]
        self.calls += 1
        return [reward for group in groups for reward in group]


def replay_trainer(folder, *reward_funcs, trainer=GRPOWithReplayBufferTrainer, **options):
    """Two groups of four a generation batch, unless said otherwise."""
    settings = {
        "per_device_train_batch_size": 2 * GROUP,
        "num_generations": GROUP,
        "max_completion_length": 8,
        "learning_rate": 1e-2,
        "max_steps": 4,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,  # TRL's default is autocast to bfloat16, on the CPU too
        "disable_tqdm": True,
    }
    keywords = {key: options.pop(key) for key in ("rollout_func", "peft_config", "eval_dataset") if key in options}
    model = options.pop("model", None) or tiny_model()
    of_trainer = GRPOConfig if trainer is not GRPOWithReplayBufferTrainer else GRPOWithReplayBufferConfig
    config = options.pop("config", of_trainer)
    if config is GRPOConfig:
        options = {key: value for key, value in options.items() if not key.startswith("replay_")}
    return trainer(
        model,
        list(reward_funcs),
        config(output_dir=str(folder), **settings | options),
        tiny_prompts(),
        processing_class=tiny_tokenizer(),
        **{"rollout_func": scripted_rollout} | keywords,
    )


def saved_tiny_model(folder) -> Qwen3ForCausalLM:
    """A tiny model that TRL can load a second time, as the reference."""
    tiny_model().save_pretrained(folder)
    return Qwen3ForCausalLM.from_pretrained(folder)


def rollout(trainer, step=None):
    """One generation batch of this trainer in training mode, outside its loop."""
    trainer.model.train()
    if step is not None:
        trainer.state.global_step = step
    count = trainer.args.generation_batch_size // trainer.num_generations
    rows = [{"prompt": f"{i}{'a' * (i + 1)}"} for i in range(count) for _ in range(trainer.num_generations)]
    return trainer._generate_and_score_completions(rows)


def loss(trainer, batch):
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer._compute_loss(trainer.model, batch)


def gradients(trainer, batch):
    trainer.model.zero_grad()
    loss(trainer, batch).backward()
    return [parameter.grad.clone() for parameter in trainer.model.parameters() if parameter.grad is not None]


def rows_of(batch, field="completion_ids"):
    return [row[field].tolist() for row in unpack(batch)]


def store(trainer, step=None):
    """Roll out, take one loss on the batch so that its log-probabilities are known, and put it into the buffer."""
    batch = rollout(trainer, step)
    loss(trainer, batch)
    trainer._store_pending()
    return batch


def loss_inputs(trainer, batch):
    """What TRL's own loss is given, once everything has been revised."""
    seen, original = {}, trl.GRPOTrainer._compute_loss

    def spy(self, model, inputs):
        try:
            return original(self, model, inputs)
        finally:
            seen.update(inputs)

    trl.GRPOTrainer._compute_loss = spy
    try:
        loss(trainer, batch)
    finally:
        trl.GRPOTrainer._compute_loss = original
    return seen


def move(trainer, size=0.3):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator)
