"""One experiment from the words typed to the run on disk."""

import json

import pytest
import yaml
from harness import GFPO, expctl, manifest, metrics, only_run, runs
from safetensors.torch import load_file

EVALUATED = [*GFPO, "args.do_eval=true", "dataset.eval_size=16", "args.per_device_eval_batch_size=16"]


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """A working folder with one completed run, and what the command printed."""
    folder = tmp_path_factory.mktemp("work")
    done = expctl(*EVALUATED, "name=first", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_run_leaves_the_files_of_the_contract(completed):
    run = only_run(completed[0])
    algorithm, model, dataset, seed, hashed = run.name.split("-")
    assert (algorithm, model, dataset, seed) == ("gfpo", "tiny", "arithmetic", "s0")
    told = manifest(run)
    assert told["status"] == "completed" and told["error"] is None
    assert told["config_hash"].startswith(hashed)
    assert told["run_id"] == run.name
    assert told["command"].startswith("expctl args.max_steps=2")
    assert told["overrides"] == [*EVALUATED, "name=first"]
    assert {"git", "versions", "host", "hardware", "started", "ended", "attempts"} <= set(told)
    assert told["versions"]["trl"] and told["versions"]["torch"]
    attempt = told["attempts"][0]
    assert (attempt["from_step"], attempt["to_step"], attempt["exit"], attempt["signal"]) == (0, 2, 0, None)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["args"]["max_steps"] == 2 and config["seed"] == 0
    assert yaml.safe_load((run / "overrides.yaml").read_text()) == told["overrides"]
    assert (run / "worker.log").stat().st_size > 0


def test_metrics_are_one_object_a_logging_step_with_the_step_first(completed):
    rows = metrics(only_run(completed[0]))
    assert all(next(iter(row)) == "step" for row in rows)
    assert [row["step"] for row in rows if "loss" in row] == [1, 2]
    assert {"reward", "completions/mean_length", "gfpo/kept_length"} <= set(rows[1])


def test_the_summary_tells_before_after_and_the_objective(completed):
    summary = json.loads((only_run(completed[0]) / "summary.json").read_text())
    assert summary["objective"] == summary["after"]["eval_reward"]
    assert 0.5 < summary["before"]["eval_rewards/accuracy/mean"] <= 1.0
    assert summary["before"]["eval_completions/mean_length"] > 10
    assert summary["steps"] == 2


def test_the_model_loads_back_and_its_card_carries_the_command(completed):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = only_run(completed[0]) / "model"
    AutoTokenizer.from_pretrained(folder)
    AutoModelForCausalLM.from_pretrained(folder)
    assert load_file(folder / "model.safetensors")
    card = (folder / "README.md").read_text()
    assert manifest(only_run(completed[0]))["command"] in card


def test_the_output_shows_progress_and_a_closing_table_without_escape_codes(completed):
    output = completed[1].stdout
    for words in (
        "evaluating before training",
        "step 2/2",
        "reward",
        "completion length",
        "evaluating after training",
        "held-out",
        "before",
        "after",
        "accuracy",
        "eval_reward =",
    ):
        assert words in output
    assert "\x1b" not in output


def test_the_same_command_is_the_same_run(completed):
    folder, _ = completed
    before = (only_run(folder) / "run.json").read_bytes()
    again = expctl(*EVALUATED, "name=second", cwd=folder)
    assert again.returncode == 0
    assert "completed" in again.stdout and "force=true" in again.stdout and "accuracy" in again.stdout
    assert (only_run(folder) / "run.json").read_bytes() == before


def test_where_metrics_are_sent_makes_no_other_run_but_a_seed_does(completed):
    folder, _ = completed
    name = only_run(folder).name
    assert name in expctl("check", *EVALUATED, "tracker=tensorboard", cwd=folder).stdout
    assert name not in expctl("check", *EVALUATED, "seed=1", cwd=folder).stdout
    assert name not in expctl("check", *EVALUATED, "args.learning_rate=1e-5", cwd=folder).stdout


def test_force_runs_again_and_keeps_the_earlier_attempt_aside(tmp_path):
    words = ["algorithm=sft", "args.max_steps=1", "args.do_eval=false"]
    assert expctl(*words, cwd=tmp_path).returncode == 0
    first = manifest(only_run(tmp_path))["started"]
    done = expctl(*words, "force=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(runs(tmp_path)) == 1
    kept = list((tmp_path / "outputs" / "replaced").iterdir())
    assert len(kept) == 1 and manifest(kept[0])["started"] == first


@pytest.mark.parametrize("algorithm", ["grpo", "sft", "dpo"])
def test_an_algorithm_named_without_a_dataset_trains_on_an_embedded_one_of_its_kind(algorithm, tmp_path):
    words = [
        f"algorithm={algorithm}",
        "args.max_steps=2",
        "dataset.eval_size=16",
        "args.per_device_train_batch_size=16",
    ]
    done = expctl(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((only_run(tmp_path) / "summary.json").read_text())["objective"] is not None


def test_parts_laid_over_an_algorithm_work_in_one_run_that_is_called_after_them(tmp_path):
    words = ["+algorithm/ratio=sequence_token", "algorithm/replay=on", "+algorithm/reference=bema"]
    settings = ["callbacks.bema.update_freq=1", "callbacks.bema.ref_model_update_freq=1", "args.steps_per_generation=2"]
    done = expctl(*GFPO, *words, *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path)
    assert run.name.startswith("gfpo_sequence_token_bema_replay-tiny-arithmetic-s0-")
    seen = {key for row in metrics(run) for key in row}
    assert {"gfpo/kept_length", "replay/wasted", "kl"} <= seen
    assert (run / "checkpoints" / "bema" / "model.safetensors").is_file()


def test_lora_trains_and_saves_an_adapter(tmp_path):
    done = expctl("algorithm=sft", "peft=lora", "peft.r=4", "args.max_steps=2", "args.do_eval=false", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    adapter = load_file(only_run(tmp_path) / "model" / "adapter_model.safetensors")
    assert any(weight.abs().sum() > 0 for name, weight in adapter.items() if "lora_B" in name)
    written = json.loads((only_run(tmp_path) / "model" / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == "embedded:tiny"  # and no path of this machine
