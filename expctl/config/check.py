"""Everything that can be known to be wrong before weights are loaded. Half a second, nothing created."""

import os
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.checks.batch_sizes import check_batch_sizes
from expctl.config.checks.bema import check_bema
from expctl.config.checks.bounds import check_bounds
from expctl.config.checks.callables import check_callables
from expctl.config.checks.combinations import check_combinations, check_ratio
from expctl.config.checks.dataset import check_dataset
from expctl.config.checks.engine import check_engine
from expctl.config.checks.eval_sets import check_eval_sets
from expctl.config.checks.evaluation import check_evaluation
from expctl.config.checks.fields import check_fields
from expctl.config.checks.generation import check_generation
from expctl.config.checks.hardware import check_hardware
from expctl.config.checks.images import check_images
from expctl.config.checks.judge import check_judge
from expctl.config.checks.model import check_model
from expctl.config.checks.number_formats import check_number_formats
from expctl.config.checks.positions import check_positions
from expctl.config.checks.reward_columns import check_reward_columns
from expctl.config.checks.reward_model import check_reward_model
from expctl.config.checks.reward_settings import check_reward_settings
from expctl.config.checks.rewards import check_rewards
from expctl.config.checks.schedule import check_schedule
from expctl.config.checks.schema import check_schema
from expctl.config.checks.secrets import check_secrets
from expctl.config.checks.servers import check_servers
from expctl.config.checks.steps import check_steps
from expctl.config.checks.targets import check_targets
from expctl.config.checks.teacher import check_reference, check_takes_reference, check_teacher
from expctl.config.checks.thinking import check_thinking
from expctl.config.checks.tracker import check_tracker
from expctl.config.checks.trainer_parts import check_trainer_parts
from expctl.config.checks.unread import check_unread
from expctl.config.overlays import check_overlays


@dataclass(frozen=True)
class Check:
    """A check, and the names of those that must have refused nothing before it can be asked."""

    name: str
    refusals: Callable[[Experiment], list[Refusal]]
    relies_on: tuple[str, ...] = ()


SHAPE = ("schema", "overlays", "reference")
VALUES = (*SHAPE, "generation", "targets", "callables", "ratio", "fields", "secrets", "tracker", "hardware")
SETTINGS = (*VALUES, "reward settings", "bounds")
ASSETS = (*SETTINGS, "model", "dataset", "rewards")
LATER = (
    "batch sizes",
    "combinations",
    "engine",
    "bema",
    "schedule",
    "number formats",
    "unread",
    "reward model",
    "judge",
    "reward columns",
)
EVERYTHING = (*ASSETS, *LATER)

# In the order in which refusals are shown. One whose ground is missing is left out: its answer would only confuse.
CHECKS = (
    Check("schema", check_schema),  # keys of the root and of the groups that no `_target_` describes
    Check("overlays", check_overlays, ("schema",)),  # algorithm/ratio, /replay, /reference over an algorithm
    Check("reference", check_takes_reference, ("schema",)),  # a model for a trainer that takes none
    Check("generation", check_generation, SHAPE),  # the engine, of a trainer that has none
    Check("reward settings", check_reward_settings, SHAPE),  # weights, gates, limits and retries, by name
    Check("targets", check_targets, SHAPE),  # dotted paths, and the keywords beside them
    Check("callables", check_callables, SHAPE),  # functions that a trainer takes by name or dotted path
    Check("ratio", check_ratio, SHAPE),  # the level of the importance ratio, and the loss
    Check("fields", check_fields, (*SHAPE, "generation", "ratio")),  # names and types of args
    Check("secrets", check_secrets, SHAPE),  # keys and tokens, which a run would keep in its files
    Check("tracker", check_tracker, SHAPE),  # its package, and passwords in its address
    Check("hardware", check_hardware, SHAPE),  # devices, processes, sharding, number format
    Check("bounds", check_bounds, VALUES),  # numbers that a field cannot have
    Check("batch sizes", check_batch_sizes, SETTINGS),  # groups, batches and processes divide
    Check("combinations", check_combinations, SETTINGS),  # algorithms and parts that exclude each other
    Check("evaluation", check_evaluation, SETTINGS),  # of what only evaluates: prompts, and what they are sampled by
    Check("servers", check_servers, SETTINGS),  # of methods that sample or are taught by one that was started before
    Check("trainer parts", check_trainer_parts, SETTINGS),  # an adapter for a trainer that takes none
    Check("engine", check_engine, SETTINGS),  # vLLM, its version, devices, number format and server
    Check("bema", check_bema, SETTINGS),  # the callback against its trainer and model
    Check("schedule", check_schedule, SETTINGS),  # evaluations, checkpoints, learning rates, optimizers
    Check("number formats", check_number_formats, SETTINGS),  # of weights, computation and caches
    Check("unread", check_unread, SETTINGS),  # what was typed and has no effect
    Check("model", check_model, SETTINGS),  # its files, number format and attention
    Check("positions", check_positions, (*SETTINGS, "model")),  # completions that the model has no positions for
    Check("thinking", check_thinking, (*SETTINGS, "model")),  # the switch of the chat template
    Check("images", check_images, (*SETTINGS, "model")),  # a model that sees, a trainer that takes them
    Check("dataset", check_dataset, SETTINGS),  # its files, and what the algorithm learns from
    Check("eval sets", check_eval_sets, (*SETTINGS, "dataset")),  # a trainer for several, metrics of one of them
    Check("rewards", check_rewards, SETTINGS),  # some reward, and its package
    Check("teacher", check_teacher, (*SETTINGS, "model")),  # its files, and its vocabulary beside the student's
    Check("reference model", check_reference, (*SETTINGS, "model")),  # the same of a reference and the policy
    Check("reward model", check_reward_model, SETTINGS),  # its files, its one label, its device
    Check("judge", check_judge, SETTINGS),  # its address, rubric and scale
    Check("reward columns", check_reward_columns, ASSETS),  # what each reward is called with
    Check("steps", check_steps, EVERYTHING),  # some step to train
)


def check(experiment: Experiment, leave_out: Collection[str] = ()) -> list[Refusal]:
    """What is wrong with an experiment; empty when it can be started.

    `leave_out`: names of checks that are not asked, and neither are those that rely on them.
    """
    refusals: list[Refusal] = []
    passed: set[str] = set()
    for each in CHECKS:
        if each.name in leave_out or not passed.issuperset(each.relies_on):
            continue
        try:
            refused = each.refusals(experiment)
        except Exception as error:
            if os.environ.get("EXPCTL_DEBUG") == "1":
                traceback.print_exc()
            return [_unchecked(each, error)]
        refusals += refused
        if not refused:
            passed.add(each.name)
    return refusals


def _unchecked(failed: Check, error: Exception) -> Refusal:
    """The refusal of what a check itself fell over: a fault of expctl, but nothing that should be started."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    described = " ".join(str(error).split())[:200]
    return Refusal(
        f"this experiment cannot be checked: {type(error).__name__}: {described} (in {Path(frame.filename).name}, "
        f"line {frame.lineno}, for the check of {failed.name})",
        do="EXPCTL_DEBUG=1 shows the traceback; that is a fault of expctl, please report it with the command",
    )
