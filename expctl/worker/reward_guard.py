"""Calls users' reward functions: what they are given, what they may return, how often they are asked and how long."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from expctl.algorithms.completion_log import ENDED, ENDING
from expctl.rewards.completions import ANSWER_READ
from expctl.worker.reward_endings import TRUNCATED, UNFINISHED, accepts, endings, names, unfinished
from expctl.worker.reward_failure import RewardError, failure_message, is_call_error, shortened
from expctl.worker.reward_values import Values, as_list, awaited, is_usable, numbers, where_positive

logger = logging.getLogger(__name__)

STOP, MISSING = "stop", "missing"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a call is made again; doubled each time


@dataclass(frozen=True)
class Conduct:
    """What is done about a function that fails.

    Args:
        on_error: "stop" ends the training, "missing" counts the completions of the failed call as missing.
        time_limit: seconds of one call of an asynchronous function; None for any number.
        retries: how often a call that failed is made again, after 1, 2, 4, ... seconds.
    """

    on_error: str = STOP
    time_limit: float | None = None
    retries: int = 0


class Guard:
    """What both guarded rewards share: the keywords of a call, the gate, and the check of what is returned.

    Attributes:
        end_tokens: ids of the tokens that end a completion; None where they are unknown, and `truncated` is not given.
        condition: the reward counts only where this one is above zero, else it is 0.0.
        if_finished: a completion that did not finish earns nothing: the reward is 0.0 there, or what is below.
        logs_endings: how each completion ended is put into the trainer's log of completions, once a batch.
        is_condition: it is the condition of another, so its values of the last batch are kept, and it is asked once.
        keeps_answers: a function that takes `explain` by name is given it, for `answers`.
        answers: what it read as the answer of each completion of the last batch; None where it does not say.
    """

    def __init__(self, reward: Callable[..., Any], name: str, conduct: Conduct | None = None) -> None:
        self._reward = reward
        self._conduct = conduct or Conduct()
        self._has_warned: set[str] = set()
        self.__name__ = name
        self.end_tokens: frozenset[int] | None = None
        self.condition: Any = None  # a guard, which both kinds of guard are called as
        self.if_finished = False
        self.logs_endings = False
        self.is_condition = False
        self.keeps_answers = False
        self.answers: list[str] | None = None
        self._kept: tuple[list[Any], Any] | None = None

    @property
    def function(self) -> Callable[..., Any]:
        """What is guarded."""
        return self._reward

    def _keywords(self, completions: list[Any], columns: dict[str, Any]) -> dict[str, Any]:
        """What the trainer gives, and `truncated` and `unfinished` where they are known and the function takes them."""
        keywords = {"completions": completions, **columns}
        cut_off = self._cut_off(columns)
        self._say_endings(completions, cut_off, columns)
        told = {} if cut_off is None else {TRUNCATED: cut_off}
        if cut_off is not None and accepts(self._reward, UNFINISHED):
            told[UNFINISHED] = unfinished(completions, cut_off, columns)
        for name, values in told.items():
            if accepts(self._reward, name):
                self._check_no_column(name, columns)
                keywords[name] = values
        if self.keeps_answers and names(self._reward, "explain"):
            self.answers = None
            keywords["explain"] = self._hear
        return keywords

    def _hear(self, title: str, said: list[Any]) -> None:
        if title == ANSWER_READ:
            self.answers = [str(answer) for answer in said]

    def _cut_off(self, columns: dict[str, Any]) -> list[bool] | None:
        """Whether each completion was cut off at its limit: its last token is neither an end token nor padding."""
        if self.end_tokens is None or "completion_ids" not in columns:
            return None
        return [bool(ids) and ids[-1] not in self.end_tokens for ids in columns["completion_ids"]]

    def _say_endings(self, completions: list[Any], cut_off: list[bool] | None, columns: dict[str, Any]) -> None:
        """Log how the completions ended; where reasons are asked for, say it only if it decides this reward."""
        say = columns.get("log_extra") if self.logs_endings else None
        explain = columns.get("explain") if self.if_finished else None
        if say is None and explain is None:
            return
        said = endings(completions, cut_off, columns)
        if say is not None:
            say(ENDING, said)
        if explain is not None and set(said) != {ENDED}:
            explain(ENDING, said)

    def _check_no_column(self, name: str, columns: dict[str, Any]) -> None:
        if name in columns:
            raise RewardError(
                f"the data have a column '{name}', which is the name of what reward functions are told of "
                "completions that were cut off; give the column another name"
            )

    def _gated(self, values: Values, condition: Values | None, completions: list[Any], columns: Any) -> Values:
        """The values where the condition is above zero, else 0.0; at most 0.0 for what had to finish and did not."""
        if self.if_finished:
            pending = unfinished(completions, self._cut_off(columns), columns)
            pairs = zip(values, pending, strict=True)
            values = [min(value or 0.0, 0.0) if is_open else value for value, is_open in pairs]
        if condition is None:
            return values
        return where_positive(condition, values)

    def _failed(self, error: Exception, completions: list[Any], columns: dict[str, Any]) -> Values:
        """Every completion of the batch as missing, where `on_error` says so; else raise RewardError."""
        message = failure_message(self.__name__, error, completions, columns.get("prompts"))
        if self._conduct.on_error == STOP or is_call_error(error):
            raise RewardError(message) from error
        self._count("missing", 1.0, f"{message}; the batch counts as missing", columns)
        return [None] * len(completions)

    def _pause(self, error: Exception, attempt: int, columns: dict[str, Any]) -> float | None:
        """Seconds until a failed call is made again, 1, 2, 4, ...; None where it is not."""
        if attempt >= self._conduct.retries or is_call_error(error):
            return None
        what = f"reward '{self.__name__}' raised {type(error).__name__}: {shortened(str(error))}; it is asked again"
        self._count("retries", 1.0, what, columns)
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt)

    def _checked(self, returned: Any, completions: list[Any], columns: dict[str, Any]) -> Values:
        values = numbers(self.__name__, returned, completions)
        unusable = [index for index, value in enumerate(values) if value is not None and not is_usable(value)]
        if not unusable:
            return values
        first = unusable[0]
        what = f"reward '{self.__name__}' returned {values[first]} on the completion {shortened(completions[first])}"
        self._count("missing", len(unusable) / len(completions), f"{what}; it counts as missing", columns)
        return [value if value is None or is_usable(value) else None for value in values]

    def _count(self, of: str, value: float, what: str, columns: dict[str, Any]) -> None:
        """Log the metric `rewards/<name>/<of>`, and warn the first time."""
        metric = f"rewards/{self.__name__}/{of}"
        if "log_metric" in columns:
            columns["log_metric"](metric, value)
        if of in self._has_warned:
            return
        self._has_warned.add(of)
        step = getattr(columns.get("trainer_state"), "global_step", None)
        when = "" if step is None else f" after step {step}"
        logger.warning(f"{what}{when}. This is logged once; the metric {metric} counts on.")


class GuardedReward(Guard):
    """Calls a reward function as TRL does, tells it which completions were truncated, and checks what it returns.

    A function that accepts `truncated` by name or by `**kwargs` gets one bool for each completion: its last token is
    neither an end token nor padding. `unfinished` says the same, and is true as well where the reasoning (`<think>`)
    does not end. A value that is not finite in single precision counts as missing (None): the metric
    `rewards/<name>/missing` is the share of such completions in a batch that has any, and a warning names the first.
    With `on_error="missing"` a whole batch on which the function raises counts as missing too.

    Raises:
        RewardError: naming the function and the completion, when the function raises (`on_error="stop"`), when it
            cannot be called with what it is given, and when it does not return one number or None per completion.
    """

    def __call__(self, completions: list[Any], **columns: Any) -> Values:
        if self._kept is not None and self._kept[0] is completions:
            kept: Values = self._kept[1]
            return kept
        values = self._asked(completions, columns)
        condition = None if self.condition is None else self.condition(completions=completions, **columns)
        values = self._gated(values, condition, completions, columns)
        if self.is_condition:
            self._kept = (completions, values)
        return values

    def _asked(self, completions: list[Any], columns: dict[str, Any]) -> Values:
        keywords = self._keywords(completions, columns)
        for attempt in range(self._conduct.retries + 1):
            try:
                returned = as_list(self._reward(**keywords))
            except Exception as error:
                pause = self._pause(error, attempt, columns)
                if pause is None:
                    return self._failed(error, completions, columns)
                time.sleep(pause)
            else:
                break
        return self._checked(returned, completions, columns)


class AsyncGuardedReward(Guard):
    """As `GuardedReward`, for an asynchronous function or an object with an asynchronous `__call__`.

    It is also for a function whose condition is asynchronous.
    """

    async def __call__(self, completions: list[Any], **columns: Any) -> Values:
        if not self.is_condition:
            return await self._scored(completions, columns)
        if self._kept is None or self._kept[0] is not completions:
            self._kept = (completions, asyncio.ensure_future(self._scored(completions, columns)))
        values: Values = await self._kept[1]
        return values

    async def _scored(self, completions: list[Any], columns: dict[str, Any]) -> Values:
        values = await self._asked(completions, columns)
        condition = None
        if self.condition is not None:
            condition = await awaited(self.condition(completions=completions, **columns))
        return self._gated(values, condition, completions, columns)

    async def _asked(self, completions: list[Any], columns: dict[str, Any]) -> Values:
        keywords = self._keywords(completions, columns)
        for attempt in range(self._conduct.retries + 1):
            try:
                returned = as_list(await self._within_limit(self._reward(**keywords)))
            except Exception as error:
                pause = self._pause(error, attempt, columns)
                if pause is None:
                    return self._failed(error, completions, columns)
                await asyncio.sleep(pause)
            else:
                break
        return self._checked(returned, completions, columns)

    async def _within_limit(self, call: Any) -> Any:
        limit = self._conduct.time_limit
        try:
            async with asyncio.timeout(limit) as clock:
                return await awaited(call)
        except TimeoutError as error:
            if not clock.expired():
                raise  # the function's own
            raise TimeoutError(f"no answer within {limit:g} seconds") from error
