"""Held-out prompts that are also trained on are counted and said."""

import gzip
import json

import pytest
from datasets import Dataset
from harness import expctl, manifest, only_run

from expctl.worker.leak import leak_alerts

TURNS = [{"role": "user", "content": "1+1?"}]


def rows(*prompts):
    return Dataset.from_list([{"prompt": prompt, "answer": "2"} for prompt in prompts])


@pytest.mark.parametrize(
    ("train", "held_out", "share"),
    [
        (rows("a", "b", "b"), rows("b", "b", "c"), "1 of the 2 held-out prompts"),
        (rows(TURNS), rows(TURNS), "1 of the 1 held-out prompts"),
        (rows("a"), rows("b"), None),
        (rows("a"), None, None),
        (rows("a").rename_column("prompt", "text"), rows("a"), None),
    ],
    ids=["a text", "a conversation", "none", "no evaluation", "no prompts"],
)
def test_prompts_that_are_in_both_sets_are_counted(train, held_out, share):
    texts = [alert.text for alert in leak_alerts(train, held_out)]
    assert texts == [] if share is None else share in texts[0]


def test_a_run_whose_held_out_prompts_are_trained_on_says_so(tmp_path):
    lines = [f'{{"prompt": "{n}+1=", "completion": " {n + 1}"}}\n' for n in range(10, 50)]
    (tmp_path / "train.jsonl").write_text("".join(lines))
    (tmp_path / "held_out.jsonl").write_text("".join(lines[:3]) + '{"prompt": "1+1=", "completion": " 2"}\n')
    done = expctl(
        "algorithm=sft",
        "dataset=files",
        "dataset.path=train.jsonl",
        "dataset.eval_path=held_out.jsonl",
        "args.max_steps=2",
        "args.per_device_train_batch_size=4",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    [alert] = manifest(only_run(tmp_path))["alerts"]
    assert alert["kind"] == "leak" and "3 of the 4 held-out prompts are also trained on" in alert["text"]
    assert "3 of the 4 held-out prompts" in done.stdout + done.stderr


def test_conversations_of_a_packed_file_are_trained_on_and_held_out_by_whole_prompts(tmp_path):
    turns = [[{"from": "human", "value": f"{n % 10}+1="}, {"from": "gpt", "value": f"{n % 10 + 1}"}] for n in range(40)]
    lines = "".join(json.dumps({"conversations": conversation}) + "\n" for conversation in turns)
    (tmp_path / "train.JSONL.gz").write_bytes(gzip.compress(lines.encode()))
    data = ("dataset=files", "dataset.path=train.JSONL.gz")
    done = expctl("algorithm=sft", *data, "args.max_steps=2", "args.per_device_train_batch_size=4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not [alert for alert in manifest(only_run(tmp_path)).get("alerts", []) if alert["kind"] == "leak"]
