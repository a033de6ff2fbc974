"""Kill trainings again and again, at random moments, and look whether anything was lost.

    python scripts/faults.py --kills 200 --ranks 1
    python scripts/faults.py --kills 100 --ranks 2 --seed 7

Each experiment is run twice through the installed command: once undisturbed, and once with `kill -9` of the worker, of
a rank, of its launcher, of the command or of all of them, until the same command has finished it. After every kill: no
process is left, the manifest says no more than is true, no complete checkpoint is gone. At the end: metrics and weights
equal to the last bit. Exits with 1 and says what was lost otherwise.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from expctl.runs import manifest
from expctl.runs.checkpoints import complete, step_of
from expctl.runs.drift import is_timed
from expctl.runs.files import Run, read_json, read_metrics

COMMAND = str(Path(sys.executable).with_name("expctl"))
# Checkpoints so often that many a kill falls into one.
EXPERIMENT = [
    "algorithm=sft",
    "args.save_steps=2",
    "args.do_eval=false",
    "args.per_device_train_batch_size=2",
    "dataset.train_size=64",
    "dataset.eval_size=16",
]
LIMIT_SECONDS = 180
# What a busy machine takes to end a process that has no name any more.
SETTLING_SECONDS = 10


class LostError(Exception):
    """Something that was complete is gone, or something was said that is not so."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--ranks", type=int, choices=(1, 2), default=1)
    parser.add_argument("--steps", type=int, default=120, help="of an experiment; a kill comes every five")
    parser.add_argument("--start-seconds", type=float, default=8, help="within which a kill meets a run that starts")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims")
    chosen = parser.parse_args(arguments)
    dice = random.Random(chosen.seed)
    kills: Counter[str] = Counter()
    began, experiment = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        while kills.total() < chosen.kills:
            hardware = "cpu" if chosen.ranks == 1 else "cpu_2"
            words = [*EXPERIMENT, f"args.max_steps={chosen.steps}", f"hardware={hardware}", f"seed={experiment}"]
            calm = undisturbed(words, Path(folder) / f"calm-{experiment}")
            disturbed(words, Path(folder) / f"disturbed-{experiment}", calm, dice, kills, chosen)
            experiment += 1
    shown = ", ".join(f"{victim} {number}" for victim, number in sorted(kills.items()))
    took = time.monotonic() - began
    print(f"{kills.total()} kills ({shown}) in {experiment} experiments and {took:.0f} s: nothing lost")


