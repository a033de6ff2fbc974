"""The group `generation`: what it sets, and what is refused of it before anything is created."""

import json
import re
import shlex
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose
from expctl.config import engine_facts
from expctl.config.check import check
from expctl.config.checks import engine as engine_check
from expctl.models.locations import folder_of
from expctl.runs.identity import config_hash

PAGE = (Path(__file__).parents[2] / "docs" / "generation.md").read_text()
SMOL = {"hidden_size": 576, "num_attention_heads": 9}
GPU = ["hardware=gpu"]


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    """A folder to work in, and a vLLM that the installed TRL takes, be there one or none."""
    monkeypatch.chdir(tmp_path)
    installed(monkeypatch, engine_facts.versions_of_trl()[1])


def installed(monkeypatch, version, sizes=(24, 32, 64)):
    monkeypatch.setattr(engine_facts, "vllm_version", lambda: version)
    monkeypatch.setattr(engine_facts, "head_sizes_on_cpu", lambda: list(sizes))


def gpus(monkeypatch, number, gibibytes=80):
    monkeypatch.setattr("expctl.devices.detection.visible_gpus", lambda: number)
    monkeypatch.setattr("expctl.devices.detection.gpu_memory", lambda: gibibytes * 2**30)
    monkeypatch.setattr("expctl.devices.detection.compute_capability", lambda: 9.0)


def refused(*words):
    """The only refusal of these words."""
    found = check(compose(list(words)))
    assert len(found) == 1, [str(each) for each in found]
    return str(found[0])


def test_the_default_changes_nothing():
    default, chosen = compose([]), compose(["generation=transformers"])
    assert default.config == chosen.config and "generation" not in default.config
    assert default.choices["generation"] == "transformers"


@pytest.mark.parametrize(
    ("option", "fields"),
    [
        ("compact", {}),
        ("paged", {"use_transformers_continuous_batching": True}),
        ("vllm", {"use_vllm": True, "vllm_mode": "colocate", "vllm_importance_sampling_correction": True}),
        ("vllm_server", {"use_vllm": True, "vllm_mode": "server", "vllm_server_timeout": 600}),
    ],
)
@pytest.mark.parametrize("algorithm", ["gfpo", "grpo", "gspo", "gspo_token", "grpo_replay"])
def test_an_option_switches_its_engine_on_for_every_algorithm_that_samples(option, fields, algorithm, monkeypatch):
    gpus(monkeypatch, 2)
    words = [f"algorithm={algorithm}", f"generation={option}", *GPU, "hardware.bf16=false"]
    experiment = compose(words)
    assert fields.items() <= experiment.config["args"].items()
    assert check(experiment) == []


def test_rows_that_leave_make_another_run():
    default, compact = compose([]), compose(["generation=compact"])
    assert compact.config["generation"] == {"compact": True}
    assert config_hash(default) != config_hash(compact)


def test_where_a_server_is_and_how_long_it_is_waited_for_make_no_other_run(monkeypatch):
    words = ["generation=vllm_server", "hardware=gpu"]
    same = [[], ["generation.timeout=5"], ["generation.url=http://a:1"]]
    assert len({config_hash(compose([*words, *more])) for more in same}) == 1
    assert config_hash(compose([*words, "generation.devices=2"])) != config_hash(compose(words))


