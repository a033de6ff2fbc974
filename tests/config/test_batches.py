"""`prompts_per_step` and `hardware.rows` on an experiment: what follows, what stays typed, what is refused."""

from dataclasses import replace

import pytest
import yaml

from expctl.base.refusal import Refusal
from expctl.cli.explain import explain
from expctl.cli.hydra_app import compose, compose_traced, run_hydra
from expctl.config.check import check
from expctl.config.origin import origins_of
from expctl.runs.identity import config_hash
from expctl.runs.origins import origins_to_record

FIELDS = ("per_device_train_batch_size", "gradient_accumulation_steps", "steps_per_generation")
TWO = "hardware.num_processes=2"
FILTER = "algorithm.trainer.group_filter_func"


@pytest.fixture(autouse=True)
def two_cores(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("expctl.devices.detection.cores", lambda: 16)


def composed(*words):
    return compose(["hardware=cpu", *words])


def batch(*words):
    """Rows a device, accumulation and steps a generation, None where nothing sets them; nothing is refused."""
    experiment = composed(*words)
    assert [str(refusal) for refusal in check(experiment)] == []
    return tuple(experiment.config["args"].get(name) for name in FIELDS)


# words -> rows a device, accumulation, steps a generation
DERIVED = {
    "grpo": (["algorithm=grpo", "prompts_per_step=8"], (128, None, None)),
    "grpo, two processes": (["algorithm=grpo", "prompts_per_step=8", TWO], (64, None, None)),
    "grpo, fewer prompts than the file's rows": (["algorithm=grpo", "prompts_per_step=3"], (48, None, None)),
    "grpo, more": (["algorithm=grpo", "prompts_per_step=24"], (128, 3, None)),
    "grpo, more, cut into equal parts": (["algorithm=grpo", "prompts_per_step=9"], (72, 2, None)),
    "rows": (["algorithm=grpo", "prompts_per_step=8", "hardware.rows=16"], (16, 8, None)),
    "rows, two processes": (["algorithm=grpo", "prompts_per_step=8", "hardware.rows=16", TWO], (16, 4, None)),
    "kept rows": (["prompts_per_step=8", "args.num_remains_in_group=4", "hardware.rows=16"], (64, 2, None)),
    "kept rows within the file's": (["prompts_per_step=24"], (192, 2, None)),
    "all rows are seen under a mask": (["prompts_per_step=8", "args.filtered=mask", "hardware.rows=16"], (16, 8, None)),
    "the largest k of a filter that decides": (
        ["prompts_per_step=8", "args.num_remains_in_group=null", f"{FILTER}=adaptive_difficulty", "hardware.rows=16"],
        (32, 4, None),
    ),
    "the same with other quartiles": (
        [
            "prompts_per_step=8",
            "args.num_remains_in_group=null",
            f"{FILTER}={{_target_: expctl.algorithms.difficulty.AdaptiveDifficulty, very_hard: 4, hard: 4, medium: 4}}",
            "hardware.rows=16",
        ],
        (64, 2, None),
    ),
    "replay keeps whole groups": (["algorithm=grpo_replay", "prompts_per_step=8", "hardware.rows=16"], (16, 8, None)),
    "replay of what a filter kept": (
        ["algorithm/replay=on", "prompts_per_step=8", "args.num_remains_in_group=4", "hardware.rows=16"],
        (64, 2, None),
    ),
    "four steps a generation stay four": (["algorithm=gspo", "prompts_per_step=8", "hardware.rows=32"], (32, 4, 16)),
    "and where nothing is accumulated": (["algorithm=gspo", "prompts_per_step=8"], (128, None, 4)),
    "sft has rows": (["algorithm=sft", "prompts_per_step=64"], (32, 2, None)),
    "dpo, two processes": (["algorithm=dpo", "prompts_per_step=64", TWO], (32, None, None)),
    "typed rows a device": (
        ["algorithm=grpo", "prompts_per_step=8", "args.per_device_train_batch_size=32"],
        (32, 4, None),
    ),
    "typed accumulation": (["prompts_per_step=8", "args.gradient_accumulation_steps=4"], (32, 4, None)),
    "typed steps a generation": (["prompts_per_step=8", "args.steps_per_generation=2"], (128, None, 2)),
    "typed generation batch": (
        ["prompts_per_step=8", "args.generation_batch_size=256", "hardware.rows=24"],
        (64, 2, None),
    ),
    "everything typed, and it agrees": (
        ["prompts_per_step=8", "args.gradient_accumulation_steps=2", "args.per_device_train_batch_size=64"],
        (64, 2, None),
    ),
    "without rows": (["hardware.rows=null", "prompts_per_step=null"], (128, None, None)),
}


@pytest.mark.parametrize("case", DERIVED)
def test_the_batch_follows(case):
    words, expected = DERIVED[case]
    assert batch(*words) == expected


REFUSED = {
    "no prompts": (["prompts_per_step=0"], ["prompts_per_step is 0", "prompts_per_step=null"]),
    "negative": (["prompts_per_step=-4"], ["prompts_per_step is -4"]),
    "no whole number": (["prompts_per_step=2.5"], ["prompts_per_step is 2.5"]),
    "a flag": (["prompts_per_step=true"], ["prompts_per_step is True"]),
    "a word": (["prompts_per_step=many"], ["prompts_per_step is 'many'"]),
    "no rows": (["prompts_per_step=8", "hardware.rows=0"], ["hardware.rows is 0", "hardware.rows=null"]),
    "rows without a step": (["hardware.rows=8"], ["hardware.rows=8 would do nothing", "prompts_per_step=... as well"]),
    "processes": (
        ["prompts_per_step=3", "args.num_generations=4", "args.num_remains_in_group=2", "hardware.num_processes=8"],
        ["prompts_per_step=3 x 4 completions on 8 processes: 12 rows do not divide by 8", "prompts_per_step=2 or 4"],
    ),
    "rows that do not divide": (
        ["prompts_per_step=8", "args.num_remains_in_group=4", "hardware.rows=12"],
        ["hardware.rows=12 does not divide the 32 rows a process", "4 kept of 16", "hardware.rows=8 or 16"],
    ),
    "more rows than there are": (
        ["prompts_per_step=8", "args.num_remains_in_group=4", "hardware.rows=64"],
        ["hardware.rows=64 is more than the 32 rows", "hardware.rows=32"],
    ),
    "typed rows a device": (
        ["prompts_per_step=8", "args.per_device_train_batch_size=12"],
        ["does not divide the 128 rows a process", "args.per_device_train_batch_size=8 or 16"],
    ),
    "typed accumulation": (
        ["algorithm=sft", "prompts_per_step=8", "args.gradient_accumulation_steps=3"],
        ["args.gradient_accumulation_steps=3 does not divide the 8 rows", "args.gradient_accumulation_steps=2 or 4,"],
    ),
    "both": (
        ["prompts_per_step=8", "args.per_device_train_batch_size=4", "args.gradient_accumulation_steps=8"],
        ["has 128 rows, and 4 rows a device x 8 x 1 process = 32", "leave one of them out"],
    ),
    "rows and rows a device": (
        ["algorithm=grpo", "prompts_per_step=8", "args.per_device_train_batch_size=64", "hardware.rows=16"],
        ["hardware.rows=16", "args.per_device_train_batch_size=64 (command line)", "hardware.rows=64"],
    ),
    "rows that shrink": (
        ["algorithm=sft", "prompts_per_step=8", "args.auto_find_batch_size=true"],
        ["args.auto_find_batch_size=true trains on fewer rows", "hardware.rows=auto"],
    ),
    "generation batch": (
        ["prompts_per_step=8", "args.generation_batch_size=160"],
        ["no batch of completions has whole steps", "args.generation_batch_size=128 or a multiple"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_nearest_numbers_that_work(case):
    words, said = REFUSED[case]
    with pytest.raises(Refusal) as refusal:
        composed(*words)
    assert all(each in str(refusal.value) for each in said), refusal.value
    assert "(command line)" in refusal.value.where


WRONG = ["args.num_generations=many", "hardware.num_processes=none", "args=3", "args.num_remains_in_group=few"]


@pytest.mark.parametrize("word", [*WRONG, "args.top_entropy_quantile=some"])
def test_what_is_no_number_is_left_to_its_check(word):
    for rows in ("auto", "null"):
        assert check(composed("prompts_per_step=16", f"hardware.rows={rows}", word))


def test_the_keys_leave_nothing_behind_where_they_are_not_used():
    plain = composed()
    assert config_hash(plain).startswith("90dc4afd")
    assert "prompts_per_step" not in plain.config and "rows" not in plain.config["hardware"]
    used = composed("prompts_per_step=8", "hardware.rows=48")
    assert used.config == plain.config | {"prompts_per_step": 8}


def test_typed_settings_of_args_void_the_prompts_of_a_file(tmp_path):
    (tmp_path / "conf/experiment").mkdir(parents=True)
    (tmp_path / "conf/experiment/mine.yaml").write_text("# @package _global_\n# Mine.\nprompts_per_step: 8\n")
    typed = ["args.per_device_train_batch_size=16", "args.gradient_accumulation_steps=2"]
    experiment = composed("experiment=mine", *typed)
    assert "prompts_per_step" not in experiment.config and check(experiment) == []
    (note,) = experiment.notes
    assert "a step has 32 rows" in note and "prompts_per_step was 8 in a config file" in note
    assert composed("experiment=mine", typed[0]).config["args"]["gradient_accumulation_steps"] == 8


def test_a_batch_of_an_experiments_file_stands_unless_prompts_are_typed(tmp_path):
    (tmp_path / "conf/experiment").mkdir(parents=True)
    batch_of_mine = "args: {per_device_train_batch_size: 16, gradient_accumulation_steps: 4}\n"
    (tmp_path / "conf/experiment/mine.yaml").write_text(f"# @package _global_\n# Mine.\n{batch_of_mine}")
    words = ["experiment=mine", "algorithm.recipe.prompts_per_step=8", "model=local", "model.path=x"]
    assert [composed(*words).config["args"][name] for name in FIELDS[:2]] == [16, 4]
    assert [composed(*words, "prompts_per_step=8").config["args"].get(name) for name in FIELDS[:2]] == [32, 4]


def test_explain_names_the_chain(capsys):
    words = ["hardware=cpu", "prompts_per_step=8", "hardware.rows=24", TWO]
    composition = compose_traced(words)
    traced = origins_of(composition.loader, composition.hydra)
    explain("args.per_device_train_batch_size", composition.experiment, traced)
    chain = "prompts_per_step=8 x 6 kept of 16 completions on 2 processes: 1 micro-batch of 24 rows for the update"
    shown = capsys.readouterr().out
    assert "args.per_device_train_batch_size = 64" in shown and f"set by   {chain}" in shown
    assert "over     128, conf/algorithm/grpo.yaml" in shown
    assert origins_to_record(composition.experiment)["args.per_device_train_batch_size"] == chain
    explain("hardware.rows", composition.experiment, traced)
    assert "hardware.rows = 24" in capsys.readouterr().out


def test_cfg_job_shows_what_follows(capsys):
    run_hydra(["--cfg", "job", "hardware=cpu", "prompts_per_step=8", "hardware.rows=24"], lambda composed: None)
    args = yaml.safe_load(capsys.readouterr().out)["args"]
    assert (args["per_device_train_batch_size"], args["gradient_accumulation_steps"]) == (64, 2)


GPU = ["hardware=gpu", "model=qwen3_0_6b", "dataset=gsm8k", "prompts_per_step=32"]


def rows_by_memory(gib, *words):
    args = compose([*GPU, "hardware.rows=auto", f"hardware.memory_gib={gib}", *words]).config["args"]
    return args["per_device_train_batch_size"]


def test_auto_takes_what_fits_and_no_more_than_keeps_the_device_busy():
    (most, *_, least) = sizes = [rows_by_memory(gib) for gib in (1000, 140, 24, 12)]
    assert sizes == sorted(sizes, reverse=True) and least < most < 512
    assert rows_by_memory(12, "peft=lora") >= least


def test_auto_is_refused_without_a_memory_to_ask_or_one_that_is_too_small():
    with pytest.raises(Refusal, match="the memory of a GPU is not known here"):
        compose([*GPU, "hardware.rows=auto"])
    with pytest.raises(Refusal, match="the update of 1 row takes some .* GiB, and a device has 4.0 GiB"):
        rows_by_memory(4)


def test_auto_asks_nothing_of_this_machine_for_a_cell_that_another_runs():
    words = ["hardware=cpu", "prompts_per_step=8", "hardware.rows=auto"]
    with pytest.raises(Refusal, match=r"hardware.rows=auto .* cannot be asked"):
        compose(words, lambda experiment: replace(experiment, runs_remotely=True))
    assert compose([*words, "hardware.memory_gib=64"], lambda experiment: replace(experiment, runs_remotely=True))


def test_auto_gives_way_to_what_is_typed():
    assert rows_by_memory(4, "args.gradient_accumulation_steps=8") == 64


def test_auto_asks_main_memory_on_a_cpu():
    assert batch("prompts_per_step=8", "hardware.rows=auto") == (128, None, None)


NOTED = {
    "a token's mean": ["algorithm=grpo", "args.loss_type=bnpo"],
    "the chosen completion itself": ["algorithm=dpo_sft"],
    "sorted in a micro-batch": ["algorithm=dpo_sft", "args.loss_type=[aot]", "args.loss_weights=null"],
    "entropy": ["algorithm=grpo", "args.entropy_coef=0.01"],
}


@pytest.mark.parametrize("case", NOTED)
def test_a_loss_that_depends_on_the_cut_is_named(case):
    (note,) = composed(*NOTED[case], "prompts_per_step=64").notes
    assert "over each micro-batch" in note
    assert composed("algorithm=grpo", "prompts_per_step=64").notes == []
    assert composed("algorithm=dpo", "prompts_per_step=32").notes == []
