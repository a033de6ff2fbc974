"""Where the reference model's weights are, and which trainers have none that BEMA could move.

A DPO or GRPO trainer keeps its reference in one of three places:

- full fine-tuning: a second model, `trainer.ref_model`, with the parameter names of the policy;
- LoRA on a trained adapter (a `PeftModel` was passed): a second adapter "ref" in the policy's own model;
- a new LoRA adapter (`peft_config=` was passed): nowhere, TRL switches the adapter off. `prepare_reference`
  adds an adapter "ref" here, a copy of the new adapter, which is zero and therefore still the base model; TRL uses
  an adapter of this name as the reference wherever it finds one.
"""

import os
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import torch
import trl
from accelerate.utils import extract_model_from_parallel
from torch import nn
from torch.distributed.tensor import DTensor
from transformers.utils import is_peft_available

from expctl.algorithms.limits import check_bema, sharded

if TYPE_CHECKING:
    from peft import LoraConfig, PeftConfig, PeftModel

    from expctl.algorithms.bema_callback import BEMACallback


class TrainerWithReference(Protocol):
    """A trainer of DPO or GRPO: its policy, and a second model as reference or None."""

    model: Any
    ref_model: Any


def unwrap(model: nn.Module) -> nn.Module:
    """The model itself, under DistributedDataParallel, DeepSpeed and torch.compile."""
    unwrapped: nn.Module = extract_model_from_parallel(model, keep_torch_compile=False)
    return unwrapped


def is_peft(model: object) -> "TypeGuard[PeftModel]":
    """Whether the model has an adapter of peft around it; False where peft is not installed."""
    if not is_peft_available():
        return False
    from peft import PeftModel

    return isinstance(model, PeftModel)


def refuse_before_load(callback: "BEMACallback", trainer: object, arguments: Mapping[str, Any]) -> None:
    """Refuse what the trainer's constructor `arguments` already show to be impossible: no weight is loaded yet.

    Raises:
        ValueError: names the two settings that exclude each other and what to change.
    """
    args = arguments.get("args")
    check_bema(callback, args, grpo=isinstance(trainer, trl.GRPOTrainer))
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true"):
        raise sharded("FSDP")
    if getattr(getattr(args, "deepspeed_plugin", None), "zero_stage", 0) == 3:
        raise sharded("DeepSpeed ZeRO stage 3")
    if not callback.update_ref_model:
        return
    peft_config = arguments.get("peft_config")
    if arguments.get("ref_model") is not None and (peft_config is not None or is_peft(arguments.get("model"))):
        raise ValueError(
            "BEMA: with an adapter the averaged weights are adapter weights, which cannot be written into "
            "the full model passed as ref_model. Leave ref_model out: the reference becomes an adapter."
        )
    if peft_config is not None:
        _as_lora(peft_config)


def refuse_sharded(parameters: Mapping[str, torch.Tensor]) -> None:
    """Refuse parameters of which this rank holds a part (FSDP 1 and 2, tensor parallelism, ZeRO 3)."""
    for name, parameter in parameters.items():
        if isinstance(parameter, DTensor) or hasattr(parameter, "ds_id") or "_flat_param" in name:
            raise sharded(f"the wrapper of {name!r}")


def prepare_reference(trainer: TrainerWithReference) -> None:
    """Make sure that the trainer has reference weights apart from the policy's, without moving them.

    Raises:
        ValueError: there are none, or they do not have the policy's names and shapes.
    """
    policy = unwrap(trainer.model)
    if is_peft(policy) and trainer.ref_model is None:
        _prepare_adapter(policy)
    reference_parameters(trainer)


def reference_parameters(trainer: TrainerWithReference) -> dict[str, nn.Parameter]:
    """The parameter of the reference model for every parameter of the policy that differs from it or may come to.

    Full fine-tuning: all parameters, frozen ones too. LoRA: the trained ones; the base is shared.
    """
    policy = unwrap(trainer.model)
    parameters = dict(policy.named_parameters())
    if trainer.ref_model is not None:
        reference = dict(unwrap(trainer.ref_model).named_parameters())
        counterpart = {name: name for name in parameters | reference}
    elif is_peft(policy):
        reference = parameters
        trained = [name for name, parameter in parameters.items() if parameter.requires_grad]
        counterpart = {name: _in_reference_adapter(name, policy.active_adapter) for name in trained}
    else:
        raise ValueError(f"BEMA: update_ref_model=True, but this {type(trainer).__name__} keeps no reference model.")
    for name, other in counterpart.items():
        if other == name and reference is parameters:
            raise ValueError(
                f"BEMA: {name!r} is trained but is no part of the adapter, so policy and reference share it. "
                "Freeze it, or list its module in modules_to_save."
            )
        theirs, ours = reference.get(other), parameters.get(name)
        if theirs is None or ours is None or theirs.shape != ours.shape:
            raise ValueError(
                f"BEMA: {name!r} is not of one shape in policy and reference model; to be moved, the reference "
                "must have the policy's architecture."
            )
    return {name: reference[other] for name, other in counterpart.items()}


def _prepare_adapter(policy: "PeftModel") -> None:
    adapter = policy.active_adapter
    trained = _as_lora(policy.peft_config[adapter])
    if "ref" not in policy.peft_config:
        _refuse_unless_zero(policy, adapter, trained)
        config = deepcopy(trained)
        config.lora_dropout = 0.0  # a reference is deterministic, and the trainer has switched dropout off before
        with torch.random.fork_rng():  # the copy's random start is overwritten; training must not notice it
            policy.add_adapter("ref", config)
    # Also where TRL made the copy: it leaves out embedding adapters, whose names end in the adapter's.
    for name, parameter in policy.named_parameters():
        other = _in_reference_adapter(name, adapter)
        if other != name:
            target = policy.get_parameter(other)
            target.data.copy_(parameter.data)
            target.requires_grad_(False)


def _in_reference_adapter(name: str, adapter: str) -> str:
    return ".".join("ref" if part == adapter else part for part in name.split("."))


def _as_lora(peft_config: "PeftConfig") -> "LoraConfig":
    from peft import LoraConfig

    if not isinstance(peft_config, LoraConfig):
        raise ValueError(
            f"BEMA: update_ref_model=True works with LoRA adapters, not with {type(peft_config).__name__}. "
            "Use a peft.LoraConfig, or full fine-tuning."
        )
    return peft_config


def _refuse_unless_zero(policy: "PeftModel", adapter: str, config: "LoraConfig") -> None:
    for name, parameter in policy.named_parameters():
        parts = name.split(".")
        zero_factor = "lora_B" in parts or "lora_embedding_A" in parts
        if adapter in parts and zero_factor and torch.count_nonzero(parameter.detach()):
            raise ValueError(
                f"BEMA: init_lora_weights={config.init_lora_weights!r} starts the adapter away from zero ({name!r}), "
                "so the base model is not where the policy starts and cannot be its reference. "
                "Use init_lora_weights=True."
            )
