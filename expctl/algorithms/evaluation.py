"""Evaluation without training: completions of held-out prompts, sampled and rewarded as TRL's GRPO does it."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import torch
import trl
from accelerate.utils import gather_object
from torch.utils.data import Sampler
from trl.trainer.utils import RepeatSampler

from expctl.algorithms.random_states import set_random_states
from expctl.algorithms.scored_completion import ScoredCompletion

GREEDY = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "min_p": None}


@dataclass
class EvaluationConfig(trl.GRPOConfig):
    """The arguments of an `EvaluationTrainer`: those of GRPO that an evaluation reads.

    `temperature=0` always takes the most probable token. What GRPO's constructor insists on for the training follows
    from `per_device_eval_batch_size`, whatever it is set to.
    """

    num_generations_eval: int | None = field(default=1, metadata={"help": "Completions sampled for each prompt (k)."})
    per_device_eval_batch_size: int = field(default=256, metadata={"help": "Completions a device samples at a time."})

    def __post_init__(self) -> None:
        # vLLM runs as many sequences at once as a training batch has; a group is never looked at.
        rows = max(2, self.per_device_eval_batch_size)
        self.per_device_train_batch_size = self.num_generations = rows
        self.gradient_accumulation_steps = 1
        self.beta = 0.0
        self.vllm_importance_sampling_correction = False
        if self.temperature == 0 and not self.use_vllm:  # vLLM takes a temperature of 0 as it is
            given: Any = self.generation_kwargs or {}
            self.generation_kwargs = {**given, **GREEDY}
        super().__post_init__()


class EvaluationTrainer(trl.GRPOTrainer):
    """TRL's `GRPOTrainer` that only evaluates, keeps every completion, and computes no loss.

    With the random states and the arguments of a GRPO training at its last evaluation, and with its weights, it samples
    the same completions as that: on one process of a CPU to the last bit. `eval_loss` and what TRL logs of the loss
    are left out, since they take a forward pass of their own.

    A reward function may have an attribute `answers`: what it read as the answer of each completion of its last batch.

    Args:
        random_states: file with the states of Python, numpy and torch to begin with, as `random_states` gives
            them to `torch.save`; None begins from `args.seed`.

    Attributes:
        scored: the completions of the last evaluation, by the name of the evaluation set (`eval`, or `eval_<name>`
            where there are several), those of a prompt next to each other.
    """

    def __init__(self, *args: Any, random_states: str | None = None, **keywords: Any):
        super().__init__(*args, **keywords)
        self.scored: dict[str, list[ScoredCompletion]] = {}
        self._random_states = random_states
        self._collected: list[ScoredCompletion] = []
        self._has_begun = False

    def train(self, *_: Any, **__: Any) -> NoReturn:
        """Raise: there is nothing to train."""
        raise RuntimeError("an EvaluationTrainer does not train: call evaluate()")

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Sample and reward `num_generations_eval` completions of each held-out prompt; the metrics are TRL's."""
        if not self._has_begun and self._random_states is not None:
            set_random_states(torch.load(self._random_states, map_location="cpu", weights_only=True))
            self._has_begun = True
        self._collected = []
        metrics: dict[str, float] = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
        if self._collected:  # nothing, where this was several sets, each of which has called this method
            self.scored[metric_key_prefix] = self._in_order(eval_dataset)
            self._collected = []
        return metrics

    @property
    def completions_a_prompt(self) -> int:
        """`num_generations_eval` (k)."""
        return self.num_generations_eval or 1

    @property
    def repeats_a_training(self) -> bool:
        """Whether it begins with the random states of a training, whose own figures are TRL's."""
        return self._random_states is not None

    def so_far(self) -> dict[str, float]:
        """`reward`, the mean over the batches of the evaluation that is under way; empty before the first."""
        values = [value for value in self._metrics["eval"]["reward"] if not math.isnan(value)]
        return {"reward": sum(values) / len(values)} if values else {}

    def prediction_step(
        self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[None, None, None]:
        """Sample and reward one batch of prompts."""
        if not self._has_begun:
            # Not before the first batch is there: the loader of the data draws a number of its own.
            torch.manual_seed(self.args.seed + self.args.process_index)
            self._has_begun = True
        self._prepare_inputs(inputs)
        return None, None, None

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        answers = self._answers(len(prompts))
        local = [
            (prompt, completion, len(ids), bool(ids) and ids[-1] in ends, read)
            for prompt, completion, ids, read in zip(prompts, completions, completion_ids_list, answers, strict=True)
        ]
        gathered = zip(gather_object(local), rewards.tolist(), strict=True)
        for (prompt, completion, tokens, ended, read), values in gathered:
            named = {name: _known(value) for name, value in zip(self.reward_func_names, values, strict=True)}
            self._collected.append(ScoredCompletion(prompt, completion, tokens, ended, named, answers=read))
        return rewards

    def _answers(self, count: int) -> list[dict[str, str]]:
        """Of each completion of the batch what the functions with `answers` have read, by name."""
        named = zip(self.reward_func_names, self.reward_funcs, strict=True)
        said = {name: answers for name, function in named if (answers := getattr(function, "answers", None))}
        whole = {name: answers for name, answers in said.items() if len(answers) == count}
        return [{name: answers[index] for name, answers in whole.items()} for index in range(count)]

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int]:
        """The prompts in the order of the data; after a training's random states in the order of its evaluations."""
        shuffles = self._random_states is not None
        return RepeatSampler(eval_dataset, self.completions_a_prompt, shuffle=shuffles, seed=self.args.seed)

    def _in_order(self, eval_dataset: Any) -> list[ScoredCompletion]:
        """The collected completions in the order of the data, without those by which the last batch was filled up."""
        sets: Any = self.eval_dataset
        dataset = sets if eval_dataset is None else eval_dataset
        if isinstance(eval_dataset, str):
            dataset = sets[eval_dataset]
        if not hasattr(dataset, "__len__"):
            return self._collected
        rows = list(self._get_eval_sampler(dataset))
        numbered = [replace(one, row=row) for one, row in zip(self._collected, rows, strict=False)]
        return sorted(numbered, key=lambda one: one.row or 0)


def _known(value: float) -> float | None:
    """A reward; None for the NaN that stands for none."""
    return None if math.isnan(value) else value
