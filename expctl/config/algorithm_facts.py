"""What `expctl list algorithm` says of an option: read from its file, and from the source of its trainer.

Nothing is composed and nothing imported, so that forty options take a fraction of a second.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from expctl.algorithms import fingerprints
from expctl.base.data_kinds import current_kind
from expctl.base.evaluation import trains
from expctl.base.modules import is_known
from expctl.base.plain_data import at, mapping, sequence, text
from expctl.config.checks.servers import NEEDS
from expctl.config.experimental import experimental_module
from expctl.config.groups import algorithm_file, group_options
from expctl.config.head_comment import first_sentence, head_comment
from expctl.config.own_checks import own_checks
from expctl.config.resumable import of_the_trainer
from expctl.config.source.lookup import ClassDefinition, Definition, find
from expctl.config.source.syntax import Function
from expctl.runs.verified import last_verdict

STABLE, CARRIED, EXPERIMENTAL, YOURS, UNREADABLE = "stable", "carried", "experimental", "yours", "unreadable"
# Of what trains nothing: nothing of it is resumed or checked against a paper.
EVALUATION = "evaluation"
STATUSES = (STABLE, CARRIED, EXPERIMENTAL, EVALUATION, YOURS, UNREADABLE)
# The keys of the facts, as filters and --json name them.
KEYS = (
    "algorithm",
    "status",
    "data",
    "exact",
    "checked",
    "paper",
    "does",
    "trainer",
    "keywords",
    "config",
    "inexact",
    "unchecked",
    "file",
)
# Parts of ours that add nothing to a method but exact resumption.
SHELLS = ("RolloutCheckpoint", "ScoredRollout", "GRPOMixin")
# libyaml's, several times faster, where there is one.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PAPER = re.compile(r"arXiv (\d{4}\.\d{4,5})")

Facts = dict[str, Any]


def algorithm_facts(config_dirs: Sequence[Path] = ()) -> list[Facts]:
    """The facts of every option of the group `algorithm`, by `KEYS`: first TRL's stable ones, then by name.

    Args:
        config_dirs: folders of --config-dir, of which the last takes precedence.
    """
    listed = [_facts(name, file, config_dirs) for name, file in group_options("algorithm", config_dirs).items()]
    return sorted(listed, key=lambda facts: (STATUSES.index(facts["status"]), facts["algorithm"]))


def _facts(name: str, file: Path, config_dirs: Sequence[Path]) -> Facts:
    facts: Facts = dict.fromkeys(KEYS) | {"algorithm": name, "file": str(file), "inexact": [], "unchecked": []}
    try:
        comment = head_comment(file)
        config = _with_parents(name, config_dirs)
    except (OSError, ValueError, yaml.YAMLError) as error:
        return facts | {"status": UNREADABLE, "does": " ".join(str(error).split())}
    paper = _PAPER.search(comment)
    trainer = mapping(at(config, "algorithm", "trainer"))
    target = text(trainer.get("_target_")) or ""
    definition = find(target, [Path.cwd()])
    facts |= {
        "data": current_kind(text(at(config, "algorithm", "kind")) or ""),
        "does": re.sub(r"\s*\(arXiv [^)]*\)", "", first_sentence(comment)),
        "trainer": target,
        "keywords": {key: value for key, value in trainer.items() if key != "_target_"},
        "config": text(at(config, "args", "_target_")),
    }
    if not trains(config):
        return facts | {"status": EVALUATION}
    args = {key: value for key, value in mapping(config.get("args")).items() if "${" not in str(value)}
    untried = _untried(target)
    inexact = [*untried, *of_the_trainer(target, args)]
    unchecked = [*untried, *_unchecked(name, target, definition)]
    return facts | {
        "status": status_of(target, definition),
        "exact": not inexact,
        "inexact": inexact,
        "checked": not unchecked,
        "unchecked": unchecked,
        "paper": paper[1] if paper else None,
    }


def status_of(target: str, definition: Definition | None) -> str:
    """Whose method a trainer is: TRL's, stable or experimental, one that expctl carries, or the user's own."""
    if not is_known(target):
        return YOURS
    if experimental_module(target):
        return EXPERIMENTAL
    ancestors = definition.lineage if definition else ()
    return CARRIED if any(_brings_something(ancestor) for ancestor in ancestors) else STABLE


def _brings_something(ancestor: Definition) -> bool:
    """Whether a class of ours changes a method; one that only makes checkpoints exact does not."""
    if not isinstance(ancestor, ClassDefinition) or not ancestor.path.startswith("expctl."):
        return False
    return ancestor.name not in SHELLS and any(isinstance(node, Function) for node in ancestor.node.body)


def _untried(target: str) -> list[str]:
    """Why no test of expctl trains it."""
    needs_server = target.startswith("trl.") and target.rpartition(".")[2] in NEEDS
    return ["it needs a server, so no test of expctl has trained or resumed it"] if needs_server else []


def _unchecked(name: str, target: str, definition: Definition | None) -> list[str]:
    """Why an algorithm does not count as checked here.

    One of the user's own counts once `expctl verify` passed. Others were tested before they were released: they count
    where upstream's code is what it was then, unless `expctl verify` found otherwise.
    """
    if not is_known(target):
        own = own_checks(name, target, definition)
        return own.unchecked() if own else [f"{target or 'its trainer'} is not found"]
    ancestors = {ancestor.path for ancestor in definition.lineage} if definition else set()
    changed = fingerprints.changes_below(ancestors) or fingerprints.other_releases(ancestors)
    failed = last_verdict(name, "")
    return [*changed, f"expctl verify {name} failed: {', '.join(failed)}"] if failed else changed


def _with_parents(name: str, config_dirs: Sequence[Path], children: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values of an option's file, laid over those of the options in its defaults, inside the group `algorithm`.

    Raises:
        ValueError: the defaults lead back to one of its `children`.
    """
    if name in children:
        raise ValueError(f"its defaults lead in a circle: {', '.join([*children, name])}")
    file = algorithm_file(name, config_dirs)
    if file is None:
        return {}
    values = _values_of(file)
    own = {key: value for key, value in values.items() if key != "defaults"}
    parents = sequence(values.get("defaults"))
    config: dict[str, Any] = {}
    for parent in parents if "_self_" in parents else [*parents, "_self_"]:
        if parent == "_self_":
            config = _laid_over(config, own)
        elif isinstance(parent, str) and not parent.startswith("/"):
            inherited = _with_parents(str(Path(name).parent / parent), config_dirs, (*children, name))
            config = _laid_over(config, inherited)
    return config


@cache
def _values_of(file: Path) -> dict[str, Any]:
    """What stands in a file, to be left as it is: many options build on the same ones."""
    return mapping(yaml.load(file.read_text(encoding="utf-8"), Loader=_SafeLoader))


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        is_node = isinstance(value, dict) and isinstance(lower, dict)
        merged[key] = _laid_over(lower, value) if is_node and lower is not None else value
    return merged
