"""What the rows of a dataset consist of, by the names of TRL's dataset types, and how expctl 0.1 spelled them."""

from typing import Any

PROMPT_ONLY = "prompt-only"
PROMPT_COMPLETION = "prompt-completion"
PREFERENCE = "preference"
UNPAIRED_PREFERENCE = "unpaired-preference"
STEPWISE = "stepwise"
# What TRL calls language modeling: whole conversations, or plain texts, all of which may be trained on.
MESSAGES = "messages"
TEXT = "text"
# A pair, and beside it a completion that is known to be good.
TRIPLE_PREFERENCE = "triple-preference"
# A prompt, and what only the teacher of a model that teaches itself is told: a solution, a demonstration.
PRIVILEGED = "privileged-context"
# No rows: the tasks of a harness, which only an evaluation takes.
BENCHMARKS = "benchmarks"

# Columns of each kind. The prompt of preferences may be what `chosen` and `rejected` begin with.
COLUMNS = {
    PROMPT_ONLY: ("prompt",),
    PROMPT_COMPLETION: ("prompt", "completion"),
    PREFERENCE: ("prompt", "chosen", "rejected"),
    UNPAIRED_PREFERENCE: ("prompt", "completion", "label"),
    STEPWISE: ("prompt", "completions", "labels"),
    MESSAGES: ("messages",),
    TEXT: ("text",),
    TRIPLE_PREFERENCE: ("prompt", "chosen", "rejected", "reference"),
    PRIVILEGED: ("prompt", "privileged_context"),
    BENCHMARKS: (),
}

OLD_SPELLINGS = {"prompts": PROMPT_ONLY, "completions": PROMPT_COMPLETION, "preferences": PREFERENCE}

# The keys of an experiment that name one.
KIND_KEYS = ("algorithm.kind", "dataset.kind")

# Groups whose key `kind` is one, wherever they stand in a config.
_GROUPS = ("algorithm", "dataset")


def current_kind(kind: str) -> str:
    """A kind in today's spelling; what is no kind stays as it is."""
    return OLD_SPELLINGS.get(kind, kind)


def with_current_kinds(config: dict[str, Any]) -> dict[str, Any]:
    """A config, of this version or of expctl 0.1, with its kinds in today's spelling."""
    current: dict[str, Any] = {}
    for key, node in config.items():
        current[key] = with_current_kinds(node) if isinstance(node, dict) else node
        if key in _GROUPS and isinstance(node, dict) and isinstance(node.get("kind"), str):
            current[key]["kind"] = current_kind(node["kind"])
    return current
