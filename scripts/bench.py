#!/usr/bin/env python
"""Measure what expctl costs, side by side in one call: ratios and medians, never a test's business.

scripts/bench.py startup     the parent alone: --help, --cfg job, list, check, check -m, and each kind of refusal;
                             with --beside PATH also another installation's expctl, in turns, and the ratio
scripts/bench.py overhead    a run through expctl beside the same training as a hand-written TRL script
scripts/bench.py gfpo        steps of GFPO, replay and BEMA beside GRPO's, in one process
scripts/bench.py checkpoint  a checkpoint of 100 million parameters as transformers writes it, and as expctl does
scripts/bench.py metrics     writing the metrics of a step
scripts/bench.py sweep       16 short cells beside a shell loop over a script; checking a thousand
scripts/bench.py ls          ten thousand runs listed, for the first time and again
scripts/bench.py sampling    tokens a second of vLLM alone and below expctl (scripts/vllm_on_cpu.sh)
scripts/bench.py compact     generation=compact and a static cache beside transformers' own sampling, SmolLM2-135M
scripts/bench.py eval        an evaluation beside the bare loop of generation and reward, SmolLM2-135M
scripts/bench.py rewards     check of a 5 GB file and of 200 shards beside a small one; 10,000 answers by reward=math
                             beside math-verify alone; a step with rewards that wait beside one that does not
scripts/bench.py resume      from the command to the first step: a fresh start beside one that carries on
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("expctl"))

# The training that `overhead` times, written by hand as TRL's documentation does it. It times its own steps.
BY_HAND = """
import json, sys, time
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

folder, rows, steps, batch, out = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
args = SFTConfig(
    output_dir=out, max_steps=int(steps), per_device_train_batch_size=int(batch), learning_rate=1e-3, use_cpu=True,
    bf16=False, report_to="none", logging_steps=1, save_strategy="no", disable_tqdm=True, seed=0,
    gradient_checkpointing=False,
)
trainer = SFTTrainer(
    model=model, args=args, processing_class=tokenizer,
    train_dataset=load_dataset("json", data_files=rows, split="train"),
)
trainer.train()
trainer.save_model(out + "/model")
json.dump(trainer.state.log_history, open(out + "/history.json", "w"))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = [
        "startup",
        "overhead",
        "gfpo",
        "checkpoint",
        "metrics",
        "resume",
        "sweep",
        "ls",
        "sampling",
        "compact",
        "eval",
        "rewards",
    ]
    parser.add_argument("what", choices=parts)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each; the median counts")
    parser.add_argument("--beside", metavar="PATH", help="for startup: the expctl of another commit's environment")
    chosen = parser.parse_args()
    if chosen.what == "gfpo":
        from bench_algorithms import gfpo

        table(("", "step ms", "without sampling ms", "ratio to grpo's"), gfpo(chosen.repeat))
        return
    if chosen.what in ("checkpoint", "metrics"):
        import bench_runs

        table(*getattr(bench_runs, chosen.what)(chosen.repeat))
        return
    if chosen.what == "sweep":
        import bench_sweep

        table(("sweep", ""), bench_sweep.measure(quiet()))
        return
    if chosen.what == "ls":
        import bench_ls

        table(("10,000 runs", "median s", "of a processor"), bench_ls.measure(quiet(), chosen.repeat))
        return
    if chosen.what == "sampling":
        import bench_sampling

        table(("SmolLM2-135M", "tokens/s of a processor", "ratio"), bench_sampling.measure(chosen.repeat))
        return
    if chosen.what == "compact":
        import bench_compact

        columns = ("SmolLM2-135M, 32 rows", "computed tokens", "completion tokens", "s of a processor", "ratio")
        table(columns, bench_compact.measure(chosen.repeat))
        return
    if chosen.what == "eval":
        import bench_eval

        columns = ("SmolLM2-135M, 64 prompts", "s of a processor", "median", "ratio")
        table(columns, bench_eval.measure(chosen.repeat))
        return
    if chosen.what == "resume":
        import bench_resume

        table(("seconds to the first step", "fresh", "resumed", "ratio"), bench_resume.measure(quiet(), chosen.repeat))
        return
    with tempfile.TemporaryDirectory() as folder:
        if chosen.what == "startup":
            import bench_startup

            other = () if chosen.beside is None else ("beside", "ratio")
            rows = bench_startup.measure(Path(folder), quiet(), chosen.repeat, chosen.beside)
            table(("processor seconds, median", "here", *other), rows)
            return
        if chosen.what == "rewards":
            import bench_rewards

            for name in ("check", "answers", "waiting"):
                rows = getattr(bench_rewards, name)(Path(folder), quiet(), chosen.repeat)
                table((f"{name}, median s", "", "ratio"), rows)
            return
        overhead(Path(folder), chosen.repeat)


def overhead(folder: Path, repeat: int) -> None:
    """The same model, data, order, threads and steps both ways, in turns; evaluation off, the final model saved."""
    steps, batch = 300, 8
    rows = training_rows(folder)
    script = folder / "by_hand.py"
    script.write_text(BY_HAND)
    model = Path(__import__("expctl").__file__).parent / "models" / "tiny"
    whole: dict[str, list[float]] = {"by hand": [], "expctl": []}
    step: dict[str, list[float]] = {"by hand": [], "expctl": []}
    for number in range(repeat):
        out = folder / f"by_hand_{number}"
        whole["by hand"].append(
            clock([sys.executable, str(script), str(model), str(rows), str(steps), str(batch), str(out)], folder)
        )
        step["by hand"].append(training_seconds(json.loads((out / "history.json").read_text())) / steps)
        shutil.rmtree(folder / "outputs", ignore_errors=True)
        words = ["algorithm=sft", "hardware=cpu", "dataset=files", f"dataset.path={rows}", f"args.max_steps={steps}"]
        words += [f"args.per_device_train_batch_size={batch}", "args.learning_rate=1e-3", "args.do_eval=false"]
        whole["expctl"].append(clock([COMMAND, *words, "args.save_strategy='no'"], folder))
        (summary,) = (folder / "outputs").glob("*/summary.json")
        step["expctl"].append(json.loads(summary.read_text())["train_runtime"] / steps)
    medians = {name: statistics.median(seconds) for name, seconds in whole.items()}
    steps_at = {name: statistics.median(seconds) for name, seconds in step.items()}
    table(
        ("", "whole, median s", "a step, median ms"),
        [(name, f"{medians[name]:.2f}", f"{1000 * steps_at[name]:.2f}") for name in whole]
        + [
            ("expctl - by hand", f"{medians['expctl'] - medians['by hand']:+.2f}", ""),
            ("expctl / by hand", "", f"{steps_at['expctl'] / steps_at['by hand']:.3f}"),
        ],
    )


def training_rows(folder: Path) -> Path:
    """The embedded prompts and completions as a file that both read."""
    from expctl.data.arithmetic import load

    train, _ = load(kind="prompt-completion", seed=0, train_size=1024, eval_size=16)
    train.to_json(folder / "rows.jsonl")
    return folder / "rows.jsonl"


def training_seconds(history: list[dict]) -> float:
    return next(row["train_runtime"] for row in history if "train_runtime" in row)


def clock(command: list[str], folder: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=quiet(), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - began


def quiet() -> dict[str, str]:
    return os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print rows in columns, numbers to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells))


if __name__ == "__main__":
    main()
