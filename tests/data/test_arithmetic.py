import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expctl.data.arithmetic import KINDS, MOST_RESTATEMENTS, Sum, load, pools
from expctl.rewards.arithmetic import accuracy

numbers = st.integers(10, 99)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_rows_each_time_and_another_seed_gives_others(kind):
    first, again, other = (load(kind=kind, seed=seed, train_size=64, eval_size=32) for seed in (3, 3, 4))
    for split in (0, 1):
        assert first[split].to_list() == again[split].to_list()
        assert first[split].to_list() != other[split].to_list()


def test_rows_do_not_depend_on_the_hash_seed_of_the_process():
    code = (
        "from expctl.data.arithmetic import load\n"
        "print([split.to_list() for split in load(kind='preference', seed=5, train_size=20, eval_size=10)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1 and "chosen" in outputs.pop()


def test_no_evaluation_prompt_is_a_training_prompt_for_any_two_seeds():
    train, held_out = pools()
    assert not {sum_.prompt for sum_ in train} & {sum_.prompt for sum_ in held_out}
    assert len(train) + len(held_out) == 90 * 90
    for seed in (0, 1):
        train_set, eval_set = load(kind="prompt-only", seed=seed)
        assert set(train_set["prompt"]) <= {sum_.prompt for sum_ in train}
        assert set(eval_set["prompt"]) <= {sum_.prompt for sum_ in held_out}


def test_prompts_of_a_split_are_all_different():
    for split in load(kind="prompt-only", seed=0, train_size=len(pools()[0]), eval_size=len(pools()[1])):
        assert len(set(split["prompt"])) == len(split)


def test_sizes_are_those_asked_for_and_too_many_prompts_are_refused_by_name():
    train, evaluation = load(kind="prompt-only", seed=0, train_size=7, eval_size=3)
    assert (len(train), len(evaluation)) == (7, 3)
    with pytest.raises(ValueError, match="eval_size=2000.*1012"):
        load(kind="prompt-only", seed=0, eval_size=2000)
    with pytest.raises(ValueError, match="train_size=0"):
        load(kind="prompt-only", seed=0, train_size=0)


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'images'.*prompt-only, prompt-completion, preference"):
        load(kind="images", seed=0)


@given(numbers, numbers, st.lists(st.integers(0, 1), max_size=MOST_RESTATEMENTS))
def test_a_completion_with_a_chain_of_thought_is_right_however_much_it_restates(first, second, restated):
    completion = Sum(first, second).completion(tuple(restated))
    assert accuracy([completion], [str(first + second)]) == [1.0]
    assert completion.count("wait") == len(restated)
    for left, right in re.findall(r"([0-9+]+)=(\d+)", completion):
        assert sum(int(number) for number in left.split("+")) == int(right)


@given(numbers, numbers, st.randoms())
def test_a_guess_is_short_and_wrong(first, second, rng):
    guess = Sum(first, second).guess(rng)
    assert accuracy([guess], [str(first + second)]) == [0.0]
    assert re.fullmatch(r" so \d+", guess)


def test_completions_to_learn_from_are_concise_and_right():
    train, _ = load(kind="prompt-completion", seed=0, train_size=200)
    answers = [str(sum(int(number) for number in prompt.strip("=").split("+"))) for prompt in train["prompt"]]
    assert accuracy(train["completion"], answers) == [1.0] * 200
    assert not any("wait" in completion for completion in train["completion"])


def test_a_chosen_completion_is_right_and_a_rejected_one_is_wrong_or_longer():
    train, _ = load(kind="preference", seed=0, train_size=200)
    answers = [str(sum(int(number) for number in prompt.strip("=").split("+"))) for prompt in train["prompt"]]
    assert accuracy(train["chosen"], answers) == [1.0] * 200
    right = accuracy(train["rejected"], answers)
    assert 60 < sum(right) < 140
    longer = [len(rejected) > len(chosen) for chosen, rejected in zip(train["chosen"], train["rejected"], strict=True)]
    assert all(is_longer or not is_right for is_longer, is_right in zip(longer, right, strict=True))


def test_loading_the_task_imports_neither_torch_nor_transformers():
    code = "import sys, expctl.data.arithmetic; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
