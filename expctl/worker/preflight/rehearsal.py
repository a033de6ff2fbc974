"""The phases of the preflight: each part of a training is made as the training makes it, and the first batch taken."""

import copy
import sys
from functools import partial
from typing import Any

import torch
from hydra.utils import get_class
from transformers import Trainer, set_seed

from expctl.base.data_kinds import PROMPT_ONLY
from expctl.base.trainer_keywords import GIVEN
from expctl.data.conversation import fit_to_tokenizer
from expctl.worker import build
from expctl.worker.preflight import data, first_step, model
from expctl.worker.preflight.wrong import Wrong, WrongError, named_field, said

# Rows that the trainer is made with: it may tokenize all that it is given.
ROWS = 256


def phases(check: Any, folder: str) -> None:
    """Run all phases; what is wrong stands in `check.wrong`."""
    config = check.config
    set_seed(config["seed"])
    parts: dict[str, Any] = {}
    with check.phase("arguments", check.of_args):
        parts["args"] = arguments(config, folder)
    with check.phase("data", partial(_of_data, check)):
        train, evaluation = build.build(config["dataset"])
        rows = data.first_rows(train)
        check.columns = list(rows[0])
        data.check_kind(check.columns, config["algorithm"]["kind"])
        parts["train_dataset"], parts["eval_dataset"] = train, evaluation
    with check.phase("model and tokenizer", partial(_of_model, check)):
        parts["model"], parts["processing_class"] = model.model_and_tokenizer(config["model"])
    with check.phase("trainer's own settings", lambda error: Wrong(said(error), "algorithm.trainer")):
        check_free(config["algorithm"]["trainer"])
    with check.phase("adapter", lambda error: Wrong(said(error), _key_of("peft", config, error))):
        parts |= build.adapter(config)
    own: list[Any] = []
    with check.phase("callbacks", lambda error: Wrong(said(error), _key_of("callbacks", config, error))):
        own += [build.build(node) for node in config["callbacks"].values()]
    functions: dict[str, Any] = {}
    with check.phase("rewards", lambda error: Wrong(said(error), _key_of("reward", config, error))):
        functions |= build.rewards(config)
    if check.wrong:
        return
    _fit_data(check, parts)
    if check.wrong:
        return
    length = len(parts["train_dataset"]) if hasattr(parts["train_dataset"], "__len__") else None
    trainer = _trainer(check, parts | functions, own, config)
    if trainer is None:
        return
    first_step.take(check, trainer, length)


def check_free(node: dict[str, Any]) -> None:
    """Raise WrongError where a keyword of the trainer is set that is given by a group of its own."""
    for name in GIVEN:
        if name in node:
            raise WrongError(
                f"'algorithm.trainer.{name}' is given by expctl itself", f"algorithm.trainer.{name}", GIVEN[name]
            )


def arguments(config: dict[str, Any], folder: str) -> Any:
    """The trainer's arguments for this one process on the CPU, with the batch of all processes.

    What would start an engine, a compiler or a tracker is left out.
    """
    node = dict(config["args"])
    hardware = config["hardware"]
    world = hardware["num_processes"] * hardware["num_machines"]
    fields = get_class(node["_target_"]).__dataclass_fields__
    for name in ("per_device_train_batch_size", "per_device_eval_batch_size"):
        if world > 1 and name in fields:
            node[name] = (node.get(name) or fields[name].default) * world
    if not node.get("use_cpu"):
        node |= {"use_cpu": True, "bf16": False, "fp16": False, "tf32": None}
    for name, value in WITHOUT.items():
        if node.get(name):
            node[name] = value
    made = build.build(node, output_dir=folder, **build.reward_weights(config["reward"]))
    build.make_floats(made)
    made.report_to = []
    return made


