"""The reward of a language model that judges: asked at an OpenAI-style address, by a rubric, for a score on a scale."""

import asyncio
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from expctl.rewards.completions import Completion, after_reasoning, final_texts
from expctl.rewards.judge_cache import keep, kept, key_of
from expctl.rewards.judge_prompt import messages
from expctl.rewards.judge_server import JudgeError, Server

SHOWN = 300  # characters of an answer


class Judge:
    """Scores of 0 to 1, given by a language model. It is asked at the same time about all completions of a batch.

    The same request is made once, in this run and in others. Not asked about, and worth 0: completions that were cut
    off or whose reasoning does not end. Without a score, and so missing: those whose answer has none on the scale.

    Args:
        url: of the server, without /chat/completions.
        model: its name there.
        rubric: what is good.
        rubric_file: a file that says it, in place of `rubric`.
        columns: of the row, that the judge sees too.
        scale: the worst and the best score.
        pattern: finds the score in the answer, as its one group; the last one counts.
        temperature: of the judge's sampling.
        max_tokens: of its answer; None leaves it to the server.
        options: further fields of each request.
        at_once: requests at the same time, of all processes together.
        per_minute: requests in a minute, of all processes together; None for any number.
        most_calls: requests that the run may make; None for any number.
        most_tokens: tokens that the run may use, as the server counts them; None for any number.
        timeout: seconds of a request.
        retries: how often a request is made again.
        cache: whether answers are kept for other runs.
        key_variable: the variable of the environment that holds the key.
    """

    def __init__(
        self,
        url: str,
        model: str,
        rubric: str = "Judge how correct, helpful and clear the response is.",
        rubric_file: str | None = None,
        columns: Sequence[str] = (),
        scale: Sequence[float] = (0, 10),
        pattern: str = r"Score:\s*\**\s*(-?\d+(?:\.\d+)?)",
        temperature: float = 0.0,
        max_tokens: int | None = 1024,
        options: dict[str, Any] | None = None,
        at_once: int = 16,
        per_minute: float | None = None,
        most_calls: int | None = None,
        most_tokens: int | None = None,
        timeout: float = 120,
        retries: int = 5,
        cache: bool = True,
        key_variable: str = "OPENAI_API_KEY",
    ) -> None:
        self._rubric = Path(rubric_file).expanduser().read_text(encoding="utf-8") if rubric_file else rubric
        self._columns = list(columns)
        self._worst, self._best = scale
        self._pattern = re.compile(pattern)
        self._fields = {"model": model, "temperature": temperature} | (options or {})
        if max_tokens is not None:
            self._fields["max_tokens"] = max_tokens
        self._cache = cache
        self._timeout = timeout
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        self._at_once = max(1, at_once // processes)
        self._server = Server(
            url,
            key_variable,
            pause=60.0 * processes / per_minute if per_minute else 0.0,
            most_calls=None if most_calls is None else max(1, most_calls // processes),
            most_tokens=None if most_tokens is None else max(1, most_tokens // processes),
            retries=retries,
        )

    def state_dict(self) -> dict[str, int]:
        """What was spent, which a resumed run has spent already."""
        return {"calls": self._server.calls, "tokens": self._server.tokens}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take what an interrupted run had spent."""
        self._server.calls, self._server.tokens = state["calls"], state["tokens"]

    async def __call__(
        self,
        prompts: Sequence[Completion],
        completions: Sequence[Completion],
        truncated: Sequence[bool] | None = None,
        log_extra: Callable[[str, list[str]], None] | None = None,
        **columns: Any,
    ) -> list[float]:
        """One score a completion, NaN where the answer has none.

        Raises:
            ValueError: the data lack a column that the judge is to see.
            JudgeError: a request has failed; the answers to the others are kept.
        """
        self._check_columns(columns)
        requests: list[dict[str, Any] | None] = []
        for row, text in enumerate(final_texts(completions, truncated, prompts)):
            shown = {name: columns[name][row] for name in self._columns}
            requests.append(None if text is None else self._request(prompts[row], text, shown))
        answers = await self._answers([request for request in requests if request is not None])
        scores, said = [], []
        for request in requests:
            answer = None if request is None else answers[key_of(self._server.url, request)]
            scores.append(0.0 if answer is None else self._score(answer))
            said.append("not asked: unfinished" if answer is None else answer[-SHOWN:])
        if log_extra is not None:
            log_extra("judge", said)
        return scores

    def _check_columns(self, columns: dict[str, Any]) -> None:
        absent = [name for name in self._columns if name not in columns]
        if absent:
            raise ValueError(f"judge.columns names '{absent[0]}', which the data do not have")

    def _request(self, prompt: Completion, completion: str, shown: dict[str, Any]) -> dict[str, Any]:
        scale = (self._worst, self._best)
        return self._fields | {"messages": messages(self._rubric, scale, prompt, completion, shown)}

    async def _answers(self, requests: list[dict[str, Any]]) -> dict[str, str]:
        """Key of each request -> the answer to it. Raise JudgeError, once all are done, where one has failed."""
        wanted = {key_of(self._server.url, request): request for request in requests}
        answers = {key: answer for key in wanted if self._cache and (answer := kept(key)) is not None}
        open_slots = asyncio.Semaphore(self._at_once)
        async with httpx.AsyncClient(timeout=self._timeout) as client:

            async def ask(key: str) -> None:
                async with open_slots:
                    answers[key] = await self._server.answer(client, wanted[key])
                if self._cache and math.isfinite(self._score(answers[key])):
                    keep(key, answers[key])

            asked = [ask(key) for key in wanted if key not in answers]
            failures = [failed for failed in await asyncio.gather(*asked, return_exceptions=True) if failed]
        if failures:
            others = f" ({len(failures)} of {len(asked)} requests failed)" if len(asked) > 1 else ""
            raise JudgeError(f"{failures[0]}{others}") from failures[0]
        return answers

    def _score(self, answer: str) -> float:
        """The score as a share of the scale; NaN where there is none on it."""
        found = self._pattern.findall(after_reasoning(answer) or "")
        try:
            score = float(found[-1])
        except (IndexError, ValueError):
            return math.nan
        share = (score - self._worst) / (self._best - self._worst)
        return share if 0 <= share <= 1 else math.nan
