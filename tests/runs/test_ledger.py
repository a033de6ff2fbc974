"""A ledger says what became of a sweep's cells; nothing is lost with it."""

import json

import pytest

from expctl.runs.ledger import Ledger, cells_of, sweep_id
from expctl.runs.records import LedgerCell


def entry(name, status="completed"):
    return LedgerCell(words=[f"seed={name}"], run_id=f"run-{name}", status=status, objective=1.0)


def cells(path):
    return {cell["run_id"]: cell for cell in json.loads(path.read_text())["cells"]}


def ledger(path):
    return Ledger(path, "expctl -m seed=0,1", "eval_reward", "maximize")


def test_a_grid_that_grows_or_shrinks_keeps_what_is_done(tmp_path):
    path = tmp_path / "sweeps" / "x.json"
    ledger(path).write([entry(0), entry(1)], ended=True)
    ledger(path).write([entry(1), entry(2, "waiting")])
    found = cells(path)
    assert {name: cell["asked_for"] for name, cell in found.items()} == {"run-0": False, "run-1": True, "run-2": True}
    assert found["run-0"]["status"] == "completed"


def test_a_ledger_that_was_cut_in_half_is_written_anew(tmp_path):
    path = tmp_path / "x.json"
    ledger(path).write([entry(0)])
    path.write_text(path.read_text()[:40])
    ledger(path).write([entry(0)])
    assert list(cells(path)) == ["run-0"]


@pytest.mark.parametrize(
    "content",
    ['[{"cells": 3}]', '{"cells": null}', '{"cells": 3}', "[" * 100_000, '{"cells": [3, {}, {"run_id": ["x"]}]}'],
)
def test_what_is_no_ledger_has_no_cells_and_is_written_anew(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    assert cells_of(path) == []
    ledger(path).write([entry(0)])
    assert list(cells(path)) == ["run-0"]


def test_nothing_is_written_when_nothing_is_new(tmp_path):
    path = tmp_path / "x.json"
    mine = ledger(path)
    mine.write([entry(0, "running")])
    before = path.stat().st_mtime_ns
    mine.write([entry(0, "running")])
    assert path.stat().st_mtime_ns == before
    mine.write([entry(0)])
    assert path.stat().st_mtime_ns != before


def test_a_sweep_keeps_its_name_whatever_the_values_are():
    name = sweep_id(["gfpo"], ["args.max_steps=4"], ["seed=0", "seed=1"])
    assert name == sweep_id(["gfpo", "gfpo"], ["args.max_steps=4"], ["seed=0", "seed=5", "seed=7"])
    assert name != sweep_id(["gfpo"], ["args.max_steps=5"], ["seed=0", "seed=1"])
    assert name != sweep_id(["gfpo"], ["args.max_steps=4"], ["args.beta=0", "args.beta=1"])
    assert name.startswith("gfpo-")
