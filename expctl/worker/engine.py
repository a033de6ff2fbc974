"""What the worker adds to TRL's use of an engine: settings that TRL hands to none, a start of its own, a second try.

TRL makes the colocated engine in the trainer's constructor. It takes neither a number format nor the experiment's seed,
and it looks for a port and for free memory as if it were alone on the machine.
"""

import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase, Trainer, TrainingArguments

from expctl.algorithms.compact_sampling import sample_compactly
from expctl.base import engine
from expctl.base.engine import COLOCATED, GROUP_PORT, SERVER, SERVER_URL, format_of_engine, joined_server, vllm_mode
from expctl.base.plain_data import mapping
from expctl.base.ports import HeldPort, rendezvous_variables
from expctl.devices.detection import gpu_names
from expctl.devices.leases import CELLS_PER_GPU
from expctl.devices.starting import CPU, alone_on
from expctl.worker.cpu_engine import hand_over_by_file, keep_weights_loadable

logger = logging.getLogger(__name__)

# Ports that are tried: that of the parent, and others should somebody have taken it.
TRIES = 3
# The length of the engine's sequences is rounded up to a multiple of it.
MULTIPLE = 16
UTILIZATION = "vllm_gpu_memory_utilization"
ROWS_AT_ONCE = 1000
NO_FILE_NAME = r"[^\w.]+"

# What this process keeps until it ends.
_for_good = ExitStack()


def prepare_engine(config: dict[str, Any], folder: Path | None = None) -> None:
    """Have TRL's colocated engine be made by `start_engine`, and weights reach a CPU's; wait for a server that runs.

    `config`: resolved; `folder`: of the run. Such a server serves one run of this user and machine at a time.
    """
    mode, on_cpu, url = vllm_mode(config), mapping(config.get("hardware")).get("use_cpu"), joined_server(config)
    if url and not int(os.environ.get("RANK", "0")):
        # One run at a time: two would overwrite each other's weights.
        _for_good.enter_context(alone_on([f"server-{re.sub(NO_FILE_NAME, '_', url)}"]))
    if mode == SERVER and on_cpu:
        hand_over_by_file(folder if engine.has_own_node(config) else None)
    if mode != COLOCATED:
        return
    from trl.generation import vllm_generation

    if on_cpu and "vllm" in sys.modules:  # without it TRL says so
        keep_weights_loadable()

    make = vllm_generation.LLM
    if isinstance(make, partial):  # an earlier trainer of this process
        make = make.args[0]
    vllm_generation.LLM = partial(start_engine, make, config)


def start_engine(make: Callable[..., Any], config: dict[str, Any], **given: Any) -> Any:
    """The engine, made when no other engine starts on its devices.

    Args:
        make: `vllm.LLM`.
        config: resolved.
        **given: TRL's keywords for it. Its seed is a number for each group of ranks, the same in every run.

    Raises:
        Exception: whatever the engine says, but for a port that was taken: then others are tried.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    keywords = given | format_of_engine(config) | {"seed": config["seed"] * world + given.get("seed", 0)}
    with _alone(config, world):
        for _ in range(TRIES - 1):
            try:
                return make(**keywords)
            except Exception as error:
                if world > 1 or not is_port_taken(error):
                    raise
                logger.warning("the port %s was taken: another one is tried", os.environ.get("MASTER_PORT"))
                port = HeldPort()
                os.environ |= rendezvous_variables(port)
        return make(**keywords)


def is_port_taken(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, says that a port is in use."""
    while error is not None:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return True
        if "EADDRINUSE" in str(error) or "address already in use" in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def _alone(config: dict[str, Any], world: int) -> Iterator[None]:
    """No engine of another run starts on the devices of this one meanwhile.

    Of several ranks the first on each machine waits for all its devices: ranks that waited one by one could each have
    what another needs, and none would begin.
    """
    devices = [CPU] if config["hardware"]["use_cpu"] else gpu_names() or [CPU]
    if world == 1:
        with alone_on(devices):
            yield
        return
    from torch import distributed

    first = int(os.environ.get("LOCAL_RANK", "0")) == 0
    with alone_on(devices if first else []):
        distributed.barrier()
        yield
        distributed.barrier()


