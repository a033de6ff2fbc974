"""What cannot work together is refused when the config is checked: what it is, where it was set, what to do."""

import copy
from dataclasses import replace

import pytest

from expctl.cli.hydra_app import compose
from expctl.config.check import check

BASES = {
    "gfpo": ["algorithm=gfpo"],
    "grpo": ["algorithm=grpo"],
    "gspo": ["algorithm=gspo"],
    "gspo_token": ["algorithm=gspo_token"],
    "replay": ["algorithm=grpo_replay"],
    "dpo": ["algorithm=dpo"],
    "dpo_bema": ["algorithm=dpo_bema"],
    "moving": ["algorithm=grpo", "algorithm/reference=bema"],
    "together": [
        "algorithm=gfpo",
        "+algorithm/ratio=sequence_token",
        "algorithm/replay=on",
        "algorithm/reference=bema",
    ],
}
FILTER, CREDIT, BEMA = "algorithm.trainer.group_filter_func", "algorithm.trainer.token_advantages", "callbacks.bema"
TRAINER, LEVEL, K = "algorithm.trainer._target_", "args.importance_sampling_level", "args.num_remains_in_group"
ROOM = "expctl.algorithms."
ADAPTIVE, WEIGHTED = {"_target_": ROOM + "difficulty.AdaptiveDifficulty"}, ROOM + "filters.WeightedFilters"
LORA = {"_target_": "peft.LoraConfig", "r": 4}
GONE = object()


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    """`composed(base)`: the experiment that the words of a base compose to, composed once."""
    experiments = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        for base, words in BASES.items():
            experiments[base] = compose([*words, "hardware=cpu"])
        yield experiments.__getitem__


@pytest.fixture
def refused(composed):
    """`refused(base, changes, **fields)`: what `check` refuses once dotted keys of the config were changed."""

    def refuse(base, changes=(), **fields):
        experiment = composed(base)
        config, sources = copy.deepcopy(experiment.config), dict(experiment.sources)
        for key, value in dict(changes).items():
            *path, last = key.split(".")
            node = config
            for name in path:
                node = node[name]
            node.pop(last) if value is GONE else node.update({last: value})
            sources[key] = f"{key}={value} (command line)"
        return check(replace(experiment, **{"config": config, "sources": sources} | fields))

    return refuse


@pytest.mark.parametrize("base", BASES)
def test_every_algorithm_and_all_parts_together_pass(refused, base):
    assert refused(base) == []


WORKS = {
    "adaptive filter without a k": ("gfpo", {FILTER: "adaptive_difficulty", K: None}),
    "adaptive filter with its own k": ("gfpo", {FILTER: ADAPTIVE | {"easy": 2}, K: None}),
    "adaptive filter around others": ("gfpo", {FILTER: ADAPTIVE | {"filter": "token_efficiency"}, K: None}),
    "weighted filters": ("gfpo", {FILTER: {"_target_": WEIGHTED, "filters": ["shortest", "token_efficiency"]}}),
    "k equal to G without a filter": ("gfpo", {FILTER: None, K: 16}),
    "level of tokens with credit": ("gspo_token", {LEVEL: "token"}),
    "level of sequences without credit": ("gspo_token", {LEVEL: "sequence", CREDIT: None}),
    "vespo at the level of tokens": ("gspo_token", {LEVEL: "token", "args.loss_type": "vespo"}),
    "replay of every group": ("replay", {"args.replay_max_fraction": 1.0, "args.replay_correction": "truncate"}),
    "no replay": ("replay", {"args.replay_buffer_size": 0}),
    "averages without moving the reference": (
        "dpo_bema", {f"{BEMA}.update_ref_model": False, TRAINER: "trl.DPOTrainer"}),
    "moving reference with LoRA": ("dpo_bema", {"peft": LORA}),
    "TRL's moving reference": ("grpo", {"args.sync_ref_model": True, "args.beta": 0.1}),
}  # fmt: skip


@pytest.mark.parametrize("case", WORKS)
def test_what_works_together_passes(refused, case):
    base, changes = WORKS[case]
    assert refused(base, changes) == []


