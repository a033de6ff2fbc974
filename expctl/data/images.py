"""Images beside conversations: where a row has them, and how they reach TRL. Torch-free.

TRL takes a column `images` of lists, and puts each in front of the text of the first turn of the user.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expctl.data.turns import Turn

IMAGE, IMAGES = "image", "images"
COLUMNS = (IMAGE, IMAGES)


def images_of(cells: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The images of a row, as `datasets.Image` stores them: `bytes`, or a `path` that is there.

    Args:
        cells: of the row: `images`, a list, or `image`, one; each a path, or bytes with or without one.
        folder: where relative paths begin.

    Raises:
        ValueError: an image that is not there, or is none of these.
    """
    given = cells.get(IMAGES) if cells.get(IMAGES) is not None else cells.get(IMAGE)
    if given is None:
        return []
    return [_image(one, folder) for one in (given if isinstance(given, list) else [given])]


def identity(images: list[Mapping[str, Any]] | None) -> str:
    """What tells the stored images of a row from others: their paths, or what their bytes hash to."""
    contents = [one.get("bytes") for one in images or []]
    hashed = [hashlib.sha256(each).hexdigest()[:16] if each else None for each in contents]
    return " ".join(each or str(one.get("path")) for each, one in zip(hashed, images or [], strict=True))


def _image(cell: Any, folder: Path) -> dict[str, Any]:
    path, content = cell, None
    if isinstance(cell, dict):
        path, content = cell.get("path"), cell.get("bytes")
    if isinstance(content, bytes):
        return {"bytes": content, "path": path if isinstance(path, str) else None}
    if not isinstance(path, str):
        raise ValueError(f"an image is a path, or bytes as datasets.Image stores them, and here is {cell!r:.60}")
    if "://" in path:
        raise ValueError(f"the image {path:.80} lies in the network; download it, and give its path")
    file = folder / Path(path).expanduser()
    if not file.is_file():
        raise ValueError(f"the image {path:.80} is not there (paths begin at {folder})")
    return {"bytes": None, "path": str(file.resolve())}


def without_places(conversation: list[Turn], count: int) -> list[Turn]:
    """A conversation without the parts that say where its images stand, which have to be where TRL puts them.

    Args:
        conversation: whose content may be in parts, `[{"type": "image"}, {"type": "text", "text": ...}]`.
        count: images of the row.

    Raises:
        ValueError: a part is elsewhere than before the text of the first turn of the user, or there are more or fewer.
    """
    places = [_places(turn) for turn in conversation]
    if not sum(places):
        return conversation
    first = next((number for number, turn in enumerate(conversation) if turn.get("role") == "user"), None)
    if first is None or places[first] != sum(places) or not _lead(conversation[first]["content"]):
        raise ValueError(
            "an image stands elsewhere than before the text of the first turn of the user, where TRL puts it"
        )
    if sum(places) != count:
        raise ValueError(f"the conversation has places for {sum(places)} images, and the row has {count}")
    turn = dict(conversation[first])
    turn["content"] = [part for part in turn["content"] if not _is_place(part)]
    return [*conversation[:first], turn, *conversation[first + 1 :]]


def check_conversation(texts: Mapping[str, Any]) -> None:
    """Raise ValueError where a row with images is a text: TRL puts them into a turn of the user."""
    plain = [name for name, cell in texts.items() if name in ("prompt", "text") and isinstance(cell, str)]
    if plain:
        raise ValueError(f"it has images, and '{plain[0]}' is a text; dataset.conversational=true makes it a turn")


def named_only(prompt: Any) -> Any:
    """A prompt with the places of its images in place of what is in them, as JSON can carry it."""
    if not isinstance(prompt, list):
        return prompt
    return [
        _named_only(turn) if isinstance(turn, dict) and isinstance(turn.get("content"), list) else turn
        for turn in prompt
    ]


def _named_only(turn: Turn) -> Turn:
    parts = [{"type": IMAGE} if _is_place(part) else part for part in turn["content"]]
    return {**turn, "content": parts}


def _places(turn: Turn) -> int:
    content = turn.get("content")
    return sum(map(_is_place, content)) if isinstance(content, list) else 0


def _lead(parts: list[Any]) -> bool:
    """Whether the images come before everything else."""
    kinds = [_is_place(part) for part in parts]
    return kinds == sorted(kinds, reverse=True)


def _is_place(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == IMAGE
