"""What set each value of an experiment, recorded with the run so that it need not be composed again."""

from expctl.base.experiment import Experiment
from expctl.base.plain_data import leaves

COMPUTED = "computed"


def origins_to_record(experiment: Experiment) -> dict[str, str]:
    """Dotted key -> the file and line, or the typed word, that set it last."""
    typed = _typed(experiment)
    origins = {}
    for key, _ in leaves(experiment.config):
        # The rewards of a dataset are those of the experiment unless it has others.
        dataset_key = key.replace("reward.functions.", "dataset.reward.", 1)
        candidates = [source.get(name) for name in (key, dataset_key) for source in (typed, experiment.locations)]
        origins[key] = next(filter(None, candidates), COMPUTED)
    return origins


def _typed(experiment: Experiment) -> dict[str, str]:
    """Dotted key -> the word that set it. A word for a mapping sets the keys in it; one for a group sets none."""
    typed: dict[str, str] = {}
    for word in experiment.overrides:
        key, given, value = word.lstrip("+").partition("=")
        where = f"{word.lstrip('+')} (command line)"
        if not given or key.startswith("~"):
            continue
        if value.startswith("{"):
            typed |= dict.fromkeys(_leaves_of(key, word), where)
        elif key not in experiment.choices:
            typed[key] = where
    return typed


def _leaves_of(key: str, word: str) -> list[str]:
    """The dotted keys that a word with a mapping sets; the key itself where it was no word of Hydra's."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException:
        return [key]
    return [leaf for leaf, _ in leaves({key: value})]
