"""An expression over the columns of a row, such as `level >= 3 and "proof" not in tags`. Torch-free.

It is Python's, as far as it only looks at values: no name but the columns', no attribute but a few methods of texts, no
call but of a few functions. Nothing else is evaluated, since a config may be anybody's.
"""

import ast
import operator
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
FUNCTIONS: dict[str, Callable[..., Any]] = {"len": len, "int": int, "float": float, "str": str, "abs": abs, "any": any}
FUNCTIONS |= {"all": all, "min": min, "max": max, "sum": sum}
METHODS = ("lower", "upper", "strip", "startswith", "endswith", "count", "split", "get")
_OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda first, second: first in second,
    ast.NotIn: lambda first, second: first not in second,
}
_SIGNS: dict[type, Callable[[Any], Any]] = {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos}
# The name that has the whole row, for columns whose names are no names of Python: row["my column"].
WHOLE = "row"


def parsed(text: str) -> ast.expr:
    """The syntax tree of an expression.

    Raises:
        ValueError: it is none, or would do more than look at values.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ValueError(f"it is no expression: {getattr(error, 'msg', error)}") from error
    for node in ast.walk(tree):
        _check(node)
    return tree


def columns_of(tree: ast.expr) -> list[str]:
    """The columns that an expression looks at."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
    looked_up = [_looked_up(node) for node in ast.walk(tree)]
    names += [name for name in looked_up if name is not None]
    return list(dict.fromkeys(name for name in names if name != WHOLE))


def value(tree: ast.expr, row: Row) -> Any:
    """What an expression is for a row; a column that the row lacks is None.

    Raises:
        ValueError: it has no value, such as a comparison of a text with a number.
    """
    try:
        return _value(tree, row)
    except (TypeError, ArithmeticError, AttributeError, LookupError) as error:
        raise ValueError(str(error)) from error


def _value(node: ast.expr, row: Row) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return row if node.id == WHOLE else row.get(node.id)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_value(each, row) for each in node.elts]
    if isinstance(node, ast.BoolOp):
        return _joined(node, row)
    if isinstance(node, ast.UnaryOp):
        return _SIGNS[type(node.op)](_value(node.operand, row))
    if isinstance(node, ast.BinOp):
        return _OPERATIONS[type(node.op)](_value(node.left, row), _value(node.right, row))
    if isinstance(node, ast.Compare):
        return _compared(node, row)
    if isinstance(node, ast.Subscript):
        return _value(node.value, row)[_value(node.slice, row)]
    assert isinstance(node, ast.Call)  # of the kinds that `_check` lets pass
    arguments = [_value(each, row) for each in node.args]
    if isinstance(node.func, ast.Attribute):
        return getattr(_value(node.func.value, row), node.func.attr)(*arguments)
    assert isinstance(node.func, ast.Name)
    return FUNCTIONS[node.func.id](*arguments)


def _joined(node: ast.BoolOp, row: Row) -> Any:
    ends_at = isinstance(node.op, ast.Or)
    result: Any = not ends_at
    for each in node.values:
        result = _value(each, row)
        if bool(result) is ends_at:
            break
    return result


def _compared(node: ast.Compare, row: Row) -> bool:
    left = _value(node.left, row)
    for operation, each in zip(node.ops, node.comparators, strict=True):
        right = _value(each, row)
        if not _OPERATIONS[type(operation)](left, right):
            return False
        left = right
    return True


def _check(node: ast.AST) -> None:
    if isinstance(node, ast.Call):
        of_text = isinstance(node.func, ast.Attribute) and node.func.attr in METHODS
        known = of_text or (isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS)
        if not known or node.keywords:
            raise ValueError(
                f"'{ast.unparse(node)}' is not called; {', '.join(FUNCTIONS)} are, and of texts {', '.join(METHODS)}"
            )
    elif isinstance(node, ast.Attribute):
        if node.attr not in METHODS:
            raise ValueError(f"'.{node.attr}' is not looked at; of texts {', '.join(METHODS)} can be called")
    elif not isinstance(node, _ALLOWED) and type(node) not in (*_OPERATIONS, *_SIGNS):
        raise ValueError(f"'{ast.unparse(node)}' does more than look at the columns of a row")


_ALLOWED = (
    *(ast.Constant, ast.Name, ast.List, ast.Tuple, ast.Set, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.BinOp),
    *(ast.Compare, ast.Subscript, ast.Load),
)


def _looked_up(node: ast.AST) -> str | None:
    """The column of `row["column"]`."""
    if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name) or node.value.id != WHOLE:
        return None
    return str(node.slice.value) if isinstance(node.slice, ast.Constant) else None
