"""Parts of expctl that need packages which not everybody installs."""

from expctl.base.refusal import Refusal

# Config files that come with such a package, which ours build on.
PRESETS = {"hydra/launcher/submitit_slurm": "slurm"}


def missing(extra: str, where: str) -> Refusal:
    """The refusal of what needs a package that is not installed."""
    return Refusal(
        f"{where} needs a package that is not installed",
        where=f"{where} (command line)",
        do=f'pip install "expctl[{extra}]"',
    )
