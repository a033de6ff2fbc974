"""`expctl explain KEY [overrides]`: which file or word set a key, over what, and what the key means."""

import shlex
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.plain_data import leaves
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.cli.hydra_app import compose_traced, is_multirun
from expctl.config.batch_request import PROMPTS
from expctl.config.frozen import is_composition_only
from expctl.config.groups import group_options, groups
from expctl.config.key_docs import KeyDoc, key_doc, keywords, target_above
from expctl.config.origin import COMMAND_LINE, Origins, Setting, origins_of
from expctl.config.thinking import THINKING
from expctl.runs.filters import text_of

USAGE = "expctl explain KEY [overrides], for example expctl explain args.learning_rate algorithm=grpo"
ROW = "  {:<8} {}"


def main(words: list[str]) -> int:
    """Explain one key of the experiment that the other words describe."""
    keys = [word for word in words if _is_key(word, words)]
    if len(keys) != 1 or is_multirun(words):
        typed = shlex.join(["explain", *words])
        raise Refusal("explain takes one key of one experiment", where=f"{typed} (command line)", do=USAGE)
    key = keys[0].replace("/", ".") if not group_options(keys[0]) else keys[0]
    rest = [word for word in words if word != keys[0]]
    composition = compose_traced(rest)
    if composition is not None:
        explain(key, composition.experiment, origins_of(composition.loader, composition.hydra))
    return 0


def _is_key(word: str, words: list[str]) -> bool:
    before = words[words.index(word) - 1] if words.index(word) else ""
    return "=" not in word and not word.startswith(("-", "~")) and before not in ("--config-dir", "-cd")


def explain(key: str, experiment: Experiment, traced: Origins) -> None:
    """Print the value of a key, what set it, over what, and what it means.

    Raises:
        Refusal: there is no such key, and no `_target_` takes one.
    """
    values = {name: traced.resolved(name) for name in traced.keys if is_composition_only(name)}
    values |= dict(leaves(experiment.config))
    below = {name: value for name, value in values.items() if name.startswith(f"{key.replace('/', '.')}.")}
    target = target_above(experiment.config, key)
    doc = key_doc(target, key.rpartition(".")[2], experiment.code_folders) if target else None
    if key in experiment.choices:
        _print_choice(key, experiment.choices[key], traced, experiment.sources.get(key))
    if key in values:
        _print_value(key, values[key], traced, doc, experiment.locations.get(key, ""))
    elif below:
        _print_table(below, traced)
    elif doc:
        followed = experiment.locations.get(key, "").startswith(PROMPTS)
        where = experiment.locations[key] if followed else f"nothing: the default of {doc.target}"
        print(f"{key} = {doc.default}\n" + ROW.format("set by", where))
        _print_doc(doc)
    elif key in groups() and key not in experiment.choices:
        print(f"{key} = null\n" + ROW.format("options", ", ".join(group_options(key))))
    elif key not in experiment.choices:
        raise _unknown(key, experiment, values, target)


def source_of(settings: list[Setting]) -> str:
    """What set a value last, in one line."""
    return settings[-1].where if settings else "computed"


def _print_choice(group: str, option: str, traced: Origins, typed: str | None) -> None:
    print(f"{group} = {option}")
    word = typed or f"{group}={option} ({COMMAND_LINE})"
    by = traced.groups.get(group, "")
    print(ROW.format("set by", word if by == COMMAND_LINE else by or "computed"))
    file = group_options(group).get(option)
    if file:
        print(ROW.format("file", file))


def _print_value(key: str, value: Any, traced: Origins, doc: KeyDoc | None, location: str) -> None:
    print(f"{key} = {text_of(value)}")
    settings = traced.of(key)
    if location.startswith((PROMPTS, THINKING)):
        settings = [*settings, Setting(value, location)]
    *earlier, last = settings or [Setting(value, location or "computed")]
    written = f"{text_of(last.value)}, " if _is_reference(last.value) else ""
    print(ROW.format("set by", f"{written}{last.where}"))
    for setting in reversed(earlier):
        print(ROW.format("over", f"{text_of(setting.value)}, {setting.where}"))
    if doc and doc.default is not None:
        print(ROW.format("over", f"{doc.default}, the default of {doc.target}"))
    for name in traced.followed(last.value):
        *earlier, last = traced.of(name)
        print(ROW.format("from", f"{name} = {text_of(last.value)}, {last.where}"))
        for setting in reversed(earlier):
            print(ROW.format("", f"over {text_of(setting.value)}, {setting.where}"))
    if doc:
        _print_doc(doc)


def _print_doc(doc: KeyDoc) -> None:
    for label, text in (("type", doc.annotation), ("means", doc.sentence), ("source", doc.where)):
        if text:
            print(ROW.format(label, text))


def _print_table(values: dict[str, Any], traced: Origins) -> None:
    keys = max(map(len, values))
    texts = {key: text_of(value) for key, value in values.items()}
    width = min(40, max(map(len, texts.values())))
    for key, text in texts.items():
        print(f"{key:<{keys}}  {text:<{width}}  {source_of(traced.of(key))}")


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def _unknown(key: str, experiment: Experiment, values: dict[str, Any], target: str | None) -> Refusal:
    parent, _, last = key.rpartition(".")
    beside = [name.rpartition(".")[2] for name in values if name.rpartition(".")[0] == parent]
    beside += keywords(target, experiment.code_folders) if target else []
    close = [f"{parent}.{name}" if parent else name for name in nearest(last, beside)]
    args = experiment.config["args"].get("_target_")
    everywhere = {*values, *experiment.choices, *(f"args.{name}" for name in keywords(args, experiment.code_folders))}
    ending = sorted(name for name in everywhere if name.rpartition(".")[2] == last and name != key)
    what = f"no key '{key}'" + (f" and no keyword of {target}" if target else "")
    return Refusal(
        what,
        where=f"{key} (command line)",
        nearest=(close or ending or nearest(key, everywhere))[:4],
        do="expctl --cfg job shows every key that is set",
    )
