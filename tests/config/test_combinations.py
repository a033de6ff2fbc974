"""What cannot work together is refused when the config is checked: what it is, where it was set, what to do."""

import pytest

BASES = ("gfpo", "grpo", "gspo", "gspo_token", "replay", "dpo", "dpo_bema", "moving", "together")
FILTER, CREDIT = "algorithm.trainer.group_filter_func", "algorithm.trainer.token_advantages"
TRAINER, LEVEL, K = "algorithm.trainer._target_", "args.importance_sampling_level", "args.num_remains_in_group"
ROOM = "expctl.algorithms."
ADAPTIVE, WEIGHTED = {"_target_": ROOM + "difficulty.AdaptiveDifficulty"}, ROOM + "filters.WeightedFilters"
GONE = "~"  # takes a key out of the config


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
}


@pytest.mark.parametrize("case", WORKS)
def test_what_works_together_passes(refused, case):
    base, changes = WORKS[case]
    assert refused(base, changes) == []


# case: (base, changes, what is said, the key that is blamed first, the nearest right value or what to do)
REFUSED = {
    "loss that the ratio means nothing to": (
        "gspo_token",
        {"args.loss_type": "vespo"},
        "does not go with loss_type='vespo'",
        "args.loss_type",
        "'grpo'",
    ),
    "unknown level": (
        "gspo_token",
        {LEVEL: "sequense_token"},
        "'sequense_token' is not known",
        LEVEL,
        "sequence_token",
    ),
    "unknown level of a composed trainer": ("together", {LEVEL: "tokens"}, "'tokens' is not known", LEVEL, "token"),
    "unknown level of TRL's trainer": ("grpo", {LEVEL: "sequense"}, "'sequense' is not known", LEVEL, "sequence"),
    "ratio of sequences without the trainer": (
        "gfpo",
        {LEVEL: "sequence_token"},
        "GFPOTrainer has no such ratio",
        LEVEL,
        "algorithm/ratio=sequence_token",
    ),
    "credit of tokens at the level of sequences": (
        "gspo_token",
        {LEVEL: "sequence"},
        "token_advantages does not go with",
        LEVEL,
        "'sequence_token'",
    ),
    "k beside a filter that decides it": ("gfpo", {FILTER: "adaptive_difficulty"}, "AdaptiveDifficulty decides", K, ""),
    "k of the hardest above G": (
        "gfpo",
        {FILTER: ADAPTIVE | {"very_hard": 17}, K: None},
        "very_hard=17",
        f"{FILTER}.very_hard",
        "16",
    ),
    "default k of a quartile above G": (
        "gfpo",
        {FILTER: "adaptive_difficulty", K: None, "args.num_generations": 4},
        "very_hard=8",
        FILTER,
        "2 and 4",
    ),
    "deciding filter inside of another": (
        "gfpo",
        {FILTER: {"_target_": WEIGHTED, "filters": ["shortest", "adaptive_difficulty"]}},
        "AdaptiveDifficulty decides how many are kept",
        FILTER,
        "put WeightedFilters inside",
    ),
    "filters and weights": (
        "gfpo",
        {FILTER: {"_target_": WEIGHTED, "filters": ["shortest"], "weights": [1.0, 2.0]}},
        "1 filters but 2 weights",
        FILTER,
        "one weight a filter",
    ),
    "unknown filter inside of another": (
        "gfpo",
        {FILTER: {"_target_": ROOM + "filters.KeepContrast", "filter": "shortst"}},
        "no group filter 'shortst'",
        f"{FILTER}.filter",
        "shortest",
    ),
    "k without a filter": ("gfpo", {FILTER: None}, "nothing says which", FILTER, "shortest"),
    "k above G": ("gfpo", {K: 17}, "num_remains_in_group (17) must be between 2", K, "=8"),
    "k of one": ("gfpo", {K: 1}, "compares at least two completions", K, "=8"),
    "fate of the rejected": ("gfpo", {"args.filtered": "drp"}, "must be 'drop' or 'mask'", "args.filtered", "drop"),
    "filter with TRL's config": (
        "gfpo",
        {"args._target_": "trl.GRPOConfig", K: GONE},
        "GFPOTrainer needs the fields",
        "args._target_",
        "args._target_=expctl.algorithms.gfpo.GFPOConfig",
    ),
    "all parts with TRL's config": (
        "together",
        {
            "args._target_": "trl.GRPOConfig",
            K: GONE,
            "args.replay_buffer_size": GONE,
            "args.replay_max_age": GONE,
            "args.replay_max_fraction": GONE,
        },
        "needs the fields",
        "args._target_",
        "ComposedConfig",
    ),
    "k without a trainer that filters": (
        "gfpo",
        {TRAINER: "trl.GRPOTrainer", FILTER: GONE},
        "does nothing",
        K,
        "GroupFiltering",
    ),
    "replay without a trainer that replays": (
        "replay",
        {TRAINER: ROOM + "grpo.GRPOTrainer"},
        "replay_buffer_size=64 does nothing",
        "args.replay_buffer_size",
        "GroupReplay",
    ),
    "negative buffer": ("replay", {"args.replay_buffer_size": -1}, "at least 0", "args.replay_buffer_size", ""),
    "age of nothing": ("replay", {"args.replay_max_age": 0}, "at least 1", "args.replay_max_age", ""),
    "share above all": ("replay", {"args.replay_max_fraction": 1.5}, "(0, 1]", "args.replay_max_fraction", ""),
    "cap of nothing": ("replay", {"args.replay_weight_cap": 0.0}, "above 0", "args.replay_weight_cap", ""),
    "unknown correction": (
        "replay",
        {"args.replay_correction": "trunc"},
        "'trunc' is not known",
        "args.replay_correction",
        "truncate",
    ),
    "credit outside the allowed packages": (
        "gspo_token",
        {CREDIT: "os.system"},
        "outside the allowed packages",
        CREDIT,
        "EXPCTL_ALLOW",
    ),
    "credit by a class": (
        "gspo_token",
        {CREDIT: ROOM + "token_advantages.DiscountedCredit"},
        "is a class",
        CREDIT,
        "_target_=",
    ),
    "credit that is nowhere": (
        "gspo_token",
        {CREDIT: ROOM + "token_advantages.DiscountCredit"},
        "has no",
        CREDIT,
        "DiscountedCredit",
    ),
    "step reward outside the allowed packages": (
        "gspo_token",
        {CREDIT: {"_target_": ROOM + "token_advantages.StepCredit", "step_rewards": "os.system"}},
        "outside the allowed packages",
        f"{CREDIT}.step_rewards",
        "EXPCTL_ALLOW",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_excludes_each_other_is_refused_by_name(refused_by_name, case):
    refused_by_name(*REFUSED[case])


@pytest.mark.parametrize(("field", "package"), [("use_vllm", "vllm"), ("use_liger_kernel", "liger_kernel")])
def test_a_package_that_is_not_installed_is_named(refused, field, package, monkeypatch):
    monkeypatch.setattr("expctl.config.checks.combinations.find_spec", lambda name: None)
    (refusal,) = refused("grpo", {f"args.{field}": True})
    assert package in refusal.what and "pip install" in refusal.do


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
