"""A GFPO trainer on the tiny policy, fed with scripted completions, and ways to look at the rows it would train on."""

import torch
from tiny_policy import scripted_rollout, tiny_prompts, tiny_tokenizer
from trl import GRPOTrainer

from expctl.algorithms.filters import Shortest
from expctl.algorithms.gfpo import GFPOConfig, GFPOTrainer, GroupFiltering
from expctl.algorithms.rows import unpack

DEFAULTS = {
    "per_device_train_batch_size": 16,
    "num_generations": 4,
    "max_completion_length": 8,
    "max_steps": 2,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
    "optim": "sgd",
    "max_grad_norm": 0.0,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
}


def varied_reward(completions, completion_ids, **kwargs):
    """Between -1 and 1, of the tokens alone: most completions of a group differ in it."""
    return [float(sum(ids) * 7 % 11 - 5) / 5 for ids in completion_ids]


def build_trainer(policy, output_dir, *, trainer=GFPOTrainer, config=GFPOConfig, keywords=None, **args):
    """`trainer(policy, ...)` with `config(**DEFAULTS | args)`; `keywords` and `group_filter_func` go to the trainer."""
    keywords = {
        "reward_funcs": varied_reward,
        "train_dataset": tiny_prompts(),
        "processing_class": tiny_tokenizer(),
        "rollout_func": scripted_rollout,
        **(keywords or {}),
    }
    if "group_filter_func" in args:
        keywords["group_filter_func"] = args.pop("group_filter_func")
    torch.manual_seed(0)
    built = trainer(model=policy, args=config(output_dir=str(output_dir), **(DEFAULTS | args)), **keywords)
    built.model.train()
    return built


def examples(trainer) -> list[dict]:
    """The first generation batch of the trainer's own dataset, every prompt G times."""
    prompts = trainer.train_dataset["prompt"]
    rows = trainer.args.generation_batch_size
    return [{"prompt": prompts[i // trainer.num_generations]} for i in range(rows)]


def scored(trainer, inputs=None) -> dict:
    """The batch that the trainer would train on."""
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    return trainer._generate_and_score_completions(inputs or examples(trainer))


def real_rows(batch) -> list[dict]:
    """The rows of a batch without fillers."""
    return [row for row in unpack(batch) if int(row.get("sample_index", 0)) >= 0]


def weights(trainer) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


class TablePolicy:
    """Log-probabilities from a float64 table of next-token logits, which no padding and no rounding disturbs.

    Stands where `GRPOTrainer` runs the model; everything above it is the trainer's own.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        random = torch.Generator().manual_seed(0)
        size = self.model.config.vocab_size
        self.reference = torch.randn(size, size, generator=random, dtype=torch.float64)
        self.table = self.reference.clone().requires_grad_()

    def move(self, size: float):
        """Leave the policy that sampled."""
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            self.table += size * torch.randn(self.table.shape, generator=random, dtype=torch.float64)

    def _get_per_token_logps_and_entropies(self, model, input_ids, attention_mask, logits_to_keep, *args, **kwargs):
        table = (self.reference if model is self.ref_model else self.table).log_softmax(-1)
        rows = table[input_ids[:, :-1]]
        logps = rows.gather(2, input_ids[:, 1:].unsqueeze(2)).squeeze(2)
        entropies = -(rows.exp() * rows).sum(2)
        seen = attention_mask[:, -logits_to_keep:]
        return logps[:, -logits_to_keep:] * seen, entropies[:, -logits_to_keep:] * seen, None


class TableGFPOTrainer(GroupFiltering, TablePolicy, GRPOTrainer):
    pass


class UnevenK(Shortest):
    """9 rows of 16 in all, which neither two nor four micro-batches can share evenly."""

    def remains(self, group_rewards):
        return [2, 3, 2, 2][: len(group_rewards)]
