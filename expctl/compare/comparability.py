"""Whether groups were measured alike: what forbids a comparison, and what to know of how their runs were made."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.compare.groups import Facts, Grouped
from expctl.compare.labels import canonical, listed
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
# Made of completions that were sampled for held-out prompts.
SAMPLED = re.compile(r"reward|rewards/(?!chosen|rejected|margins|accuracies)[^/]+/\w+|completions/\w+")
_OF_LOSS = re.compile(r"(eval_)?(\w*loss|rewards/(chosen|rejected|margins)|logps/\w+|kl)")


def other_data(groups: Sequence[Grouped]) -> str | None:
    """Why the groups' evaluations cannot be compared at all, or None: they were made on other rows."""
    for facts in (_evaluated_on, _evaluation_asked_for):
        if all(facts(record) is not None for group in groups for record in group.records):
            other = _first_that_differs(groups, facts)
            return f"they were evaluated on other data: {_of_each(groups, other, facts, _rows)}" if other else None
    return None


def measured_differently(name: str, groups: Sequence[Grouped]) -> str | None:
    """Why one metric cannot be compared over the groups, or None."""
    plain = name.removeprefix("eval_")
    if name == f"eval_{plain}" and not SAMPLED.fullmatch(plain) and _first_that_differs(groups, _evaluated_rows):
        return f"{name}: only the prompts that were sampled for are the same in all groups"
    name = name.removeprefix(TRAIN)
    if match := _FUNCTION.fullmatch(name):
        function = match[2]
        if _first_that_differs(groups, lambda record: _reward(record, f"reward.functions.{function}.")):
            return f"{name}: the reward function '{function}' is not the same in all groups"
        if _first_that_differs(groups, _config(f"reward.gates.{function}")):
            return f"{name}: the reward function '{function}' counts under another condition in each group"
    elif _REWARD.fullmatch(name):
        if other := _first_that_differs(groups, lambda record: _reward(record, "reward.")):
            return f"{name}: rewards differ, {_of_each(groups, other, _functions, str)}"
    elif _OF_LOSS.fullmatch(name):
        keys = [key for key in _keys(groups) if LOSS.fullmatch(key) and _first_that_differs(groups, _config(key))]
        if keys:
            return f"{name}: another loss in each group, by {', '.join(keys[:4])}"
    return None


def other_start(groups: Sequence[Grouped]) -> list[str]:
    """The settings by which groups did not start from the same model, or were sampled otherwise before training."""
    of_start = [key for key in _keys(groups) if key.startswith("model.") or SAMPLING.fullmatch(key)]
    return [key for key in of_start if _first_that_differs(groups, _config(key))]


def circumstances(groups: Sequence[Grouped]) -> list[str]:
    """What differs around the runs: versions, machines, data, how far they came; a sentence each."""
    keys = _keys(groups)
    shown = {key for group in groups for key in group.settings}
    sentences = [_spread(groups, package, _version(package)) for package in PACKAGES]
    sentences.append(_spread(groups, "processor", lambda record: record.devices.cpu if record.devices else None))
    sentences.append(_spread(groups, "GPUs", lambda record: record.devices.gpus if record.devices else None))
    if "hardware" not in shown:
        hardware = [key for key in keys if key.startswith("hardware.") and key not in shown]
        sentences += [_spread(groups, key, _config(key)) for key in hardware]
    if "dataset" not in shown and _first_that_differs(groups, _trained_on):
        sentences.append(_spread(groups, "training data", _trained_on))
    sampled = [key for key in keys if SAMPLING.fullmatch(key) and _first_that_differs(groups, _config(key))]
    if sampled:
        how = "held-out completions were sampled otherwise, which is part of a difference"
        sentences.append(f"{how}: {', '.join(sampled)}")
    if not shown & {"args.max_steps", "args.num_train_epochs"}:
        sentences.append(_spread(groups, "steps", lambda record: record.steps))
    unseen = sum(_evaluated_on(record) is None for group in groups for record in group.records)
    if unseen:
        sentences.append(f"what data it was evaluated on is not recorded in {unseen} of the runs; the configs agree")
    own = {f"{record.run_id}: {warning}" for group in groups for record in group.records for warning in record.warnings}
    return [*_alerts(groups), *filter(None, sentences), *sorted(own)]


