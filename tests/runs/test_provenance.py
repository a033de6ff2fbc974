"""What a run keeps tells under which circumstances it was made, brings the code back, and betrays no secret."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from fabricated import experiment, run_of

from expctl.runs import manifest, provenance, repository
from expctl.runs.bundle import PATCH, changed_files, command, rebuild
from expctl.runs.identity import config_hash
from expctl.runs.provenance_records import Git

TOKEN = "hf_NeverWriteThisDown"


def git(folder, *words):
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def put_on_path(monkeypatch, folder, name, program):
    """A program of one's own in the place of all others."""
    folder.mkdir()
    (folder / name).write_text(f"#!{sys.executable}\n{program}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working folder inside a repository, with changes of every kind."""
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    top = tmp_path / "repository"
    work = top / "work"
    work.mkdir(parents=True)
    (work / "my_rewards.py").write_text("def short(completions, **columns):\n    return [0.0]\n")
    (top / "binary").write_bytes(bytes(range(256)))
    (top / "gone.txt").write_text("gone\n")
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "first")
    git(top, "config", "diff.noprefix", "true")
    git(top, "config", "diff.context", "0")
    (work / "my_rewards.py").write_text("def short(completions, **columns):\n    return [1.0]\n")
    (top / "binary").write_bytes(bytes(reversed(range(256))))
    (top / "gone.txt").unlink()
    (top / "staged näme.txt").write_text("new\n")
    git(top, "add", "staged näme.txt")
    (work / "not known.txt").write_text("untracked\n")
    return work


def test_the_patch_brings_the_changed_state_back(work, tmp_path):
    run = run_of(experiment(work))
    recorded = json.loads(run.manifest.read_text())["git"]
    top = work.parent
    assert recorded["sha"] == git(top, "rev-parse", "HEAD") and recorded["dirty"] is True and recorded["patch"] == PATCH
    assert recorded["untracked"] == ["work/not known.txt"]  # and not what the run itself has written
    git(tmp_path, "clone", "-q", str(top), "again")
    again = tmp_path / "again"
    git(again, "apply", str(run.folder / PATCH))
    for name in ("work/my_rewards.py", "binary", "staged näme.txt"):
        assert (again / name).read_bytes() == (top / name).read_bytes()
    assert not (again / "gone.txt").exists()


def test_a_clean_repository_has_no_patch_and_a_folder_outside_of_one_says_so(work, tmp_path):
    git(work.parent, "commit", "-q", "-a", "-m", "second")
    run = run_of(experiment(work))
    recorded = json.loads(run.manifest.read_text())["git"]
    assert recorded["dirty"] is False and recorded["patch"] is None and not (run.folder / PATCH).exists()
    (tmp_path / "outside").mkdir()
    assert repository.snapshot(tmp_path / "outside", tmp_path) == (Git(), b"")


def test_a_patch_that_is_too_large_is_left_out_and_said(work, monkeypatch):
    monkeypatch.setattr(repository, "MOST_BYTES", 200)
    git, patch = repository.snapshot(work, work / "outputs")
    assert patch == b"" and git.dirty is True and "more than" in git.patch


def test_a_git_that_hangs_costs_a_patch_and_no_run(work, tmp_path, monkeypatch):
    put_on_path(monkeypatch, tmp_path / "bin", "git", "import time; time.sleep(60)")
    monkeypatch.setattr(repository, "SECONDS", 0.2)
    assert repository.snapshot(work, work / "outputs") == (Git(), b"")


def test_a_patch_that_takes_too_long_is_left_out_and_said(work, tmp_path, monkeypatch):
    slow = f"import sys, time; time.sleep(60 * ('diff' in sys.argv)); print('{'a' * 40}\\n{work.parent}')"
    put_on_path(monkeypatch, tmp_path / "bin", "git", slow)
    monkeypatch.setattr(repository, "SECONDS", 1.0)
    git, patch = repository.snapshot(work, work / "outputs")
    assert patch == b"" and git.sha == "a" * 40 and git.dirty is None and "left out" in git.patch


def test_gpus_are_named_as_the_driver_names_them(tmp_path, monkeypatch):
    provenance.devices.cache_clear()
    put_on_path(monkeypatch, tmp_path / "bin", "nvidia-smi", "print('NVIDIA H200, 143771 MiB\\n' * 2)")
    assert provenance.devices().gpus == ["NVIDIA H200, 143771 MiB"] * 2
    provenance.devices.cache_clear()


def test_no_file_of_a_run_holds_a_secret(work, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "https://ann:letmein@hub.example")
    monkeypatch.setenv("NCCL_DEBUG", TOKEN)
    (work / "my_rewards.py").write_text(f"TOKEN = '{TOKEN}'\n")
    run = run_of(replace(experiment(work), overrides=[f"name=for {TOKEN}"]))
    recorded = json.loads(run.manifest.read_text())
    for file in run.folder.rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file
    assert "letmein" not in run.manifest.read_text()
    assert recorded["environment"]["HF_TOKEN"] == "***"
    assert recorded["environment"]["NCCL_DEBUG"] == "<HF_TOKEN>"
    assert recorded["command"] == "expctl 'name=for <HF_TOKEN>'"
    assert recorded["masked"] == ["my_rewards.py"] and recorded["git"]["masked"] is True


def test_the_manifest_tells_machine_versions_seeds_and_variables_that_are_read(work, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("EDITOR", "ed")
    recorded = json.loads(run_of(experiment(work, args__data_seed=5)).manifest.read_text())
    assert recorded["seeds"] == {"seed": 0, "args.seed": 0, "args.data_seed": 5, "dataset.seed": 0}
    assert recorded["environment"]["OMP_NUM_THREADS"] == "3" and recorded["environment"]["PYTHONHASHSEED"] == "7"
    assert "EDITOR" not in recorded["environment"]
    assert recorded["versions"]["torch"] and recorded["host"]
    assert recorded["devices"]["cores"] >= 1 and recorded["devices"]["cpu"]


def test_an_experiment_is_rebuilt_from_its_run(work):
    first = experiment(work, args__learning_rate=1e-05, force=True, reward__weights={"b": 1.0, "a": 2.5e-07})
    again = rebuild(run_of(first))
    assert config_hash(again) == config_hash(first)
    assert again.config == first.config | {"force": False}
    assert (again.folder, again.choices, again.overrides) == (first.folder, first.choices, first.overrides)
    assert list(again.config["reward"]["weights"]) == ["b", "a"]


def test_files_that_have_changed_since_are_named(work):
    (work / "rows.jsonl").write_text("{}\n")
    (work / "weights").mkdir()
    (work / "weights" / "a.safetensors").write_bytes(b"a")
    described = experiment(work, dataset__path="rows.jsonl", model__path=str(work / "weights"))
    before = manifest.recorded(run_of(described))
    assert changed_files(before, described) == {}
    (work / "my_rewards.py").write_text("import helper\n")
    (work / "helper.py").write_text("")
    (work / "rows.jsonl").unlink()
    (work / "weights" / "a.safetensors").write_bytes(b"b")
    assert changed_files(before, described) == {
        "my_rewards.py": "changed",
        "helper.py": "new",
        "rows.jsonl": "gone",
        "weights/a.safetensors": "changed",
    }


def test_the_command_names_the_folders_of_config_groups(work):
    described = replace(experiment(work, seed=1), config_dirs=["/my groups"])
    assert command(described) == "expctl --config-dir '/my groups' seed=1"
