"""The full check: what the libraries refuse is refused before a run counts as begun, and named by the config's keys.

It is asked alone, without the checks that the command makes before it.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from harness import clean_environment, forked_workers
from safetensors.torch import save

from expctl.cli.hydra_app import compose
from expctl.models import resolve

EVALUATED = "args.eval_strategy=steps args.load_best_model_at_end=true args.metric_for_best_model=eval_loss"
BEST = "algorithm=sft args.load_best_model_at_end=true args.metric_for_best_model=eval_loss"
LOCAL, FILES = "algorithm=sft model=local model.path=", "model=local model.path=tiny dataset=files dataset.path="
MINE = "reward.functions.mine._target_=rewards."
# Words of a command -> words of the problem, and the beginning of its key.
REFUSED = {
    "algorithm=sft args.optim=adamw_8bit": ("bitsandbytes", "args.optim"),
    "algorithm=sft args.optim=nothing": ("nothing", "args.optim"),
    "algorithm=sft args.lr_scheduler_type=cosine_with_min_lr": ("min_lr", "args.lr_scheduler"),
    "algorithm=sft args.lr_scheduler_type=polynomial +args.lr_scheduler_kwargs.lr_end=1": ("lr", "args.l"),
    "algorithm=sft args.per_device_train_batch_size=0": ("batch_size", "args.per_device_train_batch_size"),
    "args.per_device_train_batch_size=0": ("", "args."),
    "algorithm=sft args.learning_rate=-1": ("learning rate", "args.learning_rate"),
    "args.temperature=0": ("temperature", "args.temperature"),
    "args.max_completion_length=0": ("max_new_tokens", "args.max_completion_length"),
    "algorithm=sft args.max_length=0": ("", "args.max_length"),
    "algorithm=sft args.logging_steps=0": ("logging_steps", "args.logging_steps"),
    BEST: ("strategy", "args."),
    f"algorithm=sft {EVALUATED} args.save_steps=4 args.eval_steps=3": ("multiple", "args."),
    f"algorithm=sft {EVALUATED.replace('eval_loss', 'eval_lost')} args.save_steps=2 args.eval_steps=2": (
        "eval_lost",
        "args.metric_for_best_model",
    ),
    "algorithm=sft callbacks=early_stopping args.load_best_model_at_end=false args.metric_for_best_model=null": (
        "EarlyStopping",
        "args.metric_for_best_model",
    ),
    "algorithm=dpo args.loss_type=sigmoid args.loss_weights=[0.5,1.0]": ("loss_weights", "args.loss_weights"),
    "algorithm=sft model.dtype=bf16": ("bf16", "model.dtype"),
    "algorithm=sft peft=lora peft.r=0": ("`r`", "peft.r"),
    "algorithm=sft peft=lora peft.target_modules=[query_key_value]": ("query_key_value", "peft.target_modules"),
    "algorithm=sft model.attn_implementation=flash_attention_2": ("", "model.attn_implementation"),
    "algorithm=sft model.attn_implementation=fast": ("fast", "model.attn_implementation"),
    f"{LOCAL}without_tokenizer": ("tokenizer", "model.path"),
    f"{LOCAL}pointer": ("Git LFS", "model.path"),
    f"{LOCAL}cut_off": ("cannot be read", "model.path"),
    f"{LOCAL}many_tokens": ("264 rows", "model.path"),
    f"{LOCAL}without_end": ("no end token", "model.path"),
    "model=local model.path=few_positions": ("positions", "args.max_completion_length"),
    f"{FILES.replace('=tiny', '=strict')}system.jsonl": ("refuses a conversation of system", "dataset"),
    f"{FILES}system.jsonl": ("'answer'", "reward"),
    "reward.functions.mine._target_=trl.rewards.accuracy_reward": ("solution", "reward.functions.mine"),
    f"{MINE}without_kwargs": ("unexpected keyword argument", "reward.functions.mine"),
    f"{MINE}raises": ("lost", "reward.functions.mine"),
    f"{MINE}short": ("1 values", "reward.functions.mine"),
    f"{MINE}texts": ("good", "reward.functions.mine"),
    f"{MINE}nothing": ("NoneType", "reward.functions.mine"),
    f"algorithm=sft callbacks=completions {MINE}raises": ("lost", "reward.functions.mine"),
    "algorithm=sft callbacks=completions reward.functions.mine._target_=trl.rewards.accuracy_reward": (
        "solution",
        "reward.functions.mine",
    ),
    "algorithm=sft +algorithm.trainer.model=foo": ("model", "algorithm"),
}
ACCEPTED = [
    "",
    "algorithm=sft",
    "algorithm=dpo",
    "algorithm=dpo args.loss_type=sigmoid",
    f"{FILES}sharegpt.jsonl algorithm=sft",
    "algorithm=grpo",
    "algorithm=gspo_token",
    "algorithm=grpo_replay",
    "algorithm=dpo_bema",
    "algorithm=sft peft=lora",
    "peft=lora",
    "algorithm=dpo peft=lora",
    "args.beta=0.1",
    "algorithm=sft callbacks=completions",
    "hardware=cpu_2",
    f"{LOCAL}large",
    "model=local model.path=large args.beta=0.1",
    "algorithm=dpo model=local model.path=large",
    "model=local model.path=large peft=lora",
    f"algorithm=sft {EVALUATED} args.save_steps=4 args.eval_steps=2",
    "args.eval_strategy=steps args.eval_steps=2",
    f"{FILES}talk.jsonl",
    f"{FILES}talk.jsonl algorithm=sft",
    "reward.functions.mine._target_=rewards.later",
    "dataset=reasoning_gym",
    "args.gradient_accumulation_steps=2",
    "algorithm=sft args.packing=true args.max_length=64",
]
REWARDS = """
def without_kwargs(completions, answer):
    return [0.0] * len(completions)

