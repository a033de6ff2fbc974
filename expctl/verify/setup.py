"""What the checks use: the embedded model and data, trainers in a folder of their own, and ways to compare."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
import trl
from torch import Tensor, nn
from transformers import Trainer, set_seed

from expctl import models
from expctl.data import arithmetic
from expctl.rewards.arithmetic import accuracy
from expctl.verify.check import CheckFailed

# A generation batch of two groups; short completions, so that a check takes a second.
G = 8
GRPO_SETTINGS = {
    "num_generations": G,
    "per_device_train_batch_size": 2 * G,
    "max_completion_length": 28,
    "beta": 0.0,
    "loss_type": "dapo",
}
SETTINGS = {
    "max_steps": 2,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "constant",
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
    "fp16": False,
    "gradient_checkpointing": False,
    "disable_tqdm": True,
}
# A rollout is trained on for two steps, and a checkpoint is written between them.
SAVED_IN_A_ROLLOUT: dict[str, Any] = {
    "per_device_train_batch_size": G,
    "steps_per_generation": 2,
    "save_strategy": "steps",
    "save_steps": 1,
}

AnyTrainer = TypeVar("AnyTrainer", bound=Trainer)
AnyGRPO = TypeVar("AnyGRPO", bound=trl.GRPOTrainer)


def build(
    trainer: Callable[..., AnyTrainer],
    config: Callable[..., Any],
    kind: str,
    settings: dict[str, Any],
    double: bool = False,
    **keywords: Any,
) -> AnyTrainer:
    """A trainer on the embedded model and data.

    Args:
        trainer: its class.
        config: the class of its arguments.
        kind: of the data, as `expctl.data.arithmetic` knows it.
        settings: of the arguments, besides `SETTINGS`.
        double: makes the policy float64, so that a float64 reference differs only by what upstream itself rounds:
            TRL computes the log-probabilities of the last layer in single precision, about 1e-6 of them.
        keywords: of the trainer.
    """
    set_seed(0)
    model, tokenizer = models.load("embedded:tiny")
    train_dataset, _ = arithmetic.load(kind=kind, seed=0, train_size=64, eval_size=8)
    if "output_dir" not in settings:
        settings = settings | {"output_dir": tempfile.mkdtemp()}  # inside of the folder that `expctl verify` removes
    built = trainer(
        model=model.double() if double else model,
        args=config(**SETTINGS | settings),
        train_dataset=train_dataset,
        processing_class=tokenizer,
        **keywords,
    )
    policy(built).train()
    set_seed(0)
    return built


def grpo(
    trainer: Callable[..., AnyGRPO],
    config: Callable[..., Any],
    *,
    reward: Callable[..., list[float]] | None = None,
    double: bool = False,
    keywords: dict[str, Any] | None = None,
    **settings: Any,
) -> AnyGRPO:
    """A trainer of the GRPO family with two groups of `G` completions a batch; see `build`."""
    settings = GRPO_SETTINGS | settings
    built = build(trainer, config, "prompt-only", settings, double, reward_funcs=reward or graded, **(keywords or {}))
    built.current_gradient_accumulation_steps = 1
    return built


def graded(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """The accuracy of the embedded task, and a tenth for each of up to nine points that depend on the text alone."""
    right = accuracy(completions, answer)
    return [score + sum(map(ord, text)) % 10 / 10 for score, text in zip(right, completions, strict=True)]


def policy(trainer: Trainer) -> nn.Module:
    """The model that is trained."""
    assert trainer.model is not None  # only a trainer with `model_init` has none before training
    return trainer.model


def sample(trainer: trl.GRPOTrainer) -> dict[str, Tensor]:
    """The batch that the trainer would train on: two prompts, `G` completions each, sampled by the policy."""
    set_seed(0)
    dataset: Any = trainer.train_dataset
    prompts = [dataset[i] for i in range(2) for _ in range(G)]
    batch: dict[str, Tensor] = trainer._generate_and_score_completions(prompts)
    return batch


def move(model: nn.Module, size: float = 0.02) -> None:
    """Leave the policy that sampled."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_((size * parameter.std() * noise).to(parameter))


