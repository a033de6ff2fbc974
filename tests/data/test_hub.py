"""A data set of the hub: from its cache without a network, else refused with the way to it; one rule for both sides."""

import json

import huggingface_hub
import pytest

from expctl.data import hub
from expctl.data.check import check_dataset
from expctl.data.hub_card import read_card, split_files

CARD = """---
license: mit
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: [main/test-*]
- config_name: socratic
  data_files: socratic/*.jsonl
---
# Sums
"""
COMMIT = "0" * 40


def rows(first: int, count: int) -> str:
    made = [{"question": f"{n}+{n}=", "solution": str(2 * n)} for n in range(first, first + count)]
    return "".join(json.dumps(row) + "\n" for row in made)


FILES = {
    "README.md": CARD,
    "main/train-00000-of-00002.jsonl": rows(0, 10),
    "main/train-00001-of-00002.jsonl": rows(10, 10),
    "main/test-00000-of-00001.jsonl": rows(100, 5),
    "socratic/all.jsonl": rows(200, 10),
}


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def fill(tmp_path, files: dict[str, str] = FILES, revision: str = "main"):
    """Put a data set into the hub's cache, as a download does."""
    repository = tmp_path / "hub" / "datasets--org--sums"
    write(repository / "snapshots" / COMMIT, files)
    write(repository / "refs", {revision: COMMIT})


def write(folder, files: dict[str, str]):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def options(**given):
    named = {"kind": "prompt-only", "seed": 0, "path": "org/sums", "name": "main"}
    return {**named, "columns": {"prompt": "question", "answer": "solution"}, **given}


def refusal(**given) -> str:
    """What the parent says; the worker says the same."""
    with pytest.raises((ValueError, FileNotFoundError)) as parent:
        check_dataset({"_target_": "expctl.data.hub.load", **options(**given)})
    with pytest.raises((ValueError, FileNotFoundError)) as worker:
        hub.load(**options(**given))
    assert str(worker.value) == str(parent.value)
    return str(parent.value)


def test_all_shards_of_a_split_are_trained_on_and_another_split_is_evaluated_on(tmp_path):
    fill(tmp_path)
    check_dataset({"_target_": "expctl.data.hub.load", **options(eval_split="test")})
    train, held_out = hub.load(**options(eval_split="test"))
    assert train["prompt"] == [f"{n}+{n}=" for n in range(20)]
    assert held_out["answer"] == [str(2 * n) for n in range(100, 105)]


def test_without_a_split_to_evaluate_on_rows_are_held_out(tmp_path):
    fill(tmp_path)
    train, held_out = hub.load(**options(eval_size=5))
    assert len(train) == 15 and not set(train["prompt"]) & set(held_out["prompt"])


def test_a_download_of_another_part_is_none_of_this(tmp_path):
    fill(tmp_path, {name: content for name, content in FILES.items() if "train" not in name})
    assert "the files of its split 'train' are not in the hub's cache" in refusal()
    assert len(hub.load(**options(name="socratic", eval_size=3))[0]) == 7


def test_a_revision_is_its_own_download(tmp_path):
    fill(tmp_path, revision="v1")
    assert "not in the hub's cache" in refusal()
    assert len(hub.load(**options(revision="v1", eval_size=1))[0]) == 19
    assert len(hub.load(**options(revision=COMMIT, eval_size=1))[0]) == 19


@pytest.mark.parametrize(
    ("given", "said", "do"),
    [
        ({"path": "org/sumz"}, "Did you mean org/sums?", "hf download org/sumz --repo-type dataset --local-dir"),
        ({"path": "a/b/c"}, "that is no hub id (ORG/NAME)", "hf download"),
        ({"name": None}, "is several data sets: main, socratic.", "dataset.name=<one of these>"),
        ({"name": "mian"}, "It has: main, socratic.", "dataset.name=main"),
        ({"split": "trian"}, "org/sums has no such split. It has: train, test.", "dataset.split=train"),
        ({"eval_split": "tset"}, "dataset.eval_split=tset", "dataset.eval_split=test"),
        ({"revision": "v2"}, "not in the hub's cache at revision v2", "--revision v2"),
        ({"columns": {}}, "has no column 'prompt'", "dataset.columns.prompt="),
    ],
)
def test_what_is_not_there_is_refused_alike_in_parent_and_worker(tmp_path, given, said, do):
    fill(tmp_path)
    what, _, remedy = refusal(**given).partition("\n")
    assert said in what and do in remedy


