"""`expctl list [GROUP]`: the options of a config group, one line each; of `algorithm` with what is known of each."""

from pathlib import Path
from typing import Any

from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.cli.options import take
from expctl.config.algorithm_facts import algorithm_facts
from expctl.config.groups import group_options, groups
from expctl.config.head_comment import first_sentence, head_comment
from expctl.config.locate import own_conf
from expctl.report.algorithms import algorithm_lines
from expctl.report.group_lines import group_lines, terminal_width
from expctl.report.json_text import json_text
from expctl.runs.filters import parse

Row = dict[str, Any]

USAGE = "expctl list [GROUP ...] [key=value] [TEXT] [--json] [--config-dir DIR]"
ALGORITHM = "algorithm"


def main(words: list[str]) -> int:
    """Print the groups, or the options of one with the first sentence of their files."""
    options, named = take(words, flags=("--json",), valued=("-cd",), listed=("--config-dir",), usage=USAGE)
    as_json = options.pop("--json", None) is not None
    folders = [Path(folder) for given in options.values() for folder in given.split(",")]
    for folder in folders:
        if not folder.is_dir():
            raise Refusal(f"no folder '{folder}'", where=f"--config-dir {folder} (command line)")
    chosen = [word for word in named if word in groups(folders)]
    wanted = [word for word in named if word not in chosen]
    if wanted and not chosen:
        close = nearest(wanted[0], groups(folders))
        raise Refusal(f"no group '{wanted[0]}'", where="command line", nearest=close, do="expctl list")
    if not chosen and not as_json:
        _print_all(folders)
        return 0
    listed = {group: _rows(group, folders, wanted) for group in chosen or groups(folders)}
    if as_json:
        print(json_text(listed))
    else:
        _print_chosen(listed)
    return 0


def _rows(group: str, folders: list[Path], wanted: list[str]) -> list[Row]:
    """The options of a group as facts, those that match every filter and text.

    Raises:
        Refusal: a filter asks for what an option has not, or nothing matches.
    """
    if group == ALGORITHM:
        rows = algorithm_facts(folders)
    else:
        rows = [_row(group, name, file) for name, file in group_options(group, folders).items()]
    filters = [word for word in wanted if "=" in word or "~" in word]
    keys = sorted({key for row in rows for key in row})
    for word in filters:
        key = word.partition("~" if "=" not in word else "=")[0].rstrip("!")
        if key not in keys:
            what, do = f"an option of '{group}' has no '{key}'", f"it has {', '.join(keys)}"
            raise Refusal(what, where=f"{word} (command line)", nearest=nearest(key, keys), do=do)
    matches = parse(filters)
    texts = [word.lower() for word in wanted if word not in filters]
    found = [row for row in rows if matches(row) and all(_has(row, text) for text in texts)]
    found = [row for row in found if row[group] in texts] or found  # a name that is typed in full
    if wanted and not found:
        close = nearest(texts[0], groups(folders)) if texts else []
        what = f"no option of '{group}' matches {' '.join(wanted)}"
        raise Refusal(what, where="command line", nearest=close, do=USAGE)
    return found


def _row(group: str, name: str, file: Path) -> Row:
    return {group: name, "does": first_sentence(head_comment(file)), "file": str(file)}


def _has(row: Row, text: str) -> bool:
    return any(text in str(value).lower() for value in row.values())


def _print_all(folders: list[Path]) -> None:
    print("Groups (expctl list GROUP shows the options):")
    print("\n".join(group_lines({group: group_options(group, folders) for group in groups(folders)})))


def _print_chosen(listed: dict[str, list[Row]]) -> None:
    for group, rows in listed.items():
        if group == ALGORITHM:
            print("\n".join(algorithm_lines(rows, terminal_width())))
            continue
        width = max(len(row[group]) for row in rows) + 2
        for row in rows:
            print(f"{row[group]:<{width}}{row['does']}{_own(row)}")


def _own(row: Row) -> str:
    """The file of an option that is not expctl's."""
    return "" if own_conf() in Path(row["file"]).parents else f"  ({row['file']})"
