"""A step of so many prompts is the same mathematics however it is cut, in float64 to 1e-12: weights after a few steps.

One micro-batch or eight, one process or two, and a run that is resumed in the middle of a generation batch.
"""

from fractions import Fraction

import pytest
import torch
from step_rank import PROMPTS, SCENARIOS, G, built, compute_in_float64, policy, train_all, weights
from test_replay_ranks import start

from expctl.config.micro_batches import Step

BOUND = 1e-12


@pytest.fixture(autouse=True)
def float64(monkeypatch):
    compute_in_float64(monkeypatch.setattr)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """`ended[processes][scenario][micro-batches]`: the weights after the steps."""
    root = tmp_path_factory.mktemp("steps")
    ranks = start(root / "2", 2, "step_rank.py")
    with pytest.MonkeyPatch.context() as patch:
        compute_in_float64(patch.setattr)
        alone = train_all(root / "1", 1)
    outputs = [rank.communicate(timeout=300)[0] for rank in ranks]
    assert all(rank.returncode == 0 for rank in ranks), "\n".join(output[-3000:] for output in outputs)
    return {1: alone, 2: torch.load(root / "2" / "rank_0.pt"), "rank 1": torch.load(root / "2" / "rank_1.pt")}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_step_is_the_same_however_it_is_cut(ended, scenario):
    begun = torch.cat([parameter.flatten() for parameter in policy().parameters()])
    whole = ended[1][scenario].pop(1)
    others = [*ended[1][scenario].values(), *ended[2][scenario].values(), *ended["rank 1"][scenario].values()]
    assert whole.dtype == torch.float64 and (whole - begun).abs().max() > 1e-4
    assert len(others) == 3
    for other in others:
        assert (other - whole).abs().max() < BOUND


@pytest.mark.parametrize("scenario", ["gfpo, drop", "gspo_token", "gfpo with replay"])
def test_resumed_in_the_middle_of_a_generation_batch(tmp_path, scenario):
    """Two optimizer steps a generation batch; stopped after the third step, whose batch has a fourth."""
    step = Step(PROMPTS, G, SCENARIOS[scenario].kept, updates=Fraction(2))
    whole, *_, parts = [cut for cut in step.cuts() if cut.accumulation in (1, 4)]
    once = built(SCENARIOS[scenario], whole, tmp_path / "once", max_steps=4, num_iterations=1)
    once.train()
    saves = {"save_strategy": "steps", "save_steps": 3}
    stopped = built(SCENARIOS[scenario], parts, tmp_path / "parts", max_steps=4, num_iterations=1, **saves)
    stopped.train()
    resumed = built(SCENARIOS[scenario], parts, tmp_path / "again", max_steps=4, num_iterations=1)
    resumed.train(resume_from_checkpoint=str(tmp_path / "parts" / "checkpoint-3"))
    assert (weights(stopped) - weights(once)).abs().max() < BOUND
    assert (weights(resumed) - weights(once)).abs().max() < BOUND


def test_128_rows_of_which_32_are_kept_are_two_micro_batches_of_16(tmp_path):
    (cut,) = [cut for cut in Step(8, 16, kept=4).cuts() if cut.kept == 16]
    # Each batch is used twice, so its kept rows are scored before.
    options = {"num_generations": 16, "num_remains_in_group": 4, "max_steps": 2, "num_iterations": 2}
    trainer = built(SCENARIOS["gfpo, drop"], cut, tmp_path, **options)
    rows = {True: [], False: []}
    trainer.model.register_forward_pre_hook(
        lambda model, args, inputs: rows[torch.is_grad_enabled()].append(len(inputs["input_ids"])), with_kwargs=True
    )
    trainer.train()
    assert rows == {True: [16] * 4, False: [16] * 2} and trainer.state.global_step == 2
