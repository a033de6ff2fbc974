"""An attempt that was refused before it began leaves nothing, or an earlier run as it was."""

import json
from dataclasses import replace

import fabricated
import pytest
from harness import manifest as manifest_of

from expctl.base.refusal import Refusal
from expctl.compare.runs import UnreadableRunError, read
from expctl.runs import manifest
from expctl.runs.bundle import read_config
from expctl.runs.claim import claim, leave_refused, undo
from expctl.runs.facts import facts
from expctl.runs.seal import seal_run


def test_nothing_is_left_of_a_new_run(tmp_path):
    claimed = claim(fabricated.experiment(tmp_path))
    assert claimed.run.manifest.exists()
    undo(claimed)
    assert not (tmp_path / "outputs").exists()
    again = claim(fabricated.experiment(tmp_path))
    assert again.new
    again.held.release()


def test_other_runs_stay(tmp_path):
    other = fabricated.run_of(fabricated.experiment(tmp_path, seed=5))
    undo(claim(fabricated.experiment(tmp_path)))
    assert [folder.name for folder in (tmp_path / "outputs").iterdir()] == [other.run_id]


def test_a_run_that_was_set_aside_is_put_back(tmp_path):
    described = fabricated.experiment(tmp_path)
    run = fabricated.run_of(described, status=manifest.COMPLETED)
    before = manifest_of(run.folder)
    forced = replace(described, config=described.config | {"force": True})
    undo(claim(forced))
    assert manifest_of(run.folder) == before


def test_an_attempt_does_not_count(tmp_path):
    described = fabricated.experiment(tmp_path)
    run = fabricated.run_of(described, status=manifest.FAILED)
    claimed = claim(described)
    before, claimed.before = manifest_of(run.folder), manifest.read(run)
    manifest.start_attempt(run, 0, {})
    undo(claimed)
    assert manifest_of(run.folder) == before and not claimed.new


def test_settings_that_were_typed_with_it_do_not_stay_where_they_change_no_result(tmp_path):
    described = fabricated.experiment(tmp_path)
    run = fabricated.run_of(described, status=manifest.FAILED)
    seal_run(run)
    files = (run.config, run.origins, run.overrides, run.seal, run.manifest)
    before = {file.name: file.read_bytes() for file in files if file.exists()}
    args = described.config["args"] | {"logging_steps": 7}
    claimed = claim(replace(described, config=described.config | {"args": args}, overrides=["args.logging_steps=7"]))
    assert read_config(run)["args"]["logging_steps"] == 7, "while the attempt is under way"
    claimed.before = manifest.read(run)
    manifest.start_attempt(run, 0, {})
    undo(claimed)
    assert {file.name: file.read_bytes() for file in files if file.exists()} == before


def test_a_run_that_a_newer_expctl_has_described_is_refused_and_left_as_it_is(tmp_path):
    described = fabricated.experiment(tmp_path)
    run = fabricated.run_of(described, status=manifest.FAILED)
    content = json.loads(run.manifest.read_text()) | {"format": 9, "stages": []}
    run.manifest.write_text(json.dumps(content))
    before = run.manifest.read_bytes()
    with pytest.raises(Refusal, match="run.json is of format 9, which a newer expctl has written"):
        claim(described)
    assert run.manifest.read_bytes() == before
    assert "is of format 9" in facts(run)["error"], "a listing goes on, and says so"
    with pytest.raises(UnreadableRunError, match="newer expctl"):
        read(run.folder)


def test_a_job_elsewhere_leaves_word_of_its_refusal(tmp_path):
    described = fabricated.experiment(tmp_path)
    undo(claim(described))
    leave_refused(described, "refused: no such column")
    [folder] = (tmp_path / "outputs").iterdir()
    assert manifest_of(folder)["status"] == "failed" and manifest_of(folder)["error"] == "refused: no such column"
    assert len(manifest_of(folder)["attempts"]) == 1
