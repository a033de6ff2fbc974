"""Numbers that no trainer can work with, by the name and meaning of the field (docstrings of TRL and transformers)."""

import math
from dataclasses import dataclass
from typing import Any

from expctl.base.evaluation import trains
from expctl.base.experiment import Experiment
from expctl.base.plain_data import is_number, mapping
from expctl.base.refusal import Refusal


@dataclass(frozen=True)
class Bound:
    """From `low` to `high`; the ends belong to it unless `above` (of `low`) or `below` (of `high`) says otherwise."""

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value is within."""
        low = value > self.low if self.above else value >= self.low
        high = value < self.high if self.below else value <= self.high
        return low and high

    def __str__(self) -> str:
        words = [f"above {self.low:g}" if self.above else f"at least {self.low:g}"]
        if self.high < math.inf:
            words.append(f"below {self.high:.10g}" if self.below else f"at most {self.high:.10g}")
        return " and ".join(words)


ONE_OR_MORE, NOT_NEGATIVE, POSITIVE = Bound(1), Bound(0), Bound(0, above=True)
SHARE, BELOW_ONE = Bound(0, 1), Bound(0, 1, below=True)
SHARE_ABOVE_ZERO = Bound(0, 1, above=True)
NUMPY_SEED = Bound(0, 2**32 - 1)
ARGS = {
    **dict.fromkeys(
        (
            "per_device_train_batch_size",
            "per_device_eval_batch_size",
            "gradient_accumulation_steps",
            "eval_accumulation_steps",
            "max_completion_length",
            "max_length",
            "num_iterations",
            "steps_per_generation",
            "generation_batch_size",
            "num_generations_eval",
            "ref_model_sync_steps",
            "vllm_tensor_parallel_size",
            "dataloader_prefetch_factor",
        ),
        ONE_OR_MORE,
    ),
    **dict.fromkeys(
        (
            "learning_rate",
            "weight_decay",
            "top_k",
            "adam_epsilon",
            "warmup_steps",
            "eval_delay",
            "beta",
            "epsilon",
            "epsilon_high",
            "dataloader_num_workers",
            "neftune_noise_alpha",
            "save_total_limit",
            "entropy_coef",
            "off_policy_mask_threshold",
        ),
        NOT_NEGATIVE,
    ),
    **dict.fromkeys(
        ("logging_steps", "eval_steps", "save_steps", "temperature", "repetition_penalty", "delta"), POSITIVE
    ),
    **dict.fromkeys(("adam_beta1", "adam_beta2", "label_smoothing_factor"), BELOW_ONE),
    **dict.fromkeys(("top_p", "vllm_gpu_memory_utilization"), SHARE_ABOVE_ZERO),
    **dict.fromkeys(("min_p", "ref_model_mixup_alpha", "top_entropy_quantile", "ld_alpha"), SHARE),
    **dict.fromkeys(("seed", "data_seed"), NUMPY_SEED),
    "label_smoothing": Bound(0, 0.5, below=True),
    "vllm_server_port": Bound(1, 65535),
}
PEFT = {"r": ONE_OR_MORE, "lora_alpha": POSITIVE, "lora_dropout": BELOW_ONE}
DATASET = dict.fromkeys(("train_size", "eval_size", "examples"), NOT_NEGATIVE)
CALLBACK = {
    "temperature": POSITIVE,
    **dict.fromkeys(("max_completion_length", "batch_size", "early_stopping_patience"), ONE_OR_MORE),
    "early_stopping_threshold": NOT_NEGATIVE,
}
# Below 1 they are a share of all steps.
STEPS_OR_SHARE = ("logging_steps", "eval_steps", "save_steps", "warmup_steps")
# Infinite is a value of its own: nothing is clipped.
MAY_BE_INFINITE = ("epsilon", "epsilon_high")
LARGEST = 2**63 - 1


def check_bounds(experiment: Experiment) -> list[Refusal]:
    """Refuse numbers outside of what their fields mean; null, unknown fields and code of the user's own are let be."""
    config = experiment.config
    args = ARGS if trains(config) else ARGS | {"temperature": NOT_NEGATIVE}
    refusals = _outside(experiment, "args", config["args"], args)
    refusals += _outside(experiment, "peft", config["peft"] or {}, PEFT)
    ours = {"dataset": config["dataset"]} | {f"callbacks.{name}": node for name, node in config["callbacks"].items()}
    for group, node in ours.items():
        if str(mapping(node).get("_target_")).startswith(("expctl.", "transformers.")):
            refusals += _outside(experiment, group, node, DATASET if group == "dataset" else CALLBACK)
    return refusals


def _outside(experiment: Experiment, group: str, node: dict[str, Any], bounds: dict[str, Bound]) -> list[Refusal]:
    refusals = []
    for name, value in node.items():
        key = f"{group}.{name}"
        wanted = _wanted(name, value, bounds.get(name)) if is_number(value) else None
        if wanted:
            refusals.append(Refusal(f"{key} is {value}; it must be {wanted}", where=experiment.set_by(key)))
    return refusals


def _wanted(name: str, value: float, bound: Bound | None) -> str | None:
    """What the number has to be; None where it is that."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a number that fits into 64 bits"
    if math.isnan(value):
        return "a number"
    if bound is None:
        return None
    if math.isinf(value) and name not in MAY_BE_INFINITE:
        return f"finite, {bound}"
    if not bound.holds(value):
        return str(bound)
    if name in STEPS_OR_SHARE and value > 1 and not float(value).is_integer():
        return "a whole number of steps, or a share of them below 1"
    return None
