"""What set each value of an experiment, in words that a run keeps: nobody need compose it again to know."""

from expctl.base.experiment import Experiment
from expctl.base.plain_data import leaves

COMPUTED = "computed"


def set_by(experiment: Experiment) -> dict[str, str]:
    """Dotted key -> the file and line, or the typed word, that set it last."""
    typed = _typed(experiment)
    found = {}
    for key, _ in leaves(experiment.config):
        # The rewards of a dataset are those of the experiment unless it has others.
        own_reward = key.replace("reward.functions.", "dataset.reward.", 1)
        places = [where[name] for name in (key, own_reward) for where in (typed, experiment.places) if name in where]
        found[key] = places[0] if places else COMPUTED
    return found


def _typed(experiment: Experiment) -> dict[str, str]:
    """Dotted key -> the word that set it: a word for a mapping sets what is in it, one for a group an option."""
    found: dict[str, str] = {}
    for word in experiment.overrides:
        key, given, value = word.lstrip("+").partition("=")
        where = f"{word.lstrip('+')} (command line)"
        if not given or key.startswith("~"):
            continue
        if value.startswith("{"):
            found |= dict.fromkeys(_leaves_of(key, word), where)
        elif key not in experiment.choices:
            found[key] = where
    return found


def _leaves_of(key: str, word: str) -> list[str]:
    """The dotted keys that a word with a mapping sets; the key itself where it was no word of Hydra's."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException:
        return [key]
    return [leaf for leaf, _ in leaves({key: value})]
