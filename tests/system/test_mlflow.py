"""MLflow is told of a run once, by its name; the real one is no part of the tests' environment, a stand-in notes."""

import json
import os
import sys
from types import SimpleNamespace

import pytest
from harness import SFT, expctl, files_that_hold, manifest, only_run

from expctl.worker import mlflow_run

PASSWORD = "mlflow-password-0123456789"
# What transformers' callback, TRL and expctl use of mlflow; every call is noted. A store that is called `away` raises.
MLFLOW = """
import json, os, sys, types
from types import SimpleNamespace
__version__ = "3.17.0"
store, runs = None, []
def note(*said):
    with open(os.environ["CALLS"], "a") as file:
        file.write(json.dumps([*said, store], default=vars) + chr(10))
def module(name, **content):
    made = types.ModuleType(name)
    vars(made).update(content)
    sys.modules[name] = made
    return made
entities = module("mlflow.entities", RunTag=lambda key, value: [key, value],
                  Metric=lambda key, value, timestamp, step: [key, value, step])
validation = module("mlflow.utils.validation", MAX_PARAM_VAL_LENGTH=60, MAX_PARAMS_TAGS_PER_BATCH=10)
utils = module("mlflow.utils", validation=validation)
for name in ("mlflow.tracking", "mlflow.tracking.context"):
    module(name)
module("mlflow.tracking.context.registry", resolve_tags=lambda: {"repository": "https://user:PASSWORD@git.example/x"})
def is_tracking_uri_set():
    return True
def get_tracking_uri():
    return store
def set_tracking_uri(uri):
    global store
    store = uri
def set_experiment(name=None, experiment_id=None):
    if "away" in store:
        raise RuntimeError(f"no answer from {store}")
    note("experiment", name, experiment_id)
def active_run():
    return runs[0] if runs else None
def run_called(run_id, **data):
    info = SimpleNamespace(run_id=run_id, experiment_id="7", lifecycle_stage="active")
    return SimpleNamespace(info=info, data=SimpleNamespace(**{"params": {}} | data))
def start_run(run_id, run_name, tags):
    note("start", run_id, run_name, tags)
    runs.append(run_called(run_id or "new", params={"seed": "0"} if run_id else {}))
    return runs[0]
def log_params(params):
    assert len(params) <= 10 and all(len(value) <= 60 for value in params.values())
    note("params", params)
def log_metrics(metrics, step=None, synchronous=True):
    note("metrics", metrics, step, synchronous)
    if "loss" in metrics:
        raise RuntimeError("no answer")
def set_tags(tags, synchronous=True):
    note("tags", tags)
class MlflowClient:
    def __init__(self, tracking_uri=None):
        self.uri = tracking_uri
    def search_experiments(self):
        note("made", self.uri)
        open(self.uri.removeprefix("sqlite:///"), "w").close()
    def get_run(self, run_id):
        return run_called(run_id)
    def log_batch(self, run_id, metrics, tags):
        note("batch", run_id, metrics, tags)
    def set_terminated(self, run_id, status):
        note("end", run_id, status)
""".replace("PASSWORD", PASSWORD)


