"""What the docstring of a config class says about a field, where its annotation says less.

TRL annotates `loss_type: str` and lists the losses in the docstring; `scale_rewards: str` takes a bool as well.
"""

import ast
import re

from expctl.config.source.signature import Field

_LIST = re.compile(r"(?:Supported|Possible) values are:?")


def types(field: Field) -> list[ast.expr]:
    """The types that the docstring gives: "scale_rewards (`str` or `bool`, *optional*, ...)"."""
    head = re.match(r"\s*\w+ \((.*?)(?:, \*optional|, defaults|\):)", entry(field))
    found = []
    for text in re.findall(r"`([^`]+)`", head[1]) if head else ():
        try:
            found.append(ast.parse(text, mode="eval").body)
        except SyntaxError:
            continue
    return found


def options(field: Field) -> list[str]:
    """The strings that the docstring lists as supported; empty where it lists none."""
    text = entry(field)
    start = _LIST.search(text)
    if not start:
        return []
    listing = text[start.end() :]
    if re.match(r"\s*\n\s*- ", listing):
        heads = re.findall(r"^\s*- (.*?):", listing, flags=re.MULTILINE)
        return [name for head in heads for name in re.findall(r"`[\"'](\w+)[\"']`", head)]
    return re.findall(r"`[\"']?(\w+)[\"']?`", re.split(r"\.\s", listing)[0])


def converts(field: Field, value) -> bool:
    """Whether the class asks for this very type to turn it into another, as DPOConfig does with one loss's name."""
    return f"isinstance(self.{field.name}, {type(value).__name__})" in field.owner.file.read_text(encoding="utf-8")


def entry(field: Field) -> str:
    """The part of the docstring that is about `field`: its line and the more indented ones below."""
    docstring = ast.get_docstring(field.owner.node) or "" if isinstance(field.owner.node, ast.ClassDef) else ""
    start = re.search(rf"^( *){field.name} \(", docstring, flags=re.MULTILINE)
    if not start:
        return ""
    end = re.compile(rf"\n {{0,{len(start[1])}}}\S").search(docstring, start.end())
    return docstring[start.start() : end.start() if end else None]
