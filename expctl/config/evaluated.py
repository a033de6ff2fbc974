"""The words that evaluate a run on its own data, with its own rewards and sampling: what `expctl eval RUN` is."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.experiment import Experiment
from expctl.base.plain_data import at, leaves, mapping
from expctl.base.refusal import Refusal
from expctl.base.words import dotted_key_of
from expctl.config.groups import group_options
from expctl.config.hydra_literal import literal
from expctl.config.thinking import SAMPLES
from expctl.runs.bundle import read_config
from expctl.runs.handed_on import HandedOn

# Groups that an evaluation takes from the run.
OF_THE_DATA = ("dataset", "reward")
# Options that an evaluation has anyway.
USUAL = {"reward": "default", "generation": "transformers"}
# Fields of `args` that decide what is sampled.
SAMPLING = (
    *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_completion_length"),
    *("num_generations_eval", "per_device_eval_batch_size", "generation_kwargs", "chat_template_kwargs"),
    *("cache_implementation", "use_transformers_continuous_batching", "pad_to_multiple_of"),
)
# The same of the callback that samples for trainers which learn from given texts.
OF_THE_CALLBACK = {
    "temperature": "temperature",
    "max_completion_length": "max_completion_length",
    "batch_size": "per_device_eval_batch_size",
}
# Words that leave an evaluation the one that the run itself made.
IMMATERIAL = ("name", "force", "tracker", "hydra", "model")


def words_of(weights: HandedOn, typed: list[str], compose: Callable[[list[str]], Experiment | None]) -> list[str]:
    """The words that go before those that were typed.

    Args:
        weights: of the run.
        typed: overrides; what they set is left to them, and so is everything of a dataset where they name another.
        compose: composes words, to see what already follows from them.

    Raises:
        Refusal: the run's config cannot be read, or asks to be interpolated.
    """
    config = _config(weights)
    keys = {dotted_key_of(word) for word in typed}
    kept_groups = _groups(keys)
    words = ["algorithm=eval"]
    for group in (*kept_groups, "generation"):
        option = weights.recorded.choices.get(group)
        if option in group_options(group) and group not in keys and option != USUAL.get(group):
            words.append(f"{group}={option}")
    seed = config.get("seed")
    if isinstance(seed, int) and seed != 0 and "seed" not in keys:
        words.append(f"seed={seed}")
    given = {key: value for key, value in _wanted(config, kept_groups) if not _is_typed(key, keys)}
    if given.get("dataset.path") is not None:
        # Nothing is composed of an option of files or of the hub without it.
        words.append(_word("dataset.path", given.pop("dataset.path")))
    composed = compose([*words, f"model=run:{weights.address}"])
    have = dict(_values(composed.config)) if composed else {}
    words += [_word(key, value) for key, value in given.items() if key not in have or have[key] != value]
    states = weights.run.random_states
    is_its_own = not {key.partition(".")[0] for key in keys} - set(IMMATERIAL)
    if not weights.which and is_its_own and states.is_file() and config["algorithm"].get("kind") == PROMPT_ONLY:
        words.append(_word("algorithm.trainer.random_states", _shown(states)))
    return words


def _shown(file: Path) -> str:
    """The path from the working folder where it lies in that."""
    here = Path.cwd().resolve()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


def _config(weights: HandedOn) -> dict[str, Any]:
    try:
        config = mapping(read_config(weights.run))
    except (OSError, ValueError):
        config = {}
    if not all(isinstance(config.get(name), dict) for name in ("algorithm", "args", "dataset", "reward")):
        raise Refusal(f"the config.yaml of {weights.run.run_id} cannot be read", where=str(weights.run.config))
    return config


def _groups(keys: set[str]) -> tuple[str, ...]:
    """Those groups that are taken from the run: another dataset brings its own reward and lengths."""
    if "dataset" in keys:
        return ()
    return tuple(group for group in OF_THE_DATA if group not in keys)


def _wanted(config: dict[str, Any], groups: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Dotted key -> value of the run that its evaluation is to have."""
    for group in groups:
        for key, value in leaves(config[group], group):
            if key not in ("dataset.kind", "dataset._target_") and value != {}:
                yield key, value
    args = config["args"] | _of_the_callback(config)
    names = [name for name in SAMPLING if "dataset" in groups or name != "max_completion_length"]
    for name in names:
        if args.get(name) is not None:
            yield f"args.{name}", args[name]
    threads = at(config, "hardware", "threads")
    if threads is not None:
        yield "hardware.threads", threads


def _of_the_callback(config: dict[str, Any]) -> dict[str, Any]:
    for node in mapping(config.get("callbacks")).values():
        if at(node, "_target_") == SAMPLES:
            return {ours: node[its] for its, ours in OF_THE_CALLBACK.items() if its in node}
    return {}


def _values(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value by its dotted key; of `args` as they are, whatever is below."""
    for name, node in config.items():
        if name == "args":
            yield from ((f"args.{field}", value) for field, value in node.items())
        elif isinstance(node, dict):
            yield from leaves(node, name)


def _is_typed(key: str, keys: set[str]) -> bool:
    """Whether a word sets a key, or something that it follows from."""
    if key == "args.max_completion_length" and "dataset.max_completion_length" in keys:
        return True
    return any(key == typed or key.startswith(f"{typed}.") for typed in keys - set(OF_THE_DATA))


def _word(key: str, value: Any) -> str:
    """What sets the key to the value. Raises Refusal for a text that would be interpolated."""
    if "${" in str(value):
        raise Refusal(f"the run's {key} is an interpolation, {value!r}", do=f"type {key.partition('.')[0]}=...")
    return f"{key}={literal(value)}"
