"""Trackers record without a key and without a network, and no key is written anywhere."""

import json
import struct
import sys
from types import SimpleNamespace

from fabricated import experiment
from harness import COMMAND, SFT, expctl, files_that_hold, forked_workers, manifest, only_run, run
from wandb.proto.wandb_internal_pb2 import Record

from expctl.runs.claim import claim
from expctl.worker.trackers import start_tracker, tracker_fields

KEY = "wandb-key-0123456789abcdef0123456789abcdef01234567"


BLOCK = 32768


def recorded(file) -> list[Record]:
    """What wandb has written offline: LevelDB's log format, after a head of 7 bytes."""
    content, place, found, begun = file.read_bytes(), 7, [], b""
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:  # too little of a block is filled up
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        begun += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            found.append(Record.FromString(begun))
            begun = b""
    return found


def test_wandb_records_offline_where_no_key_is_set_and_is_told_what_people_sort_runs_by(tmp_path):
    words = [*SFT, "args.max_steps=1", "args.do_eval=true", "tracker=wandb", "seed=3"]
    done = run(COMMAND, *words, cwd=tmp_path, HOME=str(tmp_path / "home"), WANDB_API_KEY="", **forked_workers())
    assert done.returncode == 0, done.stderr
    folder = only_run(tmp_path)
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    records = recorded(file)
    told = next(record.run for record in records if record.HasField("run"))
    assert (told.run_id, told.display_name, told.project) == (folder.name, folder.name, "expctl")
    assert told.run_group.startswith("sft-tiny-arithmetic-") and told.job_type == "sft"
    assert list(told.tags) == ["sft", "tiny", "arithmetic"]
    config = {item.key: json.loads(item.value_json) for item in told.config.update}
    assert config["seed"] == 3 and config["args"]["max_steps"] == 1
    summary = {}
    for record in records:
        if record.HasField("summary"):
            for item in record.summary.update:
                summary[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
    told = json.loads((folder / "summary.json").read_text())
    assert told["before"] and told["after"]
    assert summary["objective"] == told["objective"] and summary["objective_name"] == told["objective_name"]
    assert summary["after"] == told["after"] and summary["before"] == told["before"]
    assert manifest(folder)["choices"]["tracker"] == "wandb"


def test_a_forced_run_goes_on_with_no_tracked_run_of_the_one_that_it_replaced(tmp_path, monkeypatch):
    (tmp_path / "my_rewards.py").write_text("a = 1\n")
    monkeypatch.setenv("WANDB_MODE", "offline")
    begun = []
    stand_in = SimpleNamespace(init=lambda **said: begun.append(said), Settings=dict)
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    for forced in (False, True):
        words = {"tracker__report_to": "wandb", "tracker__project": "mine", "tracker__mode": "offline"}
        described = experiment(tmp_path, force=forced, **words)
        claimed = claim(described)
        claimed.held.release()
        start_tracker(described.config, claimed.run)
    name = claimed.run.run_id
    assert [said["id"] for said in begun] == [name, f"{name}-forced1"]
    described.config["tracker"]["report_to"] = "trackio"
    assert tracker_fields(described.config, claimed.run)["run_name"] == f"{name}-forced1"


def test_wandb_out_of_reach_costs_no_training_and_its_key_is_in_no_file(tmp_path):
    done = expctl(
        *SFT,
        "tracker=wandb",
        cwd=tmp_path,
        HOME=str(tmp_path / "home"),
        WANDB_API_KEY=KEY,
        WANDB_BASE_URL="http://127.0.0.1:9",
        HF_TOKEN="hf_0123456789abcdef",
    )
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


# What the trainer's callback and TRL use of trackio; every call is noted.
TRACKIO = """
import json, os
from contextvars import ContextVar
from types import SimpleNamespace
__version__ = "1.0"
def note(*said):
    with open(os.environ["CALLS"], "a") as file:
        file.write(json.dumps(said, default=str) + chr(10))
class context_vars:
    current_run, current_space_id = ContextVar("run", default=None), ContextVar("space", default=None)
class Config(dict):
    def update(self, *given, **more):
        pass
config = Config()
def init(**said):
    note("init", said)
    context_vars.current_run.set(SimpleNamespace(name=said["name"], _space_id=None, _url=None, project="expctl"))
def log(said):
    note("log", said)
def finish():
    note("finish", context_vars.current_run.get().name)
    context_vars.current_run.set(None)
"""


def test_trackio_is_told_the_run_by_its_name_and_group_and_is_closed_after_the_last_evaluation(tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "trackio.py").write_text(TRACKIO)
    done = expctl(
        *SFT,
        "args.max_steps=1",
        "args.do_eval=true",
        "tracker=trackio",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path / "ours"),
        CALLS=str(tmp_path / "calls"),
    )
    assert done.returncode == 0, done.stderr
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    begun = [said for kind, said in calls if kind == "init"]
    name = only_run(tmp_path).name
    assert len(begun) == 2, "once for the training, once more for what comes after it"
    for said in begun:
        assert (said["project"], said["name"], said["resume"], said["space_id"]) == ("expctl", name, "allow", None)
        assert said["group"].startswith("sft-tiny-arithmetic-") and said["config"]["seed"] == 0
    evaluated = [said["eval/loss"] for kind, said in calls if kind == "log" and "eval/loss" in said]
    summary = json.loads((only_run(tmp_path) / "summary.json").read_text())
    assert evaluated == [summary["before"]["eval_loss"], summary["after"]["eval_loss"]]
    assert calls[-1] == ["finish", name]
