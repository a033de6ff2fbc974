"""Which algorithms, parts and options exclude each other, by the rules of the algorithms themselves (`limits`)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from expctl.algorithms import limits
from expctl.algorithms.filters import NAMED_FILTERS
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal, set_by
from expctl.config.checks.callables import defined_by
from expctl.config.source.defaults import FieldValues
from expctl.config.source.lookup import Definition

ROOM = "expctl.algorithms."
FILTERING, REPLAY = ROOM + "gfpo.GroupFiltering", ROOM + "replay.GroupReplay"
RATIO, CREDIT = ROOM + "gspo_token.SequenceTokenRatio", ROOM + "token_advantages.TokenAdvantages"
SCORED_ROLLOUT = ROOM + "trainer_hooks.ScoredRollout"
GRPO = "trl.trainer.grpo_trainer.GRPOTrainer"
ADAPTIVE = ROOM + "difficulty.AdaptiveDifficulty"
# A part of a trainer, the field that configures it, and the config class that has the field.
CONFIGURED = (
    (FILTERING, "num_remains_in_group", ROOM + "gfpo.GFPOConfig"),
    (REPLAY, "replay_buffer_size", ROOM + "grpo_with_replay_buffer.GRPOWithReplayBufferConfig"),
)
COMPOSED_CONFIG = ROOM + "composed.ComposedConfig"
PACKAGES = {"use_vllm": "vllm", "use_liger_kernel": "liger_kernel"}
# Where a setting stands that is no field of `args`.
TRAINER_KEYWORDS = ("group_filter_func", "token_advantages")
QUARTILES = ("very_hard", "hard", "medium", "easy")


@dataclass(frozen=True)
class Combination:
    """An experiment as the rules ask for it: what its trainer is made of, and its arguments with their defaults."""

    experiment: Experiment

    @property
    def trainer(self) -> dict[str, Any]:
        return self.experiment.config["algorithm"]["trainer"]

    @cached_property
    def args(self) -> FieldValues:
        return FieldValues(self.experiment.config["args"], self.experiment.code_folders)

    @cached_property
    def parts(self) -> set[str]:
        """Dotted paths of the trainer's class and of all it derives from."""
        return lineage(defined_by(self.trainer, self.experiment))

    @property
    def is_ours(self) -> bool:
        """Whether all of the trainer is known; a user's own may read any field."""
        return str(self.trainer.get("_target_")).startswith(("expctl.", "trl."))

    def where(self, *keys: str) -> str:
        return ", ".join(set_by(key, self.experiment.sources) for key in keys)

    def held_to(self, rule: Callable[[], Any], place: Callable[[str], str] | None = None) -> list[Refusal]:
        """What a rule of the algorithms says; `place` gives the dotted key of a setting."""
        try:
            rule()
        except limits.Excluded as error:
            keys = map(place or self._place, error.settings)
            do = error.do[:1].lower() + error.do[1:]
            return [Refusal(error.what, where=self.where(*keys), nearest=error.nearest, do=do)]
        return []

    def _place(self, setting: str) -> str:
        if setting in QUARTILES:
            return f"algorithm.trainer.group_filter_func.{setting}"
        return f"algorithm.trainer.{setting}" if setting in TRAINER_KEYWORDS else f"args.{setting}"


def check_ratio(experiment: Experiment) -> list[Refusal]:
    """The level of the importance ratio, which TRL's own documentation knows two of, and the loss."""
    case = Combination(experiment)
    if "importance_sampling_level" not in case.args:
        return []
    if RATIO in case.parts:
        return case.held_to(lambda: limits.check_ratio_level(case.args))
    if GRPO not in case.parts or not case.is_ours:
        return []
    if case.args["importance_sampling_level"] != "sequence_token":
        return case.held_to(lambda: limits.check_ratio_level(case.args, known=limits.LEVELS[:2]))
    return [
        Refusal(
            f"importance_sampling_level='sequence_token' is GSPO-token's, and {case.trainer['_target_']} has no such "
            "ratio",
            where=case.where("args.importance_sampling_level"),
            do="algorithm/ratio=sequence_token instead, or algorithm=gspo_token",
        )
    ]


def check_combinations(experiment: Experiment) -> list[Refusal]:
    """Refuse what the trainer's constructor would refuse, and settings that nothing would read."""
    case = Combination(experiment)
    found = _check_config_class(case)
    return found or [
        refusal
        for check in (_check_filter, _check_settings, _check_reference, _check_packages)
        for refusal in check(case)
    ]


