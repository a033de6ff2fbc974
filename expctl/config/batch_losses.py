"""Which losses depend on how a step is cut into micro-batches, beyond rounding."""

from expctl.base.plain_data import number, sequence
from expctl.config.source.defaults import FieldValues

# As TRL 1.16 computes them: means over tokens, ranks or moments of one micro-batch of one process. All other losses are
# means over rows, which micro-batches of equal size share, or sums over the tokens of the whole step.
BY_MICRO_BATCH = ("bnpo", "sft", "aot", "aot_unpaired", "bco_pair")


def weighed_by_micro_batch(values: FieldValues) -> list[str]:
    """The settings of `args` under which a step that is cut otherwise is another step."""
    losses = sequence(values["loss_type"]) or [values["loss_type"]]
    settings = [f"args.loss_type={loss}" for loss in losses if loss in BY_MICRO_BATCH]
    if values["entropy_coef"] or values["use_adaptive_entropy"]:
        settings.append("the entropy bonus")
    share = number(values["top_entropy_quantile"])
    if share is not None and share < 1.0:
        settings.append(f"args.top_entropy_quantile={share}")
    return settings
