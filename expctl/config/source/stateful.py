"""Whether a class or function of the user's own remembers something from call to call, as its source tells."""

import ast
from collections.abc import Iterable, Iterator

from expctl.config.source.lookup import Definition

# Where an object is made, or given back what it remembered.
NO_CALLS = {"__init__", "__new__", "__post_init__", "load_state_dict", "state_dict", "state"}
# Methods that change what they are called on: containers, and generators of random numbers.
CHANGING = {
    "add", "append", "appendleft", "choice", "choices", "clear", "discard", "extend", "gauss", "insert", "integers",
    "normal", "pop", "popitem", "popleft", "randint", "random", "remove", "reverse", "setdefault", "shuffle", "sort",
    "subtract", "uniform", "update",
}  # fmt: skip
LIBRARIES = ("expctl", "torch", "transformers", "trl")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def changes_itself(definition: Definition) -> bool:
    """Whether a method, also of a base class of the user's, changes an attribute of the object when it is called."""
    for owner in definition.lineage:
        if owner.module.name.partition(".")[0] in LIBRARIES:
            continue
        _, whole = _whole(owner)
        functions = [each for each in getattr(whole, "body", []) if isinstance(each, Function)]
        methods = [function for function in functions if function.name not in NO_CALLS]
        if any(_changes_object(method) for method in methods):
            return True
    return False


def changed_globals(definition: Definition) -> list[str]:
    """Names of what the function, or a method of the class, changes in its module, or what is called from there."""
    tree, whole = _whole(definition)
    if whole is None:
        return []
    functions = {each.name: each for each in tree.body if isinstance(each, Function)}
    kept = {name for each in tree.body for name in _assigned(each)} | functions.keys()
    wanted = [each for each in ast.walk(whole) if isinstance(each, Function)]
    found: set[str] = set()
    seen: list[Function] = []
    while wanted:
        function = wanted.pop()
        if function in seen:
            continue
        seen.append(function)
        found |= _changed_names(function, kept)
        called = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        wanted += [functions[name] for name in called & functions.keys()]
    return sorted(found)


def _whole(definition: Definition) -> tuple[ast.Module | None, ast.AST | None]:
    """The tree of the file and the definition in it: the one that was found has no bodies of functions.

    None where a body is no Python, which is said when it is imported.
    """
    try:
        tree = ast.parse(definition.file.read_bytes())
    except (SyntaxError, ValueError):
        return None, None
    kinds = ast.ClassDef | Function
    places = (each for each in ast.walk(tree) if isinstance(each, kinds) and each.lineno == definition.line)
    return tree, next(places, None)


def _changes_object(method: Function) -> bool:
    if not method.args.args:
        return False
    own = method.args.args[0].arg
    lazy = {id(node) for each in ast.walk(method) if isinstance(each, ast.If) for node in _made_when_missing(each)}
    changed = (node for node in _changed(method) if id(node) not in lazy)
    return any(_root(node) == own and not isinstance(node, ast.Name) for node in changed)


def _made_when_missing(test: ast.If) -> Iterator[ast.AST]:
    """Targets that are assigned where they are None or false: what is made at the first call is made again."""
    asked = {ast.unparse(node) for node in ast.walk(test.test) if isinstance(node, ast.Attribute)}
    for each in test.body:
        if isinstance(each, ast.Assign):
            yield from (target for target in each.targets if ast.unparse(target) in asked)


def _changed_names(function: Function, kept: set[str]) -> set[str]:
    """Which of the module's names a function changes; and which of its defaults, made once when it is defined."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args]
    with_default = dict(zip([each.arg for each in reversed(every)], reversed(arguments.defaults), strict=False))
    with_default |= {each.arg: value for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)}
    made_once = ast.List | ast.Dict | ast.Set | ast.Call
    mutable = {name for name, value in with_default.items() if isinstance(value, made_once)}
    declared = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
    local = {each.arg for each in [*every, *arguments.kwonlyargs]} | set(_assigned(function)) - declared
    changed = list(_changed(function))
    inside = {_root(node) for node in changed if not isinstance(node, ast.Name)}
    assigned = {node.id for node in changed if isinstance(node, ast.Name)}
    return (inside & (kept - local | mutable)) | (assigned & declared)


def _changed(function: Function) -> Iterator[ast.expr]:
    """What a function assigns to, deletes, calls a changing method of, or takes the next of."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.Delete):
            yield from (part for target in node.targets for part in _flat(target))
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.NamedExpr):
            yield from _flat(node.target)
        elif isinstance(node, ast.Call):
            function_called = node.func
            if isinstance(function_called, ast.Attribute) and function_called.attr in CHANGING:
                # As an attribute, so that it is told from an assignment of the name itself.
                inner = function_called.value
                yield ast.Subscript(inner) if isinstance(inner, ast.Name) else inner
            elif isinstance(function_called, ast.Name) and function_called.id == "next" and node.args:
                yield node.args[0]


def _flat(target: ast.expr) -> Iterable[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        return [part for each in target.elts for part in _flat(each)]
    return [target]


def _root(node: ast.AST) -> str | None:
    """`a` of `a.b[0].c`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _assigned(node: ast.AST) -> list[str]:
    """Plain names that are assigned to, wherever in a statement or function."""
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
