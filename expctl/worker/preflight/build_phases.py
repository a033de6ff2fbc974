"""The phases of the preflight: each part of a training is made as the training makes it, and the first batch taken."""

import copy
import sys
from collections.abc import Sized
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from hydra.utils import get_class
from transformers import Trainer, set_seed

from expctl import models
from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.modules import is_known
from expctl.base.trainer_keywords import GIVEN
from expctl.data.conversation import fit_to_tokenizer
from expctl.data.token_filter import KEY as FILTER_TOKENS
from expctl.models.seeing import text_tokenizer
from expctl.worker import build, engine
from expctl.worker.datasets import load_data
from expctl.worker.preflight import data, first_step, model, rewards
from expctl.worker.preflight.problem import Problem, ProblemError, error_text, named_field

if TYPE_CHECKING:
    from expctl.worker.preflight.phases import Preflight

MODEL_LENGTH = "args.vllm_max_model_length"
# Rows that the trainer is built with: it may tokenize all of them.
ROWS = 256
_prepare_model = Accelerator.prepare_model


def run_phases(check: "Preflight", folder: str) -> None:
    """Run all phases; the problems are in `check.problems`."""
    config = check.config
    parts = parts_of(check, folder)
    own_callbacks: list[Any] = []
    with check.phase("callbacks", partial(_group_problem, check, "callbacks")):
        own_callbacks += [build.build(node) for node in config["callbacks"].values()]
    functions: dict[str, Any] = {}
    with check.phase("rewards", partial(_group_problem, check, "reward")):
        functions |= build.rewards(rewards.without_large_models(config))
    if not check.problems and parts["train_dataset"] is not None:
        _fit_data(check, parts)
    if check.problems:
        return
    train_dataset = parts["train_dataset"]
    trainer = trainer_of(check, parts | functions, own_callbacks)
    if trainer is not None:
        first_step.run_phases(check, trainer, len(train_dataset) if isinstance(train_dataset, Sized) else None)


def parts_of(check: "Preflight", folder: str) -> dict[str, Any]:
    """The trainer's arguments, the data as they are loaded, the model, its tokenizer and an adapter."""
    config = check.config
    set_seed(config["seed"])
    parts: dict[str, Any] = {}
    with check.phase("arguments", check.argument_problem):
        parts["args"] = arguments(config, folder)
    with check.phase("data", partial(data_problem, check)):
        train, evaluation = load_data(config["dataset"])
        if train is not None:
            check.columns = list(data.first_rows(train)[0])
            data.check_kind(check.columns, config["algorithm"]["kind"])
        parts["train_dataset"], parts["eval_dataset"] = train, evaluation
    with check.phase("model and tokenizer", partial(_model_problem, check)):
        parts["model"], parts["processing_class"] = model.model_and_tokenizer(models.loaded_for(config))
    if config["dataset"].get(FILTER_TOKENS) is not None and not check.problems:
        with check.phase("lengths in tokens", partial(data_problem, check)):
            loaded, evaluated = parts["train_dataset"], parts["eval_dataset"]
            tokenizer = text_tokenizer(parts["processing_class"])
            kept, evaluated = build.within_tokens(config, parts["args"], loaded, evaluated, tokenizer)
            parts["train_dataset"], parts["eval_dataset"] = kept, evaluated
            check.left_out = (len(loaded) - len(kept), len(loaded)) if isinstance(loaded, Sized) else None
    with check.phase("trainer's own settings", lambda error: Problem(error_text(error), "algorithm.trainer")):
        check_free(config["algorithm"]["trainer"])
    with check.phase("adapter", partial(_group_problem, check, "peft")):
        parts |= build.adapter(config)
    return parts


def check_free(node: dict[str, Any]) -> None:
    """Raise ProblemError where a keyword of the trainer is set that another group provides."""
    for name in GIVEN:
        if name in node:
            raise ProblemError(
                f"'algorithm.trainer.{name}' is given by expctl itself", f"algorithm.trainer.{name}", GIVEN[name]
            )


def arguments(config: dict[str, Any], folder: str) -> Any:
    """The trainer's arguments for this one process on the CPU, with the batch of all processes.

    Args:
        config: resolved.
        folder: where a trainer may write.

    Returns:
        The arguments, without what would start an engine, a compiler or a tracker.
    """
    node = build.with_current_fields(config["args"])
    hardware = config["hardware"]
    world = hardware["num_processes"] * hardware["num_machines"]
    defaults = {field.name: field.default for field in fields(get_class(node["_target_"]))}
    for name in ("per_device_train_batch_size", "per_device_eval_batch_size"):
        if world > 1 and name in defaults:
            node[name] = (node.get(name) or defaults[name]) * world
    if not node.get("use_cpu"):
        node |= {"use_cpu": True, "bf16": False, "fp16": False, "tf32": None}
    for name, value in SWITCHED_OFF.items():
        if node.get(name):
            node[name] = value
    training_arguments = build.build(node, output_dir=folder, **build.reward_weights(config["reward"]))
    build.make_floats(training_arguments)
    training_arguments.report_to = []
    return training_arguments


SWITCHED_OFF = {
    "use_vllm": False,
    "use_transformers_continuous_batching": False,
    "torch_compile": False,
    "push_to_hub": False,
    "deepspeed": None,
    "fsdp": None,
    "fsdp_config": None,
    "precompute_ref_log_probs": False,
    "report_to": "none",
}


