"""From the resolved config to a trainer: every part is instantiated by its `_target_`."""

import inspect
import logging
from dataclasses import fields
from functools import partial
from typing import Any

from hydra.utils import get_class, get_object, instantiate
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.utils import logging as transformers_logging

from expctl import models
from expctl.algorithms import fingerprints
from expctl.algorithms.compact_sampling import EnoughEnded, is_compact
from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.evaluation import trains
from expctl.data.conversation import fit_to_tokenizer
from expctl.data.token_filter import KEY as FILTER_TOKENS
from expctl.models.seeing import text_tokenizer
from expctl.runs import manifest
from expctl.runs.files import Run
from expctl.worker.base_model import NameBaseModel
from expctl.worker.checkpoint import make_checkpoints_atomic
from expctl.worker.completions import EvaluateCompletions
from expctl.worker.data_fingerprint import record_fingerprints, record_prompts
from expctl.worker.datasets import load_data
from expctl.worker.distributed import DistributedCheck, check_world_size
from expctl.worker.engine import fill_arguments, keep_mode, let_rows_leave, prepare_engine
from expctl.worker.leak import leak_alerts
from expctl.worker.named_sets import name_metrics
from expctl.worker.reward_weights import final_weights, schedule_weights
from expctl.worker.rewards import reward_functions, set_end_tokens
from expctl.worker.samples import Samples
from expctl.worker.sampling_turns import sample_in_turns
from expctl.worker.saved_names import load_by_saved_names
from expctl.worker.stop import StopRequest
from expctl.worker.token_lengths import keep_by_tokens
from expctl.worker.trackers import start_tracker, tracker_fields

logger = logging.getLogger(__name__)
# Field of the trainer's arguments -> what transformers calls it from 5.23 on.
CURRENT_NAMES = {
    "gradient_checkpointing": "activation_checkpointing",
    "gradient_checkpointing_kwargs": "activation_checkpointing_kwargs",
}
FLOAT_TYPES = (float, float | None, "float", "float | None", "Optional[float]")


def build_trainer(config: dict[str, Any], run: Run, callbacks: list[TrainerCallback], stop: StopRequest) -> Trainer:
    """The trainer of one experiment, ready to train.

    Args:
        config: resolved.
        run: where it writes.
        callbacks: come after the experiment's own.
        stop: the request to stop that its checkpoints look at.

    Raises:
        RuntimeError: this rank is in a group of another size than was launched.
    """
    # Before the first weight is made: adapters and new layers are drawn from it.
    set_seed(config["seed"])
    transformers_logging.disable_progress_bar()
    extra = {"output_dir": str(run.checkpoints)} | reward_weights(config["reward"]) | tracker_fields(config, run)
    arguments = build(with_current_fields(config["args"]), **extra)
    make_floats(arguments)
    check_world_size(arguments.world_size)
    train_dataset, eval_dataset = load_data(config["dataset"])
    own_callbacks = [build(node) for node in config["callbacks"].values()]
    model, processing = models.load(**models.loaded_for(config))
    tokenizer = text_tokenizer(processing)
    options = template_options(config, arguments)
    train_dataset, eval_dataset = within_tokens(config, arguments, train_dataset, eval_dataset, tokenizer)
    if arguments.process_index == 0:
        _start_recording(config, run, arguments, train_dataset if trains(config) else None, eval_dataset)
    parts = {
        "model": model,
        "args": arguments,
        "train_dataset": fit_to_tokenizer(train_dataset, tokenizer, options),
        "eval_dataset": fit_to_tokenizer(eval_dataset, tokenizer, options),
        "processing_class": processing,
        "callbacks": [*without_trainer(own_callbacks), *callbacks],
    }
    prepare_engine(config, run.folder)
    prompts = [parts["train_dataset"], parts["eval_dataset"]]
    fill_arguments(config, arguments, prompts, tokenizer, getattr(model.config, "max_position_embeddings", None))
    trainer = construct(config, parts | adapter(config) | rewards(config), own_callbacks)
    keep_mode(trainer)
    let_rows_leave(config, trainer)
    sample_in_turns(config, trainer)
    trainer.add_callback(DistributedCheck(trainer, sharding=bool(config["hardware"]["sharding"])))
    trainer.add_callback(Samples(trainer, run))
    trainer.add_callback(NameBaseModel(config["model"]))
    load_by_saved_names(trainer)
    make_checkpoints_atomic(trainer, run.checkpoints, stop)
    if arguments.process_index == 0:
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, EvaluateCompletions):
                record_prompts(run, callback.held_out)
        _warn_of_changes(trainer, run)
    return trainer


def template_options(config: dict[str, Any], arguments: TrainingArguments) -> dict[str, Any]:
    """What the rows tell the chat template, where the trainer's arguments cannot: whether the model thinks."""
    thinking = config["model"].get("thinking")
    if thinking is None or hasattr(arguments, "chat_template_kwargs"):
        return {}
    return {"enable_thinking": thinking}


