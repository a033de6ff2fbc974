"""What a model that learns from given texts writes by itself: completions of held-out prompts, and their rewards."""

import asyncio
import inspect
from collections.abc import Awaitable, Iterable
from typing import Any

import torch
from hydra.utils import instantiate
from transformers import Trainer, TrainerCallback
from trl.models.utils import unwrap_model_for_generation

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.data.conversation import fit_to_tokenizer
from expctl.worker.rewards import STOP, eos_tokens, reward_function, tell_end_tokens

Row = dict[str, Any]


class EvaluateCompletions(TrainerCallback):
    """Samples a completion for each held-out prompt at every evaluation, and rewards it as GRPO would.

    The metrics have the names that TRL's GRPO gives them, so that SFT and DPO can be set beside it: `eval_reward`,
    `eval_rewards/<function>/mean`, `eval_completions/mean_length` in tokens with the one that ends it, and
    `eval_completions/clipped_ratio`, the share that did not come to an end. Every evaluation samples from the same
    seed, and the training's own random numbers go on as if it had not been.

    Args:
        trainer: whose evaluations these are; one that samples nothing itself.
        dataset: config node of the dataset, which is asked for its prompt-only kind.
        reward: config node of the rewards, `functions` and `weights`.
        temperature: of the sampling.
        max_completion_length: tokens of a completion at most.
        batch_size: prompts at once, in each process.

    Raises:
        ValueError: the trainer samples completions itself, or FSDP splits its model.
    """

    def __init__(
        self,
        trainer: Trainer,
        dataset: dict[str, Any],
        reward: dict[str, Any],
        temperature: float = 1.0,
        max_completion_length: int = 256,
        batch_size: int = 256,
    ):
        if hasattr(trainer, "reward_funcs"):
            raise ValueError("callbacks=completions is for sft and dpo: this trainer samples at evaluations anyway.")
        if trainer.is_fsdp_enabled:
            raise ValueError("callbacks=completions cannot sample from a model that FSDP splits; DeepSpeed's it can.")
        self._trainer, self._tokenizer = trainer, trainer.processing_class
        _, held_out = instantiate({**dataset, "kind": PROMPT_ONLY}, _convert_="all")
        mine = slice(trainer.args.process_index, None, trainer.args.world_size)
        self._rows: list[Row] = list(fit_to_tokenizer(held_out, self._tokenizer))[mine]
        on_error = reward.get("on_error", STOP)
        self._functions = [reward_function(node, name, on_error) for name, node in reward["functions"].items()]
        tell_end_tokens(self._functions, trainer.model, self._tokenizer)
        # Asynchronous functions keep their connections from call to call: one loop for all of them.
        self._loop_of_rewards = asyncio.Runner()
        self._weights = [(reward["weights"] or {}).get(name, 1.0) for name in reward["functions"]]
        # As GRPO: from the whole distribution, whatever the model's own generation config would cut off.
        self._sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        self._sampling |= {"max_new_tokens": max_completion_length}
        self._batch_size = batch_size
        self._loop, trainer.evaluation_loop = trainer.evaluation_loop, self._evaluation_loop

    @property
    def reward_funcs(self) -> list[Any]:
        """Called as a trainer's are; their state is saved with the trainer's (see `expctl.worker.reward_state`)."""
        return self._functions

    def shorten(self, rows: int, tokens: int) -> None:
        """Sample fewer and shorter completions, for a check of what is done with them."""
        self._rows = self._rows[:rows]
        self._sampling["max_new_tokens"] = tokens

    def _evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """The trainer's own loop, whose metrics then have the completions' among them."""
        found = self._loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        found.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in self._metrics().items()})
        return found

    def _metrics(self) -> dict[str, float]:
        trainer, arguments = self._trainer, self._trainer.args
        kept: list[Row] = []
        with (
            torch.random.fork_rng([arguments.device] if arguments.device.type == "cuda" else []),
            unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model,
        ):
            torch.manual_seed(arguments.seed + arguments.process_index)
            was_training = model.training
            model.eval()
            for start in range(0, len(self._rows), self._batch_size):
                kept += self._sampled(model, self._rows[start : start + self._batch_size])
            model.train(was_training)
        self._leave_for_samples(kept)
        sums = torch.tensor(self._sums(kept), dtype=torch.float64, device=arguments.device)
        return self._means(trainer.accelerator.reduce(sums, "sum").tolist())

    @torch.no_grad()
    def _sampled(self, model: torch.nn.Module, rows: list[Row]) -> list[Row]:
        """Each row with its completion, length, whether that came to an end, and one reward a function."""
        prompts = [self._as_text(row["prompt"]) for row in rows]
        plain = isinstance(rows[0]["prompt"], str)
        inputs = self._tokenizer(
            text=prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=plain
        ).to(model.device)
        eos_ids = eos_tokens(self._trainer.model, self._tokenizer)
        written = model.generate(
            **inputs, **self._sampling, pad_token_id=self._tokenizer.pad_token_id, eos_token_id=eos_ids or None,
        )[:, inputs["input_ids"].shape[1] :]  # fmt: skip
        ends = torch.isin(written, torch.tensor(eos_ids, device=written.device)).int()
        lengths = torch.where(ends.any(1), ends.argmax(1) + 1, written.shape[1]).tolist()
        ids = [row[:length] for row, length in zip(written.tolist(), lengths, strict=True)]
        texts = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
        completions = texts if plain else [[{"role": "assistant", "content": text}] for text in texts]
        columns = {name: [row[name] for row in rows] for name in rows[0] if name not in ("prompt", "completion")}
        given = {"prompts": [row["prompt"] for row in rows], "completion_ids": ids, **columns}
        rewards = self._rewards(completions, given)
        return [
            {"prompt": row["prompt"], "completion": completion, "length": length, "ended": ended, "rewards": values}
            for row, completion, length, ended, *values in zip(
                rows, completions, lengths, ends.any(1).tolist(), *rewards, strict=True
            )
        ]

    def _rewards(self, completions: list, given: Row) -> list[list[float | None]]:
        """The values of each function; those that are asynchronous wait together."""
        values = [function(completions=completions, **given) for function in self._functions]
        waiting = {place: value for place, value in enumerate(values) if inspect.isawaitable(value)}
        if waiting:
            for place, value in zip(waiting, self._loop_of_rewards.run(_gathered(waiting.values())), strict=True):
                values[place] = value
        return values

    def _as_text(self, prompt: str | list[dict[str, str]]) -> str:
        if isinstance(prompt, str):
            return prompt
        return self._tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)

    def _sums(self, kept: list[Row]) -> list[float]:
        """Over this process's rows: their number, tokens, unended ones; of each function the rewards and how many."""
        sums = [len(kept), sum(row["length"] for row in kept), sum(not row["ended"] for row in kept)]
        for place in range(len(self._functions)):
            values = [row["rewards"][place] for row in kept if row["rewards"][place] is not None]
            sums += [sum(values), len(values)]
        return sums

    def _means(self, sums: list[float]) -> dict[str, float]:
        count, tokens, unended, *rewards = sums
        found = {"completions/mean_length": tokens / count, "completions/clipped_ratio": unended / count, "reward": 0.0}
        for function, weight, total, valid in zip(
            self._functions, self._weights, rewards[::2], rewards[1::2], strict=True
        ):
            mean = total / valid if valid else float("nan")
            found[f"rewards/{function.__name__}/mean"] = mean
            found["reward"] += weight * mean
        return found

    def _leave_for_samples(self, kept: list[Row]) -> None:
        """Where TRL's own trainers keep what they sampled, which `samples.jsonl` is made from."""
        names = [function.__name__ for function in self._functions]
        self._trainer._logs = {
            "prompt": [row["prompt"] for row in kept],
            "completion": [row["completion"] for row in kept],
            "rewards": {name: [row["rewards"][place] for row in kept] for place, name in enumerate(names)},
        }


async def _gathered(awaitables: Iterable[Awaitable]) -> list:
    return await asyncio.gather(*awaitables)