@pytest.mark.parametrize("algorithm", ["sft", "dpo", "dpo_bema"])
@pytest.mark.parametrize("option", ["compact", "paged", "vllm", "vllm_server"])
def test_an_engine_for_a_training_without_completions_is_refused(algorithm, option):
    text = refused(f"algorithm={algorithm}", f"generation={option}")
    assert f"generation={option}" in text and f"algorithm={algorithm} samples none" in text
    assert f"generation={option} (command line)" in text and "gfpo" in text


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["generation=vllm", "args.use_vllm=false"], ["generation=vllm", "args.use_vllm=false", "contradict"]),
        (["generation=vllm", "args.vllm_mode=server"], ["args.vllm_mode=server", "contradict"]),
        (["generation=vllm", "generation.dtype=bf16"], ["generation.dtype", "nearest  bfloat16"]),
        (["generation=vllm", "++generation.eager=true"], ["no key 'generation.eager'", "enforce_eager"]),
        (["generation=vllm_server", "generation.devices=0"], ["'generation.devices' is 0", "at least 1"]),
        (["generation=vllm_server", "generation.timeout=-1"], ["'generation.timeout' is -1"]),
        (["generation=vllm_server", "args.vllm_server_port=9"], ["vllm_server_port", "generation.url="]),
        (["generation=vllm_server", "args.vllm_tensor_parallel_size=2"], ["generation.devices=N"]),
        (
            ["generation=vllm_server", "generation.url=http://a", "generation.devices=2"],
            ["generation.devices would do nothing", "generation.url"],
        ),
        (
            ["generation=vllm_server", "generation.url=http://a", "generation.own_node=true"],
            ["generation.own_node would do nothing", "generation.url"],
        ),
        (["generation=vllm_server", "generation.own_node=2"], ["generation.own_node", "2"]),
        (["generation=vllm_server", "hardware=cpu", "generation.devices=2"], ["generation.devices=2", "the CPU"]),
        (["generation=vllm", "args.vllm_gpu_memory_utilization=0.5", "hardware=cpu"], ["VLLM_CPU_KVCACHE_SPACE"]),
        (["generation=vllm", "args.vllm_enable_sleep_mode=true", "hardware=cpu"], ["vllm_enable_sleep_mode", "CPU"]),
        (["generation=vllm", "args.vllm_tensor_parallel_size=2", "hardware=cpu"], ["tensor_parallel_size=2", "divide"]),
        (["generation=vllm", "args.loss_type=vespo", "hardware=cpu"], ["vespo", "token_truncate"]),
        (["generation=vllm", "args.use_transformers_continuous_batching=true"], ["both true", "generation=paged"]),
        (["generation=compact", "args.use_vllm=true"], ["generation=compact and args.use_vllm=true contradict"]),
        (["generation=compact", "args.cache_implementation=static"], ["args.cache_implementation=static contradict"]),
        (["generation=compact", "generation.compact=7"], ["'generation.compact' is 7"]),
        (["generation=compact", "++generation.dtype=auto"], ["no key 'generation.dtype'"]),
        (["generation=paged", "hardware.bf16=true", "hardware.use_cpu=true"], ["bfloat16", "generation=vllm"]),
    ],
    ids=str,
)
def test_settings_that_cannot_hold_are_refused_by_name(words, parts):
    text = refused(*words)
    assert all(part in text for part in parts), text


@pytest.mark.parametrize("hardware", ["gpu_8_fsdp2", "gpu_8_zero3"])
def test_ranks_that_hold_parts_of_a_model_keep_rows_that_have_ended(hardware, monkeypatch):
    gpus(monkeypatch, 8)
    monkeypatch.setattr("expctl.config.checks.hardware.find_spec", lambda _: True)
    text = refused("generation=compact", f"hardware={hardware}", "model=qwen3_0_6b", "dataset=gsm8k")
    assert "all must step together" in text and "generation=transformers" in text
    assert check(compose(["generation=compact", f"hardware={hardware}", "hardware.sharding=null"])) == []


def test_a_key_of_an_engine_that_is_not_chosen_names_the_option():
    with pytest.raises(Refusal) as said:
        compose(["generation.url=http://a:1"])
    assert "generation=vllm_server generation.url=http://a:1" in said.value.do


@pytest.mark.parametrize("chosen", [[], ["generation=vllm_server"]])
def test_a_misspelt_setting_of_an_engine_has_a_nearest_one(chosen):
    with pytest.raises(Refusal, match=r"no key 'generation\.timout'") as said:
        compose([*chosen, "generation.timout=3"])
    assert said.value.nearest[0] == "timeout"
    with pytest.raises(Refusal) as said:
        compose(["generation.compact=true"])
    assert "generation=compact generation.compact=true" in said.value.do
    with pytest.raises(Refusal) as said:
        compose(["generation.dtype=float32"])
    assert "generation=vllm generation.dtype=float32" in said.value.do


def test_a_missing_vllm_is_named(monkeypatch):
    installed(monkeypatch, None)
    text = refused("generation=vllm")
    assert "generation=vllm needs the package vllm" in text and "expctl[vllm]" in text
    assert "args.use_vllm=true needs the package vllm" in refused("args.use_vllm=true")


def test_the_versions_that_trl_takes_are_read_from_its_source(monkeypatch):
    oldest, newest = engine_facts.versions_of_trl()
    from trl import import_utils

    monkeypatch.setattr(import_utils, "_is_package_available", lambda *_, **__: (True, newest))
    assert import_utils.is_vllm_available(min_version=oldest) and import_utils.is_vllm_available()
    installed(monkeypatch, "0.1.0")
    text = refused("generation=vllm", "hardware=cpu")
    assert "vLLM 0.1.0" in text and oldest in text and newest in text
    for fits in (f"{newest}+cu129", oldest, engine_facts.UNKNOWN):
        installed(monkeypatch, fits)
        assert check(compose(["generation=vllm", "hardware=cpu"])) == []


def test_heads_that_vllm_has_no_kernel_for_on_a_cpu_are_refused(monkeypatch):
    installed(monkeypatch, engine_facts.versions_of_trl()[1], sizes=(32, 64))
    text = refused("generation=vllm", "hardware=cpu")
    assert "24 dimensions" in text and "32, 64" in text and "embedded:tiny" in text
    gpus(monkeypatch, 1)
    assert check(compose(["generation=vllm", *GPU])) == []