# case: (base, changes, what is said, the key that is blamed first, the nearest right value or what to do)
REFUSED = {
    "loss that the ratio means nothing to": (
        "gspo_token", {"args.loss_type": "vespo"}, "does not go with loss_type='vespo'", "args.loss_type", "'grpo'"),
    "unknown level": (
        "gspo_token", {LEVEL: "sequense_token"}, "'sequense_token' is not known", LEVEL, "sequence_token"),
    "unknown level of a composed trainer": ("together", {LEVEL: "tokens"}, "'tokens' is not known", LEVEL, "token"),
    "unknown level of TRL's trainer": ("grpo", {LEVEL: "sequense"}, "'sequense' is not known", LEVEL, "sequence"),
    "ratio of sequences without the trainer": (
        "gfpo", {LEVEL: "sequence_token"}, "GFPOTrainer has no such ratio", LEVEL, "algorithm/ratio=sequence_token"),
    "credit of tokens at the level of sequences": (
        "gspo_token", {LEVEL: "sequence"}, "token_advantages does not go with", LEVEL, "'sequence_token'"),
    "k beside a filter that decides it": (
        "gfpo", {FILTER: "adaptive_difficulty"}, "AdaptiveDifficulty decides", K, ""),
    "k of the hardest above G": (
        "gfpo", {FILTER: ADAPTIVE | {"very_hard": 17}, K: None}, "very_hard=17", f"{FILTER}.very_hard", "16"),
    "default k of a quartile above G": (
        "gfpo", {FILTER: "adaptive_difficulty", K: None, "args.num_generations": 4}, "very_hard=8", FILTER, "2 and 4"),
    "deciding filter inside of another": (
        "gfpo", {FILTER: {"_target_": WEIGHTED, "filters": ["shortest", "adaptive_difficulty"]}},
        "AdaptiveDifficulty decides how many are kept", FILTER, "put WeightedFilters inside"),
    "filters and weights": (
        "gfpo", {FILTER: {"_target_": WEIGHTED, "filters": ["shortest"], "weights": [1.0, 2.0]}},
        "1 filters but 2 weights", FILTER, "one weight a filter"),
    "unknown filter inside of another": (
        "gfpo", {FILTER: {"_target_": ROOM + "filters.KeepContrast", "filter": "shortst"}},
        "no group filter 'shortst'", f"{FILTER}.filter", "shortest"),
    "k without a filter": ("gfpo", {FILTER: None}, "nothing says which", FILTER, "shortest"),
    "k above G": ("gfpo", {K: 17}, "num_remains_in_group (17) must be between 2", K, "=8"),
    "k of one": ("gfpo", {K: 1}, "compares at least two completions", K, "=8"),
    "fate of the rejected": ("gfpo", {"args.filtered": "drp"}, "must be 'drop' or 'mask'", "args.filtered", "drop"),
    "filter with TRL's config": (
        "gfpo", {"args._target_": "trl.GRPOConfig", K: GONE}, "GFPOTrainer needs the fields", "args._target_",
        "args._target_=expctl.algorithms.gfpo.GFPOConfig"),
    "all parts with TRL's config": (
        "together", {"args._target_": "trl.GRPOConfig", K: GONE, "args.replay_buffer_size": GONE,
                     "args.replay_max_age": GONE, "args.replay_max_fraction": GONE},
        "needs the fields", "args._target_", "ComposedConfig"),
    "k without a trainer that filters": (
        "gfpo", {TRAINER: "trl.GRPOTrainer", FILTER: GONE}, "does nothing", K, "GroupFiltering"),
    "replay without a trainer that replays": (
        "replay", {TRAINER: ROOM + "grpo.GRPOTrainer"}, "replay_buffer_size=64 does nothing", "args.replay_buffer_size",
        "GroupReplay"),
    "negative buffer": ("replay", {"args.replay_buffer_size": -1}, "at least 0", "args.replay_buffer_size", ""),
    "age of nothing": ("replay", {"args.replay_max_age": 0}, "at least 1", "args.replay_max_age", ""),
    "share above all": ("replay", {"args.replay_max_fraction": 1.5}, "(0, 1]", "args.replay_max_fraction", ""),
    "cap of nothing": ("replay", {"args.replay_weight_cap": 0.0}, "above 0", "args.replay_weight_cap", ""),
    "unknown correction": (
        "replay", {"args.replay_correction": "trunc"}, "'trunc' is not known", "args.replay_correction", "truncate"),
    "reference computed before": (
        "dpo_bema", {"args.precompute_ref_log_probs": True}, "freezes", "args.precompute_ref_log_probs", "false"),
    "two that move the reference": (
        "dpo_bema", {"args.sync_ref_model": True}, "both write", "args.sync_ref_model", "sync_ref_model=false"),
    "moving reference without a penalty": ("moving", {"args.beta": 0.0}, "GRPO has none", "args.beta", "above 0"),
    "reference between averages": (
        "dpo_bema", {f"{BEMA}.update_freq": 7, f"{BEMA}.ref_model_update_freq": 10}, "not a multiple",
        f"{BEMA}.ref_model_update_freq", "=7"),
    "averages that extrapolate": (
        "dpo_bema", {f"{BEMA}.lag": 0, f"{BEMA}.multiplier": 0.01}, "extrapolate", f"{BEMA}.lag", "lag=1"),
    "time convention": ("dpo_bema", {f"{BEMA}.time": "papr"}, "no", f"{BEMA}.time", "paper"),
    "adapter without low rank": (
        "dpo_bema", {"peft": {"_target_": "peft.IA3Config"}}, "not with IA3Config", "peft", "peft=lora"),
    "adapter away from zero": (
        "dpo_bema", {"peft": LORA | {"init_lora_weights": "pissa"}}, "from zero", "peft.init_lora_weights", "true"),
    "adapter with a full reference": (
        "dpo_bema", {"peft": LORA, "algorithm.trainer.ref_model": "some/model"}, "full model", "peft", "leave"),
    "split model": (
        "dpo_bema", {"args.deepspeed": {"zero_optimization": {"stage": 3}}}, "splits the parameters", "", "ZeRO 1"),
    "split model by FSDP": ("dpo_bema", {"args.fsdp": "full_shard"}, "FSDP splits the parameters", "", "ZeRO 1 or 2"),
    "trainer that knows no averages": (
        "dpo_bema", {TRAINER: "trl.DPOTrainer"}, "trl.DPOTrainer does not", f"{BEMA}.update_ref_model", "dpo_bema"),
    "evaluation by trainers that know no averages": (
        "dpo", {BEMA: {"_target_": ROOM + "bema_for_ref_model.BEMACallback", "evaluate_with_bema": True}},
        "trl.DPOTrainer does not", BEMA, "algorithm/reference=bema"),
    "two averages": (
        "dpo_bema", {"callbacks.two": {"_target_": ROOM + "bema_callback.BEMACallback"}}, "two BEMACallbacks", BEMA,
        "leave callbacks.two out"),
    "averages evaluated by vLLM": (
        "moving", {f"{BEMA}.evaluate_with_bema": True, "args.use_vllm": True}, "exclude each other",
        f"{BEMA}.evaluate_with_bema", "set one of them to false"),
    "moving reference of an adapter": (
        "grpo", {"args.sync_ref_model": True, "args.beta": 0.1, "peft": LORA}, "adapter's", "args.sync_ref_model", ""),
    "moving reference that is not there": (
        "grpo", {"args.sync_ref_model": True}, "beta=0", "args.sync_ref_model", "args.sync_ref_model=false"),
    "credit outside the allowed packages": (
        "gspo_token", {CREDIT: "os.system"}, "outside the allowed packages", CREDIT, "EXPCTL_ALLOW"),
    "credit by a class": (
        "gspo_token", {CREDIT: ROOM + "token_advantages.DiscountedCredit"}, "is a class", CREDIT, "_target_="),
    "credit that is nowhere": (
        "gspo_token", {CREDIT: ROOM + "token_advantages.DiscountCredit"}, "has no", CREDIT, "DiscountedCredit"),
    "step reward outside the allowed packages": (
        "gspo_token", {CREDIT: {"_target_": ROOM + "token_advantages.StepCredit", "step_rewards": "os.system"}},
        "outside the allowed packages", f"{CREDIT}.step_rewards", "EXPCTL_ALLOW"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_excludes_each_other_is_refused_by_name(refused, case, monkeypatch):
    # As if vLLM were installed.
    monkeypatch.setattr("expctl.config.checks.combinations.find_spec", lambda package: object())
    base, changes, said, blamed, helps = REFUSED[case]
    found = refused(base, changes)
    assert len(found) == 1, [str(refusal) for refusal in found]
    (refusal,) = found
    assert said in refusal.what
    assert refusal.where.startswith(blamed)
    assert any(helps in text for text in (refusal.do, *refusal.nearest))


@pytest.mark.parametrize(("field", "package"), [("use_vllm", "vllm"), ("use_liger_kernel", "liger_kernel")])
def test_a_package_that_is_not_installed_is_named(refused, field, package, monkeypatch):
    monkeypatch.setattr("expctl.config.checks.combinations.find_spec", lambda name: None)
    (refusal,) = refused("grpo", {f"args.{field}": True})
    assert package in refusal.what and "pip install" in refusal.do


def test_a_model_that_is_split_over_devices_has_no_averages(composed):
    from expctl.config.checks.bema import check_bema

    experiment = composed("dpo_bema")
    sharded = {"hardware": experiment.config["hardware"] | {"sharding": {"fsdp_version": 2}}}
    (refusal,) = check_bema(replace(experiment, config=experiment.config | sharded))
    assert "hardware=cpu" in refusal.what and "splits the parameters" in refusal.what


@pytest.mark.parametrize("part", ["algorithm/ratio", "algorithm/replay", "algorithm/reference"])
def test_a_part_over_an_algorithm_without_completions_is_refused(refused, composed, part):
    choices = composed("dpo").choices | {part: "any"}
    (refusal,) = refused("dpo", choices=choices)
    assert f"{part}=any" in refusal.what and "not with dpo" in refusal.what


def test_a_users_own_trainer_may_read_fields_that_ours_would_not(refused, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import trl\n\n\nclass Mine(trl.GRPOTrainer):\n    def __init__(self, *args, **kwargs):\n"
        "        super().__init__(*args, **kwargs)\n"
    )
    assert refused("gfpo", {TRAINER: "mine.Mine", FILTER: GONE}, folder=tmp_path) == []


def test_a_part_that_reads_rewards_needs_the_rollout_before_it(refused, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import trl\nfrom expctl.algorithms.replay import GroupReplay\n\n\n"
        "class Mine(GroupReplay, trl.GRPOTrainer):\n    pass\n"
    )
    (refusal,) = refused("replay", {TRAINER: "mine.Mine"}, folder=tmp_path)
    assert "ScoredRollout" in refusal.what


def test_the_name_of_a_run_tells_its_parts(composed):
    assert composed("together").label("algorithm") == "gfpo_sequence_token_bema_replay"
    assert composed("gspo").label("algorithm") == "gspo"
