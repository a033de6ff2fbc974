"""Files of a run are whole or absent, and damage to one misleads nobody."""

import json
import multiprocessing

from expctl.runs import manifest
from expctl.runs.files import Run, hang_reports, read_json, read_metrics, write_json
from expctl.runs.lock import Lock
from expctl.runs.ranks import Presence


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "run.json"
    contents = [{"n": n, "filler": "x" * 50_000} for n in range(2)]
    write_json(path, contents[0])
    reader = multiprocessing.get_context("spawn").Process(target=_read_many, args=(path,))
    reader.start()
    while reader.is_alive():
        for content in contents:
            write_json(path, content)
    assert reader.exitcode == 0
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def _read_many(path):
    for _ in range(2000):
        assert len(json.loads(path.read_text())["filler"]) == 50_000


def test_reports_of_ranks_that_end_at_this_moment_are_none(tmp_path):
    run = Run(tmp_path)
    comes_and_goes = multiprocessing.get_context("fork").Process(target=_come_and_go, args=(run.stacks,))
    comes_and_goes.start()
    while comes_and_goes.is_alive():
        assert hang_reports(run) == []


def _come_and_go(folder):
    for _ in range(20_000):
        folder.mkdir()
        (folder / "rank-0.txt").touch()
        (folder / "rank-0.txt").unlink()
        folder.rmdir()


def test_a_damaged_or_foreign_file_reads_as_nothing(tmp_path):
    path = tmp_path / "x.json"
    assert read_json(path) is None
    path.write_text('{"half": ')
    assert read_json(path) is None
    path.write_bytes(b"\xff\xfe\x00")
    assert read_json(path) is None


def test_a_last_line_that_was_cut_short_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert read_metrics(path) == [{"step": 1, "loss": 2.0}]


def created(tmp_path):
    run = Run(tmp_path)
    manifest.create(run)
    return run


def test_a_status_goes_from_created_to_running_to_completed(tmp_path):
    run = created(tmp_path)
    held = Lock(run.lock)
    assert manifest.read(run).status == "created"
    manifest.start_attempt(run, 0, {"trl": "1"})
    assert manifest.read(run).status == "running"
    manifest.end_attempt(run, "completed", to_step=3, exit_code=0)
    held.release()
    assert manifest.read(run).status == "completed"


def killed(tmp_path):
    """A run whose command died in its first attempt."""
    run = created(tmp_path)
    held = Lock(run.lock)
    manifest.start_attempt(run, 0, {})
    held.release()
    return run


def test_a_running_run_without_a_living_holder_is_interrupted_and_says_so_in_its_next_attempt(tmp_path):
    run = killed(tmp_path)
    assert manifest.read(run).status == "interrupted"
    held = Lock(run.lock)
    assert manifest.settled(run).status == "interrupted"
    manifest.start_attempt(run, 7, {})
    attempts = manifest.read(run).attempts
    assert [attempt.from_step for attempt in attempts] == [0, 7]
    assert attempts[0].signal == "killed" and attempts[0].ended
    held.release()


def test_a_run_whose_command_was_killed_is_what_its_workers_said_last(tmp_path):
    run = killed(tmp_path)
    write_json(run.outcome, {"status": "failed", "error": "KeyError: 'lost'"})
    assert manifest.read(run).status == "failed" and manifest.read(run).error == "KeyError: 'lost'"
    write_json(run.outcome, {"status": "completed"})
    assert manifest.read(run).status == "interrupted", "the summary is written last, and is not there"
    write_json(run.summary, {"objective": 1.0})
    assert manifest.read(run).status == "completed"


def test_a_run_whose_workers_live_on_is_running(tmp_path):
    run = killed(tmp_path)
    worker = Presence(run, 0)
    assert manifest.read(run).status == "running"
    worker.leave()
