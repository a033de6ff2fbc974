"""Which dotted paths a config may instantiate, and with which keywords; decided from source, before any import."""

import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from expctl.base.modules import find_module, installed_file
from expctl.base.refusal import Refusal, set_by
from expctl.base.suggest import nearest
from expctl.config.checks.fields import HYDRA_KEYS, check_value
from expctl.config.source.lookup import ClassDefinition, Definition, FunctionDefinition, Missing, find, locate
from expctl.config.source.signature import signature

ALLOWED = ("expctl", "trl", "transformers", "peft", "torch.optim", "datasets", "accelerate")
# Parts of the allowed packages that start processes or run code that they fetched or unpickled.
MACHINERY = {"cli", "commands", "launch", "launchers", "scripts", "test_utils", "testing_utils",
             "dynamic_module_utils", "_dill"}  # fmt: skip
LOADERS = {"accelerate.utils.other.load", "peft.utils.save_and_load.torch_load",
           "transformers.modeling_utils.load_state_dict",
           "transformers.utils.import_utils.direct_transformers_import"}  # fmt: skip
# Keys beside a `_target_` that are not for it.
NOT_KEYWORDS = {"dataset": {"reward"}}
HYDRA_KINDS = {"_partial_": (bool,), "_recursive_": (bool,), "_args_": (list,), "_convert_": (str,)}


def check_targets(config: dict, search: Iterable[Path] = (), sources: dict[str, str] | None = None) -> list[Refusal]:
    """What is wrong with the `_target_`s of a resolved config, at any depth.

    Args:
        config: the resolved config, plain containers.
        search: folders whose modules are the user's own code, as a rule the working folder.
        sources: dotted key -> how it was set, for the refusals.

    A target has to lead to a class or function inside `ALLOWED`, inside a module of the user's own, or inside a prefix
    that the environment variable EXPCTL_ALLOW names (comma separated). The fields of the root key `args` are left to
    `check_fields`; keywords given only at run time are not in a config, so none is asked for.
    """
    search = tuple(folder.resolve() for folder in search)
    refusals = []
    for key, node in _targets(config):
        try:
            definition = resolve(node["_target_"], search, set_by(f"{key}._target_", sources or {}))
        except Refusal as refusal:
            refusals.append(refusal)
            continue
        if definition and key != "args":
            refusals += _check_keywords(key, node, definition, sources or {})
    return refusals


def resolve(target: str, search: tuple[Path, ...] = (), where: str = "_target_") -> Definition | None:
    """The definition that a permitted target leads to; None inside EXPCTL_ALLOW where its source cannot tell.

    Raises Refusal where the target is not permitted or not found.
    """
    first = _first_name(target, where)
    if problem := _shadowed(first, search):
        raise Refusal(problem, where=where, do="rename the file; its name is taken")
    if not _permitted(target, search):
        raise Refusal(
            f"_target_ {target} is outside the allowed packages",
            where=where,
            nearest=_elsewhere(target, search),
            do=f"take it from {', '.join(ALLOWED)} or a module in the working folder, or set EXPCTL_ALLOW={first}",
        )
    try:
        found = locate(target, search)
    except SyntaxError as error:
        what = f"_target_ {target}: {error.filename}, line {error.lineno}: {error.msg}"
        raise Refusal(what, where=where, do="correct the file") from error
    trusted = _under(target, _allowed_by_environment())
    reached = found.reached if isinstance(found, Missing) else found.path
    if reached and not _permitted(reached, search):
        raise Refusal(
            f"_target_ {target} leads out of the allowed packages, to {_destination(found)}",
            where=where,
            do="name a class or function where it is defined",
        )
    if isinstance(found, Missing):
        if trusted:
            return None
        raise _not_found(target, found, where)
    if not trusted and not _is_own(found.path, search):
        if not isinstance(found, ClassDefinition | FunctionDefinition):
            raise Refusal(f"_target_ {target} is neither class nor function", where=where, do="name one that is")
        if found.path in LOADERS or not MACHINERY.isdisjoint(found.module.name.split(".")):
            raise Refusal(f"_target_ {target} runs other code than a training", where=where, do="name another target")
    return found


