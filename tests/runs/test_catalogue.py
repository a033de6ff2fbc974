"""All runs of a folder: whatever state their files are in, and the same from the cache as from the files."""

import builtins
import io
import json
import os
import shutil
from pathlib import Path

import fabricated
import pytest

from expctl.base.paths import cache_root
from expctl.runs import manifest
from expctl.runs.catalogue import catalogue, names
from expctl.runs.files import Run, write_json
from expctl.runs.lock import Lock


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "work" / "outputs"


def completed(outputs: Path, seed: int = 0, **metrics: float | None) -> Run:
    run = fabricated.run_of(fabricated.experiment(outputs.parent, seed=seed), status=manifest.COMPLETED)
    write_json(run.summary, {"objective": metrics.get("eval_reward"), "objective_name": "eval_reward", "steps": 4,
                             "before": {"eval_reward": 0.1}, "after": metrics, "train": {"loss": 2.0}})  # fmt: skip
    return run


def facts(outputs: Path, **options) -> dict[str, dict]:
    return {run.run_id: known for run, known in catalogue(outputs, **options)}


def only(outputs: Path) -> dict:
    (found,) = facts(outputs).values()
    return found


def test_a_run_is_known_by_its_config_its_manifest_and_its_metrics(outputs):
    run = completed(outputs, seed=3, eval_reward=0.9)
    known = only(outputs)
    assert known["run"] == run.run_id and known["status"] == "completed"
    assert (known["seed"], known["args.learning_rate"], known["algorithm"]) == (3, 1e-3, "gfpo")
    assert (known["eval_reward"], known["before.eval_reward"], known["loss"], known["objective"]) == (0.9, 0.1, 2, 0.9)
    assert (known["step"], known["steps"], known["attempts"], known["typed"]) == (4, 4, 1, ["seed"])


def test_a_folder_that_is_no_run_is_passed_over(outputs):
    completed(outputs, eval_reward=1.0)
    (outputs / "sweeps").mkdir()
    (outputs / "notes.txt").write_text("mine")
    (outputs / ".hidden").mkdir()
    (outputs / "half" / "checkpoints").mkdir(parents=True)
    (outputs / "half" / "config.yaml").write_text("seed: 1")
    assert len(facts(outputs)) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [("", "empty"), ('{"run_id": "x", "sta', "no JSON"), ("[1]", "no manifest"), ("\xff", "no JSON"),
     ('{"status": "FINISHED"}', "no manifest"), ('{"run_id": "x", "status": ["completed"]}', "no manifest")],
)  # fmt: skip
def test_a_run_json_that_says_nothing_is_broken_with_the_reason(outputs, content, reason):
    (outputs / "foreign").mkdir(parents=True)
    (outputs / "foreign" / "run.json").write_bytes(content.encode("latin-1"))
    for _ in range(2):  # from the file, from the cache
        assert only(outputs)["status"] == "broken" and reason in only(outputs)["error"]


def test_fields_of_other_kinds_than_ours_are_no_crash(outputs):
    run = completed(outputs)
    recorded = {"run_id": 7, "status": "completed", "attempts": "two", "choices": ["gfpo"], "overrides": {"a": 1},
            "versions": None, "started": 5}  # fmt: skip
    run.manifest.write_text(json.dumps(recorded))
    run.summary.write_text(json.dumps({"after": [1], "train": {"loss": "low", "x": True, "y": {"z": 1}}, "seconds": 3}))
    assert only(outputs)["attempts"] == 0 and "loss" not in only(outputs)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("summary.json", None, "missing"), ("summary.json", '{"objecti', "no JSON"), ("summary.json", "[]", "no summary"),
     ("config.yaml", None, "missing"), ("config.yaml", "a: [", "no config"), ("config.yaml", "- a", "no config"),
     ("config.yaml", "a: &a {b: *a}", "no config")],
)  # fmt: skip
def test_a_damaged_file_is_named_and_the_rest_is_known(outputs, name, content, reason):
    run = completed(outputs, eval_reward=0.5)
    (run.folder / name).unlink() if content is None else (run.folder / name).write_text(content)
    known = only(outputs)
    assert known["status"] == "completed" and name in known["damaged"] and reason in known["damaged"]
    assert ("eval_reward" in known) == (name == "config.yaml") and ("seed" in known) == (name == "summary.json")


def test_a_number_that_is_none_and_one_that_is_missing_are_told_apart(outputs):
    completed(outputs, seed=0, eval_reward=float("nan"))
    completed(outputs, seed=1, eval_reward=None)
    completed(outputs, seed=2)
    for _ in range(2):
        found = {known["seed"]: known.get("eval_reward", "missing") for known in facts(outputs).values()}
        assert found[0] != found[0] and found[1] is None and found[2] == "missing"


