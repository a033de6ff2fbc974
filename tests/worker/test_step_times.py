"""The seconds of phases that are nested in one another, and a trainer that computes what it would have anyway."""

from types import SimpleNamespace

import pytest
import torch

from expctl.runs.phases import PHASES, times_in
from expctl.worker import step_times
from expctl.worker.step_times import StepTimes, Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(step_times.time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(step_times.time, "process_time", lambda: clock.now / 4)
    return clock


class Trainer:
    """Stands in for a trainer of GRPO: each method takes the seconds in its name."""

    def __init__(self, clock):
        self._clock = clock
        self.args = SimpleNamespace(device=torch.device("cpu"), world_size=2)
        self.logged = []

    def _pass(self, seconds):
        self._clock.now += seconds

    def _generate_single_turn(self, prompts):
        self._pass(10)
        return [[1, 2, 3], [4]], None

    def _calculate_rewards(self):
        self._pass(2)

    def _get_per_token_logps_and_entropies(self, model, input_ids):
        self._pass(3)

    def _prepare_inputs(self):
        self._pass(1)
        self._generate_single_turn([])
        self._calculate_rewards()
        self._get_per_token_logps_and_entropies(None, torch.zeros(2, 7))

    def compute_loss(self, model, inputs):
        self._get_per_token_logps_and_entropies(model, inputs["completion_ids"])

    def training_step(self):
        self._prepare_inputs()
        self.compute_loss(None, {"prompt_ids": torch.zeros(2, 3), "completion_ids": torch.zeros(2, 5)})
        self._pass(4)

    def evaluate(self):
        self._prepare_inputs()

    def _save_checkpoint(self):
        self._pass(5)

    def log(self, logs):
        self.logged.append(logs)


@pytest.fixture
def trainer(clock):
    return Trainer(clock)


@pytest.fixture
def times(trainer):
    return StepTimes(trainer)


def test_what_is_nested_counts_where_it_belongs_and_all_seconds_are_counted_once(trainer, times, clock):
    times.on_train_begin(None, None, None)
    clock.now += 0.5
    trainer.training_step()
    times.on_pre_optimizer_step(None, None, None)
    clock.now += 6
    times.on_optimizer_step(None, None, None)
    trainer.log({"loss": 0.1})
    (row,) = trainer.logged
    seconds = times_in([row]).seconds
    # The log-probabilities within the loss are part of the update: 3 + 4 + 6.
    assert seconds == {"sampling": 10, "scoring": 3, "log_probabilities": 3, "update": 13, "other": 0.5}
    assert sum(seconds.values()) == clock.now


def test_tokens_are_those_of_all_ranks_and_of_their_own_phase(trainer, times):
    times.on_train_begin(None, None, None)
    trainer.training_step()
    trainer.log({"loss": 0.1})
    rates = {name: value for name, value in trainer.logged[0].items() if name.endswith("tokens_per_second")}
    assert rates == {
        "time/sampling_tokens_per_second": 2 * 4 / 10,
        "time/log_probabilities_tokens_per_second": round(2 * 14 / 3, 1),
        "time/update_tokens_per_second": round(2 * 16 / 7, 1),
    }


def test_within_an_evaluation_nothing_counts_by_itself(trainer, times):
    times.on_train_begin(None, None, None)
    trainer.evaluate()
    trainer._save_checkpoint()
    times.on_train_end(None, None, None)
    assert times.rest.seconds == {"evaluation": 16, "checkpoint": 5, "other": 0} and times.rest.tokens == {}


def test_before_and_after_the_training_nothing_is_measured(trainer, times):
    trainer.evaluate()
    times.on_train_begin(None, None, None)
    times.on_train_end(None, None, None)
    trainer.evaluate()
    trainer.log({"loss": 0.1})
    assert trainer.logged == [{"loss": 0.1}]
    assert sum(times.rest.seconds.values()) == 0


def test_a_processors_seconds_are_those_of_all_phases_but_evaluation_and_checkpoint(trainer, times, clock):
    times.on_train_begin(None, None, None)
    trainer.training_step()
    spent = clock.now
    trainer.evaluate()
    trainer._save_checkpoint()
    trainer.log({"loss": 0.1})
    trainer.log({"loss": 0.1})
    assert trainer.logged[0]["time/cpu_seconds"] == spent / 4 and "time/cpu_seconds" not in trainer.logged[1]


def test_an_evaluations_log_has_no_times(trainer, times):
    times.on_train_begin(None, None, None)
    trainer.log({"eval_loss": 0.1})
    assert trainer.logged == [{"eval_loss": 0.1}]


def test_a_phase_that_fails_is_closed(clock):
    watch = Stopwatch(lambda: None)
    watch.start()
    with pytest.raises(KeyError), watch.phase("sampling"):
        clock.now += 2
        raise KeyError
    clock.now += 1
    assert watch.take().seconds == {"sampling": 2, "other": 1}


def test_the_device_is_waited_for_before_the_clock_is_read(clock):
    def wait():
        clock.now += 1

    watch = Stopwatch(wait)
    watch.start()
    with watch.phase("update"):
        pass
    # What ran before the phase began is not the phase's; what it launched is.
    assert watch.take().seconds == {"other": 1, "update": 1}


def test_the_rows_of_a_resumed_run_add_up_and_old_rows_say_nothing():
    rows = [
        {"step": 1, "loss": 1.0},
        {"step": 2, "time/sampling_seconds": 2.0, "time/sampling_tokens_per_second": 50.0, "time/update_seconds": 1.0},
        {"step": 3, "time/sampling_seconds": 6.0, "time/sampling_tokens_per_second": 10.0},
    ]
    times = times_in(rows)
    assert times.seconds == {"sampling": 8.0, "update": 1.0}
    assert times.tokens_per_second == {"sampling": 160 / 8}
    assert times_in(rows[:1]).seconds == {}


def test_every_number_that_is_logged_is_a_time_for_who_compares_runs(trainer, times):
    from expctl.runs.drift import is_timed

    times.on_train_begin(None, None, None)
    trainer.training_step()
    trainer.log({"loss": 0.1})
    logged = [name for name in trainer.logged[0] if name != "loss"]
    assert logged and all(is_timed(name) for name in logged)
    assert {name.split("/")[1].removesuffix("_seconds") for name in logged if name.endswith("_seconds")} <= {
        *PHASES,
        "cpu",
    }
