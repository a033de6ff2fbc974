"""Rules between settings, which the trainers' constructors enforce before anything is loaded.

Nothing here imports torch, so that a configuration can be held against the same rules before a process is started.
Every rule raises `Excluded` and returns nothing.
"""

import difflib
from collections.abc import Callable, Iterable
from typing import Any

# Any object with the attributes of the trainer's arguments: the arguments themselves, or a config's values.
Arguments = Any

FILTERED = ("drop", "mask")
# The k of `AdaptiveDifficulty`, by quartile of difficulty.
QUARTILES = ("very_hard", "hard", "medium", "easy")
TRL_LEVELS = ("token", "sequence")
LEVELS = (*TRL_LEVELS, "sequence_token")
REFUSED_LOSSES = {
    "vespo": "VESPO weights every sequence itself (a gamma weight of its product of token ratios), so the level "
    "would change nothing",
}
CORRECTIONS = ("mask", "truncate")
REPLAY_LEAST = {
    "replay_buffer_size": 0,
    "replay_buffer_max_bytes": 0,
    "replay_warmup_steps": 0,
    "replay_max_age": 1,
    "replay_max_uses": 1,
}


class Excluded(ValueError):  # noqa: N818 - a rule about settings, no fault of the program
    """A setting is out of range, or settings exclude each other.

    Args:
        what: the settings and the reason; a sentence without its full stop.
        do: what to do about it; a sentence without its full stop.
        settings: names of the settings, the one to change first.
        nearest: valid values close to an invalid one.
    """

    def __init__(self, what: str, do: str, *settings: str, nearest: tuple[str, ...] = ()):
        super().__init__(". ".join(filter(None, [what, f"Nearest: {nearest[0]!r}" if nearest else "", do])) + ".")
        self.what = what
        self.do = do
        self.settings = settings
        self.nearest = nearest


def check_kept(args: Arguments) -> None:
    """`num_remains_in_group` and `filtered` of a `GFPOConfig`."""
    k, sampled = args.num_remains_in_group, args.num_generations
    if k is not None and sampled >= 2 and not 2 <= k <= sampled:  # fewer are refused by themselves
        raise Excluded(
            f"num_remains_in_group ({k}) must be between 2 and num_generations ({sampled}): an advantage compares at "
            "least two completions, and no more can be kept than are generated",
            f"Set num_remains_in_group={max(2, sampled // 2)} to keep half of each group",
            "num_remains_in_group",
            "num_generations",
        )
    one_of(FILTERED, "filtered", args.filtered, f"filtered must be 'drop' or 'mask', not {args.filtered!r}")


def check_group_filter(args: Arguments, group_filter: Any, names: Iterable[str]) -> None:
    """A group filter (as `filters.py` describes it, or None) against k; `names` are those to choose from."""
    k = getattr(args, "num_remains_in_group", None)
    if group_filter is None:
        if k is not None and k < args.num_generations:
            raise Excluded(
                f"num_remains_in_group={k} keeps {k} of {args.num_generations} completions, but nothing says which",
                f"Set group_filter_func to one of {', '.join(names)}, a dotted path or a callable",
                "group_filter_func",
                "num_remains_in_group",
            )
    elif hasattr(group_filter, "remains"):
        name = getattr(group_filter, "__name__", type(group_filter).__name__)
        if k is not None:
            raise Excluded(
                f"{name} decides how many completions are kept: set num_remains_in_group=null, not {k}",
                "",
                "num_remains_in_group",
                "group_filter_func",
            )
        if hasattr(group_filter, "check"):
            group_filter.check(args.num_generations)


def check_quartiles(args: Arguments, num_generations: int) -> None:
    """The four k of `AdaptiveDifficulty`."""
    for name in QUARTILES:
        k = getattr(args, name)
        if not 2 <= k <= num_generations:
            raise Excluded(
                f"AdaptiveDifficulty keeps {name}={k} completions, but num_generations is {num_generations}",
                f"Set {', '.join(QUARTILES)} between 2 and {num_generations} (the paper: 8, 8, 6, 4 of 16)",
                name,
                "num_generations",
            )