def raises(completions, **kwargs):
    raise KeyError("lost")

def short(completions, **kwargs):
    return [1.0]

def texts(completions, **kwargs):
    return ["good"] * len(completions)

def nothing(completions, **kwargs):
    return None

async def later(completions, answer, trainer_state, log_metric, **kwargs):
    log_metric("seen", 1.0)
    return [None if answer[0] is None else 1.0] * len(completions)
"""
TURNS = [{"role": "user", "content": "1+1?"}]
ROWS = {
    "sharegpt": {"prompt": [{"from": "human", "value": "1+1?"}], "completion": [{"from": "gpt", "value": "2"}]},
    "system": {"prompt": [{"role": "system", "content": "Add."}, *TURNS]},
    "talk": {"prompt": TURNS, "completion": [{"role": "assistant", "content": "2"}], "answer": "2"},
}


def model(folder: Path, **changes) -> Path:
    """A copy of the embedded model; `changes` are laid over its config.json."""
    shutil.copytree(resolve("embedded:tiny").source, folder)
    change(folder / "config.json", **changes)
    return folder


def change(file: Path, **changes) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def lay_out(folder: Path) -> None:
    """The models, data and rewards that the commands name."""
    model(folder / "tiny")
    bare = model(folder / "without_tokenizer")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (bare / name).unlink()
    weights = model(folder / "pointer") / "model.safetensors"
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    weights = model(folder / "cut_off") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    tokens = model(folder / "many_tokens") / "tokenizer.json"
    added = json.loads(tokens.read_text())["added_tokens"]
    change(tokens, added_tokens=[*added, added[-1] | {"id": 300, "content": "<more>"}])
    settings = model(folder / "without_end") / "tokenizer_config.json"
    change(settings, eos_token=None)
    model(folder / "few_positions", max_position_embeddings=64)
    template = model(folder / "strict") / "chat_template.jinja"
    template.write_text("{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}")
    large = model(folder / "large")
    (large / "more.safetensors").write_bytes(save({"unused": torch.zeros(9 << 20)}))  # beyond what is read for a check
    (folder / "rewards.py").write_text(REWARDS)
    for name, row in ROWS.items():
        (folder / f"{name}.jsonl").write_text(f"{json.dumps(row)}\n" * 40)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What the check says of each command, by one process for all of them."""
    folder = tmp_path_factory.mktemp("work")
    lay_out(folder)
    configs = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in [*REFUSED, *ACCEPTED]:
            hardware = [] if "hardware=" in words else ["hardware=cpu"]
            configs[words] = compose([*hardware, *words.split()]).config
    done = subprocess.run(
        [sys.executable, "-m", "expctl.worker.preflight"],
        cwd=folder,
        env=clean_environment(**forked_workers(), TOKENIZERS_PARALLELISM="false"),
        input="".join(json.dumps(config) + "\n" for config in configs.values()),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(configs, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("words", REFUSED)
def test_what_a_library_refuses_is_named_by_the_key_that_set_it(answers, words):
    text, key = REFUSED[words]
    problems = answers[words]["wrong"]
    assert any(text in problem["what"] and problem["key"].startswith(key) for problem in problems), problems
    assert all(len(problem["what"]) < 600 and "\n" not in problem["what"] + problem["do"] for problem in problems)


@pytest.mark.parametrize("words", ACCEPTED)
def test_what_can_be_trained_passes(answers, words):
    assert answers[words]["wrong"] == [], answers[words]["traceback"]
