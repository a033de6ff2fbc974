"""Which algorithms, parts and options exclude each other, by the rules of the algorithms themselves (`limits`)."""

from importlib.util import find_spec
from typing import Any

from expctl.algorithms import limits
from expctl.algorithms.filters import NAMED_FILTERS
from expctl.base.experiment import Experiment
from expctl.base.plain_data import sequence
from expctl.base.refusal import Refusal
from expctl.config.checks.callables import defined_by
from expctl.config.checks.settings import TrainerSettings, lineage
from expctl.config.source.defaults import FieldValues
from expctl.config.source.lookup import Definition

ROOM = "expctl.algorithms."
FILTERING, REPLAY = ROOM + "gfpo.GroupFiltering", ROOM + "replay.GroupReplay"
RESAMPLING = ROOM + "resampling.DynamicSampling"
RATIO, CREDIT = ROOM + "gspo_token.SequenceTokenRatio", ROOM + "token_advantages.TokenAdvantages"
SCORED_ROLLOUT = ROOM + "trainer_hooks.ScoredRollout"
GRPO = "trl.trainer.grpo_trainer.GRPOTrainer"
ADAPTIVE = ROOM + "difficulty.AdaptiveDifficulty"
# A part of a trainer, the field that configures it, and the config class that has the field.
CONFIGURED = (
    (FILTERING, "num_remains_in_group", ROOM + "gfpo.GFPOConfig"),
    (REPLAY, "replay_buffer_size", ROOM + "grpo_with_replay_buffer.GRPOWithReplayBufferConfig"),
    (RESAMPLING, "resample_tries", ROOM + "dynamic_sampling.DynamicSamplingConfig"),
)
COMPOSED_CONFIG = ROOM + "composed.ComposedConfig"
PACKAGES = {"use_liger_kernel": "liger_kernel"}


def check_ratio(experiment: Experiment) -> list[Refusal]:
    """Refuse a level of the importance ratio that the trainer does not have, or that does not go with the loss."""
    settings = TrainerSettings(experiment)
    if "importance_sampling_level" not in settings.args:
        return []
    if RATIO in settings.parts:
        return settings.refusals_of(lambda: limits.check_ratio_level(settings.args))
    if GRPO not in settings.parts or not settings.is_ours:
        return []
    if settings.args["importance_sampling_level"] != "sequence_token":
        return settings.refusals_of(lambda: limits.check_ratio_level(settings.args, known=limits.TRL_LEVELS))
    return [
        Refusal(
            f"importance_sampling_level='sequence_token' is GSPO-token's, and {settings.trainer['_target_']} has no "
            "such ratio",
            where=settings.where("args.importance_sampling_level"),
            do="algorithm/ratio=sequence_token instead, or algorithm=gspo_token",
        )
    ]


def check_combinations(experiment: Experiment) -> list[Refusal]:
    """Refuse what the trainer's constructor would refuse, and settings that nothing would read."""
    settings = TrainerSettings(experiment)
    refusals = _check_config_class(settings) + _check_bases(settings)
    if refusals:
        return refusals
    checks = (
        _check_filter,
        _check_token_advantages,
        _check_replay,
        _check_resampling,
        _check_reference,
        _check_packages,
    )
    return [refusal for check in checks for refusal in check(settings)]


def _check_config_class(settings: TrainerSettings) -> list[Refusal]:
    """The fields of the trainer's parts in `args`, and no others."""
    refusals, target = [], settings.trainer.get("_target_")
    present = [part for part, _, _ in CONFIGURED if part in settings.parts]
    lacking = [config for part, field, config in CONFIGURED if part in present and field not in settings.args]
    if lacking:
        what = f"{target} needs the fields of {' and '.join(lacking)}, and args is a {settings.args['_target_']}"
        config = COMPOSED_CONFIG if len(present) > 1 else lacking[0]
        refusals.append(Refusal(what, where=settings.where("args._target_"), do=f"args._target_={config}"))
    for part, field, _ in CONFIGURED:
        if part not in present and settings.is_ours and field in settings.args and settings.args[field]:
            what = f"{field}={settings.args[field]} does nothing: {target} has no such part"
            where = settings.where(f"args.{field}", "algorithm.trainer._target_")
            do = f"args._target_=trl.GRPOConfig without it, or a trainer with {part}"
            refusals.append(Refusal(what, where=where, do=do))
    return refusals


def _check_bases(settings: TrainerSettings) -> list[Refusal]:
    if not {REPLAY, CREDIT} & settings.parts or SCORED_ROLLOUT in settings.parts:
        return []
    target = settings.trainer.get("_target_")
    return [
        Refusal(
            f"{target} has a part that reads the rewards of a rollout, and no {SCORED_ROLLOUT}",
            where=settings.where("algorithm.trainer._target_"),
            do="put it first of these in the bases",
        )
    ]


