"""The page's last sections: what was configured, where the runs come from, and how to do all of it again."""

from collections.abc import Iterable, Sequence
from typing import Any

from expctl.compare.comparison import Comparison
from expctl.compare.groups import ABSENT, Grouped
from expctl.compare.labels import typed
from expctl.compare.runs import Record
from expctl.report.page.markup import Markup, joined, pre, section, table, tag
from expctl.report.recorded import commit, machine
from expctl.runs.decisive import FlatConfig, follows_seed


def configs(groups: Sequence[Grouped]) -> Markup:
    """What the groups' configs differ in, and the whole of them with those lines marked."""
    of_groups = {group.label: group.records[0].config for group in groups if group.records}
    keys = sorted({key for config in of_groups.values() for key in config} - _seeds(of_groups.values()))
    rows = {key: [_typed(config.get(key, ABSENT)) for config in of_groups.values()] for key in keys}
    differing = [key for key, values in rows.items() if len(set(values)) > 1]
    columns = ["key", *of_groups]
    parts: list[Any] = []
    if differing:
        differences = [[key, *rows[key]] for key in differing]
        parts.append(table("Where the configs differ", columns, differences, class_="config"))
    elif len(of_groups) > 1:
        parts.append(tag("p", "The configs are the same; the groups differ in files."))
    lines = [_line(key, values, key in differing) for key, values in rows.items()]
    title = f"All {len(keys)} keys{', differences marked' if differing else ''}"
    whole = table("The whole config", columns, lines, class_="config")
    parts.append(tag("details", tag("summary", title), whole))
    return section("configs", "Configs", *parts)


def _seeds(configs: Iterable[FlatConfig]) -> set[str]:
    """The keys that follow the seed in each config, in which repetitions differ."""
    following = [
        {key for key, value in config.items() if follows_seed(key, value, config.get("seed"))} for config in configs
    ]
    return set.intersection(*following) if following else set()


def _line(key: str, values: Sequence[str], differs: bool) -> Markup:
    if not differs:
        return tag("tr", tag("th", key, scope="row"), tag("td", values[0], colspan=len(values)))
    name = tag("th", key, " ", tag("span", "differs", class_="note"), scope="row")
    return tag("tr", name, *(tag("td", tag("mark", value)) for value in values), class_="differs")


def _typed(value: Any) -> str:
    return value if value == ABSENT else typed(value)


def provenance(groups: Sequence[Grouped]) -> Markup:
    """Each run with its machine and data, and the versions of what it ran on."""
    records = [record for group in groups for record in group.records]
    columns = ["run", "group", "seed", "started", "machine", "git", "data (train, held out)"]
    rows = [_origin(group.label, record) for group in groups for record in group.records]
    packages = dict.fromkeys(name for record in records for name, version in record.versions.items() if version)
    versions = [(name, _marked(record.versions.get(name) or "none" for record in records)) for name in packages]
    return section(
        "provenance",
        "Provenance",
        table("The runs", columns, rows),
        table("Versions", ["package", "version"], versions),
    )


def _origin(label: str, record: Record) -> list[str]:
    manifest = record.manifest
    seed = "none" if record.seed is None else str(record.seed)
    where = [machine(manifest) or "unknown", commit(manifest) or "none", _data(record)]
    return [record.run_id, label, seed, str(manifest.started), *where]


def _marked(values: Iterable[str]) -> Any:
    """The one value, or all of them marked."""
    different = list(dict.fromkeys(values))
    if len(different) == 1:
        return different[0]
    return joined([tag("mark", ", ".join(different)), tag("span", " differs", class_="note")])


def _data(record: Record) -> str:
    splits = [(record.data or {}).get(name) for name in ("train", "eval")]
    known = [f"{split.get('fingerprint')} ({split.get('rows')} rows)" for split in splits if isinstance(split, dict)]
    return ", ".join(known) or "not recorded"


def commands(comparison: Comparison, groups: Sequence[Grouped], command: str) -> Markup:
    """What to type for this page, for each run, and for the seeds that are missing."""
    parts = [tag("h3", "This comparison"), pre(command, class_="command")]
    if comparison.more_seeds:
        parts += [tag("h3", "More seeds"), *(pre(words, class_="command") for words in comparison.more_seeds)]
    records = [record for group in groups for record in group.records]
    folders = list(dict.fromkeys(record.manifest.folder for record in records if record.manifest.folder))
    where = f" They were typed in {', '.join(folders[:3])}." if folders else ""
    rerun = " does one again from what it kept and shows what came out differently."
    rows = [(record.run_id, tag("code", record.command)) for record in records]
    parts += [
        tag("h3", "Each run"),
        tag("p", "The same command is the same run; ", tag("code", "expctl rerun RUN"), rerun, where),
        table("The command of each run", ["run", "command"], rows),
    ]
    return section("commands", "Commands", *parts)
