"""`expctl explain KEY`: what it says is what was composed, for every key of every algorithm."""

from pathlib import Path

import pytest

from expctl.base.plain_data import leaves
from expctl.cli.hydra_app import compose_traced
from expctl.cli.main import run_words
from expctl.config.groups import group_options
from expctl.config.locate import own_conf
from expctl.config.origin import origins_of


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def explained(capsys, *words, code=0) -> str:
    assert run_words(["explain", *words]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


@pytest.mark.parametrize(
    "words",
    [[f"algorithm={name}"] for name in group_options("algorithm")]
    + [
        ["peft=lora", "model=qwen3_0_6b", "hardware=cpu_2", "algorithm/replay=on", "args.learning_rate=3e-4"],
        ["dataset=gsm8k", "reward=accuracy_short", "tracker=wandb", "callbacks=early_stopping", "seed=4"],
    ],
    ids=" ".join,
)
def test_the_place_that_counts_says_the_value_that_was_composed(words):
    composition = compose_traced(words)
    found = origins_of(composition.loader, composition.hydra)
    values = dict(leaves(composition.experiment.config))
    for key, value in values.items():
        settings = found.of(key)
        if key in ("args.metric_for_best_model", "args.greater_is_better"):
            continue  # they follow the algorithm's objective where the best checkpoint is asked for
        is_derived = composition.experiment.locations.get(key, "").startswith(("prompts_per_step=", "model.thinking="))
        assert settings or value == {} or is_derived, f"nothing set {key}"
        last = settings[-1].value if settings else value
        if not is_derived and not (isinstance(last, str) and "${" in last):
            assert last == value, (key, settings)
    for group in composition.experiment.choices:
        assert group in found.groups, group
    assert len(values) > 30


def test_the_line_that_is_named_is_the_line_of_the_key():
    composition = compose_traced(["peft=lora"])
    found = origins_of(composition.loader, composition.hydra)
    places = [(key, setting.where) for key, chain in found.keys.items() for setting in chain]
    without = [key for key, where in places if ":" not in where]
    assert without == ["callbacks"]  # the file of an empty group has no line for it
    for key, where in [place for place in places if place[0] not in without]:
        name, _, line = where.rpartition(":")
        text = (own_conf().parent / name).read_text().splitlines()[int(line) - 1]
        assert key.rpartition(".")[2] in text, (key, where)


def test_a_word_goes_over_a_file_and_a_file_over_the_default(capsys):
    said = explained(capsys, "args.learning_rate", "args.learning_rate=3e-4", "algorithm=grpo").splitlines()
    assert said[0] == "args.learning_rate = 0.0003"
    assert said[1] == "  set by   args.learning_rate=3e-4 (command line)"
    assert said[2].startswith(
        "  over     ${algorithm.learning_rate.${algorithm.learning_rate.used}}, conf/algorithm/_base"
    )
    assert said[3] == "  over     1e-06, the default of trl.GRPOConfig"
    assert "learning rate for AdamW" in said[5]


def test_the_chain_of_a_learning_rate_names_algorithm_peft_and_toy(capsys):
    adapted = explained(capsys, "args.learning_rate", "algorithm=sft", "model=qwen3_1_7b", "peft=lora")
    assert adapted.startswith("args.learning_rate = 0.0002\n")
    assert "  from     algorithm.learning_rate.adapter = 0.0002, conf/algorithm/sft.yaml:" in adapted
    assert "  from     algorithm.learning_rate.used = adapter, conf/peft/lora.yaml:" in adapted
    assert "learning_rate.full" not in adapted and "tiny" not in adapted
    toy = explained(capsys, "args.learning_rate", "algorithm=sft")
    assert toy.startswith("args.learning_rate = 0.001\n")
    assert (
        "algorithm.toy.prompt-completion.learning_rate = 0.001, conf/model/tiny.yaml:" in toy
        and "           over 2e-05, conf/algorithm/sft.yaml:" in toy
    )
    assert "  from     algorithm.learning_rate.used = full, conf/peft/none.yaml:" in toy


def test_the_metric_of_the_best_checkpoint_is_traced_to_the_algorithm(capsys):
    words = ["algorithm=grpo", "model=local", "model.path=m"]
    assert "set by   the algorithm's objective\n" in explained(capsys, "args.metric_for_best_model", *words)


def test_a_key_that_others_are_made_of_is_explained(capsys):
    said = explained(capsys, "algorithm.learning_rate.full", "algorithm=sft", "model=qwen3_0_6b")
    assert said.startswith("algorithm.learning_rate.full = 2e-05\n  set by   conf/algorithm/sft.yaml:")
    said = explained(capsys, "dataset.max_completion_length", "dataset.max_completion_length=7")
    assert said.startswith("dataset.max_completion_length = 7\n  set by   dataset.max_completion_length=7 (command")


def test_a_user_s_file_goes_over_ours_and_is_named_from_the_working_folder(capsys, folder):
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "mine.yaml").write_text(
        "# @package _global_\nmodel: {path: a, dtype: float32, attn_implementation: null}\n\nargs:\n  beta: 0.5\n"
    )
    said = explained(capsys, "model=mine", "args.beta")
    assert "args.beta = 0.5\n  set by   conf/model/mine.yaml:5\n  over     0" in said


def test_a_key_that_nothing_sets_has_the_default_of_its_class(capsys):
    said = explained(capsys, "args.weight_decay")
    assert said.startswith("args.weight_decay = 0.0\n  set by   nothing: the default of ") and "Weight decay" in said


def test_an_interpolation_is_followed_to_where_it_leads(capsys):
    said = explained(capsys, "args.seed", "seed=5")
    assert "args.seed = 5\n  set by   ${seed}, conf/" in said and "from     seed = 5, seed=5 (command line)" in said


def test_a_group_is_explained_by_its_choice_and_every_key_below_it(capsys):
    said = explained(capsys, "algorithm")
    assert said.startswith("algorithm = gfpo\n  set by   conf/expctl.yaml") and "algorithm.kind " in said
    assert "set by   algorithm=dpo (command line)" in explained(capsys, "algorithm", "algorithm=dpo")
    assert explained(capsys, "algorithm/replay") == "algorithm/replay = null\n  options  on\n"
    assert "algorithm/replay = on\n" in explained(capsys, "algorithm/replay", "algorithm/replay=on")


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["args.learning_rat"], "args.learning_rate"),
        (["learning_rate"], "args.learning_rate"),
        (["sede"], "seed"),
        (["model.pth"], "model.path"),
        (["args.weigth_decay"], "args.weight_decay"),
        (["seed", "algorithm=gfop"], "gfpo"),
        ([], "explain KEY"),
        (["seed", "name"], "explain KEY"),
        (["-m", "seed", "seed=0,1"], "explain KEY"),
    ],
    ids=str,
)
def test_what_is_no_key_is_refused_with_the_nearest(capsys, words, nearest):
    assert nearest in explained(capsys, *words, code=2)


def test_nothing_is_created(capsys, folder):
    explained(capsys, "args.learning_rate", "algorithm=sft")
    assert list(Path(folder).iterdir()) == []
