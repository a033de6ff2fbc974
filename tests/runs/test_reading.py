"""Files that anybody may have written are plain data of a bounded size, or say in words why not."""

import os
import socket

import pytest

from expctl.runs import manifest
from expctl.runs.files import Run, read_json
from expctl.runs.lock import is_held
from expctl.runs.ranks import alive, lost
from expctl.runs.reading import UnreadableError, load_json, read_bytes, read_rows
from expctl.runs.reading import read_json as strictly
from expctl.runs.yaml_reading import read_yaml

DEEP = 10_000


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.relpath(tmp_path / "socket"))
    server.close()
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("pipe", "folder", "socket", "device", "loop"):
        with pytest.raises((UnreadableError, OSError)):
            read_bytes(tmp_path / name)
        assert read_json(tmp_path / name) is None and read_rows(tmp_path / name)[0] == []


def test_a_link_is_followed_inside_of_its_folder_only(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "secret.json").write_text("1")
    (tmp_path / "run" / "own.json").write_text("2")
    (tmp_path / "run" / "out").symlink_to("../secret.json")
    (tmp_path / "run" / "in").symlink_to("own.json")
    (tmp_path / "linked").symlink_to("run")
    for folder in ("run", "linked"):
        assert strictly(tmp_path / folder / "in") == 2
        with pytest.raises(UnreadableError, match="is a link out of its folder"):
            strictly(tmp_path / folder / "out")


def test_numbers_are_ones_that_a_float_holds():
    assert load_json("[12, 1e400, -1e400]") == [12, float("inf"), float("-inf")]
    assert load_json("9" * 400) == float("inf") and load_json("-" + "9" * 5000) == float("-inf")
    assert load_json("9" * 20) == int("9" * 20)


@pytest.mark.parametrize("text", ["[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[" * 100 + "]" * 100])
def test_what_is_nested_without_end_is_refused(tmp_path, text):
    with pytest.raises(UnreadableError, match="nested too deep"):
        load_json(text)
    (tmp_path / "x").write_text(text)
    with pytest.raises(UnreadableError, match="nested too deep"):
        read_yaml(tmp_path / "x")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {x: 1, y: 2}\n" + "\n".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch x']",
        "a: !!python/name:os.system",
        "!own 1",
        "a: &a {b: *a}",
        BOMB,
        MERGED,
        "\n".join(" " * depth + "a:" for depth in range(2000)),
        "- " * DEEP,
        "a: [",
        "\x00",
        "a: 2026-99-99",
        "? [1]\n: 2",
        "a: " + "9" * 5000,
    ],
    ids=range(13),
)
def test_yaml_that_is_more_than_data_is_refused(tmp_path, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(UnreadableError):
        read_yaml(tmp_path / "x")
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_yaml_is_read_as_json_could_hold_it(tmp_path):
    text = "1: 2026-11-01\nb: !!binary aGk=\nc: !!set {x}\nd: &d [1]\ne: *d\nf: 0x" + "f" * 400 + "\nfalse: .inf"
    (tmp_path / "x").write_text(text)
    assert read_yaml(tmp_path / "x") == {
        "1": "2026-11-01",
        "b": "b'hi'",
        "c": ["x"],
        "d": [1],
        "e": [1],
        "f": float("inf"),
        "False": float("inf"),
    }


def test_lines_that_are_no_objects_are_counted_and_a_cut_last_one_is_not(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n\xff\xfe\x00\n[1]\n' + b"[" * DEEP + b'\n{"a": ' * 3 + b'\n{"step": 2}\n{"st')
    rows, wrong = read_rows(path)
    assert rows == [{"step": 1}, {"step": 2}] and wrong == "has 6 lines that are no JSON object"
    path.write_bytes(b'{"step": 1}\n{"st')
    assert read_rows(path) == ([{"step": 1}], None)
    assert read_rows(tmp_path / "none") == ([], None)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b"[" * DEEP, b'{"rank": 0}', b"9" * 5000])
def test_damaged_words_of_ranks_and_of_the_worker_are_none(tmp_path, content):
    run = Run(tmp_path)
    run.ranks.mkdir()
    for file in (run.ranks / "rank-0", run.outcome, run.progress):
        file.write_bytes(content)
    manifest.create(run)
    assert alive(run) == [] and lost(run) == []
    assert manifest.read(run).status == manifest.INTERRUPTED
    run.lock.write_bytes(content)
    assert is_held(run.lock) in (True, False)  # of a holder elsewhere only the time of the file tells


def test_a_manifest_that_is_taken_away_is_an_error_of_the_file(tmp_path):
    run = Run(tmp_path)
    manifest.create(run)
    for damage in (lambda: run.manifest.write_text("[]"), run.manifest.unlink):
        damage()
        for change in (
            lambda: manifest.start_attempt(run, 0, {}),
            lambda: manifest.note(run, "notes", ["a"]),
            lambda: manifest.end_attempt(run, "failed", to_step=0, exit_code=1),
        ):
            with pytest.raises(FileNotFoundError, match="taken away or damaged"):
                change()
