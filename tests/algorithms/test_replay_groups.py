"""What the raw rewards of a group say, and what is kept of its rows."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from expctl.algorithms.group_contrast import batch_scale, contrast, sampled_groups
from expctl.algorithms.replay_buffer import compact, expand, layout
from expctl.algorithms.rows import pack, unpack

ONE = torch.ones(1)


# Rows


def padded_batch():
    return {
        "prompt_ids": torch.tensor([[0, 0, 7, 8, 9], [1, 2, 3, 4, 5]]),
        "prompt_mask": torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]),
        "completion_ids": torch.tensor([[4, 5, 0], [6, 7, 8]]),
        "completion_mask": torch.tensor([[1, 1, 0], [1, 1, 1]]),
        "tool_mask": torch.tensor([[1, 0, 1], [1, 1, 1]]),
        "advantages": torch.tensor([1.0, -1.0]),
        "old_per_token_logps": torch.tensor([[-0.1, -0.2, 0.0], [-0.3, -0.4, -0.5]]),
        "sampling_per_token_logps": torch.tensor([[-0.1, float("nan"), 0.0], [-0.3, -0.4, -0.5]]),
        "num_items_in_batch": torch.tensor(5),
    }


def test_a_left_padded_prompt_keeps_its_end():
    assert unpack(padded_batch())[0]["prompt_ids"].tolist() == [7, 8, 9]


def test_storing_and_restoring_is_the_identity_on_every_field():
    batch = padded_batch()
    rows = unpack(batch)
    restored = pack([expand(compact(row), row) for row in rows], pad_token_id=0)
    for key, value in restored.items():
        assert value.dtype == batch[key].dtype and torch.equal(value.nan_to_num(7.0), batch[key].nan_to_num(7.0)), key
    assert restored.keys() == batch.keys() - {"num_items_in_batch"}


def test_a_stored_row_holds_its_own_unpadded_bytes_and_nothing_of_the_batch():
    batch = padded_batch()
    batch["completion_ids"] = torch.nn.functional.pad(batch["completion_ids"], (0, 4000))
    batch["completion_mask"] = torch.nn.functional.pad(batch["completion_mask"], (0, 4000))
    stored = compact(unpack(batch)[0])
    assert all(value.untyped_storage().nbytes() <= 8 * value.numel() for value in stored.values())
    assert sum(value.nbytes for value in stored.values()) == 4 * (3 + 3 + 2 + 2 + 2 + 1 + 2 + 2)


def test_reference_log_probabilities_and_places_are_not_stored():
    batch = padded_batch() | {"ref_per_token_logps": torch.zeros(2, 3), "sample_index": torch.arange(2)}
    stored = compact(unpack(batch)[0])
    assert not {"ref_per_token_logps", "sample_index"} & stored.keys()
    assert layout(batch) == {key: value.ndim for key, value in stored.items()}


# Contrast

rewards_with_gaps = st.lists(
    st.one_of(st.none(), st.floats(-5, 5, allow_nan=False, width=32)), min_size=2, max_size=8
).map(lambda values: torch.tensor([[math.nan if value is None else value] for value in values]))


@given(rewards=rewards_with_gaps)
def test_contrast_is_the_sum_of_distances_from_the_mean_of_the_scored_rows(rewards):
    scored = rewards[~rewards.isnan()].double()
    expected = 0.0
    if len(scored) and scored.max() - scored.min() > 1e-6:
        expected = (scored - scored.mean()).abs().sum().item()
    assert contrast(rewards, ONE, "sum_then_normalize") == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1 / 3, -7.7, 1e6])
@pytest.mark.parametrize("size", [2, 3, 7, 16])
def test_equal_rewards_have_no_contrast_whatever_rounding_makes_of_their_mean(value, size):
    assert contrast(torch.full((size, 1), value), ONE, "sum_then_normalize") == 0.0


def test_rewards_that_differ_by_rounding_only_have_no_contrast():
    assert contrast(torch.tensor([[0.3], [0.1 + 0.2 + 3e-8]]), ONE, "sum_then_normalize") == 0.0
    assert contrast(torch.tensor([[0.3], [0.31]]), ONE, "sum_then_normalize") > 0.0


def test_a_group_with_one_scored_row_or_none_has_no_contrast():
    for values in ([math.nan, math.nan], [math.nan, 3.0]):
        assert contrast(torch.tensor(values).unsqueeze(1), ONE, "sum_then_normalize") == 0.0


def test_functions_that_cancel_in_the_sum_still_teach_when_they_are_normalised_one_by_one():
    rewards = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert contrast(rewards, torch.ones(2), "sum_then_normalize") == 0.0
    assert contrast(rewards, torch.ones(2), "normalize_then_sum") == pytest.approx(2.0)
    assert contrast(rewards, torch.tensor([1.0, 0.0]), "sum_then_normalize") == pytest.approx(1.0)


def test_binary_rewards_are_ranked_like_vcrl_and_like_the_distance_from_one_half():
    size = 8
    scores = [contrast(torch.tensor([[1.0]] * n + [[0.0]] * (size - n)), ONE, "sum_then_normalize") for n in range(9)]
    vcrl = [n * (size - n) for n in range(9)]
    for i in range(9):
        for j in range(9):
            assert (scores[i] < scores[j] - 1e-9) == (vcrl[i] < vcrl[j]) == (abs(i - 4) > abs(j - 4))


def test_priority_does_not_depend_on_how_advantages_are_scaled():
    # It is computed from the raw rewards; the advantages that TRL 1.9 used shrink to the same size under "group".
    small, large = torch.tensor([[0.0], [0.1]]), torch.tensor([[0.0], [1.0]])
    assert contrast(large, ONE, "sum_then_normalize") == pytest.approx(10 * contrast(small, ONE, "sum_then_normalize"))


@given(data=st.data(), ranks=st.sampled_from([1, 2, 3]))
def test_groups_are_found_whatever_rank_their_rows_lie_on(data, ranks):
    order = data.draw(st.permutations(range(12)))
    dropped = data.draw(st.sets(st.integers(0, 11), max_size=4))
    samples = [-1 if sample in dropped else sample for sample in order]
    rewards = torch.arange(12.0).unsqueeze(1)
    for found in sampled_groups(samples, rewards, 4, ONE, "sum_then_normalize"):
        mine = [samples[position] for position in found.positions]
        assert mine == sorted(mine) and len({sample // 4 for sample in mine}) == 1
        assert found.rewards.flatten().tolist() == [float(sample) for sample in mine]


def test_batch_scale_is_what_trl_divides_by():
    groups = [torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [5.0]])]
    std = torch.tensor([0.0, 1.0, 3.0, 5.0]).std().item()
    assert batch_scale(groups, ONE, "sum_then_normalize", "batch") == pytest.approx(std + 1e-4)
    assert batch_scale(groups, ONE, "sum_then_normalize", "group") == 1.0
    assert batch_scale(groups, ONE, "sum_then_normalize", "none") == 1.0
