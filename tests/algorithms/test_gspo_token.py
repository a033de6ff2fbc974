"""GSPO-token against GSPO, against an independent float64 reference and against finite differences."""

import pytest
import torch
import trl
from tiny_policy import scripted_rollout, tiny_model, tiny_prompts, tiny_tokenizer
from trl import GRPOConfig

from expctl.algorithms.gspo_token import GRPOTrainer, check_ratio_level

LOSSES = ["grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo"]
ROWS, TOKENS = 4, 6


def longest_character(completions, **_):
    return [float(len(set(completion))) for completion in completions]


def make_trainer(folder, token_advantages=None, model=None, **options):
    options = {"importance_sampling_level": "sequence_token", "loss_type": "grpo"} | options
    args = GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=8,
        report_to="none",
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        logging_steps=1,
        max_steps=options.pop("max_steps", 2),
        disable_tqdm=True,
        **options,
    )
    return GRPOTrainer(
        model=model or tiny_model(),
        reward_funcs=longest_character,
        args=args,
        train_dataset=tiny_prompts(),
        processing_class=tiny_tokenizer(),
        rollout_func=scripted_rollout,
        token_advantages=token_advantages,
    )


@pytest.fixture(scope="module")
def shared_trainer(tmp_path_factory):
    trainer = make_trainer(tmp_path_factory.mktemp("gspo"))
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    return trainer


@pytest.fixture
def loss_of(shared_trainer, monkeypatch):
    """`loss_of(level, logps, inputs, **settings) -> (loss, metrics)`: TRL's own loss on given log-probabilities."""
    trainer, original = shared_trainer, dict(vars(shared_trainer))
    original_args = dict(vars(trainer.args))

    def compute(level, logps, inputs, **settings):
        vars(trainer).update(original)
        vars(trainer.args).update(original_args)
        trainer._metrics["train"].clear()
        trainer._sequence_token = level == "sequence_token"
        trainer.importance_sampling_level = "token" if trainer._sequence_token else level
        trainer.epsilon_low = settings.pop("epsilon", 0.2)
        for name, value in settings.items():
            owner = trainer if name in vars(trainer) else trainer.args
            assert hasattr(owner, name), name
            setattr(owner, name, value)
        if settings.get("loss_type") == "cispo":
            trainer.epsilon_high = 5.0
        entropies = torch.linspace(0.1, 2.0, logps.numel(), dtype=logps.dtype).view_as(logps)
        monkeypatch.setattr(
            trl.GRPOTrainer, "_get_per_token_logps_and_entropies", lambda *a, **k: (logps, entropies, None)
        )
        loss = trainer._compute_loss(trainer.model, inputs)
        return loss, {name: values[-1] for name, values in trainer._metrics["train"].items()}

    yield compute
    vars(trainer).update(original)
    vars(trainer.args).update(original_args)


