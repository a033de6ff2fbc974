"""Mutated commands are answered well (scripts/fuzz.py draws as many as one likes; these are the same in every run)."""

import sys

from harness import REPOSITORY, run


def test_no_mutated_command_gets_a_traceback_a_long_answer_or_a_file(tmp_path):
    done = run(sys.executable, str(REPOSITORY / "scripts" / "fuzz.py"), "--count", "100", "--seed", "5", cwd=tmp_path)
    assert "100 commands" in done.stdout and " 0 answered badly" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_the_fuzzer_sees_a_bad_answer(tmp_path):
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    from fuzz import Answer

    assert Answer(["seed=1"], 0, "ok  run\n").complaints() == []
    assert Answer(["seed=1"], 2, "expctl: no key\n").complaints() == []
    traceback = "Traceback (most recent call last):\n"
    bad = [
        Answer([], 1, "x"),
        Answer([], 2, traceback),
        Answer([], 2, "x\n" * 21),
        Answer([], 2, ""),
        Answer([], 2, "\x1b[31m"),
        Answer([], 2, "\u202e"),
    ]
    assert all(len(answer.complaints()) == 1 for answer in bad)
