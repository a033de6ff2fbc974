"""What the docstring of a config class says about a field, where its annotation says less.

TRL annotates `loss_type: str` and lists the losses in the docstring; `scale_rewards: str` takes a bool as well.
"""

import ast
import re
from functools import cache

from expctl.config.source.signature import Field

_LIST = re.compile(r"(?:Supported|Possible) values are:?")


def types(field: Field) -> list[ast.expr]:
    """The types that the docstring gives: "scale_rewards (`str` or `bool`, *optional*, ...)"."""
    head = re.match(r"\s*\w+ \((.*?)(?:, \*optional|, defaults|\):)", entry(field))
    if head is None:
        return []
    annotations = []
    for text in re.findall(r"`([^`]+)`", head[1]):
        try:
            annotations.append(ast.parse(text, mode="eval").body)
        except SyntaxError:
            continue
    return annotations


def options(field: Field) -> list[str]:
    """The strings that the docstring lists as supported; empty where it lists none."""
    text = entry(field)
    start = _LIST.search(text)
    if not start:
        return []
    listing = text[start.end() :]
    if not re.match(r"\s*\n\s*- ", listing):
        return re.findall(r"`[\"']?(\w+)[\"']?`", re.split(r"\.\s", listing)[0])
    names: list[str] = []
    for head in re.findall(r"^\s*- (.*?):", listing, flags=re.MULTILINE):
        names += re.findall(r"`[\"'](\w+)[\"']`", head)
    return names


def converts(field: Field, value: object) -> bool:
    """Whether the class asks for this very type to turn it into another, as DPOConfig does with one loss's name."""
    return f"isinstance(self.{field.name}, {type(value).__name__})" in field.owner.file.read_text(encoding="utf-8")


@cache
def entry(field: Field) -> str:
    """The part of the docstring that is about `field`: its line and the more indented ones below."""
    node = field.owner.node
    docstring = ast.get_docstring(node) if isinstance(node, ast.ClassDef) else None
    start = re.search(rf"^( *){field.name} \(", docstring or "", flags=re.MULTILINE)
    if docstring is None or start is None:
        return ""
    end = re.compile(rf"\n {{0,{len(start[1])}}}\S").search(docstring, start.end())
    return docstring[start.start() : end.start() if end else None]
