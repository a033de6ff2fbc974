"""Fingerprints against copies of the installed sources in which something was changed."""

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import trl
from transformers import Trainer

from expctl.algorithms import bema_for_ref_model, grpo, grpo_with_replay_buffer, gspo_token
from expctl.algorithms.composed import ComposedTrainer
from expctl.algorithms.dynamic_sampling import DynamicSamplingTrainer
from expctl.algorithms.fingerprints import RECORD, check, current, meaning, warnings_for
from expctl.algorithms.gfpo import GFPOTrainer
from expctl.algorithms.upstream import ALGORITHMS, LINEAGES, PARTS

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def changed(tmp_path):
    """`changed(old, new, ...) -> sentences`: `check` of an algorithm where a copy of TRL stands before the real one."""
    package = Path(importlib.util.find_spec("trl").submodule_search_locations[0])
    shutil.copytree(package, tmp_path / "trl", ignore=shutil.ignore_patterns("__pycache__"))

    def sentences(*edits, algorithm="gfpo", file="trainer/grpo_trainer.py", as_version=None):
        source = (tmp_path / "trl" / file).read_text()
        for old, new in edits:
            assert old in source
            source = source.replace(old, new, 1)
        (tmp_path / "trl" / file).write_text(source)
        if as_version:
            metadata = tmp_path / f"trl-{as_version}.dist-info" / "METADATA"
            metadata.parent.mkdir()
            metadata.write_text(f"Metadata-Version: 2.1\nName: trl\nVersion: {as_version}\n")
        code = (
            "import json, sys; from expctl.algorithms.fingerprints import check; "
            "print(json.dumps([check(sys.argv[1]), 'torch' in sys.modules or 'trl' in sys.modules]))"
        )
        environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}
        done = subprocess.run([sys.executable, "-c", code, algorithm], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found, imported = json.loads(done.stdout)
        assert not imported
        return found

    return sentences


def test_a_changed_method_of_a_newer_version_is_reported_by_name_with_both_versions(changed):
    edit = ("def _generate(self, prompts: list):", "def _generate(self, prompts: list, extra=None):")
    tested = version("trl")
    assert changed(edit, as_version="9.9.9") == [
        f"GRPOTrainer._generate changed between trl {tested} and 9.9.9; GFPO not tested on it"
    ]


def test_a_changed_method_of_the_same_version_is_reported_as_patched(changed):
    (sentence,) = changed(("self._step += 1", "self._step += 2"))
    assert sentence.startswith("GRPOTrainer.training_step is not the one of trl") and "source was changed" in sentence


def test_a_method_that_is_gone_is_reported(changed):
    sentences = changed(("def _calculate_rewards(", "def _compute_rewards("), algorithm="grpo_replay", as_version="9.9")
    assert any(
        "GRPOTrainer._calculate_rewards is gone from trl 9.9 " in sentence and "GRPO with replay" in sentence
        for sentence in sentences
    )


def test_an_override_that_comes_in_between_is_reported(changed):
    override = "class _BaseTrainer(Trainer):\n    def evaluate(self, *args, **kwargs):\n        return {}\n"
    edit = ("class _BaseTrainer(Trainer):\n", override)
    assert changed(edit, algorithm="gfpo", file="trainer/base_trainer.py") == []
    # GRPO's evaluate is transformers' own, so for BEMA in front of it this is another method
    other = (
        "def compute_loss(self, model, inputs, return_outputs",
        "def evaluate(self):\n        return {}\n\n    def compute_loss(self, model, inputs, return_outputs",
    )
    assert any("GRPOTrainer.evaluate" in sentence for sentence in changed(other, algorithm="dpo_bema"))


def test_formatting_comments_docstrings_and_annotations_change_nothing(changed):
    assert not changed(
        (
            "    def _generate(self, prompts: list):\n",
            '    def _generate(\n        self, prompts\n    ):\n        """New."""\n',
        ),
        ("        self._step += 1\n", "        # Counted.\n        self._step += (1)\n\n"),
        as_version="9.9.9",
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("def f(a: int) -> str:\n 'doc'\n return a", "def f(a):\n    # why\n    return (a)", True),
        ("def f():\n x: int = 3", "def f():\n x = 3", True),
        ("def f():\n 'only a docstring'", "def f():\n pass", True),
        ("def f(a):\n return a", "def f(b):\n return b", False),
        ("def f(a):\n return a", "async def f(a):\n return a", False),
        ("def f(a):\n return a", "@cache\ndef f(a):\n return a", False),
        ("def f(a=1):\n return a", "def f(a=2):\n return a", False),
        ("def f():\n return 1", "def f():\n return '1'", False),
        ("def f():\n return 1", "def f():\n return True", False),
        ("def f():\n a = 1\n b = 2", "def f():\n b = 2\n a = 1", False),
    ],
)
def test_the_meaning_of_code_is_what_it_does(one, other, same):
    assert (meaning(ast.parse(one)) == meaning(ast.parse(other))) == same


