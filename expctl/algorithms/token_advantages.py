"""Advantages that differ from token to token: the hook, and two ready sources.

A source is called once a rollout, in training only, on this rank's B rows, with keywords

    prompts, completions          B prompts and completions, strings or conversations, as reward functions get them
    completion_ids, mask          (B, T), right-padded; the mask is 1 on the tokens that the policy wrote
    rewards                       (B, number of reward functions), raw, NaN where a function returned None
    advantages                    (B,), the group advantages
    tokenizer                     the trainer's
    <column>                      B values of every other dataset column and of every extra field of a rollout

and returns advantages `(B, T)`. Values outside the mask are set to zero, as are rows that nothing scored.
"""

import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig
from trl.trainer.grpo_trainer import RewardFunc

from expctl.algorithms.limits import check_token_advantages
from expctl.algorithms.rows import Batch
from expctl.algorithms.trainer_hooks import GRPOMixin, Rollout, loss_mask

# Names of a source's own keywords, and what upstream keeps from reward functions.
RESERVED = (
    *("prompt", "completion", "prompts", "completions", "completion_ids"),
    *("mask", "rewards", "advantages", "tokenizer"),
)


class TokenAdvantages(GRPOMixin):
    """Gives a `GRPOTrainer` the constructor argument `token_advantages`: a source, its dotted path, or None.

    In the bases of a trainer `ScoredRollout` comes before everything that changes rewards, this after everything that
    drops or replaces rows: a source sees every completion that this rank sampled, and its credit travels with the row.
    Works at the levels "token" and "sequence_token" of the importance ratio. TRL's "sequence" would collapse the credit
    into `mean_t A_t * mean_t grad log pi_t`, so it is refused.

    Raises:
        ValueError: in the constructor, with level "sequence"; at a rollout, when the source returns a wrong shape or
            a value that is not finite.
        TypeError: when the source cannot be called, or returns something that is not a tensor.
    """

    _rollout: Rollout  # of `ScoredRollout`

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: RewardFunc | list[RewardFunc] | None = None,
        args: GRPOConfig | None = None,
        *positional: Any,
        token_advantages: Callable[..., torch.Tensor] | str | None = None,
        **keywords: Any,
    ):
        if isinstance(token_advantages, str):
            token_advantages = pkgutil.resolve_name(token_advantages)
        if token_advantages is not None and not callable(token_advantages):
            raise TypeError(f"token_advantages must be callable or a dotted path, not {token_advantages!r}.")
        if args is not None:
            check_token_advantages(args, token_advantages)
        super().__init__(model, reward_funcs, args, *positional, **keywords)
        self.token_advantages = token_advantages

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        batch: Batch = super()._generate_and_score_completions(inputs)
        if self.token_advantages is not None and self.model.training:
            batch["advantages"] = self._credited(batch, self.token_advantages)
        return batch

    def _credited(self, batch: Batch, source: Callable[..., torch.Tensor]) -> torch.Tensor:
        """Ask the source, check what it returned, and log how much the credit varies inside a completion."""
        rollout, mask, advantages = self._rollout, loss_mask(batch), batch["advantages"]
        first = self.accelerator.process_index * len(advantages)
        rewards = rollout.rewards[first : first + len(advantages)]
        columns = {key: [row[key] for row in rollout.inputs] for key in rollout.inputs[0] if key not in RESERVED}
        credit = source(
            prompts=rollout.prompts,
            completions=rollout.completions,
            completion_ids=batch["completion_ids"],
            mask=mask,
            rewards=rewards,
            advantages=advantages,
            tokenizer=self._tokenizer,
            **columns,
        )
        credit = self._checked(credit, mask).to(advantages)
        scored = ~rewards.isnan().all(dim=1, keepdim=True)
        credit = credit.masked_fill(~(mask.bool() & scored), 0.0)
        self._log_spread(credit, mask)
        return credit

    def _checked(self, credit: object, mask: torch.Tensor) -> torch.Tensor:
        name = getattr(self.token_advantages, "__name__", type(self.token_advantages).__name__)
        if not isinstance(credit, torch.Tensor):
            raise TypeError(f"token_advantages {name!r} must return a tensor, not {type(credit).__name__}.")
        if credit.shape != mask.shape:
            raise ValueError(
                f"token_advantages {name!r} returned shape {tuple(credit.shape)}; one value for each completion token "
                f"is needed, the shape of completion_ids: {tuple(mask.shape)}."
            )
        credit = credit.to(mask.device)
        if not credit[mask.bool()].isfinite().all():
            raise ValueError(f"token_advantages {name!r} returned NaN or infinity for a token of the mask.")
        return credit

    def _log_spread(self, credit: torch.Tensor, mask: torch.Tensor) -> None:
        tokens = mask.sum(1).clamp(min=1)
        mean = (credit * mask).sum(1) / tokens
        spread = (((credit - mean.unsqueeze(1)) ** 2 * mask).sum(1) / tokens).sqrt().mean()
        self._metrics["train"]["token_advantages/spread"].append(self.accelerator.gather(spread).mean().item())


