"""What the runs of tests with the real vLLM have in common."""

from pathlib import Path

from harness import metrics, metrics_reach, only_run

RATIO = "sampling/importance_sampling_ratio/"
DIFFERENCE = "sampling/sampling_logp_difference/max"
NEAR = 0.02


def steps_of(run: Path) -> list[dict]:
    """The metrics of each step."""
    return [row for row in metrics(run) if "loss" in row]


def assert_sampled_with_its_own_weights(run: Path, steps: int = 4) -> None:
    rows = steps_of(run)
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    assert max(row[DIFFERENCE] for row in rows) < NEAR
    assert all(0.9 < row[RATIO + name] < 1.1 for row in rows for name in ("min", "mean", "max"))


def has_reached(folder: Path, step: int) -> bool:
    """Whether the only run of a working folder has logged a step."""
    return bool(list(folder.glob("outputs/*/metrics.jsonl"))) and metrics_reach(only_run(folder), step)
