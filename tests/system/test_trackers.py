"""Trackers record without a key and without a network, and no key is written anywhere."""

from harness import SFT, expctl, only_run

KEY = "wandb-key-0123456789abcdef0123456789abcdef01234567"


def files_that_hold(folder, secret):
    return [file for file in folder.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]


def test_wandb_records_offline_where_no_key_is_set(tmp_path):
    done = expctl(*SFT, "tracker=wandb", cwd=tmp_path, HOME=str(tmp_path / "home"), WANDB_API_KEY="")
    assert done.returncode == 0, done.stderr
    recorded = list(only_run(tmp_path).glob("wandb/offline-run-*/*.wandb"))
    assert len(recorded) == 1


def test_wandb_out_of_reach_costs_no_training_and_its_key_is_in_no_file(tmp_path):
    done = expctl(
        *SFT, "tracker=wandb", cwd=tmp_path, HOME=str(tmp_path / "home"), WANDB_API_KEY=KEY,
        WANDB_BASE_URL="http://127.0.0.1:9", HF_TOKEN="hf_0123456789abcdef",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path)
    assert list(run.glob("wandb/offline-run-*/*.wandb"))
    assert "recording offline" in (run / "worker.log").read_text()
    assert files_that_hold(run, KEY) == []
    assert files_that_hold(run, "hf_0123456789abcdef") == []


def test_tensorboard_files_lie_in_the_run(tmp_path):
    done = expctl(*SFT, "tracker=tensorboard", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list((only_run(tmp_path) / "tensorboard").glob("**/events*"))
