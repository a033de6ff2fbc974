"""The page's last sections: what was configured, where the runs come from, and how to do all of it again."""

from collections.abc import Iterable, Sequence
from typing import Any

from expctl.compare.comparison import Comparison
from expctl.compare.groups import ABSENT, Grouped, typed
from expctl.compare.runs import Record
from expctl.report.page.markup import Markup, joined, pre, section, table, tag
from expctl.report.recorded import commit, machine
from expctl.runs.decisive import Settings, follows_seed


def configs(groups: Sequence[Grouped]) -> Markup:
    """What the groups' configs differ in, and the whole of them with those lines marked."""
    read = [(one.label, one.records[0].config) for one in groups if one.records]
    keys = sorted({key for _, config in read for key in config} - _seeds(config for _, config in read))
    rows = {key: [_typed(config.get(key, ABSENT)) for _, config in read] for key in keys}
    differing = [key for key, values in rows.items() if len(set(values)) > 1]
    columns = ["key", *(label for label, _ in read)]
    parts: list[Any] = []
    if differing:
        parts.append(
            table("Where the configs differ", columns, [[key, *rows[key]] for key in differing], class_="config")
        )
    elif read[1:]:
        parts.append(tag("p", "The configs are the same; the groups differ in files."))
    whole = [_line(key, values, key in differing) for key, values in rows.items()]
    parts.append(tag("details", tag("summary", f"All {len(keys)} keys{', differences marked' if differing else ''}"),
                     table("The whole config", columns, whole, class_="config")))  # fmt: skip
    return section("configs", "Configs", *parts)


def _seeds(configs: Iterable[Settings]) -> set[str]:
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
    """Each run with its place and data, and the versions of what it ran on."""
    records = [(one.label, record) for one in groups for record in one.records]
    columns = ["run", "group", "seed", "started", "machine", "git", "data (train, held out)"]
    rows = [
        [record.run_id, label, "none" if record.seed is None else str(record.seed), str(record.manifest.started),
         machine(record.manifest) or "unknown", commit(record.manifest) or "none", _data(record)]
        for label, record in records
    ]  # fmt: skip
    packages = dict.fromkeys(name for _, record in records for name, version in record.versions.items() if version)
    versions = [(name, _marked(record.versions.get(name) or "none" for _, record in records)) for name in packages]
    return section("provenance", "Provenance", table("The runs", columns, rows),
                   table("Versions", ["package", "version"], versions))  # fmt: skip


def _marked(found: Iterable[str]) -> Any:
    """The one value, or all of them marked."""
    values = list(dict.fromkeys(found))
    return (
        values[0]
        if not values[1:]
        else joined([tag("mark", ", ".join(values)), tag("span", " differs", class_="note")])
    )


def _data(record: Record) -> str:
    splits = [(record.data or {}).get(name) for name in ("train", "eval")]
    said = [f"{one.get('fingerprint')} ({one.get('rows')} rows)" for one in splits if isinstance(one, dict)]
    return ", ".join(said) or "not recorded"


def commands(comparison: Comparison, groups: Sequence[Grouped], command: str) -> Markup:
    """What to type for this page, for each run, and for the seeds that are missing."""
    parts = [tag("h3", "This comparison"), pre(command, class_="command")]
    if comparison.more_seeds:
        parts += [tag("h3", "More seeds"), *(pre(one, class_="command") for one in comparison.more_seeds)]
    folders = dict.fromkeys(record.manifest.folder or "" for one in groups for record in one.records)
    typed_in = [folder for folder in folders if folder]
    where = f" They were typed in {', '.join(typed_in[:3])}." if typed_in else ""
    parts += [
        tag("h3", "Each run"),
        tag("p", "The same command is the same run; ", tag("code", "expctl rerun RUN"),
            " does one again from what it kept and shows what came out differently.", where),
        table("The command of each run", ["run", "command"],
              [(record.run_id, tag("code", record.command)) for one in groups for record in one.records]),
    ]  # fmt: skip
    return section("commands", "Commands", *parts)
