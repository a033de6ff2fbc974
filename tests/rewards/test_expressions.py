"""By algebra more right answers are accepted, and still no wrong one; nothing hangs, in threads or forks either."""

import os
import threading

import pytest

from expctl.rewards import algebra_processes
from expctl.rewards.algebra_processes import AlgebraPool
from expctl.rewards.expressions import accuracy, same_by_algebra


def score(answer: str, right: str) -> float | None:
    return accuracy([rf"\boxed{{{answer}}}"], answer=[right])[0]


def test_no_wrong_answer_is_accepted(answer_table):
    assert [row for row in answer_table("wrong") if accuracy([row[0]], answer=[row[1]]) != [0.0]] == []


def test_at_least_95_percent_of_the_right_answers_are_accepted(answer_table):
    right = answer_table("right", "algebra")
    refused = [row for row in right if accuracy([row[0]], answer=[row[1]]) != [1.0]]
    assert len(refused) <= 0.05 * len(right), refused


def test_what_is_equal_by_algebra_is_accepted(answer_table):
    refused = [row for row in answer_table("algebra") if accuracy([row[0]], answer=[row[1]]) != [1.0]]
    assert refused == []


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (r"1,2", r"(1,2)"),
        (r"(2,1)", r"(1,2)"),
        (r"[1,2]", r"(1,2)"),
        (r"\{1,2\}", r"(1,2)"),
        (r"1.414213562373095", r"\sqrt{2}"),
        (r"3.141592653589793238462643", r"\pi"),
        (r"x \ge 5", r"x > 5"),
        (r"1<x<2", r"1<x \le 2"),
        (r"y=2x-1", r"y=2x+1"),
        (r"X", r"x"),
        (r"K", r"k"),
        (r"x'", r"x"),
        (r"a_1", r"a_2"),
        (r"\sqrt{x^2}", r"x"),
        (r"-2^2", r"4"),
        (r"2\pi \text{ cm}", r"2\pi \text{ or } 3"),
        (r"[0,1]\cup[2,3]", r"[0,3]"),
        (r"x = x", r"0"),
        (r"0/0", r"0"),
        (r"5 \text{ if } x>0", r"5"),
    ],
)
def test_what_differs_is_not_accepted_either_way(answer, right):
    assert score(answer, right) == 0.0
    assert score(right, answer) == 0.0


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (r"2\pi \text{ cm}^2", r"2\pi"),
        (r"y = 1+2x", r"y=2x+1"),
        (r"x=1+\sqrt2", r"1+\sqrt{2}"),
        (r"0.5x", r"\frac{x}{2}"),
        (r"(-\infty, \frac{4}{2})", r"(-\infty,2)"),
        (r"\sqrt[3]{8}", r"2"),
        (r"4i-3", r"-3+4i"),
        (r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    ],
)
def test_what_is_equal_is_accepted_either_way(answer, right):
    assert score(answer, right) == 1.0
    assert score(right, answer) == 1.0


def test_what_would_take_forever_ends_as_not_equal_and_the_next_pair_is_compared():
    for bomb in [r"9^{9^{9}}", r"((9^{999})^{999})^{999}", r"(x+1)^{999}" * 20, "(" * 140 + "x" + ")" * 140]:
        assert score(bomb, r"\sqrt{x}") == 0.0
    assert score("1+x", "x+1") == 1.0


def test_it_works_in_a_thread_and_in_a_forked_process():
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(same_by_algebra(r"\boxed{2+x}", "x+2")))
    thread.start()
    thread.join()
    assert verdicts == [True]
    child = os.fork()
    if child == 0:
        os._exit(0 if same_by_algebra(r"\boxed{3+x}", "x+3") else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_library_that_cannot_run_is_said_and_is_no_wrong_answer(monkeypatch):
    monkeypatch.setattr(algebra_processes, "_pool", lambda pid: AlgebraPool())
    monkeypatch.setattr(algebra_processes.sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="cannot run"):
        score("4+x", "x+4")


def test_reasoning_and_what_was_cut_off_earn_nothing():
    hidden = [r"<think>\boxed{1+x}", r"<think>\boxed{1+x}</think>", r"\boxed{1+x}", r"<think></think>\boxed{1+x}"]
    assert accuracy(hidden, answer=["x+1"] * 4, truncated=[False, False, True, False]) == [0.0, 0.0, 0.0, 1.0]
    assert accuracy([r"\boxed{1}"], answer=[None]) == [None]


def test_many_pairs_are_compared_side_by_side_and_each_once(monkeypatch):
    """By two processes; what comes again is remembered."""
    asked = []
    pool = AlgebraPool()
    equal = pool.equal
    monkeypatch.setattr(pool, "equal", lambda pair: asked.append(pair) or equal(pair))
    monkeypatch.setattr(algebra_processes, "_pool", lambda pid: pool)
    monkeypatch.setattr(algebra_processes, "_cores", lambda: 2)
    given = [rf"\boxed{{{number}+x}}" for number in range(2, 72)]
    right = [f"x+{2 + index + index % 2}" for index in range(70)]
    wanted = [float(index % 2 == 0) for index in range(70)]
    for _ in range(2):
        assert accuracy(given * 2, answer=right * 2) == wanted * 2
    assert len(asked) == len(set(asked)) <= 70
    assert pool._idle.qsize() == 2
