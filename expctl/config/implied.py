"""Typed settings take precedence over settings of a file that contradict them."""

import math
from typing import Any

from expctl.base.plain_data import is_number, mapping
from expctl.config.source.annotation import admits
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature

# Which checkpoint is the best follows, where nothing else is said, from these keys of the algorithm.
BEST = {"metric_for_best_model": "objective", "greater_is_better": "direction"}


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
    if _alone(sources, "do_eval", "eval_strategy") and not args.get("do_eval") and _evaluates(args):
        notes.append(_instead("do_eval", args, "eval_strategy", "no"))
    if _alone(sources, "eval_strategy", "save_strategy") and args.get("eval_strategy") == "epoch" and _best(args):
        notes.append(_instead("eval_strategy", args, "save_strategy", "epoch"))
    notes += _best_where_it_is_saved(args, sources)
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


def _evaluates(args: dict[str, Any]) -> bool:
    return args.get("eval_strategy") not in (None, "no", False)


def _best(args: dict[str, Any]) -> bool:
    return bool(args.get("load_best_model_at_end"))


def _best_where_it_is_saved(args: dict[str, Any], sources: dict[str, str]) -> list[str]:
    """The last checkpoint is the result where a file asks for the best one and evaluations fall on no checkpoints."""
    if not _best(args) or "args.load_best_model_at_end" in sources:
        return []
    evaluated, saved = args.get("eval_strategy"), args.get("save_strategy")
    if not _evaluates(args):
        why = "nothing is evaluated in between"
    elif saved not in (evaluated, "best"):
        why = f"args.save_strategy is {saved} and args.eval_strategy {evaluated}"
    elif evaluated == saved == "steps" and not _is_multiple(args.get("save_steps"), args.get("eval_steps")):
        why = f"args.save_steps={args.get('save_steps')} is no multiple of args.eval_steps={args.get('eval_steps')}"
    else:
        return []
    args["load_best_model_at_end"] = False
    return [f"the model is the last one and not the best: {why}"]


def _is_multiple(saved: Any, evaluated: Any) -> bool:
    """Whether an evaluation falls on each checkpoint; a rhythm that is no number is left to the checks."""
    if not is_number(saved) or not is_number(evaluated) or evaluated <= 0:
        return True
    return math.isclose(saved / evaluated, round(saved / evaluated)) and (saved < 1) == (evaluated < 1)


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
