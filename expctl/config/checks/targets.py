"""Which dotted paths a config may instantiate, and with which keywords; decided from source, before any import."""

import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.modules import find_module, installed_file
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.config.checks.fields import HYDRA_KEYS, WhereSet, check_value
from expctl.config.removed import removed_target
from expctl.config.source.lookup import ClassDefinition, Definition, FunctionDefinition, Missing, find, locate
from expctl.config.source.signature import signature
from expctl.data.parts import weight_of
from expctl.data.streamed import INSTEAD, NOT_STREAMED

ALLOWED = ("expctl", "trl", "transformers", "peft", "torch.optim", "datasets", "accelerate")
# Parts of the allowed packages that start processes or run code that they fetched or unpickled.
MACHINERY = {
    "_dill",
    "cli",
    "commands",
    "dynamic_module_utils",
    "launch",
    "launchers",
    "scripts",
    "test_utils",
    "testing_utils",
}
LOADERS = {
    "accelerate.utils.other.load",
    "peft.utils.save_and_load.torch_load",
    "transformers.modeling_utils.load_state_dict",
    "transformers.utils.import_utils.direct_transformers_import",
}
# Keys beside a `_target_` that are not for it.
NOT_KEYWORDS = {"dataset": {"reward", "eval_sets", "filter_tokens"}}
# Hydra's own keywords, and the type of each.
HYDRA_KEYWORDS: dict[str, type] = {"_partial_": bool, "_recursive_": bool, "_args_": list, "_convert_": str}


def check_targets(experiment: Experiment) -> list[Refusal]:
    """Refuse what `check_nodes` refuses in the config of an experiment."""
    return check_nodes(experiment.config, experiment.code_folders, experiment.set_by)


def check_nodes(config: dict[str, Any], search: Iterable[Path] = (), where_set: WhereSet = str) -> list[Refusal]:
    """Refuse `_target_`s, at any depth, that are not permitted or lead nowhere, and keywords that they do not take.

    A target has to lead to a class or function inside `ALLOWED`, inside a module of the user's own, or inside a prefix
    that the environment variable EXPCTL_ALLOW names (comma separated). The fields of the root key `args` are left to
    `check_fields`; keywords given only at run time are not in a config, so none is asked for.

    Args:
        config: the resolved config, plain containers.
        search: folders whose modules are the user's own code, as a rule the working folder.
        where_set: what set a dotted key, for the refusals.
    """
    folders = tuple(folder.resolve() for folder in search)
    refusals = []
    for key, node in _targets(config):
        try:
            definition = resolve(node["_target_"], folders, where_set(f"{key}._target_"))
        except Refusal as refusal:
            refusals.append(refusal)
            continue
        if definition and key != "args":
            refusals += _check_keywords(key, node, definition, where_set)
    return refusals


def resolve(target: object, search: tuple[Path, ...] = (), where: str = "_target_") -> Definition | None:
    """The definition that a permitted target leads to; None inside EXPCTL_ALLOW where its source cannot tell.

    Raises:
        Refusal: the target is not permitted, or not found.
    """
    path, first = _checked_path(target, where)
    problem = _shadowed(first, search)
    if problem:
        raise Refusal(problem, where=where, do="rename the file; its name is taken")
    if not _permitted(path, search):
        raise Refusal(
            f"_target_ {path} is outside the allowed packages",
            where=where,
            nearest=_similar_paths(path, search),
            do=f"take it from {', '.join(ALLOWED)} or a module in the working folder, or set EXPCTL_ALLOW={first}",
        )
    try:
        located = locate(path, search)
    except SyntaxError as error:
        what = f"_target_ {path}: {error.filename}, line {error.lineno}: {error.msg}"
        raise Refusal(what, where=where, do="correct the file") from error
    reached = located.reached if isinstance(located, Missing) else located.path
    if reached and not _permitted(reached, search):
        raise Refusal(
            f"_target_ {path} leads out of the allowed packages, to {_destination(located)}",
            where=where,
            do="name a class or function where it is defined",
        )
    is_trusted = _under(path, _allowed_by_environment())
    if isinstance(located, Missing):
        if is_trusted:
            return None
        raise removed_target(path, where) or _not_found(path, located, where)
    if not is_trusted and not _is_own(located.path, search):
        _check_use(path, located, where)
    return located


