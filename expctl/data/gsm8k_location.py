"""Where GSM8K is on this machine. Torch-free, for the parent's check and the worker's loading."""

from pathlib import Path

from expctl.base import hub
from expctl.data.formats import FORMATS, is_data_file

HUB_ID = "openai/gsm8k"
SPLITS = ("train", "test")


def find(path: str = HUB_ID) -> Path | None:
    """The folder or file that holds GSM8K; None where it has to be downloaded, and can be.

    Args:
        path: hub id, a folder with files that begin with `train` and `test` (also one level down), or one file.

    Raises:
        FileNotFoundError: no such path, a folder without these files, or no copy while the hub cannot be asked.
    """
    local = Path(path).expanduser()
    if local.is_file():
        return local
    if local.is_dir():
        for split in SPLITS:
            split_file(local, split)
        return local
    snapshot = hub.cached_snapshot(path, repo_type="dataset")
    if snapshot and all(_files(snapshot / "main", split) for split in SPLITS):
        return snapshot / "main"
    reason = "that is no hub id" if path.count("/") != 1 else hub.offline_reason()
    if reason is None:
        return None
    raise FileNotFoundError(
        f"dataset.path={path}: no folder or file here, not in the hub's cache ({hub.cache_folder()}), and {reason}.\n"
        f"Where there is a network run: hf download {HUB_ID} --repo-type dataset --local-dir gsm8k   then copy the "
        "folder and give dataset.path=<folder>/main; dataset=arithmetic and dataset=reasoning_gym need no network."
    )


def split_file(folder: Path, split: str) -> Path:
    """The data file of a split. Raises FileNotFoundError."""
    files = _files(folder, split)
    if not files:
        raise FileNotFoundError(f"dataset.path={folder}: no file {split}* in it ({', '.join(FORMATS)}).")
    return files[0]


def _files(folder: Path, split: str) -> list[Path]:
    files = (*folder.glob(f"{split}*"), *folder.glob(f"*/{split}*"))
    return sorted(file for file in files if is_data_file(file))
