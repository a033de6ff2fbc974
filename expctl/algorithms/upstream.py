"""What the algorithms override in TRL and transformers, and what else they count on there, each with its reason.

`fingerprints.py` compares it with what was tested. A method that we override is listed because what we hand through to
it, and what is handed to us, must stay what it was; one that calls our override, because of when it does; one whose
fields we read, because of their names and layout. Public functions with a documented contract (accelerate's `gather`,
a trainer's `state.global_step`) are not listed.
"""

from dataclasses import dataclass, field

GRPO = "trl.trainer.grpo_trainer.GRPOTrainer"
DPO = "trl.trainer.dpo_trainer.DPOTrainer"
BASE = "trl.trainer.base_trainer._BaseTrainer"
TRAINER = "transformers.trainer.Trainer"
UTILS = "trl.trainer.utils"
GENERATION = "transformers.generation.utils.GenerationMixin"

# Where a method of a class is looked for, in this order; each class's own bases are listed below, so that a class that
# comes in between is noticed.
LINEAGES = {GRPO: (GRPO, BASE, TRAINER), DPO: (DPO, BASE, TRAINER), BASE: (BASE, TRAINER), TRAINER: (TRAINER,)}


@dataclass(frozen=True)
class Upstream:
    """A method `name` of the class `owner`, a function of the module `owner`, or the `"bases"` of a class."""

    owner: str
    name: str
    why: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"

    @property
    def label(self) -> str:
        """The short name: `GRPOTrainer._generate`, `trl.trainer.utils.pad`."""
        holder = self.owner.rpartition(".")[2]
        return f"{holder}.{self.name}" if self.owner in LINEAGES else str(self)


@dataclass(frozen=True)
class Part:
    """A mixin or callback of ours, the algorithm users know it by, and what it relies on."""

    algorithm: str
    upstream: tuple[Upstream, ...]


_BASES = (
    Upstream(GRPO, "bases", "methods are looked for along them"),
    Upstream(BASE, "bases", "methods are looked for along them"),
)
_CONSTRUCTOR = Upstream(GRPO, "__init__", "overridden; its first three parameters, and the attributes it sets")
_ROLLOUT = Upstream(GRPO, "_generate_and_score_completions", "overridden; fields of the batch, order of its calls")
_REWARDS = Upstream(GRPO, "_calculate_rewards", "overridden; returns (N, F) over all ranks, NaN where unscorable")
_LOGPS = Upstream(GRPO, "_get_per_token_logps_and_entropies", "overridden; its parameters and its three results")
_LOSS = Upstream(GRPO, "_compute_loss", "asks for log-probabilities before it reads advantages and old ones")
_ROWS = (
    Upstream(UTILS, "pad", "pads as the batch is padded"),
    Upstream(UTILS, "split_pixel_values_by_grid", "image fields by row"),
    Upstream(UTILS, "unsplit_pixel_values_by_grid", "image fields as a batch has them"),
)
_LOSS_INPUTS = (_LOSS, _LOGPS)
_SAVE = (
    Upstream(GRPO, "_save_checkpoint", "overridden"),
    Upstream(TRAINER, "_save_checkpoint", "overridden; folder of a checkpoint, trainer_state.json written last"),
    Upstream(TRAINER, "_get_output_dir", "folder of a checkpoint"),
)
_LOAD = (
    Upstream(GRPO, "_load_optimizer_and_scheduler", "overridden: the place where a resumed run is restored"),
    Upstream(TRAINER, "_load_optimizer_and_scheduler", "overridden: the place where a resumed run is restored"),
)
_DPO_REFERENCE = (
    Upstream(DPO, "__init__", "overridden; makes the reference model, or the adapter 'ref'"),
    Upstream(DPO, "bases", "methods are looked for along them"),
    Upstream(DPO, "_compute_loss", "asks the reference model, or the adapter 'ref', at every step"),
    Upstream(DPO, "train", "overridden"),
    Upstream(DPO, "evaluate", "overridden"),
    Upstream(DPO, "_save_checkpoint", "overridden"),
)

