"""A reward that cannot be called is refused before anything starts, by the column or the line that it lacks."""

import pytest

from expctl.cli.hydra_app import compose
from expctl.config.check import check

MINE = """
def closed(completions, answer):
    return [0.0 for _ in completions]

def needs_solution(completions, solution, **kwargs):
    return [0.0 for _ in completions]

def has_a_default(completions, solution=None, **kwargs):
    return [0.0 for _ in completions]

def bound(completions, limit, **kwargs):
    return [0.0 for _ in completions]

class Judge:
    def __init__(self, address="x"):
        self.address = address

    async def __call__(self, completions, rubric, **kwargs):
        return [0.0 for _ in completions]

class Open:
    def __call__(self, prompts, completions, answer, truncated, **kwargs):
        return [0.0 for _ in completions]
"""


@pytest.fixture
def refused(tmp_path, monkeypatch):
    (tmp_path / "rewards_of_mine.py").write_text(MINE)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "1+1?", "solution": "2"}\n' * 64)
    monkeypatch.chdir(tmp_path)

    def refused(*words):
        return [str(refusal) for refusal in check(compose(["hardware=cpu", *words]))]

    return refused


def mine(name, *more):
    return [f"reward.functions.accuracy={{_target_: rewards_of_mine.{name}, _partial_: true{''.join(more)}}}"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (mine("closed"), "add **kwargs to closed (rewards_of_mine.py, line 2)"),
        (mine("needs_solution"), "needs a column 'solution', and the data have prompt, answer"),
        (mine("bound"), "needs a column 'limit'"),
        (mine("Judge"), "needs a column 'rubric'"),
        (["reward.functions.accuracy._target_=trl.rewards.accuracy_reward"], "needs a column 'solution'"),
        (["dataset=files", "dataset.path=rows.jsonl"], "needs a column 'answer', and the data have prompt, solution"),
    ],
    ids=["no **kwargs", "a column", "a keyword", "an object", "TRL's own", "a file without answers"],
)
def test_a_reward_that_cannot_be_called_is_refused(words, said, refused):
    [text] = refused(*words)
    assert said in text and "reward" in text


@pytest.mark.parametrize(
    "words",
    [
        mine("has_a_default"),
        mine("bound", ", limit: 3"),
        mine("Open"),
        ["dataset=files", "dataset.path=rows.jsonl", "dataset.columns={answer: solution}"],
        ["dataset=files", "dataset.path=rows.jsonl", *mine("needs_solution")],
    ],
    ids=["a default", "a keyword of the config", "what TRL gives", "a mapped column", "a column of the file"],
)
def test_a_reward_that_can_be_called_is_not(words, refused):
    assert refused(*words) == []


def test_rewards_of_sampled_completions_are_looked_at_too(refused):
    [text] = refused("algorithm=sft", "callbacks=completions", *mine("needs_solution"))
    assert "needs a column 'solution'" in text


OWN_LOADER = """
import datasets

def load(kind, seed):
    rows = datasets.Dataset.from_list([{"prompt": f"{n}+1=", "answer": str(n + 1)} for n in range(64)])
    return rows, rows.select(range(8))
"""


def test_a_dataset_may_bring_no_reward_of_its_own(refused, tmp_path):
    (tmp_path / "loader_of_mine.py").write_text(OWN_LOADER)
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "mine.yaml").write_text(
        "# Mine.\n_target_: loader_of_mine.load\nkind: ${algorithm.kind}\nseed: ${seed}\n"
    )
    [text] = refused("dataset=mine")
    assert "learns from rewards and there is none" in text
    assert refused("dataset=mine", "reward=accuracy") == []
    assert refused("dataset=mine", "algorithm=sft") == []
