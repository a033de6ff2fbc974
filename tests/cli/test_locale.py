"""`LC_ALL=C PYTHONUTF8=0`: letters beyond ASCII are read, written and printed."""

import json

from harness import COMMAND, SFT, expctl, only_run, run

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_names_and_folders_beyond_ascii_are_what_they_are(tmp_path):
    folder = tmp_path / "dossier_é"
    folder.mkdir()
    done = expctl(*SFT, "args.max_steps=1", "name='été'", cwd=folder, forked=False, **ASCII)
    assert done.returncode == 0, done.stderr
    made = only_run(folder)
    recorded = json.loads((made / "run.json").read_text(encoding="utf-8"))
    assert recorded["name"] == "été" and recorded["folder"] == str(folder)
    for words in (["ls"], ["show"], ["show", "--json"], ["compare", str(made)], ["check", "algorithm=é"]):
        said = run(COMMAND, *words, cwd=folder, **ASCII)
        assert said.returncode == (2 if words[0] == "check" else 0), said.stderr
        assert "Traceback" not in said.stderr
