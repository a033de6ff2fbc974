"""What parent and worker both refuse of a dataset: a kind it has not, a column, a task. Torch-free."""

import difflib

KINDS = {
    "prompts": ("prompt",),
    "completions": ("prompt", "completion"),
    "preferences": ("prompt", "chosen", "rejected"),
}


def check_kind(kind: str, dataset: str, supported: tuple[str, ...]) -> None:
    """Raise ValueError where `dataset` cannot give what the algorithm eats."""
    if kind not in supported:
        raise ValueError(
            f"dataset {dataset} has no {kind!r}, which the algorithm needs; it has {', '.join(supported)}."
        )


def check_task(task: str, names: list[str]) -> None:
    """Raise ValueError where reasoning-gym has no such task."""
    if task not in names:
        nearest = difflib.get_close_matches(task, names, n=3, cutoff=0.4)
        raise ValueError(
            f"dataset.task={task}: reasoning-gym has no such task. Nearest: {', '.join(nearest or names)}."
        )


def check_columns(existing: list[str], *, kind: str, columns: dict[str, str], where: str) -> None:
    """Raise ValueError where a column that `kind` needs, or that `columns` maps, is not in the data.

    Args:
        existing: names of the columns of the data.
        kind: key of `KINDS`.
        columns: our name -> the data's name, for columns that have other names there.
        where: the config key and its value, to begin the message with.
    """
    check_kind(kind, "files", tuple(KINDS))
    wanted = {name: columns.get(name, name) for name in (*KINDS[kind], *columns)}
    for ours, theirs in wanted.items():
        if theirs in existing:
            continue
        nearest = difflib.get_close_matches(theirs, existing, n=1, cutoff=0.5)
        suggestion = nearest[0] if nearest else "<one of these>"
        raise ValueError(
            f"{where} has no column '{theirs}'"
            + (f", which dataset.columns.{ours} names" if ours in columns else f", which {kind} need")
            + f". It has: {', '.join(existing)}.\n"
            + (f"Did you mean '{nearest[0]}'? " if nearest else "")
            + f"Say which column it is: dataset.columns.{ours}={suggestion}"
        )
