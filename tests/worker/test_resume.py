"""A training resumed from any of its checkpoints is the one that was never interrupted, to the last bit."""

from types import SimpleNamespace

import pytest
import torch
from resuming import REMEMBERING, SAMPLING, resumed, whole

from expctl.worker.distributed import DistributedCheck
from expctl.worker.resume_state import required_attribute

LORA = ["peft=lora", "peft.lora_dropout=0.2"]
EVALUATE = ["args.do_eval=true", "args.eval_strategy=steps", "args.eval_steps=2"]
# Eight batches of eight rows, or four batches of two prompts, make an epoch.
REUSE = ["args.steps_per_generation=2", "args.num_iterations=2"]
CASES = {
    "sft": ["algorithm=sft", "args.max_steps=18", "args.logging_steps=5", "args.do_eval=true"],
    "sft, lora": ["algorithm=sft", *LORA, "args.max_steps=10", "args.gradient_accumulation_steps=3", *EVALUATE],
    "everything at the end of an epoch": [
        "algorithm=sft",
        *LORA,
        "args.max_steps=11",
        "args.gradient_accumulation_steps=2",
        "args.logging_strategy=epoch",
        "args.eval_strategy=epoch",
        "args.do_eval=true",
    ],
    # In the first pass over the data; of a later one it is said when the run starts.
    "streamed": ["algorithm=sft", "args.max_steps=7", "dataset._target_=resuming.stream", "dataset.train_size=24"],
    "rows of one length together": [
        "algorithm=sft",
        "args.max_steps=18",
        "args.train_sampling_strategy=group_by_length",
    ],
    "evaluation on start": ["algorithm=sft", "args.max_steps=9", "args.eval_on_start=true", "args.do_eval=true"],
    "early stopping": [
        "algorithm=sft",
        "args.max_steps=40",
        "args.learning_rate=0.1",
        "args.do_eval=true",
        "callbacks=early_stopping",
        "callbacks.early_stopping.early_stopping_patience=3",
        "args.eval_strategy=steps",
        "args.eval_steps=1",
        "args.metric_for_best_model=eval_loss",
        "args.load_best_model_at_end=true",
    ],
    "dpo_bema": [
        "algorithm=dpo_bema",
        "args.max_steps=12",
        "callbacks.bema.update_freq=2",
        "args.logging_steps=4",
        "callbacks.bema.ref_model_update_freq=4",
    ],
    "bema on a trainer that does not know it": [
        "algorithm=sft",
        "args.max_steps=7",
        "callbacks.bema.update_freq=2",
        "callbacks.bema._target_=expctl.algorithms.bema_for_ref_model.BEMACallback",
    ],
    "grpo": [
        "algorithm=grpo",
        *SAMPLING,
        *REUSE,
        "args.max_steps=14",
        "dataset.train_size=8",
        *EVALUATE,
        "args.logging_steps=3",
    ],
    "grpo, entropy controlled": [
        "algorithm=grpo",
        *SAMPLING,
        "args.max_steps=9",
        "dataset.train_size=8",
        "args.use_adaptive_entropy=true",
        "args.entropy_coef=0.01",
        "args.beta=0.05",
        "args.save_strategy=epoch",
        "args.eval_strategy=epoch",
        "args.do_eval=true",
    ],
    "gfpo, difficulty adaptive": [
        "algorithm=gfpo",
        *SAMPLING,
        "args.max_steps=7",
        "args.num_generations=8",
        "args.num_remains_in_group=null",
        "algorithm.trainer.group_filter_func=adaptive_difficulty",
        "args.steps_per_generation=2",
    ],
    "gspo_token": [
        "algorithm=gspo_token",
        *SAMPLING,
        "args.max_steps=11",
        "args.gradient_accumulation_steps=2",
        "args.per_device_train_batch_size=4",
        "dataset.train_size=16",
        "args.do_eval=true",
    ],
    "rewards and advantages that remember": [
        "algorithm=gspo_token",
        *REMEMBERING,
        "args.max_steps=6",
        "args.steps_per_generation=2",
        "dataset.train_size=16",
        *EVALUATE,
    ],
    "grpo_replay, lora": [
        "algorithm=grpo_replay",
        *SAMPLING,
        *LORA,
        "args.max_steps=9",
        "args.replay_max_fraction=1",
        "dataset.train_size=16",
    ],
    "all parts together": [
        "algorithm=grpo",
        "algorithm/replay=on",
        "algorithm/reference=bema",
        "algorithm/ratio=sequence_token",
        *SAMPLING,
        "args.max_steps=9",
        "callbacks.bema.update_freq=1",
        "callbacks.bema.ref_model_update_freq=2",
        "dataset.train_size=16",
    ],
}
# Steps to carry on from: in the middle of an epoch, at the end of one, in a later one, after the last step of all.
STEPS = {
    "sft": [3, 8, 13, 16, 18],
    "sft, lora": [1, 3, 5, 10],
    "everything at the end of an epoch": [3, 4, 8, 11],
    "streamed": [2, 3],
    "rows of one length together": [3, 8, 11],
    "evaluation on start": [4, 9],
    "early stopping": [1, 2, 4],
    "dpo_bema": [3, 8, 11],
    "bema on a trainer that does not know it": [5],
    "grpo": [3, 8, 10, 13, 14],
    "grpo, entropy controlled": [4, 8],
    "gfpo, difficulty adaptive": [3, 5],
    "gspo_token": [1, 4, 11],
    "rewards and advantages that remember": [1, 3, 4],
    "grpo_replay, lora": [3, 8],
    "all parts together": [5, 8],
}


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_training_is_the_undisturbed_one(case, tmp_path):
    words = CASES[case]
    undisturbed = whole(tmp_path / "run", *words)
    assert not all(torch.equal(value, undisturbed.first[name]) for name, value in undisturbed.weights.items())
    for step in STEPS[case]:
        resumed(tmp_path / "run", step, *words).assert_equals(undisturbed)


def test_an_attribute_that_upstream_renamed_is_missed_by_name():
    with pytest.raises(RuntimeError, match="SimpleNamespace has no '_tr_loss' in transformers .*requirements-tested"):
        required_attribute(SimpleNamespace(_train_loss=0.0), "_tr_loss")


def test_ranks_that_exchange_no_gradients_do_not_train():
    trainer = SimpleNamespace(
        args=SimpleNamespace(world_size=2),
        model_wrapped=torch.nn.Linear(1, 1),
        is_fsdp_enabled=False,
        is_deepspeed_enabled=False,
        is_distributed_loading_by_transformers=False,
    )
    with pytest.raises(RuntimeError, match="2 processes would each train a model of their own: the model is a Linear"):
        DistributedCheck(trainer, sharding=False).on_train_begin(trainer.args, None, None)
    trainer.args.world_size = 1
    DistributedCheck(trainer, sharding=False).on_train_begin(trainer.args, None, None)
