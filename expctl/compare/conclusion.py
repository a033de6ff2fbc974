"""From folders of runs to a comparison: read, group, check that it was measured alike, compute, judge."""

from collections.abc import Sequence
from pathlib import Path

from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.compare import comparability, metrics
from expctl.compare.before_training import started_otherwise
from expctl.compare.comparison import Comparison, Metric
from expctl.compare.excess_reduction import excess as excess_of
from expctl.compare.groups import Grouped, group, listed, typed, varied
from expctl.compare.more_seeds import commands
from expctl.compare.runs import Record, UnreadableRunError, read
from expctl.compare.tests_of_metrics import judge, measure
from expctl.runs.manifest import COMPLETED

MOST_NAMED = 4


def conclude(
    folders: Sequence[Path],
    *,
    gone: Sequence[str] = (),
    asked: Sequence[str] = (),
    excess: Sequence[str] = (),
    baseline: str = "first",
    level: float = 0.95,
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

    Raises:
        Refusal: nothing can be compared: no completed run, other data, or no metric that was measured alike.
    """
    records, warnings = _completed(folders, gone)
    groups, told = group(records)
    base = _baseline(groups, baseline)
    groups = groups if baseline == "first" else [base, *(one for one in groups if one is not base)]
    warnings += told
    if why := comparability.other_data(groups):
        raise Refusal(f"not measured alike: {why}", do=_within(groups))
    added = _evaluated_before(excess, groups)
    names, refusals = _measured_alike(metrics.chosen(groups, asked), groups, asked)
    measured = [measure(name, groups, level) for name in dict.fromkeys([*names, *added])]
    judged = [
        excess_of(metric, groups, level) if metric.name in added else metric for metric in judge(measured, 1 - level)
    ]
    titles = {metric.name: metric.title for metric in judged}
    count = sum(difference.p_corrected is not None for metric in judged for difference in metric.differences)
    return Comparison(
        question=_question(groups),
        level=level,
        baseline=base.label,
        varied=varied(groups),
        groups=[one.group for one in groups],
        metrics=judged,
        corrected_for=count,
        warnings=[
            *warnings,
            *_missing(judged),
            *started_otherwise(titles, groups),
            *comparability.circumstances(groups),
        ],
        refusals=refusals,
        more_seeds=commands(groups, [difference for metric in judged for difference in metric.differences]),
    )


def _completed(folders: Sequence[Path], gone: Sequence[str]) -> tuple[list[Record], list[str]]:
    """The runs that can be compared, and a warning for each reason why another cannot, with the names."""
    records: list[Record] = []
    left_out: dict[str, list[str]] = {"there is no run of it": list(gone)} if gone else {}
    for folder in folders:
        try:
            record = read(folder)
        except UnreadableRunError as error:
            left_out.setdefault(str(error), []).append(folder.name)
            continue
        if record.status == COMPLETED:
            records.append(record)
        else:
            left_out.setdefault(f"{record.status}, not completed", []).append(folder.name)
    told = [f"{listed(names)} left out: {why}" for why, names in left_out.items()]
    if not records:
        raise Refusal("no completed run to compare", where="; ".join(told) or "nothing was found")
    return records, told


def _baseline(groups: Sequence[Grouped], word: str) -> Grouped:
    if word == "first":
        return groups[0]
    labels = {one.label: one for one in groups}
    found = [one for label, one in labels.items() if label == word] or [
        one for label, one in labels.items() if word in _names(one)
    ] or [one for label, one in labels.items() if word in label]  # fmt: skip
    if len(found) != 1:
        what = "no group is called" if not found else f"{len(found)} groups are called"
        raise Refusal(
            f"{what} '{word}'",
            where=f"--baseline {word} (command line)",
            nearest=[one.label for one in found] or nearest(word, labels) or list(labels)[:8],
        )
    return found[0]


def _names(one: Grouped) -> set[str]:
    """What a group may be called besides its label: one of its settings, whole or only the value."""
    settings = {f"{key}={typed(value)}" for key, value in one.group.settings.items()}
    return {*one.label.split(), *settings, " ".join(settings), *map(typed, one.group.settings.values())}


def _measured_alike(
    names: Sequence[str], groups: Sequence[Grouped], asked: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The metrics that may be compared, and why the others may not.

    Raises:
        Refusal: one that was asked for is among the others, or nothing with a verdict is left.
    """
    reasons = {name: why for name in names if (why := comparability.measured_otherwise(name, groups))}
    kept = [name for name in names if name not in reasons]
    if reasons and (asked or not any(map(metrics.is_judged, kept))):
        raise Refusal(f"not measured alike: {'; '.join(reasons.values())}", do=_within(groups))
    if not kept:
        lacking = "; ".join(
            f"{one.label}: {', '.join(sorted({name for record in one.records for name in record.after})[:6]) or 'none'}"
            for one in groups[:MOST_NAMED]
        )
        raise Refusal(
            "the groups have no metric in common", where=lacking, do="evaluate all of them: args.do_eval=true"
        )
    return kept, list(reasons.values())


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
            said = f"{groups[0].label} has no evaluation of {name} before training"
            raise Refusal(said, where=where, nearest=nearest(name, known))
    return names


def _within(groups: Sequence[Grouped]) -> str:
    setting = next(((key, value) for key in ("dataset", "reward", "algorithm")
                    for key_of, value in groups[0].group.settings.items() if key_of == key), None)  # fmt: skip
    return f"compare within one, by a filter: {setting[0]}={setting[1]}" if setting else ""


def _missing(computed: Sequence[Metric]) -> list[str]:
    """A run whose training diverged has no number, and its group looks better without it: that must be said."""
    told = []
    for metric in computed:
        missing = [value.run_id for one in metric.groups for value in one.values if value.value is None]
        if missing:
            told.append(f"{metric.name} is missing or no finite number, so left out of that metric: {listed(missing)}")
    return told


def _question(groups: Sequence[Grouped]) -> str:
    seeds = sorted({seed for one in groups for seed in one.group.seeds if seed is not None})
    over = f"seeds {_ranges(seeds)}" if seeds else "runs without a seed"
    if len(groups) == 1:
        return f"{groups[0].label}: {over}"
    keys = "; ".join(
        f"{key}: {listed([typed(value) for value in values], 8)}" for key, values in varied(groups).items()
    )
    return f"{keys or 'several groups'}, over {over}"


def _ranges(seeds: Sequence[int]) -> str:
    """`0-4, 7`."""
    found: list[list[int]] = []
    for seed in seeds:
        if found and seed == found[-1][-1] + 1:
            found[-1].append(seed)
        else:
            found.append([seed])
    return ", ".join(f"{those[0]}-{those[-1]}" if those[1:] else str(those[0]) for those in found)
