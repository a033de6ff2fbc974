"""Every trainer of the installed TRL has an option, and what a trainer does not take is refused by name."""

import ast
import json
import shutil
from pathlib import Path

import pytest
import trl
from harness import REPOSITORY

from expctl import models
from expctl.cli.hydra_app import compose
from expctl.cli.main import run_words
from expctl.config.check import check
from expctl.config.checks.settings import lineage
from expctl.config.groups import group_options
from expctl.config.source.lookup import find
from expctl.runs.identity import run_of

TINY = Path(models.__file__).parent / "tiny"

# Names under which TRL has a trainer a second time, or that ours replaces.
ELSEWHERE = {"trl.experimental.bema_for_ref_model.dpo_trainer.DPOTrainer"}
# What needs a server of its own, or a GPU, is refused here.
SERVED = ("async_grpo", "async_distillation", "server_distillation")


@pytest.fixture(scope="module")
def experiments():
    """Every algorithm: its name -> what it composes to on the toy."""
    return {name: compose([f"algorithm={name}", "hardware=cpu"]) for name in group_options("algorithm")}


def trainers() -> dict[str, str]:
    """The trainers that the installed TRL defines: dotted path -> name."""
    room = Path(trl.__file__).parent
    files = [*room.glob("trainer/*_trainer.py"), *room.glob("experimental/*/*_trainer.py")]
    found = {}
    for file in files:
        module = ".".join(("trl", *file.relative_to(room).with_suffix("").parts))
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Trainer") and not node.name.startswith("_"):
                found[f"{module}.{node.name}"] = node.name
    return found


def test_every_trainer_of_the_installed_trl_has_an_option(experiments):
    known = set(ELSEWHERE)
    for experiment in experiments.values():
        known |= lineage(find(experiment.config["algorithm"]["trainer"]["_target_"]))
    without = {name for path, name in trainers().items() if path not in known}
    assert len(trainers()) > 20 and without == set()


def test_every_algorithm_is_accepted_on_the_embedded_model_with_data_of_its_kind(experiments):
    refused = {name: check(each) for name, each in experiments.items()}
    assert {name for name, refusals in refused.items() if refusals} == {*SERVED, "benchmarks"}
    assert "not dataset=arithmetic" in refused["benchmarks"][0].what
    for name in SERVED:
        (refusal,) = refused[name]
        assert f"algorithm={name} needs" in refusal.what and "does without" in refusal.do


def test_a_server_without_an_address_is_named(monkeypatch):
    monkeypatch.setattr("expctl.config.checks.servers.find_spec", lambda name: name)
    refused = refusal("algorithm=server_distillation")
    assert "'args.teacher_model_server_url' has no address" in refused.what and "vllm serve" in refused.do
    assert check(compose(["algorithm=server_distillation", "args.teacher_model_server_url=http://a:1"])) == []


def test_an_adapter_is_refused_where_the_trainer_takes_none():
    (refusal,) = check(compose(["algorithm=a2po", "peft=lora", "hardware=cpu"]))
    assert "algorithm=a2po trains all weights" in refusal.what and "A2POTrainer" in refusal.what
    assert "peft=none" in refusal.do


@pytest.mark.parametrize("overlay", ["algorithm/replay=on", "algorithm/ratio=sequence"])
@pytest.mark.parametrize("algorithm", ["rloo", "gmpo"])
def test_a_part_of_grpo_does_not_take_the_place_of_another_method(algorithm, overlay):
    refusals = check(compose([f"algorithm={algorithm}", overlay, "hardware=cpu"]))
    assert any(overlay in refusal.what and "goes with GRPO" in refusal.what for refusal in refusals)
    assert check(compose(["algorithm=dapo", "algorithm/replay=on", "hardware=cpu"])) == []


def test_an_engine_is_refused_by_a_method_that_samples_without_one():
    (refusal,) = check(compose(["algorithm=a2po", "generation=paged", "hardware=cpu"]))
    assert "samples with transformers" in refusal.what


@pytest.fixture
def classifier(tmp_path):
    """`classifier(labels)`: a folder with a classifier that has so many labels, and the embedded model's tokenizer."""

    def of(labels):
        folder = shutil.copytree(TINY, tmp_path / f"labels_{labels}")
        config = json.loads((folder / "config.json").read_text())
        config |= {"architectures": ["Qwen3ForSequenceClassification"], "num_labels": labels}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return of


def refusal(*words):
    (only,) = check(compose([*words, "hardware=cpu"]))
    return only


def test_a_classifier_is_no_language_model_and_a_reward_has_one_label(classifier):
    one, two = (f"model.path={classifier(labels)}" for labels in (1, 2))
    assert "has no head that predicts tokens" in refusal("algorithm=grpo", "model=local", one).what
    assert "has 2 labels, and a reward is one number" in refusal("algorithm=reward", "model=local", two).what
    assert check(compose(["algorithm=reward", "model=local", one, "hardware=cpu"])) == []


