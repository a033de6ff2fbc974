"""Jobs that share one composition are what Hydra composes for each by itself."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from expctl.config.derived import with_derived
from expctl.config.frozen import from_hydra, register_resolvers
from expctl.config.locate import own_conf
from expctl.sweep.composer import Composer

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
    return with_derived(from_hydra(config))


@pytest.mark.parametrize("job", JOBS, ids=" ".join)
def test_a_job_is_what_hydra_composes(job, loader, sweep):
    composer = Composer(loader, sweep)
    for _ in range(2):  # the second time from what the first left behind
        ours, theirs = composer.compose(job), by_hydra(loader, sweep, job)
        assert ours.config == theirs.config
        assert ours.choices == theirs.choices
        assert ours.overrides == theirs.overrides and ours.sources == theirs.sources


def test_jobs_do_not_touch_each_other(loader, sweep):
    jobs = Composer(loader, sweep).jobs([["++args.learning_rate=1", "seed=1"], ["seed=2"], ["seed=1"]])
    rates = [job.experiment.config["args"]["learning_rate"] for job in jobs]
    assert rates[0] == 1 and rates[1] == rates[2] != 1
    assert [job.experiment.config["seed"] for job in jobs] == [1, 2, 1]


def test_a_job_is_called_by_what_not_every_cell_has(loader, sweep):
    jobs = Composer(loader, sweep).jobs([["algorithm=grpo", "seed=1"], ["algorithm=grpo", "seed=2"]])
    assert [job.words for job in jobs] == [("seed=1",), ("seed=2",)]


def test_what_is_wrong_with_a_job_stands_in_it_and_the_others_are_composed(loader, sweep):
    overrides = [["algorithm=gfop"], ["args.nonsense=1"], ["seed=1"], ["++args.num_remains_in_group=99"]]
    jobs = Composer(loader, sweep).jobs(overrides)
    assert [job.status for job in jobs] == ["refused", "refused", "waiting", "refused"]
    assert "gfop" in str(jobs[0].state.refusals[0]) and "gfpo" in str(jobs[0].state.refusals[0])
    assert "99" in str(jobs[3].state.refusals[0])
