"""Was it measured alike? What forbids a comparison, and what a reader should know of how runs were made."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from expctl.compare.groups import Grouped, canonical
from expctl.compare.metrics import TRAIN
from expctl.compare.runs import Record
from expctl.runs.alerts import sentence

# Packages another version of which may give other numbers.
PACKAGES = ("expctl", "trl", "transformers", "torch", "accelerate", "datasets", "peft", "tokenizers", "vllm")
# How held-out completions are sampled: a setting one may compare, of which a reader should know.
SAMPLING = re.compile(
    r"args\.(temperature|top_p|top_k|min_p|repetition_penalty|generation_kwargs|cache_implementation"
    r"|num_generations_eval|max_completion_length|max_prompt_length|chat_template_kwargs).*"
)
# What a loss, and what is made of it, is the value of.
LOSS = re.compile(
    r"algorithm\.trainer\..*|args\.(_target_|loss_type|loss_weights|beta|epsilon\w*|delta|label_smoothing\w*|\w*_level"
    r"|scale_rewards|f_divergence_\w+|reference_free|\w*_only_loss|packing\w*|max_length|ld_alpha|\w*_coef).*"
)
# Settings of a dataset that say nothing of its held-out rows.
OF_TRAINING = re.compile(r"dataset\.(train_\w+|reward\..*)")
_REWARD = re.compile(r"(eval_)?(reward|reward_std|frac_reward_zero_std)")
_FUNCTION = re.compile(r"(eval_)?rewards/(?!chosen|rejected|margins|accuracies)([^/]+)/\w+")
_OF_LOSS = re.compile(r"(eval_)?(\w*loss|rewards/(chosen|rejected|margins)|logps/\w+|kl)")

Facts = Callable[[Record], Any]


def other_data(groups: Sequence[Grouped]) -> str | None:
    """Why the groups' evaluations cannot be compared at all, or None: they were made on other rows."""
    for facts in (_evaluated_on, _evaluation_asked_for):
        if all(facts(record) is not None for one in groups for record in one.records):
            odd = _odd(groups, facts)
            return f"they were evaluated on other data: {_of_each(groups, odd, facts, _rows)}" if odd else None
    return None


def measured_otherwise(name: str, groups: Sequence[Grouped]) -> str | None:
    """Why one metric cannot be compared over the groups, or None."""
    name = name.removeprefix(TRAIN)
    if found := _FUNCTION.fullmatch(name):
        if _odd(groups, lambda record: _reward(record, f"reward.functions.{found[2]}.")):
            return f"{name}: the reward function '{found[2]}' is not the same in all groups"
    elif _REWARD.fullmatch(name):
        if odd := _odd(groups, lambda record: _reward(record, "reward.")):
            return f"{name}: rewards differ, {_of_each(groups, odd, _functions, str)}"
    elif _OF_LOSS.fullmatch(name):
        keys = {key for one in groups for record in one.records for key in record.config if LOSS.fullmatch(key)}
        other = sorted(key for key in keys if _odd(groups, _config(key)))
        if other:
            return f"{name}: another loss in each group, by {', '.join(other[:4])}"
    return None


def other_start(groups: Sequence[Grouped]) -> list[str]:
    """The settings by which groups did not start from the same model, or were sampled otherwise before training."""
    keys = sorted({key for one in groups for record in one.records for key in record.config})
    return [key for key in keys if (key.startswith("model.") or SAMPLING.fullmatch(key)) and _odd(groups, _config(key))]


def circumstances(groups: Sequence[Grouped]) -> list[str]:
    """What differs around the runs: versions, machines, data, how far they came; a sentence each."""
    told = [_spread(groups, package, _version(package)) for package in PACKAGES]
    told.append(_spread(groups, "processor", lambda record: record.devices.cpu if record.devices else None))
    told.append(_spread(groups, "GPUs", lambda record: record.devices.gpus if record.devices else None))
    keys = sorted({key for one in groups for record in one.records for key in record.config})
    shown = {key for one in groups for key in one.group.settings}
    if "hardware" not in shown:
        told += [_spread(groups, key, _config(key)) for key in keys if key.startswith("hardware.") and key not in shown]
    if "dataset" not in shown and _odd(groups, _trained_on):
        told.append(_spread(groups, "training data", _trained_on))
    sampled = [key for key in keys if SAMPLING.fullmatch(key) and _odd(groups, _config(key))]
    if sampled:
        told.append(f"held-out completions were sampled otherwise, which is part of a difference: {', '.join(sampled)}")
    if not any(key in ("args.max_steps", "args.num_train_epochs") for key in shown):
        told.append(_spread(groups, "steps", lambda record: record.steps))
    if unseen := [record.run_id for one in groups for record in one.records if _evaluated_on(record) is None]:
        told.append(f"what data it was evaluated on is not recorded in {len(unseen)} of the runs; the configs agree")
    own = {f"{record.run_id}: {said}" for one in groups for record in one.records for said in record.warnings}
    return [*_learned_nothing(groups), *filter(None, told), *sorted(own)]


