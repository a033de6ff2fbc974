"""A miniature reproduction is one command: its runs, their comparison, a page; and again it trains nothing."""

import json
import os
import shutil
import sys
from pathlib import Path

from harness import COMMAND, REPOSITORY, forked_workers, manifest, run, runs

# In place of the commands of a reproduction that trains for an hour: what trains is checked, and what reads a finished
# training is told of one.
CHECKED = """#!/usr/bin/env bash
echo "expctl $*" >> said
case "$1" in
  ls) echo first ;;
  compare) ;;
  *) exec "$EXPCTL" check "$@" ;;
esac
"""


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


def test_the_commands_of_the_long_reproduction_are_accepted_in_their_order(tmp_path):
    """A description of the model stands where the script's first command would put the model."""
    tiny = REPOSITORY / "expctl/models/tiny"
    for model in (tmp_path / ".cache/expctl/models/smollm2_135m", tmp_path / "outputs/first/model"):
        shutil.copytree(tiny, model)
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(config | {"hidden_size": 576, "num_hidden_layers": 30}))
    commands = tmp_path / "commands"
    commands.mkdir()
    python = (
        f'#!/usr/bin/env bash\ncase "$1" in *make_smollm2.py) ;; *) exec {json.dumps(sys.executable)} "$@" ;; esac\n'
    )
    for name, text in (("expctl", CHECKED), ("python", python)):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    environment = forked_workers(EXPCTL=str(COMMAND), HOME=str(tmp_path))
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    script = str(REPOSITORY / "scripts/reproduce.sh")
    done = run("bash", script, "smollm2_words", "seed=7", cwd=tmp_path, PATH=path, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    said = (tmp_path / "said").read_text().splitlines()
    assert [line.split()[1] for line in said] == ["experiment=smollm2_worked", "ls", "-m", "compare"]
    assert "model.path=outputs/first/model" in said[2] and "seed=7" in said[2]
    assert done.stdout.count("gfpo-") == 2 and "--baseline grpo --excess completion length" in said[3]
