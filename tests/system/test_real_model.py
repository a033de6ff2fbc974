"""A real model without a hub: SmolLM2 out of a PyPI package, trained a step with its chat template, loaded back."""

import json
import sys

import pytest
from harness import REPOSITORY, expctl, forked_workers, only_run, run


@pytest.mark.timeout(900)
def test_smollm2_is_converted_trained_and_loads_back(tmp_path):
    # What the libraries read of the home folder when they are imported, none of this uses.
    home = {"HOME": str(tmp_path / "home")} | forked_workers()
    missing = expctl("check", "model=smollm2_135m", "dataset=reasoning_gym", cwd=tmp_path, forked=False, **home)
    assert missing.returncode == 2 and "make_smollm2.py" in missing.stderr
    made = run(sys.executable, str(REPOSITORY / "scripts" / "make_smollm2.py"), cwd=tmp_path, timeout=600, **home)
    assert made.returncode == 0, made.stdout + made.stderr
    words = [
        "algorithm=gfpo",
        "model=smollm2_135m",
        "dataset=reasoning_gym",
        "args.max_steps=1",
        "args.do_eval=false",
        "args.save_steps=1",
        "args.per_device_train_batch_size=4",
        "args.num_generations=4",
        "args.num_remains_in_group=2",
        "args.max_completion_length=16",
    ]
    done = expctl(*words, cwd=tmp_path, timeout=600, forked=False, **home)
    assert done.returncode == 0, done.stdout + done.stderr

    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = only_run(tmp_path)
    for saved in (folder / "checkpoints" / "checkpoint-1", folder / "model"):
        tokenizer = AutoTokenizer.from_pretrained(saved)
        model = AutoModelForCausalLM.from_pretrained(saved)
        assert model.num_parameters() > 130e6
        prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Say hello."}], tokenize=False)
        assert "<|im_start|>user" in prompt
    row = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    assert row["gfpo/kept_length"] <= row["gfpo/sampled_length"]
