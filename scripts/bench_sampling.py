"""Tokens a second of vLLM alone, of vLLM and transformers below a trainer of expctl, and the hand-over of weights.

In the environment of scripts/vllm_on_cpu.sh, with SmolLM2-135M (scripts/make_smollm2.py). The bare engine is one as its
own user would make it in float32; all sample the same number of tokens. Seconds are those of the processor: the ratios
hold on a busy machine as well.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODEL = Path("~/.cache/expctl/models/smollm2_135m").expanduser()
PROMPTS, GROUP, TOKENS = 4, 8, 32


def measure(repeat: int) -> list[tuple[str, ...]]:
    """A row for each way of sampling: tokens a second, and the ratio to the bare engine's."""
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "HF_HUB_OFFLINE": "1",
        "MASTER_ADDR": "127.0.0.1",
    }
    from trl.generation import vllm_generation

    keywords = {
        "model": str(MODEL),
        "dtype": "float32",
        "enforce_eager": True,
        "max_model_len": 512,
        "distributed_executor_backend": "external_launcher",
    }
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": str(29000 + os.getpid() % 900)}
    bare = vllm_generation.LLM(**keywords)
    ours = _trainer("vllm")
    theirs = _trainer("transformers")
    prompts = [prompt for prompt in _prompts() for _ in range(GROUP)]
    ids = ours.processing_class(prompts)["input_ids"]
    sampling = vllm_generation.SamplingParams(temperature=1.0, max_tokens=TOKENS, ignore_eos=True, logprobs=0)

    def by_engine() -> None:
        bare.generate([{"prompt_token_ids": row} for row in ids], sampling_params=sampling, use_tqdm=False)

    ways: dict[str, Callable[[], Any]] = {
        "vLLM alone": by_engine,
        "vLLM below expctl": lambda: ours._generate(list(prompts)),
        "transformers below expctl": lambda: theirs._generate(list(prompts)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for name, sample in ways.items():
        sample()  # what is made once
        seconds[name] = []
    for _ in range(repeat):
        for name, sample in ways.items():
            seconds[name].append(_processor_seconds(sample))
    rate = {name: len(prompts) * TOKENS / statistics.median(of) for name, of in seconds.items()}
    rows = [(name, f"{rate[name]:.0f}", f"{rate[name] / rate['vLLM alone']:.2f}") for name in ways]
    handed = statistics.median(_processor_seconds(ours.vllm_generation.sync_weights) for _ in range(repeat))
    return [*rows, ("weights handed over, ms", f"{1000 * handed:.0f}", "")]


def _processor_seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _prompts() -> list[str]:
    from expctl.data.arithmetic import load

    train, _ = load(kind="prompt-only", seed=0, train_size=PROMPTS, eval_size=1)
    return [f"{'What is the sum of these numbers, step by step? ' * 2}{prompt}" for prompt in train["prompt"]]


def _trainer(engine: str) -> Any:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from expctl.algorithms.gfpo import GFPOConfig, GFPOTrainer
    from expctl.worker.engine import prepare_engine

    prepare_engine(
        {
            "args": {"use_vllm": engine == "vllm"},
            "generation": {},
            "hardware": {"use_cpu": True, "num_processes": 1},
            "seed": 0,
        }
    )
    arguments = GFPOConfig(
        output_dir=tempfile.mkdtemp(),
        use_cpu=True,
        bf16=False,
        use_vllm=engine == "vllm",
        vllm_mode="colocate",
        vllm_gpu_memory_utilization=0.1,
        vllm_max_model_length=512,
        max_completion_length=TOKENS,
        num_generations=GROUP,
        per_device_train_batch_size=PROMPTS * GROUP,
        generation_kwargs={"ignore_eos": True} if engine == "vllm" else {"min_new_tokens": TOKENS},
        report_to="none",
        gradient_checkpointing=False,
    )
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    return GFPOTrainer(
        model,
        lambda completions, **_: [0.0] * len(completions),
        arguments,
        train_dataset=Dataset.from_dict({"prompt": _prompts()}),
        processing_class=AutoTokenizer.from_pretrained(MODEL),
    )