def test_the_split_that_is_trained_on_is_not_evaluated_on(tmp_path):
    fill(tmp_path)
    with pytest.raises(ValueError, match="is the split that is trained on"):
        check_dataset({"_target_": "expctl.data.hub.load", **options(eval_split="train")})


def test_a_folder_that_is_laid_out_like_the_repository_is_read_as_it(tmp_path):
    folder = str(write(tmp_path / "copy", FILES))
    assert len(hub.load(**options(path=folder, eval_split="test"))[0]) == 20
    assert "is of the hub" in refusal(path=folder, revision="v1")


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["data.jsonl"], {"train": ["data.jsonl"]}),
        (["train.csv", "test.csv"], {"train": ["train.csv"], "test": ["test.csv"]}),
        (["a/train/0.parquet", "a/dev/0.parquet"], {"train": ["a/train/0.parquet"], "validation": ["a/dev/0.parquet"]}),
        (
            ["data/few-00000-of-00001-ab.parquet", "data/train-00000-of-00001.parquet", "x.csv"],
            {"few": ["data/few-00000-of-00001-ab.parquet"], "train": ["data/train-00000-of-00001.parquet"]},
        ),
        (["my_train_1.jsonl", "my_train_2.jsonl"], {"train": ["my_train_1.jsonl", "my_train_2.jsonl"]}),
    ],
)
def test_without_a_card_the_names_of_the_files_tell_their_split_as_datasets_has_it(names, splits, tmp_path):
    for split, files in splits.items():
        assert split_files(sorted(names), {}, "p", name=None, split=split, key="dataset.split") == files
    from datasets.data_files import DataFilesDict, get_data_patterns

    write(tmp_path, dict.fromkeys(names, "x"))
    resolved = DataFilesDict.from_patterns(get_data_patterns(str(tmp_path)), base_path=str(tmp_path))
    reference = {split: sorted(file[len(str(tmp_path)) + 1 :] for file in files) for split, files in resolved.items()}
    assert reference == splits


def test_the_patterns_of_a_card_fit_the_files_that_datasets_finds(tmp_path):
    from datasets.data_files import DataFilesDict, sanitize_patterns

    names = ["a/x.jsonl", "a/b/y.jsonl", "a/b/c/z.jsonl", "x1.jsonl", "x12.jsonl", "xa.jsonl"]
    write(tmp_path, dict.fromkeys(names, "{}"))
    for pattern in ["a/*.jsonl", "a/**/*.jsonl", "**/*.jsonl", "x?.jsonl", "x[0-9].jsonl", "a/b/*", "a/**", "x1.jsonl"]:
        card = {"configs": [{"config_name": "c", "data_files": pattern}]}
        files = split_files(sorted(names), card, "p", name=None, split="train", key="dataset.split")
        reference = DataFilesDict.from_patterns(sanitize_patterns(pattern), base_path=str(tmp_path))["train"]
        assert sorted(files) == sorted(file[len(str(tmp_path)) + 1 :] for file in reference), pattern


def test_what_is_not_in_the_cache_is_downloaded_where_there_is_a_network(tmp_path, monkeypatch):
    asked = []

    def download(path, *, repo_type, revision, allow_patterns):
        asked.append((path, repo_type, revision, allow_patterns))
        fill(tmp_path, {name: FILES[name] for name in allow_patterns})

    card = write(tmp_path / "card", {"README.md": CARD}) / "README.md"
    monkeypatch.setattr("expctl.base.hub.offline_reason", lambda: None)
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda self, path, *, repo_type, revision: [*FILES])
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda path, name, *, repo_type, revision: str(card))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    check_dataset({"_target_": "expctl.data.hub.load", **options(name="socratic")})  # nothing to look at yet
    assert not asked
    assert len(hub.load(**options(name="socratic", eval_size=2))[0]) == 8
    assert asked == [("org/sums", "dataset", None, ["README.md", "socratic/all.jsonl"])]


def test_a_card_that_cannot_be_read_is_none(tmp_path):
    write(tmp_path, {"README.md": "---\nconfigs: [\n---\n"})
    assert read_card(tmp_path / "README.md") == {} == read_card(tmp_path / "none")