def _keys(groups: Sequence[Grouped]) -> list[str]:
    return sorted({key for group in groups for record in group.records for key in record.config})


def _alerts(groups: Sequence[Grouped]) -> list[str]:
    """Of each group what its trainings were warned of while they ran, with the words of one of them."""
    sentences = []
    for group in groups:
        by_kind: dict[str, list[str]] = {}
        for record in group.records:
            for alert in record.alerts:
                by_kind.setdefault(alert.kind, []).append(f"{record.run_id}, {sentence(alert)}")
        for kind, alerts in by_kind.items():
            number = f"{len(alerts)} of {len(group.records)} runs"
            sentences.append(f"{group.label}: {number} gave an alert ({kind.replace('_', ' ')}), e.g. {alerts[0]}")
    return sentences


def _first_that_differs(groups: Sequence[Grouped], facts: Facts) -> Grouped | None:
    """The first group that differs from the first of all: in a seed that both have, else in the values they have."""
    baseline = {record.seed: canonical(facts(record)) for record in groups[0].records}
    for group in groups[1:]:
        values = {record.seed: canonical(facts(record)) for record in group.records}
        common = baseline.keys() & values.keys()
        if any(baseline[seed] != values[seed] for seed in common):
            return group
        if not common and set(baseline.values()) != set(values.values()):
            return group
    return None


def _of_each(groups: Sequence[Grouped], other: Grouped, facts: Facts, describe: Callable[[Any], str]) -> str:
    return "; ".join(f"{group.label}: {describe(facts(group.records[0]))}" for group in (groups[0], other))


def _evaluated_on(record: Record) -> Any:
    """The held-out prompts: with `callbacks=completions` those that it samples for, whatever else was held out."""
    data = record.data or {}
    return data.get("prompts") or data.get("eval")


def _evaluated_rows(record: Record) -> Any:
    return (record.data or {}).get("eval")


def _evaluation_asked_for(record: Record) -> dict[str, Any]:
    """What the config says of the held-out rows, where they themselves were not recorded."""
    asked = {key: value for key, value in record.config.items() if key.startswith("dataset.")}
    if (record.data or {}).get("prompts"):
        asked["dataset.kind"] = PROMPT_ONLY
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
    if not names:
        return "none"
    weights = record.config.get("reward.weights")
    weighted = f" weighted {weights}" if weights else ""
    return " + ".join(names) + weighted


def _config(key: str) -> Facts:
    return lambda record: record.config.get(key)


def _version(package: str) -> Facts:
    return lambda record: record.versions.get(package)


def _spread(groups: Sequence[Grouped], what: str, facts: Facts) -> str | None:
    """`trl differ between the groups: 1.16.0 (gfpo), 1.17.0 (grpo)`, or None; what is not recorded never differs."""
    by_group = [list(dict.fromkeys(_text(facts(record)) for record in group.records)) for group in groups]
    values = dict.fromkeys(value for of_group in by_group for value in of_group if value is not None)
    if len(values) < 2:
        return None
    if all(len(of_group) == 1 for of_group in by_group):
        labels: dict[str, list[str]] = {value: [] for value in values}
        for group, [value] in zip(groups, by_group, strict=True):
            if value is not None:
                labels[value].append(group.label)
        descriptions = [f"{value} ({listed(names, 1)})" for value, names in labels.items()]
        return f"{what} differ between the groups: {', '.join(descriptions)}"
    runs = [_text(facts(record)) for group in groups for record in group.records]
    descriptions = [f"{value} ({runs.count(value)} of {len(runs)} runs)" for value in values]
    return f"{what} differ: {', '.join(descriptions[:6])}"


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return None if value is None else str(value)