def _targets(node, key: str = "") -> Iterator[tuple[str, dict]]:
    """Every dict with a `_target_` and its dotted key."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield key, node
        for name, child in node.items():
            yield from _targets(child, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list | tuple):
        for position, child in enumerate(node):
            yield from _targets(child, f"{key}[{position}]")


def _first_name(target: str, where: str) -> str:
    """The first part of a dotted path. Raises Refusal where the target is none."""
    parts = target.split(".") if isinstance(target, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        bare = parts[0] if len(parts) == 1 else ""
        known = (f"{package}.{bare}" for package in ALLOWED if bare and find(f"{package}.{bare}"))
        what = f"_target_ {target} is no dotted path"
        raise Refusal(what, where=where, nearest=islice(known, 1), do="write package.module.Name")
    if any(part.startswith("__") for part in parts):
        raise Refusal(f"_target_ {target} reaches into Python's internals", where=where, do="name a class or function")
    return parts[0]


def _shadowed(name: str, search: tuple[Path, ...]) -> str:
    """What a module of the user's own hides, where it has the name of an installed or standard one."""
    mine = find_module(name, search)
    if name == "expctl" or not (mine and mine.file and _in_search(mine.file, search)):
        return ""
    installed = installed_file(name, without=[folder.resolve() for folder in search])
    taken = name in sys.stdlib_module_names or name in {prefix.partition(".")[0] for prefix in ALLOWED}
    elsewhere = installed is not None and installed != mine.file.resolve()
    return f"{mine.file} hides the installed {name}" if taken or elsewhere else ""


def _permitted(path: str, search: tuple[Path, ...]) -> bool:
    return _under(path, (*ALLOWED, *_allowed_by_environment())) or _is_own(path, search)


def _is_own(path: str, search: tuple[Path, ...]) -> bool:
    """Whether the module is a file or package of the user's own, in a folder of `search`."""
    first = path.partition(".")[0]
    module = find_module(first, search)
    return module is not None and _in_search(module.file or module.folder, search) and not _shadowed(first, search)


def _elsewhere(target: str, search: tuple[Path, ...]) -> list[str]:
    """The same path under an allowed name like its first one, where it leads somewhere."""
    first, _, rest = target.partition(".")
    own = [file.stem for folder in search for file in folder.glob("*.py")]
    paths = [f"{name}.{rest}" for name in nearest(first, [*ALLOWED, *own])]
    return [path for path in paths if find(path, search)]


def _in_search(file: Path | None, search: tuple[Path, ...]) -> bool:
    return file is not None and any(file.parent in (folder, folder / file.parent.name) for folder in search)


def _allowed_by_environment() -> tuple[str, ...]:
    return tuple(filter(None, (part.strip(" .") for part in os.environ.get("EXPCTL_ALLOW", "").split(","))))


def _under(path: str, prefixes: Iterable[str]) -> bool:
    return any(f"{path}.".startswith(f"{prefix}.") for prefix in prefixes)


def _destination(found: Definition | Missing) -> str:
    return found.path if isinstance(found, Definition) else f"{found.reached}.{found.name}".rstrip(".")


def _not_found(target: str, found: Missing, where: str) -> Refusal:
    if not found.name:
        return Refusal(f"_target_ {target} is a module", where=where, do="name a class or function in it")
    if not found.reached:
        return Refusal(f"_target_ {target}: {found.name} is not installed", where=where, do="install it")
    if found.name in found.known:
        what = f"_target_ {target}: {found.reached} takes {found.name!r} from outside the allowed packages"
        return Refusal(what, where=where, do="name a class or function where it is defined")
    close = nearest(found.name, [name for name in found.known if not name.startswith("__")])
    return Refusal(
        f"_target_ {target}: {found.reached} has no {found.name!r}",
        where=where,
        nearest=[f"{found.reached}.{name}" for name in close],
        do="name a class or function that exists",
    )


def _check_keywords(key: str, node: dict, definition: Definition, sources: dict[str, str]) -> list[Refusal]:
    takes = signature(definition)
    refusals = []
    for name, value in node.items():
        inner = f"{key}.{name}" if key else name
        if name in HYDRA_KINDS:
            if not isinstance(value, HYDRA_KINDS[name]):
                what = f"{inner} is Hydra's own and takes a {HYDRA_KINDS[name][0].__name__}, got {value!r}"
                refusals.append(Refusal(what, where=set_by(inner, sources), do="see Hydra's instantiate"))
        elif name == "_target_" or name in NOT_KEYWORDS.get(key, ()):
            continue
        elif field := takes.parameters.get(name):
            if refusal := check_value(field, inner, value, sources):
                refusals.append(refusal)
        elif not takes.accepts_any or (name.startswith("_") and name.endswith("_")):
            refusals.append(_unknown(name, inner, node["_target_"], definition, sources))
    return refusals


def _unknown(name: str, key: str, target: str, definition: Definition, sources: dict[str, str]) -> Refusal:
    parameters = signature(definition).parameters
    taken = ", ".join(parameters) if len(parameters) <= 8 else f"see {definition.file}"
    return Refusal(
        f"{target} takes no {name!r}",
        where=set_by(key, sources),
        nearest=nearest(name, [*parameters, *HYDRA_KEYS]),
        do=f"it takes: {taken or 'nothing'}",
    )
