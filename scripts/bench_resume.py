"""The part of bench.py that measures carrying on: from the command to the first step, fresh and resumed."""

import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("expctl"))
TRAININGS = {
    "sft": ["algorithm=sft", "args.max_steps=400", "args.per_device_train_batch_size=4"],
    "gfpo": ["algorithm=gfpo", "args.max_steps=100"],
}


def measure(environment: dict[str, str], repeats: int = 3) -> list[tuple[str, str, str, str]]:
    """Rows of seconds to the first step: training, fresh, resumed, ratio (medians, taken in turns)."""
    rows = []
    for name, words in TRAININGS.items():
        words = [*words, "args.do_eval=false", "args.save_steps=20"]
        with tempfile.TemporaryDirectory() as folder:
            stopped = Path(folder) / "stopped"
            stopped.mkdir()
            to_step(words, 21, stopped, environment)
            fresh, resumed = [], []
            for number in range(repeats):
                new, again = Path(folder) / f"new-{number}", Path(folder) / f"again-{number}"
                new.mkdir()
                shutil.copytree(stopped, again)
                fresh.append(to_step(words, 1, new, environment))
                resumed.append(to_step(words, last_step(again) + 1, again, environment))
        a, b = statistics.median(fresh), statistics.median(resumed)
        rows.append((name, f"{a:.2f}", f"{b:.2f}", f"{b / a:.3f}"))
    return rows


def to_step(words: list[str], step: int, folder: Path, environment: dict[str, str]) -> float:
    """Seconds from the command to the row of a step; then the run is told to stop."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [COMMAND, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while last_step(folder) < step:
        if process.poll() is not None:
            sys.exit(f"the run ended before step {step}")
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    process.send_signal(signal.SIGTERM)
    process.wait()
    return seconds


def last_step(folder: Path) -> int:
    for path in (folder / "outputs").glob("*/metrics.jsonl"):
        lines = path.read_text().splitlines()
        try:
            return json.loads(lines[-1])["step"] if lines else 0
        except ValueError:
            return 0  # being written
    return 0
