"""What the memory model asks of a trainer's fields."""

from typing import Any, Protocol


class Settings(Protocol):
    """The trainer's fields: what the experiment sets, else the default of the trainer's class, None of no field."""

    def __contains__(self, name: str) -> bool: ...

    def __getitem__(self, name: str) -> Any: ...
