"""What a file of a run says is typed whatever stands in it, and rewriting it loses nothing."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expctl.runs import provenance_records, records
from expctl.runs.records import Attempt, LedgerFile, Manifest, ProgressState, Summary, WorkerOutcome

FILES = (Manifest, Summary, LedgerFile, ProgressState, WorkerOutcome)

# As a run of expctl 0.1 has it, before formats had a number.
OLD = {
    "run_id": "sft-tiny-arithmetic-s0-5a7d6526",
    "status": "completed",
    "name": None,
    "config_hash": "5a7d6526",
    "command": "expctl algorithm=sft",
    "overrides": ["algorithm=sft"],
    "choices": {"algorithm": "sft"},
    "folder": "/work",
    "git": {"sha": None, "dirty": None},
    "sources": {},
    "inputs": {},
    "seeds": {"seed": 0},
    "versions": {"trl": "1.16.0", "vllm": None},
    "host": "vm",
    "environment": {"OMP_NUM_THREADS": "1"},
    "devices": {"cpu": "AMD EPYC", "cores": 2, "memory": 25276502016, "gpus": []},
    "hardware": {"num_processes": 1},
    "started": "2026-11-27T18:21:00+00:00",
    "ended": "2026-11-27T18:21:13+00:00",
    "attempts": [
        {
            "started": "2026-11-27T18:21:00+00:00",
            "ended": "2026-11-27T18:21:13+00:00",
            "from_step": 0,
            "to_step": 2,
            "exit": 0,
            "signal": None,
        }
    ],
    "error": None,
    "data": {"train": {"rows": 8}, "eval": None},
}


def test_a_file_of_an_earlier_version_is_read_and_written_with_its_format():
    manifest = Manifest.from_plain(OLD)
    assert manifest.format == 0 and not manifest.is_newer()
    assert manifest.versions["trl"] == "1.16.0" and manifest.attempts[0].to_step == 2
    written = manifest.to_plain()
    assert written.pop("format") == 1
    assert written.pop("git") == {"sha": None, "dirty": None, "patch": None, "untracked": []}
    assert written == {key: value for key, value in OLD.items() if key != "git"}


def test_a_file_of_a_newer_version_keeps_its_format_and_the_keys_that_nobody_here_knows(tmp_path):
    newer = OLD | {"format": 7, "phases": [{"name": "warm up"}]}
    newer["attempts"] = [OLD["attempts"][0] | {"node": "n1"}]
    manifest = Manifest.from_plain(newer)
    assert manifest.is_newer()
    manifest.write(tmp_path / "run.json")
    again = json.loads((tmp_path / "run.json").read_text())
    assert again["format"] == 7 and again["phases"] == newer["phases"] and again["attempts"] == newer["attempts"]


def test_fields_that_say_nothing_are_left_out_only_where_that_is_said():
    written = Attempt().to_plain()
    assert written == {"started": None, "ended": None, "from_step": 0, "to_step": None, "exit": None, "signal": None}
    assert WorkerOutcome(status="completed").to_plain() == {"status": "completed"}


def test_what_is_of_another_type_has_its_default_and_is_named():
    content = OLD | {"attempts": "two", "versions": {"trl": 1, "torch": "2"}, "forced": True, "host": 3}
    manifest = Manifest.from_plain(content)
    assert (manifest.attempts, manifest.versions, manifest.forced, manifest.host) == ([], {"torch": "2"}, 0, None)
    assert sorted(manifest.damaged) == ["attempts", "forced", "host"]
    summary = Summary.from_plain({"objective": "high", "after": {"a": 1, "b": "x", "c": None}})
    assert summary.objective is None and summary.after == {"a": 1, "c": None}


@pytest.mark.parametrize("content", [None, [], "run", {}, {"status": None}, {"status": ["completed"]}], ids=str)
def test_what_lacks_a_required_field_is_no_record(content):
    assert Manifest.from_plain(content) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_whatever_a_file_says_its_record_has_the_types_that_are_declared_so_that_it_is_read_again_as_it_is(kind, data):
    names = [field.name for field in dataclasses.fields(kind)]
    content = data.draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=3), JSON))
    record = kind.from_plain({"status": "completed"} | content)
    if record is not None:
        again = kind.from_plain(record.to_plain())
        assert again.damaged == [] and again.to_plain() == record.to_plain()


def test_every_field_is_described():
    """The module is the documentation of the files: fields that one comment describes follow it without a break."""
    described = False
    for line in [
        line for module in (records, provenance_records) for line in Path(module.__file__).read_text().splitlines()
    ]:
        is_field = re.match(r"    \w+: ", line) is not None
        is_comment = line.startswith("    #")
        # Without `host: str | None = None`, whose name says all.
        assert described or not is_field or line.startswith("    host: "), line
        described = is_comment or (is_field and described)
