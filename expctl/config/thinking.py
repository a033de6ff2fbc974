"""`model.thinking`: whether a model that can think does, told to its chat template by each trainer's own way.

Qwen3's template, and those that follow it, have the switch `enable_thinking`. A trainer that renders prompts itself
takes it as `args.chat_template_kwargs`; for the others the worker writes it beside each row (`expctl.worker.build`).
"""

from pathlib import Path
from typing import Any

from expctl.base.plain_data import mapping
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature

SWITCH = "enable_thinking"
FIELD = "chat_template_kwargs"
# The callback that samples completions beside trainers which do not.
SAMPLES = "expctl.worker.completions.EvaluateCompletions"


def tell_trainer(config: dict[str, Any], search: list[Path]) -> None:
    """Write `model.thinking` into `args.chat_template_kwargs`, where the trainer has it.

    Args:
        config: the resolved root config, which is changed. What `args` says itself is left as it is.
        search: folders of the user's own code.
    """
    args, thinking = mapping(config.get("args")), mapping(config.get("model")).get("thinking")
    if thinking is None:
        return
    for node in mapping(config.get("callbacks")).values():
        if mapping(node).get("_target_") == SAMPLES:
            node.setdefault("template_options", {SWITCH: thinking})
    definition = find(args.get("_target_"), search)
    if definition is None or FIELD not in signature(definition).known:
        return
    options = args.get(FIELD)
    if options is None or isinstance(options, dict):
        args[FIELD] = {SWITCH: thinking} | (options or {})
