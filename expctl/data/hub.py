"""Any data set of the Hugging Face hub, from the hub's cache or, where there is a network, from the hub itself."""

import glob
from pathlib import Path
from typing import Any

import huggingface_hub
from datasets import Dataset
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from expctl.base.data_kinds import current_kind
from expctl.data.hub_card import CARD, read_card, split_files
from expctl.data.located import TRAINING_SPLIT, hub_source
from expctl.data.prepared import Preparation
from expctl.data.source import Source


def load(
    *,
    kind: str,
    seed: int,
    path: str,
    name: str | None = None,
    split: str = TRAINING_SPLIT,
    eval_split: str | None = None,
    revision: str | None = None,
    eval_size: int | float | None = None,
    columns: dict[str, str] | None = None,
    template: str | None = None,
    conversational: bool = False,
    system_prompt: str | None = None,
    answer: str | None = None,
    filter: str | None = None,
    rows: int | None = None,
    shuffle: bool | None = None,
    deduplicate: str | None = None,
    held_out_by: str | None = None,
    streaming: bool | None = None,
) -> tuple[Dataset, Dataset]:
    """Load one split of a data set of the hub to train on, and another to evaluate on, or hold a part out.

    Args:
        kind: what the algorithm learns from; any further column reaches the reward functions.
        seed: chooses the held-out rows.
        path: hub id `ORG/NAME`, or a folder that is laid out like a repository of the hub.
        name: which of its data sets (its "subset" or "configuration"), where it has several.
        split: to train on.
        eval_split: to evaluate on; without one, rows of `split` are held out.
        revision: branch, tag or commit; None for the main branch.
        template, answer, filter: as in `edits.Edits`.
        eval_size, columns, conversational, system_prompt, rows, shuffle, deduplicate, held_out_by, streaming: as in
            `prepared.Preparation`.

    Raises:
        FileNotFoundError: neither on this machine nor on a hub that can be reached.
        ValueError: no such name, split or column, a row that the trainer cannot take, too few rows to hold out.
    """
    options = {"path": path, "name": name, "revision": revision, "columns": columns}
    options |= {"filter": filter, "template": template, "answer": answer}
    preparation = Preparation(
        kind=current_kind(kind),
        seed=seed,
        eval_size=eval_size,
        columns=columns,
        conversational=conversational,
        system_prompt=system_prompt,
        rows=rows,
        shuffle=shuffle,
        deduplicate=deduplicate,
        held_out_by=held_out_by,
        streaming=streaming,
    )
    train = _source(options, split, "dataset.split")
    evaluation = None if eval_split is None else _source(options, eval_split, "dataset.eval_split")
    return preparation.both(train, evaluation)


def _source(options: dict[str, Any], split: str, key: str) -> Source:
    source = hub_source(options, split, key)
    if source is None:
        _download(str(options["path"]), options["name"], options["revision"], split, key)
        source = hub_source(options, split, key)
    if source is None:
        raise FileNotFoundError(
            f"dataset.path={options['path']}: its files are not in the hub's cache after a download."
        )
    return source


def _download(path: str, name: str | None, revision: str | None, split: str, key: str) -> None:
    """Fetch the files of one split, and the card that names them, into the hub's cache."""
    try:
        names = huggingface_hub.HfApi().list_repo_files(path, repo_type="dataset", revision=revision)
        card = {}
        if CARD in names:
            card = read_card(Path(huggingface_hub.hf_hub_download(path, CARD, repo_type="dataset", revision=revision)))
        files = split_files(sorted(names), card, path, name=name, split=split, key=key)
        wanted = [glob.escape(file) for file in (CARD, *files)]
        huggingface_hub.snapshot_download(path, repo_type="dataset", revision=revision, allow_patterns=wanted)
    except GatedRepoError as error:
        raise FileNotFoundError(
            f"dataset.path={path} is given to those who accepted its terms on its page of the hub: hf auth login"
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"dataset.revision={revision}: {path} has no such branch, tag or commit.") from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"dataset.path={path}: the hub has no such data set, or it is private (hf auth login)."
        ) from error
    except HfHubHTTPError as error:
        raise FileNotFoundError(f"dataset.path={path} cannot be downloaded: {' '.join(str(error).split())}") from error