def test_the_size_of_a_head_is_stated_or_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_facts, "folder_of", lambda model: tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(SMOL))
    assert engine_facts.head_size({"path": "x"}) == 64
    (tmp_path / "config.json").write_text(json.dumps(SMOL | {"head_dim": 128}))
    assert engine_facts.head_size({"path": "x"}) == 128
    (tmp_path / "config.json").write_text("{")
    assert engine_facts.head_size({"path": "x"}) is None


def test_a_share_of_the_device_that_does_not_hold_the_weights_is_refused(monkeypatch):
    gpus(monkeypatch, 1, gibibytes=8)
    monkeypatch.setattr(engine_facts, "weights_bytes", lambda model: 3 * 2**30)
    text = refused("generation=vllm", *GPU)
    assert "0.3 of 8 GiB" in text and "2.4 GiB" in text and "have 3.0" in text
    assert check(compose(["generation=vllm", "args.vllm_gpu_memory_utilization=0.5", *GPU])) == []


def test_an_own_server_needs_devices_of_its_own(monkeypatch):
    gpus(monkeypatch, 1)
    text = refused("generation=vllm_server", *GPU)
    assert "1 for the training and 1 for the server" in text and "shows 1 GPU\n" in text
    assert "generation=vllm shares" in text
    experiment = compose(["generation=vllm_server", *GPU])
    (of_a_group,) = check(replace(experiment, in_group=True))
    assert "generation.own_node=true" in str(of_a_group) and "generation.url" in str(of_a_group)
    assert check(replace(experiment, runs_remotely=True)) == []


def test_a_node_for_the_server_needs_a_launcher_over_several(monkeypatch):
    words = ["generation=vllm_server", "generation.own_node=true", "hardware.num_processes=4", "prompts_per_step=8"]
    gpus(monkeypatch, 4)
    text = refused(*words, *GPU)
    assert "this command starts processes on one" in text and "srun --nodes 2 --ntasks-per-node 4 expctl" in text
    experiment = compose([*words, *GPU])
    for launched in ({"in_group": True}, {"runs_remotely": True}):
        assert check(replace(experiment, **launched)) == []


@pytest.fixture
def server():
    """A server that answers as vLLM's does; `server.served` are the models."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"object": "list", "data": self.server.served}).encode()
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    serving = HTTPServer(("127.0.0.1", 0), Answers)
    serving.served = []
    serving.url = f"http://127.0.0.1:{serving.server_port}"
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield serving
    serving.shutdown()
    serving.server_close()


def joining(server, *words):
    return ["generation=vllm_server", f"generation.url={server.url}", *GPU, *words]


def test_a_server_that_serves_another_model_is_refused(server, monkeypatch):
    gpus(monkeypatch, 1)
    server.served = [{"id": "Qwen/Qwen3-8B", "root": "Qwen/Qwen3-8B"}]
    text = refused(*joining(server))
    assert "serves Qwen/Qwen3-8B" in text and "trains embedded:tiny" in text
    server.served = [{"id": "policy", "root": f"/elsewhere/{folder_of({'path': 'embedded:tiny'}).name}/"}]
    assert check(compose(joining(server))) == []


def test_a_server_that_does_not_answer_is_refused(server, monkeypatch):
    gpus(monkeypatch, 1)
    url = server.url
    text = refused("generation=vllm_server", f"generation.url={url}/other", *GPU)
    assert "no server of vLLM answers" in text and "404" in text
    monkeypatch.setattr(engine_check.engine_facts, "ANSWER_SECONDS", 1.0)
    text = refused("generation=vllm_server", "generation.url=http://127.0.0.1:1", *GPU)
    assert "Connection refused" in text and "generation.url=null" in text
    assert "with its scheme" in refused("generation=vllm_server", "generation.url=127.0.0.1:1", *GPU)


COMMANDS = [line for block in re.findall(r"^```text\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("expctl ")])
def test_the_commands_of_the_page_that_need_gpus_are_accepted_where_these_are(command, monkeypatch, server):
    gpus(monkeypatch, 8)
    monkeypatch.setattr("expctl.config.checks.model.check_model", lambda experiment: [])
    server.served = [{"id": "Qwen/Qwen3-1.7B"}]
    words = [word.replace("http://node7:8000", server.url) for word in shlex.split(command)[1:]]
    experiment = compose([word for word in words if word != "-m" and not word.startswith("hydra")])
    assert engine_check.check_engine(replace(experiment, runs_remotely="-m" in words)) == []
    assert f"generation={experiment.choices['generation']}" in words
