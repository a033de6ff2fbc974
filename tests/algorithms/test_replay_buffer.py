"""The store: what it keeps, what it draws, what it costs, and that it survives a checkpoint."""

import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from expctl.algorithms.replay_buffer import ReplayBuffer, StoredGroup

ONE = torch.ones(1)


def row(length=3):
    return {
        "prompt_ids": torch.arange(2, dtype=torch.int32),
        "completion_ids": torch.arange(length, dtype=torch.int32),
        "advantages": torch.tensor(0.5),
        "old_per_token_logps": torch.zeros(length),
    }


def group(priority=1.0, step=0, rows=2, length=3):
    return StoredGroup([row(length) for _ in range(rows)], torch.zeros(rows, 1), priority, step)


def buffer(capacity=4, max_bytes=1 << 20, max_age=10, max_uses=100, seed=0):
    return ReplayBuffer(capacity, max_bytes, max_age, max_uses, seed)


def filled(*groups, **bounds):
    store = buffer(**bounds)
    for each in groups:
        store.add(each)
    return store


# What is kept


@given(priorities=st.lists(st.sampled_from([1.0, 2.0, 3.0]), max_size=30), capacity=st.integers(0, 8))
def test_the_best_by_priority_and_recency_are_kept_with_any_number_of_ties(priorities, capacity):
    store = filled(*(group(priority) for priority in priorities), capacity=capacity)
    ranked = sorted(range(len(priorities)), key=lambda i: (priorities[i], i), reverse=True)
    assert sorted(each.serial for each in store.groups) == sorted(ranked[:capacity])


@given(lengths=st.lists(st.integers(1, 50), max_size=20), max_bytes=st.integers(0, 2000))
def test_the_buffer_never_holds_more_than_its_bytes(lengths, max_bytes):
    store = buffer(capacity=100, max_bytes=max_bytes)
    for length in lengths:
        store.add(group(length=length))
        assert store.nbytes == sum(each.nbytes for each in store.groups) <= max_bytes


def test_a_group_larger_than_the_buffer_is_not_taken():
    store = filled(group(priority=9.0, length=1000), max_bytes=1000)
    assert len(store) == 0 and store.nbytes == 0


@given(priorities=st.lists(st.integers(1, 3).map(float), max_size=8), new=st.integers(1, 3).map(float))
def test_would_keep_says_what_add_does(priorities, new):
    store = filled(*(group(priority) for priority in priorities), capacity=4)
    expected = store.would_keep(new)
    store.add(group(new))
    assert (len(priorities) in [each.serial for each in store.groups]) == expected


def test_a_buffer_of_size_zero_keeps_and_draws_nothing():
    store = filled(group(), capacity=0)
    assert len(store) == 0 and not store.would_keep(9.0) and store.draw(3, step=0) == []


# What is drawn


@given(steps=st.lists(st.integers(0, 30), max_size=10), now=st.integers(30, 60), max_age=st.integers(1, 40))
def test_no_drawn_group_is_older_than_max_age(steps, now, max_age):
    store = filled(*(group(step=step) for step in steps), capacity=100, max_age=max_age)
    drawn = store.draw(100, now)
    assert len(drawn) == sum(now - step <= max_age for step in steps)
    assert all(now - each.step <= max_age for each in drawn + store.groups)


def test_a_group_leaves_after_its_last_use_so_high_priority_does_not_stay_for_ever():
    store = filled(group(priority=100.0), max_uses=3)
    assert [len(store.draw(1, step=0)) for _ in range(4)] == [1, 1, 1, 0]
    assert store.nbytes == 0


def test_a_draw_never_holds_the_same_group_twice():
    store = filled(*(group(priority) for priority in (1.0, 1.0, 1000.0)))
    for _ in range(20):
        assert len({id(each) for each in store.draw(5, step=0)}) == 3


def test_an_empty_buffer_draws_nothing():
    assert buffer().draw(3, step=0) == []


def test_only_groups_that_fit_are_drawn():
    store = filled(group(rows=2), group(rows=3))
    assert [len(each.rows) for each in store.draw(2, 0, lambda each: len(each.rows) == 3)] == [3]


def test_draws_are_proportional_to_priority():
    store = filled(group(1.0), group(3.0), max_uses=10**6)
    first = sum(store.draw(1, step=0)[0].priority == 1.0 for _ in range(4000)) / 4000
    assert first == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 4000))


def test_draws_neither_read_nor_move_the_global_random_state():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    draws = [[each.serial for each in filled(*(group() for _ in range(4))).draw(3, step=0)]]
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    draws.append([each.serial for each in filled(*(group() for _ in range(4))).draw(3, step=0)])
    assert draws[0] == draws[1]


# The checkpoint


@given(seed=st.integers(0, 1000), count=st.integers(0, 12))
def test_insert_save_load_draw_gives_the_same_groups(tmp_path_factory, seed, count):
    path = str(tmp_path_factory.mktemp("buffer") / "buffer.pt")
    generator = torch.Generator().manual_seed(seed)
    store = buffer(capacity=8, seed=seed, max_uses=3)
    for i in range(count):
        length = int(torch.randint(1, 9, (), generator=generator))
        store.add(StoredGroup([row(length), row(1)], torch.randn(2, 3, generator=generator), 1.0 + i % 3, step=i))
    store.draw(2, step=5)
    store.save(path)
    loaded = buffer(capacity=8, seed=seed + 1, max_uses=3)
    loaded.load(path)
    assert loaded.nbytes == store.nbytes
    for _ in range(4):
        ours, theirs = store.draw(3, step=6), loaded.draw(3, step=6)
        assert [(a.serial, a.uses, a.step, a.priority) for a in ours] == [
            (b.serial, b.uses, b.step, b.priority) for b in theirs
        ]
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a.rewards, b.rewards)
            for left, right in zip(a.rows, b.rows, strict=True):
                assert left.keys() == right.keys()
                assert all(left[key].dtype == right[key].dtype and torch.equal(left[key], right[key]) for key in left)
    store.add(group())
    loaded.add(group())
    assert [each.serial for each in store.groups] == [each.serial for each in loaded.groups]


def test_a_smaller_buffer_loads_the_best_of_a_larger_one(tmp_path):
    filled(*(group(float(i)) for i in range(1, 5))).save(str(tmp_path / "buffer.pt"))
    store = buffer(capacity=2)
    store.load(str(tmp_path / "buffer.pt"))
    assert [each.priority for each in store.groups] == [3.0, 4.0]


def test_a_file_that_would_run_code_is_not_loaded(tmp_path):
    class Payload:
        def __reduce__(self):
            return print, ("code ran",)

    torch.save({"format": 1, "groups": Payload()}, tmp_path / "buffer.pt")
    with pytest.raises(pickle.UnpicklingError):
        buffer().load(str(tmp_path / "buffer.pt"))


def test_a_file_of_another_format_is_refused_by_name(tmp_path):
    torch.save({"format": 99}, tmp_path / "buffer.pt")
    with pytest.raises(ValueError, match=r"buffer.pt holds a replay buffer of format 99"):
        buffer().load(str(tmp_path / "buffer.pt"))
