"""The config groups are orthogonal: each key has one, and choosing in another leaves it alone."""

import re
from itertools import combinations

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from expctl.base.plain_data import leaves
from expctl.base.refusal import Refusal
from expctl.config.check import check
from expctl.config.derived import with_derived
from expctl.config.frozen import KEPT_IF_SET, frozen, is_composition_only, register_resolvers
from expctl.config.groups import group_options
from expctl.config.locate import own_conf

GROUPS = ("hardware", "algorithm", "model", "dataset", "reward", "generation", "peft", "tracker", "callbacks")
# What a group lays over another on purpose: what fits into memory beside a model, and what a toy needs.
RECIPE = {
    f"algorithm.recipe.{name}"
    for name in (
        "prompts_per_step",
        "max_steps",
        "num_train_epochs",
        "lr_scheduler_type",
        "warmup_steps",
        "eval_strategy",
        "eval_steps",
        "save_steps",
        "load_best_model_at_end",
    )
}
LAID_OVER = {
    ("algorithm", "model"): RECIPE
    | {
        "args.per_device_train_batch_size",
        "args.per_device_eval_batch_size",
        "args.gradient_checkpointing",
        "algorithm.learning_rate.full",
        "algorithm.learning_rate.adapter",
        "algorithm.max_completion_length",
    },
    ("hardware", "model"): {"hardware.threads"},
    # The default of _base.yaml, for adapters of the user's own.
    ("algorithm", "peft"): {"algorithm.learning_rate.used"},
    # Evaluations to stop at, which the toy has none of.
    ("algorithm", "callbacks"): {"args.eval_strategy", "args.eval_steps"},
}
TOYS = {
    "tiny": RECIPE
    | {
        "algorithm.learning_rate.full",
        "algorithm.learning_rate.adapter",
        "algorithm.max_completion_length",
        "hardware.threads",
    },
    # How long two cores train: no more than that.
    "smollm2_135m": {
        f"algorithm.recipe.{name}"
        for name in (
            "prompts_per_step",
            "max_steps",
            "num_train_epochs",
            "eval_strategy",
            "eval_steps",
            "save_steps",
            "load_best_model_at_end",
        )
    },
}
GIVEN = {
    ("model", "local"): ["model.path=models/mine"],
    ("dataset", "files"): ["dataset.path=rows.jsonl"],
    ("dataset", "hub"): ["dataset.path=org/name"],
    ("reward", "model"): ["reward_model=tiny"],
    ("reward", "judge"): ["judge.url=http://localhost/v1", "judge.model=judge"],
}
RATES = {
    "sft": (2e-5, 2e-4),
    "dpo": (1e-6, 1e-5),
    "dpo_bema": (1e-6, 1e-5),
    "grpo": (1e-6, 1e-5),
    "gfpo": (1e-6, 1e-5),
    "grpo_replay": (1e-6, 1e-5),
    "dynamic_sampling": (1e-6, 1e-5),
    "gspo": (1e-6, 1e-5),
    "gspo_token": (1e-6, 1e-5),
}
# Those of the others that differ from the rates of what they build on.
OTHER_RATES = {
    "apo_zero": (2e-7, 2e-6),
    "apo_down": (2e-7, 2e-6),
    "discopop": (5e-7, 5e-6),
    "nca": (5e-6, 5e-5),
    "online_dpo": (5e-7, 5e-6),
    "orpo": (5e-6, 5e-5),
    "reward": (1e-5, 1e-4),
    "gkd": (2e-5, 2e-4),
    "sppo": (5e-7, 5e-6),
    "tpo": (5e-7, 5e-6),
}
TOY_RATES = {"sft": 1e-3, "dpo": 3e-4, "dpo_bema": 3e-4}
REAL_MODELS = [name for name in group_options("model") if name != "tiny"]


@pytest.fixture(scope="module")
def composed():
    """The experiment that words make."""
    register_resolvers()
    yaml.SafeLoader = yaml.CSafeLoader  # as the command does: OmegaConf's loader derives from it
    with initialize_config_dir(str(own_conf()), version_base="1.3"):

        def of(*words):
            config = compose("expctl", list(words), return_hydra_config=True)
            hydra = config.hydra
            OmegaConf.set_struct(config, False)
            del config["hydra"]
            return with_derived(frozen(config, hydra, list(words), {}))

        yield of


@pytest.fixture
def experiment(composed):
    """The config of the experiment that words make."""
    return lambda *words: composed(*words).config


def chosen(group, option):
    return [f"{group}={option}", *GIVEN.get((group, option), [])]


def keys_written(file, group):
    """The dotted keys that a file of a group sets, and not the files that it builds on."""
    text = file.read_text()
    values = yaml.safe_load(text) or {}
    values.pop("defaults", None)
    keys = {key for key, value in leaves(values) if value != {}}
    is_global = re.match(r"# @package _global_$", text, re.M)
    return keys if is_global else {f"{group}.{key}" for key in keys}


def keys_of_group(group):
    return set().union(*(keys_written(file, group) for file in (own_conf() / group).rglob("*.yaml")))


