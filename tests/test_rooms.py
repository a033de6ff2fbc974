"""The rooms of the package import each other only as the table in docs/how-it-is-built.md says."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "how-it-is-built.md"
PACKAGES = ("expctl", "hydra_plugins/expctl")
ANY = "any room"


def rooms_of_the_page() -> dict[str, set[str]]:
    """Room -> the rooms that it may import, as the table of the page has them."""
    rooms = {}
    for line in PAGE.read_text().splitlines():
        row = re.fullmatch(r"\| ((?:`[\w/]+/`(?:, )?)+) \| .* \| (.+) \|", line)
        if row:
            names = [name.strip("/").rpartition("/")[2] for name in re.findall(r"`([\w/]+)`", row[1])]
            rooms |= dict.fromkeys(names, set(re.findall(r"`(\w+)`", row[2])) or {row[2]})
    return rooms


def room_of(module: str) -> str:
    """`expctl.runs.files` -> `runs`; the package itself and its `__main__` are the way in."""
    parts = module.split(".")
    if parts[0] == "hydra_plugins":
        return "hydra_plugins"
    return parts[1] if len(parts) > 1 and (REPOSITORY / "expctl" / parts[1]).is_dir() else ""


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import, those inside of functions and for type checkers too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def arrows() -> Iterator[tuple[str, str, str]]:
    """Importing room, imported room, and where."""
    for package in PACKAGES:
        for file in sorted((REPOSITORY / package).rglob("*.py")):
            name = file.relative_to(REPOSITORY)
            room = room_of(".".join(name.with_suffix("").parts))
            for line, module in imports(file):
                if module.startswith(("expctl.", "hydra_plugins.expctl")) and room_of(module) not in ("", room):
                    yield room, room_of(module), f"{name}:{line}"


ROOMS = rooms_of_the_page()


@cache  # when it is asked for: every process of the tests imports this module, and one runs it
def all_arrows() -> list[tuple[str, str, str]]:
    return list(arrows())


def test_the_table_names_every_room_and_no_other():
    folders = {file.parent.name for file in (REPOSITORY / "expctl").glob("*/*.py")}
    assert set(ROOMS) == folders | {"hydra_plugins"}
    named = set().union(*ROOMS.values()) - {"nothing", ANY}
    assert named <= set(ROOMS)


def test_no_import_leaves_the_table():
    wrong = [
        f"{where}: {room} imports {imported}"
        for room, imported, where in all_arrows()
        if room and imported not in ROOMS[room] and ANY not in ROOMS[room]
    ]
    assert wrong == []


@pytest.mark.parametrize("room", [room for room in ROOMS if ANY not in ROOMS[room]])
def test_the_table_allows_no_arrow_that_nothing_needs(room):
    needed = {imported for importing, imported, _ in all_arrows() if importing == room}
    assert ROOMS[room] - {"nothing"} == needed


def test_no_way_along_the_imports_leads_back_to_a_room():
    graph = TopologicalSorter()
    for room, imported, _ in all_arrows():
        graph.add(room, imported)
    graph.prepare()  # raises CycleError, with the rooms of the cycle


def test_a_lazy_import_and_one_for_type_checkers_are_seen(tmp_path):
    file = tmp_path / "lazy.py"
    file.write_text("if TYPE_CHECKING:\n    from expctl.cli import run\ndef f():\n    import expctl.worker.main\n")
    assert list(imports(file)) == [(2, "expctl.cli.run"), (4, "expctl.worker.main")]
