"""`expctl plan`: what it prints, what it refuses, and that it needs neither weights nor devices."""

import json

import pytest

from expctl.cli.hydra_app import compose
from expctl.cli.main import run_words
from expctl.config.source.defaults import FieldValues
from expctl.plan import estimate
from expctl.plan.plan import GIB

QWEN = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 3072,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}


@pytest.fixture
def words(tmp_path, monkeypatch):
    """A model of which only the config is here, prompts of 256 tokens, and the settings of a measured run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qwen").mkdir()
    (tmp_path / "qwen" / "config.json").write_text(json.dumps(QWEN))
    row = {"prompt": "word" * 256, "answer": "1", "completion": "word" * 4096}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 8)
    return [
        "model=local",
        "model.path=qwen",
        "dataset=files",
        "dataset.path=rows.jsonl",
        "hardware=gpu",
        "args.gradient_checkpointing=true",
        "args.do_eval=false",
        "args.gradient_accumulation_steps=1",
    ]


def planned(words, capsys):
    assert run_words(["plan", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("more", "training", "sampling"),
    [
        (["algorithm=grpo"], 9.99, 10.43),
        (["algorithm=gfpo", "args.num_remains_in_group=4"], 9.48, 10.43),
        (["algorithm=gfpo", "args.num_remains_in_group=4", "args.filtered=mask"], 9.99, 10.43),
        (["algorithm=grpo", "peft=lora"], 4.83, None),
        (["algorithm=grpo", "peft=lora", "args.beta=0.04"], 4.83, None),
        (["algorithm=grpo", "args.gradient_accumulation_steps=8"], 11.88, 28.99),
        (["algorithm=grpo", "args.optim=sgd"], 5.55, None),
        (["algorithm=grpo", "model.dtype=bfloat16"], 5.43, None),
    ],
)
def test_a_measured_training_is_foreseen_from_its_config_and_rows(words, capsys, more, training, sampling):
    rows = [
        *("prompts_per_step=null", "args.num_generations=16"),
        *("args.per_device_train_batch_size=16", "args.max_completion_length=512"),
    ]
    plan = planned([*words, *rows, *more], capsys)

    assert plan["training_bytes"] / GIB == pytest.approx(training, rel=0.04)
    if sampling:
        assert plan["sampling_bytes"] / GIB == pytest.approx(sampling, rel=0.04)
    assert plan["peak_bytes"] == sum(plan["parts"].values())
    assert plan["fits"] is None


def test_rows_are_cut_to_the_length_that_an_algorithm_takes(words, capsys):
    rows = ["algorithm=sft", "args.per_device_train_batch_size=8"]
    assert planned([*words, *rows, "args.max_length=1024"], capsys)["micro_batch"]["tokens"] == 1024
    assert planned([*words, *rows, "args.max_length=null"], capsys)["micro_batch"]["tokens"] == 256 + 4096


def test_what_does_not_fit_is_refused_with_three_ways_out(words, capsys):
    rows = ["algorithm=grpo", "args.per_device_train_batch_size=64", "args.gradient_checkpointing=false"]
    assert run_words(["plan", *words, *rows, "hardware.memory_gib=24"]) == 2
    said = capsys.readouterr()
    assert "does not fit" in said.out
    assert said.err.count("GiB;") + said.err.count("GiB)") + said.err.count("GiB,") >= 3
    assert "args.gradient_checkpointing=true" in said.err


def test_a_filter_that_decides_k_itself_counts_with_the_most_that_it_keeps(words, capsys):
    sampled = ["algorithm=gfpo", "args.num_generations=16", "args.per_device_train_batch_size=16"]
    adaptive = "algorithm.trainer.group_filter_func=adaptive_difficulty"
    plans = []
    for chosen in (
        [adaptive, "args.num_remains_in_group=null"],
        *([f"args.num_remains_in_group={k}"] for k in (8, 16)),
    ):
        assert run_words(["plan", *words, *sampled, *chosen, "hardware.memory_gib=80", "--json"]) == 0
        plans.append(json.loads(capsys.readouterr().out))
    assert plans[0] == plans[1] != plans[2]


def test_an_engine_takes_its_share_of_the_device(words):
    engine = ["args.use_vllm=true", "args.vllm_mode=colocate", "args.vllm_gpu_memory_utilization=0.5"]
    more = ["algorithm=grpo", "args.per_device_train_batch_size=16", "hardware.memory_gib=80"]
    experiment = compose([*words, *more, *engine])
    plan = estimate(experiment, FieldValues(experiment.config["args"], experiment.code_folders))
    assert plan.sampling.parts["engine"] == 40 * GIB
    assert plan.training.parts["engine"] == 40 * GIB


def test_an_engine_whose_share_cannot_hold_its_own_weights_is_refused(words, capsys, monkeypatch):
    monkeypatch.setattr("expctl.cli.plan.check", lambda *asked, **more: [])  # vLLM need not be installed here
    engine = ["args.use_vllm=true", "args.vllm_mode=colocate", "args.vllm_gpu_memory_utilization=0.01"]
    more = ["algorithm=grpo", "args.per_device_train_batch_size=16", "hardware.memory_gib=80"]
    assert run_words(["plan", *words, *more, *engine]) == 2
    said = capsys.readouterr().err
    assert "vLLM's share of 0.8 GiB" in said and "args.vllm_gpu_memory_utilization=0.01 (command line)" in said


def test_a_number_format_that_is_none_is_refused(words, capsys):
    assert run_words(["plan", *words, "model.dtype=bfloat61"]) == 2
    assert "bfloat16" in capsys.readouterr().err


def test_a_known_family_needs_no_file(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = planned(["model=qwen3_1_7b", "dataset=gsm8k", "hardware=gpu"], capsys)
    assert plan["parameters"] == 1_720_574_976


def test_an_unknown_model_is_refused_with_the_nearest_known_one(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_words(["plan", "model=local", "model.path=Qwen/Qwen3-0.7B"]) == 2
    assert "qwen3-0.6b" in capsys.readouterr().err


def test_settings_that_cannot_work_are_refused_as_by_check(capsys):
    assert run_words(["plan", "args.learning_rat=1"]) == 2
    assert "learning_rate" in capsys.readouterr().err
    assert run_words(["plan", "-m", "seed=0,1"]) == 2


def test_the_default_fits_this_machine_and_says_so(capsys):
    assert run_words(["plan"]) == 0
    shown = capsys.readouterr().out
    assert "verdict    fits" in shown and "generation cache" in shown


def test_an_evaluation_takes_the_evaluation_of_a_training_without_its_optimizer(words, capsys):
    same = ["args.per_device_eval_batch_size=64", "args.max_completion_length=512"]
    trains = [word for word in words if not word.startswith("args.")] + ["args.do_eval=true", *same]
    training = planned(["algorithm=grpo", *trains], capsys)["phases"]["evaluation"]["parts"]
    evaluates = [word for word in words if not word.startswith("args.")] + same
    evaluation = planned(["algorithm=eval", *evaluates], capsys)
    assert list(evaluation["phases"]) == ["evaluation"] and evaluation["training_bytes"] is None
    parts = evaluation["parts"]
    assert parts == {name: size for name, size in training.items() if name in parts}
    assert set(training) - set(parts) == {"optimizer"}


def test_an_evaluation_that_does_not_fit_is_told_what_would(words, capsys):
    evaluates = [word for word in words if not word.startswith("args.")]
    evaluates += ["args.per_device_eval_batch_size=128", "args.max_completion_length=2048", "hardware.memory_gib=24"]
    assert run_words(["plan", "algorithm=eval", *evaluates]) == 2
    refusal = capsys.readouterr().err
    assert "this evaluation takes" in refusal and "args.per_device_eval_batch_size=32 " in refusal
    assert "peft" not in refusal and "optim" not in refusal
    assert run_words(["plan", "algorithm=eval", *evaluates, "args.per_device_eval_batch_size=32"]) == 0


def test_the_flag_of_several_may_come_before_the_verb(words, capsys):
    assert run_words(["-m", "check", "algorithm=sft", "seed=0,1"]) == 0
    assert capsys.readouterr().out.count("ok  sft-") == 2
