"""What decides a result: settings that cannot change it give the same run, all others another one."""

import copy
import json

import fabricated
import pytest

from expctl.cli.hydra_app import compose
from expctl.cli.main import run_words
from expctl.runs import manifest
from expctl.runs.decisive import (
    IMMATERIAL,
    decisive_part,
    follows_seed,
    form_of_0_1,
    normal_form,
    reason_immaterial,
    without_seed,
)
from expctl.runs.files import Run
from expctl.runs.identity import config_hash, hash_of_0_1, is_same_experiment, run_id, run_of

DEFAULT = "gfpo-tiny-arithmetic-s0-90dc4afd"


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_rewards.py").write_text("a = 1\n")
    return tmp_path


def composed(*words):
    return compose(["hardware=cpu", *words])


def id_of(*words):
    experiment = composed(*words)
    return run_id(experiment, config_hash(experiment))


@pytest.mark.parametrize(
    "words",
    [
        ["args.save_steps=10"],
        ["args.save_strategy=epoch"],
        ["args.save_strategy=no"],
        ["args.save_total_limit=null"],
        ["args.logging_steps=5", "args.logging_strategy=epoch"],
        ["args.log_level=info", "args.disable_tqdm=false"],
        ["args.log_completions=true"],
        ["args.push_to_hub=true", "args.hub_model_id=me/mine", "args.hub_strategy=end"],
        ["args.dataloader_num_workers=2", "args.dataloader_prefetch_factor=4"],
        ["args.dataloader_pin_memory=false"],
        ["args.ddp_timeout=60", "hardware.hang_minutes=null"],
        ["tracker=wandb", "name=mine", "force=true"],
    ],
    ids=" ".join,
)
def test_how_a_run_is_saved_logged_fetched_and_published_leaves_its_id(words):
    assert id_of(*words) == DEFAULT


@pytest.mark.parametrize(
    "words",
    [
        ["args.eval_strategy=steps", "args.eval_steps=10"],
        ["args.per_device_eval_batch_size=8"],
        ["args.save_only_model=true"],
        ["args.ignore_data_skip=true"],
        ["args.dataloader_drop_last=true"],
        ["args.num_completions_to_print=4"],
        ["args.data_seed=1"],
        ["hardware.threads=2"],
    ],
    ids=" ".join,
)
def test_what_draws_random_numbers_or_changes_what_is_resumed_gives_another_id(words):
    assert id_of(*words) != DEFAULT


BEST = ["args.load_best_model_at_end=true", "args.eval_strategy=steps", "args.eval_steps=10", "args.save_steps=20"]


@pytest.mark.parametrize(("word", "decides"), [("args.save_steps=10", True), ("args.save_total_limit=5", False)])
def test_where_the_best_checkpoint_is_loaded_it_counts_which_ones_are_saved(word, decides):
    assert (id_of(*BEST) != id_of(*BEST, word)) is decides


@pytest.mark.parametrize(
    "words",
    [
        ["algorithm.trainer._target_=mine.Trainer"],
        ["dataset._target_=mine.load"],
        ["dataset=files", "dataset.path=data.jsonl", "+dataset.streaming=true"],
        ["+algorithm.trainer.data_collator._target_=mine.Collator"],
    ],
    ids=" ".join,
)
def test_where_others_code_or_a_stream_runs_in_the_workers_their_number_counts(words):
    assert id_of(*words) != id_of(*words, "args.dataloader_num_workers=2")
    assert id_of(*words) == id_of(*words, "args.dataloader_pin_memory=false")


def test_where_printed_completions_are_drawn_it_counts_when_they_are():
    words = ["args.log_completions=true", "args.num_completions_to_print=2"]
    assert id_of(*words) != id_of(*words, "args.logging_steps=2")


def test_every_rule_says_why_in_a_clause_that_can_follow_a_colon():
    assert all(rule.reason and rule.reason[-1].isalpha() and rule.reason[0].islower() for rule in IMMATERIAL)
    keys = [key for rule in IMMATERIAL for key in rule.keys]
    assert len(keys) == len(set(keys))


