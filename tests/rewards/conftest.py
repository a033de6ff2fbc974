from collections.abc import Callable
from pathlib import Path

import pytest

Row = tuple[str, str]


@pytest.fixture(scope="session")
def answer_table() -> Callable[..., list[Row]]:
    """Completion and right answer of the rows of answers.tsv with any of the verdicts wrong, right, algebra."""
    lines = Path(__file__).with_name("answers.tsv").read_text(encoding="utf-8").split("\n")
    cells = [line.replace("⏎", "\n").split("\t") for line in lines if line and not line.startswith("//")]
    return lambda *verdicts: [(completion, right) for verdict, completion, right in cells if verdict in verdicts]
