"""The length of a sampled completion against the positions of the model."""

from pathlib import Path
from typing import Any

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping
from expctl.base.refusal import Refusal
from expctl.config.source.defaults import FieldValues
from expctl.config.thinking import SAMPLES
from expctl.models.files import config_of
from expctl.models.locations import folder_of

# Names of the number of positions in config.json: of nearly all models, and of GPT-2 and GPT-J.
POSITIONS = ("max_position_embeddings", "n_positions")


def check_positions(experiment: Experiment) -> list[Refusal]:
    """Refuse completions that leave no position for a prompt; the worker knows the prompts and looks again."""
    path, folder = experiment.config["model"]["path"], folder_of(experiment.config["model"])
    positions = positions_of(folder) if folder else None
    if positions is None:
        return []
    return [
        Refusal(
            f"{key} is {tokens} tokens, and {path} has {positions} positions for a prompt and its completion",
            where=experiment.set_by(key),
            do=f"a smaller {key}, or a model with more positions",
        )
        for key, tokens in _completions(experiment).items()
        if isinstance(tokens, int) and tokens >= positions
    ]


def _completions(experiment: Experiment) -> dict[str, Any]:
    """Dotted key -> the tokens that a sampled completion may have."""
    lengths = {}
    if experiment.config["algorithm"]["kind"] == PROMPT_ONLY:
        args = FieldValues(experiment.config["args"], experiment.code_folders)
        lengths["args.max_completion_length"] = args["max_completion_length"]
    for name, node in experiment.config["callbacks"].items():
        if mapping(node).get("_target_") == SAMPLES:
            lengths[f"callbacks.{name}.max_completion_length"] = node.get("max_completion_length")
    return lengths


def positions_of(folder: Path) -> int | None:
    """The positions that config.json states for the model or for its part for text; None where it has none."""
    config = config_of(folder)
    stated = [mapping(part).get(name) for part in (config.get("text_config"), config) for name in POSITIONS]
    return next((number for number in stated if isinstance(number, int)), None)
