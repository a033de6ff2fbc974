"""From folders of runs to a comparison: read, group, check that it was measured alike, compute, judge."""

from collections.abc import Sequence
from pathlib import Path

from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.compare import comparability, metrics
from expctl.compare.before_training import different_starts
from expctl.compare.budget import Budget, at
from expctl.compare.comparison import Comparison, Metric
from expctl.compare.differences import compare_metric, with_verdicts
from expctl.compare.excess_reduction import with_excess
from expctl.compare.groups import Grouped, group_runs, varied
from expctl.compare.labels import listed, typed
from expctl.compare.more_seeds import commands
from expctl.compare.runs import Record, UnreadableRunError, read
from expctl.runs.manifest import COMPLETED

MOST_NAMED = 4


def compare_runs(
    folders: Sequence[Path],
    *,
    gone: Sequence[str] = (),
    asked: Sequence[str] = (),
    excess: Sequence[str] = (),
    baseline: str = "first",
    level: float = 0.95,
    budget: Budget | None = None,
) -> Comparison:
    """Compare the runs of some folders.

    Args:
        folders: of runs, in the order in which groups are to be named.
        gone: runs that should be there too and are not.
        asked: metrics by name or pattern; none takes the objective and what else was evaluated in all groups.
        excess: metrics of which it is to be said what each group took away of what the baseline added in training.
        baseline: `first`, a label, a part of one, or one of its settings.
        level: of the intervals, and of being right when nothing differs: 1 - level is the chance of any wrong `better`
            or `worse` in the whole comparison.
        budget: compare the runs as they were when they had used so much, and not at their ends.

    Raises:
        Refusal: nothing can be compared: no completed run, other data, or no metric that was measured alike.
    """
    records, warnings = _completed(folders, gone, budget)
    groups, left_out = group_runs(records)
    base = _baseline(groups, baseline)
    groups = [base, *(group for group in groups if group is not base)]
    warnings += left_out
    if why := comparability.other_data(groups):
        raise Refusal(f"not measured alike: {why}", do=_within(groups))
    with_start = _evaluated_before(excess, groups)
    names, refusals = _measured_alike(metrics.chosen(groups, asked), groups, asked)
    compared = [compare_metric(name, groups, level) for name in dict.fromkeys([*names, *with_start])]
    judged = []
    for metric in with_verdicts(compared, 1 - level):
        judged.append(with_excess(metric, groups, level) if metric.name in with_start else metric)
    titles = {metric.name: metric.title for metric in judged}
    differences = [difference for metric in judged for difference in metric.differences]
    return Comparison(
        question=_question(groups) + (f", at {budget}" if budget else ""),
        level=level,
        baseline=base.label,
        varied=varied(groups),
        groups=[group.group for group in groups],
        metrics=judged,
        corrected_for=sum(difference.p_corrected is not None for difference in differences),
        warnings=[
            *warnings,
            *_missing(judged),
            *different_starts(titles, groups),
            *comparability.circumstances(groups),
        ],
        refusals=refusals,
        more_seeds=commands(groups, differences),
        budget=budget.word if budget else None,
    )


def _completed(folders: Sequence[Path], gone: Sequence[str], budget: Budget | None) -> tuple[list[Record], list[str]]:
    """The runs that can be compared, and a warning for each reason why another cannot, with the names."""
    records: list[Record] = []
    left_out: dict[str, list[str]] = {"there is no run of it": list(gone)} if gone else {}
    for folder in folders:
        try:
            record = read(folder)
            if budget and record.status == COMPLETED:
                record = at(record, budget)
        except UnreadableRunError as error:
            left_out.setdefault(str(error), []).append(folder.name)
            continue
        if record.status == COMPLETED:
            records.append(record)
        else:
            left_out.setdefault(f"{record.status}, not completed", []).append(folder.name)
    warnings = [f"{listed(names)} left out: {why}" for why, names in left_out.items()]
    if not records:
        raise Refusal("no completed run to compare", where="; ".join(warnings) or "nothing was found")
    return records, warnings


