"""The hook for advantages of single tokens, and its two ready sources."""

import pytest
import torch
from gspo_setup import make_trainer
from hypothesis import given
from hypothesis import strategies as st
from tiny_policy import NEWLINE, tiny_tokenizer

from expctl.algorithms.token_advantages import DiscountedCredit, StepCredit


def zeros_for_each_token(*, mask, **_):
    return torch.zeros(mask.shape)


class Recorder:
    """A source that keeps what it was given and returns the group advantage on every token."""

    def __init__(self):
        self.calls = []

    def __call__(self, **given):
        self.calls.append(given)
        return given["advantages"].unsqueeze(1).expand(given["mask"].shape)


def rollout(trainer, training=True):
    trainer.model.train(training)
    rows = [{"prompt": "1a", "answer": f"{i}"} for i in range(4)]
    return trainer._generate_and_score_completions(rows)


# The hook


def test_the_source_is_given_completions_ids_mask_rewards_advantages_and_columns(tmp_path):
    source = Recorder()
    trainer = make_trainer(tmp_path, source)
    batch = rollout(trainer)
    (call,) = source.calls
    assert call["prompts"] == ["1a"] * 4 and call["answer"] == ["0", "1", "2", "3"]
    decoded = trainer.processing_class.batch_decode(batch["completion_ids"], skip_special_tokens=True)
    assert call["completions"] == decoded
    assert torch.equal(call["completion_ids"], batch["completion_ids"])
    assert torch.equal(call["mask"], batch["completion_mask"])
    assert call["rewards"].flatten().tolist() == [float(len(set(text))) for text in decoded]
    assert call["advantages"].shape == (4,)
    assert batch["advantages"].shape == batch["completion_ids"].shape


def test_the_mask_leaves_out_what_a_tool_wrote(tmp_path):
    source, trainer = Recorder(), None
    trainer = make_trainer(tmp_path, source)
    scripted = trainer.rollout_func

    def with_tool_tokens(prompts, trainer):
        output = scripted(prompts, trainer)
        return output | {"env_mask": [[0] + [1] * (len(ids) - 1) for ids in output["completion_ids"]]}

    trainer.rollout_func = with_tool_tokens
    batch = rollout(trainer)
    assert torch.equal(source.calls[0]["mask"], batch["completion_mask"] * batch["tool_mask"])
    assert source.calls[0]["mask"][:, 0].sum() == 0 and batch["advantages"][:, 0].abs().sum() == 0


def test_the_source_is_called_once_a_rollout_and_not_in_evaluation(tmp_path):
    source = Recorder()
    trainer = make_trainer(tmp_path, source, steps_per_generation=2, num_iterations=2, max_steps=4)
    trainer.train()
    assert len(source.calls) == 1
    assert rollout(trainer, training=False)["advantages"].dim() == 1
    assert len(source.calls) == 1


def test_constant_credit_trains_bit_for_bit_like_no_source(tmp_path):
    weights = []
    equal_steps = StepCredit(lambda steps, **_: [[0.7] * len(row) for row in steps])
    for source in (None, DiscountedCredit(gamma=1.0), equal_steps):
        trainer = make_trainer(tmp_path, source, steps_per_generation=2, learning_rate=1e-2, max_steps=4)
        trainer.train()
        weights.append([parameter.detach().clone() for parameter in trainer.model.parameters()])
    for other in weights[1:]:
        assert all(torch.equal(a, b) for a, b in zip(weights[0], other, strict=True))


def test_zero_credit_moves_no_weight_and_a_dotted_path_names_a_source(tmp_path):
    trainer = make_trainer(
        tmp_path, "test_gspo_token_advantages:zeros_for_each_token", learning_rate=1e-2, weight_decay=0.0
    )
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    trainer.train()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_rows_that_nothing_scored_get_no_credit(tmp_path):
    trainer = make_trainer(tmp_path, lambda mask, **_: torch.ones(mask.shape))
    trainer.reward_funcs = [lambda completions, **_: [None, 1.0, 2.0, None]]
    batch = rollout(trainer)
    assert batch["advantages"].sum(1).tolist() == [0.0, *batch["completion_mask"].sum(1)[1:3].tolist(), 0.0]


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda mask: torch.ones(len(mask)), ValueError, r"shape \(4,\); one value for each completion token"),
        (lambda mask: torch.ones(len(mask), mask.shape[1] + 1), ValueError, "the shape of completion_ids"),
        (lambda mask: torch.full(mask.shape, float("nan")), ValueError, "returned NaN or infinity"),
        (lambda mask: mask.tolist(), TypeError, "must return a tensor, not list"),
    ],
)
def test_a_wrong_answer_of_the_source_is_refused(tmp_path, returned, error, message):
    def crooked(*, mask, **_):
        return returned(mask)

    trainer = make_trainer(tmp_path, crooked)
    with pytest.raises(error, match=f"'crooked'.*{message}"):
        rollout(trainer)


def test_a_source_that_cannot_be_called_is_refused(tmp_path):
    with pytest.raises(TypeError, match="must be callable or a dotted path"):
        make_trainer(tmp_path, 3, model="not/loaded")


