"""Completions that are kept: those of the evaluation, of the same prompts, once, whatever the trainer is."""

import json
import math
from collections import defaultdict, deque
from types import SimpleNamespace

import pytest

from expctl.runs.files import Run, read_metrics
from expctl.worker.samples import LONGEST, Samples


class FakeTrainer:
    """The record that TRL's trainers keep, and the data to evaluate on."""

    def __init__(self, prompts=8, size=16):
        self.eval_dataset = [{"prompt": str(number)} for number in range(prompts)] if prompts else None
        self._logs = {
            "prompt": deque(maxlen=size),
            "completion": deque(maxlen=size),
            "rewards": defaultdict(lambda: deque(maxlen=size)),
        }

    def sample(self, prompts, say="said", reward=0.5):
        self._logs["prompt"].extend(prompts)
        self._logs["completion"].extend(f"{say} {number}" for number in range(len(prompts)))
        self._logs["rewards"]["accuracy"].extend([reward] * len(prompts))


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def evaluate(samples, step, rank=0):
    samples.on_evaluate(
        SimpleNamespace(do_eval=True),
        SimpleNamespace(global_step=step, max_steps=99, is_world_process_zero=rank == 0),
        None,
    )


def step(samples, step, do_eval=False):
    samples.on_step_end(
        SimpleNamespace(do_eval=do_eval),
        SimpleNamespace(global_step=step, max_steps=7, is_world_process_zero=True),
        None,
    )


def kept(run):
    return [(row["step"], row["kind"], row["prompt"]) for row in read_metrics(run.samples)]


def test_an_evaluation_leaves_one_completion_of_each_of_its_last_four_prompts(run):
    trainer = FakeTrainer()
    trainer.sample(["a", "a", "b", "b", "c", "c", "d", "d", "e", "e"])
    evaluate(Samples(trainer, run), 3)
    assert kept(run) == [(3, "eval", prompt) for prompt in "bcde"]
    assert read_metrics(run.samples)[-1]["completion"] == "said 9"


def test_what_was_trained_on_is_not_taken_for_a_small_evaluation(run):
    trainer = FakeTrainer(prompts=2)
    trainer.sample(["training"] * 8)
    trainer.sample(["a", "a", "b", "b"])
    evaluate(Samples(trainer, run), 3)
    assert [prompt for *_, prompt in kept(run)] == ["a", "b"]


def test_without_evaluations_training_steps_are_sampled_ever_more_rarely_and_the_last(run):
    trainer = FakeTrainer(prompts=0)
    samples = Samples(trainer, run)
    for number in range(1, 8):
        trainer.sample([f"p{number}"] * 8)
        step(samples, number)
    assert sorted({at for at, _, _ in kept(run)}) == [1, 2, 4, 7]
    assert [row for row in kept(run) if row[0] == 4] == [(4, "train", "p4")] * 4


def test_with_evaluations_training_steps_leave_nothing(run):
    trainer = FakeTrainer()
    trainer.sample(["a"] * 8)
    step(Samples(trainer, run), 1, do_eval=True)
    assert not run.samples.exists()


def test_an_attempt_that_comes_to_the_same_evaluation_again_replaces_what_is_no_longer_so(run):
    trainer = FakeTrainer(prompts=1)
    first = Samples(trainer, run)
    for at in (0, 2, 4, 6):
        trainer.sample(["a"], say=f"first at {at}")
        evaluate(first, at)
    with run.samples.open("a") as file:
        file.write('{"step": 8, "ki')  # killed
    again = Samples(trainer, run)  # carried on from step 3
    for at in (4, 6):
        trainer.sample(["a"], say=f"again at {at}")
        evaluate(again, at)
    completions = [row["completion"] for row in map(json.loads, run.samples.read_text().splitlines())]
    assert completions == ["first at 0 0", "first at 2 0", "again at 4 0", "again at 6 0"]


def test_a_second_evaluation_at_a_step_takes_the_place_of_the_first(run):
    trainer = FakeTrainer(prompts=1)
    samples = Samples(trainer, run)
    for say in ("last", "best"):
        trainer.sample(["a"], say=say)
        evaluate(samples, 4)
    assert [row["completion"] for row in read_metrics(run.samples)] == ["best 0"]


def test_other_ranks_and_trainers_that_sample_nothing_write_nothing(run):
    trainer = FakeTrainer()
    trainer.sample(["a"])
    evaluate(Samples(trainer, run), 1, rank=1)
    for logs in (None, {}, {"prompt": [], "completion": [], "rewards": {}}, {"grad_norm": 1.0}):
        evaluate(Samples(SimpleNamespace(eval_dataset=[1], _logs=logs), run), 1)
    evaluate(Samples(SimpleNamespace(eval_dataset=[1]), run), 1)
    assert not run.samples.exists()


def test_rewards_that_are_none_or_of_other_rows_do_not_mislead(run):
    trainer = FakeTrainer(prompts=1)
    trainer.sample(["a"], reward=math.nan)
    trainer._logs["rewards"]["late"].extend([1.0, 2.0, 3.0])
    evaluate(Samples(trainer, run), 0)
    assert read_metrics(run.samples)[0]["rewards"] == {"accuracy": None}


def test_conversations_and_long_texts_are_kept_readable_and_small(run):
    trainer = FakeTrainer(prompts=1)
    parts = [{"type": "image"}, {"type": "text", "text": "what is it?"}]
    trainer._logs["prompt"].append([{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}])
    trainer._logs["completion"].append([{"role": "assistant", "content": "x" * 10_000 + "the answer"}])
    evaluate(Samples(trainer, run), 0)
    (row,) = read_metrics(run.samples)
    assert row["prompt"] == "system: Be brief.\nuser: [image] what is it?"
    assert row["completion"].endswith("the answer") and len(row["completion"]) < LONGEST + 50


def test_a_file_that_cannot_be_written_costs_no_training(run):
    trainer = FakeTrainer(prompts=1)
    trainer.sample(["a"])
    run.samples.mkdir()
    evaluate(Samples(trainer, run), 0)
    assert run.samples.is_dir()
