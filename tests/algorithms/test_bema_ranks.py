"""Two gloo ranks: one holds the average, both get the reference and the weights to evaluate, and they resume.

Weights that are split over the ranks (FSDP 2, tensor parallelism: DTensor) are refused.
Run as a program, this file is one rank: `python test_bema_ranks.py FOLDER RANK`.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from bema_cases import Weights, follow, train_state
from harness import forked_workers
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from expctl.algorithms.bema_callback import BEMACallback
from expctl.algorithms.bema_reference import refuse_sharded

STEPS, SAVED_AT = 10, 5
OPTIONS = {"update_freq": 2, "update_after": 1}
OPTIONS |= {"update_ref_model": True, "ref_model_update_freq": 4, "ref_model_update_after": 3}


def run(folder: Path, rank: int, first: int = 0) -> dict[str, torch.Tensor]:
    thetas = torch.randn(STEPS, 7, generator=torch.Generator().manual_seed(0)).cumsum(0).bfloat16()
    args = SimpleNamespace(output_dir=str(folder), save_only_model=False)
    model, reference = Weights(thetas[0]), Weights(thetas[0])
    callback = BEMACallback(**OPTIONS)
    callback.bind(SimpleNamespace(model=model, ref_model=reference))
    if first == 0:
        follow(callback, thetas[: SAVED_AT + 1], rank, args, model=model)
        (folder / f"checkpoint-{SAVED_AT}").mkdir(exist_ok=True, parents=True)
        callback.on_save(args, train_state(SAVED_AT, rank), None)
        state = train_state(rank=rank)
        for state.global_step in range(SAVED_AT + 1, STEPS):
            model.theta.data.copy_(thetas[state.global_step])
            callback.on_step_end(args, state, None)
    else:
        follow(callback, thetas, rank, args, first=first, model=model)
    with callback.swapped_in():
        swapped = model.theta.detach().clone()
    return {"reference": reference.theta.detach().clone(), "swapped": swapped, **callback.weights.state_dict()}


def one_rank(rank: int, folder: str):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    results = {"whole": run(Path(folder), rank)}
    dist.barrier()  # the checkpoint of rank 0 is complete
    results["resumed"] = run(Path(folder), rank, first=SAVED_AT)
    mesh = init_device_mesh("cpu", (2,))
    sharded = distribute_tensor(torch.zeros(4), mesh, [Shard(0)])
    with pytest.raises(ValueError, match="splits the parameters over the ranks"):
        refuse_sharded({"theta": sharded})
    torch.save(results, Path(folder, f"rank-{rank}.pt"))
    dist.destroy_process_group()


def test_two_ranks_have_the_average_and_reference_of_one_whole_and_resumed(tmp_path):
    alone = run(tmp_path / "alone", rank=0)
    forked = forked_workers()
    paths = os.pathsep.join([forked["PYTHONPATH"], *sys.path])
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, str(tmp_path), str(rank)], env=os.environ | forked | {"PYTHONPATH": paths}
        )
        for rank in range(2)
    ]
    assert [rank.wait(timeout=200) for rank in ranks] == [0, 0]
    first, second = (torch.load(tmp_path / f"rank-{rank}.pt") for rank in range(2))
    for ranks in (first, second):
        for results in ranks.values():
            assert torch.equal(results["reference"], alone["reference"])
            assert torch.equal(results["swapped"], alone["swapped"])
    for results in first.values():
        assert results.keys() == alone.keys()
        assert all(torch.equal(results[key], tensor) for key, tensor in alone.items())
    assert all(results.keys() == {"reference", "swapped"} for results in second.values())
    assert not torch.equal(alone["reference"], alone["swapped"])  # written at step 7, the average at 9


if __name__ == "__main__":
    one_rank(int(sys.argv[2]), sys.argv[1])
