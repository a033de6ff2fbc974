"""On two ranks, too, a resumed training is the undisturbed one, and the ranks hold one model."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from harness import REPOSITORY, clean_environment, forked_workers

HERE = Path(__file__).parent


def test_two_ranks_resume_to_the_last_bit_and_hold_one_model(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    forked = forked_workers()
    paths = os.pathsep.join(map(str, (forked["PYTHONPATH"], REPOSITORY, HERE.parent, HERE)))
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    group |= forked | {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": paths}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(HERE / "resume_rank.py"), str(tmp_path), str(rank)],
            env=clean_environment(**group, RANK=str(rank), LOCAL_RANK=str(rank)),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    output = [rank.communicate(timeout=280)[0][-3000:] for rank in ranks]
    assert all(rank.returncode == 0 for rank in ranks), "\n".join(output)
    results = [json.loads((tmp_path / f"rank_{rank}.json").read_text()) for rank in range(2)]
    assert results[0].keys() == {"sft", "gfpo", "grpo_replay"}
    assert results[0] == results[1]
    assert all(list(result) == ["sum"] for result in results[0].values()), results
