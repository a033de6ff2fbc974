"""What cannot be carried on exactly is said when the run starts."""

from dataclasses import replace
from pathlib import Path

import pytest
from harness import REPOSITORY

from expctl.cli.hydra_app import compose
from expctl.config.resumable import STREAMED, inexact

CALLBACK = """
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

class Stateless(TrainerCallback):
    def __init__(self):
        self.name = "none"
    def on_step_end(self, args, state, control, **kwargs):
        name = self.name

class Counting(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        self.steps = 1

class Saving(Counting, ExportableState):
    def on_step_end(self, args, state, control, **kwargs):
        self.steps = 1
    def state(self):
        return {"args": {}, "attributes": {"steps": self.steps}}
"""


def notes(*words: str, folder: Path = REPOSITORY) -> list[str]:
    return inexact(replace(compose(["hardware=cpu", *words]), folder=folder))


@pytest.mark.parametrize("algorithm", ["sft", "dpo", "dpo_bema", "grpo", "gfpo", "gspo", "gspo_token", "grpo_replay"])
@pytest.mark.parametrize("hardware", ["cpu", "cpu_2"])
def test_every_algorithm_as_shipped_resumes_exactly_on_the_cpu(algorithm, hardware):
    assert notes(f"algorithm={algorithm}", f"hardware={hardware}", "callbacks=early_stopping") == []


@pytest.mark.parametrize(
    "setting",
    [
        "args.save_only_model=true",
        "args.ignore_data_skip=true",
        "args.auto_find_batch_size=true",
        "args.save_strategy=no",
        "args.save_strategy=best",
        "dataset.streaming=true",
    ],
)
def test_a_setting_that_is_not_carried_on_exactly_is_named(setting):
    (note,) = notes(setting)
    assert note.lower().startswith(f"{setting}: ")


def test_an_engine_in_the_process_draws_on_a_cpu_from_random_states_that_a_checkpoint_has():
    """`tests/engine` has such a run killed and resumed."""
    assert notes("args.use_vllm=true") == []
    assert "vLLM samples with random states of its own" in notes("args.use_vllm=true", "args.vllm_mode=server")[0]
    assert "vLLM samples with random states of its own" in notes("args.use_vllm=true", "hardware.use_cpu=false")[0]


def test_a_gpu_rounds_and_more_than_two_processes_add_in_another_order():
    assert "GPU" in notes("hardware=gpu")[0]
    assert notes("hardware=gpu", "args.full_determinism=true") == []
    assert "3 processes" in notes("hardware.num_processes=3")[0]


def test_a_stock_trainer_forgets_a_rollout_that_is_not_used_up():
    stock = ["algorithm=grpo", "algorithm.trainer._target_=trl.GRPOTrainer"]
    assert notes(*stock) == []
    assert notes(*stock, "args.gradient_accumulation_steps=4", "args.steps_per_generation=2") == []
    for reuse in ("args.num_iterations=2", "args.steps_per_generation=2"):
        assert "expctl.algorithms.grpo.GRPOTrainer" in notes(*stock, reuse)[0]
        assert notes("algorithm=grpo", reuse) == []


def test_a_callback_that_remembers_without_a_state_to_save_is_named(tmp_path):
    (tmp_path / "mine.py").write_text(CALLBACK)
    for name, said in (("Stateless", 0), ("Counting", 1), ("Saving", 0)):
        found = notes(f"callbacks.mine._target_=mine.{name}", folder=tmp_path)
        assert len(found) == said, found
        assert all("callbacks.mine" in note and name in note for note in found)


def test_a_folder_that_is_not_followed_is_named(tmp_path):
    (tmp_path / "mine.py").write_text("def short(completions, **kwargs):\n    pass\n")
    words = "reward.functions={mine:{_target_:mine.short,_partial_:true,root:.,split:tiny}}"
    (note,) = notes(words, folder=tmp_path)
    assert note.startswith("reward.functions.mine.root=.: ")


