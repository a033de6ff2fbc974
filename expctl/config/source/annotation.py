"""Whether a value from a config file fits an annotation, as far as its source can tell."""

import ast

from expctl.config.source.lookup import ClassDefinition, Definition, evaluate
from expctl.config.source.signature import Field

_SCALARS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "None": (type(None),),
}
_MAPPINGS = ("dict", "Dict", "Mapping")
_TUPLES = ("tuple", "Tuple")
_SEQUENCES = ("list", "List", "Sequence", "Iterable", "set", *_TUPLES)
_WRAPPERS = ("Annotated", "Final", "InitVar", "Required", "NotRequired")


def fits(field: Field, value: object) -> bool:
    """Whether `value` fits the annotation of a field; None fits where it is the default."""
    if field.annotation is None:
        return True
    default_is_none = isinstance(field.default, ast.Constant) and field.default.value is None
    return (value is None and default_is_none) or admits(field.annotation, value, field.owner)


def admits(annotation: ast.expr, value: object, owner: Definition) -> bool:
    """Whether `value` (what YAML can hold) fits `annotation`, whose names are those of the module of `owner`.

    An int fits float, a bool is no int, a string is never read as a number. An annotation that is not understood
    admits everything.
    """
    annotation = _unwrapped(annotation)
    members = _union(annotation)
    if members:
        if any(_enumeration(member, owner) for member in members):
            # In `IntervalStrategy | str` the string has to be one of the strategies.
            members = [member for member in members if _name(member) != "str"]
        return any(admits(member, value, owner) for member in members)
    name, items = _name(annotation), _items(annotation)
    if name == "Literal":
        return any(type(value) is type(option) and value == option for option in choices(annotation, owner))
    if name in _SCALARS:
        return isinstance(value, _SCALARS[name]) and (name == "bool" or not isinstance(value, bool))
    if name in _MAPPINGS:
        return isinstance(value, dict) and (len(items) != 2 or _all_fit(items[1], list(value.values()), owner))
    if name in _SEQUENCES:
        return isinstance(value, list) and _items_fit(name, items, value, owner)
    enumerated = _enumeration(annotation, owner)
    return not enumerated or value in enumerated


def choices(annotation: ast.expr | None, owner: Definition) -> list[object]:
    """The values that an annotation lists: options of Literal, values of enumerations; empty where it lists none."""
    if annotation is None:
        return []
    annotation = _unwrapped(annotation)
    members = _union(annotation)
    if members:
        return [option for member in members for option in choices(member, owner)]
    if _name(annotation) == "Literal":
        return [item.value for item in _items(annotation) if isinstance(item, ast.Constant)]
    return _enumeration(annotation, owner)


def _items_fit(name: str, items: list[ast.expr], values: list[object], owner: Definition) -> bool:
    """Whether the items of a list fit `list[X]`, `tuple[X, ...]` or `tuple[X, Y]`."""
    if not items:
        return True
    is_fixed = name in _TUPLES and not any(_is_ellipsis(item) for item in items)
    if not is_fixed:
        return _all_fit(items[0], values, owner)
    if len(items) != len(values):
        return False
    return all(admits(item, value, owner) for item, value in zip(items, values, strict=True))


def _all_fit(annotation: ast.expr, values: list[object], owner: Definition) -> bool:
    return all(admits(annotation, value, owner) for value in values)


def _enumeration(annotation: ast.expr, owner: Definition) -> list[object]:
    """The values of an Enum class; empty for anything else, and where the values are computed."""
    if not isinstance(annotation, ast.Name | ast.Attribute):
        return []
    if _name(annotation) in (*_SCALARS, *_MAPPINGS, *_SEQUENCES, "Any"):
        return []
    definition = evaluate(owner.module, annotation)
    if not isinstance(definition, ClassDefinition):
        return []
    if not any(ast.unparse(base).endswith("Enum") for base in definition.node.bases):
        return []
    assigned = [statement.value for statement in definition.node.body if isinstance(statement, ast.Assign)]
    constants = [value.value for value in assigned if isinstance(value, ast.Constant)]
    return [*constants] if len(constants) == len(assigned) else []


def _unwrapped(annotation: ast.expr) -> ast.expr:
    """The annotation without quotes and without wrappers such as Annotated."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return _unwrapped(ast.parse(annotation.value, mode="eval").body)
        except SyntaxError:
            return ast.Name("Any")
    if isinstance(annotation, ast.Subscript) and _name(annotation) in _WRAPPERS:
        return _unwrapped(_items(annotation)[0])
    return annotation


def _union(annotation: ast.expr) -> list[ast.expr]:
    """The members of `A | B`, `Union[A, B]` or `Optional[A]`; empty for anything else."""
    members: list[ast.expr] = []
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        members = [annotation.left, annotation.right]
    elif isinstance(annotation, ast.Subscript) and _name(annotation) == "Union":
        members = _items(annotation)
    elif isinstance(annotation, ast.Subscript) and _name(annotation) == "Optional":
        members = [*_items(annotation), ast.Constant(None)]
    flat: list[ast.expr] = []
    for member in map(_unwrapped, members):
        flat += _union(member) or [member]
    return flat


def _name(annotation: ast.expr) -> str:
    """`dict` of `typing.dict[str, int]`."""
    if isinstance(annotation, ast.Constant):
        return str(annotation.value)
    if isinstance(annotation, ast.Subscript):
        return _name(annotation.value)
    if isinstance(annotation, ast.Attribute):
        return annotation.attr
    return annotation.id if isinstance(annotation, ast.Name) else ""


def _items(annotation: ast.expr) -> list[ast.expr]:
    """`str` and `int` of `dict[str, int]`."""
    if not isinstance(annotation, ast.Subscript):
        return []
    return annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
