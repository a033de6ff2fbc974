"""A run's identity follows what can change its result, and nothing else."""

import copy

import pytest

from expctl.config.experiment import Experiment
from expctl.runs.identity import config_hash, run_id

CONFIG = {
    "algorithm": {"kind": "prompts", "trainer": {"_target_": "trl.GRPOTrainer"}},
    "model": {"path": "embedded:tiny"},
    "dataset": {"_target_": "expctl.data.arithmetic.load", "seed": 0},
    "reward": {"functions": {}, "weights": None},
    "hardware": {"num_processes": 1},
    "args": {"_target_": "trl.GRPOConfig", "learning_rate": 1e-3, "report_to": "none", "logging_steps": 1},
    "tracker": {"report_to": "none"},
    "seed": 0,
    "name": None,
    "force": False,
}
CHOICES = {"algorithm": "gfpo", "model": "tiny", "dataset": "arithmetic"}


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))

    def hashed(**changes):
        config = copy.deepcopy(CONFIG)
        for key, value in changes.items():
            *path, last = key.split("__")
            node = config
            for part in path:
                node = node[part]
            node[last] = value
        return config_hash(Experiment(config, CHOICES, [], tmp_path))

    return hashed


@pytest.mark.parametrize(
    "change",
    [{"tracker__report_to": "wandb"}, {"name": "a label"}, {"force": True}, {"args__logging_steps": 10},
     {"args__report_to": "wandb"}],
)  # fmt: skip
def test_what_cannot_change_the_result_is_left_out(change, hash_of):
    assert hash_of(**change) == hash_of()


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"args__learning_rate": 1e-4}, {"model__path": "embedded:other"}, {"hardware__num_processes": 2},
     {"reward__weights": {"a": 1.0}}],
)  # fmt: skip
def test_what_can_change_the_result_counts(change, hash_of):
    assert hash_of(**change) != hash_of()


def test_the_order_of_keys_does_not_count(tmp_path):
    backwards = dict(reversed(CONFIG.items()))
    assert config_hash(Experiment(CONFIG, CHOICES, [], tmp_path)) == config_hash(
        Experiment(backwards, CHOICES, [], tmp_path)
    )


def test_the_content_of_a_model_folder_counts_wherever_its_digest_was_remembered(tmp_path, hash_of):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"a" * (2 << 20))
    first = hash_of(model__path=str(folder))
    assert hash_of(model__path=str(folder)) == first
    (folder / "model.safetensors").write_bytes(b"b" * (2 << 20))
    assert hash_of(model__path=str(folder)) != first


def test_a_users_source_counts_and_a_package_of_that_name_elsewhere_does_not(tmp_path, hash_of):
    target = {"mine": {"_target_": "mine.reward"}}
    without = hash_of(reward__functions=target)
    (tmp_path / "mine.py").write_text("x = 1\n")
    assert hash_of(reward__functions=target) != without


def test_the_run_id_names_algorithm_model_dataset_seed_and_hash(tmp_path):
    experiment = Experiment(CONFIG, CHOICES, [], tmp_path)
    assert run_id(experiment, "0123456789abcdef") == "gfpo-tiny-arithmetic-s0-01234567"
    local = Experiment(CONFIG | {"model": {"path": "/data/My Model"}}, CHOICES | {"model": "local"}, [], tmp_path)
    assert run_id(local, "0123456789abcdef") == "gfpo-my_model-arithmetic-s0-01234567"
