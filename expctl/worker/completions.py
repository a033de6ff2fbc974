"""Completions of held-out prompts, and their rewards, for trainers that do not evaluate so (SFT, DPO, distillation)."""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Iterable
from typing import Any

import torch
from hydra.utils import instantiate
from transformers import Trainer, TrainerCallback
from trl.models.utils import unwrap_model_for_generation

from expctl.algorithms.completion_log import LoggedCompletion, set_logged_completions
from expctl.algorithms.scored_completion import ScoredCompletion
from expctl.base.data_kinds import PROMPT_ONLY
from expctl.data.conversation import fit_to_tokenizer
from expctl.data.parts import of_kind
from expctl.models.seeing import text_tokenizer
from expctl.worker.generate import generate
from expctl.worker.prompt_statistics import per_prompt
from expctl.worker.reward_endings import endings
from expctl.worker.reward_weights import final_weights
from expctl.worker.rewards import reward_functions, set_end_tokens

Row = dict[str, Any]


class EvaluateCompletions(TrainerCallback):
    """Samples a completion for each held-out prompt at every evaluation, and rewards it as GRPO would.

    The metrics have the names that TRL's GRPO gives them, so that SFT and DPO can be compared with it: `eval_reward`,
    `eval_rewards/<function>/mean`, `eval_completions/mean_length` in tokens with the one that ends it, and
    `eval_completions/clipped_ratio`, the share without an end token. Every evaluation samples from the same seed, and
    leaves the training's random states as they were.

    Args:
        trainer: whose evaluations these are.
        dataset: config node of the dataset, loaded with its prompt-only kind.
        reward: config node of the rewards, `functions` and `weights`.
        temperature: of the sampling.
        max_completion_length: limit of tokens per completion.
        batch_size: prompts per batch, in each process.
        template_options: keywords of the chat template, `{enable_thinking: false}`; None for none.

    Raises:
        ValueError: the trainer evaluates so itself (GRPO, RLOO, SDPO and their kin), or FSDP splits its model.
    """

    def __init__(
        self,
        trainer: Trainer,
        dataset: dict[str, Any],
        reward: dict[str, Any],
        temperature: float = 1.0,
        max_completion_length: int = 256,
        batch_size: int = 256,
        template_options: dict[str, Any] | None = None,
    ):
        if hasattr(trainer, "reward_funcs") and hasattr(trainer, "_buffered_inputs"):  # rollouts of rewarded groups
            raise ValueError(
                "callbacks=completions is for others: this trainer measures the same at evaluations anyway."
            )
        if trainer.is_fsdp_enabled:
            raise ValueError("callbacks=completions cannot sample from a model that FSDP splits; DeepSpeed's it can.")
        self._trainer = trainer
        _, held_out = instantiate(of_kind(dataset, PROMPT_ONLY), _convert_="all")
        # All held-out prompts, over all ranks.
        self.held_out = held_out
        of_this_rank = slice(trainer.args.process_index, None, trainer.args.world_size)
        tokenizer = text_tokenizer(trainer.processing_class)
        self._tokenizer = tokenizer
        self._rows: list[Row] = list(fit_to_tokenizer(held_out, tokenizer))[of_this_rank]
        self._functions = reward_functions(reward)
        set_end_tokens(self._functions, trainer.model, self._tokenizer)
        # One event loop for all asynchronous functions: they keep their connections from call to call.
        self._event_loop = asyncio.Runner()
        self._weights = dict(zip(reward["functions"], final_weights(reward), strict=True))
        # As GRPO: from the whole distribution, whatever the model's own generation config would cut off.
        self._sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        self._sampling |= {"max_new_tokens": max_completion_length}
        self._batch_size = batch_size
        self._template_options = template_options or {}
        self._stock_loop: Any = trainer.evaluation_loop
        trainer.evaluation_loop = self._evaluation_loop  # type: ignore[method-assign] # transformers has no hook here

    @property
    def reward_funcs(self) -> list[Any]:
        """The guarded reward functions; `expctl.worker.reward_state` saves their state with the trainer's."""
        return self._functions

    def shorten(self, rows: int, tokens: int) -> None:
        """Sample only so many rows and tokens per row, for a preflight."""
        self._rows = self._rows[:rows]
        self._sampling["max_new_tokens"] = tokens

    def _evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """The trainer's own loop, with the completions' metrics added to its own."""
        output = self._stock_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        sets: Any = self._trainer.eval_dataset
        if isinstance(sets, dict) and metric_key_prefix != f"eval_{next(iter(sets))}":
            return output  # the prompts are those of the first set
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in self._metrics().items()})
        return output

    def _metrics(self) -> dict[str, float]:
        trainer, arguments = self._trainer, self._trainer.args
        samples: list[ScoredCompletion] = []
        with (
            torch.random.fork_rng([arguments.device] if arguments.device.type == "cuda" else []),
            unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model,
        ):
            torch.manual_seed(arguments.seed + arguments.process_index)
            was_training = model.training
            model.eval()
            for start in range(0, len(self._rows), self._batch_size):
                samples += self._sample(model, self._rows[start : start + self._batch_size])
            model.train(was_training)
        logged = [self._logged(sample) for sample in samples]
        set_logged_completions(trainer, logged, list(self._weights))
        sums = self._sums(samples)
        of_this_rank = torch.tensor(list(sums.values()), dtype=torch.float64, device=arguments.device)
        of_all = trainer.accelerator.reduce(of_this_rank, "sum").tolist()
        return {name: total / count if count else math.nan for name, (total, count) in zip(sums, of_all, strict=True)}

    def _sums(self, samples: list[ScoredCompletion]) -> dict[str, tuple[float, int]]:
        """Metric -> its sum over this rank's prompts and their number, measured as `expctl eval` does."""
        values = per_prompt([[sample] for sample in samples], self._weights)
        return {name: (math.fsum(each), len(each)) for name, each in values.items()}

    def _logged(self, sample: ScoredCompletion) -> LoggedCompletion:
        [ending] = endings([sample.completion], [not sample.ended], {"prompts": [sample.prompt]})
        return {
            "prompt": sample.prompt,
            "completion": sample.completion,
            "rewards": sample.rewards,
            "ending": ending,
        }

    @torch.no_grad()
    def _sample(self, model: Any, rows: list[Row]) -> list[ScoredCompletion]:
        """One completion of each row's prompt, with its rewards."""
        prompts = [row["prompt"] for row in rows]
        texts = [self._as_text(prompt) for prompt in prompts]
        is_plain = isinstance(prompts[0], str)
        ids, ended = generate(model, self._tokenizer, texts, self._sampling, special_tokens=is_plain)
        completions: list[Any] = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
        if not isinstance(prompts[0], str):
            completions = [[{"role": "assistant", "content": text}] for text in completions]
        columns = {name: [row[name] for row in rows] for name in rows[0] if name not in ("prompt", "completion")}
        rewards = self._rewards(completions, {"prompts": prompts, "completion_ids": ids, **columns})
        samples = []
        for index, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            values = {name: column[index] for name, column in rewards.items()}
            samples.append(ScoredCompletion(prompt, completion, len(ids[index]), ended[index], values))
        return samples

    def _rewards(self, completions: list[Any], keywords: Row) -> dict[str, list[float | None]]:
        """The values of each function; those that are asynchronous run concurrently."""
        names = list(self._weights)
        values = [function(completions=completions, **keywords) for function in self._functions]
        pending = [index for index, value in enumerate(values) if inspect.isawaitable(value)]
        if pending:
            results = self._event_loop.run(_gathered([values[index] for index in pending]))
            for index, result in zip(pending, results, strict=True):
                values[index] = result
        return dict(zip(names, values, strict=True))

    def _as_text(self, prompt: str | list[dict[str, str]]) -> str:
        if isinstance(prompt, str):
            return prompt
        text: str = self._tokenizer.apply_chat_template(
            prompt, tokenize=False, add_generation_prompt=True, **self._template_options
        )
        return text


async def _gathered(awaitables: Iterable[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*awaitables)