StepRewards = Callable[..., Sequence[Sequence[float]]]


class DiscountedCredit:
    """Length-discounted credit: `A_it = gamma**(tokens of i still to come after t) * A_i`.

    The return-to-go of a reward at the end of the completion: the decision that ended it gets all of the credit, one
    n tokens earlier `gamma**n`, so that long detours earn and cost little. `gamma=1` is the group advantage everywhere.

    Args:
        gamma: discount for each token.

    Raises:
        ValueError: unless 0 < gamma <= 1.
    """

    def __init__(self, gamma: float = 0.99):
        if not 0.0 < gamma <= 1.0:
            raise ValueError(f"DiscountedCredit: gamma={gamma} must lie in (0, 1].")
        self.gamma = gamma

    def __call__(self, *, advantages: torch.Tensor, mask: torch.Tensor, **_: object) -> torch.Tensor:
        """`(B, T)` from the group advantages `(B,)` and the mask `(B, T)`."""
        to_come = mask.flip(1).cumsum(1).flip(1) - mask
        return advantages.unsqueeze(1) * self.gamma ** to_come.to(advantages)


class StepCredit:
    """Step rewards spread over the tokens of their step: `A_it = A_i + weight * (r_i,step(t) - mean_t r_i,step(t))`.

    A step ends with the token that completes `separator`. What the steps of a completion earn is centred over its
    tokens, so the completion as a whole keeps its group advantage and the step rewards only move credit inside it.
    With equal step rewards nothing moves. A process reward model is one `step_rewards` among others.

    Args:
        step_rewards: `f(steps, **columns) -> list[list[float]]`, or its dotted path; `steps[i]` are the texts of the
            steps of completion i without special and tool tokens, `columns` as for a source. One number a step.
        separator: what ends a step, by default a newline.
        weight: advantage for one unit of step reward.

    Raises:
        ValueError: when the numbers of rewards and of steps differ.
    """

    def __init__(self, step_rewards: StepRewards | str, separator: str = "\n", weight: float = 1.0):
        self.step_rewards = pkgutil.resolve_name(step_rewards) if isinstance(step_rewards, str) else step_rewards
        if not callable(self.step_rewards):
            raise TypeError(f"StepCredit: step_rewards must be callable or a dotted path, not {step_rewards!r}.")
        if not separator:
            raise ValueError("StepCredit: separator is empty, so no step would ever end.")
        self.separator = separator
        self.weight = weight

    def __call__(
        self,
        *,
        advantages: torch.Tensor,
        completion_ids: torch.Tensor,
        mask: torch.Tensor,
        tokenizer: PreTrainedTokenizerBase,
        **columns: Any,
    ) -> torch.Tensor:
        """`(B, T)` from the group advantages `(B,)`, the completion's ids and the mask `(B, T)`."""
        written = [ids[kept.bool()] for ids, kept in zip(completion_ids, mask, strict=True)]
        lengths = [self._step_lengths(ids.tolist(), tokenizer) for ids in written]
        steps = []
        for ids, length in zip(written, lengths, strict=True):
            pieces = ids.split(length) if length else []
            steps.append([tokenizer.decode(piece, skip_special_tokens=True) for piece in pieces])
        rewards = self.step_rewards(steps, **columns)
        if [len(row) for row in rewards] != [len(row) for row in steps]:
            raise ValueError(
                f"StepCredit: step_rewards returned {[len(row) for row in rewards]} rewards for completions of "
                f"{[len(row) for row in steps]} steps."
            )
        credit = advantages.unsqueeze(1).repeat(1, mask.shape[1])
        for row, kept, reward, length in zip(credit, mask.bool(), rewards, lengths, strict=True):
            if length:
                row[kept] += self.weight * self._centred(torch.tensor(reward), torch.tensor(length)).to(row)
        return credit

    def _step_lengths(self, ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """Number of tokens of each step; the last step is whatever follows the last separator."""
        lengths, text, begun = [], "", 0
        for position, piece in enumerate(tokenizer.batch_decode([[token] for token in ids]), start=1):
            text = (text + piece)[-len(piece) - len(self.separator) :]  # only a new piece can complete a separator
            if self.separator in text:
                lengths.append(position - begun)
                text, begun = "", position
        return [*lengths, len(ids) - begun] if begun < len(ids) else lengths

    @staticmethod
    def _centred(rewards: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        # Against the first step, so that equal rewards give exactly zero whatever their size.
        tokens = (rewards.double() - rewards[0].double()).repeat_interleave(lengths)
        return tokens - tokens.mean()
