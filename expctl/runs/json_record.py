"""A JSON object as a dataclass: written whole, read from whatever lies there.

What each file of a run holds stands in `expctl.runs.records`; this module only knows how a field becomes JSON and back.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Self, get_args, get_origin

from expctl.base.refusal import Refusal
from expctl.runs.files import read_json, write_json

_OMITTED = "omitted"
# What no value of a field can be.
_WRONG: Any = object()
# From a value of plain data to that of a field; `_WRONG` where the value is of another type.
_Reader = Callable[[Any], Any]


def omitted(**default: Any) -> Any:
    """A field that is in the file only where it differs from its default (`default` or `default_factory`)."""
    return field(**default, metadata={_OMITTED: True})


@dataclass(kw_only=True, eq=False, repr=False)
class JsonRecord:
    """Base of the dataclasses that describe a JSON object.

    Comparison and representation stand here once: `dataclass` would compile both anew for each of the classes, which
    every command waits for.

    Fields may be `str`, `int`, `float` (also written as a whole number), `bool`, None, `Any`, another record, lists and
    mappings of these, and unions. A field without a default is required.
    """

    # Keys that this version does not know, kept so that rewriting a file of a newer version loses nothing.
    unknown: dict[str, Any] = field(default_factory=dict)
    # Fields that had a value of another type, and so have their default.
    damaged: list[str] = field(default_factory=list)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return vars(self) | {"damaged": []} == vars(other) | {"damaged": []}

    def __repr__(self) -> str:
        values = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in _described(type(self)))
        return f"{type(self).__name__}({values})"

    @classmethod
    def from_plain(cls, content: object) -> Self | None:
        """The record that plain data describe, whoever wrote them; None where a required field is missing.

        A field of another type has its default, and an item of another type is left out of its list or mapping: whoever
        reads a record need not check types again.
        """
        if not isinstance(content, dict):
            return None
        readers = _readers(cls)
        known = {name: readers[name](value) for name, value in content.items() if name in readers}
        values = {name: value for name, value in known.items() if value is not _WRONG}
        if any(each.name not in values for each in _described(cls) if _default(each) is MISSING):
            return None
        unknown = {name: value for name, value in content.items() if name not in readers}
        return cls(**values, unknown=unknown, damaged=[name for name in known if name not in values])

    def to_plain(self) -> dict[str, Any]:
        """The record as JSON has it: the fields in their order, then the unknown keys."""
        content = {}
        for each in _described(type(self)):
            value = getattr(self, each.name)
            if not (each.metadata.get(_OMITTED) and value == _default(each)):
                content[each.name] = _plain(value)
        return content | self.unknown

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record in a file; None where there is no such file, or something else is in it."""
        return cls.from_plain(read_json(path))

    def write(self, path: Path) -> None:
        """Write the file so that a reader sees the old content or the new. Raises OSError."""
        write_json(path, self.to_plain())


@dataclass(kw_only=True, eq=False, repr=False)
class JsonFile(JsonRecord):
    """A record that is a file of its own, with the version of its format."""

    FORMAT: ClassVar[int] = 1

    # Version of the file's format. 0: expctl 0.1 wrote no version; the keys were those of format 1.
    format: int = 0

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """As `JsonRecord.read`.

        Raises:
            Refusal: a newer expctl has written the file in a format that this one would misread.
        """
        record = super().read(path)
        if record is not None and record.is_newer():
            raise Refusal(record.newer(path.name), where=str(path), do="use the expctl that made it, or a newer one")
        return record

    def newer(self, name: str) -> str:
        """The sentence about a file of this name that is of a newer format."""
        return f"{name} is of format {self.format}, which a newer expctl has written; this one knows {self.FORMAT}"

    def to_plain(self) -> dict[str, Any]:
        """The record as JSON has it, in the format of this version."""
        return super().to_plain() | {"format": max(self.format, self.FORMAT)}

    def is_newer(self) -> bool:
        """Whether a newer expctl has written the file in a format that this one does not know."""
        return self.format > self.FORMAT


_known_readers: dict[type, dict[str, _Reader]] = {}


def _readers(record: type[JsonRecord]) -> dict[str, _Reader]:
    """Field -> how to read it, found out once for each class: a listing reads ten thousand records."""
    if record not in _known_readers:
        _known_readers[record] = {each.name: _reader(each.type) for each in _described(record)}
    return _known_readers[record]


def _described(record: type[JsonRecord]) -> list[Field[Any]]:
    return [each for each in fields(record) if each.name not in ("unknown", "damaged")]


def _default(described: Field[Any]) -> Any:
    return described.default_factory() if described.default_factory is not MISSING else described.default


def _reader(kind: Any) -> _Reader:
    """How a value of a type is read from plain data."""
    if kind is Any:
        return lambda value: value
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return _union_reader([_reader(option) for option in inner])
    if origin is list:
        return _list_reader(_reader(inner[0]))
    if origin is dict:
        return _mapping_reader(_reader(inner[1]))
    if issubclass(kind, JsonRecord):
        return _record_reader(kind)
    # As JSON has it, true is no number, and a whole number is a `float` as well.
    types = (int, float) if kind is float else (kind,)
    return lambda value: value if type(value) in types else _WRONG


def _union_reader(options: list[_Reader]) -> _Reader:
    def read(value: Any) -> Any:
        for option in options:
            converted = option(value)
            if converted is not _WRONG:
                return converted
        return _WRONG

    return read


def _list_reader(item: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            return _WRONG
        return [converted for converted in map(item, value) if converted is not _WRONG]

    return read


def _mapping_reader(item: _Reader) -> _Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return _WRONG
        converted = {key: item(inside) for key, inside in value.items()}
        return {key: inside for key, inside in converted.items() if inside is not _WRONG}

    return read


def _record_reader(kind: type[JsonRecord]) -> _Reader:
    def read(value: Any) -> Any:
        record = kind.from_plain(value)
        return _WRONG if record is None else record

    return read


def _plain(value: Any) -> Any:
    if isinstance(value, JsonRecord):
        return value.to_plain()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
