"""`expctl -m sweep=optuna`: trials are cells, failures are survived, and the same command carries a search on."""

import json
import signal

from harness import SFT, expctl, manifest, metrics, runs, start, wait_for

SEARCH = ["-m", "sweep=optuna", *SFT, "args.max_steps=1"]
FAILING = (
    "from transformers import TrainerCallback\n\n\nclass Boom(TrainerCallback):\n"
    "    def on_step_end(self, args, state, control, **kwargs):\n"
    "        if args.seed in {seeds}:\n            raise KeyError('lost')\n"
)


def ledger(folder):
    (path,) = (folder / "outputs" / "sweeps").glob("*.json")
    return json.loads(path.read_text())


def by_status(folder):
    found = {}
    for cell in ledger(folder)["cells"]:
        found.setdefault(cell["status"], []).append(cell)
    return found


def test_what_fails_or_is_refused_is_survived_and_the_same_words_are_one_run(tmp_path):
    (tmp_path / "mine.py").write_text(FAILING.format(seeds=(1,)))
    # Of the four combinations one trains, one fails, and two are refused.
    space = ["args.learning_rate=1e-3", "seed=0,1", "args.gradient_accumulation_steps=1,often"]
    words = [*SEARCH, *space, "callbacks.boom._target_=mine.Boom", "hydra.sweeper.n_trials=6"]
    done = expctl(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = by_status(tmp_path)
    assert [cell["words"] for cell in found["completed"]] == [["seed=0", "args.gradient_accumulation_steps=1"]]
    assert {cell["error"] for cell in found["failed"]} >= {"KeyError: 'lost'"}
    assert any(cell["error"].startswith("refused: ") for cell in found["failed"])
    assert "KeyError: 'lost'" in done.stdout and "worker.log" in done.stdout
    assert [len(manifest(folder)["attempts"]) for folder in runs(tmp_path) if "s0" in folder.name] == [1]
    told = ledger(tmp_path)
    assert told["best"]["run_id"] == found["completed"][0]["run_id"] and told["again"] in done.stdout
    assert "was completed" in expctl(*told["again"].split()[1:], cwd=tmp_path).stdout


def test_a_search_without_a_single_trial_says_so_and_tries_others_the_next_time(tmp_path):
    (tmp_path / "mine.py").write_text(FAILING.format(seeds=range(1000)))
    words = [*SEARCH, "callbacks.boom._target_=mine.Boom", "hydra.sweeper.n_trials=1"]
    for failed in (1, 2):
        done = expctl(*words, cwd=tmp_path)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert f"{failed} failed" in done.stdout and "no trial completed, so there is no best one" in done.stdout
        assert len(by_status(tmp_path)["failed"]) == failed


def test_a_search_that_was_stopped_or_killed_takes_up_its_trials_from_their_checkpoints(tmp_path):
    words = [
        "-m",
        "sweep=optuna",
        *SFT,
        "args.max_steps=16",
        "args.save_steps=4",
        "args.per_device_train_batch_size=2",
        "hydra.sweeper.n_trials=3",
    ]
    process = start(*words, cwd=tmp_path, forked=True)
    wait_for(lambda: any((folder / "metrics.jsonl").exists() for folder in runs(tmp_path)))
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 75 and "the same command carries the search on" in out, out + error
    first = {folder.name for folder in runs(tmp_path)}

    process = start(*words, cwd=tmp_path, forked=True)
    wait_for(lambda: any((folder / "checkpoints" / "checkpoint-4").is_dir() for folder in runs(tmp_path)))
    process.kill()
    process.communicate()
    (journal,) = (tmp_path / "outputs" / "sweeps").glob("*.journal")
    with journal.open("a") as file:
        file.write('{"op_code": 5, "worker')

    done = expctl(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was damaged and is cut off there" in done.stderr
    assert {cell["trial"] for cell in by_status(tmp_path)["completed"]} == {0, 1, 2}
    assert first < {folder.name for folder in runs(tmp_path)} and len(runs(tmp_path)) == 3
    for folder in runs(tmp_path):
        assert [row["step"] for row in metrics(folder)] == list(range(1, 17))

    more = expctl(*words[:-1], "hydra.sweeper.n_trials=3", cwd=tmp_path)
    assert more.returncode == 0 and "running" not in more.stdout and "3 completed" in more.stdout


def test_a_trial_without_prospect_is_pruned_by_its_evaluations_and_keeps_a_checkpoint(tmp_path):
    words = [
        "-m",
        "sweep=optuna",
        "algorithm=sft",
        "args.max_steps=30",
        "args.per_device_train_batch_size=4",
        "args.eval_strategy=steps",
        "args.eval_steps=2",
        "dataset.eval_size=16",
        "args.learning_rate=1e-3,30",
        "args.max_grad_norm=100",
        "hydra.sweeper.n_trials=4",
        "hydra.launcher.n_jobs=1",
        "hydra.sweeper.pruner={name:ThresholdPruner,upper:1.0}",
    ]
    done = expctl(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = by_status(tmp_path)
    assert [cell["words"] for cell in found["pruned"]] == [["args.learning_rate=30"]]
    assert [cell["words"] for cell in found["completed"]] == [["args.learning_rate=0.001"]]
    (run,) = [folder for folder in runs(tmp_path) if folder.name == found["pruned"][0]["run_id"]]
    assert manifest(run)["status"] == "interrupted" and manifest(run)["attempts"][0]["signal"] == "pruned"
    assert list((run / "checkpoints").iterdir()) and metrics(run)[-1]["step"] < 30


def test_two_commands_share_one_search(tmp_path):
    words = [*SEARCH, "hydra.sweeper.n_trials=4", "hydra.launcher.n_jobs=1", "hydra.launcher.preload=true"]
    both = [start(*words, cwd=tmp_path, forked=True) for _ in range(2)]
    for process in both:
        out, error = process.communicate(timeout=200)
        assert process.returncode == 0, out + error
        assert "4 completed" in out, "also the one that had nothing left to do waits for the other's trials"
    assert len(by_status(tmp_path)["completed"]) == 4
    assert [len(manifest(folder)["attempts"]) for folder in runs(tmp_path)] == [1] * 4


def test_a_search_that_cannot_be_is_refused_and_nothing_is_created(tmp_path):
    hidden = tmp_path / "hidden" / "optuna"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError")
    for words, environment, said in (
        ([], {"PYTHONPATH": str(hidden.parent)}, 'pip install "expctl[sweep]"'),
        (["args.learning_rate=1e-3"], {}, "nothing is searched"),
        (["args.learning_rate=interval(2,1)"], {}, "no range to search in"),
        (["dataset=arithmetic,arithmetics"], {}, "no option 'arithmetics'"),
        (["args.max_stepps=1"], {}, "so the search is not begun"),
        (["hydra.sweeper.n_trials=0"], {}, "must be a whole number above 0"),
        (["hydra.sweeper.sampler.name=TPESample"], {}, "nearest  TPESampler"),
    ):
        done = expctl(*SEARCH, *words, cwd=tmp_path, **environment)
        assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not (tmp_path / "outputs" / "sweeps").exists()


def test_objectives_that_cannot_be_compared_are_not_searched_together(tmp_path):
    done = expctl("-m", "sweep=optuna", "algorithm=sft,gfpo", cwd=tmp_path)
    assert done.returncode == 2 and "maximize eval_reward, minimize eval_loss" in done.stderr


def test_a_named_sweep_needs_multirun_and_its_cells_are_the_runs_of_single_commands(tmp_path):
    assert "a sweep needs -m" in expctl("sweep=seeds", cwd=tmp_path).stderr
    swept = expctl("check", "-m", "sweep=seeds", "algorithm=sft", cwd=tmp_path)
    assert swept.stdout.count("ok  ") == 5
    assert expctl("check", "algorithm=sft", "seed=3", cwd=tmp_path).stdout in swept.stdout
