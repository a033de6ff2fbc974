"""A model whose files have other names than its weights is carried on, and its best state loaded."""

from pathlib import Path

import pytest
import torch
from resuming import SMALL, composed, resumed, whole
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3MoeConfig, Qwen3MoeForCausalLM

from expctl import models
from expctl.runs.files import Run
from expctl.worker import build
from expctl.worker.saved_names import saved_names

WORDS = ["algorithm=sft", "model=local", "args.max_steps=2", "args.learning_rate=1e-2", "args.warmup_steps=0"]


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """A folder with a mixture of four experts of random weights."""
    folder = tmp_path_factory.mktemp("mixture") / "moe"
    tokenizer = AutoTokenizer.from_pretrained(Path(models.__file__).parent / "tiny")
    config = Qwen3MoeConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        moe_intermediate_size=16,
        num_experts=4,
        num_experts_per_tok=2,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    model = Qwen3MoeForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert not saved_names(folder) <= model.state_dict().keys(), "the names are the model's own, and prove nothing"
    return folder


def test_a_resumed_training_has_the_weights_of_its_checkpoint(mixture, tmp_path):
    words = [*WORDS, f"model.path={mixture}"]
    undisturbed = whole(tmp_path / "whole", *words)
    assert undisturbed.steps == 2
    resumed(tmp_path / "whole", 1, *words).assert_equals(undisturbed)


def test_the_best_model_is_that_of_its_checkpoint(mixture, tmp_path):
    words = [*WORDS, f"model.path={mixture}"]
    undisturbed = whole(tmp_path / "whole", *words)
    first = tmp_path / "whole" / "checkpoints" / "checkpoint-1"
    trainer = build.build_trainer(composed("hardware=cpu", *SMALL, *words), Run(tmp_path / "whole"), [], None)
    trainer.state.best_model_checkpoint = str(first)
    trainer._load_best_model()
    best = dict(trainer.model.named_parameters())
    kept = dict(AutoModelForCausalLM.from_pretrained(first).named_parameters())
    assert best.keys() == kept.keys() and all(torch.equal(best[name], kept[name]) for name in kept)
    assert not all(torch.equal(best[name], weight) for name, weight in undisturbed.weights.items())
