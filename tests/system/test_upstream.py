"""A run on an upstream that is not the tested one."""

import importlib.util
import os
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from harness import GFPO, expctl, manifest, only_run

from expctl.report.closing import print_closing
from expctl.runs.files import Run, read_json
from expctl.runs.manifest import create, note

SHORT = [*GFPO, "args.max_steps=1"]


@pytest.fixture
def newer_trl(tmp_path):
    """A folder with TRL as installed, called 9.9.9, in which one method takes an argument more."""
    package = Path(importlib.util.find_spec("trl").submodule_search_locations[0])
    shutil.copytree(package, tmp_path / "newer" / "trl", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "newer" / "trl" / "trainer" / "grpo_trainer.py"
    source = file.read_text()
    assert "def _generate(self, prompts: list):" in source
    file.write_text(source.replace("def _generate(self, prompts: list):", "def _generate(self, prompts, new=None):"))
    metadata = tmp_path / "newer" / "trl-9.9.9.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: trl\nVersion: 9.9.9\n")
    return tmp_path / "newer"


def test_a_changed_upstream_is_in_the_log_the_manifest_and_the_last_words_and_gone_with_the_next_attempt(
    tmp_path, newer_trl
):
    sentence = f"GRPOTrainer._generate changed between trl {version('trl')} and 9.9.9;"
    folder = tmp_path / "work"
    folder.mkdir()
    path = os.pathsep.join(filter(None, (str(newer_trl), os.environ.get("PYTHONPATH"))))
    done = expctl(*SHORT, cwd=folder, forked=False, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    (warning,) = manifest(only_run(folder))["warnings"]
    assert warning.startswith(sentence) and warning.endswith("not tested on it")
    assert f"warning: {warning}" in done.stderr
    assert warning in (only_run(folder) / "worker.log").read_text()
    again = expctl(*SHORT, cwd=folder)
    assert f"warning: {warning}" in again.stderr
    forced = expctl(*SHORT, "force=true", cwd=folder)
    assert forced.returncode == 0 and "warning:" not in forced.stderr
    assert "warnings" not in manifest(only_run(folder))


def test_the_latest_attempt_s_warnings_stand(tmp_path, capsys):
    run = Run(tmp_path)
    create(run)
    manifest = read_json(run.manifest)
    for warnings in (["A changed", "B is gone"], ["B is gone"], []):
        note(run, "warnings", warnings)
        assert read_json(run.manifest) == manifest | ({"warnings": warnings} if warnings else {})
        print_closing(run, "failed", "why")
        told = capsys.readouterr().err.splitlines()
        assert [line for line in told if line.startswith("warning: ")] == [f"warning: {each}" for each in warnings]
