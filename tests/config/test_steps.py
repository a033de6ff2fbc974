"""A training that would take no step is refused before anything is made."""

import pytest
from harness import expctl

from expctl.cli.hydra_app import compose
from expctl.config.check import check

PROMPTS = "prompts_per_step"
SEVEN = "".join(f'{{"prompt": "{n}+{n}=", "answer": "{2 * n}", "completion": " so 1"}}\n' for n in range(10, 17))


@pytest.fixture
def refusals(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seven.jsonl").write_text(SEVEN)
    (tmp_path / "two.jsonl").write_text("".join(SEVEN.splitlines(keepends=True)[:2]))

    def refused(*words):
        return [str(refusal) for refusal in check(compose(list(words)))]

    return refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["dataset.train_size=7"],
            ["dataset.train_size=7 (command line)", "8 prompts", "are 7", "args.per_device_train_batch_size=112"],
        ),
        (["dataset=files", "dataset.path=seven.jsonl"], ["8 prompts", "are 6", "args.per_device_train_batch_size=96"]),
        (["dataset=files", "dataset.path=two.jsonl"], ["8 prompts", "is 1", "args.per_device_train_batch_size=16"]),
        (["dataset.train_size=7", "args.generation_batch_size=1024"], ["64 prompts", "args.generation_batch_size"]),
        (["dataset.train_size=15", "args.gradient_accumulation_steps=2"], ["16 prompts", "are 15"]),
        (
            ["algorithm=sft", "dataset=files", "dataset.path=seven.jsonl", "args.dataloader_drop_last=true"],
            ["32 rows", "are 6", "args.per_device_train_batch_size=6"],
        ),
        (["args.max_steps=0"], ["max_steps", "0"]),
        (["args.max_steps=-1", "args.num_train_epochs=0"], ["num_train_epochs", "0"]),
    ],
)
def test_no_step(words, said, refusals):
    told = refusals(*words)
    assert len(told) == 1 and all(part in told[0] for part in said), told


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        (["args.num_generations=8"], "prompts_per_step=6"),
        (["args.num_generations=8", "args.per_device_train_batch_size=16"], "prompts_per_step=6"),
        (["args.num_generations=8", "args.per_device_train_batch_size=32"], "prompts_per_step=4"),
        (["args.num_generations=8", "args.per_device_train_batch_size=256"], "left out"),
        (["args.num_generations=8", "hardware=cpu_2"], "prompts_per_step=6"),
    ],
)
def test_where_a_step_has_so_many_prompts_the_advice_is_a_number_that_is_taken(typed, advice, refusals):
    words = ["algorithm=grpo", "dataset=files", "dataset.path=seven.jsonl", "prompts_per_step=32", *typed]
    told = refusals(*words)
    assert len(told) == 1 and "are 6 to train on" in told[0] and "prompts_per_step=32 (command line)" in told[0]
    assert advice in told[0] and "per_device_train_batch_size=" not in told[0]
    if advice.startswith(PROMPTS):
        assert refusals(*(advice if word.startswith(PROMPTS) else word for word in words)) == []


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dataset.train_size=8"],
        ["dataset.train_size=1", "algorithm=sft"],
        ["dataset=files", "dataset.path=two.jsonl", "args.per_device_train_batch_size=16"],
        [
            "dataset=files",
            "dataset.path=seven.jsonl",
            "dataset.eval_path=two.jsonl",
            "args.per_device_train_batch_size=112",
        ],
    ],
)
def test_what_takes_a_step_is_not_refused(words, refusals):
    assert refusals(*words) == []


def test_the_command_leaves_nothing(tmp_path):
    done = expctl("dataset.train_size=7", cwd=tmp_path)
    assert done.returncode == 2 and not (tmp_path / "outputs").exists()
    assert len(done.stderr.splitlines()) <= 4
