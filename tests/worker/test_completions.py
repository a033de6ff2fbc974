"""Completions of held-out prompts, sampled at the evaluated of a trainer that learns from given texts."""

import pytest
import torch
from transformers import TrainingArguments, set_seed
from trl import SFTConfig, SFTTrainer

from expctl import models
from expctl.data import arithmetic
from expctl.rewards.arithmetic import accuracy
from expctl.worker.completions import EvaluateCompletions

DATA = {
    "_target_": "expctl.data.arithmetic.load",
    "kind": "prompt-completion",
    "seed": 0,
    "train_size": 16,
    "eval_size": 24,
}
REWARD = {
    "functions": {
        "accuracy": {"_target_": "expctl.rewards.arithmetic.accuracy", "_partial_": True},
        "short": {"_target_": "expctl.rewards.length.length_penalty", "_partial_": True, "free": 10, "limit": 60},
    },
    "weights": {"short": 0.5},
}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def sft(folder, *, max_steps=2) -> SFTTrainer:
    model, tokenizer = models.load(path="embedded:tiny", dtype="float32")
    train, held_out = arithmetic.load(**{key: value for key, value in DATA.items() if key != "_target_"})
    arguments = SFTConfig(
        output_dir=str(folder),
        max_steps=max_steps,
        per_device_train_batch_size=4,
        eval_strategy="steps",
        eval_steps=1,
        report_to="none",
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        disable_tqdm=True,
        seed=0,
    )
    return SFTTrainer(
        model=model, args=arguments, train_dataset=train, eval_dataset=held_out, processing_class=tokenizer
    )


def with_completions(trainer, **options):
    callback = EvaluateCompletions(trainer, DATA, REWARD, max_completion_length=96, batch_size=10, **options)
    trainer.add_callback(callback)
    return callback


def test_the_training_goes_on_as_if_nothing_had_been_sampled(tmp_path):
    plain, watched = sft(tmp_path / "plain"), sft(tmp_path / "watched")
    with_completions(watched)
    for trainer in (plain, watched):
        for module in trainer.model.modules():
            if hasattr(module, "attention_dropout"):
                module.attention_dropout = 0.1  # so that random numbers count
        set_seed(0)
        trainer.train()
    weights = [trainer.model.state_dict() for trainer in (plain, watched)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    evaluated = [row for row in watched.state.log_history if "eval_loss" in row]
    assert (
        all({"eval_reward", "eval_completions/mean_length"} <= row.keys() for row in evaluated) and len(evaluated) == 2
    )
    assert evaluated[0]["eval_loss"] == next(row for row in plain.state.log_history if "eval_loss" in row)["eval_loss"]


def test_metrics_are_those_of_the_completions_that_are_kept_and_come_again(tmp_path):
    trainer = sft(tmp_path)
    with_completions(trainer)
    metrics, again = trainer.evaluate(), trainer.evaluate()
    names = [name for name in metrics if "reward" in name or "completions" in name]
    assert {name: metrics[name] for name in names} == {name: again[name] for name in names}
    logs = trainer._logs
    answers = [str(eval(prompt.rstrip("="))) for prompt in logs["prompt"]]
    right = sum(accuracy(logs["completion"], answers)) / len(answers)
    # A character is a token but for " wait", and the end is one more.
    lengths = [len(trainer.processing_class(text)["input_ids"]) + 1 for text in logs["completion"]]
    penalty = sum(-min(1.0, max(0.0, (length - 10) / 50)) for length in lengths) / len(lengths)
    assert len(answers) == 24 and 0 < right < 1
    assert metrics["eval_rewards/accuracy/mean"] == pytest.approx(right)
    assert metrics["eval_rewards/short/mean"] == pytest.approx(penalty)
    assert metrics["eval_reward"] == pytest.approx(right + 0.5 * penalty)
    assert metrics["eval_completions/mean_length"] == pytest.approx(sum(lengths) / len(lengths))
    assert metrics["eval_completions/clipped_ratio"] == 0


def test_the_models_own_sampling_settings_cut_nothing_off(tmp_path):
    trainer = sft(tmp_path)
    with_completions(trainer)
    reward = trainer.evaluate()["eval_reward"]
    trainer.model.generation_config.top_k = 1
    trainer.model.generation_config.top_p = 0.1
    assert trainer.evaluate()["eval_reward"] == reward


def test_what_is_cut_off_counts_with_all_its_tokens_and_as_unended(tmp_path):
    trainer = sft(tmp_path)
    trainer.add_callback(EvaluateCompletions(trainer, DATA, REWARD, max_completion_length=3))
    metrics = trainer.evaluate()
    assert metrics["eval_completions/mean_length"] == 3 and metrics["eval_completions/clipped_ratio"] == 1
    assert metrics["eval_rewards/accuracy/mean"] == 0


def ended(completions, truncated, **kwargs):
    return [float(not cut) for cut in truncated]


def test_rewards_are_told_what_was_cut_off_and_asynchronous_ones_are_awaited(tmp_path):
    trainer = sft(tmp_path)
    functions = {name: {"_target_": f"{__name__}.{name}"} for name in ("ended", "later")}
    trainer.add_callback(
        EvaluateCompletions(trainer, DATA, {"functions": functions, "weights": None}, max_completion_length=16)
    )
    metrics = trainer.evaluate()
    share = metrics["eval_completions/clipped_ratio"]
    assert 0 < share < 1
    assert metrics["eval_rewards/ended/mean"] == metrics["eval_rewards/later/mean"] == pytest.approx(1 - share)


async def later(completions, **columns):
    return ended(completions, **columns)


def test_processes_share_the_prompts_and_their_sums_add_up(tmp_path, monkeypatch):
    trainer = sft(tmp_path)
    prompts, sums, tokens = [], [], []
    monkeypatch.setattr(TrainingArguments, "world_size", 3)
    for rank in range(3):
        monkeypatch.setattr(TrainingArguments, "process_index", rank)
        callback = with_completions(trainer)
        samples = callback._sample(trainer.model.eval(), callback._rows)
        prompts += [sample.prompt for sample in samples]
        sums.append(callback._sums(samples))
        tokens += [sample.tokens for sample in samples]
    assert len(prompts) == len(set(prompts)) == 24
    assert all(of_rank.keys() == sums[0].keys() and of_rank["reward"][1] == 8 for of_rank in sums)
    lengths = [of_rank["completions/mean_length"] for of_rank in sums]
    assert (sum(total for total, _ in lengths), sum(count for _, count in lengths)) == (sum(tokens), 24)


def test_a_trainer_that_samples_by_itself_is_refused(tmp_path):
    trainer = sft(tmp_path)
    trainer.reward_funcs, trainer._buffered_inputs = [], None
    with pytest.raises(ValueError, match="this trainer measures the same"):
        with_completions(trainer)
    del trainer._buffered_inputs  # as of online DPO, which measures two completions a prompt, at its own temperature
    assert with_completions(trainer)
