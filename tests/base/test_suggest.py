"""Nearest names: what a person who typed the wrong one may have meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expctl.base.suggest import nearest

FIELDS = [
    "learning_rate",
    "local_rank",
    "lr_scheduler_type",
    "num_generations",
    "num_generations_eval",
    "max_steps",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "temperature",
    "beta",
    "epsilon",
    "epsilon_high",
    "gradient_accumulation_steps",
    "num_train_epochs",
    "max_completion_length",
    "loss_type",
    "scale_rewards",
]
ALGORITHMS = ["gfpo", "grpo", "grpo_replay", "gspo", "gspo_token", "sft", "dpo", "dpo_bema"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("learning_rat", "learning_rate"),
        ("LearningRate", "learning_rate"),
        ("learning-rate", "learning_rate"),
        ("num_generation", "num_generations"),
        ("lr", "learning_rate"),
        ("gas", "gradient_accumulation_steps"),
        ("epochs", "num_train_epochs"),
        ("temp", "temperature"),
        ("max_completion_len", "max_completion_length"),
        ("epsilonhigh", "epsilon_high"),
    ],
)
def test_first_suggestion_is_what_was_meant(typed, meant):
    assert nearest(typed, FIELDS)[0] == meant


def test_a_part_of_a_name_suggests_every_name_that_has_it():
    assert nearest("batch_size", FIELDS) == ["per_device_eval_batch_size", "per_device_train_batch_size"]


@pytest.mark.parametrize(("typed", "meant"), [("gfop", "gfpo"), ("gpro", "grpo"), ("gspo-token", "gspo_token")])
def test_swapped_letters_in_a_short_option_are_found(typed, meant):
    assert nearest(typed, ALGORITHMS)[0] == meant


@pytest.mark.parametrize("typed", ["zzz", "quantum", "", "_"])
def test_nothing_is_suggested_where_nothing_is_close(typed):
    assert nearest(typed, FIELDS) == []


@given(st.sampled_from(FIELDS), st.data())
def test_one_lost_letter_still_suggests_the_name(name, data):
    position = data.draw(st.integers(0, len(name) - 1))
    assert name in nearest(name[:position] + name[position + 1 :], FIELDS)