def test_everything_listed_is_found_and_is_what_was_recorded():
    record = json.loads(RECORD.read_text())
    assert record["versions"]["trl"] == version("trl")
    assert current() == record["fingerprints"]
    assert not any(check(algorithm) for algorithm in ALGORITHMS)


def test_every_overridden_method_of_a_trainer_is_listed():
    """A method that a mixin of ours defines and upstream has too is an override, and must be in the list."""
    trainers = [GFPOTrainer, gspo_token.GRPOTrainer, grpo_with_replay_buffer.GRPOWithReplayBufferTrainer]
    trainers += [bema_for_ref_model.DPOTrainer, bema_for_ref_model.GRPOTrainer, grpo.GRPOTrainer, ComposedTrainer]
    trainers += [DynamicSamplingTrainer]
    for trainer in trainers:
        upstream = trl.DPOTrainer if issubclass(trainer, trl.DPOTrainer) else trl.GRPOTrainer
        ours = [each for each in trainer.__mro__ if each.__module__.startswith("expctl.algorithms.")]
        overridden = {name for each in ours for name, value in vars(each).items() if callable(value)}
        overridden &= {name for each in upstream.__mro__[:-1] for name, value in vars(each).items() if callable(value)}
        parts = [PARTS[each.__name__] for each in ours if each.__name__ in PARTS]
        listed = {one.name for part in parts for one in part.upstream}
        assert overridden - {"__init_subclass__", "__module__"} <= listed, trainer


@pytest.mark.parametrize(
    ("classes", "algorithms"),
    [
        ((GFPOTrainer,), {"GFPO", "exact resumption"}),
        ((type("Mine", (GFPOTrainer,), {}),), {"GFPO", "exact resumption"}),
        ((bema_for_ref_model.DPOTrainer,), {"BEMA"}),
        ((trl.SFTTrainer, bema_for_ref_model.BEMACallback), {"BEMA"}),
        (
            (ComposedTrainer,),
            {"GFPO", "GSPO-token", "GRPO with replay", "dynamic sampling", "BEMA", "exact resumption"},
        ),
        ((trl.GRPOTrainer, dict), set()),
    ],
)
def test_a_class_is_warned_about_what_it_derives_from(monkeypatch, classes, algorithms):
    monkeypatch.setattr("expctl.algorithms.fingerprints.fingerprint", lambda one: "another")
    sentences = warnings_for(*classes)
    ends = [sentence.rpartition("; ")[2].removesuffix(" not tested on it") for sentence in sentences]
    assert {name for end in ends for name in end.replace(", ", " and ").split(" and ")} == algorithms
    if classes == (bema_for_ref_model.DPOTrainer,):
        assert not any("GRPOTrainer" in sentence for sentence in sentences)


def test_lineages_are_those_of_the_classes():
    for upstream in (trl.GRPOTrainer, trl.DPOTrainer, Trainer):
        name = f"{upstream.__module__}.{upstream.__qualname__}"
        mro = [f"{each.__module__}.{each.__qualname__}" for each in upstream.__mro__[:-1]]
        assert list(LINEAGES[name]) == mro