def test_a_setting_that_no_rule_knows_decides():
    assert reason_immaterial("args.of_the_next_release", {}) is None
    assert reason_immaterial("args.save_steps", {}) == "a checkpoint is a copy of the training's state"


def test_the_forms_leave_the_config_as_it_is_and_empty_mappings_that_were_empty():
    config = copy.deepcopy(fabricated.CONFIG) | {"callbacks": {}}
    before = copy.deepcopy(config)
    assert decisive_part(config)["callbacks"] == {}
    assert normal_form(config) != form_of_0_1(config)
    assert config == before


@pytest.mark.parametrize("kind", ["prompts", "prompt-only"])
def test_kinds_of_data_are_hashed_as_they_were_spelled_and_compared_as_they_are(kind):
    config = copy.deepcopy(fabricated.CONFIG)
    config["algorithm"]["kind"] = config["dataset"]["kind"] = kind
    config["callbacks"] = {"completions": {"dataset": {"kind": kind}, "kind": kind}}
    form, part = normal_form(config), decisive_part(config)
    assert form["algorithm"]["kind"] == form["dataset"]["kind"] == "prompts"
    assert part["algorithm"]["kind"] == part["dataset"]["kind"] == "prompt-only"
    assert form["callbacks"]["completions"] == {"dataset": {"kind": "prompts"}, "kind": kind}


def test_the_seed_is_told_from_a_seed_of_its_own():
    assert follows_seed("args.seed", 3, 3) and follows_seed("args.data_seed", 3, 3)
    assert not follows_seed("dataset.seed", 7, 3) and not follows_seed("args.seedling", 3, 3)
    assert without_seed([{"seed": 3, "a": {"data_seed": 3, "seed": 4}}], 3) == [{"a": {"seed": 4}}]


# Ids that expctl 0.1 gave.
BY_0_1 = {
    "args.save_steps=10": "gfpo-tiny-arithmetic-s0-fd779105",
    "algorithm=sft args.save_strategy=epoch args.dataloader_num_workers=2": "sft-tiny-arithmetic-s0-16442cff",
    "algorithm=dpo_sft args.hub_model_id=me/mine args.save_total_limit=null": "dpo_sft-tiny-arithmetic-s0-8d177585",
}


def made_by_0_1(words, status):
    """The run of a command as expctl 0.1 made it, ended with a status."""
    experiment = composed(*words.split())
    run = fabricated.run_of(experiment, status=status)
    old = Run(run.folder.rename(run.folder.with_name(BY_0_1[words])))
    told = json.loads(old.manifest.read_text())
    hashed = hash_of_0_1(experiment)
    assert old.run_id.endswith(hashed[:8])
    old.manifest.write_text(json.dumps(told | {"run_id": old.run_id, "config_hash": hashed}))
    return experiment, old


@pytest.mark.parametrize("status", [manifest.COMPLETED, manifest.INTERRUPTED])
@pytest.mark.parametrize("words", BY_0_1)
def test_a_run_of_an_earlier_expctl_is_found_under_its_id(words, status):
    typed, old = made_by_0_1(words, status)
    assert run_of(typed).folder == old.folder
    assert is_same_experiment(typed, manifest.read(old).config_hash)
    assert not is_same_experiment(composed(*words.split(), "args.learning_rate=1.0"), manifest.read(old).config_hash)


def test_a_run_by_todays_id_goes_before_one_of_an_earlier_expctl():
    typed, _ = made_by_0_1("args.save_steps=10", manifest.COMPLETED)
    new = fabricated.run_of(typed)
    assert run_of(typed).folder == new.folder


def test_a_completed_run_is_complete_with_other_immaterial_settings(work, capsys):
    described = composed()
    run = fabricated.run_of(described, status=manifest.COMPLETED)
    run.summary.write_text(json.dumps({"objective": 0.5, "objective_name": "eval_reward", "steps": 60}))
    assert run_words(["hardware=cpu", "args.save_steps=10", "args.dataloader_num_workers=2"]) == 0
    said = capsys.readouterr().out
    assert "was completed" in said and DEFAULT in said
