"""A hall for the workers of a pool, and the jobs that it runs."""

import os

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from expctl.config.frozen import register_resolvers
from expctl.config.locate import own_conf
from expctl.devices import detection
from expctl.sweep import pool
from expctl.sweep.composer import Composer
from tests.sweep.hall import Hall


@pytest.fixture
def hall(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # What a training in this process, or a library that it imported, has left there.
    for name in [name for name in os.environ if name.startswith(("MASTER_", "VLLM_", "RANK", "LOCAL_", "WORLD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(detection, "cores", lambda: 2)
    monkeypatch.setattr(pool, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(pool, "ASK_AGAIN_SECONDS", 0.0)
    return Hall()


@pytest.fixture
def jobs(hall):
    """Words of each job -> the jobs."""
    register_resolvers()
    with initialize_config_dir(str(own_conf()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        composer = Composer(loader, loader.load_configuration("expctl", [], RunMode.MULTIRUN))
        yield lambda *words: composer.jobs([overrides.split() for overrides in words])
