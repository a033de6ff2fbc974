"""A sweep is trained, ends with the command that compares it, and that command comes to a conclusion."""

import json
import re

from harness import REPOSITORY, SFT, expctl

SWEEP = ["-m", *SFT, "args.do_eval=true", "dataset.eval_size=16", "dataset.train_size=64"]
SWEEP += ["args.learning_rate=1e-3,1e-6", "seed=0,1"]


def test_a_sweep_is_compared_by_the_command_that_it_ends_with(tmp_path):
    done = expctl(*SWEEP, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    words = re.search(r"^compare +expctl (compare .*)$", done.stdout, re.MULTILINE)[1].split()

    shown = expctl(*words, cwd=tmp_path)
    assert shown.returncode == 0 and shown.stderr == ""
    assert "baseline  learning_rate=0.001\n" in shown.stdout and "loss, lower is better" in shown.stdout

    # As the README types it.
    line = "compare --plots plots --html report.html"
    assert f"expctl {line}\n" in (REPOSITORY / "README.md").read_text()
    drawn = expctl(*line.split(), cwd=tmp_path)
    assert drawn.returncode == 0 and drawn.stderr == ""
    assert "page   report.html\n" in drawn.stdout
    written = {path.name for path in (tmp_path / "plots").iterdir()}
    assert {"curve-loss.png", "curve-loss.svg", "final-loss.png"} <= written
    page = (tmp_path / "report.html").read_text()
    assert "too few seeds" in page and "expctl algorithm=sft" in page and "Loss in training" in page

    found = json.loads(expctl(*words, "--json", cwd=tmp_path).stdout)
    assert found["varied"] == {"args.learning_rate": [0.001, 1e-6]} and found["warnings"] == []
    assert [group["seeds"] for group in found["groups"]] == [[0, 1]] * 2
    (difference,) = found["metrics"][0]["differences"]
    assert difference["paired"] and difference["seeds"] == [0, 1] and difference["difference"]["value"] > 0
    assert difference["verdict"]["word"] == "too few seeds"
    (command,) = found["more_seeds"]
    assert command.startswith("expctl -m algorithm=sft") and "args.learning_rate=0.001,1e-06 " in command
    assert "seed=2," in command or "'seed=range(2," in command