def fill_arguments(
    config: dict[str, Any],
    arguments: TrainingArguments,
    datasets: list[Any],
    tokenizer: PreTrainedTokenizerBase,
    positions: int | None,
) -> None:
    """Set what only this machine and the data know: the server's address, the engine's longest sequence and its memory.

    Where cells share a GPU, each engine has its part of what the config gives to one.

    Args:
        config: resolved.
        arguments: the trainer's; changed.
        datasets: for training and evaluation; None for one that is not there.
        tokenizer: of the model.
        positions: of the model; None where it states none.
    """
    mode, values = vllm_mode(config), vars(arguments)
    if mode == SERVER and SERVER_URL in os.environ:
        values["vllm_server_base_url"] = os.environ[SERVER_URL]
        engine.reach_directly(os.environ[SERVER_URL])
        values["vllm_group_port"] = int(os.environ[GROUP_PORT])
    if mode != COLOCATED:
        return
    cells = int(os.environ.get(CELLS_PER_GPU, "1"))
    if cells > 1:
        values[UTILIZATION] /= cells
        logger.warning("%d cells may share this GPU: the engine has %.3g of it", cells, values[UTILIZATION])
    if values.get("vllm_max_model_length") is None:
        longest = longest_prompt(datasets, tokenizer, values.get("chat_template_kwargs") or {})
        if longest is not None:
            needed = longest + int(values["max_completion_length"])
            rounded = -(-needed // MULTIPLE) * MULTIPLE
            values["vllm_max_model_length"] = min(rounded, positions or rounded)


def check_model_length(
    config: dict[str, Any], arguments: TrainingArguments, datasets: list[Any], tokenizer: PreTrainedTokenizerBase
) -> None:
    """Refuse sequences of the engine that a prompt and its completion do not fit into. Args as for `fill_arguments`.

    Raises:
        ValueError: the longest prompt and a completion have more tokens than were asked for.
    """
    values = vars(arguments)
    asked = values.get("vllm_max_model_length")
    if vllm_mode(config) is None or asked is None:
        return
    longest = longest_prompt(datasets, tokenizer, values.get("chat_template_kwargs") or {})
    completion = int(values["max_completion_length"])
    if longest is not None and longest + completion > asked:
        raise ValueError(
            f"args.vllm_max_model_length={asked}: the longest prompt of the data has {longest} tokens, a completion "
            f"up to {completion}; leave it out, or give {longest + completion}"
        )


def longest_prompt(
    datasets: list[Any], tokenizer: PreTrainedTokenizerBase, template_keywords: dict[str, Any]
) -> int | None:
    """Tokens of the longest prompt of all datasets; None where one of them cannot be counted.

    `template_keywords`: to the chat template, for conversations.
    """
    parts: list[Any] = []
    for dataset in datasets:
        parts += dataset.values() if isinstance(dataset, dict) else [dataset]
    longest = 0
    for part in parts:
        if part is None:
            continue
        if not isinstance(part, Dataset) or "prompt" not in part.column_names:
            return None
        for first in range(0, len(part), ROWS_AT_ONCE):
            prompts = part[first : first + ROWS_AT_ONCE]["prompt"]
            longest = max(longest, *map(len, _tokens(prompts, tokenizer, template_keywords)))
    return longest


def _tokens(prompts: list[Any], tokenizer: PreTrainedTokenizerBase, template_keywords: dict[str, Any]) -> list[Any]:
    """The tokens of each prompt, as the trainer makes them."""
    if isinstance(prompts[0], str):
        ids: list[Any] = tokenizer(prompts)["input_ids"]
        return ids
    keywords = template_keywords | {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
    return list(tokenizer.apply_chat_template(prompts, **keywords))


def let_rows_leave(config: dict[str, Any], trainer: Trainer) -> None:
    """With `generation=compact`, have the trainer's model sample as `compact_sampling` does.

    Raises:
        ValueError: this kind of model cannot.
    """
    if mapping(config.get("generation")).get("compact"):
        sample_compactly(trainer.model)


def keep_mode(trainer: Trainer) -> None:
    """Let TRL's continuous batching leave the model in the mode that it found: it turns an evaluation into a training.

    Seen in TRL 1.16: `unwrapped_model.train()` after every call of `generate_batch`.
    """
    if not getattr(trainer, "use_transformers_continuous_batching", False):
        return
    sampler: Any = trainer
    sample, model = sampler._generate_single_turn, sampler.model

    def sample_in_mode(*args: Any, **keywords: Any) -> Any:
        training = model.training
        try:
            return sample(*args, **keywords)
        finally:
            model.train(training)

    sampler._generate_single_turn = sample_in_mode