def check_ratio_level(args: Arguments, known: tuple[str, ...] = LEVELS) -> None:
    """`importance_sampling_level`, one of the `known`, with `loss_type`."""
    level = args.importance_sampling_level
    one_of(known, "importance_sampling_level", level, f"importance_sampling_level={level!r} is not known")
    if level == "sequence_token" and args.loss_type in REFUSED_LOSSES:
        raise Excluded(
            f"importance_sampling_level='sequence_token' does not go with loss_type={args.loss_type!r}: "
            f"{REFUSED_LOSSES[args.loss_type]}",
            "Set importance_sampling_level='token' or loss_type='grpo', the paper's",
            "loss_type",
            "importance_sampling_level",
        )


def check_token_advantages(args: Arguments, token_advantages: Callable[..., Any] | str | None) -> None:
    """A source of token advantages (or None) with the level of the importance ratio."""
    if token_advantages is not None and args.importance_sampling_level == "sequence":
        raise Excluded(
            "token_advantages does not go with importance_sampling_level='sequence': the credit of single tokens "
            "would be averaged away",
            "Use importance_sampling_level='sequence_token' (GSPO-token) or 'token'",
            "importance_sampling_level",
            "token_advantages",
        )


def check_replay(args: Arguments) -> None:
    """The bounds of a `GRPOWithReplayBufferConfig`."""
    for name, bound in REPLAY_LEAST.items():
        if getattr(args, name) < bound:
            raise Excluded(f"{name}={getattr(args, name)} must be at least {bound}", "", name)
    share = args.replay_max_fraction
    if not 0.0 < share <= 1.0:
        what = f"replay_max_fraction={share} must lie in (0, 1]; replay_buffer_size=0 is no replay"
        raise Excluded(what, "", "replay_max_fraction")
    for name in ("replay_mask_threshold", "replay_weight_cap"):
        if getattr(args, name) <= 0.0:
            raise Excluded(f"{name}={getattr(args, name)} must be above 0", "", name)
    correction = args.replay_correction
    one_of(CORRECTIONS, "replay_correction", correction, f"replay_correction={correction!r} is not known")


def check_resampling(args: Arguments) -> None:
    """The bound of a `DynamicSamplingConfig`."""
    if args.resample_tries < 0:
        raise Excluded(f"resample_tries={args.resample_tries} must be at least 0, which is GRPO", "", "resample_tries")


def check_bema(callback: Arguments, args: Arguments, grpo: bool) -> None:
    """A `BEMACallback` (or its settings) with the arguments of its trainer; `grpo` says whether that is one of GRPO."""

    def setting(name: str) -> Any:
        return getattr(args, name, None)

    if setting("fsdp"):
        raise sharded("FSDP")
    if callback.evaluate_with_bema and setting("use_vllm"):
        raise Excluded(
            "BEMA: evaluate_with_bema=True and args.use_vllm=True exclude each other: vLLM generates with the "
            "weights it was given in training, not with the averaged ones",
            "Set one of them to false",
            "evaluate_with_bema",
            "use_vllm",
        )
    if not callback.update_ref_model:
        return
    moving = "BEMA: update_ref_model=True"
    if setting("precompute_ref_log_probs"):
        raise Excluded(
            f"{moving} moves the reference model, but args.precompute_ref_log_probs=True freezes its "
            "log-probabilities before training",
            "Set args.precompute_ref_log_probs=false",
            "precompute_ref_log_probs",
            "update_ref_model",
        )
    if setting("sync_ref_model"):
        what = f"{moving} and args.sync_ref_model=True both write the reference model"
        raise Excluded(what, "Set args.sync_ref_model=false", "sync_ref_model", "update_ref_model")
    if grpo and not setting("beta"):
        raise Excluded(
            f"{moving} needs a reference model, and with args.beta=0 GRPO has none",
            "Set args.beta above 0 (the KL coefficient), or update_ref_model=False",
            "beta",
            "update_ref_model",
        )


def sharded(what: str) -> Excluded:
    """The refusal of BEMA on parameters that `what` splits."""
    return Excluded(
        f"BEMA: {what} splits the parameters over the ranks, and BEMA reads and writes whole parameters",
        "Use plain data parallelism or DeepSpeed ZeRO 1 or 2, or train without BEMACallback",
    )


def one_of(known: tuple[str, ...], setting: str, value: object, what: str) -> None:
    """Raise `Excluded`, saying `what`, with the nearest right value, where `value` is none of the `known`."""
    if value not in known:
        nearest = difflib.get_close_matches(str(value), known, n=1, cutoff=0.0)[0]
        raise Excluded(what, f"Known: {', '.join(known)}", setting, nearest=(nearest,))
