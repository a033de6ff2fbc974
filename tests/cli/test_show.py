"""`expctl show`: one run, from whatever state its files are in."""

import itertools
import json
import math

import fabricated
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expctl.cli.main import run_words
from expctl.report.changed_words import changed_words, evenly
from expctl.report.run_page import metric_lines, sample_lines
from expctl.report.sparkline import sparkline
from expctl.runs import manifest
from expctl.runs.bundle import rebuild
from expctl.runs.files import Run, write_json
from expctl.runs.history import Series, series


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EXPCTL_OUTPUTS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ROWS = [{"step": 0, "eval_reward": 0.5}, {"step": 1, "reward": 0.1, "loss": math.nan, "step_time": 3.0},
        {"step": 2, "reward": 0.4, "loss": None}, {"step": 3, "reward": 0.3, "loss": 2.0, "kl": 0.0},
        {"step": 3, "eval_reward": 0.75}]  # fmt: skip


def run(folder, status=manifest.COMPLETED, **changes) -> Run:
    made = fabricated.run_of(fabricated.experiment(folder, **changes), status=status)
    fabricated.write_metrics(made, ROWS)
    if status == manifest.COMPLETED:
        write_json(made.summary, {"objective": 0.75, "objective_name": "eval_reward", "steps": 3})
    rows = [{"step": step, "kind": "eval", "prompt": "1+1=", "completion": said, "rewards": {"accuracy": reward}}
            for step, said, reward in ((0, "so 3", 0.0), (2, "so 4", None), (3, "so 2", 1.0))]  # fmt: skip
    rows[0] |= {"truncated": True, "unfinished": True}
    rows[2] |= {"truncated": False, "unfinished": False}
    made.samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def shown(capsys, *words, code=0) -> str:
    assert run_words(["show", *words]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


def test_a_completed_run_is_shown_whole(folder, capsys):
    made = run(folder, seed=3)
    said = shown(capsys, made.run_id)
    assert said.startswith(f"{made.run_id}\n  status      completed, eval_reward = 0.75, step 3 of 3\n")
    assert "1   " in said and "step 0 to 2" in said and "exit 0" in said
    (reward,) = [line for line in said.splitlines() if line.strip().startswith("reward ")]
    assert reward.split() == ["reward", "▁█▆", "0.1", "0.3", "0.1", "0.4"]
    assert "recorded once: kl 0" in said and "step_time" not in said
    assert f"expctl rerun {made.run_id}" in said and "expctl resume" not in said


def test_a_metric_that_was_recorded_once_is_not_called_unchanged():
    metrics = [Series("beta", [1, 2], [0.5, 0.5]), Series("kl", [1], [0.25]), Series("loss", [1, 2], [2.0, 1.0])]
    said = [line.strip() for line in metric_lines(metrics, 100)]
    assert said[-2:] == ["unchanged: beta 0.5", "recorded once: kl 0.25"]


def test_the_first_and_the_last_completion_of_a_prompt_are_shown_with_their_rewards(folder, capsys):
    run(folder)
    said = shown(capsys).partition("samples\n")[2]
    assert said.startswith("  1+1=\n    step 0  accuracy 0, cut off\n      so 3\n    step 3  accuracy 1\n      so 2\n")


@pytest.mark.parametrize(("status", "resume"), [(manifest.INTERRUPTED, True), (manifest.FAILED, True)])
def test_an_unfinished_run_is_shown_with_the_command_that_carries_it_on(folder, capsys, status, resume):
    made = run(folder, status)
    said = shown(capsys)
    assert (f"expctl resume {made.run_id}" in said) == resume and f"status      {status}" in said


def test_without_a_name_it_is_the_latest_run_and_a_beginning_is_enough(folder, capsys):
    first, second = run(folder, seed=1), run(folder, seed=2)
    write_json(first.manifest, json.loads(first.manifest.read_text()))
    assert shown(capsys).startswith(first.run_id)
    assert shown(capsys, "gfpo-tiny-arithmetic-s2").startswith(second.run_id)
    assert shown(capsys, str(second.folder)).startswith(second.run_id)
    assert "is the beginning of 2 runs" in shown(capsys, "gfpo", code=2)


@pytest.mark.parametrize("words", [["--jsn"], ["a", "b"], ["nowhere"], []])
def test_what_cannot_be_shown_is_refused(capsys, words):
    assert shown(capsys, *words, code=2).startswith("expctl: ")


def test_every_value_has_what_set_it_as_it_was_written_down(folder, capsys):
    """A run of the composed default with words typed for a value, a mapping and an option."""
    from expctl.cli.hydra_app import compose

    words = ["args.max_steps=7", "args.lr_scheduler_kwargs={min_lr: 0.1}", "model=local", "model.path=m"]
    made = fabricated.run_of(compose(words), status=manifest.COMPLETED)
    data = json.loads(shown(capsys, "--json"))["config"]
    assert data["args.max_steps"] == {"value": 7, "set_by": "args.max_steps=7 (command line)"}
    assert data["args.lr_scheduler_kwargs.min_lr"]["set_by"].startswith("args.lr_scheduler_kwargs={min_lr: 0.1} (")
    assert data["model.path"]["set_by"] == "model.path=m (command line)"
    assert data["args.learning_rate"]["set_by"].startswith("conf/")
    assert data["reward.functions.accuracy._target_"]["set_by"].startswith("conf/dataset/arithmetic.yaml:")
    assert all(entry["set_by"] not in ("computed", "a config file") for entry in data.values())
    assert rebuild(made).locations == {key: entry["set_by"] for key, entry in data.items()}


@pytest.mark.parametrize("recorded", [None, "[]", '{"seed": 3, "args.learning_rate": ["x"]}', "no json"])
def test_where_it_was_not_written_down_the_words_are_still_known(folder, capsys, recorded):
    made = run(folder, args__learning_rate=0.5)
    made.origins.unlink() if recorded is None else made.origins.write_text(recorded)
    data = json.loads(shown(capsys, "--json"))["config"]
    assert data["args.learning_rate"]["set_by"] == "args.learning_rate=0.5 (command line)"
    assert data["seed"]["set_by"] == "a config file"


def test_json_is_strict_and_whole(folder, capsys):
    made = run(folder)
    write_json(made.summary, {"objective": math.nan, "after": {"loss": math.inf}})
    data = json.loads(shown(capsys, "--json"), parse_constant=pytest.fail)
    assert data["run"] == made.run_id and data["summary"] == {"objective": None, "after": {"loss": None}}
    assert data["metrics"]["reward"] == {"steps": [1, 2, 3], "values": [0.1, 0.4, 0.3]}
    assert data["metrics"]["loss"]["values"] == [None, None, 2.0]
    assert [row["step"] for row in data["samples"]] == [0, 2, 3]


DAMAGE = {
    "run.json": ["", "{", "[]", '{"status": "completed"}', '{"run_id": 1, "status": "completed", "attempts": [3, {}], '
                 '"choices": 1, "versions": [], "git": "x", "devices": 3, "hardware": [], "command": 5, "folder": 7, '
                 '"overrides": [1], "warnings": "none", "started": 1, "sources": [1]}'],
    "config.yaml": ["", "- 1", "a: [", "a: &a {b: *a}", "1: {2: 3}\nd: 2026-11-01"],
    "summary.json": ["", "[]", '{"objective": "high", "seconds": 3}'],
    "metrics.jsonl": ["", '{"step": 1, "lo',
                      '[1]\n{"step": "one", "loss": 1}\n{"loss": 2}\n{"step": 1, "x": {"y": 1}}\n'],
    "samples.jsonl": ["", '{"step": 1, "prom', '{"step": 1, "prompt": ["a"], "completion": 3}\n{"prompt": "a"}\n',
                      '{"step": 1, "prompt": "", "completion": "", "rewards": 3}\n'],
    ".progress.json": ["[]"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), [(name, content) for name, all_ in DAMAGE.items() for content in all_])
def test_damaged_files_are_no_crash(folder, capsys, name, content):
    made = run(folder)
    (made.folder / name).write_text(content)
    said = shown(capsys, str(made.folder))
    assert said.startswith(f"{made.run_id}\n  status      ")
    json.loads(shown(capsys, str(made.folder), "--json"), parse_constant=pytest.fail)
    if name == "run.json" and len(content) < 30:
        assert "broken" in said and "error       run.json" in said and "expctl r" not in said


@pytest.mark.parametrize("name", ["config.yaml", "summary.json", "metrics.jsonl", "samples.jsonl"])
def test_missing_files_are_no_crash_and_what_a_run_must_have_is_missed(folder, capsys, name):
    made = run(folder)
    (made.folder / name).unlink()
    said = shown(capsys)
    assert ("damaged" in said) == (name in ("config.yaml", "summary.json"))
    assert "completed, without an objective" in said or name != "summary.json"


def test_a_series_says_nothing_of_numbers_that_are_none(tmp_path):
    fabricated.write_metrics(Run(tmp_path), ROWS)
    found = {one.name: one for one in series(Run(tmp_path))}
    assert found["loss"] == Series("loss", [1, 2, 3], [None, None, 2.0]) and found["kl"].steps == [3]
    (line,) = [line for line in metric_lines(found.values(), 80) if "loss" in line]
    assert line.split() == ["loss", "··▅", "none", "2", "2", "2"]
    assert "step_time" not in found and list(found) == ["eval_reward", "reward", "loss", "kl"]


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [([], 5, ""), ([1], 5, "▅"), ([None, math.nan, math.inf], 5, "···"), ([0, 1], 9, "▁█"), ([3, 3, 3], 9, "▅▅▅"),
     ([0, None, 8], 9, "▁·█"), ([0, 0, 4, 4, 8, 8], 3, "▁▅█"), ([0, None, 8, 8], 2, "▁█"), ([5, 1], 0, "▅"),
     ([-1.7e308, 1.7e308], 2, "▁█"), ([1.7e308] * 4, 2, "▅▅")],
)  # fmt: skip
def test_bars_from_the_least_to_the_greatest(values, width, bars):
    assert sparkline(values, width) == bars


