"""Typed settings take precedence over settings of a file that contradict them."""

from typing import Any

from expctl.base.plain_data import mapping
from expctl.config.source.annotation import admits
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature


def imply(config: dict[str, Any], sources: dict[str, str]) -> list[str]:
    """Change `config` so that no setting of a file voids a typed one; typed ones that contradict are left to checks.

    Args:
        config: the resolved root config; its `args` are changed.
        sources: dotted key -> how it was set, of the keys that were typed.

    Returns:
        A sentence for each setting of a file that was changed.
    """
    args = config.get("args")
    if not isinstance(args, dict):
        return []
    notes = []
    _whole_numbers(args)
    if _alone(sources, "num_train_epochs", "max_steps") and (args.get("max_steps") or -1) > 0:
        notes.append(_instead("num_train_epochs", args, "max_steps", -1))
    if _alone(sources, "eval_steps", "eval_strategy") and args.get("eval_strategy") in (None, "no", False):
        notes.append(_instead("eval_steps", args, "eval_strategy", "steps"))
    if _alone(sources, "loss_type", "loss_weights") and args.get("loss_weights") is not None:
        notes.append(_instead("loss_type", args, "loss_weights", None))
    _best_by_objective(args, mapping(config.get("algorithm")))
    return notes


def _instead(typed: str, args: dict[str, Any], preset: str, value: Any) -> str:
    """Change a setting of a file; the sentence that says so."""
    before, args[preset] = args.get(preset), value
    shown = "null" if value is None else value
    was = "not set" if before is None else f"{before} in a config file"
    return f"args.{typed} was typed, so args.{preset} is {shown} (it was {was})"


def _alone(sources: dict[str, str], typed: str, preset: str) -> bool:
    """Whether one field was typed and the other was not."""
    return f"args.{typed}" in sources and f"args.{preset}" not in sources


def _best_by_objective(args: dict[str, Any], algorithm: dict[str, Any]) -> None:
    """The best checkpoint is the one with the best objective, unless another metric is named."""
    if not args.get("load_best_model_at_end") or args.get("metric_for_best_model"):
        return
    args["metric_for_best_model"] = algorithm.get("objective")
    if args.get("greater_is_better") is None:
        args["greater_is_better"] = algorithm.get("direction") == "maximize"


def _whole_numbers(args: dict[str, Any]) -> None:
    """1e2 is 100 where a field takes whole numbers only."""
    whole = {name: value for name, value in args.items() if isinstance(value, float) and value.is_integer()}
    definition = find(args.get("_target_")) if whole else None
    for name, value in whole.items():
        field = signature(definition).fields.get(name) if definition else None
        if field is None or field.annotation is None:
            continue
        if admits(field.annotation, 1, field.owner) and not admits(field.annotation, 1.5, field.owner):
            args[name] = int(value)
