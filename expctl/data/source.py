"""Data files that are read as one, under the name that the config has for them. Torch-free."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expctl.data import reading
from expctl.data.edits import AS_THEY_ARE, Edits
from expctl.data.formats import UNREADABLE, ending, not_utf8
from expctl.data.shape import Place, Row


@dataclass(frozen=True)
class Source:
    """One file or several, in the order in which they are read.

    Args:
        where: the config key and its value, `dataset.path=train.jsonl`, which messages begin with.
        files: data files, each in a format that `formats` knows.
        edits: what is done to their rows.
    """

    where: str
    files: tuple[Path, ...]
    edits: Edits = AS_THEY_ARE

    def rows(self) -> Iterator[tuple[Place, Row]]:
        """Every row with its place, edited. Raises ValueError with what is wrong, and in which of several files."""
        return self.edits.rows(self._read(reading.rows))

    def first_rows(self) -> Iterator[tuple[Place, Row]]:
        """As `rows`, for a caller that stops after a few."""
        return self.edits.rows(self._read(reading.first_rows))

    def place(self, file: Path, number: int) -> Place:
        """What a message calls a row of one of the files."""
        return number if len(self.files) == 1 else f"{number} of {file.name}"

    @contextmanager
    def naming(self, file: Path) -> Iterator[None]:
        """What is wrong with one of the files is raised as a ValueError that names its format and, of several, it."""
        try:
            yield
        except UNREADABLE as error:
            kind = "text" if ending(file) == ".txt" else ending(file)[1:]
            this = "" if len(self.files) == 1 else f"{file.name} is "
            wrong = not_utf8(file) if isinstance(error, UnicodeDecodeError) else error
            raise UnreadableError(f"{this}not a valid {kind} file: {wrong}") from error

    def _read(self, read: Callable[[Path], Iterator[tuple[int, Row]]]) -> Iterator[tuple[Place, Row]]:
        for file in self.files:
            with self.naming(file):
                for number, row in read(file):
                    yield self.place(file, number), row


class UnreadableError(ValueError):
    """A data file that is not in the format that its ending names."""
