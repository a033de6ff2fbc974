"""The launchers and sweepers that sweeps go through, and what takes the place of those that Hydra and others bring."""

from typing import Literal

from expctl.base.refusal import Refusal

Plugin = Literal["launcher", "sweeper"]

# Plugin -> how it is chosen on the command line -> its class.
OWN: dict[Plugin, dict[str, str]] = {
    "launcher": {
        "hydra/launcher=pool": "hydra_plugins.expctl.pool.PoolLauncher",
        "hydra/launcher=slurm": "hydra_plugins.expctl.elsewhere.SlurmLauncher",
        "hydra/launcher=ray": "hydra_plugins.expctl.elsewhere.RayLauncher",
    },
    "sweeper": {
        "hydra/sweeper=grid": "hydra_plugins.expctl.grid.GridSweeper",
        "sweep=optuna": "hydra_plugins.expctl.search.OptunaSweeper",
    },
}
# Another's option -> what to use in its place. Theirs would pass over the checks, the ledger and the devices of jobs.
INSTEAD: dict[Plugin, dict[str, str]] = {
    "launcher": {
        "basic": "hydra/launcher=pool hydra.launcher.n_jobs=1",
        "joblib": "hydra/launcher=pool",
        "submitit_local": "hydra/launcher=pool",
        "submitit_slurm": "hydra/launcher=slurm",
        "ray_aws": "hydra/launcher=ray",
        "rq": "hydra/launcher=ray",
    },
    "sweeper": {
        "basic": "hydra/sweeper=grid",
        "optuna": "sweep=optuna",
        "ax": "sweep=optuna",
        "nevergrad": "sweep=optuna",
    },
}


def plugin_refusal(plugin: Plugin, option: str, where: str) -> Refusal:
    """The refusal of a launcher or sweeper that is not expctl's: what to use in its place."""
    own = list(OWN[plugin])
    return Refusal(
        f"the cells of a sweep do not go through this {plugin}: it would pass over their checks, ledger and devices",
        where=where,
        do=INSTEAD[plugin].get(option) or f"{own[0]}; there are {', '.join(own)}",
    )
