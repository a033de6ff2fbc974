"""`expctl rerun RUN` does a run again from what it kept, and shows what came out differently."""

import json
import subprocess

import pytest
from harness import GFPO, expctl, manifest, runs

TOKEN = "hf_NeverWriteThisDown"
REWARD = "def short(completions, **columns):\n    return [-len(completion) / 100 for completion in completions]\n"
WORDS = [*GFPO, "reward.functions.short._target_=my_rewards.short", "dataset=files", "dataset.path=rows.jsonl"]


def rows(first):
    return "".join(json.dumps({"prompt": f"{n}+{n}=", "answer": str(2 * n)}) + "\n" for n in range(first, first + 50))


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """A run with code and data of the user's in a repository that has uncommitted changes; a secret is around."""
    top = tmp_path_factory.mktemp("rerun")
    work = top / "work"
    work.mkdir()
    (top / "elsewhere").mkdir()
    (work / "my_rewards.py").write_text("")
    (work / "rows.jsonl").write_text(rows(10))
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-qm", "1"]):
        subprocess.run(["git", *words], cwd=work, check=True)
    (work / "my_rewards.py").write_text(f"# {TOKEN}\n{REWARD}")
    environment = {"EXPCTL_CACHE": str(top / "cache"), "HF_TOKEN": TOKEN}
    done = expctl(*WORDS, cwd=work, forked=True, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return work, top / "elsewhere", environment


def test_no_file_of_a_run_holds_a_secret_of_the_environment(completed):
    run = runs(completed[0])[0]
    files = [file for file in run.rglob("*") if file.is_file()]
    assert len(files) > 10 and (run / "changes.patch") in files and (run / "sources" / "my_rewards.py") in files
    assert [file for file in files if TOKEN.encode() in file.read_bytes()] == []
    assert manifest(run)["environment"]["HF_TOKEN"] == "***"


def test_the_run_as_it_was_is_identical_and_changed_data_are_told(completed):
    work, elsewhere, environment = completed
    run = runs(work)[0]
    assert manifest(run)["data"]["train"]["columns"] == ["answer", "prompt"]
    (work / "my_rewards.py").write_text("raise RuntimeError('the code as it is now')\n")
    done = expctl("rerun", "gfpo", cwd=elsewhere, forked=True, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "my_rewards.py has changed since; the run's own copy is used" in done.stderr
    assert "the same versions, machine, environment and data" in done.stdout
    assert "identical: 2 steps" in done.stdout
    again = work / "outputs" / "reruns" / f"{run.name}-1"
    assert manifest(again)["status"] == "completed" and manifest(again)["rerun_of"] == str(run)

    (work / "rows.jsonl").write_text(rows(40))
    done = expctl("rerun", run.name, cwd=elsewhere, forked=True, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "data        train fingerprint" in done.stdout and "rows.jsonl has other content" in done.stdout
    assert "differ from step 1 on" in done.stdout and "largest relative" in done.stdout
    assert (again.with_name(f"{run.name}-2") / "summary.json").exists()
