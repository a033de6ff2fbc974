"""Data files: which endings are read, and how a file is opened, compressed or not. Torch-free."""

import bz2
import codecs
import difflib
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TextIO

FORMATS = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
FORMATS |= {".arrow": "arrow", ".txt": "text"}
# Those of several parts, which readers look up in the file itself: a compressed one cannot be read so.
_SOUGHT = (".parquet", ".arrow")
# What reading a file of another format may raise.
UNREADABLE = (ValueError, OSError, EOFError, zlib.error, lzma.LZMAError)
_DETECTED_BYTES = 4  # enough for every byte order mark, and for the zeros of UTF-16 and UTF-32 without one
_WIDE = {
    "UTF-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "UTF-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}


def data_file(path: str, *, key: str = "dataset.path") -> Path:
    """The data file at `path`.

    Args:
        path: of a file in one of `FORMATS`, compressed or not; `~` is the home folder.
        key: the config key that holds it, for the message.

    Raises:
        FileNotFoundError: no such file; names the nearest one in its folder.
        ValueError: no regular file, or an extension that is not read.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise FileNotFoundError(f"{key}={path}: no such file. {_nearest(file)}")
    if not file.is_file():
        raise ValueError(f"{key}={path} is no regular file; a dataset is read more than once.")
    if ending(file) not in FORMATS:
        raise ValueError(
            f"{key}={path}: '{file.suffix}' is not read; {', '.join(FORMATS)} are, also below {', '.join(_OPENERS)}."
        )
    if ending(file) in _SOUGHT and _compression(file):
        raise ValueError(f"{key}={path}: Parquet and Arrow are not read from '{file.suffix}'; unpack it and name that.")
    return file


def ending(file: Path) -> str:
    """The ending that names the format, in lower case: `.jsonl` of `train.JSONL.gz`."""
    return Path(file.stem if _compression(file) else file.name).suffix.lower()


def format_of(file: Path) -> str:
    """A value of `FORMATS`."""
    return FORMATS[ending(file)]


def is_data_file(file: Path) -> bool:
    """Whether the ending is one that is read."""
    return ending(file) in FORMATS


def open_text(file: Path) -> TextIO:
    """The file's text, unpacked, without a byte order mark and with line ends as they are.

    Raises:
        ValueError: UTF-16 or UTF-32, and what to do about it.
    """
    with open_bytes(file) as beginning:
        encoding = _wide_encoding(beginning.read(_DETECTED_BYTES))
    if encoding:
        raise ValueError(f"it is encoded as {encoding}, and UTF-8 is read: iconv -f {encoding} -t UTF-8")
    return io.TextIOWrapper(open_bytes(file), encoding="utf-8-sig", newline="")


def open_bytes(file: Path) -> BinaryIO:
    """The file's content, unpacked."""
    compression = _compression(file)
    if compression is None:
        return file.open("rb")
    unpacked: BinaryIO = _OPENERS[compression](file)
    return unpacked


def not_utf8(file: Path) -> str:
    """A sentence on where the file is not UTF-8: the line, the byte and the likely encoding."""
    with open_bytes(file) as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = line[error.start]
                return (
                    f"line {number} is no UTF-8 (byte 0x{byte:02x}). If it is Latin-1 or Windows-1252: "
                    "iconv -f WINDOWS-1252 -t UTF-8"
                )
    return "it is no UTF-8"


def _wide_encoding(beginning: bytes) -> str | None:
    """UTF-16 or UTF-32, by the byte order mark or, as in RFC 4627, by the zeros among the first ASCII characters."""
    for encoding, marks in _WIDE.items():
        if beginning.startswith(marks):
            return encoding
    zeros = [byte == 0 for byte in beginning]
    if zeros in ([False, True, True, True], [True, True, True, False]):
        return "UTF-32LE" if zeros[1] and not zeros[0] else "UTF-32BE"
    if zeros in ([False, True, False, True], [True, False, True, False]):
        return "UTF-16LE" if zeros[1] else "UTF-16BE"
    return None


def _open_zstandard(file: Path) -> BinaryIO:
    # Not the standard library's before Python 3.14; pyarrow takes 0.15 s to import, for this format only.
    import pyarrow

    return io.BufferedReader(pyarrow.input_stream(str(file), compression="zstd"))


# Any: the classes of the standard library that these make have no common type.
_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _open_zstandard,
}


def _compression(file: Path) -> str | None:
    suffix = file.suffix.lower()
    return suffix if suffix in _OPENERS else None


def _nearest(file: Path) -> str:
    if not file.parent.is_dir():
        return f"{file.parent} does not exist either."
    names = [entry.name for entry in file.parent.iterdir() if is_data_file(entry)]
    nearest = difflib.get_close_matches(file.name, names, n=1)
    if nearest:
        return f"Did you mean {file.parent / nearest[0]}?"
    return f"A relative path starts at the working folder, {Path.cwd()}."
