"""The part of bench.py that measures rewards: large files checked, answers compared, a judge waited for."""

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("expctl"))
ROW = json.dumps({"prompt": "What is 17*23? " + "x" * 400, "answer": "391"}) + "\n"
LARGE = 5 * 10**9  # bytes
ANSWERS = 10_000
WAIT = 0.5  # seconds of a judge's call
JUDGES = f"""
import asyncio

async def first(completions, **columns):
    await asyncio.sleep({WAIT})
    return [float(len(completion) % 3) for completion in completions]

async def second(completions, **columns):
    return await first(completions)

async def at_once(completions, **columns):
    return [float(len(completion) % 3) for completion in completions]
"""
# math-verify as its page shows it, on as many processes as there are cores.
BARE = """
import json, multiprocessing, os, sys
from math_verify import parse, verify

def right(pair):
    return bool(verify(parse(pair[0]), parse(pair[1])))

pairs = json.load(open(sys.argv[1]))
with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool:
    print(sum(pool.map(right, pairs, chunksize=64)))
"""
OURS = """
import json, sys
from expctl.rewards.expressions import accuracy

pairs = json.load(open(sys.argv[1]))
print(int(sum(accuracy([given for _, given in pairs], answer=[right for right, _ in pairs]))))
"""


def check(folder: Path, environment: dict[str, str], repeat: int) -> list[tuple[str, str, str]]:
    """Processor seconds of `expctl check` on a file of 5 GB and on 200 shards, beside a small file."""
    (folder / "small.jsonl").write_text(ROW * 100)
    (folder / "shards").mkdir()
    for number in range(200):
        (folder / "shards" / f"part-{number:03}.jsonl").write_text(ROW * 100)
    block = ROW * 20_000
    with (folder / "large.jsonl").open("w") as file:
        for _ in range(LARGE // len(block) + 1):
            file.write(block)
    paths = {"a file of 100 rows": "small.jsonl", "a file of 5 GB": "large.jsonl", "200 shards": "shards"}
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(repeat):
        for name, path in paths.items():
            words = [COMMAND, "check", "dataset=files", f"dataset.path={path}"]
            seconds[name].append(_processor(words, folder, environment))
    return _beside(seconds, "a file of 100 rows")


def answers(folder: Path, environment: dict[str, str], repeat: int) -> list[tuple[str, str, str]]:
    """Seconds for 10,000 answers of as many different forms: math-verify in a pool of processes, and `reward=math`."""
    file = folder / "pairs.json"
    file.write_text(json.dumps(_pairs()))
    seconds: dict[str, list[float]] = {"math-verify alone": [], "reward=math": []}
    said = set()
    for _ in range(repeat):
        for name, script in (("math-verify alone", BARE), ("reward=math", OURS)):
            began = time.perf_counter()
            said.add((name, _done([sys.executable, "-c", script, str(file)], folder, environment).strip()))
            seconds[name].append(time.perf_counter() - began)
    print("\n".join(f"{name}: {right} of {ANSWERS:,} right" for name, right in sorted(said)))
    return _beside(seconds, "math-verify alone")


def waiting(folder: Path, environment: dict[str, str], repeat: int) -> list[tuple[str, str, str]]:
    """Seconds of scoring in a step of GRPO: a reward that answers at once, one that waits, two that wait together."""
    (folder / "judges.py").write_text(JUDGES)
    names = {"no wait": ["at_once"], f"one waits {WAIT} s": ["first"], f"two wait {WAIT} s each": ["first", "second"]}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(repeat):
        for name, functions in names.items():
            outputs = folder / f"outputs-{len(functions)}-{functions[0]}-{number}"
            chosen = ", ".join(f"{function}: {{_target_: judges.{function}}}" for function in functions)
            words = ["algorithm=grpo", "args.max_steps=8", "args.do_eval=false", f"reward.functions={{{chosen}}}"]
            _done([COMMAND, *words], folder, environment | {"EXPCTL_OUTPUTS": str(outputs)})
            (file,) = outputs.glob("*/metrics.jsonl")
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            seconds[name].append(
                statistics.median([row["time/scoring_seconds"] for row in rows if "step_time" in row][1:])
            )
    return _beside(seconds, f"one waits {WAIT} s")


def _pairs() -> list[tuple[str, str]]:
    """Right answer and completion, half of them equal by algebra and half not; no two alike."""
    draw = random.Random(0)
    pairs = []
    for number in range(ANSWERS):
        a, b, off = draw.randint(2, 10**6), draw.randint(2, 99), number % 2
        right = rf"\frac{{{a}}}{{{b}}}+\sqrt{{{b}}}"
        pairs.append((rf"\boxed{{{right}}}", rf"So it is \boxed{{\sqrt{{{b}}}+\frac{{{2 * a + off}}}{{{2 * b}}}}}."))
    return pairs


def _beside(seconds: dict[str, list[float]], reference: str) -> list[tuple[str, str, str]]:
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    return [(name, f"{median:.2f}", f"{median / medians[reference]:.2f}") for name, median in medians.items()]


def _processor(words: list[str], folder: Path, environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _done(words, folder, environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _done(words: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(words, cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    return done.stdout
