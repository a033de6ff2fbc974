"""Generated tasks: solvable by their own scorer, held out, and shown with solved examples."""

import pytest

from expctl.data import reasoning_gym
from expctl.rewards.reasoning_gym import accuracy

SMALL = {"seed": 0, "train_size": 12, "eval_size": 4}


def questions(split) -> set[str]:
    return {row["prompt"][-1]["content"] for row in split}


@pytest.mark.parametrize("task", ["letter_counting", "chain_sum", "number_sorting", "family_relationships", "maze"])
def test_the_right_answer_in_the_form_asked_for_is_rewarded_and_a_wrong_one_is_not(task):
    train, _ = reasoning_gym.load(kind="prompt-only", task=task, **SMALL)
    right = [f"Well. <answer>{answer}</answer>" for answer in train["answer"]]
    assert accuracy(right, task=train["task"], entry=train["entry"]) == [1.0] * 12
    wrong = ["<answer>certainly not</answer>"] * 12
    assert max(accuracy(wrong, task=train["task"], entry=train["entry"])) < 1.0


def test_no_question_is_in_both_sets_even_where_a_task_repeats_itself():
    options = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1, "allow_negation": False}
    train, held_out = reasoning_gym.load(
        kind="prompt-only", seed=0, task="chain_sum", train_size=40, eval_size=20, examples=2, options=options
    )
    assert len(questions(train)) == 40
    assert len(questions(held_out)) == 20
    assert not questions(train) & questions(held_out)
    assert train[0]["prompt"][0]["content"] not in questions(train) | questions(held_out)


def test_a_task_with_too_few_questions_says_how_many_there_are():
    options = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    with pytest.raises(ValueError, match=r"dataset\.task=chain_sum has too few different questions: \d+ in"):
        reasoning_gym.load(kind="prompt-only", seed=0, task="chain_sum", train_size=500, options=options)


def test_the_seed_decides_the_questions():
    first, again, other = (
        reasoning_gym.load(kind="prompt-only", task="gcd", **{**SMALL, "seed": seed})[0] for seed in (0, 0, 1)
    )
    assert first.to_list() == again.to_list() != other.to_list()


def test_examples_are_solved_turns_in_the_form_asked_for():
    train, _ = reasoning_gym.load(kind="prompt-only", task="gcd", examples=2, instruction="Use tags.", **SMALL)
    prompt = train[0]["prompt"]
    assert [turn["role"] for turn in prompt] == ["user", "assistant", "user", "assistant", "user"]
    assert all(turn["content"].endswith("Use tags.") for turn in prompt[::2])
    assert all(turn["content"].startswith("<answer>") for turn in prompt[1::2])


def test_completions_carry_the_answer_that_the_scorer_accepts():
    rows, _ = reasoning_gym.load(kind="prompt-completion", task="gcd", **SMALL)
    prompts, _ = reasoning_gym.load(kind="prompt-only", task="gcd", **SMALL)
    assert accuracy(rows["completion"], task=prompts["task"], entry=prompts["entry"]) == [1.0] * 12


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(ValueError, match=r"dataset\.task=leter_counting: .*letter_counting"):
        reasoning_gym.load(kind="prompt-only", task="leter_counting", **SMALL)


@pytest.mark.parametrize("options", [{"max_word": 3}, {"min_words": 9, "max_words": 3}])
def test_options_that_do_not_fit_name_those_that_exist(options):
    with pytest.raises(ValueError, match=r"do not fit task letter_counting(.|\n)*It takes: max_words, min_words"):
        reasoning_gym.load(kind="prompt-only", task="letter_counting", options=options, **SMALL)


def test_a_task_whose_entries_do_not_fit_a_table_is_refused_instead_of_scored_wrong():
    with pytest.raises(ValueError, match=r"dataset\.task=rearc cannot be scored"):
        reasoning_gym.load(kind="prompt-only", task="rearc", seed=0, train_size=1, eval_size=1)


def test_several_tasks_come_as_often_as_their_weights_say_and_each_is_scored_by_its_own_scorer():
    weights = {"chain_sum": 3, "gcd": 1, "letter_counting": 1}
    train, held_out = reasoning_gym.load(
        kind="prompt-only", seed=0, task=weights, train_size=300, eval_size=20, options={"gcd": {"max_value": 60}}
    )
    counts = {task: train["task"].count(task) for task in weights}
    assert sum(counts.values()) == 300 and counts["chain_sum"] == pytest.approx(180, abs=30)
    assert counts["gcd"] > 30 and counts["letter_counting"] > 30 and len(held_out) == 20
    right = [f"<answer>{answer}</answer>" for answer in train["answer"]]
    assert accuracy(right, task=train["task"], entry=train["entry"]) == [1.0] * 300
    assert not questions(train) & questions(held_out)


def test_levels_of_a_curriculum_come_in_their_order_and_grow_harder():
    train, held_out = reasoning_gym.load(
        kind="prompt-only", seed=0, task="chain_sum", train_size=31, eval_size=6, levels=[0, 3, 6], examples=1
    )
    assert train["level"] == [0] * 11 + [3] * 10 + [6] * 10 and held_out["level"] == [0, 0, 3, 3, 6, 6]
    lengths = {level: [] for level in (0, 3, 6)}
    for row in train:
        assert len(row["prompt"]) == 3, "one solved example before each question"
        lengths[row["level"]].append(len(row["prompt"][-1]["content"]))
    assert max(lengths[0]) < min(lengths[6]) and len(questions(train) | questions(held_out)) == 37


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"task": "chain_sum", "levels": [99]}, "has no level 99; it has 0 to"),
        ({"task": {"chain_sum": 1, "gcd": 0}}, "the weight of gcd is 0"),
        ({"task": {"chain_sum": 1, "gcds": 1}}, "Nearest: gcd"),
        ({"task": {"chain_sum": 1, "gcd": 1}, "options": {"max_terms": 3}}, "dataset.options.max_terms"),
        ({"task": {"chain_sum": 1, "gcd": 1}, "options": {"gcd": {"words": 3}}}, "do not fit task gcd"),
    ],
)
def test_what_no_mixture_or_curriculum_has_is_named(more, said):
    with pytest.raises(ValueError, match=said):
        reasoning_gym.load(kind="prompt-only", **SMALL, **more)


def test_a_level_changes_no_run_that_has_none():
    from expctl.cli.hydra_app import compose

    dataset = compose(["dataset=reasoning_gym"]).config["dataset"]
    assert "levels" not in dataset
    assert compose(["dataset=reasoning_gym", "dataset.levels=[0,1]"]).config["dataset"]["levels"] == [0, 1]