def _check_filter(settings: TrainerSettings) -> list[Refusal]:
    if FILTERING not in settings.parts:
        return []
    node = settings.trainer.get("group_filter_func")
    refusals = settings.refusals_of(lambda: limits.check_kept(settings.args))
    if not refusals:
        stand_in = _stand_in(settings, node)
        refusals = settings.refusals_of(lambda: limits.check_group_filter(settings.args, stand_in, NAMED_FILTERS))
    return refusals + _check_nested(settings, node, "algorithm.trainer.group_filter_func")


def _stand_in(settings: TrainerSettings, node: Any) -> Any:
    """An object that answers the rules as the filter would: whether it decides k, and which."""
    if node is None:
        return None
    definition = defined_by(node, settings.experiment)
    members: dict[str, Any] = {}
    if _decides_k(definition):
        members["remains"] = None
    if ADAPTIVE in lineage(definition):
        node = node if isinstance(node, dict) else {"_target_": ADAPTIVE}
        quartiles = FieldValues(node, settings.experiment.code_folders)
        members["check"] = staticmethod(lambda sampled: limits.check_quartiles(quartiles, sampled))
    return type(definition.name if definition else str(node), (), members)()


def _check_nested(settings: TrainerSettings, node: Any, key: str) -> list[Refusal]:
    """Filters inside of a filter score; only the outermost may decide k."""
    if not isinstance(node, dict):
        return []
    refusals = []
    inner = sequence(node.get("filters") or [node.get("filter")])
    for part in inner:
        definition = defined_by(part, settings.experiment)
        if definition and _decides_k(definition):
            what = f"{definition.name} decides how many are kept, so it must be outermost"
            outer = str(node.get("_target_")).rpartition(".")[2]
            do = f"put {outer} inside of {definition.name}"
            refusals.append(Refusal(what, where=settings.where(key), do=do))
        refusals += _check_nested(settings, part, key)
    weights = node.get("weights")
    if isinstance(weights, list) and isinstance(node.get("filters"), list) and len(weights) != len(inner):
        what = f"{len(inner)} filters but {len(weights)} weights"
        do = "one weight a filter, or leave weights out"
        refusals.append(Refusal(what, where=settings.where(f"{key}.weights"), do=do))
    return refusals


def _check_token_advantages(settings: TrainerSettings) -> list[Refusal]:
    if CREDIT not in settings.parts:
        return []
    source = settings.trainer.get("token_advantages")
    return settings.refusals_of(lambda: limits.check_token_advantages(settings.args, source))


def _check_replay(settings: TrainerSettings) -> list[Refusal]:
    if REPLAY not in settings.parts:
        return []
    return settings.refusals_of(lambda: limits.check_replay(settings.args))


def _check_resampling(settings: TrainerSettings) -> list[Refusal]:
    if RESAMPLING not in settings.parts:
        return []
    if settings.args["resample_tries"] and settings.experiment.config["dataset"].get("streaming"):
        what = "dynamic sampling draws prompts by their index, which a stream has not"
        where = settings.where("args.resample_tries", "dataset.streaming")
        return [Refusal(what, where=where, do="dataset.streaming=false, or args.resample_tries=0")]
    return settings.refusals_of(lambda: limits.check_resampling(settings.args))


def _check_reference(settings: TrainerSettings) -> list[Refusal]:
    """TRL's own moving reference needs one of its own to move."""
    if not settings.args["sync_ref_model"]:
        return []
    if GRPO in settings.parts and not settings.args["beta"]:
        reason = "args.beta=0 has no reference model"
    elif settings.experiment.config["peft"]:
        reason = "an adapter's reference is the model without it"
    elif settings.args["precompute_ref_log_probs"]:
        reason = "args.precompute_ref_log_probs=true freezes what it says"
    else:
        return []
    what = f"args.sync_ref_model=true moves the reference model, and {reason}"
    return [Refusal(what, where=settings.where("args.sync_ref_model"), do="args.sync_ref_model=false")]


def _check_packages(settings: TrainerSettings) -> list[Refusal]:
    missing = {
        field: package for field, package in PACKAGES.items() if settings.args[field] and find_spec(package) is None
    }
    return [
        Refusal(
            f"args.{field}=true needs the package {package}, which is not installed",
            where=settings.where(f"args.{field}"),
            do=f"pip install {package.replace('_', '-')}, or args.{field}=false",
        )
        for field, package in missing.items()
    ]


def _decides_k(definition: Definition | None) -> bool:
    """Whether a filter says itself how many completions of a group are kept."""
    return definition is not None and any("remains" in owner.members.bound for owner in definition.lineage)