REWARDS = """
import random

SEEN, CALLS, LIMITS = set(), 0, {"most": 3}

def pure(completions, longest=[8], **kwargs):
    found = {}
    for text in completions:
        found[text] = LIMITS["most"]
    return [found[text] for text in completions]

def remembers(completions, **kwargs):
    SEEN.update(completions)

def counts(completions, **kwargs):
    global CALLS
    CALLS += 1

async def asks(completions, **kwargs):
    note(completions)

def note(completions):
    SEEN.add(len(completions))

def in_default(completions, seen={}, **kwargs):
    seen[len(seen)] = completions

class Pure:
    def __init__(self):
        self.limit = 3
        self._client = None
    def __call__(self, completions, **kwargs):
        if self._client is None:
            self._client = object()
        return [self.limit] * len(completions)

class Average(Pure):
    async def __call__(self, completions, **kwargs):
        self.mean, self.count = 0, 1

class Appends(Pure):
    def __call__(self, completions, **kwargs):
        self.history.texts.append(completions)

class Draws(Pure):
    def __call__(self, completions, **kwargs):
        return [self._random.random() for _ in completions]

class Inherits(Average):
    pass

class OnlySaves(Average):
    def state_dict(self):
        return {}

class Saved(Average):
    def state_dict(self):
        return {}
    def load_state_dict(self, state):
        self.mean = 0
"""


@pytest.fixture
def rewards(tmp_path):
    (tmp_path / "mine.py").write_text(REWARDS)
    return lambda node: notes(f"reward.functions={{mine:{node}}}", folder=tmp_path)


@pytest.mark.parametrize("name", ["pure", "Pure", "Saved"])
def test_a_reward_without_a_memory_or_with_a_saved_one_is_exact(name, rewards):
    assert rewards(f"{{_target_:mine.{name}}}") == []


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("remembers", "keeps in SEEN"),
        ("counts", "keeps in CALLS"),
        ("asks", "keeps in SEEN"),
        ("in_default", "keeps in seen"),
        ("Average", "no state_dict() and load_state_dict()"),
        ("Appends", "no state_dict() and load_state_dict()"),
        ("Draws", "no state_dict() and load_state_dict()"),
        ("Inherits", "no state_dict() and load_state_dict()"),
        ("OnlySaves", "no load_state_dict()"),
    ],
)
def test_a_reward_that_remembers_and_is_not_saved_is_named(name, what, rewards):
    (note,) = rewards(f"{{_target_:mine.{name}}}")
    assert note.startswith(f"reward.functions.mine: what {name} ") and what in note


def test_what_a_reward_is_given_may_remember(rewards):
    assert rewards("{_target_:mine.pure,_partial_:true,judge:{_target_:mine.Saved}}") == []
    assert rewards("{_target_:mine.Saved,judge:{_target_:mine.Average}}") == []
    (note,) = rewards("{_target_:mine.pure,_partial_:true,judge:{_target_:mine.Average}}")
    assert note.startswith("reward.functions.mine.judge: what Average ")
    (note,) = rewards("{_target_:mine.Pure,judge:{_target_:mine.Saved}}")
    assert "since Pure has no state_dict()" in note


def test_a_source_of_advantages_may_remember(tmp_path):
    (tmp_path / "mine.py").write_text(REWARDS)
    source = "algorithm.trainer.token_advantages"
    (note,) = notes("algorithm=gspo_token", f"{source}=mine.remembers", folder=tmp_path)
    assert note.startswith(f"{source}: what remembers keeps in SEEN ")


def test_a_loader_that_streams_is_named(tmp_path):
    loader = "def load(**options):\n    return {}, None\n"
    words = ["dataset._target_=mine.load"]
    (tmp_path / "mine.py").write_text(loader.format("rows(options)"))
    assert notes(*words, folder=tmp_path) == []
    (tmp_path / "mine.py").write_text(loader.format("rows(options).to_iterable_dataset()"))
    assert notes(*words, folder=tmp_path) == [STREAMED]
