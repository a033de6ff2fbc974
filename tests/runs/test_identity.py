"""A run's identity follows what can change its result, and nothing else."""

import copy
import os
from dataclasses import replace

import pytest

from expctl.base.experiment import Experiment
from expctl.cli.hydra_app import compose
from expctl.runs.identity import config_hash, local_inputs, run_id

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
    [
        {"tracker__report_to": "wandb"},
        {"name": "a label"},
        {"force": True},
        {"args__logging_steps": 10},
        {"args__report_to": "wandb"},
    ],
)
def test_what_cannot_change_the_result_is_left_out(change, hash_of):
    assert hash_of(**change) == hash_of()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"args__learning_rate": 1e-4},
        {"model__path": "embedded:other"},
        {"hardware__num_processes": 2},
        {"reward__weights": {"a": 1.0}},
    ],
)
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


@pytest.fixture
def names(tmp_path, hash_of):
    """Hashes the experiment with a reward that is given one more keyword."""

    def hashed(value, key="path"):
        return hash_of(reward__functions={"mine": {"_target_": "mine.words", key: value}})

    return hashed


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("value", "file"),
    [
        ("words.txt", "words.txt"),
        ("words", "words"),
        ("data/words.txt", "data/words.txt"),
        ("judge", "judge/weights/model.safetensors"),
        (["a.txt", {"deep": "b.txt"}], "b.txt"),
        ("a.txt,b.txt", "b.txt"),
        ("json:b.txt", "b.txt"),
        ("data/*.jsonl", "data/two.jsonl"),
        ("data/**/*.jsonl", "data/deep/two.jsonl"),
        ({"b.txt": 0.5}, "b.txt"),
    ],
)
def test_what_a_config_names_by_path_counts_by_its_content(value, file, tmp_path, names):
    missing = names(value)
    write(tmp_path / file, "one")
    first = names(value)
    assert names(value) == first != missing
    write(tmp_path / file, "two")
    assert names(value) != first


@pytest.mark.parametrize("key", ["args__chat_template_path", "peft", "model__tokenizer", "callbacks"])
def test_wherever_in_the_config_it_is_named(key, tmp_path, hash_of):
    write(tmp_path / "named" / "file.jinja", "one")
    first = hash_of(**{key: "named/file.jinja"})
    write(tmp_path / "named" / "file.jinja", "two")
    assert hash_of(**{key: "named/file.jinja"}) != first


def test_a_file_of_the_tracker_does_not_count(tmp_path, hash_of):
    write(tmp_path / "notes.txt", "one")
    first = hash_of(tracker__notes="notes.txt")
    write(tmp_path / "notes.txt", "two")
    assert hash_of(tracker__notes="notes.txt") == first


def test_absolute_paths_urls_of_files_and_the_home_folder(tmp_path, names, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = tmp_path / "home" / "words.txt"
    values = [str(file), f"file://{file}", "~/words.txt"]
    write(file, "one")
    first = [names(value) for value in values]
    write(file, "two")
    assert all(names(value) != before for value, before in zip(values, first, strict=True))


@pytest.mark.parametrize(
    ("value", "key", "file"),
    [
        (".", "root", "words.txt"),
        ("..", "root", "words.txt"),
        ("/", "root", "words.txt"),
        ("outputs", "path", "outputs/words.txt"),
        ("outputs/", "path", "outputs/run/words.txt"),
        ("train", "split", "train/words.txt"),
        ("none", "mode", "none/words.txt"),
        ("answers.jsonl", "cache", "answers.jsonl"),
        ("seen.txt", "log_path", "seen.txt"),
        ("repository", "path", "repository/.git/index"),
        ("/dev/null", "path", "words.txt"),
        ("~nobody-at-all/x", "path", "x"),
        ("x" * 5000, "path", "x"),
        ("a\0b", "path", "a"),
        ("https://host/a.txt", "path", "host/a.txt"),
    ],
)
def test_what_is_no_input_does_not_count(value, key, file, tmp_path, names):
    before = names(value, key)
    write(tmp_path / file, "one")
    assert names(value, key) == before


def test_folders_of_every_kind_are_read_to_an_end(tmp_path, names):
    folder = tmp_path / "data"
    write(tmp_path / "elsewhere" / "linked.txt", "one")
    write(folder / "words.txt", "one")
    (folder / "loop").symlink_to(folder)
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "nowhere").symlink_to(tmp_path / "gone")
    os.mkfifo(folder / "pipe")
    first = names("data")
    assert names("data") == first
    write(tmp_path / "elsewhere" / "linked.txt", "two")
    assert names("data") != first


def test_a_file_that_cannot_be_read_is_named_as_such(tmp_path, monkeypatch):
    write(tmp_path / "words.txt", "one")

    def refused(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refused)
    assert local_inputs(CONFIG | {"peft": "words.txt"}, tmp_path) == {"words.txt": "unreadable"}


def test_a_folder_of_very_many_files_counts_by_what_the_file_system_says(tmp_path, monkeypatch):
    monkeypatch.setattr("expctl.runs.identity.MOST_FILES", 2)
    for number in range(3):
        write(tmp_path / "data" / f"{number}.txt", "one")
    first = local_inputs(CONFIG | {"peft": "data/"}, tmp_path)
    assert list(first) == ["data"]
    write(tmp_path / "data" / "1.txt", "longer")
    assert local_inputs(CONFIG | {"peft": "data/"}, tmp_path) != first


def test_a_loaders_data_may_lie_beside_it(tmp_path, hash_of):
    write(tmp_path / "loaders" / "__init__.py", "")
    write(tmp_path / "loaders" / "mine.py", "x = 1\n")
    write(tmp_path / "loaders" / "rows.csv", "one")
    node = {"_target_": "loaders.mine.load", "table": "rows.csv"}
    first = hash_of(dataset=node)
    write(tmp_path / "loaders" / "rows.csv", "two")
    assert hash_of(dataset=node) != first


def test_a_config_that_names_no_file_has_the_hash_it_always_had(tmp_path):
    experiment = replace(compose(["hardware=cpu"]), folder=tmp_path)
    assert local_inputs(experiment.config, tmp_path) == {}
    assert run_id(experiment, config_hash(experiment)) == "gfpo-tiny-arithmetic-s0-90dc4afd"
