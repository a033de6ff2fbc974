"""Any text that a file can hold comes back as the same text, whatever its format."""

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from expctl.data.formats import FORMATS
from expctl.data.reading import rows

# All of Unicode but the halves of pairs, which no UTF-8 file can hold.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LOOKS_LIKE_A_VALUE = st.sampled_from(["null", "NA", "nan", "007", "1e5", "True", " ", "\ufeff", "[1]", '"', "\\"])
CELL = TEXT | LOOKS_LIKE_A_VALUE
TABLE = st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5)


def written_csv(table, file: Path, delimiter: str) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("prompt", "answer"), *table])


def written(table, file: Path) -> None:
    if FORMATS[file.suffix] == "csv":
        written_csv(table, file, "\t" if file.suffix == ".tsv" else ",")
        return
    objects = [json.dumps({"prompt": prompt, "answer": answer}, ensure_ascii=False) for prompt, answer in table]
    text = f"[{', '.join(objects)}]" if file.suffix == ".json" else "\n".join(objects)
    file.write_text(text, encoding="utf-8", newline="")


@settings(deadline=None, max_examples=150)
@given(TABLE, st.sampled_from([".csv", ".tsv", ".jsonl", ".ndjson", ".json"]))
def test_any_text_comes_back_as_it_was_written(table, ending):
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"rows{ending}"
        written(table, file)
        read = [(row["prompt"], row["answer"]) for _, row in rows(file)]
    assert read == table
