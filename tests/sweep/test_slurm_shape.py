"""What a job asks Slurm for."""

from types import SimpleNamespace

import pytest

from expctl.cli.hydra_app import compose
from expctl.sweep.slurm import Shape

SERVER = "generation=vllm_server generation.own_node=true"


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ("hardware=cpu_2", (1, 2, 0)),
        ("hardware=gpu_8 hardware.num_machines=2", (2, 8, 8)),
        (f"hardware=cpu {SERVER}", (2, 1, 0)),
        (f"hardware=gpu_8 hardware.num_machines=2 {SERVER}", (3, 8, 8)),
        (f"hardware=gpu {SERVER} generation.devices=4", (2, 1, 4)),
    ],
)
def test_nodes_tasks_and_gpus_are_those_of_the_training_and_of_its_server(monkeypatch, tmp_path, words, shape):
    monkeypatch.chdir(tmp_path)
    job = SimpleNamespace(to_run=SimpleNamespace(experiment=compose(words.split())))
    assert Shape.of(job)[:3] == shape