WITHOUT = {
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


def _fit_data(check: Any, parts: dict[str, Any]) -> None:
    """The rows as the tokenizer can take them, and the first of them through template and tokenizer."""
    tokenizer, path = parts["processing_class"], check.config["model"]["path"]
    train = parts["train_dataset"]
    with check.phase("chat template and tokens", partial(_of_data, check)):
        rows = fit_to_tokenizer(data.head(train, data.LOOKED_AT), tokenizer)
        embedded = parts["model"].get_input_embeddings().weight.shape[0]
        data.check_tokens(data.first_rows(rows), tokenizer, embedded, path)
    args = parts["args"]
    if check.config["algorithm"]["kind"] == PROMPT_ONLY:
        with check.phase("lengths", partial(_of_data, check)):
            completion = getattr(args, "max_completion_length", None) or 0
            data.check_lengths(train, tokenizer, model.positions(parts["model"]), completion, path)


def _trainer(check: Any, parts: dict[str, Any], own: list[Any], config: dict[str, Any]) -> Trainer | None:
    """The trainer with the first rows of its data."""
    tokenizer = parts["processing_class"]
    needed = first_step.rows_of_a_step(parts["args"])
    rows = {name: data.head(parts[name], min(max(needed, 2), ROWS)) for name in ("train_dataset", "eval_dataset")}
    if not model.is_whole(parts["model"]):
        _stay_on_meta(parts["model"])
    made: list[Trainer] = []
    with check.phase("trainer", partial(_of_trainer, check)):
        fitted = {name: part if part is None else fit_to_tokenizer(part, tokenizer) for name, part in rows.items()}
        made.append(build.construct(config, parts | fitted | {"callbacks": build.finished(own)}, own))
    return made[0] if made else None


def _stay_on_meta(skeleton: Any) -> None:
    """A model without weights is moved nowhere, and is its own reference model. For this process, which ends soon."""
    from accelerate import Accelerator

    Trainer._move_model_to_device = lambda self, model, device: None
    Accelerator.prepare_model = lambda self, model, **_: model
    for name, module in list(sys.modules.items()):
        if name.startswith(("trl.", "expctl.")) and hasattr(module, "create_model_from_path"):
            module.create_model_from_path = lambda *_, **__: copy.deepcopy(skeleton)


def _of_data(check: Any, error: BaseException) -> Wrong:
    message = said(error)
    if message.startswith("dataset."):
        return Wrong(message, message.partition("=")[0])
    return Wrong(f"the data cannot be used: {message}", "dataset")


def _of_model(check: Any, error: BaseException) -> Wrong:
    message = said(error)
    lowered = message.lower()
    if "flash" in lowered or "attn" in lowered or "attention" in lowered:
        return Wrong(message, "model.attn_implementation", "model.attn_implementation=sdpa, or null for the default")
    if message.startswith("model."):
        return Wrong(message, message.partition("=")[0].partition(" ")[0])
    if "tokenizer" in lowered or "sentencepiece" in lowered:
        path = check.config["model"]["path"]
        return Wrong(
            f"the tokenizer of {path} cannot be loaded: {message}",
            "model.path",
            "save it beside the model: tokenizer.save_pretrained(folder)",
        )
    return Wrong(f"the model cannot be loaded: {message}", "model.path")


def _of_trainer(check: Any, error: BaseException) -> Wrong:
    message = said(error)
    if "target_modules" in message or "target modules" in message.lower():
        return _of_targets(check, message)
    adapter = check.config["peft"]
    field = _quoted(message, adapter or {})
    if field:
        return Wrong(message, f"peft.{field}")
    return check.of_args(error, "algorithm")


def _quoted(message: str, node: dict[str, Any]) -> str | None:
    """The key of a node that a message quotes."""
    return next((name for name in node if f"`{name}`" in message or f"'{name}'" in message), None)


def _of_targets(check: Any, message: str) -> Wrong:
    """An adapter for layers that the model does not have: say those that it has."""
    skeleton, _ = model.without_weights(**check.config["model"])
    names = {name.rpartition(".")[2] for name, part in skeleton.named_modules() if isinstance(part, torch.nn.Linear)}
    names.discard("lm_head")
    return Wrong(
        f"the adapter fits no layer of the model: {message[:200]}",
        "peft.target_modules",
        f"the model has {', '.join(sorted(names))}; all-linear takes all of them",
    )


def _key_of(group: str, config: dict[str, Any], error: BaseException) -> str:
    """The key in a group that a message names, else the group."""
    node = config[group]
    field = named_field(said(error), node) if isinstance(node, dict) else None
    return f"{group}.{field}" if field else group
