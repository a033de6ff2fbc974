"""Comparisons of runs that were never trained, with everything that a picture or a page shows."""

import json
import math
from pathlib import Path

from compare import synthetic

from expctl.compare.comparison import Comparison
from expctl.compare.conclusion import compare_runs

STEPS = 40


def logged(seed: int, speed: float, shrink: float, *, steps: int = STEPS, every: int = 1) -> list[dict]:
    """The rows of a run: reward rises, length falls, both with a ripple of the seed's own."""
    rows = [evaluated(0, 0.5 + 0.01 * seed, 40.0 + seed)]
    for step in range(every, steps + 1, every):
        share = 1 - math.exp(-speed * step)
        ripple = 0.03 * math.sin(1.7 * step + 2 * seed)
        rows.append(
            {
                "step": step,
                "loss": 0.1 - ripple,
                "reward": 0.5 + 0.45 * share + ripple,
                "completions/mean_length": 40 - shrink * share + 20 * ripple + seed,
                "frac_reward_zero_std": 0.3 + 0.5 * share - ripple,
            }
        )
    end = 1 - math.exp(-speed * steps)
    own = math.sin(5 * seed + 100 * speed)
    return [*rows, evaluated(steps, 0.5 + 0.45 * end + 0.02 * own, 40 - shrink * end + seed + own)]


def evaluated(step: int, reward: float, length: float) -> dict:
    return {"step": step, "eval_reward": reward, "eval_completions/mean_length": length}


def measured(row: dict) -> dict:
    return {name: value for name, value in row.items() if name.startswith("eval_")}


def make(outputs: Path, seed: int, algorithm: str, rows: list[dict], **more) -> Path:
    """One run with its log; the evaluations are the first and the last row."""
    config = synthetic.GFPO if algorithm == "gfpo" else {"args.num_generations": len(algorithm)}
    samples = more.pop("samples", None)
    folder = synthetic.run(
        outputs,
        seed,
        measured(rows[-1]),
        rows=rows,
        typed=(f"algorithm={algorithm}",),
        name=f"{algorithm}-s{seed}",
        config=config | more.pop("config", {}),
        choices={"algorithm": algorithm},
        summary={"before": measured(rows[0])},
        host="node1",
        git={"sha": "0123456789abcdef", "dirty": False},
        folder="home",
        **more,
    )
    if samples is not None:
        lines = [json.dumps(row) + "\n" for row in samples]
        (folder / "samples.jsonl").write_text("".join(lines))
    return folder


def sampled(step: int, prompt: str, completion: str, reward: float | None = 1.0) -> dict:
    return {"step": step, "kind": "eval", "prompt": prompt, "completion": completion, "rewards": {"accuracy": reward}}


def two(outputs: Path, seeds: int = 3, **more) -> Comparison:
    """GRPO and GFPO over some seeds; GFPO's completions become shorter."""
    folders = [make(outputs, seed, "grpo", logged(seed, 0.08, 4), **more) for seed in range(seeds)]
    folders += [make(outputs, seed, "gfpo", logged(seed, 0.07, 18), **more) for seed in range(seeds)]
    return compare_runs(folders)


def many(outputs: Path, count: int = 10) -> Comparison:
    """As many groups as are told apart, with labels as long as real ones."""
    folders = [
        make(
            outputs,
            seed,
            f"an_algorithm_with_a_name_{place}",
            logged(seed, 0.03 + 0.01 * place, 2.0 * place),
            config={"args.num_generations": place},
        )
        for place in range(count)
        for seed in range(2)
    ]
    return compare_runs(folders)
