"""The errors of Hydra and OmegaConf as refusals: what, where, the nearest right name, what to do."""

import errno
import re
import traceback
from pathlib import Path

import yaml
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from expctl.base.plain_data import at, mapping
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.base.words import dotted_key_of, key_of
from expctl.config.extras import PRESETS, missing
from expctl.config.groups import groups
from expctl.config.locate import own_conf
from expctl.config.path_as_option import path_as_option
from expctl.config.removed import removed_option
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature
from expctl.config.sweep_plugins import INSTEAD, plugin_refusal

# Key of the group `generation` -> the option that has it, where it is not vllm_server.
GENERATION_OPTIONS = {
    "generation.compact": "compact",
    "generation.dtype": "vllm",
    "generation.enforce_eager": "vllm",
}

# Group that only others are made of -> who does not ask for it, and what to type.
ASKED = {
    "reward_model": ("reward model, and no reward", "reward=model {word}"),
    "judge": ("judge, and no reward", "reward=judge {word}"),
    "teacher": ("teacher, and no algorithm", "algorithm=distillation, gkd, gold or iw_opd"),
    "reference": ("reference, and nothing", "reference=local {word}"),
}
# Key that has to be set -> a value of it.
EXAMPLES = {
    "dataset.tasks": "dataset.tasks=[gsm8k,arc_easy]: names of lm-eval's tasks, groups or tags",
    "judge.url": "judge.url=http://localhost:8000/v1 judge.model=<its name there>: any server of OpenAI's style, "
    "such as `vllm serve <model>`",
    "judge.model": "judge.model=<the name that the server at judge.url knows>",
    "reference.path": "reference.path=<folder or hub id>",
    "reward_model.path": "reward_model.path=<folder or hub id>, or reward_model=tiny to try it",
}


def _asked_by(key: str, typed: list[str]) -> str:
    """The word that chose the option whose key has to be set; the key alone where no word did."""
    chosen = [word for word in typed if dotted_key_of(word) == key.split(".")[0]]
    return f"{chosen[-1]} (command line)" if chosen else key


def as_refusal(error: Exception, typed: list[str]) -> Refusal | None:
    """The refusal for an error of composition; None for any other error.

    Args:
        error: what Hydra, OmegaConf or YAML raised.
        typed: the overrides of the command line.
    """
    if isinstance(error, MissingConfigException):
        return _unknown_option(error, typed)
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if isinstance(error, ConfigCompositionException):
        return _composition_refusal(error, typed)
    if isinstance(error, MissingMandatoryValue):
        key = error.full_key or str(error)
        do = EXAMPLES.get(key, f"set it: expctl ... {key}=VALUE")
        return Refusal(f"'{key}' has no value yet", where=_asked_by(key, typed), do=do)
    if isinstance(error, OmegaConfBaseException):
        return Refusal(_first_line(error), where=_interpolated(error, typed))
    if isinstance(error, yaml.YAMLError):
        mark = getattr(error, "problem_mark", None)
        where = f"{mark.name}, line {mark.line + 1}" if mark else ""
        return Refusal(f"not valid YAML: {getattr(error, 'problem', error)}", where=where)
    if isinstance(error, ValueError) and "Config group override must be" in str(error):
        return _no_option(typed)
    if isinstance(error, HydraException):
        return Refusal(_first_line(error), where="command line")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        longest = max(typed, key=len, default="")
        return Refusal("a name is too long to be one of a config group", where=f"{longest[:60]}... (command line)")
    if _raised_in(error, ("hydra", "omegaconf", "antlr4")):
        return Refusal(f"Hydra: {_first_line(error)}", where="command line", do="expctl --hydra-help")
    return None


def _interpolated(error: OmegaConfBaseException, typed: list[str]) -> str:
    """The word that holds the interpolation that failed, else the key, else the files."""
    name = re.search(r"Interpolation key '([^']+)'", str(error))
    word = next((word for word in typed if name and f"${{{name[1]}" in word), None)
    if word:
        return f"{word} (command line)"
    return getattr(error, "full_key", None) or "the config files"


