"""What GFPO's batches do to losses and gradients: dropped or masked, fillers, micro-batches, float64 references."""

import functools

import pytest
import torch
from gfpo_trainer import TableGFPOTrainer, UnevenK, examples, real_rows, scored
from tiny_policy import EOS, scripted_rollout

LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")
ROW_MEANS = ("grpo", "dr_grpo", "sapo", "luspo")


def loss_and_gradient(trainer, batches):
    trainer.table.grad, total = None, 0.0
    for batch in batches:
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        total += loss.item()
    return total, trainer.table.grad


def micro_batches(trainer):
    """What upstream cuts the generation batch into."""
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    trainer._step, trainer._buffered_inputs = 0, None
    trainer._prepare_inputs(examples(trainer))
    return trainer._buffered_inputs


@pytest.fixture
def float64(gfpo):
    return functools.partial(gfpo, trainer=TableGFPOTrainer)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_masked_rows_add_nothing_but_their_share_of_the_denominator(float64, loss_type):
    """With the number of items fixed, a masked batch has the gradient of the dropped one; a mean over rows has k/G."""
    keywords = {"group_filter_func": "shortest", "num_remains_in_group": 2, "loss_type": loss_type}
    masking, dropping = float64(filtered="mask", **keywords), float64(filtered="drop", **keywords)
    masked, dropped = scored(masking), scored(dropping)
    masking.move(0.1)
    dropping.move(0.1)
    assert dropped["num_items_in_batch"] < masked["num_items_in_batch"]
    dropped["num_items_in_batch"] = masked["num_items_in_batch"]
    loss, gradient = loss_and_gradient(masking, [masked])
    expected_loss, expected = loss_and_gradient(dropping, [dropped])
    if loss_type in ROW_MEANS:
        scale = 2 / 4
    elif loss_type == "bnpo":
        scale = (dropped["completion_mask"].sum() / masked["completion_mask"].sum()).item()
    else:
        scale = 1
    assert expected.norm() > 1e-3
    torch.testing.assert_close(gradient, scale * expected, atol=1e-10, rtol=1e-7)
    assert loss == pytest.approx(scale * expected_loss, rel=1e-7)


def test_dropped_completions_leave_the_denominator(gfpo):
    batch = scored(gfpo(group_filter_func="shortest", num_remains_in_group=2))
    assert batch["num_items_in_batch"] == batch["completion_mask"].sum()
    masked = scored(gfpo(group_filter_func="shortest", num_remains_in_group=2, filtered="mask"))
    assert masked["num_items_in_batch"] == masked["completion_mask"].sum()


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("filtered", ["drop", "mask"])
def test_the_dapo_loss_and_its_gradient_are_equation_2(float64, filtered, beta):
    """An independent float64 evaluation of the paper's objective, clip, KL and all, and its finite differences."""
    trainer = float64(
        group_filter_func="shortest",
        num_remains_in_group=2,
        filtered=filtered,
        beta=beta,
        loss_type="dapo",
        num_iterations=2,
        use_bias_correction_kl=False,
    )
    batch = scored(trainer)
    trainer.move(0.3)  # far enough for the clip to bite

    def objective():
        total, denominator = 0.0, 0
        for row in real_rows(batch):
            ids = [row["prompt_ids"][-1].item(), *row["completion_ids"].tolist()]
            table = trainer.table.log_softmax(-1)
            logps = torch.stack([table[before, token] for before, token in zip(ids, ids[1:], strict=False)])
            ratio = (logps - row["old_per_token_logps"]).exp()
            advantage = row["advantages"]
            tokens = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
            if beta:
                off = row["ref_per_token_logps"] - logps
                tokens = tokens - beta * (off.exp() - off - 1)
            total, denominator = total + tokens.sum(), denominator + len(logps)
        return total / denominator

    loss, gradient = loss_and_gradient(trainer, [batch])
    assert loss == pytest.approx(-objective().item(), abs=1e-12)
    row = real_rows(batch)[0]["completion_ids"][0]
    for place in ((row, 4), (row, 9), (7, 5)):
        step = torch.zeros_like(trainer.table)
        step[place] = 1e-6
        with torch.no_grad():
            trainer.table += step
            above = objective()
            trainer.table -= 2 * step
            below = objective()
            trainer.table += step
        assert gradient[place].item() == pytest.approx(-(above - below).item() / 2e-6, rel=1e-5, abs=1e-9)


