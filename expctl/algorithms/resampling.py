"""Dynamic sampling as a mixin over `GRPOTrainer`: which groups are sampled anew, from which prompts, by which rank.

It happens inside of `_generate`, before upstream computes any log-probability: `GRPOTrainer` scores and trains on the
completed batch without knowing that it was, and so do filters and replay (see `composed.py`).
"""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from transformers import PreTrainedModel
from trl import GRPOConfig
from trl.trainer.grpo_trainer import RewardFunc

from expctl.algorithms.gfpo_selection import weighted_rewards, with_extra_fields
from expctl.algorithms.group_contrast import contrast
from expctl.algorithms.rows import Batch
from expctl.algorithms.trainer_hooks import GRPOMixin

if TYPE_CHECKING:
    from expctl.algorithms.dynamic_sampling import DynamicSamplingConfig

# Of what `_generate` returns, the lists with an entry for each completion: prompt and completion ids, tool masks,
# completions, log-probabilities of the engine. Extra fields, by name, come next; images are refused.
ROW_LISTS = 5


class DynamicSampling(GRPOMixin):
    """Completes each training batch with groups that have contrast. Right before `GRPOTrainer` in the bases.

    The prompts in place of others are drawn at random from the training data; which ones follows from `args.seed` and
    the step, so that every rank draws the same and a resumed run draws what the uninterrupted one does. Rewards are
    gathered before they are judged, so all ranks agree on the tries, also where a group straddles two of them.

    Metrics, under `dynamic_sampling/`: `tries`; `extra_completions`, of all ranks; `without_contrast_sampled` and
    `without_contrast`, the shares of groups before and after; `reward`, the mean of what was sampled first. GRPO's own
    `reward` is that of what is trained on, of which the easiest and the hardest prompts are gone; its
    `completions/...` are those that were sampled first.

    Raises:
        ValueError: in the constructor, with data that cannot be drawn from (a stream), images, or environments.
    """

    args: "DynamicSamplingConfig"
    _inputs: list[dict[str, Any]] | None = None
    _rewards: torch.Tensor | None = None

    def __init__(
        self,
        model: str | PreTrainedModel,
        reward_funcs: RewardFunc | list[RewardFunc] | None = None,
        args: GRPOConfig | None = None,
        *positional: Any,
        **keywords: Any,
    ):
        super().__init__(model, reward_funcs, args, *positional, **keywords)
        if not self.resamples:
            return
        if not hasattr(self.train_dataset, "__len__"):
            raise ValueError("Dynamic sampling draws prompts by their index, which a stream has not; resample_tries=0.")
        if self._is_vlm or self.environment_factories is not None:
            raise ValueError("Dynamic sampling has no images and no environments. Set resample_tries=0.")

    @property
    def resamples(self) -> bool:
        """Whether anything can be sampled anew; if not, every hook below only calls its parent."""
        return getattr(self.args, "resample_tries", 0) > 0

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        # `_generate` changes this list and that of the prompts in place: a filter in front of us has them as well.
        self._inputs = inputs if self.model.training and self.resamples else None
        try:
            batch: Batch = super()._generate_and_score_completions(inputs)
            return batch
        finally:
            self._inputs = self._rewards = None

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        generated: tuple[Any, ...] = super()._generate(prompts)
        if self._inputs is not None:
            self._complete(self._inputs, prompts, generated)
        return generated

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        if self._rewards is not None:  # of the completed batch: upstream's call, or a filter's
            return self._rewards
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        return rewards

    def _complete(self, inputs: list[dict[str, Any]], prompts: list[Any], generated: tuple[Any, ...]) -> None:
        """Replace, in place, groups without contrast by groups that have some, until the tries are used up."""
        rewards = self._reward(inputs, prompts, generated).clone()
        lacking = first_lacking = self._lacking(rewards)
        mean = weighted_rewards(rewards, self.reward_weights).nanmean().item()
        reserve, tries, extra = self._reserve(inputs[0].keys()), 0, 0
        while lacking and tries < self.args.resample_tries:
            examples = self._examples(reserve, len(lacking))
            rows, earned = self._sample(examples)
            worthless = self._lacking(earned)
            found = [group for group in range(len(earned) // self.num_generations) if group not in worthless]
            for group, other in zip(lacking, found, strict=False):
                rewards[self._rows_of(group)] = earned[self._rows_of(other)]
                self._put(group, examples[self._rows_of(other)], rows[self._rows_of(other)], inputs, prompts, generated)
            lacking, tries, extra = lacking[len(found) :], tries + 1, extra + len(rows)
        self._rewards = rewards
        groups = len(rewards) / self.num_generations
        self._log_resampling("tries", tries)
        self._log_resampling("extra_completions", extra)
        self._log_resampling("without_contrast_sampled", len(first_lacking) / groups)
        self._log_resampling("without_contrast", len(lacking) / groups)
        self._log_resampling("reward", mean)

    def _rows_of(self, group: int) -> slice:
        return slice(group * self.num_generations, (group + 1) * self.num_generations)

    def _lacking(self, rewards: torch.Tensor) -> list[int]:
        """The groups without contrast; `rewards` `(N, F)` are those of all ranks."""
        weights, aggregation = self.reward_weights, self.multi_objective_aggregation
        groups = rewards.cpu().split(self.num_generations)
        return [index for index, group in enumerate(groups) if contrast(group, weights, aggregation) == 0]

    def _reward(self, inputs: list[dict[str, Any]], prompts: list[Any], generated: tuple[Any, ...]) -> torch.Tensor:
        """`(N, F)`, gathered: the rewards of what this rank and the others have generated."""
        _, completion_ids, _, completions, _, extra_fields, _, _ = generated
        examples = with_extra_fields(inputs, extra_fields)
        return self._calculate_rewards(examples, prompts, completions, completion_ids)

    def _reserve(self, columns: Any) -> Iterator[dict[str, Any]]:
        """Examples of the training data at random, each once before one comes again; the same on every rank."""
        dataset: Any = self.train_dataset
        generator = random.Random(f"{self.args.seed} {self._step}")
        drawn: set[int] = set()
        while True:
            if len(drawn) == len(dataset):
                drawn.clear()
            index = generator.randrange(len(dataset))
            if index not in drawn:
                drawn.add(index)
                example = dataset[index]
                yield {name: example[name] for name in columns if name in example}

    def _examples(self, reserve: Iterator[dict[str, Any]], groups: int) -> list[dict[str, Any]]:
        """An example for each completion of so many groups, and of a few more where the ranks could not share them."""
        ranks, size = self.accelerator.num_processes, self.num_generations
        while groups * size % ranks:
            groups += 1
        drawn = [next(reserve) for _ in range(groups)]
        return [dict(example) for example in drawn for _ in range(size)]

    def _sample(self, examples: list[dict[str, Any]]) -> tuple[list[tuple[Any, ...]], torch.Tensor]:
        """Complete the examples, this rank its share. Collective.

        Returns:
            The entries of `ROW_LISTS` and the extra fields of each completion of all ranks, and the rewards `(M, F)`.
        """
        rows = len(examples) // self.accelerator.num_processes
        first = self.accelerator.process_index * rows
        own = examples[first : first + rows]
        prompts = [example["prompt"] for example in own]
        metrics = self._metrics["train"]
        logged = {name: len(values) for name, values in metrics.items() if name.startswith("completions/")}
        columns = {name: len(values) for name, values in self._pending_extra_logs.items()}
        generated = super()._generate(prompts)
        rewards = self._reward(own, prompts, generated)
        for name, count in logged.items():
            del metrics[name][count:]
        logs = self._take_back_logs(columns, rows)
        lists, extra_fields = generated[:ROW_LISTS], generated[ROW_LISTS]
        sampled = []
        for row in range(rows):
            entries = [values[row] if values is not None else None for values in lists]
            extra = {name: values[row] for name, values in extra_fields.items() if isinstance(values, list)}
            sampled.append((*entries, extra, logs[row]))
        return gather_object(sampled), rewards

    def _take_back_logs(self, columns: dict[str, int], rows: int) -> list[dict[str, Any]]:
        """What reward functions have logged of each of the last `rows` completions, taken off the columns again.

        Args:
            columns: how many values each column had before.
            rows: completions that this rank has just had rewarded.
        """
        logs: list[dict[str, Any]] = [{} for _ in range(rows)]
        for column, values in self._pending_extra_logs.items():
            count = columns.get(column, 0)
            for log, value in zip(logs, values[count:], strict=False):
                log[column] = value
            del values[count:]
        return logs

    def _put(
        self,
        group: int,
        examples: list[dict[str, Any]],
        rows: list[tuple[Any, ...]],
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        generated: tuple[Any, ...],
    ) -> None:
        """Put the rows of a sampled group in the place of a group, as far as this rank has that one."""
        place = group * self.num_generations - self.accelerator.process_index * len(prompts)
        for local, (example, row) in enumerate(zip(examples, rows, strict=True), start=place):
            if not 0 <= local < len(prompts):
                continue
            *entries, extra_fields, logs = row
            inputs[local], prompts[local] = example, example["prompt"]
            for values, value in zip(generated[:ROW_LISTS], entries, strict=True):
                if values is not None:
                    values[local] = value
            for name, value in extra_fields.items():
                generated[ROW_LISTS][name][local] = value
            for column, value in logs.items():
                if local < len(self._pending_extra_logs[column]):
                    self._pending_extra_logs[column][local] = value

    def _log_resampling(self, name: str, value: float) -> None:
        self._metrics["train"][f"dynamic_sampling/{name}"].append(float(value))
