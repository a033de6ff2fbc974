"""How a model is split over the processes: `hardware.sharding` in the words of accelerate, for FSDP2 and DeepSpeed."""

from typing import Any

FSDP = (
    "fsdp_version", "fsdp_auto_wrap_policy", "fsdp_transformer_layer_cls_to_wrap", "fsdp_min_num_params",
    "fsdp_reshard_after_forward", "fsdp_offload_params", "fsdp_activation_checkpointing",
)  # fmt: skip
DEEPSPEED = ("zero_stage",)
ALLOWED = {
    "fsdp_version": (2,), "fsdp_auto_wrap_policy": ("TRANSFORMER_BASED_WRAP", "SIZE_BASED_WRAP"),
    "fsdp_reshard_after_forward": (True, False), "fsdp_offload_params": (True, False),
    "fsdp_activation_checkpointing": (True, False), "zero_stage": (3,),
}  # fmt: skip
# Not to be chosen. Whole weights on the first rank are what a model is saved from: without them the folder would stay
# empty. And every rank reads the weights, since a reference model is loaded by the trainer, outside of accelerate.
FSDP_ALWAYS = {"fsdp_state_dict_type": "FULL_STATE_DICT", "fsdp_cpu_ram_efficient_loading": False}
DEEPSPEED_ALWAYS = {"zero3_init_flag": True, "zero3_save_16bit_model": True}
# Where accelerate's variable is not the key in capitals.
VARIABLES = {
    "fsdp_transformer_layer_cls_to_wrap": "FSDP_TRANSFORMER_CLS_TO_WRAP",
    "zero3_init_flag": "ACCELERATE_DEEPSPEED_ZERO3_INIT",
}


def is_deepspeed(sharding: dict[str, Any]) -> bool:
    """DeepSpeed's ZeRO by its stage; anything else is FSDP."""
    return "zero_stage" in sharding


def in_file(sharding: dict[str, Any] | None) -> dict[str, Any]:
    """What the config file of `accelerate launch` says of it."""
    if not sharding:
        return {"distributed_type": "MULTI_GPU"}
    if is_deepspeed(sharding):
        return {"distributed_type": "DEEPSPEED", "deepspeed_config": sharding | DEEPSPEED_ALWAYS}
    return {"distributed_type": "FSDP", "fsdp_config": sharding | FSDP_ALWAYS}


def in_environment(sharding: dict[str, Any] | None) -> dict[str, str]:
    """What `accelerate launch` makes of that file for the workers, and other launchers know nothing of."""
    if not sharding:
        return {}
    if is_deepspeed(sharding):
        said, found, prefix = sharding | DEEPSPEED_ALWAYS, {"ACCELERATE_USE_DEEPSPEED": "true"}, "ACCELERATE_DEEPSPEED_"
    else:
        said, found, prefix = sharding | FSDP_ALWAYS, {"ACCELERATE_USE_FSDP": "true"}, ""
    for key, value in said.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found[VARIABLES.get(key, prefix + key.upper())] = text
    return found
