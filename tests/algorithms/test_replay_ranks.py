"""One, two and three processes store, draw and train on the same groups, also where groups straddle ranks."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from harness import forked_workers
from replay_rank import ROWS, SIZE
from replay_setup import saved_tiny_model

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(folder, world_size, script="replay_rank.py") -> list[subprocess.Popen]:
    folder.mkdir()
    saved_tiny_model(folder / "model")
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(world_size)}
    common |= {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "TRL_EXPERIMENTAL_SILENCE": "1"}
    forked = forked_workers()
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1]), forked["PYTHONPATH"]])
    return [
        subprocess.Popen(
            [sys.executable, str(HERE / script), str(folder), str(world_size)],
            env=os.environ | common | forked | {"RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world_size)
    ]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """`reports[world size][rank]`"""
    root, found = tmp_path_factory.mktemp("ranks"), {}
    for world_size in (1, 2, 3):
        processes = start(root / str(world_size), world_size)
        outputs = [process.communicate(timeout=240)[0] for process in processes]
        assert all(process.returncode == 0 for process in processes), "\n".join(output[-3000:] for output in outputs)
        found[world_size] = [
            json.loads((root / str(world_size) / f"rank_{rank}.json").read_text()) for rank in range(world_size)
        ]
    return found


def rows(report, field):
    return [[row[field] for row in rollout["rows"]] for rollout in report["rollouts"]]


def without_logps(buffer):
    return [{key: value for key, value in group.items() if key != "logps"} for group in buffer]


def test_the_run_replays_groups_and_groups_straddle_ranks(reports):
    assert [reports[n][0]["processes"] for n in (1, 2, 3)] == [1, 2, 3]
    assert sum(sum(flags) for flags in rows(reports[1][0], "replayed")) >= 2 * SIZE
    assert (ROWS // 2) % SIZE and (ROWS // 3) % SIZE


@pytest.mark.parametrize("world_size", [2, 3])
def test_the_same_groups_are_replayed_in_the_same_places(reports, world_size):
    for field in ("replayed", "prompt", "completion"):
        assert rows(reports[world_size][0], field) == rows(reports[1][0], field)


@pytest.mark.parametrize("world_size", [2, 3])
def test_advantages_reference_and_token_count_are_the_same(reports, world_size):
    one, several = reports[1][0], reports[world_size][0]
    for expected, found in zip(rows(one, "advantage"), rows(several, "advantage"), strict=True):
        assert found == pytest.approx(expected, abs=1e-5)
    for expected, found in zip(rows(one, "ref"), rows(several, "ref"), strict=True):
        assert all(a == pytest.approx(b, abs=1e-5) for a, b in zip(expected, found, strict=True))
    assert [r["tokens"] for r in several["rollouts"]] == [r["tokens"] for r in one["rollouts"]]


@pytest.mark.parametrize("world_size", [2, 3])
def test_every_rank_holds_the_buffer_that_one_process_holds(reports, world_size):
    one = reports[1][0]
    for report in reports[world_size]:
        assert without_logps(report["buffer"]) == without_logps(one["buffer"])
        assert report["bytes"] == one["bytes"] > 0
        assert report["buffer"] == reports[world_size][0]["buffer"]  # between ranks to the last bit
        for expected, found in zip(one["buffer"], report["buffer"], strict=True):
            for a, b in zip(expected["logps"], found["logps"], strict=True):
                assert b == pytest.approx(a, abs=1e-3)  # weights of different runs have drifted apart by rounding


@pytest.mark.parametrize("world_size", [2, 3])
def test_weights_end_where_one_process_ends(reports, world_size):
    expected = reports[1][0]["weights"]
    for report in reports[world_size]:
        assert report["weights"] == pytest.approx(expected, rel=1e-3, abs=2e-2)


def test_the_checkpoint_of_several_ranks_holds_one_buffer_and_one_rollout_file_a_rank(reports):
    checkpoint = Path(reports[3][0]["folder"]) / "run" / "checkpoint-3"
    assert sorted(path.name for path in checkpoint.glob("rollout_*")) == [f"rollout_{rank}.pt" for rank in range(3)]
    assert torch.load(checkpoint / "replay_buffer.pt", weights_only=True)["groups"]