def undisturbed(words: list[str], folder: Path) -> Run:
    folder.mkdir()
    done = subprocess.run([COMMAND, *words], cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return run_in(folder)


def disturbed(
    words: list[str],
    folder: Path,
    calm: Run,
    dice: random.Random,
    kills: Counter[str],
    chosen: argparse.Namespace,
) -> None:
    """The experiment with a kill an attempt until it is completed; then it must equal the calm one."""
    folder.mkdir()
    attempts, kept = 0, 0
    while True:
        process = subprocess.Popen(
            [COMMAND, *words],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        attempts += 1
        enough = kills.total() >= chosen.kills
        victim = None if enough else disturb(process, folder, dice, chosen.start_seconds)
        try:
            out, _ = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise LostError(f"the command never ended after the {victim} was killed") from None
        if victim:
            kills[victim] += 1
            print(f"{time.strftime('%H:%M:%S')} {kills.total():4}  {victim:8} at {where(folder)}", flush=True)
        if (folder / "outputs").is_dir() and any((folder / "outputs").glob("*/run.json")):
            kept = look(run_in(folder), kept, attempts, process.returncode, out)
            if manifest.read(run_in(folder)).status == manifest.COMPLETED:
                break
        elif victim is None:
            raise LostError(out)
    compare(run_in(folder), calm)


def disturb(process: subprocess.Popen, folder: Path, dice: random.Random, start_seconds: float) -> str | None:
    """Kill someone at a random moment of this attempt; who it was, None when the training was faster."""
    moment = dice.choice(["start", "step", "step", "save", "save"])
    start = last_step(folder)
    if moment == "start":
        time.sleep(dice.uniform(0, start_seconds))
    else:
        beyond = start + dice.randint(1, 8)
        saving = dice.random() < 0.7
        while process.poll() is None and last_step(folder) < beyond:
            time.sleep(0.02)
        while moment == "save" and saving and process.poll() is None and not being_saved(folder):
            time.sleep(0.0005)
        time.sleep(dice.uniform(0, 0.03))
    found = victims(process, folder)
    victim = dice.choice(sorted(found))
    if process.poll() is not None:
        return None
    for pid in found[victim]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return victim


def victims(process: subprocess.Popen, folder: Path) -> dict[str, list[int]]:
    """Whom one could kill now: `command`, `launcher`, `rank`, `all`."""
    found = {"command": [process.pid], "all": [process.pid]}
    for pid, words in processes_of(folder):
        found["all"].append(pid)
        if "expctl.worker" in words:
            found["launcher" if "accelerate.commands.launch" in words else "rank"] = [pid]
    return found


def look(run: Run, kept: int, attempts: int, code: int, out: str) -> int:
    """What must hold after every attempt, however it ended; the step of the last complete checkpoint."""
    until = time.monotonic() + LIMIT_SECONDS
    while processes_of(run.folder):
        if time.monotonic() > until:
            raise LostError(f"processes outlived their command: {processes_of(run.folder)}")
        time.sleep(0.05)
    settled = time.monotonic() + SETTLING_SECONDS
    while manifest.read(run).status == manifest.RUNNING and time.monotonic() < settled:
        time.sleep(0.05)  # a dying process loses its name before its locks
    described = manifest.read(run)
    if described.status not in (manifest.COMPLETED, manifest.FAILED, manifest.INTERRUPTED):
        raise LostError(f"the manifest says {described.status} of a run without a process")
    if described.status == manifest.COMPLETED and not (run.summary.exists() and (run.model / "config.json").exists()):
        raise LostError("the manifest says completed of a run without summary or model")
    if code == 0 and described.status != manifest.COMPLETED:
        raise LostError(f"the command said 0 and the manifest {described.status}: {out}")
    if len(described.attempts) > attempts:
        raise LostError(f"{len(described.attempts)} attempts in the manifest after {attempts} commands")
    last = max(map(step_of, complete(run.checkpoints)), default=0)
    if last < kept:
        raise LostError(f"checkpoint-{kept} was complete and is gone; the last one is {last}")
    return last


def compare(run: Run, calm: Run) -> None:
    """Metrics and weights of both runs are the same to the last bit."""
    ours, theirs = comparable(run), comparable(calm)
    if ours != theirs:
        first = next((pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]), (len(ours), len(theirs)))
        raise LostError(f"metrics differ from the undisturbed run's: {first}")
    for weights in calm.model.glob("*.safetensors"):
        if weights.read_bytes() != (run.model / weights.name).read_bytes():
            raise LostError(f"{weights.name} differs from the undisturbed run's")


def comparable(run: Run) -> list[dict]:
    rows = read_metrics(run.metrics)
    return [{key: value for key, value in row.items() if not is_timed(key)} for row in rows]


def run_in(folder: Path) -> Run:
    found = sorted((folder / "outputs").glob("*/run.json"))
    if len(found) != 1:
        raise LostError(f"one experiment, {len(found)} runs: {found}")
    return Run(found[0].parent)


def last_step(folder: Path) -> int:
    for path in (folder / "outputs").glob("*/metrics.jsonl"):
        rows = read_metrics(path)
        return rows[-1]["step"] if rows else 0
    return 0


def being_saved(folder: Path) -> bool:
    return any((folder / "outputs").glob("*/checkpoints/.writing"))


def where(folder: Path) -> str:
    said = [read_json(path) or {} for path in (folder / "outputs").glob("*/.progress.json")]
    return f"{said[0].get('phase')}, step {said[0].get('step')}" if said else "the very beginning"


def processes_of(folder: Path) -> list[tuple[int, str]]:
    """Process ids and command lines that name a folder, but for zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
            if str(folder) in words and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append((int(entry.name), words.replace("\0", " ")))
        except OSError:
            continue
    return found


def environment() -> dict[str, str]:
    return os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    try:
        main()
    except LostError as lost:
        print(f"LOST: {lost}")
        sys.exit(1)