@pytest.fixture
def told(tmp_path):
    """Runs `expctl` beside the stand-in; what it has been told since, a list a call, the store last."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "mlflow.py").write_text(MLFLOW)
    for name in ("sqlalchemy", "alembic"):
        (tmp_path / "ours" / f"{name}.py").touch()
    file, paths = tmp_path / "calls", [str(tmp_path / "ours"), os.environ.get("PYTHONPATH", "")]

    def tell(*words, code=0, **environment):
        file.unlink(missing_ok=True)
        done = expctl(
            *SFT,
            "args.max_steps=1",
            "args.logging_steps=1",
            "tracker=mlflow",
            *words,
            cwd=tmp_path,
            PYTHONPATH=os.pathsep.join(filter(None, paths)),
            CALLS=str(file),
            **environment,
        )
        assert done.returncode == code, done.stderr
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    return tell


def of(calls, kind):
    return [call[1:] for call in calls if call[0] == kind]


def test_a_store_beside_the_runs_has_the_run_and_a_forced_one_is_another_where_no_server_answers(told, tmp_path):
    calls = told("args.do_eval=true")
    folder, store = only_run(tmp_path), f"sqlite:///{tmp_path}/outputs/mlflow.db"
    ((aside, _),) = of(calls, "made")
    assert aside != store and (tmp_path / "outputs" / "mlflow.db").exists(), "made aside, put in place whole"
    assert {call[-1] for call in calls} == {None, store}
    assert of(calls, "experiment") == [["expctl", None, store]]
    ((run_id, name, tags, _),) = of(calls, "start")
    assert (run_id, name) == (None, folder.name)
    assert tags["group"].startswith("sft-tiny-arithmetic-") and tags["folder"] == str(folder)
    assert [tags[key] for key in ("job_type", "algorithm", "model", "dataset")] == ["sft", "sft", "tiny", "arithmetic"]
    params = {key: value for some, _ in of(calls, "params") for key, value in some.items()}
    assert params["seed"] == "0" and params["args.max_steps"] == "1" and "output_dir" not in params
    metrics = of(calls, "metrics")
    assert [step for said, step, *_ in metrics if "eval_loss" in said] == [0, 1]
    assert not any(synchronous for *_, synchronous, _ in metrics), "the training waits for nobody"
    log = (folder / "worker.log").read_text()
    assert log.count("metrics.jsonl has it") == 1 and "no answer" in log
    summary = json.loads((folder / "summary.json").read_text())
    ((_, numbers, said, _),) = of(calls, "batch")
    assert ["objective", summary["objective"], 1] in numbers and ["objective_name", "eval_loss"] in said
    assert ["before/eval_loss", summary["before"]["eval_loss"], 1] in numbers
    assert ["after/eval_loss", summary["after"]["eval_loss"], 1] in numbers
    assert calls[-1] == ["end", "new", "FINISHED", store]
    assert json.loads((folder / "mlflow.json").read_text()) == {"mlflow.db": "new"}

    away = told("args.do_eval=true", "force=true", MLFLOW_TRACKING_URI=f"http://user:{PASSWORD}@away.example:1/")
    log = (folder / "worker.log").read_text()
    assert log.count("mlflow cannot record into http://away.example:1/") == 1 and "recording into sqlite" in log
    assert not of(away, "made") and of(away, "start")[0][0] is None and manifest(folder)["forced"] == 1
    assert away[-1] == ["end", "new", "FINISHED", store]
    assert files_that_hold(folder, PASSWORD) == [] and PASSWORD not in json.dumps([calls, away])


def test_a_run_that_failed_says_so_and_is_carried_on_as_the_same_one(told, tmp_path):
    (tmp_path / "my_parts.py").write_text(
        "from transformers import TrainerCallback\nfrom pathlib import Path\n"
        "class Fail(TrainerCallback):\n    def on_train_begin(self, *words, **named):\n"
        "        if Path('fail').exists():\n            raise ValueError('on purpose')\n"
    )
    words = ["+callbacks.mine._target_=my_parts.Fail"]
    (tmp_path / "fail").touch()
    assert told(*words, code=1)[-1][:3] == ["end", "new", "FAILED"]
    (only_run(tmp_path) / "mlflow.json").write_text('{"mlflow.db": "earlier"}')
    (tmp_path / "fail").unlink()
    calls = told(*words)
    assert of(calls, "experiment")[0][:2] == [None, "7"] and of(calls, "start")[0][0] == "earlier"
    assert all("seed" not in params for params, _ in of(calls, "params")), "what it knows cannot be told again"
    assert calls[-1][:3] == ["end", "earlier", "FINISHED"]


@pytest.mark.parametrize("stage", [None, "deleted"])
def test_a_run_that_somebody_has_deleted_in_mlflow_is_none_to_go_on_with(stage, monkeypatch):
    class Missing(Exception):  # noqa: N818
        error_code = "RESOURCE_DOES_NOT_EXIST"

    def get_run(run_id):
        if stage is None:
            raise Missing
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id, lifecycle_stage=stage))

    stand_in = SimpleNamespace(
        MlflowClient=lambda: SimpleNamespace(get_run=get_run), exceptions=SimpleNamespace(MlflowException=Missing)
    )
    monkeypatch.setitem(sys.modules, "mlflow", stand_in)
    assert mlflow_run.earlier_run("its id") is None
    stage = "active"
    assert mlflow_run.earlier_run("its id").info.run_id == "its id" and mlflow_run.earlier_run(None) is None
