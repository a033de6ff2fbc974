"""`expctl new algorithm` writes what trains, is checked and is listed as it stands, and never over what is there."""

import ast
import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from expctl.cli.hydra_app import compose
from expctl.cli.main import run_words
from expctl.cli.skeleton import skeleton
from expctl.config.algorithm_facts import algorithm_facts
from expctl.config.check import check
from expctl.config.own_checks import OwnChecks
from expctl.runs import verified
from expctl.verify import properties
from expctl.verify.check import Check, run_check


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    torch.set_num_threads(1)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if not name.startswith(("trl", "transformers", "torch", "expctl", "datasets", "accelerate")):
            del sys.modules[name]


def facts_of(name):
    return next(facts for facts in algorithm_facts() if facts["algorithm"] == name)


def test_the_files_are_a_trainer_an_option_checks_and_a_test(folder, capsys):
    assert run_words(["new", "algorithm", "tempered"]) == 0
    written = {str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.is_file()}
    assert written == {"tempered.py", "conf/algorithm/tempered.yaml", "tempered_checks.py", "tests/test_tempered.py"}
    assert "expctl verify tempered" in capsys.readouterr().out
    facts = facts_of("tempered")
    assert (facts["status"], facts["data"], facts["trainer"]) == ("yours", "prompt-only", "tempered.Tempered")
    assert facts["unchecked"] == ["expctl verify tempered has not run on this code and these versions"]
    experiment = compose(["algorithm=tempered", "algorithm.trainer.scale=3", "hardware=cpu"])
    assert check(experiment) == [] and experiment.config["algorithm"]["trainer"]["scale"] == 3


@pytest.mark.parametrize("parent", ["grpo", "gfpo", "gspo", "dynamic_sampling", "dpo", "sft"])
def test_what_is_written_is_python_over_each_parent(parent):
    files = skeleton("tempered", {"keywords": {}} | facts_of(parent))
    for path, content in files.items():
        assert "$" not in content, path
        if path.endswith(".py"):
            ast.parse(content)
            assert max(map(len, content.splitlines())) <= 120, path


@pytest.mark.parametrize("parent", ["grpo", "dpo"])
def test_the_checks_of_the_skeleton_hold_and_fail_when_the_method_is_broken(folder, parent, monkeypatch):
    assert run_words(["new", "algorithm", "tempered", "--over", parent]) == 0
    module = importlib.import_module("tempered_checks")
    checks = {value.name: value for value in vars(module).values() if isinstance(value, Check)}
    assert set(checks) == {"neutral is the parent", "the setting acts", "resumed", "two ranks", "scaled"}
    for name in set(checks) - {"two ranks"}:  # which starts two processes: docs/own-algorithm.md has it
        result = run_check("tempered", checks[name])
        assert result.passed, result
    method = "compute_loss" if parent == "dpo" else "_generate_and_score_completions"
    monkeypatch.delattr(importlib.import_module("tempered").Tempered, method)
    assert not run_check("tempered", checks["scaled"]).passed
    assert not run_check("tempered", checks["the setting acts"]).passed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algorithm", "gfpo"], "there is an algorithm 'gfpo' already"),
        (["algorithm", "json"], "'json' is the name of an installed module"),
        (["algorithm", "Clipped"], "cannot be the name of a Python module"),
        (["algorithm", "class"], "cannot be the name of a Python module"),
        (["algorithm", "../up"], "cannot be the name of a Python module"),
        (["algorithm", "mine", "--over", "gfp"], "no algorithm 'gfp' to build on"),
        (["algorithm"], "needs a kind and a name"),
        (["reward", "mine"], "needs a kind and a name"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(folder, capsys, words, said):
    assert run_words(["new", *words]) == 2
    assert said in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_nothing_is_written_over_a_file_that_is_there(folder, capsys):
    Path("mine_checks.py").write_text("x = 1\n")
    assert run_words(["new", "algorithm", "mine"]) == 2
    assert "mine_checks.py exists already" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["mine_checks.py"]
    assert Path("mine_checks.py").read_text() == "x = 1\n"


def test_checked_is_what_verify_has_found_on_this_very_code_and_these_versions(folder, monkeypatch):
    assert run_words(["new", "algorithm", "mine"]) == 0
    own = OwnChecks("mine", "mine.Mine", Path("mine_checks.py"), folder)
    verified.remember("mine", [], own.code)
    assert facts_of("mine")["checked"]
    verified.remember("mine", ["resumed"], own.code)
    assert facts_of("mine")["unchecked"] == ["expctl verify mine failed: resumed"]
    verified.remember("mine", [], own.code)
    for file in ("mine.py", "mine_checks.py"):  # what was checked is another code now
        content = Path(file).read_text()
        Path(file).write_text(content + "\n# edited\n")
        assert not facts_of("mine")["checked"], file
        Path(file).write_text(content)
        assert facts_of("mine")["checked"], file
    monkeypatch.setattr(verified, "versions", lambda: dict.fromkeys(verified.DECISIVE, "9"))
    assert not facts_of("mine")["checked"]
    Path("mine_checks.py").unlink()
    assert facts_of("mine")["unchecked"] == ["it has no checks: mine_checks.py beside mine.py"]


def test_a_failed_check_of_ours_shows_in_the_list():
    assert facts_of("gfpo")["checked"]
    verified.remember("gfpo", ["filters"], "")
    assert facts_of("gfpo")["unchecked"] == ["expctl verify gfpo failed: filters"]


def test_verify_runs_ones_own_checks_and_remembers_what_it_found(folder, monkeypatch, capsys):
    assert run_words(["new", "algorithm", "mine"]) == 0
    Path("mine_checks.py").write_text(
        "from expctl.verify.check import check\n\n\n"
        "@check('always')\ndef always():\n    '''holds'''\n    return 0\n\n\n"
        "@check('never')\ndef never():\n    '''does not'''\n    return 1\n"
    )
    capsys.readouterr()
    assert run_words(["verify", "mine", "--json"]) == 1
    proofs = json.loads(capsys.readouterr().out)["proofs"]
    assert {(one["algorithm"], one["name"]): one["passed"] for one in proofs} == {
        ("mine", "upstream"): True,
        ("mine", "always"): True,
        ("mine", "never"): False,
    }
    assert facts_of("mine")["unchecked"] == ["expctl verify mine failed: never"]


@pytest.mark.parametrize(("name", "said"), [("mine", "it has no checks: mine_checks.py"), ("sft", "TRL's own")])
def test_verify_says_what_an_algorithm_without_checks_lacks(folder, capsys, name, said):
    assert run_words(["new", "algorithm", "mine"]) == 0
    Path("mine_checks.py").unlink()
    assert run_words(["verify", name]) == 2
    message = capsys.readouterr().err
    assert f"algorithm '{name}' has no checks to run" in message and said in message


def test_ranks_that_die_or_end_apart_fail_the_check(monkeypatch):
    failed = properties.two_ranks(unknown_function)
    monkeypatch.setattr(properties, "_trained_by_ranks", lambda make, folder: [torch.zeros(2), torch.ones(2)])
    result = run_check("mine", failed)
    assert not result.passed and result.why == ["the two ranks end with other weights"]


def unknown_function(**settings):
    from trl import GRPOConfig, GRPOTrainer

    from expctl.verify.setup import grpo

    return grpo(GRPOTrainer, GRPOConfig, **settings)
