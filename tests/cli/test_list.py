"""`expctl list`: the options of groups, and what is known of each algorithm before anything runs."""

import json
import re

import pytest

from expctl.algorithms import fingerprints
from expctl.cli.main import run_words
from expctl.config.algorithm_facts import KEYS, STATUSES, algorithm_facts
from expctl.config.groups import group_options
from expctl.config.head_comment import first_sentence, head_comment
from expctl.report.algorithms import algorithm_lines

OWN = """# @package _global_
# Mine: GRPO with a twist (arXiv 2401.00001). More.
defaults: [{parent}, _self_]
algorithm:
  trainer:
    _target_: {target}
"""


def listed(capsys, *words):
    assert run_words(["list", "algorithm", *words, "--json"]) == 0
    return {row["algorithm"]: row for row in json.loads(capsys.readouterr().out)["algorithm"]}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes an option of one's own into the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "algorithm").mkdir(parents=True)

    def write(name, parent, target):
        file = tmp_path / "conf" / "algorithm" / f"{name}.yaml"
        file.write_text(OWN.format(parent=parent, target=target))

    return write


EVALUATIONS = ("eval", "benchmarks")


def test_every_algorithm_has_its_facts():
    rows = {row["algorithm"]: row for row in algorithm_facts()}
    assert rows.keys() == group_options("algorithm").keys()
    for name, row in rows.items():
        assert tuple(row) == KEYS and row["status"] in STATUSES and row["does"] and row["data"] and row["trainer"], name
        tested = (None, None) if row["status"] == "evaluation" else (not row["inexact"], not row["unchecked"])
        assert (row["exact"], row["checked"]) == tested, name
        assert (row["status"] == "evaluation") == (name in EVALUATIONS), name
        assert "arXiv" not in row["does"] and re.fullmatch(r"\d{4}\.\d{4,5}", row["paper"] or "2401.00001"), name


def test_status_data_and_paper_are_those_of_the_trainer_and_its_file(capsys, own):
    own("mine", "gfpo", "my_trainer.Mine")
    own("bended", "grpo", "trl.experimental.gmpo.GMPOTrainer")
    rows = listed(capsys)
    facts = {name: (row["status"], row["data"], row["paper"]) for name, row in rows.items()}
    assert facts["grpo"] == ("stable", "prompt-only", "2402.03300")  # expctl's class adds exact resumption alone
    assert facts["gspo"][0] == "stable"
    assert facts["gfpo"] == ("carried", "prompt-only", "2508.09726")
    assert facts["dpo_bema"][:2] == ("carried", "preference")
    assert facts["mine"] == ("yours", "prompt-only", "2401.00001")
    assert facts["bended"][0] == "experimental"
    statuses = [row["status"] for row in rows.values()]
    assert statuses == sorted(statuses, key=STATUSES.index)


def test_filters_and_texts_narrow_the_list(capsys, own):
    own("mine", "gfpo", "my_trainer.Mine")
    assert set(listed(capsys, "status=yours")) == {"mine"}
    assert {"gfpo", "mine"} <= set(listed(capsys, "status=carried,yours")) and "grpo" not in listed(
        capsys, "status=carried,yours"
    )
    assert set(listed(capsys, "status=yours", "twist")) == {"mine"}
    assert "dpo" not in listed(capsys, "data!=preference")
    assert run_words(["list", "reward", "penalty"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["accuracy_short"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("algorithm", "stats=carried"), ("no 'stats'", "nearest  status")),
        (("algorithm", "nothing_like_it"), ("no option of 'algorithm' matches nothing_like_it",)),
        (("algorith",), ("no group 'algorith'", "algorithm")),
        (("status=carried",), ("no group 'status=carried'",)),
        (("algorithm", "--jsn"), ("no option '--jsn'",)),
    ],
)
def test_what_nothing_matches_is_refused(capsys, words, said):
    assert run_words(["list", *words]) == 2
    message = capsys.readouterr().err
    assert all(text in message for text in said), message


def test_a_file_that_cannot_be_read_is_listed_as_such(capsys, own, tmp_path):
    own("mine", "mine_too", "my.Trainer")
    own("mine_too", "mine", "my.Trainer")  # round and round
    (tmp_path / "conf" / "algorithm" / "broken.yaml").write_text("# Broken.\nalgorithm: [\n")
    rows = listed(capsys)
    assert {name for name, row in rows.items() if row["status"] == "unreadable"} == {"mine", "mine_too", "broken"}
    assert run_words(["list", "algorithm"]) == 0


def test_a_changed_upstream_is_not_checked(monkeypatch, capsys):
    monkeypatch.setattr(fingerprints, "fingerprint", lambda dependency: "another")
    monkeypatch.setattr(fingerprints, "version", lambda package: "9.9")
    rows = listed(capsys)
    assert not rows["gfpo"]["checked"] and "changed between" in rows["gfpo"]["unchecked"][0]
    # Nothing of a plain trainer is overridden, so its release is what counts.
    assert not rows["sft"]["checked"] and "9.9 is installed" in rows["sft"]["unchecked"][-1]
    assert run_words(["list", "algorithm", "gfpo"]) == 0
    assert "gfpo: " in capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 120, None])
def test_the_table_fits_the_terminal_and_says_what_it_left_out(width):
    rows = algorithm_facts()
    lines = algorithm_lines(rows, width)
    table = lines[: len(rows) + 1]
    assert all(line.split()[0] == row["algorithm"] for line, row in zip(table[1:], rows, strict=True))
    assert width is None or max(map(len, table)) <= width
    assert ("no room for" in "".join(lines)) == ("paper" not in table[0])


def test_the_first_sentence_of_a_file(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("# @package _global_\n# One, on\n# two lines. Another.\nkey: 1  # no\n# nor this\n")
    assert head_comment(file) == "One, on two lines. Another."
    assert first_sentence(head_comment(file)) == "One, on two lines"
    assert first_sentence("Dr. GRPO: no length bias. More.") == "Dr. GRPO: no length bias"
    file.write_text("key: 1\n# late.\n")
    assert first_sentence(head_comment(file)) == ""
