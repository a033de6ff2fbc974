"""Tokens are counted where the trainer does not count them itself, and nowhere twice."""

from types import SimpleNamespace

import pytest
import torch
from trl import DPOTrainer, GRPOTrainer, SFTTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.gkd import GKDTrainer

from expctl.worker.token_count import _counts_tokens, count_tokens

IDS = torch.ones(2, 5, dtype=torch.long)
MASK = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]])


class Model(torch.nn.Module):
    def forward(self, input_ids, attention_mask=None):
        return input_ids


class Trainer:
    """Logs what it is given."""

    def __init__(self, world_size=1):
        self.model = Model()
        self.args = SimpleNamespace(world_size=world_size)
        self.state = SimpleNamespace(num_input_tokens_seen=0)
        self.logged = []

    def log(self, logs):
        self.logged.append(logs)


class Counting(Trainer):
    def compute_loss(self):
        self.metrics = {"num_tokens": 3}


def test_what_is_trained_on_counts_without_padding_and_what_is_sampled_or_evaluated_does_not():
    trainer = Trainer(world_size=2)
    count_tokens(trainer)
    trainer.model(input_ids=IDS, attention_mask=MASK)
    trainer.model(IDS)
    with torch.no_grad():
        trainer.model(IDS)  # a completion that is sampled, the reference's side
    trainer.log({"loss": 0.1})
    trainer.model.eval()
    trainer.model(IDS)
    trainer.log({"eval_loss": 0.1})
    assert trainer.logged == [{"loss": 0.1, "num_tokens": 2 * (9 + 10)}, {"eval_loss": 0.1}]


def test_a_resumed_count_goes_on_from_the_checkpoints():
    trainer = Trainer()
    count_tokens(trainer)
    trainer.state = SimpleNamespace(num_input_tokens_seen=100)  # the one of the checkpoint
    trainer.model(IDS)
    trainer.log({"loss": 0.1})
    assert trainer.logged[0]["num_tokens"] == 110


def test_a_trainer_that_counts_is_left_alone():
    trainer = Counting()
    count_tokens(trainer)
    trainer.model(IDS)
    trainer.log({"loss": 0.1})
    assert trainer.logged == [{"loss": 0.1}] and trainer.state.num_input_tokens_seen == 0


@pytest.mark.parametrize(
    ("trainer", "counts"),
    [(SFTTrainer, True), (DPOTrainer, True), (GRPOTrainer, True), (CPOTrainer, False), (GKDTrainer, False)],
)
def test_whether_trls_trainers_count_is_known_from_the_methods_that_they_have(trainer, counts):
    assert _counts_tokens(object.__new__(trainer)) == counts
