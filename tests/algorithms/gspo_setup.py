"""TRL's own loss on given float64 log-probabilities, and a tiny GSPO-token trainer."""

import pytest
import torch
import trl
from tiny_policy import scripted_rollout, tiny_model, tiny_prompts, tiny_tokenizer
from trl import GRPOConfig

from expctl.algorithms.gspo_token import GRPOTrainer

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