def test_no_two_groups_set_the_same_key():
    written = {group: keys_of_group(group) for group in GROUPS}
    shared = {(one, other): written[one] & written[other] for one, other in combinations(GROUPS, 2)}
    assert {pair: keys for pair, keys in shared.items() if keys} == LAID_OVER


def test_only_the_toy_and_a_model_for_the_cpu_change_what_is_no_matter_of_memory():
    memory = {key for key in LAID_OVER["algorithm", "model"] if key.startswith("args.")}
    for name, file in group_options("model").items():
        others = {key for key in keys_written(file, "model") if not key.startswith(("model.", "algorithm.toy"))}
        assert others - memory == TOYS.get(name, set()), name


@pytest.mark.parametrize("algorithm", RATES)
def test_every_option_composes_with_every_algorithm_and_only_peft_chooses_its_learning_rate(algorithm, experiment):
    """An option of every group at a time, until each had its turn; each model twice, with and without an adapter."""
    full, adapter = RATES[algorithm]
    others = {group: list(group_options(group)) for group in ("hardware", "dataset", "reward", "tracker", "callbacks")}
    turns = [(model, peft) for peft in ("none", "lora") for model in REAL_MODELS]
    others["dataset"].remove("benchmarks")  # nobody trains on it
    assert set(group_options("peft")) == {"none", "lora"}
    for turn in range(max(len(turns), *map(len, others.values()))):
        model, peft = turns[turn % len(turns)]
        words = [f"algorithm={algorithm}", *chosen("model", model), f"peft={peft}"]
        for group, options in others.items():
            words += chosen(group, options[turn % len(options)])
        config = experiment(*words)
        assert config["args"]["learning_rate"] == (full if peft == "none" else adapter), words
        assert not [key for key, _ in leaves(config) if is_composition_only(key) and key not in KEPT_IF_SET]


@pytest.mark.parametrize("algorithm", sorted(set(group_options("algorithm")) - {"eval", "benchmarks", *RATES}))
def test_every_other_algorithm_has_the_rates_of_its_paper_or_of_what_it_builds_on(algorithm, experiment):
    full, adapter = OTHER_RATES.get(algorithm, (1e-6, 1e-5))
    words = [f"algorithm={algorithm}", "model=qwen3_0_6b"]
    assert experiment(*words)["args"]["learning_rate"] == full
    assert experiment(*words, "peft=lora")["args"]["learning_rate"] == adapter == pytest.approx(10 * full)


@pytest.mark.parametrize("algorithm", RATES)
def test_the_toy_has_rates_of_its_own(algorithm, experiment):
    for peft in group_options("peft"):
        config = experiment(f"algorithm={algorithm}", f"peft={peft}")
        assert config["args"]["learning_rate"] == TOY_RATES.get(algorithm, 8e-4)


@pytest.mark.parametrize(
    ("words", "length"),
    [
        (["dataset=arithmetic", "model=qwen3_0_6b"], 96),
        (["dataset=gsm8k", "model=qwen3_0_6b"], 1024),
        (["dataset=gsm8k"], 1024),
        (["dataset=files", "dataset.path=a", "model=qwen3_0_6b"], 512),
        (["dataset=files", "dataset.path=a"], 96),
        (["dataset.max_completion_length=40"], 40),
    ],
    ids=str,
)
def test_the_length_of_a_completion_is_the_dataset_s(words, length, experiment):
    assert experiment("algorithm=grpo", *words)["args"]["max_completion_length"] == length
    sampled = experiment("algorithm=sft", "callbacks=completions", *words)["callbacks"]["completions"]
    assert sampled["max_completion_length"] == length and "max_completion_length" not in sampled["dataset"]


def test_what_is_typed_counts_over_the_toy_and_over_the_algorithm(experiment):
    assert experiment("args.learning_rate=1", "peft=lora")["args"]["learning_rate"] == 1
    assert experiment("algorithm.learning_rate.full=2")["args"]["learning_rate"] == 2
    assert experiment("algorithm.learning_rate.adapter=2")["args"]["learning_rate"] == 8e-4


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["algorithm.learning_rate.adapter=2"], ["would do nothing: all weights are trained", "args.learning_rate"]),
        (["peft=lora", "algorithm.learning_rate.full=2"], ["would do nothing: an adapter is trained"]),
        (["algorithm=sft", "dataset.max_completion_length=9"], ["samples no completions", "callbacks=completions"]),
    ],
    ids=str,
)
def test_a_typed_rate_or_length_that_nothing_reads_is_refused(words, parts, composed):
    (refusal,) = check(composed(*words))
    assert all(part in str(refusal) for part in parts) and f"{words[-1]} (command line)" in str(refusal)
    read = {"algorithm=sft": "callbacks=completions", "peft=lora": "peft=none"}.get(words[0], "peft=lora")
    assert check(composed(*words, read)) == []


def test_one_rate_in_place_of_two_is_refused(composed):
    with pytest.raises(Refusal, match="`full` and `adapter`") as refused:
        composed("algorithm.learning_rate=1e-4")
    assert "args.learning_rate=..." in refused.value.do and "(command line)" in refused.value.where
    assert composed("algorithm.learning_rate={full: 3, used: full}").config["args"]["learning_rate"] == 3
