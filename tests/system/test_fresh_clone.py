"""A stranger's first five minutes: clone, one command, a trained model, from any folder, twice."""

import json

import pytest
from harness import REPOSITORY, manifest, only_run, run


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """What `scripts/quickstart.sh` printed in a fresh clone, typed in another folder; and a second time."""
    clone = tmp_path_factory.mktemp("fresh") / "a clone"
    folder = tmp_path_factory.mktemp("elsewhere")
    done = run("git", "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(clone), cwd=folder)
    assert done.returncode == 0, done.stderr
    script = str(clone / "scripts" / "quickstart.sh")
    # Only Python: nothing of the environment that runs the tests may help.
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    python = run("bash", "-lc", "dirname $(command -v python3.11 || command -v python3)", cwd=folder).stdout.strip()
    environment = {"PATH": f"{python}:{path}", "VIRTUAL_ENV": "", "PYTHONPATH": "", "OMP_NUM_THREADS": "2"}
    first = run(script, cwd=folder, timeout=1200, **environment)
    again = run(script, cwd=folder, timeout=300, **environment)
    return folder, first, again


@pytest.mark.timeout(1500)
def test_one_command_trains_and_gfpo_does_what_it_is_for(quickstart):
    folder, first, _ = quickstart
    assert first.returncode == 0, first.stdout + first.stderr
    summary = json.loads((only_run(folder) / "summary.json").read_text())
    before, after = summary["before"], summary["after"]
    shorter = 1 - after["eval_completions/mean_length"] / before["eval_completions/mean_length"]
    assert shorter >= 0.30
    assert after["eval_rewards/accuracy/mean"] >= before["eval_rewards/accuracy/mean"]


def test_the_same_command_again_installs_nothing_and_shows_the_completed_run(quickstart):
    folder, first, again = quickstart
    assert again.returncode == 0, again.stderr
    assert "installing" in first.stdout and "installing" not in again.stdout
    assert "this experiment was completed" in again.stdout
    assert len(manifest(only_run(folder))["attempts"]) == 1