def _check_config_class(case: Combination) -> list[Refusal]:
    found, target = [], case.trainer.get("_target_")
    lacking = [config for part, field, config in CONFIGURED if part in case.parts and field not in case.args]
    if lacking:
        what = f"{target} needs the fields of {' and '.join(lacking)}, and args is a {case.args['_target_']}"
        both = all(part in case.parts for part, _, _ in CONFIGURED)
        do = f"args._target_={COMPOSED_CONFIG if both else lacking[0]}"
        found.append(Refusal(what, where=case.where("args._target_"), do=do))
    for part, field, _ in CONFIGURED:
        if part not in case.parts and case.is_ours and field in case.args and case.args[field]:
            what = f"{field}={case.args[field]} does nothing: {target} has no such part"
            do = f"args._target_=trl.GRPOConfig without it, or a trainer with {part}"
            found.append(Refusal(what, where=case.where(f"args.{field}", "algorithm.trainer._target_"), do=do))
    if {REPLAY, CREDIT} & case.parts and SCORED_ROLLOUT not in case.parts:
        what = f"{target} has a part that reads the rewards of a rollout, and no {SCORED_ROLLOUT}"
        found.append(
            Refusal(what, where=case.where("algorithm.trainer._target_"), do="put it first of these in the bases")
        )
    return found


def _check_filter(case: Combination) -> list[Refusal]:
    if FILTERING not in case.parts:
        return []
    found = case.held_to(lambda: limits.check_kept(case.args))
    node = case.trainer.get("group_filter_func")
    found = found or case.held_to(lambda: limits.check_group_filter(case.args, _stand_in(case, node), NAMED_FILTERS))
    return found + _check_nested(case, node, "algorithm.trainer.group_filter_func")


def _stand_in(case: Combination, node: Any) -> Any:
    """An object that answers the rules as the filter would: whether it decides k, and which."""
    if node is None:
        return None
    definition = defined_by(node, case.experiment)
    stand_in = type(definition.name if definition else str(node), (), {})
    if _decides_k(definition):
        stand_in.remains = None
    if ADAPTIVE in lineage(definition):
        node = node if isinstance(node, dict) else {"_target_": ADAPTIVE}
        ks = FieldValues(node, case.experiment.code_folders)
        stand_in.check = staticmethod(lambda sampled: limits.check_quartiles(ks, sampled))
    return stand_in()


def _check_nested(case: Combination, node: Any, key: str) -> list[Refusal]:
    """Filters inside of a filter score; only the outermost may decide k."""
    if not isinstance(node, dict):
        return []
    found = []
    inner = node.get("filters") or [node.get("filter")]
    for part in inner if isinstance(inner, list) else []:
        definition = defined_by(part, case.experiment)
        if _decides_k(definition):
            what = f"{definition.name} decides how many are kept, so it must be outermost"
            outer = str(node.get("_target_")).rpartition(".")[2]
            found.append(Refusal(what, where=case.where(key), do=f"put {outer} inside of {definition.name}"))
        found += _check_nested(case, part, key)
    weights = node.get("weights")
    if isinstance(weights, list) and isinstance(node.get("filters"), list) and len(weights) != len(inner):
        what = f"{len(inner)} filters but {len(weights)} weights"
        found.append(Refusal(what, where=case.where(f"{key}.weights"), do="one weight a filter, or leave weights out"))
    return found


def _check_settings(case: Combination) -> list[Refusal]:
    found = []
    if CREDIT in case.parts:
        found += case.held_to(lambda: limits.check_token_advantages(case.args, case.trainer.get("token_advantages")))
    if REPLAY in case.parts:
        found += case.held_to(lambda: limits.check_replay(case.args))
    return found


def _check_reference(case: Combination) -> list[Refusal]:
    """TRL's own moving reference needs one of its own to move."""
    if "sync_ref_model" not in case.args or not case.args["sync_ref_model"]:
        return []
    other = ""
    if GRPO in case.parts and not case.args["beta"]:
        other = "args.beta=0 has no reference model"
    elif case.experiment.config["peft"]:
        other = "an adapter's reference is the model without it"
    elif "precompute_ref_log_probs" in case.args and case.args["precompute_ref_log_probs"]:
        other = "args.precompute_ref_log_probs=true freezes what it says"
    if not other:
        return []
    what = f"args.sync_ref_model=true moves the reference model, and {other}"
    return [Refusal(what, where=case.where("args.sync_ref_model"), do="args.sync_ref_model=false")]


def _check_packages(case: Combination) -> list[Refusal]:
    return [
        Refusal(
            f"args.{field}=true needs the package {package}, which is not installed",
            where=case.where(f"args.{field}"),
            do=f"pip install {package.replace('_', '-')}, or args.{field}=false",
        )
        for field, package in PACKAGES.items()
        if field in case.args and case.args[field] and find_spec(package) is None
    ]


def lineage(definition: Definition | None) -> set[str]:
    """Dotted paths of a class and of those it derives from; of a function its own."""
    return {each.path for each in definition.lineage} if definition else set()


def _decides_k(definition: Definition | None) -> bool:
    return definition is not None and any("remains" in owner.members.bound for owner in definition.lineage)
