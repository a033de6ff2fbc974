"""Options for public data sets: each takes rows of the schema that its card states, made up here, to trainable ones."""

import json

import pytest
from hydra.utils import instantiate

from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.data import hub


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


ASK, SAY = [user("How do tides come about?")], [assistant("By the moon.")]
PROBLEM = {"problem": "What is $2+3$?", "solution": "We add: $\\boxed{5}$."}
RLVR = {"data_source": "math_dapo", "ability": "MATH", "reward_model": {"ground_truth": "5", "style": "rule"}}
# Option -> a row as the card of the data set describes it.
ROWS = {
    "deepscaler": PROBLEM | {"answer": "5"},
    "dapo_math": {"prompt": "What is $2+3$?", "solution": "5", "source_prompt": [user("...")], **RLVR},
    "openr1_math": PROBLEM
    | {
        "answer": "5",
        "messages": [user("What is $2+3$?"), assistant("<think>\n2+3\n</think>\n5")],
        "source": "olympiads",
    }
    | {"generations": ["<think>\n2+3\n</think>\n5"], "correctness_math_verify": [True]},
    "math": PROBLEM | {"level": "Level 1", "type": "Algebra", "id": "a", "expected_answer": "5"},
    "ultrafeedback": {
        "chosen": ASK + SAY,
        "rejected": [*ASK, assistant("Ask somebody else.")],
        "score_chosen": 8.0,
        "score_rejected": 2.0,
    },
    "hh_rlhf": {"prompt": ASK, "chosen": SAY, "rejected": [assistant("No.")]},
    "humanlike_preferences": {"prompt": "Have you seen it?", "chosen": "Oh, not yet!", "rejected": "I am a program."},
    "kto_mix": {"prompt": ASK, "completion": SAY, "label": True},
    "prm800k": {"prompt": "What is 2+3?", "completions": ["It is more than 4.", "It is 6."], "labels": [True, False]},
    "capybara": {"source": "Airoboros", "messages": [*ASK, *SAY, user("Really?"), assistant("Yes.")]},
    "tulu": {"id": "1", "messages": [{"role": "system", "content": "Be brief."}, *ASK, *SAY], "source": "wildchat"},
}
REASONING = ("deepscaler", "dapo_math", "openr1_math", "math")
PREFERENCES = ("ultrafeedback", "hh_rlhf", "humanlike_preferences")
SUPERVISED = ("deepscaler", "openr1_math", "math", "capybara", "tulu")
SPLITS = {"math": ("train", "math500", "test")}
NAMES = {"dapo_math": "en", "openr1_math": "default"}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """A function that composes, checks and loads an option from a folder that is laid out as the hub has it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def loaded(option, algorithm):
        splits = SPLITS.get(option, ("train", "test"))
        folder = tmp_path / option
        (folder / "data").mkdir(parents=True)
        for split in splits:
            made = [json.dumps(numbered(ROWS[option], f"{split} {number}: ")) for number in range(200)]
            (folder / "data" / f"{split}-0.jsonl").write_text("\n".join(made))
        files = "".join(f"\n  - split: {split}\n    path: data/{split}-*" for split in splits)
        name = NAMES.get(option, "default")
        (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: {name}\n  data_files:{files}\n---\n")
        words = [f"algorithm={algorithm}", f"dataset={option}", f"dataset.path={folder}", "dataset.eval_size=20"]
        words += ["args.max_completion_length=64"] if algorithm == "gfpo" else []  # the model is the embedded one
        experiment = compose(words)
        assert [str(refusal) for refusal in check(experiment, leave_out=("steps",))] == []
        return instantiate(experiment.config["dataset"], _convert_="all")

    return loaded


def numbered(row, number):
    """The row with a number before each text that a person says, so that no two rows are the same."""

    def numbered_turns(cell):
        if isinstance(cell, str):
            return number + cell
        return [turn | {"content": number + turn["content"]} if turn["role"] == "user" else turn for turn in cell]

    asked = {"prompt", "problem", "messages", "chosen", "rejected"}
    texts = {"prompt", "problem"}
    return {
        name: numbered_turns(cell) if name in asked and (name in texts or isinstance(cell, list)) else cell
        for name, cell in row.items()
    }


def said(prompt):
    return [turn["role"] for turn in prompt]


@pytest.mark.parametrize("option", REASONING)
def test_problems_are_asked_as_a_user_asks_and_their_answers_reach_the_reward(option, load):
    train, held_out = load(option, "gfpo")
    for row in (train[0], held_out[0]):
        assert said(row["prompt"]) == ["user"] and row["prompt"][0]["content"].endswith("What is $2+3$?")
        assert row["answer"] == "5"
    assert len(held_out) >= 1 and not {str(row) for row in held_out["prompt"]} & {str(row) for row in train["prompt"]}


@pytest.mark.parametrize("option", PREFERENCES)
def test_preferences_are_a_prompt_and_two_answers(option, load):
    train, held_out = load(option, "dpo")
    for row in (train[0], held_out[0]):
        assert said(row["prompt"])[-1] == "user" and said(row["chosen"]) == said(row["rejected"]) == ["assistant"]
        assert row["chosen"] != row["rejected"]


@pytest.mark.parametrize("option", SUPERVISED)
def test_what_is_learnt_is_the_last_turn_of_the_assistant(option, load):
    train, _ = load(option, "sft")
    assert said(train[0]["prompt"])[-1] == "user" and said(train[0]["completion"]) == ["assistant"]
    assert train[0]["completion"][0]["content"]


def test_answers_that_are_wanted_or_not_reach_kto(load):
    train, held_out = load("kto_mix", "kto")
    assert said(train[0]["prompt"]) == ["user"] and said(train[0]["completion"]) == ["assistant"]
    assert train[0]["label"] is True and len(held_out) == 20


def test_steps_reach_a_trainer_of_that_kind_and_no_other(load, tmp_path):
    with pytest.raises(AssertionError, match="one of yours with algorithm.kind=stepwise does"):
        load("prm800k", "sft")
    options = {"kind": "stepwise", "seed": 0, "path": str(tmp_path / "prm800k"), "eval_split": "test"}
    train, _ = hub.load(**options)
    assert train[0]["labels"] == [True, False] and len(train[0]["completions"]) == 2