def _learned_nothing(groups: Sequence[Grouped]) -> list[str]:
    """Of each group what its trainings were warned of while they ran, with what one of them said."""
    said = []
    for one in groups:
        alerts: dict[str, list[str]] = {}
        for record in one.records:
            for alert in record.alerts:
                alerts.setdefault(alert.kind, []).append(f"{record.run_id}, {sentence(alert)}")
        for kind, those in alerts.items():
            number = f"{len(those)} of {len(one.records)} runs"
            said.append(f"{one.label}: {number} gave an alert ({kind.replace('_', ' ')}), e.g. {those[0]}")
    return said


def _odd(groups: Sequence[Grouped], facts: Facts) -> Grouped | None:
    """The first group that differs from the first of all: in a seed that both have, else in the values they have."""
    first = {record.seed: canonical(facts(record)) for record in groups[0].records}
    for one in groups[1:]:
        those = {record.seed: canonical(facts(record)) for record in one.records}
        common = first.keys() & those.keys()
        if any(first[seed] != those[seed] for seed in common):
            return one
        if not common and set(first.values()) != set(those.values()):
            return one
    return None


def _of_each(groups: Sequence[Grouped], odd: Grouped, facts: Facts, say: Callable[[Any], str]) -> str:
    return "; ".join(f"{one.label}: {say(facts(one.records[0]))}" for one in (groups[0], odd))


def _evaluated_on(record: Record) -> Any:
    return (record.data or {}).get("eval")


def _evaluation_asked_for(record: Record) -> dict[str, Any]:
    """What the config says of the held-out rows, where they themselves were not recorded."""
    asked = {key: value for key, value in record.config.items() if key.startswith("dataset.")}
    return {key: value for key, value in asked.items() if not OF_TRAINING.fullmatch(key)} | record.inputs


def _trained_on(record: Record) -> str | None:
    train = (record.data or {}).get("train")
    return _rows(train) if train else None


def _rows(data: dict[str, Any]) -> str:
    if "rows" in data:
        return f"{data['rows']} rows ({data.get('fingerprint')})"
    return ", ".join(f"{key.removeprefix('dataset.')}={value}" for key, value in data.items()) or "none"


def _reward(record: Record, prefix: str) -> dict[str, Any]:
    """The settings below a key, and the content of the user's own files that hold the functions."""
    settings = {key: value for key, value in record.config.items() if key.startswith(prefix)}
    modules = [str(value).rpartition(".")[0] for key, value in settings.items() if key.endswith("._target_")]
    names = {f"{module.replace('.', '/')}{ending}" for module in modules for ending in (".py", "/__init__.py")}
    return settings | {name: digest for name, digest in record.code.items() if name in names}


def _functions(record: Record) -> str:
    """The reward functions with their weights, for people."""
    names = dict.fromkeys(
        key.split(".")[2] for key in record.config if key.startswith("reward.functions.") and key.count(".") > 2
    )
    weights = record.config.get("reward.weights")
    return " + ".join(names) + (f" weighted {weights}" if weights else "") if names else "none"


def _config(key: str) -> Facts:
    return lambda record: record.config.get(key)


def _version(package: str) -> Facts:
    return lambda record: record.versions.get(package)


def _spread(groups: Sequence[Grouped], what: str, facts: Facts) -> str | None:
    """`trl differs: 1.16.0 (algorithm=gfpo), 1.17.0 (algorithm=grpo)`, or None; the unrecorded never does."""
    by_group = [list(dict.fromkeys(_said(facts(record)) for record in one.records)) for one in groups]
    values = dict.fromkeys(value for those in by_group for value in those if value is not None)
    if len(values) < 2:
        return None
    if all(len(those) == 1 for those in by_group):
        labels = {value: [one.label for one, those in zip(groups, by_group, strict=True) if value in those] for value in
                  values}  # fmt: skip
        named = [f"{value} ({those[0]}{f' and {len(those) - 1} more' if those[1:] else ''})" for value, those in
                 labels.items()]  # fmt: skip
        return f"{what} differ between the groups: {', '.join(named)}"
    runs = [_said(facts(record)) for one in groups for record in one.records]
    named = [f"{value} ({runs.count(value)} of {len(runs)} runs)" for value in values]
    return f"{what} differ: {', '.join(named[:6])}"


def _said(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return None if value is None else str(value)
