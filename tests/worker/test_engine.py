"""The engine that TRL makes: its settings, its port, its longest sequence, its address. The engine is a stand-in."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from datasets import Dataset, DatasetDict
from harness import clean_environment, forked_workers, wait_for

from expctl import models
from expctl.base.engine import format_of_engine
from expctl.base.file_lock import is_locked
from expctl.base.ports import HeldPort, rendezvous_variables
from expctl.worker import engine
from tests.worker.engine_rank import listening

RANK = Path(__file__).with_name("engine_rank.py")
CONVERSATION = [{"role": "user", "content": "12 + 34"}]


@pytest.fixture
def config():
    """Of a colocated engine on the CPU."""
    return {
        "seed": 3,
        "args": {"use_vllm": True, "bf16": False},
        "generation": {"dtype": "auto", "enforce_eager": None},
        "hardware": {"use_cpu": True},
    }


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Locks of this test alone, and no variables of a launcher."""
    monkeypatch.setattr("expctl.devices.starting.lock_folder", lambda: tmp_path / "locks")
    for name in ("WORLD_SIZE", "MASTER_PORT", "MASTER_ADDR", "RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "")  # noted, so that what the engine sets is undone
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def tokenizer():
    return models.load("embedded:tiny")[1]


def test_the_engine_has_what_trl_hands_it_and_what_the_group_says(config):
    given = {"model": "m", "seed": 1, "max_model_len": 64}
    made = engine.start_engine(dict, config, **given)
    assert made == given | {"dtype": "float32", "enforce_eager": True, "seed": 4}
    config["generation"] = {"dtype": "bfloat16", "enforce_eager": False}
    assert format_of_engine(config) == {"dtype": "bfloat16", "enforce_eager": False}


def test_on_a_gpu_the_engine_chooses_its_format_and_has_graphs(config):
    config["hardware"]["use_cpu"] = False
    assert format_of_engine(config) == {"dtype": "auto", "enforce_eager": False}
    del config["generation"]  # use_vllm typed, without the group
    assert format_of_engine(config) == {"dtype": "auto", "enforce_eager": False}


def test_runs_of_two_seeds_have_no_engine_seed_in_common(config, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setattr(engine, "_alone", lambda *_: pytest.MonkeyPatch.context())
    seeds = [
        engine.start_engine(dict, config | {"seed": seed}, seed=rank)["seed"] for seed in (0, 1) for rank in range(4)
    ]
    assert len(set(seeds)) == 8


def test_a_port_that_was_taken_is_left_for_another(config, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        before = str(taken.getsockname()[1])
        monkeypatch.setenv("MASTER_PORT", before)
        with engine.start_engine(listening, config) as server:
            assert str(server.getsockname()[1]) == os.environ["MASTER_PORT"] != before


def test_what_torch_says_of_a_taken_port_is_understood():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        with pytest.raises(torch.distributed.DistNetworkError) as raised:
            torch.distributed.TCPStore("127.0.0.1", taken.getsockname()[1], is_master=True, wait_for_workers=False)
    assert engine.is_port_taken(raised.value)
    wrapped = RuntimeError("engine core failed")
    wrapped.__cause__ = raised.value
    assert engine.is_port_taken(wrapped) and not engine.is_port_taken(ValueError("No available memory"))


def test_another_error_of_the_engine_is_not_tried_again(config):
    calls = []

    def fails(**_):
        calls.append(1)
        raise ValueError("No available memory for the cache blocks")

    with pytest.raises(ValueError, match="cache blocks"):
        engine.start_engine(fails, config)
    assert len(calls) == 1


def test_a_port_that_stays_taken_is_said(config, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", "1")

    def fails(**_):
        raise OSError(98, "Address already in use")

    with pytest.raises(OSError, match="already in use"):
        engine.start_engine(fails, config)


def test_two_workers_that_start_at_the_same_instant_both_listen(tmp_path):
    """Each on the port that its parent holds for it, although both bind without looking."""
    ports = [HeldPort(), HeldPort()]
    processes, go = [], tmp_path / "go"
    for number, port in enumerate(ports):
        command = [sys.executable, str(RANK), str(tmp_path / str(number)), str(go)]
        environment = clean_environment(**forked_workers(**rendezvous_variables(port), TMPDIR=str(tmp_path)))
        processes.append(
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    wait_for(lambda: all((tmp_path / str(number)).exists() for number in range(2)))
    go.touch()
    # Libraries may have their own lines before it.
    said = [next(line for line in process.stdout if line.startswith("port ")) for process in processes]
    assert said == [f"port {port.number}\n" for port in ports]
    for process in processes:
        process.communicate()
        assert process.returncode == 0


def test_a_server_that_runs_serves_one_run_at_a_time(config, tmp_path):
    config["args"]["vllm_mode"], config["generation"] = "server", {"url": "http://node7:8000/"}
    config["hardware"]["use_cpu"] = False
    file = tmp_path / "locks" / "engine-server-http_node7_8000"
    engine.prepare_engine(config)
    try:
        with file.open() as other:
            assert is_locked(other.fileno())
    finally:
        engine._for_good.close()
    with file.open() as other:
        assert not is_locked(other.fileno())


def test_trl_makes_its_colocated_engine_through_us_once(config, monkeypatch):
    module = ModuleType("trl.generation.vllm_generation")
    module.LLM = dict
    monkeypatch.setitem(sys.modules, "trl.generation.vllm_generation", module)
    monkeypatch.setattr("trl.generation.vllm_generation", module, raising=False)
    engine.prepare_engine(config)
    engine.prepare_engine(config | {"seed": 5})
    assert module.LLM(model="m") == {"model": "m", "dtype": "float32", "enforce_eager": True, "seed": 5}


def test_no_engine_no_change(monkeypatch):
    monkeypatch.setitem(sys.modules, "trl.generation.vllm_generation", None)
    engine.prepare_engine({"args": {}})
    engine.prepare_engine({"args": {"use_vllm": True, "vllm_mode": "server"}})


def test_the_longest_sequence_is_that_of_the_longest_prompt_and_a_completion(config, tokenizer):
    texts = ["1 + 2", "12 + 34", "1 + 1"]
    longest = max(len(tokenizer(text)["input_ids"]) for text in texts)
    data = Dataset.from_dict({"prompt": texts})
    arguments = SimpleNamespace(max_completion_length=20, vllm_max_model_length=None)
    engine.fill_arguments(config, arguments, [data, None], tokenizer, None)
    assert arguments.vllm_max_model_length % 16 == 0
    assert longest + 20 <= arguments.vllm_max_model_length < longest + 20 + 16
    engine.fill_arguments(config, arguments, [data], tokenizer, 24)
    assert arguments.vllm_max_model_length >= longest + 20  # what is set counts
    unset = SimpleNamespace(max_completion_length=20, vllm_max_model_length=None)
    engine.fill_arguments(config, unset, [data], tokenizer, longest + 20)
    assert unset.vllm_max_model_length == longest + 20  # no more than the model has


def test_prompts_of_every_dataset_and_conversations_count(tokenizer):
    rows = Dataset.from_dict({"prompt": [CONVERSATION]})
    template = tokenizer.chat_template
    tokenizer.chat_template = "{% for turn in messages %}{{ turn['content'] }}{% endfor %}{{ mark }} + 1"
    try:
        bare = engine.longest_prompt([rows], tokenizer, {})
        assert engine.longest_prompt([rows], tokenizer, {"mark": "1 + 1 + 1"}) > bare
    finally:
        tokenizer.chat_template = template
    parts = DatasetDict(a=Dataset.from_dict({"prompt": ["1"]}), b=Dataset.from_dict({"prompt": ["1 + 2 + 3"]}))
    assert engine.longest_prompt([parts, None], tokenizer, {}) == len(tokenizer("1 + 2 + 3")["input_ids"])


def test_streams_and_datasets_without_prompts_leave_it_to_the_engine(config, tokenizer):
    stream = Dataset.from_dict({"prompt": ["1"]}).to_iterable_dataset()
    assert engine.longest_prompt([stream], tokenizer, {}) is None
    assert engine.longest_prompt([Dataset.from_dict({"text": ["1"]})], tokenizer, {}) is None


def test_a_sequence_shorter_than_the_longest_prompt_and_a_completion_is_refused_by_number(config, tokenizer):
    data = Dataset.from_dict({"prompt": ["1", "1 + 2 + 3 + 4"]})
    longest = len(tokenizer("1 + 2 + 3 + 4")["input_ids"])
    arguments = SimpleNamespace(max_completion_length=20, vllm_max_model_length=longest + 19)
    with pytest.raises(ValueError, match=f"has {longest} tokens, .*up to 20; .* give {longest + 20}"):
        engine.check_model_length(config, arguments, [data, None], tokenizer)
    arguments.vllm_max_model_length = longest + 20
    engine.check_model_length(config, arguments, [data, None], tokenizer)
    engine.check_model_length({"args": {}}, SimpleNamespace(vllm_max_model_length=1), [data], tokenizer)


def test_every_rank_is_told_where_its_server_is(config, monkeypatch, tokenizer):
    config["args"]["vllm_mode"] = "server"
    arguments = SimpleNamespace(vllm_server_base_url=None, vllm_group_port=51216)
    engine.fill_arguments(config, arguments, [], tokenizer, None)
    assert arguments.vllm_server_base_url is None
    monkeypatch.setenv("EXPCTL_VLLM_URL", "http://127.0.0.1:81")
    monkeypatch.setenv("EXPCTL_VLLM_GROUP_PORT", "82")
    engine.fill_arguments(config, arguments, [], tokenizer, None)
    assert (arguments.vllm_server_base_url, arguments.vllm_group_port) == ("http://127.0.0.1:81", 82)


class PagedTrainer:
    """TRL's trainer leaves the model in training after its continuous batching."""

    def __init__(self, paged):
        self.use_transformers_continuous_batching = paged
        self.model = torch.nn.Linear(1, 1)

    def _generate_single_turn(self, prompts):
        self.model.train()
        return prompts


def test_continuous_batching_leaves_an_evaluation_an_evaluation():
    trainer = PagedTrainer(paged=True)
    engine.keep_mode(trainer)
    trainer.model.eval()
    assert trainer._generate_single_turn([1]) == [1] and not trainer.model.training
    trainer.model.train()
    trainer._generate_single_turn([1])
    assert trainer.model.training
    untouched = PagedTrainer(paged=False)
    engine.keep_mode(untouched)
    assert "_generate_single_turn" not in vars(untouched)