def test_every_kept_completion_is_in_one_micro_batch_and_micro_batches_are_equal(gfpo):
    """Upstream cuts by floor division: rows left over were dropped without a word."""
    for group_filter, k in (("shortest", 3), (UnevenK(), None)):
        for parts in (1, 2, 4):
            trainer = gfpo(
                group_filter_func=group_filter,
                num_remains_in_group=k,
                per_device_train_batch_size=16 // parts,
                gradient_accumulation_steps=parts,
            )
            indices = [batch["sample_index"].tolist() for batch in micro_batches(trainer)]
            assert len(indices) == parts and len(set(map(len, indices))) == 1
            real = sorted(index for part in indices for index in part if index >= 0)
            assert len(real) == len(set(real)) == (9 if k is None else 12)
            assert sum(index < 0 for part in indices for index in part) < parts


@pytest.mark.parametrize("loss_type", LOSSES)
def test_fillers_change_neither_loss_nor_gradient(float64, loss_type):
    """Nine kept rows in two micro-batches need a tenth: the sum over both must be that of nine rows in one.

    BNPO normalises by the tokens of each micro-batch, so for it the reference is cut the same way, fillers taken out.
    """
    keywords = {"group_filter_func": UnevenK(), "loss_type": loss_type, "beta": 0.2, "num_iterations": 2}
    whole = float64(**keywords)
    halves = float64(per_device_train_batch_size=8, gradient_accumulation_steps=2, **keywords)
    parts = micro_batches(halves)
    assert [len(part["advantages"]) for part in parts] == [5, 5]
    assert sum(int((part["sample_index"] < 0).sum()) for part in parts) == 1
    reference, batches = whole, [scored(whole)]
    if loss_type == "bnpo":
        reference, batches = halves, [without_fillers(part) for part in parts]
    halves.move(0.1)
    whole.move(0.1)
    loss, gradient = loss_and_gradient(halves, parts)
    expected_loss, expected = loss_and_gradient(reference, batches)
    assert expected.norm() > 1e-3
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    torch.testing.assert_close(gradient, expected, atol=1e-9, rtol=1e-6)


def without_fillers(batch):
    real = batch["sample_index"] >= 0
    return {key: value[real] if value.ndim else value for key, value in batch.items()}


def test_a_filler_does_not_touch_the_entropy_bonus(float64):
    """The bonus is a mean over tokens, and neither the scaled advantages nor the scaled KL may change its weight."""
    trainer = float64(
        group_filter_func=UnevenK(),
        loss_type="grpo",
        beta=0.2,
        entropy_coef=0.5,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
    )
    part = next(part for part in micro_batches(trainer) if (part["sample_index"] < 0).any())
    bonus = []
    for batch in (part, without_fillers(part)):
        gradients = []
        for trainer.entropy_coef in (0.0, 0.5):
            gradients.append(loss_and_gradient(trainer, [batch])[1])
        bonus.append(gradients[1] - gradients[0])
    assert bonus[0].norm() > 1e-3
    torch.testing.assert_close(bonus[0], bonus[1], atol=1e-12, rtol=1e-9)


class UnevenLongest(UnevenK):
    """Keeps completions of every length, the first one too, which fillers are made of."""

    def __call__(self, *args, **kwargs):
        return [[-score for score in scores] for scores in super().__call__(*args, **kwargs)]


@pytest.mark.parametrize("group_filter", [UnevenK(), UnevenLongest()])
def test_a_filler_is_masked_and_as_short_as_can_be(gfpo, group_filter):
    trainer = gfpo(group_filter_func=group_filter, per_device_train_batch_size=8, gradient_accumulation_steps=2)
    batch = scored(trainer)
    longest = max(len(row["completion_ids"]) for row in real_rows(batch))
    assert batch["completion_ids"].size(1) == longest
    filler = batch["sample_index"] < 0
    assert batch["completion_mask"][filler].sum() == 0 and batch["advantages"][filler].eq(0).all()


def test_a_completion_of_one_token_survives(gfpo):
    def short(prompts, trainer):
        rollout = scripted_rollout(prompts, trainer)
        rollout["completion_ids"] = [[EOS] for _ in prompts]
        return rollout

    keywords = {"keywords": {"rollout_func": short}, "beta": 0.1, "num_iterations": 2}
    batch = scored(
        gfpo(group_filter_func=UnevenK(), per_device_train_batch_size=8, gradient_accumulation_steps=2, **keywords)
    )
    assert batch["completion_ids"].shape == (10, 1)
