"""Group Filtered Policy Optimization: sample G completions of a prompt, train on the k with the highest scores.

"Sample More to Think Less: Group Filtered Policy Optimization for Concise Reasoning", arXiv 2508.09726. Equation 2 is
GRPO's with the advantage replaced by

    A_i = (R_i - mean_S(R)) / std_S(R)   for i in S,   0 otherwise,

where S are the k of the G completions that the group filter scores highest, and mean and standard deviation run over
S alone. Nothing else of GRPO changes, so nothing else is overridden: once the rewards of the rejected completions are
NaN, the stock trainer's own nan-aware arithmetic yields exactly this advantage for every `scale_rewards` and
`multi_objective_aggregation` (with TRL's unbiased standard deviation plus 1e-4, where the paper has the biased one).

What happens to the rejected completions is `GFPOConfig.filtered`:

- `"drop"` (default): they leave before any log-probability is computed, so scoring and training cost k/G. Every
  normalisation of the loss (`num_items_in_batch`, means over rows) then runs over the kept completions.
- `"mask"`: they stay with advantage 0. This is the paper's equation: its denominator runs over all G, and the KL and
  entropy terms act on all G.

`filters.py` has the scores, `gfpo_selection.py` picks the kept completions, `gfpo_rows.py` distributes them over ranks.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.grpo_trainer import RewardFunc

from expctl.algorithms.completion_log import replace_last_rewards
from expctl.algorithms.filter_memory import load_memory, save_memory
from expctl.algorithms.filters import NAMED_FILTERS, GroupFilter, resolve_filter
from expctl.algorithms.gfpo_metrics import kept_metrics, ratio_metrics, sampled_metrics
from expctl.algorithms.gfpo_rows import Scores, score_rows, share_rows
from expctl.algorithms.gfpo_selection import Selection, select, with_extra_fields
from expctl.algorithms.limits import FILTERED, check_group_filter, check_kept
from expctl.algorithms.rollout_checkpoint import RolloutCheckpoint, checkpoint_folder
from expctl.algorithms.rows import Batch
from expctl.algorithms.trainer_hooks import GRPOMixin

ROW_MEAN_LOSSES = ("grpo", "sapo", "dr_grpo", "luspo")


@dataclass
class GFPOConfig(GRPOConfig):
    """Configuration of `GFPOTrainer`: that of `GRPOTrainer` and two fields more.

    Args:
        num_remains_in_group: k, how many of the `num_generations` completions of a prompt are kept. `None`, or as
            many as are generated, is GRPO. Left `None` when the group filter decides k itself.
        filtered: `"drop"` or `"mask"`, what becomes of the rejected completions.
    """

    num_remains_in_group: int | None = field(
        default=None,
        metadata={"help": "How many completions of each group are kept and trained on; None keeps all (GRPO)."},
    )
    filtered: str = field(
        default="drop",
        metadata={
            "help": "What becomes of the rejected completions: 'drop' (compute k/G) or 'mask' (kept in the batch with "
            "advantage 0: the paper's denominator over all G).",
            "choices": list(FILTERED),
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_kept(self)


class GroupFiltering(GRPOMixin):
    """Filters every sampled group, in front of `GRPOTrainer` or of another mixin that ends in it.

    Only training is filtered; evaluation scores every completion, whatever `num_generations_eval` is. The batch that
    leaves `_generate_and_score_completions` under `"drop"` has one field more, `sample_index` `(B,)`: the place of the
    row among the sampled completions of all ranks (its group is `sample_index // num_generations`), -1 for a filler.
    """

    args: GFPOConfig

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: RewardFunc | list[RewardFunc] | None = None,
        args: GRPOConfig | None = None,
        *positional: Any,
        group_filter_func: str | GroupFilter | None = None,
        **keywords: Any,
    ):
        self.group_filter = None if group_filter_func is None else resolve_filter(group_filter_func)
        check_group_filter(args, self.group_filter, NAMED_FILTERS)
        self._sampled_inputs: list[dict[str, Any]] | None = None
        self._rewards_per_func = torch.empty(0)
        self._selection: Selection | None = None
        super().__init__(model, reward_funcs, args, *positional, **keywords)

    @property
    def filters_groups(self) -> bool:
        """Whether any completion can be rejected; if not, every hook below only calls its parent."""
        k = getattr(self.args, "num_remains_in_group", None)
        return hasattr(self.group_filter, "remains") or (k is not None and k < self.num_generations)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        if not (self.model.training and self.filters_groups):
            unfiltered: Batch = super()._generate_and_score_completions(inputs)
            return unfiltered
        self._sampled_inputs = inputs
        try:
            batch = super()._generate_and_score_completions(inputs)
            assert self._selection is not None  # made by `_generate`
            self._report(self._selection)
            return self._without_rejected(batch, self._selection) if self.args.filtered == "drop" else batch
        finally:
            self._sampled_inputs = self._selection = None

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        generated: tuple[Any, ...] = super()._generate(prompts)
        kept = [True] * len(prompts)
        if self._sampled_inputs is not None:
            # Scored here, before upstream computes any log-probability, so that only kept completions need them.
            _, completion_ids, tool_mask, completions, _, extra_fields, _, _ = generated
            inputs = with_extra_fields(self._sampled_inputs, extra_fields)
            rewards_per_func = self._calculate_rewards(inputs, prompts, completions, completion_ids)
            lengths = [len(ids) for ids in completion_ids] if tool_mask is None else [sum(mask) for mask in tool_mask]
            self._selection = select(self, inputs, prompts, completions, completion_ids, lengths, rewards_per_func)
            kept = self._selection.of_rank(self.accelerator).tolist()
        if self.filters_groups and self.log_completions:
            self._log_completion_extra("kept", kept)
        return generated

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        if self._selection is not None:  # upstream's own call, once the completions were filtered
            return self._rewards_per_func.masked_fill(~self._selection.kept.unsqueeze(1), torch.nan)
        self._rewards_per_func = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        return self._rewards_per_func

    def _get_per_token_logps_and_entropies(
        self,
        model: torch.nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Scores:
        score = super()._get_per_token_logps_and_entropies
        if self._selection is None or self.args.filtered != "drop":
            scores: Scores = score(model, input_ids, attention_mask, logits_to_keep, batch_size, **kwargs)
            return scores
        indices = self._selection.to_score(self.accelerator)
        multiple = self.pad_to_multiple_of
        return score_rows(
            score, indices, model, input_ids, attention_mask, logits_to_keep, batch_size, multiple, **kwargs
        )

    def _without_rejected(self, batch: Batch, selection: Selection) -> Batch:
        """Only the kept rows, an equal number on every rank and in every micro-batch, normalised over themselves."""
        assert self.args.steps_per_generation is not None  # GRPOConfig fills it in
        rows = len(batch["prompt_ids"])
        first = self.accelerator.process_index * rows
        batch["sample_index"] = torch.arange(first, first + rows, device=self.accelerator.device)
        batch, rows_per_kept = share_rows(
            batch,
            selection.kept,
            accelerator=self.accelerator,
            micro_batches=self.args.steps_per_generation,
            pad_token_id=self._tokenizer.pad_token_id,
            pad_to_multiple_of=self.pad_to_multiple_of,
        )
        if self.loss_type in ROW_MEAN_LOSSES and rows_per_kept > 1:
            batch["advantages"] = batch["advantages"] * rows_per_kept
            batch["rows_per_kept"] = torch.tensor(rows_per_kept)
        mask = batch["completion_mask"] * batch.get("tool_mask", 1)
        batch["num_items_in_batch"] = self.accelerator.gather(mask.sum()).sum()
        if "importance_sampling_ratio" in batch:
            for name, value in ratio_metrics(batch, mask, self.accelerator).items():
                self._metrics["train"][f"sampling/importance_sampling_ratio/{name}"][-1:] = [value]
        return batch

    def compute_loss(self, model: torch.nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> torch.Tensor:
        """TRL's loss, in which fillers do not dilute a mean over rows.

        The advantages were scaled when the rows were shared out, the KL term is scaled here, and the entropy bonus, a
        mean over tokens, needs nothing.
        """
        beta = self.beta
        self.beta = beta * float(inputs.get("rows_per_kept", 1.0))
        try:
            loss: torch.Tensor = super().compute_loss(model, inputs, *args, **kwargs)
            return loss
        finally:
            self.beta = beta

    def _report(self, selection: Selection) -> None:
        """Log sampled against kept, and give the stock reward metrics and logs back the rewards of all completions."""
        metrics = self._metrics["train"]
        for name, value in kept_metrics(selection, self.reward_weights).items():
            metrics[name].append(value)
        for name, value in sampled_metrics(selection, self.reward_func_names, self.reward_weights).items():
            metrics[name][-1:] = [value]
        for name, rewards in zip(self.reward_func_names, selection.rewards_per_func.T.tolist(), strict=True):
            replace_last_rewards(self, name, rewards)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        if self.args.should_save:
            # Before the rest: the trainer's own state comes last, so a checkpoint that has it has this too.
            save_memory(self.group_filter, checkpoint_folder(self, trial))
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            load_memory(self.group_filter, checkpoint)


class GFPOTrainer(RolloutCheckpoint, GroupFiltering, GRPOTrainer):
    """`GRPOTrainer` that trains on the best `args.num_remains_in_group` completions of each group.

    Takes every argument of `GRPOTrainer`, with a `GFPOConfig`, and one more:

    Args:
        group_filter_func: what scores the completions, higher is kept: a callable, a dotted path, or a name
            (`shortest`, `token_efficiency`, `adaptive_difficulty`); see `filters.py` for the signature.
    """

    _tag_names = ["trl", "gfpo"]
    _name = "GFPO"
    _paper = {
        "title": "Sample More to Think Less: Group Filtered Policy Optimization for Concise Reasoning",
        "id": "2508.09726",
    }
