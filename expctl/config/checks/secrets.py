"""Keys and tokens in the config, which would be written into the run's files."""

from expctl.base.experiment import Experiment
from expctl.base.masking import secrets
from expctl.base.plain_data import every_leaf
from expctl.base.refusal import Refusal

TOKENS = ("hub_token", "token", "api_key", "password")


def check_secrets(experiment: Experiment) -> list[Refusal]:
    """Refuse a token that was typed, and a value that holds a secret of the environment."""
    variables = secrets()
    refusals = []
    for key, value in every_leaf(experiment.config):
        if not isinstance(value, str) or not value:
            continue
        name = next((variable for secret, variable in variables.items() if secret in value), None)
        if name is None and key.rpartition(".")[2] in TOKENS:
            name = "HF_TOKEN" if "token" in key else "an environment variable"
        if name:
            refusals.append(
                Refusal(
                    f"'{key}' holds a secret, which would be written into the run's files",
                    where=key,  # the word that set it would show the secret
                    do=f"leave it out; the libraries read {name} from the environment",
                )
            )
    return refusals
