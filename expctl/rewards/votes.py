"""Answers as votes: the same answer of two completions is one vote twice, however it is written."""

from expctl.rewards.completions import OPEN_MARK, UNFINISHED
from expctl.rewards.numbers import read_number, read_statement
from expctl.rewards.texts import normal

NO_ANSWER = ("", UNFINISHED, OPEN_MARK)


def vote(answer: str) -> str | None:
    """What an answer votes for: a number by its value (`1,200` and `$1200.00` as `1200`), else its normalised text.

    Args:
        answer: as a reward function says it to `explain` under "answer read".

    Returns:
        None where the completion gave no answer, and does not vote.
    """
    if answer.strip() in NO_ANSWER:
        return None
    read = read_number(answer) or read_statement(answer)
    return str(read.value) if read else normal(answer) or None
