"""Hydra's words for ranges mean in a search what they mean in a grid."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from expctl.base.refusal import Refusal
from expctl.search.space import split, word


def searched(*words):
    return split(OverridesParser.create().parse_overrides(list(words)))


@pytest.mark.parametrize(
    ("value", "distribution"),
    [
        ("interval(0,1)", FloatDistribution(0, 1)),
        ("tag(log, interval(1e-5,1e-3))", FloatDistribution(1e-5, 1e-3, log=True)),
        ("int(interval(1,64))", IntDistribution(1, 64)),
        ("tag(log, int(interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("range(1,5)", IntDistribution(1, 4)),
        ("range(8,33,8)", IntDistribution(8, 32, step=8)),
        ("adamw_torch,'two words',true", CategoricalDistribution(["adamw_torch", "'two words'", "True"])),
        ("range(5,1,-2)", CategoricalDistribution(["5", "3"])),
        ("[1,2],[3]", CategoricalDistribution(["[1,2]", "[3]"])),
    ],
)
def test_a_range_is_searched_as_it_is_written(value, distribution):
    assert searched(f"key={value}", "seed=1") == (["seed=1"], {"key": distribution})


@pytest.mark.parametrize("value", ["interval(2,1)", "tag(log, interval(0,1))"])
def test_a_range_that_is_none_is_refused_with_the_word_that_gave_it(value):
    with pytest.raises(Refusal, match="no range") as refused:
        searched(f"++args.beta={value}")
    assert refused.value.where == f"args.beta={value}"


def test_a_search_for_nothing_is_refused():
    with pytest.raises(Refusal, match="nothing is searched"):
        searched("seed=1")


def test_the_word_of_a_sampled_value_can_be_read_and_typed_again():
    assert word("a", 0.00037182938) == "a=0.0003718" and word("a", 0.30000000000000004) == "a=0.3"
    assert word("a", 12345) == "a=12345" and word("a", "'two words'") == "a='two words'"
    again = OverridesParser.create().parse_override(word("a", 1.2345678e-05))
    assert again.value() == pytest.approx(1.2345678e-05, rel=1e-3)
