"""`expctl new algorithm NAME [--over PARENT]`: the skeleton of a method of one's own, with its checks and its test."""

import keyword
import re
from pathlib import Path

from expctl.base.data_kinds import PREFERENCE, PROMPT_COMPLETION, PROMPT_ONLY
from expctl.base.modules import installed_file
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.cli.options import take
from expctl.cli.skeleton import skeleton
from expctl.config.algorithm_facts import CARRIED, STABLE, Facts, algorithm_facts
from expctl.config.checks.settings import lineage
from expctl.config.groups import group_options
from expctl.config.source.lookup import find

USAGE = "expctl new algorithm NAME [--over PARENT]"
PARENT = "grpo"
# What the checks of a skeleton can build on the embedded model, and have data of.
CONFIGS = {
    "trl.trainer.grpo_config.GRPOConfig",
    "trl.trainer.dpo_config.DPOConfig",
    "trl.trainer.sft_config.SFTConfig",
}
KINDS = (PROMPT_ONLY, PROMPT_COMPLETION, PREFERENCE)


def main(words: list[str]) -> int:
    """Write the files into the working folder; nothing where one of them is there already."""
    options, named = take(words, valued=("--over",), usage=USAGE)
    if len(named) != 2 or named[0] != "algorithm":
        raise Refusal("what is to be made needs a kind and a name", where="command line", do=USAGE)
    name = named[1]
    _check_name(name)
    files = skeleton(name, _parent(options.get("--over", PARENT)))
    taken = [path for path in files if Path(path).exists()]
    if taken:
        raise Refusal(f"{', '.join(taken)} exists already", where=f"{name} (command line)", do="choose another name")
    for path, content in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content, encoding="utf-8")
        print(f"wrote  {path}")
    print(f"\nexpctl algorithm={name}\nexpctl verify {name}\nexpctl list algorithm {name}")
    return 0


def _check_name(name: str) -> None:
    """Refuse what cannot name a module, or names something else already."""
    where = f"{name} (command line)"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        do = "small letters, digits and _, as in clipped_advantages"
        raise Refusal(f"'{name}' cannot be the name of a Python module", where=where, do=do)
    if name in group_options("algorithm"):
        raise Refusal(f"there is an algorithm '{name}' already", where=where, do="expctl list algorithm")
    if installed_file(name, without=[Path.cwd()]):
        what = f"'{name}' is the name of an installed module, which yours would hide"
        raise Refusal(what, where=where, do="choose another name")


def _parent(name: str) -> Facts:
    """What is known of the algorithm that the new one builds on."""
    known = {facts["algorithm"]: facts for facts in algorithm_facts() if _can_be_built_on(facts)}
    if name not in known:
        what = f"no algorithm '{name}' to build on; it can be {', '.join(known)}"
        raise Refusal(what, where=f"--over {name} (command line)", nearest=nearest(name, known), do=USAGE)
    return known[name]


def _can_be_built_on(facts: Facts) -> bool:
    """Whether a trainer needs no more than the embedded model and data, which is what its checks have."""
    plain = all(isinstance(value, bool | int | float | str) for value in facts["keywords"].values())
    ancestors = lineage(find(facts["config"]))
    return facts["status"] in (STABLE, CARRIED) and facts["data"] in KINDS and plain and bool(ancestors & CONFIGS)