def _fit_data(check: "Preflight", parts: dict[str, Any]) -> None:
    """Check that the tokenizer can take the rows, and render and tokenize the first of them."""
    tokenizer, path = text_tokenizer(parts["processing_class"]), check.config["model"]["path"]
    train = parts["train_dataset"]
    with check.phase("chat template and tokens", partial(data_problem, check)):
        rows = fit_to_tokenizer(data.head(train, data.CHECKED_ROWS), tokenizer)
        embedded = model.embedding_rows(parts["model"])
        data.check_tokens(data.first_rows(rows), tokenizer, embedded, path)
        data.check_thinking(tokenizer, check.config["model"].get("thinking"), path)
    args = parts["args"]
    if check.config["algorithm"]["kind"] == PROMPT_ONLY:
        with check.phase("lengths", partial(data_problem, check)):
            completion = getattr(args, "max_completion_length", None) or 0
            data.check_lengths(train, tokenizer, model.positions(parts["model"]), completion, path)
        with check.phase("engine's longest sequence", lambda error: Problem(error_text(error), MODEL_LENGTH)):
            engine.check_model_length(check.config, args, [train, parts["eval_dataset"]], tokenizer)


def trainer_of(
    check: "Preflight", parts: dict[str, Any], own_callbacks: list[Any], rows: int | None = None
) -> Trainer | None:
    """The trainer with the first `rows` of its data, a step's by default; None where it cannot be built."""
    count = rows or min(max(first_step.rows_of_a_step(parts["args"]), 2), ROWS)
    Accelerator.prepare_model = _prepare_whole_model  # for the rest of this process
    if not model.is_whole(parts["model"]):
        _stay_on_meta(parts["model"])
    with check.phase("trainer", partial(_trainer_problem, check)):
        for name in ("train_dataset", "eval_dataset"):
            if parts[name] is not None:
                first = data.head(parts[name], count)
                options = build.template_options(check.config, parts["args"])
                parts = parts | {name: fit_to_tokenizer(first, text_tokenizer(parts["processing_class"]), options)}
        parts = parts | {"callbacks": build.without_trainer(own_callbacks)}
        node = rewards.without_large_models(check.config["algorithm"]["trainer"])
        config = check.config | {"algorithm": check.config["algorithm"] | {"trainer": node}}
        return build.construct(config, parts, own_callbacks)
    return None


def _stay_on_meta(skeleton: Any) -> None:
    """Keep a model without weights on the meta device, and let it be its own reference model, in this process."""

    def do_not_move(self: Trainer, model: Any, device: Any) -> None:
        return

    Trainer._move_model_to_device = do_not_move  # type: ignore[method-assign] # for the rest of this process
    for name, module in list(sys.modules.items()):
        if is_known(name) and hasattr(module, "create_model_from_path"):
            setattr(module, "create_model_from_path", lambda *_, **__: copy.deepcopy(skeleton))  # noqa: B010 - any module


def _prepare_whole_model(self: Accelerator, network: Any, **options: Any) -> Any:
    """As accelerate does it, but leave a student or a teacher without weights where it is."""
    return _prepare_model(self, network, **options) if model.is_whole(network) else network


def data_problem(check: "Preflight", error: BaseException) -> Problem:
    message = error_text(error)
    if message.startswith("dataset."):
        return Problem(message, message.partition("=")[0])
    return Problem(f"the data cannot be used: {message}", "dataset")


def _model_problem(check: "Preflight", error: BaseException) -> Problem:
    message = error_text(error)
    lowered = message.lower()
    if "flash" in lowered or "attn" in lowered or "attention" in lowered:
        return Problem(message, "model.attn_implementation", "model.attn_implementation=sdpa, or null for the default")
    if message.startswith("model."):
        return Problem(message, message.partition("=")[0].partition(" ")[0])
    if "tokenizer" in lowered or "sentencepiece" in lowered:
        path = check.config["model"]["path"]
        return Problem(
            f"the tokenizer of {path} cannot be loaded: {message}",
            "model.path",
            "save it beside the model: tokenizer.save_pretrained(folder)",
        )
    return Problem(f"the model cannot be loaded: {message}", "model.path")


def _trainer_problem(check: "Preflight", error: BaseException) -> Problem:
    message = error_text(error)
    if "target_modules" in message or "target modules" in message.lower():
        return _targets_problem(check, message)
    for field in check.config["peft"] or {}:
        if f"`{field}`" in message or f"'{field}'" in message:
            return Problem(message, f"peft.{field}")
    return check.argument_problem(error, "algorithm")


def _targets_problem(check: "Preflight", message: str) -> Problem:
    """An adapter for layers that the model does not have, with the names of those that it has."""
    skeleton, _ = model.without_weights(**models.loaded_for(check.config))
    names = {name.rpartition(".")[2] for name, part in skeleton.named_modules() if isinstance(part, torch.nn.Linear)}
    names.discard("lm_head")
    return Problem(
        f"the adapter fits no layer of the model: {message[:200]}",
        "peft.target_modules",
        f"the model has {', '.join(sorted(names))}; all-linear takes all of them",
    )


def _group_problem(check: "Preflight", group: str, error: BaseException) -> Problem:
    """The problem of an error in building a group, at the key of it that the message names."""
    node, message = check.config[group], error_text(error)
    field = named_field(message, node) if isinstance(node, dict) else None
    return Problem(message, f"{group}.{field}" if field else group)
