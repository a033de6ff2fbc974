"""Cells that share one composition are what Hydra composes for each by itself."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from expctl.config.frozen import from_hydra, register_resolvers
from expctl.config.locate import own_conf
from expctl.sweep.cells import Composer

JOBS = [
    ["seed=1"],
    ["seed=2", "++args.learning_rate=3e-5"],
    ["algorithm=sft", "++args.max_steps=3", "seed=2"],
    ["algorithm=grpo", "algorithm/ratio=sequence", "++args.beta=0.1"],
    ["model=tiny", "hardware=cpu_2", "seed=7", "name=try"],
    ["peft=lora", "++peft.r=4"],
    ["++args.learning_rate=1e-4", "++args.weight_decay=0.2"],
    ["algorithm=dpo_bema", "dataset.eval_size=32"],
    ["~callbacks"],
]


@pytest.fixture
def loader():
    register_resolvers()
    with initialize_config_dir(str(own_conf()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


@pytest.fixture
def sweep(loader):
    return loader.load_configuration("expctl", [], RunMode.MULTIRUN)


def by_hydra(loader, sweep, job):
    """What Hydra hands to the task function of a job."""
    config = loader.load_sweep_config(sweep, list(job))
    HydraConfig.instance().set_config(config)
    config._set_flag(["readonly", "struct"], [False, False])
    del config["hydra"]
    return from_hydra(config)


@pytest.mark.parametrize("job", JOBS, ids=" ".join)
def test_a_cell_is_what_hydra_composes(job, loader, sweep):
    composer = Composer(loader, sweep)
    for _ in range(2):  # the second time from what the first left behind
        (cell,) = composer.cells([job])
        ours, theirs = cell.experiment, by_hydra(loader, sweep, job)
        assert ours.config == theirs.config
        assert ours.choices == theirs.choices
        assert ours.overrides == theirs.overrides and ours.sources == theirs.sources


def test_cells_do_not_touch_each_other(loader, sweep):
    cells = Composer(loader, sweep).cells([["++args.learning_rate=1", "seed=1"], ["seed=2"], ["seed=1"]])
    rates = [cell.experiment.config["args"]["learning_rate"] for cell in cells]
    assert rates[0] == 1 and rates[1] == rates[2] != 1
    assert [cell.experiment.config["seed"] for cell in cells] == [1, 2, 1]


def test_a_cell_is_called_by_what_not_every_cell_has(loader, sweep):
    cells = Composer(loader, sweep).cells([["algorithm=grpo", "seed=1"], ["algorithm=grpo", "seed=2"]])
    assert [cell.words for cell in cells] == [("seed=1",), ("seed=2",)]


def test_what_is_wrong_with_a_cell_stands_in_it_and_the_others_are_composed(loader, sweep):
    jobs = [["algorithm=gfop"], ["args.nonsense=1"], ["seed=1"], ["++args.num_remains_in_group=99"]]
    cells = Composer(loader, sweep).cells(jobs)
    assert [bool(cell.refusals) for cell in cells] == [True, True, False, True]
    assert "gfop" in str(cells[0].refusals[0]) and "gfpo" in str(cells[0].refusals[0])
    assert "99" in str(cells[3].refusals[0])
