"""The view of an experiment's data. It changes this process: call it in one of its own."""

import copy
import itertools
import tempfile
from collections.abc import Sized
from dataclasses import asdict
from typing import Any

from datasets import Dataset

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.data.conversation import fit_to_tokenizer
from expctl.models.seeing import text_tokenizer
from expctl.worker.data_view import contents, lengths, tokens
from expctl.worker.preflight import data, model
from expctl.worker.preflight.phases import Preflight, leave_process_group

# Rows whose tokens are counted, and rows whose content is looked at.
TOKENIZED, READ = 4000, 200_000
# No row is as long: the trainer cuts none.
UNLIMITED = 1 << 30
LONGEST_CELL = 2000


def view(config: dict[str, Any], shown: int) -> dict[str, Any]:
    """Load the data of a resolved config and take them to tokens as the trainer does.

    Returns:
        As JSON can carry them `wrong` and `traceback`, see `expctl.worker.preflight.phases`; and `view`, None where
        something is wrong.
    """
    leave_process_group()
    check = Preflight(config)
    with tempfile.TemporaryDirectory(prefix="expctl-data-") as folder:
        found = _view(check, folder, shown)
    return {"wrong": [asdict(problem) for problem in check.problems], "traceback": check.traceback, "view": found}


def _view(check: Preflight, folder: str, shown: int) -> dict[str, Any] | None:
    from expctl.worker.preflight import build_phases

    config = check.config
    parts = build_phases.parts_of(check, folder)
    if check.problems:
        return None
    train, evaluation = parts["train_dataset"], parts["eval_dataset"]
    held_out = evaluation if isinstance(evaluation, dict) else {"eval": evaluation}
    held_out = {name: part for name, part in held_out.items() if part is not None}
    rows, numbers = _read(train), _spread(train)
    parts |= {"train_dataset": _selected(train, numbers), "eval_dataset": data.head(evaluation, data.CHECKED_ROWS)}
    sequences = _sequences(check, parts, folder)
    if sequences is None:
        return None
    tokenizer = text_tokenizer(parts["processing_class"])
    special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    whole = [each for each in sequences if each]
    of_row = (
        dict(zip(numbers, sequences, strict=False)) if len(numbers) == len(sequences) else dict(enumerate(sequences))
    )
    return {
        "kind": config["algorithm"]["kind"],
        "trainer": config["algorithm"]["trainer"]["_target_"].rpartition(".")[2],
        "model": config["model"]["path"],
        "left_out": check.left_out,
        "rows": {"train": _count(train)} | {name: _count(part) for name, part in held_out.items()},
        "looked_at": {"content": len(rows), "tokens": len(whole)},
        "columns": {name: _described(rows[0].get(name)) for name in rows[0]},
        "examples": [
            {"row": number + 1, "columns": _beside(rows, number), "sequences": _shown(of_row[number], parts)}
            for number in _chosen(of_row, shown)
        ],
        "lengths": {name: lengths.summary(values) for name, values in lengths.lengths(whole).items()},
        "limits": _limits(check, parts, whole, folder) if whole else [],
        "repeated": contents.repetitions(rows),
        "overlap": {name: contents.overlap(rows, _read(part)) for name, part in held_out.items()},
        "balance": contents.balance(rows),
        "chosen": contents.preferences(rows),
        "odd": contents.odd_cells(rows, special),
    }


def _read(dataset: Any) -> list[dict[str, Any]]:
    """The rows whose content is looked at, media as they are stored."""
    if isinstance(dataset, Dataset):
        first = dataset.select(range(min(READ, len(dataset)))).with_format("arrow")
        return [row for batch in first.iter(1000) for row in batch.to_pylist()]
    return [dict(row) for row in itertools.islice(dataset, TOKENIZED)]


def _chosen(rows: dict[int, list[tokens.Sequence]], count: int) -> list[int]:
    """The numbers of the rows that are shown: the first ones, and last the longest one."""
    first = list(rows)[:count]
    longest = max(
        (number for number in rows if rows[number]), key=lambda number: lengths.longest(rows[number]), default=None
    )
    return first if longest is None or longest in first or count < 2 else [*first[:-1], longest]


