"""What only the libraries know is refused by the worker before the run counts: exit code 2, and no run is left."""

import json
import shutil
import sys

from harness import SFT, comparable, expctl, forked_workers, manifest, only_run, run, runs, weights

# What no check of the command itself can know: the loader is the user's own.
LOADER = """from pathlib import Path
from datasets import Dataset

def load(seed, kind):
    rows = [{"prompt": f"{n}+1=", "completion": f" {n + 1}"} for n in range(64)]
    if Path("broken").exists():
        raise ValueError("the data of %s are broken" % seed)
    return Dataset.from_list(rows), Dataset.from_list(rows[:2])
"""
DATA = ["dataset._target_=mine.load", "~dataset.train_size", "~dataset.eval_size"]


def test_a_refused_run_leaves_nothing_and_an_earlier_one_stays_as_it_was(tmp_path):
    (tmp_path / "mine.py").write_text(LOADER)
    (tmp_path / "broken").touch()
    done = expctl(*SFT, *DATA, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "the data of 0 are broken" in done.stderr and "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "outputs").exists()
    assert expctl("ls", cwd=tmp_path).stdout.count("sft-") == 0
    (tmp_path / "broken").unlink()
    assert expctl(*SFT, *DATA, cwd=tmp_path).returncode == 0
    before = manifest(only_run(tmp_path))
    (tmp_path / "broken").touch()
    again = expctl(*SFT, *DATA, "force=true", cwd=tmp_path)
    assert again.returncode == 2, again.stderr
    assert manifest(only_run(tmp_path)) == before and before["status"] == "completed"


def test_an_attempt_that_is_refused_does_not_count(tmp_path):
    (tmp_path / "mine.py").write_text(LOADER)
    assert expctl(*SFT, *DATA, cwd=tmp_path).returncode == 0
    told = only_run(tmp_path) / "run.json"
    failed = manifest(only_run(tmp_path)) | {"status": "failed", "error": "KeyError: 'lost'"}
    told.write_text(json.dumps(failed))
    shutil.rmtree(only_run(tmp_path) / "checkpoints")  # one that is carried on has been through its first step
    (tmp_path / "broken").touch()
    done = expctl(*SFT, *DATA, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert manifest(only_run(tmp_path)) == failed


def test_a_cell_that_is_refused_is_named_with_its_reason_and_the_others_go_on(tmp_path):
    (tmp_path / "mine.py").write_text(LOADER.replace('Path("broken").exists()', "seed == 1"))
    done = expctl("-m", *SFT, *DATA, "seed=0,1", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "refused    seed=1: the data cannot be used: the data of 1 are broken" in done.stdout
    assert "1 completed, 1 refused" in done.stdout
    [file] = (tmp_path / "outputs" / "sweeps").glob("*.json")
    told = {cell["words"][0]: cell for cell in json.loads(file.read_text())["cells"]}
    assert told["seed=1"]["status"] == "refused" and "broken" in told["seed=1"]["error"]
    assert len(runs(tmp_path)) == 1
    full = expctl("check", "-m", "--full", *SFT, *DATA, "seed=0,1", cwd=tmp_path)
    assert full.returncode == 2 and "1 of 2 cells cannot be started" in full.stderr
    assert full.stdout.startswith("ok  ") and "the data of 1 are broken" in full.stderr


def test_a_launched_group_is_refused_once_and_leaves_nothing(tmp_path):
    (tmp_path / "mine.py").write_text(LOADER)
    (tmp_path / "broken").touch()
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "expctl"]
    done = run(sys.executable, *launcher, *SFT, *DATA, cwd=tmp_path, **forked_workers())
    assert done.returncode != 0
    assert (done.stdout + done.stderr).count("the data of 0 are broken") == 1
    assert runs(tmp_path) == []


def test_the_check_changes_nothing_of_the_training(tmp_path):
    with_it, without = tmp_path / "with", tmp_path / "without"
    for folder, environment in ((with_it, {}), (without, {"EXPCTL_PREFLIGHT": "0"})):
        folder.mkdir()
        done = expctl(*SFT, cwd=folder, forked=True, **environment)
        assert done.returncode == 0, done.stderr
        assert ("checking" in done.stdout) == (folder == with_it)
    assert comparable(only_run(with_it)) == comparable(only_run(without))
    assert weights(only_run(with_it)) == weights(only_run(without))
