"""What no trainer can do is refused by name and number before anything is created; what was typed counts."""

import os
import shutil
from pathlib import Path

import pytest

from expctl import models
from expctl.cli.hydra_app import compose
from expctl.config.check import check

DPO, SFT = "algorithm=dpo", "algorithm=sft"
EVALUATE = ["args.eval_strategy=steps", "args.eval_steps=3"]
# Words typed -> parts of what is said.
REFUSED = {
    "no rows": (["args.per_device_train_batch_size=0"], ["per_device_train_batch_size is 0", "at least 1"]),
    "negative rate": (["args.learning_rate=-1"], ["learning_rate is -1", "at least 0"]),
    "rate that is no number": (["args.learning_rate=nan"], ["learning_rate is nan"]),
    "infinite rate": (["args.learning_rate=inf"], ["learning_rate is inf", "finite"]),
    "no temperature": (["args.temperature=0"], ["temperature is 0", "above 0"]),
    "no completion": (["args.max_completion_length=0"], ["max_completion_length is 0"]),
    "no length": ([SFT, "args.max_length=0"], ["max_length is 0"]),
    "never logged": (["args.logging_steps=0"], ["logging_steps is 0"]),
    "never saved": (["args.save_steps=0"], ["save_steps is 0"]),
    "steps and a half": (["args.save_steps=2.5"], ["save_steps", "2.5"]),
    "nucleus": (["args.top_p=1.5"], ["top_p is 1.5", "at most 1"]),
    "no iteration": (["args.num_iterations=0"], ["num_iterations is 0"]),
    "huge": (["args.max_steps=99999999999999999999"], ["64 bits"]),
    "rank 0": (["peft=lora", "peft.r=0"], ["peft.r is 0"]),
    "best without evaluation": (["args.load_best_model_at_end=true"], ["load_best_model_at_end", "eval_strategy"]),
    "save 4, evaluate 3": (
        ["args.load_best_model_at_end=true", *EVALUATE, "args.save_steps=4"],
        ["save_steps=4", "eval_steps=3", "=6"],
    ),
    "steps below none": (["args.max_steps=-5"], ["max_steps is -5", "-1"]),
    "a warm-up and a half": (["args.warmup_steps=1.5"], ["warmup_steps is 1.5", "share"]),
    "a warm-up without an end": (["args.warmup_steps=100"], ["warmup_steps=100", "max_steps=60", "never be reached"]),
    "fewer checkpoints than none": (["args.save_total_limit=-1"], ["save_total_limit is -1"]),
    "a bonus that punishes": (["args.entropy_coef=-1"], ["entropy_coef is -1"]),
    "a clip below 0": (["args.delta=-1"], ["delta is -1"]),
    "more flipped than not": ([DPO, "args.label_smoothing=0.7"], ["label_smoothing is 0.7", "below 0.5"]),
    "a share above 1": ([DPO, "args.ld_alpha=2"], ["ld_alpha is 2"]),
    "held out less than none": (["dataset.eval_size=-1"], ["dataset.eval_size is -1"]),
    "a callback's temperature": (
        [SFT, "callbacks=completions", "callbacks.completions.temperature=0"],
        ["callbacks.completions.temperature is 0"],
    ),
    "no patience": (
        ["callbacks=early_stopping", "callbacks.early_stopping.early_stopping_patience=0"],
        ["early_stopping_patience is 0"],
    ),
    "a recipe that args go over": (
        ["algorithm.recipe.max_steps=7", "args.max_steps=9"],
        ["'algorithm.recipe.max_steps' would do nothing", "args.max_steps"],
    ),
    "a recipe that args go over, of the rate": (
        ["algorithm.learning_rate.full=1e-4", "args.learning_rate=1e-3"],
        ["'algorithm.learning_rate.full' would do nothing"],
    ),
    "a length that the dataset's goes over": (
        ["algorithm.max_completion_length=20"],
        ["'algorithm.max_completion_length' would do nothing"],
    ),
    "a length that args go over": (
        ["args.max_completion_length=5", "dataset.max_completion_length=6"],
        ["'dataset.max_completion_length' would do nothing"],
    ),
    "a reward of the dataset that is not the one": (
        ["reward=number", "dataset.reward.accuracy._target_=expctl.rewards.math_answer.accuracy"],
        ["'dataset.reward.accuracy._target_' would do nothing"],
    ),
    "a toy's setting for other data": (
        ["algorithm.toy.preference.max_steps=3"],
        ["'algorithm.toy.preference.max_steps' would do nothing"],
    ),
    "fewer tokens than none": (["args.top_k=-5"], ["top_k is -5"]),
    "a group of one": (["args.num_generations=1"], ["num_generations is 1"]),
    "no thread": (["hardware.threads=0"], ["'hardware.threads' is 0", "null"]),
    "no process": (["hardware.num_processes=0"], ["'hardware.num_processes' is 0"]),
    "thinking of a template without the switch": (["model.thinking=true"], ["no switch", "model.thinking=null"]),
    "no package of the optimizer": (["args.optim=galore_adamw"], ["galore-torch", "not installed"]),
    "scheduler without its end": (["args.lr_scheduler_type=cosine_with_min_lr"], ["lr_scheduler_kwargs", "min_lr"]),
    "plateau without evaluation": (["args.lr_scheduler_type=reduce_lr_on_plateau"], ["eval_strategy"]),
    "weights of other losses": ([DPO, "args.loss_type=sigmoid", "args.loss_weights=[1,2]"], ["2 weights", "1 loss"]),
    "steps and epochs": (["args.max_steps=3", "args.num_train_epochs=2"], ["max_steps=3", "num_train_epochs"]),
    "steps of a strategy that is none": (["args.save_steps=3", "args.save_strategy=epoch"], ["save_steps=3", "epoch"]),
    "engine that is off": (["args.vllm_server_port=9000"], ["vllm_server_port", "use_vllm"]),
    "short name of a format": (["model.dtype=bf16"], ["'bf16'", "bfloat16"]),
    "attention without its package": (["model.attn_implementation=flash_attention_2"], ["flash-attn", "sdpa"]),
    "another model under the toy's name": (["model.path=a_model"], ["a_model", "model=local model.path="]),
    "a tracker past its group": (["args.report_to=wandb"], ["args.report_to", "tracker=wandb"]),
    "an evaluation batch without evaluations": (
        ["args.do_eval=false", "args.per_device_eval_batch_size=4"],
        ["eval_batch_size", "do_eval is false"],
    ),
    "a metric of the best that nobody asks for": (
        ["args.metric_for_best_model=loss"],
        ["metric_for_best_model", "load_best_model_at_end"],
    ),
    "a reward for given completions": ([SFT, "reward=format"], ["'reward'", "callbacks=completions"]),
    "a weight for given completions": ([DPO, "reward.weights={accuracy: 2}"], ["'reward.weights'"]),
    "a model for the trainer": (["+algorithm.trainer.model=foo"], ["algorithm.trainer.model", "model.path"]),
}
ACCEPTED = {
    "plain DPO": [DPO, "args.loss_type=sigmoid"],
    "early stopping": ["callbacks=early_stopping"],
    "early stopping of SFT": [SFT, "callbacks=early_stopping", "args.load_best_model_at_end=true"],
    "a warm-up that a file sets": ["args.max_steps=3"],
    "a warm-up that is a share": ["args.warmup_steps=0.5", "args.max_steps=1"],
    "a recipe of one's own": ["algorithm.recipe.max_steps=7"],
    "a whole float": ["args.max_steps=1e2"],
    "no clipping": ["args.max_grad_norm=0"],
    "no clipping, as transformers has it": ["args.max_grad_norm=-1"],
    "a metric for early stopping": ["callbacks=early_stopping", "args.metric_for_best_model=eval_reward"],
    "rewards of sampled completions": [SFT, "callbacks=completions", "reward=accuracy"],
    "an evaluation batch": ["args.per_device_eval_batch_size=128"],
    "a share of the steps": ["args.save_steps=0.5"],
    "steps by the presets": ["args.save_steps=3", "args.logging_steps=2"],
}


