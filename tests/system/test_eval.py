"""Evaluations by the installed command: the figures of the training's own, and a run of their own kind."""

import gzip
import json
import re

import pytest
import yaml
from harness import GFPO, expctl, manifest, only_run, runs

from expctl.runs.prompt_values import voted

DATA = ["hardware=cpu", "dataset.train_size=64", "dataset.eval_size=24", "dataset.max_completion_length=48"]
TRAINED = [word for word in GFPO if "do_eval" not in word] + ["args.per_device_eval_batch_size=16"]
# What an evaluation does not measure: the loss, and times.
LEFT_OUT = ("loss", "entropy", "clip_ratio", "runtime", "_per_second", "_time", "epoch", "num_tokens")


def newest(work):
    """The evaluation that was made last."""
    found = [run for run in runs(work) if run.name.startswith("eval-")]
    return max(found, key=lambda run: (run / "run.json").stat().st_mtime)


def summary(run):
    return json.loads((run / "summary.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A working folder with a completed training of two steps."""
    folder = tmp_path_factory.mktemp("trained")
    done = expctl(*DATA, *TRAINED, "dataset.eval_size=32", "args.save_steps=1", cwd=folder)
    assert done.returncode == 0, done.stderr
    return only_run(folder)


def test_an_evaluation_repeats_the_last_one_of_the_training_to_the_last_bit(trained):
    work = trained.parent.parent
    done = expctl("eval", trained.name, cwd=work)
    assert done.returncode == 0, done.stderr
    evaluated = newest(work)
    own = {key: value for key, value in summary(trained)["after"].items() if not any(part in key for part in LEFT_OUT)}
    assert len(own) > 8
    assert {key: summary(evaluated)["after"].get(key) for key in own} == own
    assert manifest(evaluated)["status"] == "completed" and not (evaluated / "model").exists()

    rows = [json.loads(line) for line in (evaluated / "completions.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rows] == list(range(32)) and len({row["prompt_id"] for row in rows}) == 32
    said = {(row["prompt"], row["completions"][0]) for row in rows}
    last = [json.loads(line) for line in (trained / "samples.jsonl").read_text().splitlines() if '"step": 2' in line]
    assert len(last) == 4 and {(row["prompt"], row["completion"]) for row in last} <= said


@pytest.mark.parametrize("algorithm", ["sft", "dpo"])
def test_what_a_callback_sampled_beside_a_training_is_repeated_to_the_last_bit(algorithm, tmp_path):
    words = ["callbacks=completions", "callbacks.completions.batch_size=24", "args.max_steps=1"]
    done = expctl(f"algorithm={algorithm}", *DATA, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trained = only_run(tmp_path)
    done = expctl("eval", trained.name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    evaluated = summary(newest(tmp_path))["after"]
    shared = [key for key in summary(trained)["after"] if key.startswith(("eval_reward", "eval_completions/"))]
    own = {key: summary(trained)["after"][key] for key in shared if key in evaluated}
    assert {"eval_reward", "eval_rewards/accuracy/mean", "eval_completions/mean_length"} <= own.keys()
    assert {key: evaluated[key] for key in own} == own


def test_several_completions_a_prompt_are_kept_and_counted_and_done_once(tmp_path):
    words = ["algorithm=eval", *DATA, "args.num_generations_eval=4", "args.per_device_eval_batch_size=40"]
    done = expctl(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = runs(tmp_path)
    rows = [json.loads(line) for line in (run / "completions.jsonl").read_text().splitlines()]
    assert [len(row["completions"]) for row in rows] == [4] * 24
    right = [sum(row["rewards"]["accuracy"]) for row in rows]
    told = summary(run)
    # Over the prompts, although the last of the three batches is smaller.
    assert told["after"]["eval_reward"] == sum(right) / 96 == told["objective"]
    assert told["after"]["eval_rewards/accuracy/pass@4"] == sum(map(bool, right)) / 24
    # The answer of a completion is the number that stands at its end, and most often given the one that counts.
    texts = [one for row in rows for one in row["completions"]]
    read = [re.search(r" so (\d+)\s*\Z", text) for text in texts]
    votes = [vote for row in rows for vote in row["answers"]["accuracy"]]
    ended = [ended for row in rows for ended in row["ended"]]
    assert votes == [str(int(one[1])) if one and whole else None for one, whole in zip(read, ended, strict=True)]
    most = [voted(row["rewards"]["accuracy"], row["answers"]["accuracy"]) for row in rows]
    assert told["after"]["eval_rewards/accuracy/majority"] == sum(most) / 24
    low, high = told["intervals"]["eval_rewards/accuracy/pass@4"]
    assert low < told["after"]["eval_rewards/accuracy/pass@4"] < high
    again = expctl(*words, cwd=tmp_path)
    assert again.returncode == 0 and "was completed" in again.stdout
    shown = expctl("show", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    listed = expctl("ls", cwd=tmp_path)
    assert run.name in listed.stdout


def test_a_checkpoint_is_evaluated_on_the_run_s_data_from_the_seed_in_the_order_of_the_data(trained):
    work = trained.parent.parent
    states = [expctl("eval", trained.name + which, "args.temperature=0", cwd=work) for which in ("@checkpoint-1", "")]
    assert [done.returncode for done in states] == [0, 0], states[0].stderr + states[1].stderr
    final = newest(work)
    others = [run for run in runs(work) if run.name.startswith("eval-") and manifest(run)["lineage"]["step"] == 1]
    assert len(others) == 1 and manifest(final)["lineage"]["step"] == 2
    prompts = [
        [json.loads(line)["prompt_id"] for line in (run / "completions.jsonl").open()] for run in (*others, final)
    ]
    assert prompts[0] == prompts[1] and len(prompts[0]) == 32
    assert "random_states" not in " ".join(manifest(final)["overrides"])


def test_two_processes_share_the_prompts_and_greedy_completions_are_those_of_one(trained):
    """21 prompts, 4 a process and batch: the last batch is filled up by prompts that are there already."""
    work = trained.parent.parent
    found = []
    for hardware in ("cpu", "cpu_2"):
        words = ["args.temperature=0", "dataset.eval_size=21", "args.per_device_eval_batch_size=4"]
        done = expctl("eval", trained.name, *words, f"hardware={hardware}", cwd=work)
        assert done.returncode == 0, done.stderr
        run = newest(work)
        assert manifest(run)["hardware"]["num_processes"] == (2 if hardware == "cpu_2" else 1)
        rows = [json.loads(line) for line in (run / "completions.jsonl").open()]
        assert [row["row"] for row in rows] == list(range(21))
        found.append((rows, summary(run)["objective"], summary(run)["intervals"]))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "no run is called 'nope'"),
        (["{run}@checkpoint-7"], "checkpoint-7"),
        (["{run}@bets"], "a run has no '@bets'"),
        (["{run}", "model=tiny"], "the model is named twice"),
        (["{run}", "algorithm=gfpo"], "eval is the algorithm"),
        (["{run}", "args.learning_rate=1"], "an evaluation trains nothing"),
        (["{run}", "dataset=nope"], "nope"),
        (["{run}", "dataset=files", "dataset.path=missing.jsonl"], "missing.jsonl"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_and_nothing_is_made(words, said, trained):
    work = trained.parent.parent
    before = sorted(work.rglob("*"))
    done = expctl("eval", *(word.replace("{run}", trained.name) for word in words), cwd=work)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert sorted(work.rglob("*")) == before


def test_a_run_on_files_of_one_s_own_is_evaluated_on_them(tmp_path):
    rows = [{"prompt": f"{n}+1=", "completion": str(n + 1), "answer": str(n + 1)} for n in range(40)]
    with gzip.open(tmp_path / "sums.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    words = ["dataset=files", "dataset.path=sums.jsonl.gz", "dataset.eval_size=8", "args.max_steps=1"]
    done = expctl("algorithm=sft", *words, "args.do_eval=false", "hardware=cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trained = only_run(tmp_path)
    assert trained.name.startswith("sft-tiny-sums-s0-"), "the name of the data, without what they are packed in"
    composed = yaml.safe_load(expctl("eval", trained.name, "--cfg", "job", cwd=tmp_path).stdout)
    assert (composed["dataset"]["path"], composed["dataset"]["eval_size"]) == ("sums.jsonl.gz", 8)