@pytest.mark.parametrize("width", [60, 80, 120])
def test_metrics_and_completions_fit_the_terminal(width):
    metrics = [Series("rewards/accuracy/mean", list(range(200)), [x / 7 for x in range(200)]), Series("kl", [1], [0.0])]
    samples = [{"step": 1, "prompt": "word " * 90, "completion": "x" * 999, "rewards": {}}]
    lines = metric_lines(metrics, width) + sample_lines(samples, width)
    assert all(len(line) <= width for line in lines) and len(lines) == 3 + 4 + 1 + 4
    assert any("lines ...]" in line for line in lines)


def test_samples_show_what_changed_from_step_to_step(folder, capsys):
    made = run(folder)
    assert run_words(["show", made.run_id, "--samples"]) == 0
    text = capsys.readouterr().out
    assert [line.strip() for line in text.splitlines() if "step " in line and "first" not in line] == [
        "step 0   accuracy 0, characters 4, cut off",
        "step 2   accuracy none (was 0), characters 4",
        "step 3   accuracy 1 (was none), characters 4",
    ]
    assert "accuracy 0 -> 1" in text and all(line == line.rstrip() for line in text.splitlines())
    assert run_words(["show", made.run_id, "--samples", "--json"]) == 0
    assert [row["step"] for row in json.loads(capsys.readouterr().out)] == [0, 2, 3]


