"""Calls users' reward functions: what they are given, what they may return, and the error when one fails."""

import inspect
import logging
import math
from collections.abc import Callable
from typing import Any

import torch
from hydra.utils import get_object, instantiate
from torch import nn
from trl.trainer.utils import is_async_callable

from expctl.worker.reward_failure import RewardError, failure_message, shortened

logger = logging.getLogger(__name__)

STOP, MISSING = "stop", "missing"
TRUNCATED = "truncated"
# The trainer holds rewards in single precision, where a larger value becomes infinite.
LARGEST = torch.finfo(torch.float32).max


def reward_function(node: dict[str, Any], name: str, on_error: str = STOP) -> Any:
    """The guarded reward (see `GuardedReward`) of a config node, under its name in the config.

    A function is left for TRL to call, and a class is instantiated, whether or not the node says `_partial_`. Reward
    models (a module or a hub id) are passed on as they are: TRL runs them itself.
    """
    target = get_object(node["_target_"])
    extra = {}
    if inspect.isfunction(target) or inspect.isclass(target):
        extra["_partial_"] = inspect.isfunction(target)
    reward = instantiate(node, _convert_="all", **extra)
    if isinstance(reward, nn.Module | str):
        return reward
    guard = AsyncGuardedReward if is_async_callable(reward) else GuardedReward
    return guard(reward, name, on_error)


def set_end_tokens(rewards: list[Any], model: Any, processing_class: Any) -> None:
    """Give guarded rewards the tokens that end a completion, so that they can tell which were truncated."""
    known = end_tokens(model, processing_class)
    for reward in rewards:
        if isinstance(reward, Guard):
            reward.end_tokens = known


def end_tokens(model: Any, processing_class: Any) -> frozenset[int]:
    """Ids of the tokens that a finished completion can end with, as TRL counts them: every EOS token, and padding."""
    tokenizer = getattr(processing_class, "tokenizer", processing_class)
    return frozenset(eos_tokens(model, tokenizer)) | ({tokenizer.pad_token_id} - {None})


