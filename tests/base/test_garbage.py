"""What a command keeps is not looked through as it ends; what a training leaves is."""

import gc

import pytest

from expctl.base.garbage import collect_as_usual, collect_rarely, leave_garbage


@pytest.mark.parametrize("trains", [False, True])
def test_what_is_left_at_the_end_is_looked_through_after_a_training_alone(trains):
    kept = [[] for _ in range(1000)]
    collect_rarely()
    if trains:
        collect_as_usual()
    leave_garbage()
    try:
        assert any(each is kept for each in gc.get_objects()) == trains
    finally:
        gc.unfreeze()
        collect_as_usual()