def _raised_in(error: Exception, packages: tuple[str, ...]) -> bool:
    """Whether it was one of these packages that raised the error."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(package in Path(frames[-1].filename).parts for package in packages)


def _unknown_option(error: MissingConfigException, typed: list[str]) -> Refusal:
    extra = PRESETS.get(error.missing_cfg_file or "")
    if extra:
        return missing(extra, f"hydra/launcher={extra}")
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    options = [name for name in error.options or [] if not name.startswith("_")]
    if not group:
        return Refusal(f"no config '{error.missing_cfg_file}'", where="command line", do="expctl list")
    path_refusal = path_as_option(group, option, typed)
    if path_refusal:
        return path_refusal
    word = next((word for word in typed if word.lstrip("+").startswith(f"{group}=")), None)
    where = f"{word} (command line)" if word else f"{group}={option}"
    if group == "algorithm" and (removed := removed_option(option, where)):
        return removed
    for plugin, instead in INSTEAD.items():
        if group == f"hydra/{plugin}" and option in instead:
            return plugin_refusal(plugin, option, where)
        if group == f"hydra/{plugin}":
            options = [name for name in options if name not in instead]
    return Refusal(
        f"no option '{option}' in group '{group}'; it has {', '.join(options)}",
        where=where,
        nearest=nearest(option, options),
        do=f"expctl list {group}",
    )


def _no_option(typed: list[str]) -> Refusal:
    """A group was set to something that is no name of an option, such as null."""
    known = groups()
    word = next((word for word in typed if key_of(word) in known), None)
    if word is None:
        return Refusal("a config group needs the name of an option", where=" ".join(typed) + " (command line)")
    group = key_of(word)
    what = f"the group '{group}' needs the name of an option"
    return Refusal(what, where=f"{word} (command line)", do=f"expctl list {group}")


def _composition_refusal(error: ConfigCompositionException, typed: list[str]) -> Refusal:
    """What is wrong with a word whose key or value Hydra could not lay over the config."""
    message, cause = str(error), error.__cause__
    quoted = re.search(r"override '([^']+)'", message)
    key = getattr(cause, "full_key", None) or (quoted[1] if quoted else None)
    if message.startswith("Ambiguous value"):
        return Refusal(
            _first_line(error).replace("Ambiguous value for argument", "several values in"),
            where="command line",
            do="a sweep needs -m (expctl -m ...); a list is written key=[value1,value2]",
        )
    if "hydra.launcher.fail_fast" in (key, f"hydra.launcher.{key}"):
        return Refusal(
            "fail_fast is for cells on this machine; a scheduler's run to their end",
            where="fail_fast (command line), hydra/launcher",
            do="leave fail_fast out, or hydra/launcher=pool",
        )
    if isinstance(cause, OmegaConfBaseException) and "is not in struct" not in str(cause):
        return Refusal(_first_line(cause), where=str(key or message.splitlines()[0]))
    if key is None:
        return Refusal(_first_line(error), where="command line")
    return _unknown_key(key, typed)


def _unreadable(word: str) -> Refusal:
    key, _, value = word.partition("=")
    do = "write key=value; quote for the shell what holds spaces, commas or brackets: 'key=[1,2]'"
    if value.startswith("~/"):  # Hydra's grammar has no ~ in a plain value, and no shell expands it behind a key
        do = f"quote it for Hydra, '{key}=\"{value}\"', or write {key}=$HOME{value[1:]}"
    return Refusal(f"cannot read the override '{word}'", where="command line", do=do)


def _unknown_key(key: str, typed: list[str]) -> Refusal:
    word = next((word for word in typed if key_of(word).startswith(key)), key)
    table, _, rows = key.rpartition("/")
    if table and key in groups():
        what = f"'{key}' has the rows of a table that is not chosen"
        return Refusal(what, where=f"{word} (command line)", do=f"expctl {table}={rows} {word} ...")
    name = key_of(word)
    if word.startswith("generation.") and name.rpartition(".")[2] in known_keys(name):
        option = GENERATION_OPTIONS.get(name, "vllm_server")
        what = f"'{name}' is a setting of generation={option}, which is not chosen"
        return Refusal(what, where=f"{word} (command line)", do=f"generation={option} {word}")
    if word.startswith("generation."):  # misspelt, of which Hydra names only the group where none is chosen
        key = name
    asked = next((group for group in ASKED if word.startswith(f"{group}.")), None)
    if asked is not None:
        who, choose = ASKED[asked]
        what = f"'{key_of(word)}' is a setting of a {who} asks one"
        return Refusal(what, where=f"{word} (command line)", do=choose.format(word=word))
    # Close names beside the key, and of a key without a group those inside of groups.
    candidates = _below_groups() if "." not in key else {}
    candidates |= {name: name for name in known_keys(key)}
    close = nearest(key.rpartition(".")[2], candidates)
    return Refusal(
        f"no key '{key}'",
        where=f"{word} (command line)",
        nearest=[candidates[name] for name in close],
        do="expctl --cfg job shows every key; expctl list shows the groups",
    )


def known_keys(key: str) -> list[str]:
    """The keys beside `key`, read from the config files without composing again."""
    parent = key.rpartition(".")[0]
    if not parent:
        return sorted({*groups(), "args", "seed", "name", "force"})
    top, *rest = parent.split(".")
    names: set[object] = set()
    for file in (own_conf() / top).glob("*.yaml"):
        node = mapping(yaml.safe_load(file.read_text()))
        names |= set(mapping(at(node.get(top, node), *rest)))
    return sorted(name for name in names if isinstance(name, str) and name != "defaults")


def _below_groups() -> dict[str, str]:
    """Name -> key of what lies in a group (`learning_rate` -> `args.learning_rate`), and of the fields of trainers."""
    config_class = find("trl.GRPOConfig")
    fields = list(signature(config_class).parameters) if config_class else []
    # Where two groups have a name the later one counts: devices and formats are hardware's, learning rates of args.
    names = {"algorithm": known_keys("algorithm."), "args": fields}
    names |= {group: known_keys(f"{group}.") for group in ("hardware", "model", "dataset")}
    return {name: f"{group}.{name}" for group, below in names.items() for name in below if not name.startswith("_")}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
