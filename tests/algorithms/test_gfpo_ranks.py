"""One, two and three processes keep the same completions, give the same advantages and take the same steps.

Run as a program, this file is one rank: `python test_gfpo_ranks.py FOLDER POLICY`. Starting one costs more than all it
does, so three ranks do every scenario, then two of them go on and do it again.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from harness import forked_workers

HERE = Path(__file__).parent
G, GROUPS = 6, 5  # 30 completions: a group straddles 2 ranks (15 each) and 3 ranks (10 each)
SCENARIOS = {
    # 20 kept: 10 a rank on 2, not divisible by 3
    "shortest": {"num_remains_in_group": 4, "loss_type": "dapo"},
    # a mean over rows, in micro-batches that fillers complete
    "uneven": {"loss_type": "grpo", "micro_batches": True},
    "mask": {"num_remains_in_group": 3, "filtered": "mask", "loss_type": "dapo"},
    "random": {"num_remains_in_group": 2, "loss_type": "dapo"},
}


def group_filter(scenario):
    from expctl.algorithms.difficulty import AdaptiveDifficulty
    from expctl.algorithms.filters import TokenEfficiency

    def random(group_completions, group_rewards):
        """Another choice on every rank, unless the ranks agree on one."""
        return torch.rand(len(group_rewards), G, generator=generator).tolist()

    rank = int(os.environ.get("RANK", 0))
    generator = torch.Generator().manual_seed(rank)
    adaptive = AdaptiveDifficulty(TokenEfficiency(), 6, 5, 3, 2, warmup_steps=0)
    return {"uneven": adaptive, "random": random}.get(scenario, "shortest")


def train(folder, policy, scenario):
    """Four steps; saves what every generation batch held, gathered in rank order, and where the weights ended."""
    from accelerate.utils import gather_object
    from gfpo_trainer import build_trainer, varied_reward, weights

    from expctl.algorithms.gfpo import GFPOTrainer
    from expctl.algorithms.rows import unpack

    batches = []

    class Recording(GFPOTrainer):
        def _generate_and_score_completions(self, inputs):
            batch = super()._generate_and_score_completions(inputs)
            rows = unpack({key: batch[key] for key in batch if not key.startswith("rows_per")})
            micro_batch = len(rows) / self.args.steps_per_generation
            batches.append((gather_object([len(rows)]), micro_batch, gather_object(rows)))
            return batch

    args = dict(SCENARIOS[scenario])
    world_size = int(os.environ.get("WORLD_SIZE", 1))
    parts = 5 if args.pop("micro_batches", False) else 1
    trainer = build_trainer(
        policy,
        folder / "run",
        trainer=Recording,
        group_filter_func=group_filter(scenario),
        num_generations=G,
        per_device_train_batch_size=G * GROUPS // parts // world_size,
        gradient_accumulation_steps=parts,
        num_iterations=2,
        max_steps=4,
        beta=0.1,
        seed=3,
        ddp_backend="gloo" if world_size > 1 else None,
        keywords={"reward_funcs": varied_reward},
        **args,
    )
    trainer.train()
    if trainer.accelerator.is_main_process:
        names = ("gfpo/", "reward", "num_tokens")
        logs = [{k: v for k, v in log.items() if k.startswith(names)} for log in trainer.state.log_history]
        torch.save({"batches": batches, "weights": weights(trainer), "logs": logs}, folder / "result.pt")


def train_all(folder, policy):
    folder.mkdir(exist_ok=True)
    for scenario in SCENARIOS:
        (folder / scenario).mkdir(exist_ok=True)
        train(folder / scenario, policy, scenario)


def be_one_rank(folder, policy):
    """Three ranks, then the first two of them alone."""
    from accelerate.state import AcceleratorState, GradientState

    torch.set_num_threads(1)
    for world_size in (3, 2):
        if int(os.environ["RANK"]) < world_size:
            os.environ.update(WORLD_SIZE=str(world_size), MASTER_PORT=os.environ[f"PORT_{world_size}"])
            train_all(folder / str(world_size), policy)
            torch.distributed.destroy_process_group()
            AcceleratorState._reset_state(reset_partial_state=True)
            GradientState._reset_state()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.fixture(scope="module")
def results(tmp_path_factory, policy_folder):
    """`results[scenario][world size]`"""
    folder = tmp_path_factory.mktemp("ranks")
    common = forked_workers() | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    common["PYTHONPATH"] += f":{HERE.parents[1]}:{HERE}:{HERE.parent}"
    common |= {"PORT_2": free_port(), "PORT_3": free_port()}
    command = [sys.executable, str(Path(__file__)), str(folder), policy_folder]
    logs = [folder / f"rank_{rank}.log" for rank in range(3)]
    ranks = []
    for rank, log in enumerate(logs):
        env = os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        with log.open("w") as output:
            ranks.append(subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT))
    try:
        train_all(folder / "1", policy_folder)
        codes = [rank.wait(timeout=240) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert codes == [0, 0, 0], "\n".join(log.read_text()[-3000:] for log in logs)
    return {
        scenario: {n: torch.load(folder / str(n) / scenario / "result.pt") for n in (1, 2, 3)} for scenario in SCENARIOS
    }


def real(rows):
    return [row for row in rows if int(row.get("sample_index", 0)) >= 0]


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("scenario", ["shortest", "uneven", "mask"])
def test_every_number_of_ranks_keeps_the_same_completions_with_the_same_advantages(results, scenario, world_size):
    alone, shared = results[scenario][1], results[scenario][world_size]
    assert len(alone["batches"]) == len(shared["batches"]) == 2
    for (_, _, expected), (_, _, rows) in zip(alone["batches"], shared["batches"], strict=True):
        # fillers change the factor that a mean over rows is corrected by, so advantages are compared up to it
        factor = [sum(float(row["advantages"].abs()) for row in real(side)) for side in (expected, rows)]
        for one, other in zip(real(expected), real(rows), strict=True):
            for key in ("prompt_ids", "completion_ids", "completion_mask"):
                assert torch.equal(one[key], other[key])
            for key in ("old_per_token_logps", "ref_per_token_logps"):
                torch.testing.assert_close(one[key], other[key], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(one["advantages"] / factor[0], other["advantages"] / factor[1])


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("scenario", ["shortest", "uneven", "mask"])
def test_every_number_of_ranks_takes_the_same_steps_and_reports_the_same(results, scenario, world_size):
    alone, shared = results[scenario][1], results[scenario][world_size]
    for name, value in alone["weights"].items():
        torch.testing.assert_close(value, shared["weights"][name], atol=2e-6, rtol=1e-5)
    for expected, log in zip(alone["logs"], shared["logs"], strict=True):
        assert expected == pytest.approx(log, rel=1e-5)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("scenario", ["shortest", "uneven", "random"])
def test_every_rank_and_every_micro_batch_has_its_equal_share(results, scenario, world_size):
    for rows_per_rank, micro_batch, rows in results[scenario][world_size]["batches"]:
        assert len(rows_per_rank) == world_size and len(set(rows_per_rank)) == 1
        assert micro_batch == int(micro_batch)
        indices = [int(row["sample_index"]) for row in real(rows)]
        assert indices == sorted(set(indices))


@pytest.mark.parametrize("world_size", [2, 3])
def test_a_filter_that_rolls_dice_cannot_tear_the_ranks_apart(results, world_size):
    for _, _, rows in results["random"][world_size]["batches"]:
        groups = [int(row["sample_index"]) // G for row in real(rows)]
        assert groups == [group for group in range(GROUPS) for _ in range(2)]


if __name__ == "__main__":
    be_one_rank(Path(sys.argv[1]), sys.argv[2])
