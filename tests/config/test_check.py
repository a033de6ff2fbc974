"""The table of checks: each relies on checks above it, and is asked only when these refused nothing."""

from expctl.base.refusal import Refusal
from expctl.config import check as module
from expctl.config.check import CHECKS, Check, check


def test_each_check_relies_on_checks_above_it():
    for position, each in enumerate(CHECKS):
        assert set(each.relies_on) <= {earlier.name for earlier in CHECKS[:position]}, each.name
    assert len({each.name for each in CHECKS}) == len(CHECKS)


def test_a_check_is_asked_only_when_those_that_it_relies_on_refused_nothing(monkeypatch):
    def refusing(experiment):
        return [Refusal("refused")]

    def passing(experiment):
        return []

    def unreached(experiment):
        raise AssertionError("it relies on one that refused")

    checks = (
        Check("first", passing),
        Check("second", refusing, ("first",)),
        Check("third", unreached, ("first", "second")),
        Check("fourth", unreached, ("third",)),
        Check("fifth", refusing, ("first",)),
    )
    monkeypatch.setattr(module, "CHECKS", checks)
    assert [refusal.what for refusal in check(object())] == ["refused", "refused"]