def test_a_run_whose_process_is_gone_is_interrupted_and_one_that_lives_is_running(outputs):
    run = fabricated.run_of(fabricated.experiment(outputs.parent))
    manifest.start_attempt(run, 2, {})
    run.progress.write_text(json.dumps({"step": 3, "of": 9, "metrics": {"reward": 0.4, "eval_reward": None}}))
    known = only(outputs)
    assert (known["status"], known["step"], known["steps"], known["reward"]) == ("interrupted", 3, 9, 0.4)
    held = Lock(run.lock)
    assert only(outputs)["status"] == "running"
    run.progress.write_text(json.dumps({"step": 4, "of": 9, "metrics": {}}))
    assert only(outputs)["step"] == 4  # run.json is the same, and yet it is not the cache that answers
    held.release()
    assert only(outputs)["status"] == "interrupted"


def test_a_change_of_any_of_a_run_s_files_is_seen(outputs):
    run = completed(outputs, eval_reward=0.5)
    assert only(outputs)["eval_reward"] == 0.5
    write_json(run.summary, {"objective": 0.6, "steps": 4, "after": {"eval_reward": 0.6}})
    assert only(outputs)["eval_reward"] == 0.6
    write_json(run.manifest, json.loads(run.manifest.read_text()) | {"status": "failed", "error": "out of memory"})
    assert only(outputs)["error"] == "out of memory"
    run.config.write_text("seed: 8\n")
    assert only(outputs)["seed"] == 8
    shutil.rmtree(run.folder)
    assert facts(outputs) == {}


def test_what_was_done_again_is_listed_on_request(outputs):
    run = completed(outputs)
    shutil.copytree(run.folder, outputs / "reruns" / f"{run.run_id}-1")
    shutil.copytree(run.folder, outputs / "replaced" / f"{run.run_id}-2")
    assert list(facts(outputs)) == [run.run_id]
    assert sorted(facts(outputs, everything=True)) == [run.run_id, f"{run.run_id}-1", f"{run.run_id}-2"]


def test_no_outputs_and_none_that_can_be_read_are_no_runs(tmp_path):
    assert catalogue(tmp_path / "nowhere") == []
    (tmp_path / "file").write_text("")
    assert catalogue(tmp_path / "file") == []


@pytest.mark.parametrize("damage", ["", "{}", "cut", "other"])
def test_a_damaged_cache_is_made_anew(outputs, damage):
    completed(outputs, eval_reward=0.5)
    first = facts(outputs)
    (index,) = (cache_root() / "runs").iterdir()
    whole = index.read_text()
    index.write_text({"cut": whole[:-20], "other": whole.replace("0.5", "0.7")}.get(damage, damage))
    assert facts(outputs) == first
    assert index.read_text() == whole


def test_a_cache_that_cannot_be_written_costs_nothing(outputs, cache):
    completed(outputs, eval_reward=0.5)
    (cache / "runs").write_text("a file where the folder should be")
    assert only(outputs)["eval_reward"] == 0.5


def ten_thousand(outputs: Path) -> None:
    """Small runs, every seventh of them damaged or foreign."""
    outputs.mkdir(parents=True)
    config = "algorithm: {kind: prompts}\nargs: {learning_rate: 0.001}\nseed: "
    for number in range(10_000):
        folder = f"{outputs}/run-{number}"
        os.mkdir(folder)
        status = "failed" if number % 7 == 3 else "completed"
        manifest_text = json.dumps({"run_id": f"run-{number}", "status": status, "choices": {"algorithm": "gfpo"}})
        files = {"run.json": manifest_text[: 9 if number % 7 == 5 else None], "config.yaml": config + str(number)}
        if number % 7 != 6:
            files["summary.json"] = json.dumps({"objective": number / 7, "after": {"eval_reward": number / 7}})
        for name, text in files.items():
            with open(f"{folder}/{name}", "w") as file:
                file.write(text)


def test_ten_thousand_runs_are_the_same_from_the_cache_and_none_of_their_files_is_opened_again(outputs, monkeypatch):
    ten_thousand(outputs)
    first = facts(outputs)
    assert len(first) == 10_000 and sum(known["status"] == "broken" for known in first.values()) == 1428
    opened = []

    def watched(file, *rest, **options):
        opened.append(str(file))
        return really(file, *rest, **options)

    really = io.open
    monkeypatch.setattr(builtins, "open", watched)
    monkeypatch.setattr(io, "open", watched)  # pathlib's
    assert facts(outputs) == first
    assert opened and not [path for path in opened if str(outputs) in path]
    assert {"seed", "args.learning_rate", "eval_reward", "status"} <= names(catalogue(outputs))
    assert not [path for path in opened if str(outputs) in path]