PARTS = {
    "GroupFiltering": Part(
        "GFPO",
        (
            *_BASES,
            _CONSTRUCTOR,
            _ROLLOUT,
            Upstream(GRPO, "_generate", "overridden; its eight results, called before any log-probability is computed"),
            _REWARDS,
            _LOGPS,
            Upstream(GRPO, "compute_loss", "overridden"),
            _LOSS,
            Upstream(GRPO, "_prepare_inputs", "cuts what we return into micro-batches"),
            Upstream(GRPO, "_log_completion_extra", "logs which completions are kept"),
            Upstream(UTILS, "split_tensor_dict", "drops the rows that do not divide: our rows do"),
            Upstream(UTILS, "shuffle_sequence_dict", "carries our fields along"),
            Upstream(UTILS, "nanstd", "the standard deviation of a kept group"),
            *_ROWS,
            *_SAVE,
            *_LOAD,
        ),
    ),
    "SequenceTokenRatio": Part("GSPO-token", (*_BASES, _CONSTRUCTOR, *_LOSS_INPUTS)),
    "TokenAdvantages": Part("GSPO-token", (*_BASES, _CONSTRUCTOR, _ROLLOUT, _REWARDS, _LOSS)),
    "GroupReplay": Part(
        "GRPO with replay",
        (
            *_BASES,
            _CONSTRUCTOR,
            _ROLLOUT,
            _REWARDS,
            *_LOSS_INPUTS,
            Upstream(GRPO, "get_off_policy_mask", "masks replayed rows that are too far off"),
            Upstream(GRPO, "_prepare_inputs", "cuts what we return into micro-batches"),
            Upstream(UTILS, "split_tensor_dict", "carries our fields along"),
            Upstream(UTILS, "shuffle_sequence_dict", "carries our fields along"),
            Upstream(UTILS, "nanstd", "the scale of a batch's advantages"),
            Upstream(UTILS, "use_adapter", "switches LoRA to the reference"),
            Upstream("trl.models.utils", "disable_gradient_checkpointing", "around the reference's forward pass"),
            *_ROWS,
            *_SAVE,
            *_LOAD,
        ),
    ),
    "DynamicSampling": Part(
        "dynamic sampling",
        (
            *_BASES,
            _CONSTRUCTOR,
            _ROLLOUT,
            _REWARDS,
            Upstream(GRPO, "_generate", "overridden; its eight results, changed in place, and its metrics"),
            Upstream(GRPO, "_log_completion_extra", "where reward functions log columns, before the batch is logged"),
            Upstream(GRPO, "_prepare_inputs", "when it samples"),
        ),
    ),
    "RolloutCheckpoint": Part(
        "exact resumption",
        (
            *_BASES,
            Upstream(GRPO, "_prepare_inputs", "when it samples, and where it keeps what it has sampled"),
            Upstream(GRPO, "training_step", "counts the micro-batches"),
            *_SAVE,
            *_LOAD,
        ),
    ),
    # Of `compact_sampling`, for every trainer that samples.
    "EnoughEnded": Part(
        "compact sampling",
        (
            Upstream(GENERATION, "_extract_generation_mode_kwargs", "what a custom loop is not told: ranks in step"),
            Upstream(GENERATION, "_sample", "called anew for each stretch, with the cache of the last one"),
            Upstream(GENERATION, "_prefill", "how much of the rows a cache already has"),
            Upstream(GENERATION, "prepare_inputs_for_generation", "called for the prompts"),
            Upstream(GENERATION, "_update_model_kwargs_for_generation", "masks and positions after a stretch"),
            Upstream(GENERATION, "_get_logits_processor", "which processors hold something for each row"),
        ),
    ),
    # The worker's, for every trainer.
    "ExactResume": Part(
        "exact resumption",
        (
            Upstream(TRAINER, "_inner_training_loop", "resets what is counted, then calls on_train_begin"),
            Upstream(TRAINER, "_init_training_state", "which epoch a resumed run begins with"),
            Upstream(TRAINER, "_run_epoch", "wrapped; skips data and loads random states"),
            Upstream(TRAINER, "_maybe_log_save_evaluate", "wrapped; order of log, evaluation and checkpoint"),
            Upstream(TRAINER, "_load_rng_state", "called where no further step is taken"),
            Upstream(TRAINER, "_save_checkpoint", "wrapped; folder of a checkpoint"),
        ),
    ),
    "BEMATrainerMixin": Part(
        "BEMA",
        (
            *_BASES,
            _CONSTRUCTOR,
            _LOSS,
            _ROLLOUT,
            *_DPO_REFERENCE,
            Upstream(GRPO, "train", "overridden"),
            Upstream(GRPO, "evaluate", "overridden"),
            Upstream(TRAINER, "train", "overridden"),
            Upstream(TRAINER, "evaluate", "overridden"),
            *_SAVE,
        ),
    ),
    "BEMACallback": Part(
        "BEMA",
        (
            Upstream(TRAINER, "_save_checkpoint", "writes the checkpoint that our state belongs to"),
            Upstream(TRAINER, "_maybe_log_save_evaluate", "saves, then calls on_save"),
        ),
    ),
}

# What `expctl verify` calls an algorithm -> the parts that it is made of.
ALGORITHMS = {
    "gfpo": ("GroupFiltering", "RolloutCheckpoint"),
    "gspo_token": ("SequenceTokenRatio", "TokenAdvantages", "RolloutCheckpoint"),
    "grpo_replay": ("GroupReplay", "RolloutCheckpoint"),
    "dynamic_sampling": ("DynamicSampling", "RolloutCheckpoint"),
    "dpo_bema": ("BEMATrainerMixin", "BEMACallback"),
    "composed": tuple(PARTS),
}
