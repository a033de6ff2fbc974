"""An experiment that evaluates and trains nothing (`algorithm=eval`), and which of the trainer's arguments it reads."""

from typing import Any

from expctl.base.plain_data import at

# Fields of `args`; one that ends in a star stands for all that begin so.
READ = (
    "_target_",
    "seed",
    "use_cpu",
    "bf16",
    "fp16",
    "tf32",
    "full_determinism",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "max_completion_length",
    "num_generations_eval",
    "per_device_eval_batch_size",
    "generation_kwargs",
    "chat_template_kwargs",
    "cache_implementation",
    "use_transformers_continuous_batching",
    "transformers_continuous_batching_*",
    "use_vllm",
    "vllm_*",
    "cast_lm_head_to_fp32",
    "pad_to_multiple_of",
    "dataloader_*",
    "ddp_*",
    "log_level*",
    "disable_tqdm",
    "report_to",
    "run_name",
    "project",
    "trackio_*",
)


def trains(config: dict[str, Any]) -> bool:
    """Whether an experiment trains; `algorithm.trains` is false where it only evaluates."""
    return at(config, "algorithm", "trains") is not False


def is_read(name: str) -> bool:
    """Whether an evaluation reads this field of `args`."""
    return any(name == field or (field.endswith("*") and name.startswith(field[:-1])) for field in READ)
