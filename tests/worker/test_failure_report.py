"""A failure is told by its cause."""

import errno
import os
import subprocess
import sys

import pytest

from expctl.runs.files import Run, read_json
from expctl.worker.failure_report import is_full_disk, report_failure

SHORT_LIVED = (
    "import sys; from pathlib import Path; from expctl.runs.files import Run\n"
    "from expctl.runs.ranks import Presence\nPresence(Run(Path(sys.argv[1])), 1)"
)


def chained(cause: BaseException) -> BaseException:
    try:
        try:
            raise cause
        except BaseException as error:
            raise RuntimeError("saving failed") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        chained(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
        chained(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:668] . PytorchStreamWriter failed writing file data/0"),
    ],
)
def test_a_full_disk_is_known_however_a_library_words_it(error):
    assert is_full_disk(error)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), KeyError("lost"), RuntimeError("write")])
def test_other_errors_are_no_full_disk(error):
    assert not is_full_disk(error)


def test_the_first_rank_to_fail_has_the_word(tmp_path, capsys):
    run = Run(tmp_path)
    report_failure(run, 1, 1, KeyError("lost"))
    report_failure(run, 0, 1, RuntimeError("connection closed by peer"))
    assert read_json(run.outcome) == {"status": "failed", "rank": 1, "error": "KeyError: 'lost'"}
    assert "connection closed by peer" in capsys.readouterr().err


def test_a_rank_that_was_killed_is_the_cause_of_what_its_peers_notice(tmp_path):
    run = Run(tmp_path)
    subprocess.run([sys.executable, "-c", SHORT_LIVED, tmp_path], check=True)
    report_failure(run, 0, 2, RuntimeError("connection closed by peer"))
    outcome = read_json(run.outcome)
    assert outcome["lost"] == [1] and "rank 1" in outcome["error"] and "connection" not in outcome["error"]


def test_a_full_disk_gives_back_what_was_half_written(tmp_path):
    run = Run(tmp_path)
    (run.checkpoints / ".writing" / "checkpoint-4").mkdir(parents=True)
    (run.checkpoints / ".writing" / "checkpoint-4" / "optimizer.pt").write_bytes(b"half")
    report_failure(run, 0, 1, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert not (run.checkpoints / ".writing").exists()
    assert "the disk is full" in read_json(run.outcome)["error"] and str(tmp_path) in read_json(run.outcome)["error"]


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("index out of range in self", "max_position_embeddings"),
        ("CUDA out of memory. Tried to allocate 2 GiB", "per_device_train_batch_size"),
        ("lost", ""),
    ],
)
def test_a_librarys_error_comes_with_what_to_do(tmp_path, message, advice):
    report_failure(Run(tmp_path), 0, 1, IndexError(message))
    assert read_json(Run(tmp_path).outcome)["error"].startswith(f"IndexError: {message}")
    assert advice in read_json(Run(tmp_path).outcome)["error"]
