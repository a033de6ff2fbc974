"""Every check fails when what it checks is broken, here or upstream."""

import math
import tempfile

import pytest
import torch
import trl

from expctl.algorithms import (
    bema_callback,
    bema_schedule,
    composed,
    difficulty,
    filters,
    gfpo,
    gfpo_selection,
    gspo_token,
    replay,
    replay_buffer,
    resampling,
    rollout_checkpoint,
    token_advantages,
)
from expctl.algorithms.upstream import ALGORITHMS
from expctl.verify.__main__ import checks
from expctl.verify.check import Check, CheckFailed, check, run_check


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    torch.set_num_threads(1)


def after(function):
    """A change of what the original returned."""
    return lambda original: lambda *args, **keywords: function(original(*args, **keywords))


def instead(function):
    return lambda original: function


def scaled(key, factor):
    return after(lambda batch: batch | {key: batch[key] * factor})


def forget_rollout(original):
    def load(self, checkpoint):
        super(rollout_checkpoint.RolloutCheckpoint, self)._load_optimizer_and_scheduler(checkpoint)

    return load


def sequence_level(original):
    def construct(self, model, reward_funcs=None, args=None, *positional, **keywords):
        args.importance_sampling_level = "sequence"
        original(self, model, reward_funcs, args, *positional, **keywords)

    return construct


def another_draw(original):
    return lambda state, path: original(state | {"generator": torch.Generator().manual_seed(9).get_state()}, path)


def a_nudge(original):
    def step_end(self, args, state, control, model=None, **keywords):
        original(self, args, state, control, **keywords)
        next(iter(model.parameters())).data.add_(1e-6)

    return step_end


class Population:
    """The biased standard deviation in place of TRL's."""

    def __call__(self, tensor, dim=None, keepdim=False):
        mean = torch.nanmean(tensor, dim=dim, keepdim=True) if dim is not None else torch.nanmean(tensor)
        square = (tensor - mean) ** 2
        return (torch.nanmean(square, dim=dim, keepdim=keepdim) if dim is not None else square.nanmean()).sqrt()


grpo = trl.trainer.grpo_trainer
LOAD = (rollout_checkpoint.RolloutCheckpoint, "_load_optimizer_and_scheduler", forget_rollout)
SUM_RATIO = (
    gspo_token,
    "sequence_log_ratio",
    instead(lambda now, old, mask: ((now - old) * mask).sum(1, keepdim=True)),
)
LARGER_CREDIT = (token_advantages.DiscountedCredit, "__call__", after(lambda credit: credit * 1.001))
STALE_REFERENCE = (bema_callback.BEMACallback, "_write_reference", instead(lambda self, step: None))
BROKEN = [
    ("gfpo", "k = G is GRPO", gfpo.GroupFiltering, "compute_loss", after(lambda loss: loss * 1.0001)),
    ("gfpo", "kept set, advantages", gfpo_selection, "best", instead(lambda scores, rewards, k: list(range(k)))),
    ("gfpo", "kept set, advantages", grpo, "nanstd", instead(Population())),
    ("gfpo", "loss of Eq. 2", trl.GRPOTrainer, "_compute_loss", after(lambda loss: loss * 1.001)),
    ("gfpo", "loss of Eq. 2", trl.GRPOTrainer, "_generate_and_score_completions", scaled("num_items_in_batch", 2)),
    ("gfpo", "drop = mask", gfpo.GroupFiltering, "_without_rejected", scaled("advantages", 1.001)),
    ("gfpo", "filters", filters.Shortest, "__call__", after(lambda scores: [[-s for s in group] for group in scores])),
    ("gfpo", "filters", filters, "keep_contrast", instead(lambda scores, group_rewards, num_remains: scores)),
    ("gfpo", "adaptive k", difficulty.AdaptiveDifficulty, "quartile", after(lambda quartile: 3 - quartile)),
    ("gfpo", "resumed", *LOAD),
    ("gspo_token", "constant A is GSPO", *SUM_RATIO),
    ("gspo_token", "equations 13 to 17", *SUM_RATIO),
    ("gspo_token", "zero-mean credit", gspo_token.SequenceTokenRatio, "__init__", sequence_level),
    ("gspo_token", "gamma = 1 is GSPO", *LARGER_CREDIT),
    ("gspo_token", "discounted credit", *LARGER_CREDIT),
    ("gspo_token", "resumed", *LOAD),
    (
        "grpo_replay",
        "empty replay is GRPO",
        replay.GroupReplay,
        "_generate_and_score_completions",
        scaled("advantages", 1.0001),
    ),
    ("grpo_replay", "ratio 1", replay, "expand", scaled("old_per_token_logps", 1.01)),
    ("grpo_replay", "same gradient", replay, "expand", scaled("advantages", 0.5)),
    ("grpo_replay", "what gives way", replay.GroupReplay, "_draw", instead(lambda self, groups, batch: {})),
    ("grpo_replay", "buffer on disk", replay_buffer, "write_state", another_draw),
    ("grpo_replay", "resumed", *LOAD),
    ("grpo_replay", "resumed", replay_buffer.ReplayBuffer, "load", instead(lambda self, path: None)),
    (
        "dynamic_sampling",
        "no try is GRPO",
        resampling.DynamicSampling,
        "_generate_and_score_completions",
        scaled("advantages", 1.0001),
    ),
    (
        "dynamic_sampling",
        "all groups teach",
        resampling.DynamicSampling,
        "_put",
        instead(lambda self, *group_and_rows: None),
    ),
    ("dynamic_sampling", "resumed", *LOAD),
    ("dpo_bema", "zero powers", bema_schedule.BEMASchedule, "beta", instead(lambda self, step: 0.5)),
    ("dpo_bema", "averaging only looks", bema_callback.BEMACallback, "on_step_end", a_nudge),
    ("dpo_bema", "recurrence", bema_schedule.BEMASchedule, "alpha", after(lambda alpha: alpha * 1.01)),
    (
        "dpo_bema",
        "save and restore",
        bema_callback.BEMAWeights,
        "load_state_dict",
        instead(lambda self, tensors, parameters: self.start(parameters)),
    ),
    ("composed", "nothing set is GRPO", composed.ComposedTrainer, "compute_loss", after(lambda loss: loss * 1.0001)),
    ("composed", "one part set", composed.ComposedTrainer, "compute_loss", after(lambda loss: loss * 1.0001)),
    ("composed", "all parts, resumed", replay_buffer.ReplayBuffer, "load", instead(lambda self, path: None)),
    ("composed", "all parts, resumed", *LOAD),
    ("dpo_bema", "hard copy", *STALE_REFERENCE),
    ("dpo_bema", "moving reference", *STALE_REFERENCE),
]