def composed(folder, words):
    shutil.copytree(Path(models.__file__).parent / "tiny", folder / "a_model", dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return compose([*words, "hardware=cpu"])


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_by_name_and_number(case, tmp_path, monkeypatch):
    words, parts = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    said = "\n".join(map(str, check(composed(tmp_path, words))))
    assert [part for part in parts if part not in said] == [] and said, said
    assert len(said.splitlines()) <= 20 and "cannot be checked" not in said
    assert os.listdir(tmp_path) == ["a_model"]


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_works_is_not_refused(case, tmp_path):
    assert [str(refusal) for refusal in check(composed(tmp_path, ACCEPTED[case]))] == []


def test_what_is_typed_counts_more_than_a_preset(tmp_path):
    def args(*words):
        return composed(tmp_path, words).config["args"]

    assert args("args.num_train_epochs=3")["max_steps"] == -1
    assert args("args.eval_steps=5")["eval_strategy"] == "steps"
    assert args("algorithm=dpo_sft", "args.loss_type=sigmoid")["loss_weights"] is None
    assert args("args.max_steps=1e2")["max_steps"] == 100
    assert args("args.max_steps=7")["max_steps"] == 7
    best = args("args.load_best_model_at_end=true", "args.eval_steps=5")
    assert (best["metric_for_best_model"], best["greater_is_better"]) == ("eval_reward", True)
    stopping = args(SFT, "callbacks=early_stopping")
    assert (stopping["metric_for_best_model"], stopping["greater_is_better"]) == ("eval_loss", False)


def test_a_model_is_called_by_the_whole_name_of_its_path(tmp_path):
    experiment = composed(tmp_path, ["model=local", "model.path=Qwen/Qwen3-0.6B"])
    assert experiment.label("model") == "qwen3-0.6b"


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (["args.num_train_epochs=3"], "args.max_steps is -1"),
        (["args.eval_steps=5"], "args.eval_strategy is steps"),
        (["algorithm=dpo_sft", "args.loss_type=sigmoid"], "args.loss_weights is null"),
    ],
)
def test_a_preset_that_gives_way_to_what_was_typed_is_named(words, note, capsys):
    from expctl.cli.main import run_words

    assert run_words(["check", *words]) == 0
    assert note in capsys.readouterr().err


def test_where_nothing_gives_way_nothing_is_said(capsys):
    from expctl.cli.main import run_words

    assert run_words(["check", "args.num_train_epochs=3", "args.max_steps=-1", "algorithm=sft"]) == 0
    assert "note:" not in capsys.readouterr().err
