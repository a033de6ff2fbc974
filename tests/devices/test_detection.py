"""Devices are counted as CUDA would, without CUDA."""

import pytest

from expctl.base.experiment import Experiment
from expctl.config.checks.hardware import check_hardware
from expctl.devices import detection


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("visible", "count"), [(None, 2), ("", 0), ("-1", 0), ("0", 1), ("1,0", 2), ("0,7,1", 1), ("GPU-8f1a", 1)]
)
def test_visible_gpus_follow_cuda_visible_devices(visible, count, two_gpus, monkeypatch):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert detection.visible_gpus(two_gpus) == count


def gpu_experiment(tmp_path, **hardware):
    chosen = {
        "use_cpu": False,
        "num_processes": 1,
        "num_machines": 1,
        "bf16": True,
        "fp16": False,
        "sharding": None,
        "threads": None,
    }
    config = {"hardware": chosen | hardware, "args": {"use_cpu": False, "bf16": True, "fp16": False}}
    return Experiment(config, {"hardware": "gpu"}, [], tmp_path)


def test_bf16_is_refused_on_a_gpu_that_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(detection, "visible_gpus", lambda: 1)
    monkeypatch.setattr(detection, "compute_capability", lambda: 7.5)
    (refusal,) = check_hardware(gpu_experiment(tmp_path))
    assert "8.0" in refusal.what and "7.5" in refusal.what and "fp16" in refusal.do
    monkeypatch.setattr(detection, "compute_capability", lambda: 9.0)
    assert check_hardware(gpu_experiment(tmp_path)) == []


def test_more_processes_than_gpus_are_refused_with_how_many_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(detection, "visible_gpus", lambda: 2)
    monkeypatch.setattr(detection, "compute_capability", lambda: 9.0)
    (refusal,) = check_hardware(gpu_experiment(tmp_path, num_processes=8))
    assert "8 processes on 2 GPUs" in refusal.what and refusal.do == "hardware.num_processes=2"