def within_tokens(
    config: dict[str, Any], arguments: TrainingArguments, train_dataset: Any, eval_dataset: Any, tokenizer: Any
) -> tuple[Any, Any]:
    """What is trained on and what is evaluated, without the rows that `dataset.filter_tokens` leaves out."""
    given = config["dataset"].get(FILTER_TOKENS)
    options = template_options(config, arguments) or getattr(arguments, "chat_template_kwargs", None) or {}
    train_dataset = keep_by_tokens(train_dataset, given, tokenizer, options)
    return train_dataset, keep_by_tokens(eval_dataset, given, tokenizer, options, "held out")


def adapter(config: dict[str, Any]) -> dict[str, Any]:
    """The trainer's `peft_config`, where the experiment has an adapter."""
    return {"peft_config": build(config["peft"])} if config["peft"] else {}


def rewards(config: dict[str, Any]) -> dict[str, Any]:
    """The trainer's `reward_funcs`, where it samples completions and takes them."""
    trainer = get_object(config["algorithm"]["trainer"]["_target_"])
    if config["algorithm"]["kind"] != PROMPT_ONLY or not takes(trainer, "reward_funcs"):
        return {}
    return {"reward_funcs": reward_functions(config["reward"])}


def takes(trainer: Any, keyword: str) -> bool:
    """Whether a trainer's constructor takes a keyword, by itself or by one that it hands all others on to."""
    for owner in inspect.getmro(trainer) if inspect.isclass(trainer) else [trainer]:
        called = owner.__dict__.get("__init__") if inspect.isclass(owner) else owner
        if called is None:
            continue
        parameters = inspect.signature(called).parameters
        if keyword in parameters or not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            return keyword in parameters
    return False


def without_trainer(own_callbacks: list[Any]) -> list[TrainerCallback]:
    """Those of the experiment's callbacks that are complete without a trainer."""
    return [callback for callback in own_callbacks if not isinstance(callback, partial)]


def construct(config: dict[str, Any], parts: dict[str, Any], own_callbacks: list[Any]) -> Trainer:
    """The trainer of these parts, with those of `own_callbacks` that are made for a trainer (`_partial_: true`)."""
    node = config["algorithm"]["trainer"]
    if not takes(get_object(node["_target_"]), "eval_dataset"):  # TRL's asynchronous trainers are not evaluated
        parts = {name: part for name, part in parts.items() if name != "eval_dataset"}
    trainer: Trainer = build(node, _partial_=True)(**parts)
    for callback in own_callbacks:
        if isinstance(callback, partial):
            trainer.add_callback(callback(trainer=trainer))
    reward_funcs = getattr(trainer, "reward_funcs", [])
    if reward_funcs:
        set_end_tokens(reward_funcs, trainer.model, trainer.processing_class)
    schedule_weights(trainer, config["reward"])
    name_metrics(trainer)
    return trainer


def build(node: dict[str, Any], **extra: Any) -> Any:
    """Instantiate a config node; plain containers, never OmegaConf's, reach the constructors."""
    return instantiate(node, _convert_="all", **extra)


def with_current_fields(node: dict[str, Any]) -> dict[str, Any]:
    """The node `args` with today's names of fields that have another one now, where the installed version has it.

    A library warns of the old name at each use of it. What is set under both names is left as it is.
    """
    known = {field.name for field in fields(get_class(node["_target_"]))}
    renamed = {
        old: new
        for old, new in CURRENT_NAMES.items()
        if new in known and node.get(old) is not None and node.get(new) is None
    }
    return {renamed.get(name, name): value for name, value in node.items()}


def make_floats(arguments: TrainingArguments) -> None:
    """Make `4` a `4.0` where a field is a float: transformers checks some of them again, later, and refuses an int."""
    for field in fields(arguments):
        value = getattr(arguments, field.name)
        if type(value) is int and field.type in FLOAT_TYPES:
            setattr(arguments, field.name, float(value))


def reward_weights(reward: dict[str, Any]) -> dict[str, list[float]]:
    """`reward_weights` of the trainer's arguments, in the order of the functions; empty where none are set."""
    if not reward["weights"]:
        return {}
    return {"reward_weights": final_weights(reward)}


def _start_recording(
    config: dict[str, Any], run: Run, arguments: TrainingArguments, train_dataset: Any, eval_dataset: Any
) -> None:
    """Record the data in the manifest, and start the tracker."""
    record_fingerprints(run, train_dataset, eval_dataset)
    manifest.note_leaks(run, leak_alerts(train_dataset, eval_dataset))
    if not start_tracker(config, run):
        arguments.report_to = []


def _warn_of_changes(trainer: Trainer, run: Run) -> None:
    """Note in the log and in the manifest what has changed upstream since the trainer's algorithms were tested."""
    ours = [EnoughEnded] if is_compact(trainer.model) else []
    changes = fingerprints.warnings_for(type(trainer), *map(type, trainer.callback_handler.callbacks), *ours)
    for change in changes:
        logger.warning(change)
    manifest.note(run, "warnings", changes)
