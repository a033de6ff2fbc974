"""`expctl verify` as a person runs it."""

import io
import json
import sys

import pytest
from harness import forked_workers, run

from expctl.algorithms.upstream import ALGORITHMS
from expctl.cli import verify
from expctl.cli.main import run_words
from expctl.report.verdicts import Verdicts, failures

PASSED = {
    "algorithm": "gfpo",
    "name": "k = G is GRPO",
    "statement": "keeping all is GRPO",
    "passed": True,
    "measured": 0.0,
    "bound": "= 0",
    "seconds": 1.0,
    "why": [],
}
WRONG = PASSED | {"name": "filters", "passed": False, "measured": 3.0}
CHANGED = WRONG | {"name": "upstream", "measured": None, "why": ["A.b changed between 1 and 2", "A.c is gone"]}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """What is found here is remembered where nobody else looks."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EXPCTL_CACHE", str(folder))
    return folder


def typed(*words, cwd, **environment):
    return run(sys.executable, "-m", "expctl", "verify", *words, cwd=cwd, **environment, **forked_workers())


@pytest.fixture
def child(monkeypatch, tmp_path):
    """Replaces the process of the checks by one that says the given lines and ends with the given code."""

    def says(*lines, code=0):
        script = tmp_path / "child.py"
        script.write_text(
            f"import sys\nfor line in {lines!r}: print(line)\nprint('Boom', file=sys.stderr)\nsys.exit({code})"
        )
        command = [sys.executable, str(script)]
        real = verify.subprocess.Popen
        monkeypatch.setattr(verify.subprocess, "Popen", lambda words, **keywords: real(command, **keywords))

    return says


def header(*verdicts):
    return json.dumps({"checks": [[each["algorithm"], each["name"]] for each in verdicts]})


def test_everything_passes_on_the_tested_versions_and_leaves_nothing_behind(tmp_path, cache):
    # as inside of a launcher's process: its group and its settings are none of the checks' business
    launched = {"RANK": "1", "WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"}
    done = typed("--json", cwd=tmp_path, TMPDIR=str(tmp_path), EXPCTL_CACHE=str(cache), **launched)
    output = json.loads(done.stdout)
    assert [each for each in output["proofs"] if not each["passed"]] == [] and output["error"] is None
    assert done.returncode == 0 and output["proven"]
    assert {each["algorithm"] for each in output["proofs"]} == set(ALGORITHMS)
    assert {"trl", "transformers", "torch", "expctl", "python"} == set(output["versions"])
    assert list(tmp_path.iterdir()) == [] and json.loads((cache / "verified.json").read_text()).keys() == {*ALGORITHMS}


def test_checks_are_shown_one_a_line_and_a_failed_one_is_explained(child, capfd):
    child(header(PASSED, WRONG, CHANGED), *map(json.dumps, (PASSED, WRONG, CHANGED)))
    assert run_words(["verify", "gfpo"]) == 1
    shown = capfd.readouterr()
    rows = shown.out.splitlines()
    assert rows[0].split() == ["algorithm", "check", "measured", "must", "be", "what", "holds"]
    assert rows[1].startswith("ok") and "k = G is GRPO" in rows[1] and rows[1].endswith("keeping all is GRPO")
    assert rows[2].startswith("FAIL") and " 3 = 0" in rows[2]
    assert "1 of 3 checks passed on python" in shown.out
    assert shown.err.splitlines() == [
        "failed: gfpo: filters: measured 3, must be = 0",
        "failed: gfpo: upstream: A.b changed between 1 and 2",
        "failed: gfpo: upstream: A.c is gone",
    ]


@pytest.mark.parametrize(
    ("lines", "code"),
    [((header(PASSED, WRONG), json.dumps(PASSED)), 0), ((header(PASSED), json.dumps(PASSED)), 1), ((), 1), ((), 0)],
)
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_checks_that_break_off_have_not_passed(child, capfd, lines, code, words):
    child(*lines, code=code)
    assert run_words(["verify", *words]) == 1
    shown = capfd.readouterr()
    output = json.loads(shown.out)["error"] if words else shown.err
    assert "the checks broke off" in output and f"exit code {code}" in output and "Boom" in output


def test_all_passed_is_exit_0(child, capfd):
    child(header(PASSED), json.dumps(PASSED))
    assert run_words(["verify", "gfpo"]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("word", "nearest"), [("gfpoo", "gfpo"), ("gspo-tokens", "gspo_token"), ("bemaa", "bema"), ("zzz", "gfpo")]
)
def test_an_unknown_algorithm_is_refused_with_the_nearest(capfd, word, nearest):
    assert run_words(["verify", word]) == 2
    message = capfd.readouterr().err
    assert f"no algorithm '{word}' to check" in message and nearest in message.split("nearest")[1]


def test_an_unknown_option_is_refused(capfd):
    assert run_words(["verify", "--jsn"]) == 2
    assert "no option '--jsn'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [([], [*ALGORITHMS]), (["gspo", "gspo_token", "GFPO"], ["gspo_token", "gfpo"]), (["bema"], ["dpo_bema"])],
)
def test_options_and_other_names_choose_what_is_checked(monkeypatch, words, expected):
    chosen = []
    monkeypatch.setattr(verify, "_run_checks", lambda algorithms, own, show: chosen.extend(algorithms) or [])
    verify.main([*words, "--json"])
    assert chosen == expected


def test_in_a_terminal_rows_stay_and_the_running_check_goes(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with Verdicts(out) as shown:
        shown.begin([["gfpo", "k = G is GRPO"], ["gfpo", "filters"]])
        shown.show(PASSED)
        shown.show(WRONG)
    assert "gfpo: filters" in out.getvalue() and "FAIL" in out.getvalue()
    assert failures([PASSED, WRONG]) == ["gfpo: filters: measured 3, must be = 0"]
