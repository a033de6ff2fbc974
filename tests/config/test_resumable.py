"""What cannot be carried on exactly is said when the run starts."""

from dataclasses import replace
from pathlib import Path

import pytest
from harness import REPOSITORY

from expctl.cli.hydra_app import compose
from expctl.config.resumable import inexact

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
    found = []
    compose(["hardware=cpu", *words], lambda experiment: found.append(inexact(replace(experiment, folder=folder))))
    return found[0]


@pytest.mark.parametrize("algorithm", ["sft", "dpo", "dpo_bema", "grpo", "gfpo", "gspo", "gspo_token", "grpo_replay"])
@pytest.mark.parametrize("hardware", ["cpu", "cpu_2"])
def test_every_algorithm_as_shipped_resumes_exactly_on_the_cpu(algorithm, hardware):
    assert notes(f"algorithm={algorithm}", f"hardware={hardware}", "callbacks=early_stopping") == []


@pytest.mark.parametrize(
    "setting",
    [
        "args.save_only_model=true",
        "args.ignore_data_skip=true",
        "args.use_vllm=true",
        "args.auto_find_batch_size=true",
        "args.save_strategy=no",
        "args.save_strategy=best",
        "dataset.streaming=true",
    ],
)
def test_a_setting_that_is_not_carried_on_exactly_is_named(setting):
    (note,) = notes(setting)
    assert note.lower().startswith(f"{setting}: ")


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
