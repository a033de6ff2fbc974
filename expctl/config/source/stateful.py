"""Whether a class or function of the user's own keeps state from call to call, as its source tells."""

import ast
from collections.abc import Iterable, Iterator

from expctl.config.source.lookup import Definition
from expctl.config.source.syntax import Function

# Where an object is made, or given back its state.
NO_CALLS = {"__init__", "__new__", "__post_init__", "load_state_dict", "state_dict", "state"}
# Methods that change the container, or the generator of random numbers, that they are called on.
CHANGING_CONTAINER = {
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "popleft",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "subtract",
    "update",
}
CHANGING_GENERATOR = {"choice", "choices", "gauss", "integers", "normal", "randint", "random", "shuffle", "uniform"}
LIBRARIES = ("expctl", "torch", "transformers", "trl")


def changes_itself(definition: Definition) -> bool:
    """Whether a method, also of a base class of the user's, changes an attribute of the object when it is called."""
    for owner in definition.lineage:
        if owner.module.name.partition(".")[0] in LIBRARIES:
            continue
        _, whole = _with_bodies(owner)
        functions = [node for node in getattr(whole, "body", []) if isinstance(node, Function)]
        if any(_changes_object(method) for method in functions if method.name not in NO_CALLS):
            return True
    return False


def changed_globals(definition: Definition) -> list[str]:
    """The module-level names that the function, a method of the class, or a function called from there changes."""
    module, whole = _with_bodies(definition)
    if module is None or whole is None:
        return []
    functions = {node.name: node for node in module.body if isinstance(node, Function)}
    module_names = {name for statement in module.body for name in _assigned(statement)} | functions.keys()
    pending = [node for node in ast.walk(whole) if isinstance(node, Function)]
    changed: set[str] = set()
    visited: list[Function] = []
    while pending:
        function = pending.pop()
        if function in visited:
            continue
        visited.append(function)
        changed |= _changed_names(function, module_names)
        called = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        pending += [functions[name] for name in called & functions.keys()]
    return sorted(changed)


def _with_bodies(definition: Definition) -> tuple[ast.Module | None, ast.AST | None]:
    """The tree of the file and the definition in it; `definition.node` lacks the bodies of functions.

    None where a body is no Python: Python will say so when the file is imported.
    """
    try:
        module = ast.parse(definition.file.read_bytes())
    except (SyntaxError, ValueError):
        return None, None
    nodes = (node for node in ast.walk(module) if isinstance(node, ast.ClassDef | Function))
    return module, next((node for node in nodes if node.lineno == definition.line), None)


def _changes_object(method: Function) -> bool:
    if not method.args.args:
        return False
    self_name = method.args.args[0].arg
    tests = [node for node in ast.walk(method) if isinstance(node, ast.If)]
    cached = {id(target) for test in tests for target in _made_when_missing(test)}
    changed = [node for node in _changed(method) if id(node) not in cached]
    return any(_root(node) == self_name and not isinstance(node, ast.Name) for node in changed)


def _made_when_missing(test: ast.If) -> Iterator[ast.AST]:
    """Targets that are assigned where they are None or false: what is made at the first call is made again."""
    attributes = {ast.unparse(node) for node in ast.walk(test.test) if isinstance(node, ast.Attribute)}
    for statement in test.body:
        if isinstance(statement, ast.Assign):
            yield from (target for target in statement.targets if ast.unparse(target) in attributes)


def _changed_names(function: Function, module_names: set[str]) -> set[str]:
    """Which of the module's names a function changes; and which of its defaults, made once when it is defined."""
    mutable = _mutable_defaults(function)
    declared = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    local = {argument.arg for argument in arguments} | set(_assigned(function)) - declared
    changed = list(_changed(function))
    changed_inside = {_root(node) for node in changed if not isinstance(node, ast.Name)}
    assigned = {node.id for node in changed if isinstance(node, ast.Name)}
    return (changed_inside & (module_names - local | mutable)) | (assigned & declared)


def _mutable_defaults(function: Function) -> set[str]:
    """Parameters whose default is a container or the result of a call."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    names = [argument.arg for argument in positional[len(positional) - len(arguments.defaults) :]]
    pairs: list[tuple[str, ast.expr | None]] = [*zip(names, arguments.defaults, strict=True)]
    pairs += [(each.arg, value) for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return {name for name, default in pairs if isinstance(default, ast.List | ast.Dict | ast.Set | ast.Call)}


def _changed(function: Function) -> Iterator[ast.expr]:
    """What a function assigns to, deletes, calls a changing method of, or takes the next of."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.Delete):
            yield from (part for target in node.targets for part in _flat(target))
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.NamedExpr):
            yield from _flat(node.target)
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr in CHANGING_CONTAINER | CHANGING_GENERATOR:
                # The method as an attribute of a name, to tell it from an assignment of the name itself.
                yield called if isinstance(called.value, ast.Name) else called.value
            elif isinstance(called, ast.Name) and called.id == "next" and node.args:
                yield node.args[0]


def _flat(target: ast.expr) -> Iterable[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        return [part for item in target.elts for part in _flat(item)]
    return [target]


def _root(node: ast.AST) -> str:
    """`a` of `a.b[0].c`; empty where it is no name."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _assigned(node: ast.AST) -> list[str]:
    """Plain names that are assigned to, wherever in a statement or function."""
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
