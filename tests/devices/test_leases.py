"""A device is lent to one cell at a time, also between sweeps, and is free when its holder dies."""

import subprocess
import sys

import pytest

from expctl.devices import detection
from expctl.devices.leases import CELLS_PER_GPU, Machine

HOLD = (
    "import sys, time; from pathlib import Path; from expctl.devices import detection\n"
    "detection.gpu_names = lambda: ['0', '1']\nfrom expctl.devices.leases import Machine\n"
    "lease = Machine(Path(sys.argv[1])).lend_gpus(1); print(lease.variables['CUDA_VISIBLE_DEVICES'], flush=True)\n"
    "time.sleep(60)"
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(detection, "gpu_names", lambda: ["0", "1", "GPU-abc"])
    monkeypatch.setattr(detection, "cores", lambda: 4)
    return lambda: Machine(tmp_path / "leases")


def visible(lease):
    return lease.variables["CUDA_VISIBLE_DEVICES"]


def test_gpus_are_lent_once(machine):
    ours, theirs = machine(), machine()
    first = ours.lend_gpus(2)
    assert visible(first) == "0,1"
    assert theirs.lend_gpus(2) is None
    second = theirs.lend_gpus(1)
    assert visible(second) == "GPU-abc"
    assert ours.lend_gpus(1) is None
    ours.take_back(first)
    assert visible(theirs.lend_gpus(2)) == "0,1"


def test_asking_for_more_than_there_are_keeps_none(machine):
    ours = machine()
    assert ours.lend_gpus(4) is None
    assert visible(ours.lend_gpus(3)) == "0,1,GPU-abc"


def test_a_lease_dies_with_its_holder(machine, tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "leases"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "0\n"
    assert machine().lend_gpus(3) is None
    holder.kill()
    holder.wait()
    assert machine().lend_gpus(3) is not None


def test_slots_of_a_gpu_are_lent_until_it_is_full_and_the_cell_is_told_how_many_share_it(machine):
    ours, theirs = machine(), machine()
    leases = [ours.lend_gpus(1, slots=2, of=4) for _ in range(6)]
    assert [visible(lease) for lease in leases] == ["0", "0", "1", "1", "GPU-abc", "GPU-abc"]
    assert {lease.variables[CELLS_PER_GPU] for lease in leases} == {"2"}
    assert theirs.lend_gpus(1, slots=1, of=4) is None, "every slot is taken, for other sweeps too"
    ours.take_back(leases[2])
    assert theirs.lend_gpus(1) is None, "one of the cells is still there: the GPU is not whole"
    assert visible(theirs.lend_gpus(1, slots=1, of=4)) == "1"


def test_a_whole_gpu_lends_no_slot(machine):
    ours = machine()
    whole = ours.lend_gpus(3)
    assert CELLS_PER_GPU not in whole.variables
    assert ours.lend_gpus(1, slots=1, of=2) is None
    ours.take_back(whole)
    assert ours.lend_gpus(1, slots=2, of=2).variables == {"CUDA_VISIBLE_DEVICES": "0"}, "a cell that needs all has all"


def test_cores_are_shared_out_among_the_processes_of_a_cell(machine):
    ours = machine()
    first = ours.lend_cores(3, processes=2)
    assert first.variables == {"OMP_NUM_THREADS": "1"}
    assert ours.lend_cores(2, processes=1) is None
    second = ours.lend_cores(1, processes=1)
    assert ours.lend_cores(1, processes=1) is None
    ours.take_back(first)
    ours.take_back(second)
    assert ours.lend_cores(99, processes=1).variables == {"OMP_NUM_THREADS": "4"}
