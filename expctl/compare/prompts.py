"""Evaluations prompt by prompt: two models that answered the same prompts are compared on each of them.

What a prompt adds to both falls out of the difference, so that far fewer samples show it. It is these models that are
compared, not the algorithms that made them: another training seed makes another model, so where three seeds or more are
there, `differences` compares by these.

Coverage by simulation (5,000 pairs of models on n prompts whose difficulty they share, true accuracies 0.80 and 0.69,
stated level 0.95; tests/compare/test_prompts.py repeats a part of it): the interval of the paired difference,
Student's, covers 0.94 to 0.95 of the time for n = 16, 32, 128 and 512. McNemar's exact test, at 0.05 and without any
difference, says that there is one in 0.003, 0.021, 0.030 and 0.038 of the cases.

Why no bootstrap of the pairs: on lengths (lognormal, difficulty shared, other spreads; 1,000 pairs of models each, n =
16, 64, 256) the studentised one covers 0.91, 0.94 and 0.94, Student's 0.93, 0.95 and 0.95; without a difference it
finds one in 0.086, 0.074 and 0.051 of the cases, Student's in 0.032, 0.046 and 0.037.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from expctl.base.plain_data import is_number
from expctl.compare import statistics
from expctl.compare.comparison import Estimate
from expctl.compare.groups import Grouped
from expctl.compare.runs import Record
from expctl.runs.prompt_values import per_prompt
from expctl.runs.reading import read_rows

MCNEMAR, PAIRED = "McNemar's exact test", "paired test"
# Fewer prompts than that are no test.
FEWEST_PROMPTS = 8


def of_both(name: str, group: Grouped, baseline: Grouped) -> tuple[list[float], list[float]] | None:
    """The values of a metric of the prompts that both groups have, in the same order; None where these are too few.

    Of several runs in a group it is their mean.
    """
    first, second = (_mean_by_prompt(name, each.records) for each in (group, baseline))
    common = [prompt for prompt in first if prompt in second]
    if len(common) < FEWEST_PROMPTS or 2 * len(common) <= max(len(first), len(second)):
        return None
    return [first[prompt] for prompt in common], [second[prompt] for prompt in common]


def difference(
    group: Sequence[float], baseline: Sequence[float], level: float
) -> tuple[Estimate | None, float | None, str]:
    """Group minus baseline with its interval, p and the test's name.

    p is McNemar's exact one where every prompt is right or wrong (McNemar 1947: the sign of the prompts on which the
    models differ, by the binomial distribution), else that of the paired difference.
    """
    estimate, p = statistics.paired_difference(list(group), list(baseline), level)
    if not all(value in (0.0, 1.0) for value in (*group, *baseline)):
        return estimate, p, PAIRED
    from scipy import stats

    only_group = sum(x > y for x, y in zip(group, baseline, strict=True))
    only_baseline = sum(x < y for x, y in zip(group, baseline, strict=True))
    differing = only_group + only_baseline
    return estimate, float(stats.binomtest(only_group, differing).pvalue) if differing else 1.0, MCNEMAR


def _mean_by_prompt(name: str, records: Sequence[Record]) -> dict[str, float]:
    """Prompt -> the mean over the runs that all have it."""
    columns = [by_prompt(record, name) for record in records]
    if not columns:
        return {}
    common = [prompt for prompt in columns[0] if all(prompt in column for column in columns)]
    return {prompt: sum(column[prompt] for column in columns) / len(columns) for prompt in common}


def by_prompt(record: Record, name: str) -> Mapping[str, float]:
    """Prompt -> value of one metric, of an evaluation; empty of any other run.

    The prompt is its id, with its number where the same is asked more than once.
    """
    rows, _ = read_rows(record.run.completions)
    of_set = [row for row in rows if name.startswith(f"{row.get('set')}_") and isinstance(row.get("prompt_id"), str)]
    if not of_set:
        return {}
    functions = dict.fromkeys(key for row in of_set for key in _functions(row))
    weights = {key: _weight(record, key) for key in functions}
    column = per_prompt(of_set, weights).get(name.removeprefix(f"{of_set[0]['set']}_"))
    seen: Counter[str] = Counter()
    values = {}
    for row, value in zip(of_set, column or [], strict=False):
        prompt = row["prompt_id"]
        seen[prompt] += 1
        if value is not None:
            values[f"{prompt} {seen[prompt]}"] = value
    return values


def _functions(row: Mapping[str, object]) -> list[str]:
    rewards = row.get("rewards")
    return list(rewards) if isinstance(rewards, dict) else []


def _weight(record: Record, function: str) -> float:
    weight = record.config.get(f"reward.weights.{function}")
    return float(weight) if is_number(weight) else 1.0