def test_token_credit_at_sequence_level_is_refused_before_the_model_is_loaded(tmp_path):
    with pytest.raises(ValueError, match="credit of single tokens would be averaged away"):
        make_trainer(tmp_path, DiscountedCredit(), model="not/loaded", importance_sampling_level="sequence")


def test_the_spread_of_credit_inside_completions_is_logged(tmp_path):
    spreads = []
    for gamma in (1.0, 0.5):
        trainer = make_trainer(tmp_path, DiscountedCredit(gamma))
        rollout(trainer)
        spreads.append(trainer._metrics["train"]["token_advantages/spread"][-1])
    assert spreads[0] == pytest.approx(0.0, abs=1e-6) and spreads[1] > 0.01


# Length-discounted credit


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    gamma=st.floats(0.01, 1.0),
    advantage=st.floats(-3, 3, allow_nan=False),
)
def test_discounted_credit_falls_by_gamma_for_each_token_still_to_come(lengths, gamma, advantage):
    mask = (torch.arange(6) < torch.tensor(lengths).unsqueeze(1)).long()
    credit = DiscountedCredit(gamma)(advantages=torch.full((len(lengths),), advantage, dtype=torch.float64), mask=mask)
    for row, length in zip(credit, lengths, strict=True):
        for t in range(length):
            assert row[t].item() == pytest.approx(advantage * gamma ** (length - 1 - t), rel=1e-9)


def test_discounted_credit_does_not_count_tool_tokens():
    mask = torch.tensor([[1, 0, 0, 1, 1]])
    credit = DiscountedCredit(0.5)(advantages=torch.tensor([8.0]), mask=mask)
    assert (credit * mask).tolist() == [[2.0, 0.0, 0.0, 4.0, 8.0]]


@pytest.mark.parametrize("gamma", [0.0, 1.01, -1.0])
def test_a_discount_outside_its_range_is_refused(gamma):
    with pytest.raises(ValueError, match="must lie in"):
        DiscountedCredit(gamma)


# Step rewards


def step_credit(rewards, ids, mask=None, advantage=1.0, **options):
    seen = []

    def step_rewards(steps, **_):
        seen.extend(steps)
        return rewards

    ids = torch.tensor(ids)
    mask = (ids != 0).long() if mask is None else torch.tensor(mask)
    credit = StepCredit(step_rewards, **options)(
        advantages=torch.full((len(ids),), advantage), completion_ids=ids, mask=mask, tokenizer=tiny_tokenizer()
    )
    return credit, seen


def test_each_step_gives_its_reward_to_its_own_tokens():
    credit, steps = step_credit([[1.0, 4.0]], [[5, 6, NEWLINE, 7, 8, 9]], advantage=10.0)
    assert steps == [["12\n", "345"]]
    assert credit.tolist() == [[8.5, 8.5, 8.5, 11.5, 11.5, 11.5]]


def test_a_separator_of_several_tokens_ends_a_step_at_its_last_token():
    _, steps = step_credit([[1.0, 2.0]], [[5, NEWLINE, 6, NEWLINE, NEWLINE, 7]], separator="\n\n")
    assert steps == [["1\n2\n\n", "3"]]


def test_padding_and_tool_tokens_belong_to_no_step():
    credit, steps = step_credit([[1.0, 2.0], [5.0]], [[5, 9, NEWLINE, 6], [7, 8, 0, 0]], [[1, 0, 1, 1], [1, 1, 0, 0]])
    assert steps == [["1\n", "2"], ["34"]]
    assert credit[0].tolist() == pytest.approx([2 / 3, 1.0, 2 / 3, 5 / 3])
    assert credit[1].tolist() == [1.0] * 4


@given(
    data=st.data(),
    ids=st.lists(st.integers(3, 15), min_size=1, max_size=12),
    advantage=st.floats(-2, 2),
)
def test_a_completion_keeps_its_group_advantage_whatever_its_steps_earn(data, ids, advantage):
    def step_rewards(steps, **_):
        assert "".join(steps[0]) == tiny_tokenizer().decode(ids)
        return [[data.draw(st.floats(-5, 5)) for _ in row] for row in steps]

    credit = StepCredit(step_rewards, weight=0.5)(
        advantages=torch.tensor([advantage], dtype=torch.float64),
        completion_ids=torch.tensor([ids]),
        mask=torch.ones(1, len(ids), dtype=torch.long),
        tokenizer=tiny_tokenizer(),
    )
    assert credit.mean().item() == pytest.approx(advantage, abs=1e-9)


def test_an_empty_completion_has_no_steps():
    credit, steps = step_credit([[]], [[0, 0]])
    assert steps == [[]] and credit.tolist() == [[1.0, 1.0]]


def test_a_wrong_number_of_step_rewards_is_refused():
    with pytest.raises(ValueError, match=r"returned \[1\] rewards for completions of \[2\] steps"):
        step_credit([[1.0]], [[5, NEWLINE, 6]])


def test_an_empty_separator_is_refused():
    with pytest.raises(ValueError, match="separator is empty"):
        StepCredit(lambda steps, **_: [], separator="")
