"""A miniature reproduction is one command: its runs, their comparison, a page; and again it trains nothing."""

import os
from pathlib import Path

from harness import COMMAND, REPOSITORY, forked_workers, manifest, run, runs


def test_one_command_runs_a_table_and_writes_its_report_and_again_does_only_the_report(tmp_path):
    words = ["replay_mini", "args.max_steps=1", "dataset.eval_size=16", "seed=0,1"]
    path = f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"
    script = str(REPOSITORY / "scripts" / "reproduce.sh")
    for _ in range(2):
        done = run("bash", script, *words, cwd=tmp_path, PATH=path, **forked_workers())
        assert done.returncode == 0, done.stdout + done.stderr
        for row in ("grpo", "replay", "replay_whole_batch"):
            assert f"\n{row} " in done.stdout, "a line of the table"
    assert [len(manifest(folder)["attempts"]) for folder in runs(tmp_path)] == [1] * 6
    page = (tmp_path / "outputs" / "replay_mini.html").read_text()
    assert "replay_whole_batch" in page and list((tmp_path / "outputs" / "replay_mini").glob("*.svg"))
