"""What the group `reward` says of a function by name is checked before anything starts."""

import pytest

from tests.harness import expctl

REWARDS = """
def plain(completions, **columns):
    return [0.0] * len(completions)

async def later(completions, **columns):
    return [0.0] * len(completions)

def right(completions, answer, **columns):
    return [0.0] * len(completions)

class Judge:
    async def __call__(self, completions, **columns):
        return [0.0] * len(completions)
"""
FUNCTIONS = [
    f"reward.functions.{name}._target_=mine.{target}"
    for name, target in (("plain", "plain"), ("later", "later"), ("judge", "Judge"), ("right", "right"))
]


@pytest.fixture
def check(tmp_path):
    (tmp_path / "mine.py").write_text(REWARDS)
    return lambda *words: expctl("check", *FUNCTIONS, *words, cwd=tmp_path)


def test_weights_schedules_gates_limits_and_retries_that_can_be_are_taken(check):
    done = check(
        "reward.weights={plain: [[0, 1], [10, 0.5]], later: 2}",
        "reward.gates={plain: judge, later: finished, right: always}",
        "reward.time_limit={later: 2.5, judge: 30}",
        "reward.retries={judge: 3, plain: 1}",
        "reward.on_error=missing",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("reward.weights={plan: 1}", "'reward.weights.plan' weighs no reward*nearest  plain"),
        ("reward.weights={plain: []}", "a weight is a number, or a list of pairs"),
        ("reward.weights={plain: [[5, 1], [5, 2]]}", "the steps of a schedule must rise"),
        ("reward.weights={plain: [[0, 1, 2]]}", "a weight is a number, or a list of pairs"),
        ("reward.gates={plain: jugde}", "'reward.gates.plain' is 'jugde', which is no reward*nearest  judge"),
        ("reward.gates={plain: later, later: plain}", "'reward.gates.plain' leads back to 'plain'"),
        ("reward.gates={plain: always}", "'plain' decides itself on what did not finish"),
        ("reward.gates={plain: plain}", "'reward.gates.plain' leads back to 'plain'"),
        ("reward.time_limit={plain: 3}", "'plain' has a time limit, and is no `async def`*mine.py, line 2"),
        ("reward.time_limit={judge: 0}", "must be a number of seconds above 0"),
        ("reward.retries={judge: 1.5}", "must be a whole number, 0 or more"),
        ("reward.on_eror=stop", "no key 'reward.on_eror'*nearest  on_error"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(word, message, check):
    done = check(word)
    assert done.returncode == 2, done.stdout
    text = done.stderr
    for part in message.split("*"):
        assert part in text, done.stderr
        text = text[text.index(part) :]
    assert "(command line)" in done.stderr