def find(algorithm: str, name: str) -> Check:
    (check,) = (check for check in checks(algorithm) if check.name == name)
    return check


@pytest.mark.parametrize(
    ("algorithm", "name", "owner", "attribute", "broken"), BROKEN, ids=[f"{c[0]}: {c[1]} ({c[3]})" for c in BROKEN]
)
def test_a_check_fails_when_what_it_checks_is_broken(monkeypatch, algorithm, name, owner, attribute, broken):
    monkeypatch.setattr(owner, attribute, broken(getattr(owner, attribute)))
    result = run_check(algorithm, find(algorithm, name))
    assert not result.passed, result


def test_there_is_a_way_to_break_each_check():
    known = {(algorithm, check.name) for algorithm in ALGORITHMS for check in checks(algorithm)}
    assert {case[:2] for case in BROKEN} == {(algorithm, name) for algorithm, name in known if name != "upstream"}


def test_a_changed_upstream_fails_by_name(monkeypatch):
    sentence = "GRPOTrainer._generate changed between trl 1.16.0 and 1.17.0; GFPO not tested on it"
    monkeypatch.setattr("expctl.algorithms.fingerprints.check", lambda algorithm: [sentence])
    result = run_check("gfpo", next(checks("gfpo")))
    assert (result.name, result.passed, result.why) == ("upstream", False, [sentence])


def test_an_upstream_that_cannot_be_imported_from_is_a_failed_check_like_others(monkeypatch):
    def import_module(name):
        raise ImportError("cannot import name 'GRPOTrainer' from 'trl'")

    monkeypatch.setattr("expctl.verify.__main__.import_module", import_module)
    upstream, other = (run_check("gfpo", check) for check in checks("gfpo"))
    assert upstream.name == "upstream" and not other.passed
    assert other.why == ["ImportError: cannot import name 'GRPOTrainer' from 'trl'"]


@pytest.mark.parametrize(
    ("measure", "bounds", "passed", "why"),
    [
        (lambda: 0.0, {}, True, []),
        (lambda: 1e-12, {}, False, []),
        (lambda: 1e-12, {"at_most": 1e-9}, True, []),
        (lambda: math.nan, {"at_most": 1e-9}, False, []),
        (lambda: 0.5, {"at_least": 0.1}, True, []),
        (lambda: 0.0, {"at_least": 0.1}, False, []),
        (lambda: math.nan, {"at_least": 0.1}, False, []),
        (lambda: {}["gone"], {}, False, ["KeyError: 'gone'"]),
    ],
)
def test_a_result_is_the_measured_number_against_its_bound(measure, bounds, passed, why):
    result = run_check("gfpo", Check("name", "statement", measure, **bounds))
    assert (result.passed, result.why) == (passed, why)


def test_the_statement_of_a_check_is_the_first_line_of_its_docstring():
    @check("zero", at_most=0.5)
    def zero_is_small():
        """zero is small

        Not shown.
        """
        return 0.0

    assert (zero_is_small.name, zero_is_small.statement, zero_is_small.bound) == ("zero", "zero is small", "<= 0.5")
    assert all(each.statement for algorithm in ALGORITHMS for each in checks(algorithm))


def test_a_nan_among_the_measured_is_not_lost():
    from expctl.verify.setup import difference, greatest, relative

    whole, broken = torch.ones(2), torch.tensor([1.0, math.nan])
    assert greatest([0.0, 2.0]) == 2.0
    assert math.isnan(greatest([0.0, math.nan, 1.0]))
    assert math.isnan(difference([whole, broken], [whole, whole])) and math.isnan(relative([broken], [whole]))


def test_what_compared_nothing_fails():
    from expctl.verify.setup import substantial

    for empty in (torch.zeros(3), torch.tensor([1.0, math.nan])):
        with pytest.raises(CheckFailed, match="nothing was compared: no gradient"):
            substantial(empty, "no gradient")
