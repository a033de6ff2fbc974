"""Trainers whose completions the real vLLM samples, in this process and on the CPU: one engine for all of them.

An engine takes long to import and its start some seconds, and what it knows of a training are the weights, which each
trainer hands over before it samples. So trainers share one.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from padded import make_padded
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig
from trl.generation import vllm_generation

from expctl.algorithms import gspo_token
from expctl.algorithms.gfpo import GFPOConfig, GFPOTrainer
from expctl.algorithms.grpo_with_replay_buffer import GRPOWithReplayBufferConfig, GRPOWithReplayBufferTrainer
from expctl.data.arithmetic import load
from expctl.rewards.arithmetic import accuracy
from expctl.worker.cpu_engine import keep_weights_loadable

LENGTH = 96
SETTINGS = {
    "use_cpu": True,
    "bf16": False,
    "use_vllm": True,
    "vllm_mode": "colocate",
    "vllm_gpu_memory_utilization": 0.1,
    "vllm_max_model_length": LENGTH + 32,
    "max_completion_length": LENGTH,
    "num_generations": 8,
    "per_device_train_batch_size": 32,
    "max_steps": 3,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "constant",
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}
# Trainer, its config, its fields, its keywords.
ALGORITHMS: dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any]]] = {
    "gfpo drop": (GFPOTrainer, GFPOConfig, {"num_remains_in_group": 4}, {"group_filter_func": "shortest"}),
    "gfpo mask": (
        GFPOTrainer,
        GFPOConfig,
        {"num_remains_in_group": 4, "filtered": "mask"},
        {"group_filter_func": "shortest"},
    ),
    "gspo token": (
        gspo_token.GRPOTrainer,
        GRPOConfig,
        {"importance_sampling_level": "sequence_token", "loss_type": "grpo", "steps_per_generation": 1},
        {},
    ),
    "replay": (GRPOWithReplayBufferTrainer, GRPOWithReplayBufferConfig, {"replay_buffer_size": 16}, {}),
}


@cache
def folder_of_model() -> Path:
    """The padded embedded model, made once a process."""
    import tempfile

    return make_padded(Path(tempfile.mkdtemp(prefix="padded-")))


@cache
def engine() -> Any:
    """The one engine, as TRL makes it for a trainer, in the number format of the training."""
    keep_weights_loadable()
    return vllm_generation.LLM(
        model=str(folder_of_model()),
        max_model_len=SETTINGS["vllm_max_model_length"],
        distributed_executor_backend="external_launcher",
        seed=0,
        max_num_batched_tokens=4096,
        logprobs_mode="processed_logprobs",
        dtype="float32",
        enforce_eager=True,
    )


def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(folder_of_model())


def build(algorithm: str, folder: Path, *, keywords: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A trainer of one of `ALGORITHMS`; with `use_vllm=False` transformers samples for it."""
    trainer, config, own, own_keywords = ALGORITHMS[algorithm]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder_of_model(), dtype=torch.float32)
    arguments = config(output_dir=str(folder), **SETTINGS | own | fields)
    data = load(kind="prompt-only", seed=0, train_size=64, eval_size=8)[0]
    rest = own_keywords | (keywords or {})
    return trainer(model, accuracy, arguments, train_dataset=data, processing_class=tokenizer(), **rest)


def greedy_engine(ids: list[list[int]], tokens: int = 24) -> list[list[int]]:
    """The likeliest tokens after each prompt, by the engine."""
    sampling = vllm_generation.SamplingParams(temperature=0.0, max_tokens=tokens, logprobs=0)
    prompts = [{"prompt_token_ids": row} for row in ids]
    outputs = engine().generate(prompts, sampling_params=sampling, use_tqdm=False)
    return [list(output.outputs[0].token_ids) for output in outputs]


def greedy_model(model: Any, ids: list[list[int]], tokens: int = 24) -> list[list[int]]:
    """The same by transformers, one prompt at a time."""
    model.eval()
    rows = []
    for row in ids:
        written = model.generate(torch.tensor([row]), do_sample=False, max_new_tokens=tokens)[0, len(row) :].tolist()
        end = written.index(model.config.eos_token_id) + 1 if model.config.eos_token_id in written else len(written)
        rows.append(written[:end])
    return rows


def logged(trainer: Any, name: str) -> list[float]:
    """A metric of every step."""
    return [float(entry[name]) for entry in trainer.state.log_history if name in entry]
