"""No more cells run at once on a device than its memory bears, and fewer than were asked for is said."""

import pytest
from harness import expctl

from expctl.devices import leases
from tests.sweep.hall import on_gpus, swim

# Some 0.6 GiB a cell, most of it what CUDA itself holds for a process.
GPU = "hardware=gpu model.dtype=float32 hardware.bf16=false"


@pytest.fixture(autouse=True)
def unsaid(monkeypatch):
    from expctl.base import notice

    notice.notice_once.cache_clear()


def test_cells_share_a_gpu_as_far_as_they_were_told(hall, jobs, monkeypatch, tmp_path, capsys):
    on_gpus(monkeypatch, tmp_path, ["0"])
    made = jobs(*[f"seed={seed} {GPU} hardware.memory_gib=80" for seed in range(4)])
    swim(hall, made, cells_per_gpu=3)
    assert hall.most == 3 and [job.status for job in made] == ["completed"] * 4
    assert {each[leases.CELLS_PER_GPU] for each in hall.environments} == {"3"}
    assert "cells_per_gpu" not in capsys.readouterr().err


def test_fewer_cells_share_a_gpu_whose_memory_bears_fewer_and_that_is_said_once(
    hall,
    jobs,
    monkeypatch,
    tmp_path,
    capsys,
):
    on_gpus(monkeypatch, tmp_path, ["0"])
    made = jobs(*[f"seed={seed} {GPU} hardware.memory_gib=1.5" for seed in range(4)])
    swim(hall, made, cells_per_gpu=4)
    said = capsys.readouterr().err
    assert 1 <= hall.most < 4 and said.count("cells_per_gpu=4: a cell takes some") == 1
    assert f"so {hall.most} at a time run" in said


def test_engines_of_cells_that_share_a_gpu_have_its_parts_and_one_too_small_is_not_begun_so(
    hall,
    jobs,
    monkeypatch,
    tmp_path,
    capsys,
):
    from expctl.config import engine_facts

    on_gpus(monkeypatch, tmp_path, ["0"])
    monkeypatch.setattr(engine_facts, "vllm_version", lambda: "0.26.0")
    words = f"{GPU} generation=vllm hardware.memory_gib=80"
    made = jobs(*[f"seed={seed} {words} args.vllm_gpu_memory_utilization=2e-5" for seed in range(4)])
    swim(hall, made, cells_per_gpu=4)
    # 1.7 MB hold the weights in two bytes and the cache of a row; half of it does too, a quarter does not.
    assert hall.most in (2, 3) and "cells_per_gpu=4" in capsys.readouterr().err


def test_cells_on_the_cpu_are_bounded_by_main_memory_too(hall, jobs, capsys):
    made = jobs(*[f"seed={seed} hardware.memory_gib={1 / 4}" for seed in range(3)])
    swim(hall, made, n_jobs=3)
    assert hall.most < 3 and [job.status for job in made] == ["completed"] * 3
    said = capsys.readouterr().err
    assert said.count("of main memory") == 1, said


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "true"])
def test_a_number_of_cells_that_is_none_is_refused(value, tmp_path):
    done = expctl("-m", "seed=0,1", f"hydra.launcher.cells_per_gpu={value}", cwd=tmp_path)
    assert done.returncode == 2 and "'hydra.launcher.cells_per_gpu' is a whole number" in done.stderr
