"""The part of bench.py that measures sweeps: beside a shell loop over a script, and the parent with many cells."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("expctl"))
STEPS = 10

# The training of a cell as TRL's documentation writes it.
BY_HAND = """
import sys
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer
from expctl.rewards.arithmetic import accuracy

folder, rows, steps, seed, out = sys.argv[1:]
args = GRPOConfig(
    output_dir=out, max_steps=int(steps), seed=int(seed), use_cpu=True, bf16=False, report_to="none", logging_steps=1,
    save_strategy="no", disable_tqdm=True, gradient_checkpointing=False, learning_rate=8e-4,
    per_device_train_batch_size=128, num_generations=16, max_completion_length=96, temperature=1.0,
)
trainer = GRPOTrainer(
    model=AutoModelForCausalLM.from_pretrained(folder, dtype="float32"), args=args, reward_funcs=accuracy,
    processing_class=AutoTokenizer.from_pretrained(folder, padding_side="left"),
    train_dataset=load_dataset("json", data_files=rows, split="train"),
)
trainer.train()
trainer.save_model(out + "/model")
"""


def measure(environment: dict[str, str], cells: int = 16) -> list[tuple[str, str]]:
    """Rows of what was measured and the figure."""
    with tempfile.TemporaryDirectory() as folder:
        by_hand = loop_by_hand(Path(folder), cells, environment)
        words = ["algorithm=grpo", f"args.max_steps={STEPS}", "args.do_eval=false", f"seed=range({cells})"]
        sweep = clock([COMMAND, "-m", *words], Path(folder), environment)
        summaries = (Path(folder) / "outputs").glob("*/summary.json")
        trained = sum(json.loads(path.read_text())["seconds"]["training"] for path in summaries)
        again = clock([COMMAND, "-m", *words], Path(folder), environment)
    ideal = trained / 2
    return [
        (f"{cells} cells of {STEPS} steps, a shell loop over a script, s", f"{by_hand:.1f}"),
        ("the same as a sweep, s", f"{sweep:.1f}"),
        ("times faster", f"{by_hand / sweep:.2f}"),
        ("beside the cells' training times / 2", f"{sweep / ideal:.3f}"),
        ("the same sweep again, s", f"{again:.2f}"),
        ("1,000 cells checked, s", f"{check(1000, environment)[0]:.1f}"),
        ("the parent's memory a cell, MB", f"{(check(600, environment)[1] - check(100, environment)[1]) / 500:.3f}"),
    ]


def loop_by_hand(folder: Path, cells: int, environment: dict[str, str]) -> float:
    from expctl.data.arithmetic import load
    from expctl.models import resolve

    train, _ = load(kind="prompt-only", seed=0, eval_size=16)
    train.to_json(folder / "rows.jsonl")
    (folder / "by_hand.py").write_text(BY_HAND)
    model = resolve("embedded:tiny").source
    script = f"{sys.executable} by_hand.py {model} rows.jsonl {STEPS}"
    loop = f"for seed in $(seq 0 {cells - 1}); do {script} $seed out-$seed"
    return clock(["sh", "-ec", f"{loop}; done"], folder, environment)


def check(cells: int, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak memory (MB) of `expctl check -m` over so many cells."""
    script = f"""import resource, sys
from expctl.cli.main import run_words
run_words(["check", "-m", "seed=range({cells})"])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)"""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, float(done.stderr.split()[-1])


def clock(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - began
