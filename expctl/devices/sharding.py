"""How a model is split over the processes: `hardware.sharding` as accelerate takes it, for FSDP2 and DeepSpeed."""

from typing import Any

# The keys of `hardware.sharding`: those of FSDP2, and those of DeepSpeed.
FSDP = (
    "fsdp_version",
    "fsdp_auto_wrap_policy",
    "fsdp_transformer_layer_cls_to_wrap",
    "fsdp_min_num_params",
    "fsdp_reshard_after_forward",
    "fsdp_offload_params",
    "fsdp_activation_checkpointing",
)
DEEPSPEED = ("zero_stage",)
# Key -> the values that it may have; other keys may have any.
ALLOWED = {
    "fsdp_version": (2,),
    "fsdp_auto_wrap_policy": ("TRANSFORMER_BASED_WRAP", "SIZE_BASED_WRAP"),
    "fsdp_reshard_after_forward": (True, False),
    "fsdp_offload_params": (True, False),
    "fsdp_activation_checkpointing": (True, False),
    "zero_stage": (3,),
}
# Fixed settings. A model is saved from whole weights on the first rank: without them its folder would stay empty. And
# every rank reads the weights, since the trainer loads a reference model, outside of accelerate.
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
    """The entries of the config file of `accelerate launch`."""
    if not sharding:
        return {"distributed_type": "MULTI_GPU"}
    if is_deepspeed(sharding):
        return {"distributed_type": "DEEPSPEED", "deepspeed_config": sharding | DEEPSPEED_ALWAYS}
    return {"distributed_type": "FSDP", "fsdp_config": sharding | FSDP_ALWAYS}


def in_environment(sharding: dict[str, Any] | None) -> dict[str, str]:
    """The variables that `accelerate launch` sets for the workers by that file, and other launchers do not."""
    if not sharding:
        return {}
    if is_deepspeed(sharding):
        settings, prefix = sharding | DEEPSPEED_ALWAYS, "ACCELERATE_DEEPSPEED_"
        variables = {"ACCELERATE_USE_DEEPSPEED": "true"}
    else:
        settings, prefix = sharding | FSDP_ALWAYS, ""
        variables = {"ACCELERATE_USE_FSDP": "true"}
    for key, value in settings.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        variables[VARIABLES.get(key, prefix + key.upper())] = text
    return variables