def test_an_adapter_of_a_reward_model_brings_its_new_head():
    words = ["peft=lora", "hardware=cpu"]
    assert compose(["algorithm=reward", *words]).config["peft"]["task_type"] == "SEQ_CLS"
    assert compose(["algorithm=grpo", *words]).config["peft"]["task_type"] == "CAUSAL_LM"


def test_a_teacher_with_another_vocabulary_is_refused_but_where_texts_are_compared(tmp_path):
    folder = shutil.copytree(TINY, tmp_path / "teacher")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = list(vocabulary)[5:7]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    teacher = ["teacher=local", f"teacher.path={folder}"]
    refused = refusal("algorithm=distillation", *teacher)
    assert "another vocabulary" in refused.what and "use_uld_loss" in refused.do and repr(first) in refused.what
    assert check(compose(["algorithm=gold", *teacher, "args.use_uld_loss=true", "hardware=cpu"])) == []
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 77}))
    assert "77 tokens against" in refusal("algorithm=gkd", *teacher).what


def test_a_teacher_that_is_not_there_is_no_language_model_or_is_not_asked_is_refused(classifier, tmp_path):
    words = ["algorithm=distillation", "teacher=local"]
    assert f"teacher.path={tmp_path}/none" in refusal(*words, f"teacher.path={tmp_path}/none").what
    assert "predicts no tokens" in refusal(*words, f"teacher.path={classifier(1)}").what
    assert "algorithm=grpo has no teacher" in refusal("algorithm=grpo", "teacher=tiny").what


def test_another_teacher_is_another_run(tmp_path):
    folder = shutil.copytree(TINY, tmp_path / "teacher")
    own = ["algorithm=distillation", "teacher=local", f"teacher.path={folder}", "hardware=cpu"]
    ids = [run_of(compose(["algorithm=distillation", "hardware=cpu"])).run_id, run_of(compose(own)).run_id]
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert len({*ids, run_of(compose(own)).run_id}) == 3


@pytest.mark.parametrize("algorithm", ["dpo", "ipo", "dpo_bema", "kto", "online_dpo"])
def test_a_reference_other_than_the_start_is_given_to_the_trainer_as_a_model(algorithm):
    words = [f"algorithm={algorithm}", "hardware=cpu"]
    experiment = compose([*words, "reference=tiny"])
    node = experiment.config["algorithm"]["trainer"]["ref_model"]
    assert (node["path"], node["dtype"]) == ("embedded:tiny_teacher", "float32") and check(experiment) == []
    assert "reference" not in experiment.config and "ref_model" not in compose(words).config["algorithm"]["trainer"]
    assert run_of(experiment).run_id != run_of(compose(words)).run_id


def test_a_reference_of_its_own_is_planned_for_beside_an_adapter_too(capsys):
    for words, held in ((["peft=lora"], False), (["peft=lora", "reference=tiny"], True)):
        run_words(["plan", "algorithm=dpo", "hardware=cpu", *words])
        said = capsys.readouterr()
        assert ("reference model" in said.out + said.err) == held


@pytest.mark.parametrize("algorithm", ["grpo", "gfpo", "sft", "cpo", "orpo", "a2po", "distillation"])
def test_a_reference_is_refused_where_the_algorithm_takes_none(algorithm):
    refused = refusal(f"algorithm={algorithm}", "reference=tiny")
    assert f"algorithm={algorithm} takes no reference of its own" in refused.what
    assert "reference=tiny" in refused.where and "kto or online_dpo" in refused.do


def test_a_reference_that_is_not_there_reads_other_tokens_or_predicts_none_is_refused(classifier, tmp_path):
    words = ["algorithm=dpo", "reference=local"]
    assert f"reference.path={tmp_path}/none" in refusal(*words, f"reference.path={tmp_path}/none").what
    assert "predicts no tokens" in refusal(*words, f"reference.path={classifier(1)}").what
    folder = shutil.copytree(TINY, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 77}))
    refused = refusal(*words, f"reference.path={folder}")
    assert "another vocabulary than the policy" in refused.what and "use_uld_loss" not in refused.do


def test_a_reward_is_refused_by_a_method_that_samples_and_asks_none():
    assert "reward" in refusal("algorithm=distillation", "reward=format").what


def test_the_page_of_the_methods_has_each():
    page = (REPOSITORY / "docs" / "methods.md").read_text()
    methods = group_options("algorithm").keys() - {"eval", "benchmarks"}
    assert [name for name in sorted(methods) if f"`{name}`" not in page] == []