def _targets(node: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with a `_target_` and its dotted key."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield key, node
        for name, child in node.items():
            yield from _targets(child, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list | tuple):
        for position, child in enumerate(node):
            yield from _targets(child, f"{key}[{position}]")


def _checked_path(target: object, where: str) -> tuple[str, str]:
    """The target as a dotted path, and its first part. Raises Refusal where it is none."""
    parts = target.split(".") if isinstance(target, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        bare = parts[0] if len(parts) == 1 else ""
        known = (f"{package}.{bare}" for package in ALLOWED if bare and find(f"{package}.{bare}"))
        what = f"_target_ {target} is no dotted path"
        raise Refusal(what, where=where, nearest=islice(known, 1), do="write package.module.Name")
    if any(part.startswith("__") for part in parts):
        raise Refusal(f"_target_ {target} reaches into Python's internals", where=where, do="name a class or function")
    return ".".join(parts), parts[0]


def _check_use(path: str, definition: Definition, where: str) -> None:
    """Raise Refusal for what is permitted by its path and no part of a training."""
    if not isinstance(definition, ClassDefinition | FunctionDefinition):
        raise Refusal(f"_target_ {path} is neither class nor function", where=where, do="name one that is")
    if definition.path in LOADERS or not MACHINERY.isdisjoint(definition.module.name.split(".")):
        raise Refusal(f"_target_ {path} runs other code than a training", where=where, do="name another target")


def _shadowed(name: str, search: tuple[Path, ...]) -> str:
    """What a module of the user's own hides, where it has the name of an installed or standard one."""
    module = find_module(name, search)
    if name == "expctl" or not (module and module.file and _in_search(module.file, search)):
        return ""
    installed = installed_file(name, without=[folder.resolve() for folder in search])
    is_hidden = installed is not None and installed != module.file.resolve()
    is_taken = name in sys.stdlib_module_names or name in {prefix.partition(".")[0] for prefix in ALLOWED}
    return f"{module.file} hides the installed {name}" if is_taken or is_hidden else ""


def _permitted(path: str, search: tuple[Path, ...]) -> bool:
    return _under(path, (*ALLOWED, *_allowed_by_environment())) or _is_own(path, search)


def _is_own(path: str, search: tuple[Path, ...]) -> bool:
    """Whether the module is a file or package of the user's own, in a folder of `search`."""
    first = path.partition(".")[0]
    module = find_module(first, search)
    return module is not None and _in_search(module.file or module.folder, search) and not _shadowed(first, search)


def _similar_paths(target: str, search: tuple[Path, ...]) -> list[str]:
    """The same path under an allowed name like its first one, where it leads somewhere."""
    first, _, rest = target.partition(".")
    own = [file.stem for folder in search for file in folder.glob("*.py")]
    paths = [f"{name}.{rest}" for name in nearest(first, [*ALLOWED, *own])]
    return [path for path in paths if find(path, search)]


def _in_search(file: Path | None, search: tuple[Path, ...]) -> bool:
    return file is not None and any(file.parent in (folder, folder / file.parent.name) for folder in search)


def _allowed_by_environment() -> tuple[str, ...]:
    prefixes = os.environ.get("EXPCTL_ALLOW", "").split(",")
    return tuple(filter(None, (prefix.strip(" .") for prefix in prefixes)))


def _under(path: str, prefixes: Iterable[str]) -> bool:
    return any(f"{path}.".startswith(f"{prefix}.") for prefix in prefixes)


def _destination(located: Definition | Missing) -> str:
    return located.path if isinstance(located, Definition) else f"{located.reached}.{located.name}".rstrip(".")


def _not_found(target: str, missing: Missing, where: str) -> Refusal:
    if not missing.name:
        return Refusal(f"_target_ {target} is a module", where=where, do="name a class or function in it")
    if not missing.reached:
        return Refusal(f"_target_ {target}: {missing.name} is not installed", where=where, do="install it")
    if missing.name in missing.known:
        what = f"_target_ {target}: {missing.reached} takes {missing.name!r} from outside the allowed packages"
        return Refusal(what, where=where, do="name a class or function where it is defined")
    close = nearest(missing.name, [name for name in missing.known if not name.startswith("__")])
    return Refusal(
        f"_target_ {target}: {missing.reached} has no {missing.name!r}",
        where=where,
        nearest=[f"{missing.reached}.{name}" for name in close],
        do="name a class or function that exists",
    )


def _check_keywords(above: str, node: dict[str, Any], definition: Definition, where_set: WhereSet) -> list[Refusal]:
    """Refuse keywords that the definition does not take, and values that it cannot take."""
    takes = signature(definition)
    refusals = []
    for name, value in node.items():
        if name == "_target_" or name in NOT_KEYWORDS.get(above, ()):
            continue
        key = f"{above}.{name}" if above else name
        if name in HYDRA_KEYWORDS:
            refusal = _check_hydra_keyword(name, value, key, where_set)
        elif name in takes.parameters:
            refusal = check_value(takes.parameters[name], key, value, where_set)
        elif takes.accepts_any and not (name.startswith("_") and name.endswith("_")):
            refusal = None
        else:
            refusal = _unknown(name, key, node["_target_"], definition, where_set)
        if refusal:
            refusals.append(refusal)
    return refusals


def _check_hydra_keyword(name: str, value: object, key: str, where_set: WhereSet) -> Refusal | None:
    kind = HYDRA_KEYWORDS[name]
    if isinstance(value, kind):
        return None
    what = f"{key} is Hydra's own and takes a {kind.__name__}, got {value!r}"
    return Refusal(what, where=where_set(key), do="see Hydra's instantiate")


def _unknown(name: str, key: str, target: str, definition: Definition, where_set: WhereSet) -> Refusal:
    if name == "streaming" and target.startswith("expctl.data."):
        return Refusal(NOT_STREAMED, where=where_set(key), do=INSTEAD)
    parameters = signature(definition).parameters
    listed = ", ".join(parameters) if len(parameters) <= 24 else f"see {definition.file}"
    likely = nearest(name, [*parameters, *HYDRA_KEYS, *NOT_KEYWORDS.get(key.rpartition(".")[0], ())])
    what, do = f"{target} takes no {name!r}", f"it takes: {listed or 'nothing'}"
    return Refusal(what, where=where_set(key), nearest=weight_of(key) or likely, do=do)
