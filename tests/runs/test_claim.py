"""An attempt that was refused before it began leaves nothing, or an earlier run as it was."""

from dataclasses import replace

import fabricated
from harness import manifest as manifest_of

from expctl.runs import manifest
from expctl.runs.claim import claim, leave_refused, undo


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


def test_a_job_elsewhere_leaves_word_of_its_refusal(tmp_path):
    described = fabricated.experiment(tmp_path)
    undo(claim(described))
    leave_refused(described, "refused: no such column")
    [folder] = (tmp_path / "outputs").iterdir()
    assert manifest_of(folder)["status"] == "failed" and manifest_of(folder)["error"] == "refused: no such column"
    assert len(manifest_of(folder)["attempts"]) == 1
