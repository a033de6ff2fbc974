"""`model.thinking`: whether a model that can think does, told to its chat template by each trainer's own way.

Qwen3's template, and those that follow it, have the switch `enable_thinking`. A trainer that renders prompts itself
takes it as `args.chat_template_kwargs`; for the others the worker writes it beside each row (`expctl.worker.build`).
"""

from pathlib import Path
from typing import Any

from expctl.base.plain_data import mapping
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature

THINKING, SWITCH = "model.thinking", "enable_thinking"
FIELD = "chat_template_kwargs"
# The callback that samples completions beside trainers which do not.
SAMPLES = "expctl.worker.completions.EvaluateCompletions"


def tell_trainer(config: dict[str, Any], search: list[Path]) -> dict[str, str]:
    """Write `model.thinking` into `args.chat_template_kwargs`, where the trainer has it.

    Args:
        config: the resolved root config, which is changed. What `args` says itself is left as it is.
        search: folders of the user's own code.

    Returns:
        Dotted key that was written -> what it follows from.
    """
    args, thinking = mapping(config.get("args")), mapping(config.get("model")).get("thinking")
    if thinking is None:
        return {}
    source, written = f"{THINKING}={str(thinking).lower()}", {}
    for name, node in mapping(config.get("callbacks")).items():
        if mapping(node).get("_target_") == SAMPLES and "template_options" not in node:
            node["template_options"] = {SWITCH: thinking}
            written[f"callbacks.{name}.template_options.{SWITCH}"] = source
    definition = find(args.get("_target_"), search)
    if definition is None or FIELD not in signature(definition).known:
        return written
    options = args.get(FIELD)
    if options is None or (isinstance(options, dict) and SWITCH not in options):
        args[FIELD] = {SWITCH: thinking} | (options or {})
        written[f"args.{FIELD}.{SWITCH}"] = source
    return written