def _spread(dataset: Any) -> list[int]:
    """The indices of the rows whose tokens are counted, evenly spread where there are more."""
    count = _count(dataset)
    if count is None or not isinstance(dataset, Dataset):
        return list(range(TOKENIZED))
    return list(range(count)) if count <= TOKENIZED else [i * count // TOKENIZED for i in range(TOKENIZED)]


def _selected(dataset: Any, indices: list[int]) -> Any:
    if not isinstance(dataset, Dataset):
        return data.head(dataset, TOKENIZED)
    return dataset if len(indices) == len(dataset) else dataset.select(indices)


def _count(dataset: Any) -> int | None:
    return len(dataset) if isinstance(dataset, Sized) else None


def _sequences(check: Preflight, parts: dict[str, Any], folder: str) -> list[list[tokens.Sequence]] | None:
    """The sequences of the first rows as the trainer makes them, uncut; None where a problem was found."""
    if check.config["algorithm"]["kind"] != PROMPT_ONLY:
        trainer = _trainer(check, parts, folder, cut=False)
        return None if trainer is None else [tokens.of_prepared_row(row) for row in trainer.train_dataset]
    tokenizer = text_tokenizer(parts["processing_class"])
    options = getattr(parts["args"], "chat_template_kwargs", None) or {}
    with check.phase("chat template and tokens", lambda error: data_problem(check, error)):
        rows = fit_to_tokenizer(data.head(parts["train_dataset"], TOKENIZED), tokenizer)
        return [[tokens.of_prompt(row["prompt"], tokenizer, options)] for row in rows]
    return None


def data_problem(check: Preflight, error: BaseException) -> Any:
    """The problem of an error in rendering rows."""
    from expctl.worker.preflight.build_phases import data_problem

    return data_problem(check, error)


def _trainer(check: Preflight, parts: dict[str, Any], folder: str, *, cut: bool) -> Any:
    """The trainer with its data tokenized; with `cut=False` no row is cut, dropped or packed."""
    from expctl.worker.preflight import build_phases

    args = parts["args"]
    if not cut:
        config = copy.deepcopy(check.config)
        if getattr(args, "max_length", None) is not None:
            config["args"]["max_length"] = None if getattr(args, "padding_free", False) else UNLIMITED
        if _is_packed(args):
            config["args"] |= {"packing": False, "padding_free": False}
        if hasattr(args, "shuffle_dataset"):
            config["args"]["shuffle_dataset"] = False
        args = build_phases.arguments(config, folder)
    return build_phases.trainer_of(check, parts | {"args": args}, [], TOKENIZED)


def _is_packed(args: Any) -> bool:
    return bool(getattr(args, "packing", False))


def _limits(
    check: Preflight, parts: dict[str, Any], rows: list[list[tokens.Sequence]], folder: str
) -> list[dict[str, Any]]:
    """What each limit does to the rows: how many are longer, and how many of these are dropped."""
    args, found = parts["args"], []
    limit = getattr(args, "max_length", None)
    if limit is not None and check.config["algorithm"]["kind"] != PROMPT_ONLY:
        over = sum(lengths.longest(row) > limit for row in rows)
        kept = None
        if over or _is_packed(args):
            trainer = _trainer(check, parts, folder, cut=True)
            kept = None if trainer is None else _count(trainer.train_dataset)
        counts = {"limit": "args.max_length", "tokens": limit, "over": over}
        if _is_packed(args):
            found.append(counts | {"packed": kept})
        else:
            found.append(counts | {"dropped": 0 if kept is None else len(rows) - kept})
    sampled = getattr(args, "max_completion_length", None) or 0
    sampled = sampled if check.config["algorithm"]["kind"] == PROMPT_ONLY else 0
    most_of = {
        "args.vllm_max_model_length": getattr(args, "vllm_max_model_length", None),
        "positions": model.positions(parts["model"]),
    }
    for name, most in most_of.items():
        if most is not None:
            over = sum(lengths.longest(row) + sampled > most for row in rows)
            found.append({"limit": name, "tokens": most, "over": over, "sampled": sampled})
    return found


def _shown(sequences: list[tokens.Sequence], parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Sequences as text in pieces, with what is cut off."""
    args = parts["args"]
    limit = None if _is_packed(args) else getattr(args, "max_length", None)
    shown = []
    for sequence in sequences:
        length = len(sequence.ids)
        left = range(length)
        if limit is not None and limit < length:
            left = left[-limit:] if getattr(args, "truncation_mode", None) == "keep_end" else left[:limit]
        pieces = tokens.segments(sequence, text_tokenizer(parts["processing_class"]), left.__contains__)
        shown.append({"name": sequence.name, "tokens": length, "trained": sum(sequence.trained), "pieces": pieces})
    return shown


def _beside(rows: list[dict[str, Any]], number: int) -> dict[str, Any]:
    """The columns of a row that no model reads, but rewards may."""
    row = rows[number] if number < len(rows) else {}
    return {name: _cell(cell) for name, cell in row.items() if name not in data.TEXTS}


def _cell(cell: Any) -> Any:
    """A cell as JSON carries it, text cut where it is long."""
    if isinstance(cell, bool | int | float | None):
        return cell
    text = contents.text_of(cell)
    return text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + "..."


def _described(cell: Any) -> str:
    """What a column holds, by its first cell."""
    if isinstance(cell, list):
        return "conversation" if cell and isinstance(cell[0], dict) and "content" in cell[0] else "list"
    names = {str: "text", bool: "true or false", int: "number", float: "number", dict: "mapping"}
    return next((name for kind, name in names.items() if type(cell) is kind), type(cell).__name__)