def eos_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Ids of the tokens that end a completion: the tokenizer's, and those of the model's generation config."""
    declared = model.generation_config.eos_token_id
    if declared is None:
        declared = []
    elif isinstance(declared, int):
        declared = [declared]
    return sorted({*declared, tokenizer.eos_token_id} - {None})


class Guard:
    """What both guarded rewards share: the keywords of a call, and the check of what it returns.

    Attributes:
        end_tokens: ids of the tokens that end a completion; None where they are unknown, and `truncated` is not given.
    """

    def __init__(self, reward: Callable[..., Any], name: str, on_error: str = STOP) -> None:
        self._reward = reward
        self._on_error = on_error
        self._has_warned = False
        self.__name__ = name
        self.end_tokens: frozenset[int] | None = None

    def _keywords(self, completions: list[Any], columns: dict[str, Any]) -> dict[str, Any]:
        """What the trainer gives, and `truncated` where it is known and the function accepts it."""
        keywords = {"completions": completions, **columns}
        if self.end_tokens is not None and "completion_ids" in columns and accepts(self._reward, TRUNCATED):
            self._check_no_column(columns)
            keywords[TRUNCATED] = [bool(ids) and ids[-1] not in self.end_tokens for ids in columns["completion_ids"]]
        return keywords

    def _check_no_column(self, columns: dict[str, Any]) -> None:
        if TRUNCATED in columns:
            raise RewardError(
                f"the data have a column '{TRUNCATED}', which is the name of what reward functions are told of "
                "completions that were cut off; give the column another name"
            )

    def _failed(self, error: Exception, completions: list[Any], columns: dict[str, Any]) -> list[float | None]:
        """Every completion of the batch as missing, where `on_error` says so; else raise RewardError."""
        message = failure_message(self.__name__, error, completions, columns.get("prompts"))
        if self._on_error == STOP or is_call_error(error):
            raise RewardError(message) from error
        self._report_missing(len(completions), completions, f"{message}; the batch", columns)
        return [None] * len(completions)

    def _checked(self, returned: Any, completions: list[Any], columns: dict[str, Any]) -> list[float | None]:
        values = self._numbers(returned, completions)
        unusable = [index for index, value in enumerate(values) if value is not None and not is_usable(value)]
        if not unusable:
            return values
        first = unusable[0]
        what = (
            f"reward '{self.__name__}' returned {values[first]} on the completion {shortened(completions[first])}; it"
        )
        self._report_missing(len(unusable), completions, what, columns)
        return [value if value is None or is_usable(value) else None for value in values]

    def _report_missing(self, missing: int, completions: list[Any], what: str, columns: dict[str, Any]) -> None:
        """Log the share of the batch that counts as missing, and warn the first time."""
        if "log_metric" in columns:
            columns["log_metric"](f"rewards/{self.__name__}/missing", missing / len(completions))
        if self._has_warned:
            return
        self._has_warned = True
        step = getattr(columns.get("trainer_state"), "global_step", None)
        when = "" if step is None else f" after step {step}"
        metric = f"rewards/{self.__name__}/missing"
        logger.warning(f"{what} counts as missing{when}. This is logged once; the metric {metric} counts on.")

    def _numbers(self, returned: Any, completions: list[Any]) -> list[float | None]:
        if not isinstance(returned, list):
            raise RewardError(
                f"reward '{self.__name__}' returned {type(returned).__name__}, not a list of {len(completions)} "
                f"numbers; the first completion was {shortened(completions[0])}"
            )
        if len(returned) != len(completions):
            raise RewardError(
                f"reward '{self.__name__}' returned {len(returned)} values for {len(completions)} completions; "
                f"the first was {shortened(completions[0])}"
            )
        return [self._number(value, completion) for value, completion in zip(returned, completions, strict=True)]

    def _number(self, value: Any, completion: Any) -> float | None:
        if value is None:
            return None
        try:
            if isinstance(value, str | bytes):
                raise TypeError("a string is not accepted, even where float() could parse it")
            return float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            raise RewardError(
                f"reward '{self.__name__}' returned {shortened(value)} on the completion {shortened(completion)}"
            ) from None


class GuardedReward(Guard):
    """Calls a reward function as TRL does, tells it which completions were truncated, and checks what it returns.

    A function that accepts `truncated` by name or by `**kwargs` gets one bool for each completion: its last token is
    neither an end token nor padding. A value that is not finite in single precision counts as missing (None): the
    metric `rewards/<name>/missing` is the share of such completions in a batch that has any, and a warning names the
    first. With `on_error="missing"` a whole batch on which the function raises counts as missing too.

    Raises:
        RewardError: naming the function and the completion, when the function raises (`on_error="stop"`), when it
            cannot be called with what it is given, and when it does not return one number or None per completion.
    """

    def __call__(self, completions: list[Any], **columns: Any) -> list[float | None]:
        keywords = self._keywords(completions, columns)
        try:
            returned = as_list(self._reward(**keywords))
        except Exception as error:
            return self._failed(error, completions, columns)
        return self._checked(returned, completions, columns)


class AsyncGuardedReward(Guard):
    """As `GuardedReward`, for an asynchronous function or an object with an asynchronous `__call__`."""

    async def __call__(self, completions: list[Any], **columns: Any) -> list[float | None]:
        keywords = self._keywords(completions, columns)
        try:
            returned = as_list(await self._reward(**keywords))
        except Exception as error:
            return self._failed(error, completions, columns)
        return self._checked(returned, completions, columns)


def accepts(function: Callable[..., Any], name: str) -> bool:
    """Whether a function can be called with a keyword; False for one whose signature is unknown, as in C."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def as_list(returned: Any) -> Any:
    """What a function returned, as a list where it can be one. A generator runs here, and may raise."""
    if inspect.isgenerator(returned):
        return list(returned)
    try:
        return list(returned)
    except TypeError:
        return returned


def is_call_error(error: Exception) -> bool:
    """Whether a function could not be called with what it was given: its own code never ran."""
    traceback = error.__traceback__
    return isinstance(error, TypeError) and traceback is not None and traceback.tb_next is None


def is_usable(value: float) -> bool:
    """Whether the trainer can hold a reward: it is finite in single precision."""
    return math.isfinite(value) and abs(value) <= LARGEST
