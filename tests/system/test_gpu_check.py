"""`scripts/gpu_check.py`, rehearsed on the CPU with the embedded model."""

import importlib.util
import json
import sys

import pytest
from harness import REPOSITORY, forked_workers, run

SCRIPTS = REPOSITORY / "scripts"


def gpu_check(*words: str, cwd, **environment: str):
    command = [sys.executable, str(SCRIPTS / "gpu_check.py"), "--cpu", *words]
    return run(*command, cwd=cwd, **forked_workers(**environment))


def script(name: str, monkeypatch):
    """A script as a module, with its neighbours to import from."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_parts_that_run_are_measured_and_those_that_cannot_are_left_out(tmp_path):
    done = gpu_check("environment", "gfpo_0.6B", "resume", "vllm", "fsdp2", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "gpu_check" / "gpu_check.json").read_text())
    outcomes = {name: result["outcome"] for name, result in results.items()}
    ran, left = ["environment", "gfpo_0.6B", "resume"], ["vllm", "fsdp2"]
    assert outcomes == dict.fromkeys(ran, "passed") | dict.fromkeys(left, "left out")
    ours, grpo, upstream = results["gfpo_0.6B"]["rows"]
    for row in (ours, grpo, upstream):
        assert row["s/step"] >= row["sampling s"] > 0
        assert row["tokens/s"] > 0
        assert row["plan training GiB"] > 0
    # Phases add up to the step.
    assert ours["sampling s"] + ours["scoring s"] + ours["update s"] == pytest.approx(ours["s/step"], rel=0.5)
    assert results["resume"]["rows"][-1]["largest difference of a weight"] == 0.0
    assert "GRPO" in (tmp_path / "gpu_check" / "trl-grpo-0.6B.log").read_text()


def test_a_part_that_fails_is_said_and_the_others_still_run(tmp_path):
    # An unknown device: the runs are refused.
    done = gpu_check("leases", "environment", cwd=tmp_path, EXPCTL_CONF=str(tmp_path))

    assert done.returncode == 1
    results = json.loads((tmp_path / "gpu_check" / "gpu_check.json").read_text())
    assert results["leases"]["outcome"] == "failed"
    assert "leases.log" in results["leases"]["why"]
    assert results["environment"]["outcome"] == "passed"
    assert "failed: leases" in done.stdout


def test_an_unknown_part_is_refused_with_those_there_are(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        script("gpu_check", monkeypatch).main(["gfpo_7B"])
    assert "no part 'gfpo_7B'; parts are environment, verify, gfpo_0.6B" in capsys.readouterr().err


def test_verify_in_bfloat16_trains_in_bfloat16(monkeypatch, capsys):
    """Identities to the last bit, and not those of float32."""
    from expctl.verify import setup

    monkeypatch.setattr(setup, "SETTINGS", dict(setup.SETTINGS))
    module = script("gpu_verify", monkeypatch)
    monkeypatch.setattr(module, "ALGORITHMS", ["gspo_token"])
    monkeypatch.setattr(sys, "argv", ["gpu_verify.py", "--cpu"])
    module.main()

    results = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"')]
    assert {result["name"] for result in results} == {"gamma = 1 is GSPO", "resumed"}
    assert all(result["passed"] and result["measured"] == 0.0 for result in results)
    assert setup.SETTINGS["bf16"]


def test_random_models_have_the_published_shapes(tmp_path, monkeypatch):
    """A small one of the same making: its tokenizer has a word for each token, and its parameters are counted."""
    inputs = script("gpu_inputs", monkeypatch)
    monkeypatch.setitem(inputs.SHAPES, "small", {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1})
    monkeypatch.setitem(inputs.COMMON, "vocab_size", 1000)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = inputs.random_model("small", tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    path = inputs.prompts(17, 3, tmp_path / "prompts.jsonl")

    assert model.config.vocab_size == len(tokenizer) == 1000
    assert tokenizer.decode([3, 999]) == "w3 w999"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [len(row["prompt"].split()) for row in rows] == [17, 17, 17]
