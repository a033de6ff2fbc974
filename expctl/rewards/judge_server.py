"""Requests to a server of OpenAI's style: paced, repeated where that helps, and within a budget."""

import asyncio
import email.utils
import os
import time
from typing import Any

import httpx

AGAIN = (408, 409, 425, 429)  # and 500 and above
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a request is made again; doubled each time
LONGEST_TEXT = 300


class JudgeError(RuntimeError):
    """The judge has given no answer, or its budget is spent."""


class Server:
    """A server, with what was spent on it.

    Args:
        url: without /chat/completions.
        key_variable: the variable of the environment that holds the key.
        pause: seconds between the beginnings of two requests.
        most_calls: requests that may be made; None for any number.
        most_tokens: tokens that may be used; None for any number.
        retries: how often a request is made again.

    Attributes:
        url: without a slash at its end.
        calls: requests made.
        tokens: tokens used, as far as the server says.
    """

    def __init__(
        self,
        url: str,
        key_variable: str,
        *,
        pause: float,
        most_calls: int | None,
        most_tokens: int | None,
        retries: int,
    ) -> None:
        self.url = url.rstrip("/")
        self.calls = 0
        self.tokens = 0
        self._key_variable = key_variable
        self._pause = pause
        self._most_calls = most_calls
        self._most_tokens = most_tokens
        self._retries = retries
        self._next = 0.0  # when the next request may begin

    async def answer(self, client: httpx.AsyncClient, request: dict[str, Any]) -> str:
        """The text of the answer to a request.

        Raises:
            JudgeError: there is none, after all repetitions, or the budget is spent.
        """
        for attempt in range(self._retries + 1):
            await self._turn()
            self._spend()
            problem, wait = "", 0.0
            try:
                response = await client.post(f"{self.url}/chat/completions", json=request, headers=self._headers())
            except httpx.TimeoutException:
                problem = "no answer in time (judge.timeout)"
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
            except httpx.InvalidURL as error:
                raise JudgeError(f"judge.url={self.url} is no address: {error}") from error
            else:
                if response.is_success:
                    return self._text(response)
                problem, wait = self._refused(response)
            if attempt < self._retries:
                backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt)
                self._next = max(self._next, time.monotonic() + wait)
                await asyncio.sleep(max(backoff, wait))
        raise JudgeError(f"the judge at {self.url} has not answered: {problem}")

    async def _turn(self) -> None:
        """Wait until a request may begin. Requests that were told to wait hold up the others as well."""
        now = time.monotonic()
        begin = max(now, self._next)
        self._next = begin + self._pause
        if begin > now:
            await asyncio.sleep(begin - now)

    def _spend(self) -> None:
        """Count a request. Raise JudgeError where the budget is spent."""
        for most, spent, unit in ((self._most_calls, self.calls, "calls"), (self._most_tokens, self.tokens, "tokens")):
            if most is not None and spent >= most:
                raise JudgeError(
                    f"the judge's budget is spent: {spent} of {most} {unit}. Raise judge.most_{unit}, which carries on "
                    "from the last checkpoint; or reward.on_error=missing trains without further scores"
                )
        self.calls += 1

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self._key_variable)
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _text(self, response: httpx.Response) -> str:
        """The answer in a response. Raise JudgeError where it is no response of OpenAI's style."""
        try:
            body = response.json()
            self.tokens += int((body.get("usage") or {}).get("total_tokens") or 0)
            message = body["choices"][0]["message"]
            return str(message.get("content") or "")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise JudgeError(
                f"{self.url}/chat/completions answers in another form than OpenAI's: {self._shown(response)}"
            ) from error

    def _refused(self, response: httpx.Response) -> tuple[str, float]:
        """What the server said, and the seconds that it asks to wait. Raise JudgeError where repeating is useless."""
        status = response.status_code
        said = f"{status} {response.reason_phrase}: {self._shown(response)}"
        if status in AGAIN or status >= 500:
            return said, _seconds(response.headers.get("retry-after"))
        key = ""
        if status in (401, 403):
            is_set = "holds another key" if os.environ.get(self._key_variable) else "is not set"
            key = f" (its key is read from the environment: {self._key_variable} {is_set})"
        raise JudgeError(f"the judge at {self.url} refuses: {said}{key}")

    def _shown(self, response: httpx.Response) -> str:
        """The beginning of a response, without the key, which some servers repeat."""
        text = " ".join(response.text.split())
        key = os.environ.get(self._key_variable)
        return (text.replace(key, "***") if key else text)[:LONGEST_TEXT]


def _seconds(retry_after: str | None) -> float:
    """The seconds of a header Retry-After, a number or a date; 0 where there is none."""
    if not retry_after:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0
