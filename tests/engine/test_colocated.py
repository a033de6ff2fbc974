"""GFPO in both forms, GSPO-token, replay and LoRA with completions of the real vLLM, against transformers.

A ratio is that of a token's probability as the trainer computes it to that by which the engine sampled it. It is near
one only if the engine has the weights of this step and the rows are those that it sampled.
"""

import pytest
import torch
from colocated import ALGORITHMS, build, greedy_engine, greedy_model, logged, tokenizer
from peft import LoraConfig

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("shared_engine")]

RATIO = "sampling/importance_sampling_ratio/"
DIFFERENCE = "sampling/sampling_logp_difference/max"
# Both engines compute in float32 and add in different orders.
NEAR = 0.02
PROMPTS = ["37+58=", "10+99=", "64+27=", "81+18=", "45+45="]


def likeliest_agree(trainer) -> bool:
    """Whether engine and model, after the last step, say the same."""
    ids = tokenizer()(PROMPTS)["input_ids"]
    trainer.vllm_generation.sync_weights()
    return greedy_engine(ids) == greedy_model(trainer.model, ids)


def test_the_padded_model_is_the_embedded_one():
    from colocated import folder_of_model
    from padded import TINY
    from transformers import AutoModelForCausalLM

    embedded, padded = (AutoModelForCausalLM.from_pretrained(path) for path in (TINY, folder_of_model()))
    ids = torch.randint(3, 264, (4, 50), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(padded(ids).logits, embedded(ids).logits, rtol=0, atol=2e-3)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_is_sampled_for_with_its_own_weights(algorithm, tmp_path):
    """At a rate at which a step changes what is likely: every step's weights reach the engine, and rows keep theirs."""
    trainer = build(algorithm, tmp_path)
    trainer.train()
    assert len(logged(trainer, "loss")) == 3
    assert max(logged(trainer, DIFFERENCE)) < NEAR
    # GSPO-token's ratio is one of a sequence: of up to 96 tokens.
    assert all(0.9 < ratio < 1.1 for name in ("min", "max") for ratio in logged(trainer, RATIO + name))
    assert likeliest_agree(trainer)


def test_weights_that_do_not_arrive_are_seen_in_the_ratio(tmp_path, monkeypatch):
    """The bound above can fail: without the hand-over the engine samples by the weights of the beginning."""
    trainer = build("gfpo drop", tmp_path)
    hand_over, times = trainer.vllm_generation.sync_weights, []

    def once():
        times.append(trainer.state.global_step)
        if len(times) == 1:
            hand_over()

    monkeypatch.setattr(trainer.vllm_generation, "sync_weights", once)
    trainer.train()
    assert times == [0, 1, 2]
    first, *later = logged(trainer, DIFFERENCE)
    assert first < NEAR < max(later)


def test_an_adapter_reaches_the_engine_merged_and_leaves_the_weights_as_they_were(tmp_path):
    adapter = LoraConfig(r=8, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    trainer = build("gfpo drop", tmp_path, keywords={"peft_config": adapter}, learning_rate=2e-2)
    base = {name: value.clone() for name, value in trainer.model.named_parameters() if "base_layer" in name}
    ids = tokenizer()(PROMPTS)["input_ids"]
    before = greedy_model(trainer.model, ids)
    trainer.train()
    assert max(logged(trainer, DIFFERENCE)) < NEAR
    assert likeliest_agree(trainer)
    assert greedy_model(trainer.model, ids) != before
    for name, value in trainer.model.named_parameters():
        if name in base:
            torch.testing.assert_close(value, base[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_training_is_that_with_transformers_for_the_same_completions(algorithm, tmp_path):
    """Without the correction for the engines' difference nothing of the engine is in the mathematics but the tokens."""
    kept = []
    trainer = build(algorithm, tmp_path / "vllm", vllm_importance_sampling_correction=False)
    sample = trainer._generate_single_turn

    def keeping(*args, **keywords):
        kept.append(sample(*args, **keywords))
        return kept[-1]

    trainer._generate_single_turn = keeping
    trainer.train()

    other = build(algorithm, tmp_path / "transformers", use_vllm=False)
    again = iter(kept)
    # transformers gives no log-probabilities: the trainer computes them itself, where it needs them.
    other._generate_single_turn = lambda *args, **keywords: (next(again)[0], None)
    other.train()
    assert logged(other, "loss") == pytest.approx(logged(trainer, "loss"), abs=1e-5)
    for (name, one), (_, two) in zip(trainer.model.named_parameters(), other.model.named_parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
