"""The parent alone: processor seconds of a command, and beside those of another installation of expctl."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("expctl"))
STARTUP = {
    "--help": ["--help"],
    "--cfg job": ["--cfg", "job"],
    "list algorithm": ["list", "algorithm"],
    "ls": ["ls"],
    "check": ["check"],
    "check -m, 2 jobs": ["check", "-m", "seed=1,2"],
    "check -m, 20 jobs": ["check", "-m", "seed=range(20)"],
    "refused: option": ["algorithm=gfop"],
    "refused: field": ["args.learning_rat=1"],
    "refused: type": ["args.learning_rate=fast"],
    "refused: groups": ["args.per_device_train_batch_size=10"],
    "refused: target": ["+callbacks.bad._target_=os.system"],
    "refused: device": ["hardware=gpu"],
    "refused: file": ["dataset=files", "dataset.path=nowhere.jsonl"],
    "refused: model": ["model.path=nobody/nothing-1b"],
}


def measure(folder: Path, env: dict[str, str], repeat: int, other: str | None) -> list[tuple[str, ...]]:
    """A row a command: its median of processor seconds, and with `other` the median of that command and the ratio.

    Both are called in turns, so that a machine that slows down slows both; one uncounted call warms the caches of files
    and bytecode. Processor time and not the clock, since other processes change the latter.
    """
    env = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    commands = [COMMAND] if other is None else [COMMAND, other]
    rows = []
    for name, words in STARTUP.items():
        taken: dict[str, list[float]] = {command: [] for command in commands}
        for number in range(repeat + 1):
            for command in commands:
                seconds = processor_seconds([command, *words], folder, env)
                if number > 0:
                    taken[command].append(seconds)
        medians = [statistics.median(taken[command]) for command in commands]
        row = [name, *(f"{median:.3f}" for median in medians)]
        if other is not None:
            row.append(f"{medians[0] / medians[1]:.2f}")
        rows.append(tuple(row))
    return rows


def processor_seconds(command: list[str], folder: Path, env: dict[str, str]) -> float:
    """User and system time of a command and of the processes that it waited for."""
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime
