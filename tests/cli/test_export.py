"""An exported model is loaded by others as what it was trained to be, or nothing is written."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import yaml
from fabricated import completed
from harness import expctl
from transformers import AutoModelForCausalLM, AutoTokenizer

from expctl import models
from expctl.base.refusal import Refusal
from expctl.cli.export import main

PROMPT = "12+34="


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A working folder with a run of all weights, and one of an adapter that has started from it."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPCTL_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        first = completed("algorithm=sft", "name=stage one")
        model, tokenizer = models.load(str(first.model))
        torch.manual_seed(0)
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
        adapted.save_pretrained(folder / "adapter")
        tokenizer.save_pretrained(folder / "adapter")
        measured = {"eval_rewards/accuracy/mean": 0.75, "eval_rewards/accuracy/std": 0.5, "eval_runtime": 3.0}
        second = completed(f"model=run:{first.run_id}", "peft=lora", weights=folder / "adapter", after=measured)
        told = json.loads(second.manifest.read_text())
        told["data"] = {"eval": {"rows": 100, "columns": ["prompt"], "fingerprint": "aaaa", "of": "all rows"}}
        second.manifest.write_text(json.dumps(told))
        yield folder
    assert not list(folder.glob(".*writing"))


def generated(folder, **options) -> list[int]:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, **options), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    return model.generate(ids, max_new_tokens=24, do_sample=False)[0].tolist()


def test_an_adapter_is_merged_and_transformers_generates_the_same_tokens(work):
    exported = expctl("export", "gfpo-tiny", "there/merged", cwd=work)
    assert exported.returncode == 0, exported.stderr
    folder = work / "there" / "merged"
    merged, tokenizer = models.load(str(next((work / "outputs").glob("gfpo*")) / "model"))
    ids = tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    assert generated(folder) == merged.generate(ids, max_new_tokens=24, do_sample=False)[0].tolist()
    assert generated(folder) != generated(next((work / "outputs").glob("sft*")) / "model")
    told = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("config", "tokenizer_config")}
    assert told["tokenizer_config"]["chat_template"] == (folder / "chat_template.jinja").read_text()
    assert told["config"]["rope_theta"] == told["config"]["rope_parameters"]["rope_theta"]
    assert told["config"]["use_cache"] and told["config"]["dtype"] == "float32"
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == tokenizer.eos_token_id
    assert not (folder / "adapter_config.json").exists()


def test_the_card_has_data_method_commands_metrics_with_intervals_and_lineage(work):
    text = (work / "there" / "merged" / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["library_name"] == "transformers" and "gfpo" in head["tags"]
    sft, gfpo = (next((work / "outputs").glob(f"{name}*")).name for name in ("sft", "gfpo"))
    commands = re.search(r"```\n(expctl .*?)```", text, flags=re.S)[1].splitlines()
    assert commands == ["expctl algorithm=sft 'name=stage one'", f"expctl model=run:{sft} peft=lora"]
    assert "| rewards/accuracy/mean |  | 0.75 ± 0.098 |" in text  # 1.96 * 0.5 / sqrt(100)
    assert re.search(rf"1\. `embedded:tiny`\n2\. `{sft}` .*\n3\. `{gfpo}`", text)
    assert "100 rows of `prompt`" in text and "expctl.rewards.arithmetic" in text and "eval_runtime" not in text


def test_another_number_format_and_a_checkpoint_are_exported_as_asked(work):
    done = expctl("export", "sft-tiny", "short", "--dtype=bfloat16", cwd=work)
    assert done.returncode == 0, done.stderr
    model = AutoModelForCausalLM.from_pretrained(work / "short")
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["nobody", "d"], "no run is called"),
        (["sft-tiny@checkpoint-1", "d"], "checkpoint-1 of .* is not there"),
        (["sft-tiny"], "needs a run and a folder"),
        (["sft-tiny", "outputs"], "is there already"),
        (["sft-tiny", "d", "--dtype", "bf16"], "the dtype 'bf16' is unknown"),
        (["sft-tiny", "d", "--push", "name"], "no name of a repository"),
        (["sft-tiny", "d", "--push", "org/name"], "no token"),
        (["sft-tiny", "d", "--public"], "--public is for --push"),
        (["sft-tiny", "d", "--dtipe=x"], "no option '--dtipe'"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(words, what, work, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))
    before = sorted(work.iterdir())
    with pytest.raises(Refusal, match=what):
        main(words)
    assert sorted(work.iterdir()) == before


def test_a_disk_without_room_is_refused(work, monkeypatch):
    full = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("expctl.cli.export.shutil.disk_usage", lambda _: full)
    with pytest.raises(Refusal, match="the model takes .* GB left"):
        main(["sft-tiny", "full"])


def test_a_model_that_cannot_be_loaded_leaves_nothing(work, tmp_path):
    run = next((work / "outputs").glob("sft*"))
    weights = (run / "model" / "model.safetensors").read_bytes()
    (run / "model" / "model.safetensors").write_bytes(weights[:2000])
    try:
        done = expctl("export", "sft-tiny", "broken", cwd=work)
    finally:
        (run / "model" / "model.safetensors").write_bytes(weights)
    assert done.returncode == 1 and "was not exported" in done.stderr
    assert not (work / "broken").exists() and not list(work.glob(".broken*"))


class Hub(BaseHTTPRequestHandler):
    """What of the hub's API an upload of small files asks for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.path, self.headers.get("Authorization"), body))
        answer = {"url": f"http://127.0.0.1:{self.server.server_port}/org/name", "id": "org/name"}
        if "preupload" in self.path:
            files = [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            answer = {"files": files}
        elif "/commit/" in self.path:
            answer = {
                "success": True,
                "commitOid": "a" * 40,
                "commitUrl": f"http://127.0.0.1:{self.server.server_port}/org/name/commit/a",
            }
        self.answer(answer)

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization"), b""))
        self.answer({"id": "org/name", "modelId": "org/name", "sha": "b" * 40, "siblings": [], "tags": []})

    def answer(self, content):
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def test_it_is_uploaded_with_the_token_of_the_environment_and_private_unless_asked(work):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_TOKEN": "hf_secret"}
        words = ["export", "sft-tiny", "pushed", "--push", "org/name"]
        done = expctl(*words, cwd=work, forked=False, HF_HUB_OFFLINE="0", **environment)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert "hub " in done.stdout and "hf_secret" not in done.stdout + done.stderr
    assert {token for _, token, _ in server.asked} <= {"Bearer hf_secret", None}
    created = next(json.loads(body) for path, _, body in server.asked if path.endswith("/repos/create"))
    assert (created["organization"], created["name"]) == ("org", "name")
    assert created.get("private") is True or created.get("visibility") == "private"
    committed = next(body for path, _, body in server.asked if "/commit/" in path)
    names = [json.loads(line)["value"].get("path") for line in committed.splitlines()]
    assert {"model.safetensors", "config.json", "README.md", "tokenizer.json"} <= set(names)


def test_runs_are_a_table_with_settings_metrics_and_seeds(work, capsys, tmp_path):
    import pandas

    assert main(["--table", str(tmp_path / "runs.parquet")]) == 0
    assert main(["--table", str(tmp_path / "runs.csv"), "algorithm=gfpo"]) == 0
    assert "(2 runs, " in capsys.readouterr().out
    table = pandas.read_parquet(tmp_path / "runs.parquet").set_index("algorithm")
    assert table.loc["gfpo", "eval_rewards/accuracy/mean"] == 0.75 and table.loc["gfpo", "seed"] == 0
    assert table.loc["sft", "name"] == "stage one" and table.loc["gfpo", "started_from"] == table.loc["sft", "run"]
    line = pandas.read_csv(tmp_path / "runs.csv")
    assert list(line["run"]) == [table.loc["gfpo", "run"]] and line["args.learning_rate"][0] > 0


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--table", "runs.xls"], "no name of a table"),
        (["--table", "nowhere/runs.csv"], "cannot be written"),
        (["--table", "runs.csv", "algorithm=ppo"], "no such runs"),
        (["--table", "runs.csv", "algoritm=sft"], "algoritm"),
        (["--table"], "needs a value"),
    ],
)
def test_a_table_that_cannot_be_is_refused(words, what, work):
    with pytest.raises(Refusal, match=what):
        main(words)
    assert not list(work.glob("runs.*"))


def test_a_column_of_several_types_is_one_of_texts():
    from expctl.report.run_table import _typed

    assert _typed([1, None, 2]) == ([1, None, 2], "int64")
    assert _typed([1, 0.5]) == ([1.0, 0.5], "float64") and _typed([True, None])[1] == "bool"
    assert _typed([1, "steps", True, None]) == (["1", "steps", "true", None], "string")
    assert _typed([1 << 80])[1] == "float64" and _typed([None])[1] == "string"
