"""Whether a value from a config file fits an annotation, as far as its source can tell."""

import ast

from expctl.config.source.lookup import Definition, expression
from expctl.config.source.signature import Field

_SCALARS = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,), "None": (type(None),)}
_CONTAINERS = {"dict": dict, "Dict": dict, "Mapping": dict, "list": list, "List": list, "Sequence": list,
               "Iterable": list, "set": list, "tuple": list, "Tuple": list}  # fmt: skip
_WRAPPERS = {"Annotated", "Final", "InitVar", "Required", "NotRequired"}


def admits(annotation: ast.expr, value, owner: Definition) -> bool:
    """Whether `value` (what YAML can hold) fits `annotation`, whose names are those of the module of `owner`.

    An int fits float, a bool is no int, a string is never read as a number. An annotation that is not understood
    admits everything.
    """
    annotation = _plain(annotation)
    if members := _union(annotation):
        enumerated = any(_enumeration(member, owner) for member in members)
        # In `IntervalStrategy | str` the string has to be one of the strategies.
        return any(admits(member, value, owner) for member in members if not (enumerated and _name(member) == "str"))
    name, items = _name(annotation), _items(annotation)
    if name == "Literal":
        return any(type(value) is type(option) and value == option for option in choices(annotation, owner))
    if name in _SCALARS:
        return isinstance(value, _SCALARS[name]) and (name == "bool" or not isinstance(value, bool))
    if name in _CONTAINERS:
        return isinstance(value, _CONTAINERS[name]) and _items_fit(name, items, value, owner)
    enumerated = _enumeration(annotation, owner)
    return not enumerated or value in enumerated


def choices(annotation: ast.expr, owner: Definition) -> list:
    """The values that an annotation lists: options of Literal, values of enumerations; empty where it lists none."""
    annotation = _plain(annotation)
    if members := _union(annotation):
        return [option for member in members for option in choices(member, owner)]
    if _name(annotation) == "Literal":
        return [item.value for item in _items(annotation) if isinstance(item, ast.Constant)]
    return _enumeration(annotation, owner)


def fits(field: Field, value) -> bool:
    """Whether `value` fits the annotation of a field; None fits where it is the default."""
    default_is_none = isinstance(field.default, ast.Constant) and field.default.value is None
    return (
        field.annotation is None or (value is None and default_is_none) or admits(field.annotation, value, field.owner)
    )


def _items_fit(name: str, items: list[ast.expr], value, owner: Definition) -> bool:
    if isinstance(value, dict):
        return len(items) != 2 or all(admits(items[1], item, owner) for item in value.values())
    if name in ("tuple", "Tuple") and not any(_is_ellipsis(item) for item in items):
        return not items or len(items) == len(value) and all(map(lambda a, b: admits(a, b, owner), items, value))
    return not items or all(admits(items[0], item, owner) for item in value)


def _enumeration(annotation: ast.expr, owner: Definition) -> list:
    """The values of an Enum class; empty for anything else, and where the values are computed."""
    if not isinstance(annotation, ast.Name | ast.Attribute) or _name(annotation) in (*_SCALARS, *_CONTAINERS, "Any"):
        return []
    found = expression(owner.module, annotation)
    if not isinstance(found, Definition) or found.kind != "class":
        return []
    if not any(ast.unparse(base).endswith("Enum") for base in found.node.bases):
        return []
    values = [statement.value for statement in found.node.body if isinstance(statement, ast.Assign)]
    return [value.value for value in values] if all(isinstance(value, ast.Constant) for value in values) else []


def _plain(annotation: ast.expr) -> ast.expr:
    """The annotation without quotes and without wrappers such as Annotated."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return _plain(ast.parse(annotation.value, mode="eval").body)
        except SyntaxError:
            return ast.Name("Any")
    if isinstance(annotation, ast.Subscript) and _name(annotation) in _WRAPPERS:
        return _plain(_items(annotation)[0])
    return annotation


def _union(annotation: ast.expr) -> list[ast.expr]:
    """The members of `A | B`, `Union[A, B]` or `Optional[A]`; empty for anything else."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        members = [annotation.left, annotation.right]
    elif isinstance(annotation, ast.Subscript) and _name(annotation) in ("Union", "Optional"):
        members = _items(annotation) + ([ast.Constant(None)] if _name(annotation) == "Optional" else [])
    else:
        return []
    return [inner for member in map(_plain, members) for inner in _union(member) or [member]]


def _name(annotation: ast.expr) -> str:
    if isinstance(annotation, ast.Constant):
        return str(annotation.value)
    if isinstance(annotation, ast.Subscript):
        return _name(annotation.value)
    return annotation.attr if isinstance(annotation, ast.Attribute) else getattr(annotation, "id", "")


def _items(annotation: ast.expr) -> list[ast.expr]:
    if not isinstance(annotation, ast.Subscript):
        return []
    return annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
