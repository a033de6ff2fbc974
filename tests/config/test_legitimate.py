"""What is meant to work is not refused: options of conf/, pairs of them, the documented commands."""

import itertools
import re
import shlex

import pytest
from harness import REPOSITORY

from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.config.groups import group_options

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
# What this machine need not have: weights and data of the hub, packages, GPUs.
ABSENT = (
    "not in the hub's cache",
    "is not there yet",
    "cannot be reached",
    "needs a package",
    "needs the package",
    "GPU",
)
OPTIONS = [
    f"{group}={option}"
    for group in ("hardware", "peft", "tracker", "callbacks", "reward")
    for option in group_options(group)
]
# One of each trainer; all of them alone are in test_lineup.py.
ALGORITHMS = ["gfpo", "grpo", "grpo_replay", "gspo_token", "dapo", "rloo", "gmpo", "sdpo", "online_dpo", "sft", "dpo"]
ALGORITHMS += ["dpo_bema", "kto", "cpo", "orpo", "tpo", "reward", "distillation", "gkd", "gold", "iw_opd", "sdft"]
PAIRS = [
    *itertools.product([f"algorithm={name}" for name in [*ALGORITHMS, "a2po", "eval"]], ["hardware=cpu_2"]),
    *([f"algorithm={name}", "peft=lora"] for name in ALGORITHMS),
    *itertools.product(["algorithm=sft", "algorithm=dpo"], ["callbacks=completions", "callbacks=early_stopping"]),
    *itertools.product(["algorithm=gfpo", "algorithm=grpo"], [f"reward={name}" for name in group_options("reward")]),
    *itertools.product(["algorithm=grpo", "algorithm=sft"], ["dataset=reasoning_gym", "dataset=arithmetic"]),
    *itertools.product(["algorithm=grpo"], [f"algorithm/{part}" for part in ("ratio=sequence", "replay=on")]),
    *itertools.product(["algorithm=grpo"], ["algorithm/reference=bema"]),
]
TASK = '{"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"]}\n'
WORDS = [[option] for option in OPTIONS] + [list(pair) for pair in PAIRS]


def found_wrong(words, folder, monkeypatch):
    monkeypatch.chdir(folder)
    refusals = check(compose(words))
    return [str(refusal) for refusal in refusals if not any(absent in str(refusal) for absent in ABSENT)]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_an_option_is_not_refused(words, tmp_path, monkeypatch):
    if words == ["reward=math"]:
        words = ["reward=math", "dataset=arithmetic"]
    if "reward=model" in words:
        words = [*words, "reward_model=tiny"]
    if "reward=judge" in words:
        words = [*words, "judge.url=http://localhost:8000/v1", "judge.model=judge"]
    if "reward=code" in words:
        (tmp_path / "tasks.jsonl").write_text(TASK * 20)
        words = [*words, "dataset=files", "dataset.path=tasks.jsonl"]
    assert found_wrong(words, tmp_path, monkeypatch) == []


def documented() -> list[list[str]]:
    """The experiments that the pages have a reader type on this machine with what is installed."""
    lines = [
        line
        for page in PAGES
        for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.M | re.S)
        for line in block.splitlines()
    ]
    typed = [shlex.split(line) for line in dict.fromkeys(lines) if line.startswith("expctl ")]
    alone = [words[1:] for words in typed if "-m" not in words and all("=" in word for word in words[1:])]
    own = ("doubles", "clipped", "my_", "mine", "problems", "held_out", "models/", "dataset.path", "sweep=", "run:")
    return [words for words in alone if not any(part in " ".join(words) for part in own)]


@pytest.mark.parametrize("words", documented(), ids=" ".join)
def test_a_documented_experiment_is_not_refused(words, tmp_path, monkeypatch):
    assert found_wrong(words, tmp_path, monkeypatch) == []
