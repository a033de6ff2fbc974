"""The data files that a path means: one, several, a pattern, a folder of shards or of `save_to_disk`. Torch-free."""

import glob
import json
from collections.abc import Sequence
from pathlib import Path

from expctl.data.formats import data_file, ending, is_data_file
from expctl.data.hub_card import split_in

SHOWN = 4


def data_files(path: str | Sequence[str], *, key: str) -> tuple[Path, ...]:
    """The data files at `path`, in the order in which they are read: as they are named, those of a folder by name.

    Args:
        path: a file, a folder, a pattern such as `data/part-*.jsonl`, or several of these.
        key: the config key that holds it, for the message.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: a file in a format that is not read, the same file twice, or a folder that is no single table.
    """
    named = [path] if isinstance(path, str) else list(path)
    files = [file for each in named for file in _files_at(str(each), key)]
    twice = next((file for file in files if files.count(file) > 1), None) if len(named) > 1 else None
    if twice is not None:
        raise ValueError(f"{key} names {twice} twice: its rows would count double.")
    return tuple(files)


def spelled(path: str | Sequence[str]) -> str:
    """A path, or several, as a message shows them."""
    if isinstance(path, str):
        return path
    shown = ", ".join(map(str, path[:SHOWN]))
    return f"[{shown}]" if len(path) <= SHOWN else f"[{shown}, and {len(path) - SHOWN} more]"


def _files_at(path: str, key: str) -> list[Path]:
    place = Path(path).expanduser()
    if place.is_dir():
        return _in_folder(place, f"{key}={path}", key)
    if glob.has_magic(path) and not place.exists():
        return _fitting(path, key)
    return [data_file(path, key=key)]


def _fitting(pattern: str, key: str) -> list[Path]:
    found = map(Path, glob.glob(str(Path(pattern).expanduser()), recursive=True))
    files = sorted(file for file in found if is_data_file(file) and file.is_file())
    if not files:
        raise FileNotFoundError(
            f"{key}={pattern}: no data file fits. A relative path starts at the working folder, {Path.cwd()}."
        )
    return files


def _in_folder(folder: Path, where: str, key: str) -> list[Path]:
    """The data files of a folder and those below it, which must be the shards of one table."""
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(inside.name for inside in folder.iterdir() if (inside / "state.json").is_file())
        first = "train" if "train" in splits or not splits else splits[0]
        raise ValueError(
            f"{where} holds several sets: {', '.join(splits)}.\ndataset.path={folder}/{first}, and "
            f"dataset.eval_path={folder}/<another> to evaluate on it"
        )
    if (folder / "state.json").is_file():
        return [folder / each["filename"] for each in _state(folder / "state.json", where)]
    below = [file.relative_to(folder) for file in folder.rglob("*") if is_data_file(file) and file.is_file()]
    shards = sorted(file for file in below if not any(part.startswith((".", "__")) for part in file.parts))
    if not shards:
        raise ValueError(f"{where} is a folder without a data file.")
    endings = sorted({"".join(file.suffixes[-2:]) if ending(file) != file.suffix else ending(file) for file in shards})
    if len({ending(file) for file in shards}) > 1:
        raise ValueError(
            f"{where} has files of several formats ({', '.join(endings)}), which may be the same rows twice.\n"
            f"name one format: {key}={folder}/*{ending(shards[0])}"
        )
    words = sorted({split for file in shards if (split := split_in(file.parts))})
    if len(words) > 1:
        raise ValueError(
            f"{where} has several splits ({', '.join(sorted(words))}), and all would be trained on.\n"
            f"dataset=hub dataset.path={folder} dataset.eval_split=test   or name the files: {key}={folder / shards[0]}"
        )
    return [folder / file for file in shards]


def _state(file: Path, where: str) -> list[dict[str, str]]:
    """The Arrow files that `datasets.Dataset.save_to_disk` wrote, as its `state.json` has them."""
    try:
        written: list[dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))["_data_files"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{where}: {file.name} is not what save_to_disk of datasets writes.") from error
    return written
