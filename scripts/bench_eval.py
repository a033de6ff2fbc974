"""An evaluation beside the bare loop of generation and reward, with SmolLM2-135M (`scripts/bench.py eval`).

64 prompts of the embedded task, 16 a batch, 32 tokens each, in float32 on one thread. The loop by hand
tokenizes, generates, decodes and rewards; the evaluation is what the worker of `expctl eval` calls once it is built,
down to the completions that it keeps. Both sample the same number of tokens. Seconds are those of the processor, so
that the ratio holds on a busy machine as well.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from expctl.algorithms.evaluation import EvaluationConfig, EvaluationTrainer
from expctl.data.arithmetic import load
from expctl.rewards.arithmetic import accuracy
from expctl.runs.files import Run
from expctl.runs.progress import Progress
from expctl.worker.evaluation import evaluate

MODEL = Path("~/.cache/expctl/models/smollm2_135m").expanduser()
PROMPTS, BATCH, TOKENS = 64, 16, 32


def measure(repeat: int) -> list[tuple[str, ...]]:
    """A row for each: seconds of each turn, the median, and the ratio to the loop by hand."""
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    _, rows = load(kind="prompt-only", seed=0, train_size=1, eval_size=PROMPTS)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        trainer = _trainer(model, tokenizer, rows, folder)
        ways = {
            "generation by hand": lambda: _by_hand(model, tokenizer, rows),
            "expctl's evaluation": lambda: evaluate(trainer, run, Progress(run.progress)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(repeat + 1):
            for name, work in ways.items():
                began = time.process_time()
                work()
                if turn:  # the first makes what is made once
                    seconds[name].append(time.process_time() - began)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    whole = medians["generation by hand"]
    return [
        (name, ", ".join(f"{one:.1f}" for one in seconds[name]), f"{median:.2f}", f"{median / whole:.3f}")
        for name, median in medians.items()
    ]


def _by_hand(model: Any, tokenizer: Any, rows: Any) -> float:
    """The mean reward of one completion a prompt."""
    ends = model.generation_config.eos_token_id
    sampling = {"do_sample": True, "top_k": 0, "max_new_tokens": TOKENS, "min_new_tokens": TOKENS}
    rewards: list[float] = []
    for start in range(0, PROMPTS, BATCH):
        batch = rows[start : start + BATCH]
        inputs = tokenizer(batch["prompt"], return_tensors="pt", padding=True)
        with torch.no_grad():
            ids = model.generate(**inputs, **sampling, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id)
        texts = tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        rewards += accuracy(texts, batch["answer"])
    return sum(rewards) / len(rewards)


def _trainer(model: Any, tokenizer: Any, rows: Any, folder: str) -> EvaluationTrainer:
    arguments = EvaluationConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
        per_device_eval_batch_size=BATCH,
        max_completion_length=TOKENS,
        generation_kwargs={"min_new_tokens": TOKENS},
    )
    return EvaluationTrainer(
        model, accuracy, arguments, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer
    )
