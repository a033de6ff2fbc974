"""Everything that can be known to be wrong before weights are loaded. Half a second, nothing created."""

import traceback
from pathlib import Path

from expctl.base.experiment import Experiment
from expctl.base.masking import secrets
from expctl.base.plain_data import every_leaf
from expctl.base.refusal import Refusal, set_by
from expctl.config.checks.assets import check_inputs
from expctl.config.checks.batch_sizes import check_batches
from expctl.config.checks.bema import check_bema
from expctl.config.checks.bounds import check_bounds
from expctl.config.checks.callables import check_functions
from expctl.config.checks.combinations import check_combinations, check_ratio
from expctl.config.checks.fields import check_fields
from expctl.config.checks.hardware import check_hardware
from expctl.config.checks.schedule import check_schedule
from expctl.config.checks.schema import check_shape
from expctl.config.checks.steps import check_steps
from expctl.config.checks.targets import check_targets
from expctl.config.checks.tracker import check_tracker
from expctl.config.checks.typed import check_typed
from expctl.config.checks.unread import check_unread
from expctl.config.overlays import check_parts


def check(experiment: Experiment) -> list[Refusal]:
    """What is wrong with an experiment; empty when it can be started."""
    try:
        return _refusals(experiment)
    except Exception as error:
        return [_unchecked(error)]


def _refusals(experiment: Experiment) -> list[Refusal]:
    """Cheap and basic things first: a later check may rely on what an earlier one would have refused."""
    found = check_shape(experiment) or check_parts(experiment)
    if found:
        return found
    found = check_targets(experiment.config, experiment.code_folders, experiment.sources)
    trainer = experiment.config["algorithm"]["trainer"].get("_target_")
    found += check_functions(experiment)
    found += check_ratio(experiment) or check_fields(
        experiment.config["args"], experiment.sources, experiment.code_folders, trainer
    )
    found += check_secrets(experiment)
    found += check_tracker(experiment)
    found += check_hardware(experiment)
    found = found or check_bounds(experiment)
    if found:
        return found
    found = check_batches(experiment) + check_combinations(experiment) + check_bema(experiment)
    found += check_schedule(experiment) + check_typed(experiment) + check_unread(experiment)
    found += check_inputs(experiment)
    return found or check_steps(experiment)


def _unchecked(error: Exception) -> Refusal:
    """The refusal of what a check itself fell over: a fault of expctl, but nothing that should be started."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    described = " ".join(str(error).split())[:200]
    return Refusal(
        f"this experiment cannot be checked: {type(error).__name__}: {described}",
        where=f"{Path(frame.filename).name}, line {frame.lineno}, of a check of expctl",
        do="EXPCTL_DEBUG=1 shows the traceback; that is a fault of expctl, please report it with the command",
    )


def check_secrets(experiment: Experiment) -> list[Refusal]:
    """A key or token in the config would be written into the run's files."""
    found = []
    known = secrets()
    for key, value in every_leaf(experiment.config):
        if not isinstance(value, str) or not value:
            continue
        is_token = key.rpartition(".")[2] in ("hub_token", "token", "api_key", "password")
        held = next((name for secret, name in known.items() if secret in value), None)
        if is_token or held:
            name = held or ("HF_TOKEN" if "token" in key else "an environment variable")
            found.append(
                Refusal(
                    f"'{key}' holds a secret, which would be written into the run's files",
                    where=set_by(key, {}),
                    do=f"leave it out; the libraries read {name} from the environment",
                )
            )
    return found