def make_inputs(seed=0, spread=0.5, token_level=False):
    """Float64 log-probabilities, behind `old` by `spread`, with completions of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([6, 3, 1, 4])
    mask = (torch.arange(TOKENS) < lengths.unsqueeze(1)).long()
    logps = -torch.rand(ROWS, TOKENS, generator=generator, dtype=torch.float64) * 3 - 0.1
    old = logps - torch.randn(ROWS, TOKENS, generator=generator, dtype=torch.float64) * spread
    shape = (ROWS, TOKENS) if token_level else (ROWS,)
    inputs = {
        "prompt_ids": torch.ones(ROWS, 2, dtype=torch.long),
        "prompt_mask": torch.ones(ROWS, 2, dtype=torch.long),
        "completion_ids": torch.full((ROWS, TOKENS), 5),
        "completion_mask": mask,
        "advantages": torch.randn(*shape, generator=generator, dtype=torch.float64),
        "num_items_in_batch": mask.sum(),
        "old_per_token_logps": old * mask,
    }
    return (logps * mask).requires_grad_(), inputs


def gradient(loss, logps):
    return torch.autograd.grad(loss, logps)[0]


# Equations


def equation_13(logps, old, mask, advantages, low, high, ratio_numerator=None):
    """Written from the paper, token by token. `ratio_numerator` stands for the live log pi(y_it)."""
    live = logps if ratio_numerator is None else ratio_numerator
    total = 0.0
    for i in range(len(logps)):
        tokens = [t for t in range(logps.shape[1]) if mask[i, t]]
        s_i = torch.exp(sum(logps[i, t].detach() - old[i, t] for t in tokens) / len(tokens))
        for t in tokens:
            s_it = s_i * torch.exp(live[i, t]) / torch.exp(logps[i, t]).detach()
            unclipped, clipped = s_it * advantages[i, t], s_it.clamp(1 - low, 1 + high) * advantages[i, t]
            total = total + torch.minimum(unclipped, clipped) / len(tokens)
    return total / len(logps)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("low", "high"), [(3e-4, 4e-4), (0.2, 0.27), (50.0, 50.0)])
def test_loss_and_gradient_are_equations_13_and_14(loss_of, seed, low, high):
    logps, inputs = make_inputs(seed, token_level=True)
    loss, _ = loss_of("sequence_token", logps, inputs, epsilon=low, epsilon_high=high)
    mask, old = inputs["completion_mask"], inputs["old_per_token_logps"]
    expected = -equation_13(logps, old, mask, inputs["advantages"], low, high)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(gradient(loss, logps), gradient(expected, logps), rtol=1e-12, atol=1e-14)


def test_unclipped_gradient_is_equation_17(loss_of):
    logps, inputs = make_inputs(3, token_level=True)
    loss, _ = loss_of("sequence_token", logps, inputs, epsilon=1e3, epsilon_high=1e3)
    mask = inputs["completion_mask"]
    lengths = mask.sum(1, keepdim=True)
    s = torch.exp(((logps - inputs["old_per_token_logps"]) * mask).sum(1, keepdim=True) / lengths).detach()
    expected = -(s * inputs["advantages"] * mask / lengths) / ROWS
    torch.testing.assert_close(gradient(loss, logps), expected, rtol=1e-12, atol=1e-14)


def test_gradient_is_the_finite_difference_of_the_surrogate_with_stopped_terms_frozen(loss_of):
    logps, inputs = make_inputs(5, token_level=True)
    loss, _ = loss_of("sequence_token", logps, inputs, epsilon=0.2, epsilon_high=0.27)
    grad, frozen = gradient(loss, logps), logps.detach()
    mask, old, step = inputs["completion_mask"], inputs["old_per_token_logps"], 1e-6
    for i, t in mask.nonzero().tolist():
        nudge = torch.zeros_like(frozen)
        nudge[i, t] = step
        up, down = (
            -equation_13(frozen, old, mask, inputs["advantages"], 0.2, 0.27, frozen + sign * nudge) for sign in (1, -1)
        )
        assert abs((up - down) / (2 * step) - grad[i, t]) < 1e-8


# Equal to GSPO


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize(("low", "high"), [(3e-4, 4e-4), (0.2, 0.2)])
def test_gspo_token_equals_gspo_when_advantages_are_constant(loss_of, loss_type, low, high):
    for seed in range(3):
        logps, inputs = make_inputs(seed)
        settings = {"loss_type": loss_type, "epsilon": low, "epsilon_high": high}
        token, token_metrics = loss_of("sequence_token", logps, inputs, **settings)
        sequence, sequence_metrics = loss_of("sequence", logps, inputs, **settings)
        torch.testing.assert_close(token, sequence, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(gradient(token, logps), gradient(sequence, logps), rtol=1e-10, atol=1e-14)
        for extreme in ("clip_ratio/low_min", "clip_ratio/high_max"):  # per sequence in both
            assert token_metrics.get(extreme) == sequence_metrics.get(extreme)


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo", "luspo"])
def test_the_clip_set_is_the_set_of_clipped_sequences(loss_of, loss_type):
    logps, inputs = make_inputs(7)
    mask, advantages = inputs["completion_mask"], torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    drift = torch.tensor([[0.1], [-0.1], [0.01], [0.1]], dtype=torch.float64)
    inputs |= {"advantages": advantages, "old_per_token_logps": (logps.detach() - drift) * mask}
    loss, metrics = loss_of("sequence_token", logps, inputs, loss_type=loss_type, epsilon=0.05, epsilon_high=0.05)
    s = torch.exp(((logps - inputs["old_per_token_logps"]) * mask).sum(1) / mask.sum(1)).detach()
    clipped = ((s > 1.05) & (advantages > 0)) | ((s < 0.95) & (advantages < 0))
    assert clipped.tolist() == [True, True, False, False]
    assert torch.equal(gradient(loss, logps).abs().sum(1) == 0, clipped)
    assert metrics["clip_ratio/region_mean"] == pytest.approx((clipped * mask.sum(1)).sum().item() / mask.sum().item())


def test_two_sided_clipping_and_off_policy_mask_and_entropy_bonus_agree_with_sequence_level(loss_of):
    settings = {"delta": 1.1, "off_policy_mask_threshold": 0.05, "entropy_coef": 0.1, "_entropy_bonus_enabled": True}
    for seed in range(4):
        logps, inputs = make_inputs(seed)
        token, _ = loss_of("sequence_token", logps, inputs, **settings)
        sequence, _ = loss_of("sequence", logps, inputs, **settings)
        torch.testing.assert_close(token, sequence, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(gradient(token, logps), gradient(sequence, logps), rtol=1e-10, atol=1e-14)


def test_kl_without_bias_correction_agrees_with_sequence_level(loss_of):
    logps, inputs = make_inputs(1)
    inputs["ref_per_token_logps"] = inputs["old_per_token_logps"] - 0.3 * inputs["completion_mask"]
    settings = {"beta": 0.1, "use_bias_correction_kl": False}
    token, sequence = (loss_of(level, logps, inputs, **settings)[0] for level in ("sequence_token", "sequence"))
    torch.testing.assert_close(gradient(token, logps), gradient(sequence, logps), rtol=1e-10, atol=1e-14)


def test_bias_corrected_kl_is_weighted_by_the_sequence_ratio(loss_of):
    logps, inputs = make_inputs(1)
    mask = inputs["completion_mask"]
    inputs["ref_per_token_logps"] = inputs["old_per_token_logps"] - 0.3 * mask
    inputs["advantages"] = torch.zeros(ROWS, dtype=torch.float64)
    loss, _ = loss_of("sequence_token", logps, inputs, beta=0.1, use_bias_correction_kl=True)
    s = torch.exp(((logps - inputs["old_per_token_logps"]) * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True))
    difference = inputs["ref_per_token_logps"] - logps
    kl = (difference.exp() - difference - 1) * s
    torch.testing.assert_close(loss, 0.1 * ((kl * mask).sum(1) / mask.sum(1)).mean(), rtol=1e-12, atol=0)


def test_vllm_ratio_of_a_sequence_agrees_with_sequence_level(loss_of):
    logps, inputs = make_inputs(2)
    inputs["importance_sampling_ratio"] = torch.tensor([[0.5], [1.0], [0.0], [2.0]], dtype=torch.float64)
    settings = {"use_vllm": True, "vllm_importance_sampling_correction": True}
    token, sequence = (loss_of(level, logps, inputs, **settings)[0] for level in ("sequence_token", "sequence"))
    torch.testing.assert_close(gradient(token, logps), gradient(sequence, logps), rtol=1e-10, atol=1e-14)


# Limits


def test_one_token_completions_make_gspo_token_grpo(loss_of):
    logps, inputs = make_inputs(4)
    inputs["completion_mask"] = (torch.arange(TOKENS) == 0).long().repeat(ROWS, 1)
    token, grpo = (loss_of(level, logps, inputs)[0] for level in ("sequence_token", "token"))
    torch.testing.assert_close(gradient(token, logps), gradient(grpo, logps), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("old_is_given", [True, False])
def test_at_the_old_policy_all_levels_have_the_same_gradient_and_ratio_one(loss_of, old_is_given):
    logps, inputs = make_inputs(6)
    inputs["old_per_token_logps"] = logps.detach()
    if not old_is_given:
        del inputs["old_per_token_logps"]
    gradients = [gradient(loss_of(level, logps, inputs)[0], logps) for level in ("token", "sequence", "sequence_token")]
    torch.testing.assert_close(gradients[2], gradients[0], rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(gradients[2], gradients[1], rtol=1e-12, atol=1e-15)


def test_equal_lengths_make_dapo_and_grpo_aggregation_the_same(loss_of):
    logps, inputs = make_inputs(8, token_level=True)
    inputs["completion_mask"] = torch.ones(ROWS, TOKENS, dtype=torch.long)
    inputs["num_items_in_batch"] = torch.tensor(ROWS * TOKENS)
    dapo, grpo = (loss_of("sequence_token", logps, inputs, loss_type=loss)[0] for loss in ("dapo", "grpo"))
    torch.testing.assert_close(gradient(dapo, logps), gradient(grpo, logps), rtol=1e-12, atol=1e-15)


def test_duplicating_every_token_leaves_the_sequence_ratio_unchanged():
    from expctl.algorithms.gspo_token import sequence_log_ratio

    logps, inputs = make_inputs(9)
    parts = (logps, inputs["old_per_token_logps"], inputs["completion_mask"])
    torch.testing.assert_close(sequence_log_ratio(*parts), sequence_log_ratio(*(x.repeat(1, 2) for x in parts)))


def test_padding_and_tool_tokens_outside_the_mask_change_nothing(loss_of):
    logps, inputs = make_inputs(10, token_level=True)
    expected = gradient(loss_of("sequence_token", logps, inputs)[0], logps)
    noisy, wide = torch.full((ROWS, 2), -9.0, dtype=torch.float64), dict(inputs)
    wide_logps = torch.cat([noisy, logps.detach(), noisy], dim=1).requires_grad_()
    for name, filler in {"old_per_token_logps": noisy * 2, "advantages": noisy, "completion_ids": noisy.long()}.items():
        wide[name] = torch.cat([filler, inputs[name], filler], dim=1)
    ones, zeros = torch.ones(ROWS, 2, dtype=torch.long), torch.zeros(ROWS, 2, dtype=torch.long)
    wide["completion_mask"] = torch.cat([ones, inputs["completion_mask"], zeros], dim=1)  # two tool tokens, two pads
    wide["tool_mask"] = torch.cat([zeros, torch.ones_like(inputs["completion_mask"]), ones], dim=1)
    found = gradient(loss_of("sequence_token", wide_logps, wide)[0], wide_logps)
    assert found[:, :2].abs().sum() == 0 and found[:, -2:].abs().sum() == 0
    torch.testing.assert_close(found[:, 2:-2], expected, rtol=1e-12, atol=1e-15)


def test_zero_mean_credit_is_lost_at_sequence_level_and_kept_by_gspo_token(loss_of):
    logps, inputs = make_inputs(11, spread=0.0, token_level=True)
    mask = inputs["completion_mask"]
    mean = (inputs["advantages"] * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    inputs["advantages"] = (inputs["advantages"] - mean) * mask
    sequence, token = (gradient(loss_of(level, logps, inputs)[0], logps) for level in ("sequence", "sequence_token"))
    assert sequence.abs().max() < 1e-15
    assert token.abs().max() > 0.01


def test_a_sequence_above_the_clip_range_with_positive_advantage_has_exactly_zero_gradient(loss_of):
    logps, inputs = make_inputs(12)
    inputs["advantages"] = torch.ones(ROWS, dtype=torch.float64)
    inputs["old_per_token_logps"] = (logps.detach() - 0.1) * inputs["completion_mask"]
    loss, _ = loss_of("sequence_token", logps, inputs, epsilon=3e-4, epsilon_high=4e-4)
    assert gradient(loss, logps).abs().max() == 0


def test_half_precision_log_probabilities_still_resolve_the_papers_clip_range(loss_of):
    logps, inputs = make_inputs(13)
    logps = (logps.detach() * 4).bfloat16().requires_grad_()
    inputs["advantages"] = torch.ones(ROWS)
    inputs["old_per_token_logps"] = logps.detach().float() - 1e-3 * inputs["completion_mask"]
    loss, metrics = loss_of("sequence_token", logps, inputs, epsilon=3e-4, epsilon_high=4e-4)
    assert metrics["clip_ratio/high_mean"] == 1.0
    inputs["old_per_token_logps"] = logps.detach().float() - 1e-4 * inputs["completion_mask"]
    _, metrics = loss_of("sequence_token", logps, inputs, epsilon=3e-4, epsilon_high=4e-4)
    assert metrics["clip_ratio/high_mean"] == 0.0


def test_off_policy_mask_sees_the_true_log_probabilities(loss_of):
    logps, inputs = make_inputs(14)
    mask = inputs["completion_mask"]
    # Every token fell by 0.5 since the rollout, and every completion is a bad one: all must be dropped.
    inputs["old_per_token_logps"] = (logps.detach() + 0.5) * mask
    inputs["advantages"] = -torch.ones(ROWS, dtype=torch.float64)
    dropped, _ = loss_of("sequence_token", logps, inputs, off_policy_mask_threshold=0.4, epsilon=10.0)
    assert gradient(dropped, logps).abs().max() == 0
    kept, _ = loss_of("sequence_token", logps, inputs, off_policy_mask_threshold=0.6, epsilon=10.0)
    assert gradient(kept, logps).abs().max() > 0
    # A sampling engine's own log-probabilities, where there are any, have priority over the old policy's.
    inputs["sampling_per_token_logps"] = logps.detach()
    kept, _ = loss_of("sequence_token", logps, inputs, off_policy_mask_threshold=0.4, epsilon=10.0)
    assert gradient(kept, logps).abs().max() > 0


def test_the_batch_that_the_next_iteration_reuses_is_not_changed(loss_of):
    logps, inputs = make_inputs(15)
    before = {name: value.clone() for name, value in inputs.items()}
    loss_of("sequence_token", logps, inputs)
    assert inputs.keys() == before.keys()
    assert all(torch.equal(inputs[name], before[name]) for name in before)


# Constructor and training


def test_vespo_is_refused_by_name_before_the_model_is_loaded(tmp_path):
    with pytest.raises(ValueError, match="loss_type='vespo'.*weights every sequence itself"):
        make_trainer(tmp_path, model="a/model/that/does/not/exist", loss_type="vespo")


def test_an_unknown_level_is_refused_with_the_nearest_name(tmp_path):
    args = GRPOConfig(output_dir=str(tmp_path), importance_sampling_level="sequence-token", use_cpu=True)
    with pytest.raises(ValueError, match="'sequence-token' is not known. Nearest: 'sequence_token'"):
        check_ratio_level(args)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_every_loss_type_that_is_not_refused_trains(tmp_path, loss_type):
    trainer = make_trainer(
        tmp_path, loss_type=loss_type, steps_per_generation=2, num_iterations=2, learning_rate=1e-2, max_steps=3
    )
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    trainer.train()
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))


def test_trained_weights_equal_those_of_sequence_level_training(tmp_path):
    options = {"steps_per_generation": 4, "epsilon": 3e-4, "epsilon_high": 4e-4, "beta": 0.0, "max_steps": 6}
    weights = []
    for level in ("sequence_token", "sequence"):
        trainer = make_trainer(tmp_path, importance_sampling_level=level, learning_rate=1e-3, optim="sgd", **options)
        trainer.train()
        weights.append(torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()]))
    assert not torch.equal(weights[0], torch.cat([p.detach().flatten() for p in tiny_model().parameters()]))
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_other_levels_train_bit_for_bit_like_trl(tmp_path, level, monkeypatch):
    weights = []
    for bases in ((GRPOTrainer,), (trl.GRPOTrainer,)):
        trainer = make_trainer(tmp_path, importance_sampling_level=level, steps_per_generation=2, learning_rate=1e-2)
        if bases == (trl.GRPOTrainer,):
            trainer.__class__ = trl.GRPOTrainer
        trainer.train()
        weights.append([parameter.detach().clone() for parameter in trainer.model.parameters()])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*weights, strict=True))
