"""The arithmetic of a step holds for any numbers: no row is lost, and TRL takes every cut."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expctl.config.micro_batches import Step, divisors, nearest_numbers

SMALL = st.integers(1, 24)


@st.composite
def steps(draw):
    completions = draw(SMALL)
    updates = draw(st.sampled_from([Fraction(1), Fraction(2), Fraction(4), Fraction(1, 2)]))
    return Step(draw(SMALL), completions, draw(st.integers(1, completions)), draw(SMALL), updates)


@given(steps())
def test_every_cut_has_the_rows_of_the_step_and_whole_groups(step):
    for cut in step.cuts():
        assert cut.rows * cut.accumulation * step.world == step.prompts * step.completions
        # GRPOConfig.__post_init__ of TRL, and what its sampler draws at a time
        generation_batch = cut.rows * step.world * cut.per_generation
        assert generation_batch % step.completions == 0
        assert Fraction(cut.per_generation, cut.accumulation) == step.updates
        # no micro-batch is larger than it says, and all kept rows have a place
        assert cut.kept * cut.accumulation * step.world >= step.prompts * step.kept
        assert (cut.kept - 1) * cut.accumulation < step.needed <= cut.kept * cut.accumulation


@given(steps())
def test_a_step_that_divides_can_be_cut(step):
    is_whole = (step.prompts * step.updates).denominator == 1
    assert bool(step.cuts()) == (step.total % step.world == 0 and is_whole and bool(_aligned(step)))


def _aligned(step):
    """Numbers of micro-batches of which a generation batch can have `updates` times as many."""
    return [number for number in range(1, step.rows + 1) if _divides(number, step)]


def _divides(number, step):
    return step.rows % number == 0 and (step.updates * number).denominator == 1


@given(steps())
def test_prompts_that_are_named_divide_and_none_between_them_does(step):
    named = step.prompts_that_divide()
    assert all(prompts * step.completions % step.world == 0 for prompts in named)
    between = range(named[0] + 1, named[-1]) if len(named) > 1 else range(1, named[0])
    assert all(prompts * step.completions % step.world for prompts in between)


@given(SMALL, SMALL, st.integers(1, 8))
def test_the_same_step_has_as_many_kept_rows_on_any_number_of_processes(prompts, completions, world):
    alone, together = Step(prompts, completions, completions), Step(prompts, completions, completions, world)
    for cut in together.cuts():
        assert cut.kept * cut.accumulation * world == alone.total


def test_rows_are_counted_as_they_are_kept():
    cuts = {cut.kept: cut for cut in Step(8, 16, kept=4).cuts()}
    assert (cuts[16].accumulation, cuts[16].rows) == (2, 64)  # two micro-batches of 16, not eight of 4


@given(st.integers(1, 3000))
def test_divisors(number):
    assert divisors(number) == [each for each in range(1, number + 1) if number % each == 0]


@pytest.mark.parametrize(("number", "near"), [(5, [4, 8]), (1, [2]), (99, [16]), (4, [2, 8])])
def test_nearest_numbers(number, near):
    assert nearest_numbers(number, [16, 2, 4, 8]) == near