def token_logps(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """`(B, T)`: log-probabilities of the completion tokens, by a plain forward pass and a plain log-softmax."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    logits = model(input_ids=ids, attention_mask=attention).logits[:, :-1]
    chosen: Tensor = logits.log_softmax(-1).gather(2, ids[:, 1:].unsqueeze(2)).squeeze(2)
    return chosen[:, -batch["completion_ids"].size(1) :]


def loss_and_gradient(trainer: Trainer, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The trainer's own loss of a batch, and its gradient as one vector."""
    loss = trainer.compute_loss(policy(trainer), batch)
    assert isinstance(loss, Tensor)  # without `return_outputs`
    return loss.detach(), gradient(loss, policy(trainer))


def gradient(loss: Tensor, model: nn.Module) -> Tensor:
    """The gradient of the loss by the trained weights, as one vector."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    parts = torch.autograd.grad(loss, parameters)
    return torch.cat([part.flatten() for part in parts])


def vector(model: nn.Module) -> Tensor:
    """All weights of a model as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def trained(trainer: Trainer) -> tuple[Tensor, Tensor]:
    """The weights after training, and the logged losses."""
    before = vector(policy(trainer))
    trainer.train()
    after = vector(policy(trainer))
    substantial(after - before, "training did not move the weights")
    return after, torch.tensor([row["loss"] for row in trainer.state.log_history if "loss" in row])


def interrupted(
    make: Callable[[str], AnyTrainer], save_step: int, state: Callable[[AnyTrainer], Iterable[Tensor]]
) -> float:
    """How far a run that is resumed from the checkpoint of `save_step` ends from the one that never stopped.

    Args:
        make: a trainer that saves at `save_step` into the folder it is given; called once a run.
        save_step: the step of the checkpoint.
        state: what is compared at the end, besides weights and the losses after the checkpoint.
    """
    ends, whole = [], tempfile.mkdtemp()
    for folder, resume in ((whole, None), (tempfile.mkdtemp(), str(Path(whole, f"checkpoint-{save_step}")))):
        run = make(folder)
        run.train(resume_from_checkpoint=resume)
        rows = [row for row in run.state.log_history if "loss" in row and row["step"] > save_step]
        losses = substantial(torch.tensor([row["loss"] for row in rows]), "no step follows the checkpoint")
        ends.append([vector(policy(run)), losses, *state(run)])
    return difference(*ends)


def substantial(value: Tensor, otherwise: str) -> Tensor:
    """The value itself.

    Raises:
        CheckFailed: the value is zero or not finite, so that equality with another would say nothing.
    """
    if not value.isfinite().all() or value.abs().max() < 1e-6:
        raise CheckFailed(f"nothing was compared: {otherwise}")
    return value


def greatest(values: Iterable[float]) -> float:
    """The greatest value; NaN where one is NaN, unlike Python's `max`."""
    return torch.tensor(list(values), dtype=torch.float64).max().item()


def difference(ours: Iterable[Tensor], theirs: Iterable[Tensor]) -> float:
    """The greatest absolute difference; 0.0 where all values are equal to the last bit, NaN where one is none."""
    return greatest((a.cpu().double() - b.cpu().double()).abs().max().item() for a, b in zip(ours, theirs, strict=True))


def relative(ours: Iterable[Tensor], theirs: Iterable[Tensor]) -> float:
    """The greatest difference of each pair, in units of the greatest value of the second.

    A loss, the mean of terms that are about one (standardised advantages times ratios) and cancel, is compared in
    units of such a term: what is left of it after cancelling says nothing about rounding.
    """
    return greatest(_relative(value, reference) for value, reference in zip(ours, theirs, strict=True))


def _relative(value: Tensor, reference: Tensor) -> float:
    unit = 1.0 if reference.ndim == 0 else substantial(reference, "the reference is zero").abs().max().item()
    return (value - reference).abs().max().item() / unit
