"""SIGTERM in every phase of a run: it stops, says so, and the same command finishes it as if nothing had happened."""

import signal
from pathlib import Path

from harness import comparable, expctl, manifest, only_run, runs, start, wait_for, weights

# What users plug in, which at a place that the test names in a file waits until it is told to stop: the phases of so
# small a training are over in no time otherwise.
SLOW = """
import signal
import time
from pathlib import Path
from transformers import TrainerCallback


def at(place):
    if Path("slow_at").exists() and Path("slow_at").read_text() == place:
        Path("slow_at").unlink()
        Path("there").touch()
        heard = signal.getsignal(signal.SIGTERM)
        told = []
        signal.signal(signal.SIGTERM, lambda *said: (told.append(said), heard(*said)))
        end = time.monotonic() + 60
        while not told and time.monotonic() < end:
            time.sleep(0.02)
        signal.signal(signal.SIGTERM, heard)


def reward(completions, trainer_state, **kwargs):
    if trainer_state.global_step == 2:
        at("scoring")
    return [float(len(completion)) for completion in completions]


class Slow(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        at("optimizer")

    def on_prediction_step(self, args, state, control, **kwargs):
        at("evaluation" if state.global_step else "evaluation before")

    def on_save(self, args, state, control, **kwargs):
        at("saving")
"""
WORDS = [
    "args.max_steps=6",
    "args.per_device_train_batch_size=16",
    "args.num_generations=8",
    "args.num_remains_in_group=4",
    "args.per_device_eval_batch_size=16",
    "dataset.eval_size=32",
    "args.steps_per_generation=2",
    "reward.functions.mine._target_=slow.reward",
    "args.save_steps=2",
    "callbacks.slow._target_=slow.Slow",
]
PLACES = ["evaluation before", "optimizer", "scoring", "saving", "evaluation"]
SUPERVISED = [
    "algorithm=sft",
    "args.max_steps=4",
    "args.per_device_train_batch_size=4",
    "dataset.eval_size=16",
    "args.per_device_eval_batch_size=8",
    "args.eval_strategy=steps",
    "args.eval_steps=2",
    "args.save_steps=3",
    "callbacks.slow._target_=slow.Slow",
]


def stopped_at(place: str, folder: Path, words: list[str] = WORDS) -> dict:
    """Run until the place is reached, send SIGTERM, and give the manifest's last attempt."""
    (folder / "there").unlink(missing_ok=True)
    (folder / "slow_at").write_text(place)
    # The worker is forked: how it is born is over when it comes to a place, and tested below.
    process = start(*words, cwd=folder, forked=True)
    wait_for(lambda: (folder / "there").exists() or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 75, out + error
    assert manifest(only_run(folder))["status"] == "interrupted"
    return manifest(only_run(folder))["attempts"][-1]


def stopped_when(reached, folder: Path, forked: bool = False) -> int:
    """Run until something is to be seen on disk, send SIGTERM, and give the exit code."""
    process = start(*WORDS, cwd=folder, forked=forked)
    wait_for(lambda: reached() or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    return process.returncode


def phase(folder: Path) -> str:
    progress = only_run(folder) / ".progress.json"
    return progress.read_text() if progress.exists() else ""


def test_a_run_told_to_stop_in_every_phase_is_finished_as_if_nothing_had_happened(tmp_path):
    calm, told = tmp_path / "calm", tmp_path / "told"
    for folder in (calm, told):
        folder.mkdir()
        (folder / "slow.py").write_text(SLOW)
    assert expctl(*WORDS, cwd=calm).returncode == 0

    # Starting: the worker is being born and has no ears yet.
    assert stopped_when(lambda: runs(told) and (only_run(told) / "worker.log").exists(), told) == 75
    assert stopped_when(lambda: "loading libraries" in phase(told), told) == 75
    assert stopped_when(lambda: "loading model" in phase(told), told, forked=True) == 75
    attempts = [stopped_at(place, told) for place in PLACES]
    # The last place is the evaluation after training, when the last checkpoint is complete.
    assert [attempt["to_step"] for attempt in attempts] == [0, 1, 3, 4, 6]
    assert [attempt["from_step"] for attempt in attempts] == [0, 0, 1, 3, 4]

    code = stopped_when(lambda: "saving the model" in phase(told), told, forked=True)
    # A command whose run is complete, and that prints its closing, dies of a signal as any other does.
    is_complete = manifest(only_run(told))["status"] == "completed"
    assert code in ((0, -signal.SIGTERM) if is_complete else (75,))
    if code:
        assert expctl(*WORDS, cwd=told).returncode == 0
    assert manifest(only_run(told))["status"] == "completed"
    assert comparable(only_run(told)) == comparable(only_run(calm))
    assert weights(only_run(told)) == weights(only_run(calm))


def test_a_run_told_to_stop_in_an_evaluation_within_training_saves_right_after_it(tmp_path):
    """Half an evaluation would leave random states that no undisturbed run has."""
    calm, told = tmp_path / "calm", tmp_path / "told"
    for folder in (calm, told):
        folder.mkdir()
        (folder / "slow.py").write_text(SLOW)
    assert expctl(*SUPERVISED, cwd=calm).returncode == 0
    attempt = stopped_at("evaluation", told, SUPERVISED)
    assert attempt["to_step"] == 2
    assert expctl(*SUPERVISED, cwd=told).returncode == 0
    assert manifest(only_run(told))["attempts"][-1]["from_step"] == 2
    assert comparable(only_run(told)) == comparable(only_run(calm))
    assert weights(only_run(told)) == weights(only_run(calm))