def test_samples_of_prompts_that_came_once_are_shown_as_they_are(folder, capsys):
    made = run(folder)
    rows = [
        {"step": step, "kind": "train", "prompt": f"{step}+1=", "completion": " ", "rewards": {}} for step in (1, 2)
    ]
    made.samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run_words(["show", made.run_id, "--samples"]) == 0
    text = capsys.readouterr().out
    assert "No prompt was completed at two steps" in text and text.count("(empty)") == 2


def test_a_run_without_samples_says_what_keeps_them(folder, capsys):
    made = run(folder)
    made.samples.unlink()
    assert run_words(["show", made.run_id, "--samples"]) == 2
    assert "callbacks=completions" in capsys.readouterr().err


@given(st.text("ab \n", max_size=40), st.text("ab \n", max_size=40))
def test_the_pieces_of_a_change_are_the_text(before, after):
    pieces = changed_words(before, after)
    assert "".join(piece for piece, _ in pieces) == after
    assert not any(is_new for _, is_new in changed_words(after, after))


@pytest.mark.parametrize(("count", "most"), [(1, 3), (2, 3), (3, 3), (4, 3), (97, 5)])
def test_steps_are_thinned_evenly_between_the_first_and_the_last(count, most):
    steps = list(range(0, 10 * count, 10))
    chosen = evenly(steps, most)
    assert chosen[0] == steps[0] and chosen[-1] == steps[-1] and len(set(chosen)) == min(count, most)
    gaps = [after - before for before, after in itertools.pairwise(chosen)]
    assert not gaps or max(gaps) - min(gaps) <= 10