def _baseline(groups: Sequence[Grouped], word: str) -> Grouped:
    if word == "first":
        return groups[0]
    matches = [group for group in groups if group.label == word]
    matches = matches or [group for group in groups if word in _names(group)]
    matches = matches or [group for group in groups if word in group.label]
    if len(matches) != 1:
        labels = [group.label for group in groups]
        what = "no group is called" if not matches else f"{len(matches)} groups are called"
        raise Refusal(
            f"{what} '{word}'",
            where=f"--baseline {word} (command line)",
            nearest=[group.label for group in matches] or nearest(word, labels) or labels[:8],
        )
    return matches[0]


def _names(group: Grouped) -> set[str]:
    """What a group may be called besides its label: one of its settings, whole or only the value."""
    settings = {f"{key}={typed(value)}" for key, value in group.settings.items()}
    return {*group.label.split(), *settings, " ".join(settings), *map(typed, group.settings.values())}


def _measured_alike(
    names: Sequence[str], groups: Sequence[Grouped], asked: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The metrics that may be compared, and why the others may not.

    Raises:
        Refusal: one that was asked for is among the others, or nothing with a verdict is left.
    """
    checked = {name: comparability.measured_differently(name, groups) for name in names}
    reasons = {name: reason for name, reason in checked.items() if reason}
    kept = [name for name in names if name not in reasons]
    if reasons and (asked or not any(map(metrics.is_judged, kept))):
        raise Refusal(f"not measured alike: {'; '.join(reasons.values())}", do=_within(groups))
    if not kept:
        evaluated = "; ".join(f"{group.label}: {_evaluated(group)}" for group in groups[:MOST_NAMED])
        raise Refusal(
            "the groups have no metric in common", where=evaluated, do="evaluate all of them: args.do_eval=true"
        )
    return kept, list(reasons.values())


def _evaluated(group: Grouped) -> str:
    names = sorted({name for record in group.records for name in record.after})
    return ", ".join(names[:6]) or "none"


def _evaluated_before(asked: Sequence[str], groups: Sequence[Grouped]) -> list[str]:
    """The metrics of which an excess is asked for.

    Raises:
        Refusal: one that was not measured alike, or not before training; or a group alone.
    """
    if not asked:
        return []
    where = f"--excess {','.join(asked)} (command line)"
    names, _ = _measured_alike(metrics.chosen(groups, asked, "--excess"), groups, asked)
    if len(groups) == 1:
        raise Refusal("one group alone took nothing away from another", where=where, do="compare at least two groups")
    known = {name: None for record in groups[0].records for name, value in record.before.items() if value is not None}
    for name in names:
        if name not in known:
            what = f"{groups[0].label} has no evaluation of {name} before training"
            raise Refusal(what, where=where, nearest=nearest(name, known))
    return names


def _within(groups: Sequence[Grouped]) -> str:
    """What to do about groups that were not measured alike, where a setting tells them apart."""
    for key in ("dataset", "reward", "algorithm"):
        if key in groups[0].settings:
            return f"compare within one, by a filter: {key}={groups[0].settings[key]}"
    return ""


def _missing(compared: Sequence[Metric]) -> list[str]:
    """A run whose training diverged has no number, and its group looks better without it: that must be said."""
    warnings = []
    for metric in compared:
        missing = [run.run_id for summary in metric.groups for run in summary.values if run.value is None]
        if missing:
            what = f"{metric.name} is missing or no finite number, so left out of that metric"
            warnings.append(f"{what}: {listed(missing)}")
    return warnings


def _question(groups: Sequence[Grouped]) -> str:
    seeds = sorted(set[int]().union(*(group.seeds for group in groups)))
    over = f"seeds {_ranges(seeds)}" if seeds else "runs without a seed"
    if len(groups) == 1:
        return f"{groups[0].label}: {over}"
    keys = "; ".join(
        f"{key}: {listed([typed(value) for value in values], 8)}" for key, values in varied(groups).items()
    )
    return f"{keys or 'several groups'}, over {over}"


def _ranges(seeds: Sequence[int]) -> str:
    """`0-4, 7`."""
    ranges: list[tuple[int, int]] = []
    for seed in seeds:
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], seed)
        else:
            ranges.append((seed, seed))
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
