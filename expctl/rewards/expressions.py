"""Reward of a right final answer by algebra: math-verify compares expressions, sets, intervals and matrices."""

import re
from collections.abc import Sequence
from fractions import Fraction

from expctl.rewards.algebra_processes import Pair, equal_pairs
from expctl.rewards.completions import Completion, Explain, final_texts
from expctl.rewards.marked import marked_answer
from expctl.rewards.math_answer import expected_answer, explain_answers, same_answer, same_value, scores
from expctl.rewards.numbers import read_number
from expctl.rewards.plain import plain
from expctl.rewards.texts import normal, parts
from expctl.rewards.units import split_unit

LONGEST_EXPRESSION = 300  # characters
_FUNCTIONS = "sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|exp|sqrt|frac|binom|pi"
# What the library would read as something else, or leave out.
_NOT_READ = re.compile(
    r"[≈~∼≃≅]|(?<![/\d_])\d+ \d+ ?/|\d ?\(\d"
    r"|\.\.|\\[lc]?dots|'|\d ?_|[-+] ?[-+]|\\(?:lor|land|vee|wedge|pmod|mod|bmod|pm|mp|approx|sim|equiv|not)(?![a-z])"
    r"|[=<>≤≥] ?[?!]|[!?] ?=|^\[[^,]*\]$|\\{[^,]*\\}$"
)
# Powers of powers and powers with an exponent of four digits: the process would only be ended over them.
_TOWER = re.compile(r"\^ ?\{?[\d (){}]{1,20}\^|\^ ?\{? ?-?\d{4}|\d{4} ?!|\d{50}")
_WORD = re.compile(rf"(?<![\\a-zA-Z])(?!(?:{_FUNCTIONS})(?![a-zA-Z]))[a-zA-Z]{{2,}}")
_NAME = re.compile(r"^\s*(?:[a-zA-Z]|[a-z]\([a-z]\))\s*(?:=(?![^=]*=)|\\in(?![a-z]))")


def accuracy(
    completions: Sequence[Completion],
    answer: Sequence[object],
    truncated: Sequence[bool] | None = None,
    prompts: Sequence[Completion] | None = None,
    explain: Explain | None = None,
    **kwargs: object,
) -> list[float | None]:
    """1.0 where the final answer equals the right one, by value, as text or by algebra; else 0.0; None without one.

    As `expctl.rewards.math_answer.accuracy`; where that finds no equality, math-verify compares what the completion
    marks: `\\sqrt{8}` is `2\\sqrt{2}`, `(x+1)^2` is `x^2+2x+1`, `5 > x` is `x < 5`, `2^{10}` is 1024.

    Its limits: an answer without a mark is not compared by algebra; expressions of more than 300 characters, with
    words, subscripts of numbers, `\\pm`, dots or powers of powers are compared as text only; a pair may take 3 seconds
    of processor time and 4 GiB, then it is not equal; decimal numbers are exact (0.333 is not 1/3).

    Args:
        completions: one completion a row, a string or a conversation whose last message is the completion.
        answer: the right answer of each row, alone or at the end of a solution.
        truncated: whether each completion was cut off at its limit; None where that is not known.
        prompts: the prompt of each row; one that ends with `<think>` begins the reasoning.
        explain: takes what was read, for `expctl reward`.
        **kwargs: what else TRL passes to a reward function; ignored.

    Raises:
        RuntimeError: math-verify cannot be run.
    """
    texts = final_texts(completions, truncated, prompts)
    if explain:
        explain_answers(explain, texts, answer)
    return scores_together(texts, answer)


def scores_together(texts: Sequence[str | None], answers: Sequence[object]) -> list[float | None]:
    """As `expctl.rewards.math_answer.scores` by `same_by_algebra`, each pair that needs algebra compared once."""
    decided: dict[tuple[str, str], bool | Pair] = {}

    def first_look(text: str, right: str) -> bool:
        decided[text, right] = verdict = decided_without_algebra(text, right)
        return verdict is True

    rewards = scores(texts, answers, first_look)
    pairs = list(dict.fromkeys(pair for pair in decided.values() if not isinstance(pair, bool)))
    verdicts = dict(zip(pairs, equal_pairs(pairs), strict=True))

    def second_look(text: str, right: str) -> bool:
        verdict = decided[text, right]
        return verdict if isinstance(verdict, bool) else verdicts[verdict]

    return scores(texts, answers, second_look) if pairs else rewards


def same_by_algebra(text: str, right: str) -> bool:
    """Whether the final answer of `text` equals that of `right`, by algebra where it is marked."""
    verdict = decided_without_algebra(text, right)
    return verdict if isinstance(verdict, bool) else equal_pairs([verdict])[0]


def decided_without_algebra(text: str, right: str) -> bool | Pair:
    """The verdict where no algebra is needed; else the right and the given expression, which it must compare."""
    given, expected = marked_answer(text), expected_answer(right)
    if given is None:
        return same_answer(text, right)
    if same_value(given, expected):
        return True
    if read_number(given) is not None and read_number(expected) is not None:
        return False
    (given, unit), (expected, right_unit) = split_unit(given), split_unit(expected)
    if unit and right_unit and unit != right_unit:
        return False
    left, right_side = _expression(given), _expression(expected)
    if left is None or right_side is None or _relations(left) != _relations(right_side):
        return False
    if _letters(left) != _letters(right_side) and _letters(left.lower()) == _letters(right_side.lower()):
        return False
    if _enclosed(left) != _enclosed(right_side):
        return False
    return _exact(right_side), _exact(left)


def _expression(answer: str) -> str | None:
    """The answer as LaTeX without a name before it; None where the library would misread it."""
    answer = answer.strip().strip("$").strip()
    if "=" in answer or "\\in" in answer:
        answer = _NAME.sub("", answer)
    bare = plain(answer)
    if not bare or len(answer) > LONGEST_EXPRESSION or _NOT_READ.search(bare) or _TOWER.search(bare):
        return None
    without_commands = re.sub(r"\\(?:begin|end) ?\{\w+\}|\\[a-zA-Z]+", " ", bare)
    return None if _WORD.search(without_commands) else answer


def _relations(latex: str) -> tuple[bool, bool]:
    """Whether it is an equation, and whether it is an inequality."""
    return "=" in latex, bool(re.search(r"[<>≤≥≠]|\\(?:leq?|geq?|lt|gt|neq?)(?![a-z])", latex))


def _enclosed(latex: str) -> tuple[str, str] | None:
    """What a list, point, interval or set stands in; None where it is none."""
    split = parts(normal(latex.replace(";", ",")))
    return None if split is None else split[:2]


def _exact(latex: str) -> str:
    """With each decimal number as a fraction: the library rounds decimals."""
    return re.sub(r"(?<![\d,])\d*\.\d+", lambda decimal: _as_fraction(decimal[0]), latex)


def _as_fraction(decimal: str) -> str:
    value = Fraction(decimal)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _letters(latex: str) -> set[str]:
    """The variables; the library takes no notice of their case."""
    return set(re.findall(r"[a-zA-Z]", re.sub(r"\\[a-zA-Z]+", " ", latex)))
