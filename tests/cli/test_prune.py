"""`expctl prune` deletes what nobody needs, says so first, and nothing else."""

import json
import sys

import pytest
from fabricated import completed, write_metrics

from expctl.base.refusal import Refusal
from expctl.cli.prune import main
from expctl.runs import manifest
from expctl.runs.lock import Lock


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with the checkpoints 2, 4, 6 and 8, the best of them 4, and half a one."""
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    run = completed("algorithm=sft", steps=8)
    write_metrics(run, [{"step": step, "eval_loss": loss} for step, loss in ((2, 3.0), (4, 1.0), (6, 2.0), (8, 2.0))])
    for step in (2, 4, 6, 8, 10):
        folder = run.checkpoints / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"0" * 1000)
        if step < 10:
            (folder / "complete.json").write_text("{}")
    return run


def left(run) -> list[int]:
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in run.checkpoints.iterdir())


def test_the_last_and_the_best_are_kept(run, capsys):
    assert main(["--yes"]) == 0
    assert left(run) == [4, 8]
    said = capsys.readouterr().out
    assert "delete  checkpoints 2, 6, 10" in said and "4 (the best)" in said and "8 (the last)" in said
    assert "3 checkpoints of 1 run" in said
    assert main(["--yes"]) == 0 and "nothing to prune" in capsys.readouterr().out
    assert run.model.is_dir() and left(run) == [4, 8]


def test_nothing_is_deleted_unless_somebody_says_so(run, monkeypatch, capsys):
    with pytest.raises(Refusal, match="unless you say so"):
        main([])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for answer, remaining in (("\n", [2, 4, 6, 8, 10]), ("n\n", [2, 4, 6, 8, 10]), ("y\n", [4, 8])):
        monkeypatch.setattr(sys.stdin, "readline", lambda answer=answer: answer, raising=False)
        assert main([run.run_id]) == 0
        assert left(run) == remaining


def test_a_checkpoint_that_another_run_has_started_from_is_kept(run):
    child = completed("algorithm=dpo", f"model=run:{run.run_id}@checkpoint-2")
    assert manifest.recorded(child).lineage.step == 2
    main(["--yes"])
    assert left(run) == [2, 4, 8]


def test_a_run_that_is_alive_is_not_touched(run, capsys):
    held = Lock(run.lock)
    try:
        assert main(["--yes"]) == 0
    finally:
        held.release()
    assert left(run) == [2, 4, 6, 8, 10] and "nothing to prune" in capsys.readouterr().out


def test_an_interrupted_run_keeps_what_it_is_carried_on_from_and_what_it_holds_for_best(run):
    run.summary.unlink()
    told = json.loads(run.manifest.read_text())
    run.manifest.write_text(json.dumps(told | {"status": "interrupted"}))
    (run.checkpoints / "checkpoint-8" / "trainer_state.json").write_text(json.dumps({"best_global_step": 6}))
    main(["--yes", run.run_id])
    assert left(run) == [6, 8]


def test_an_unknown_run_or_option_is_refused(run):
    for words, what in ((["nobody"], "no run is called"), (["--yse"], "no option '--yse'")):
        with pytest.raises(Refusal, match=what):
            main(words)
    assert left(run) == [2, 4, 6, 8, 10]
