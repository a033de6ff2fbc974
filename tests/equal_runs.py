"""Two runs are the same training: every metric but times, every weight, the evaluations before and after."""

import json
from pathlib import Path
from typing import Any

from harness import metrics

# The smallest trainings that sample: hot, and rewarded by a function of the working folder that nobody can learn, so
# that every group has a gradient to the end.
SAMPLING = [
    "args.num_generations=4",
    "args.max_completion_length=12",
    "args.temperature=4.0",
    "reward.functions={remainder:{_target_:letters.remainder,_partial_:true}}",
]
REWARD = "def remainder(completions, **_):\n    return [float(sum(map(ord, text)) % 7) for text in completions]\n"
TIMES = ("step_time", "runtime", "_per_second", "preparation_time", "_seconds")


def assert_equal(one: Path, two: Path) -> None:
    rows, others = [[timeless(row) for row in metrics(run)] for run in (one, two)]
    for row, other in zip(rows, others, strict=False):
        assert row == other
    assert len(rows) == len(others)
    weights = [file.relative_to(two) for file in sorted(two.glob("model/**/*.safetensors"))]
    assert weights
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in weights)
    summaries = [json.loads((run / "summary.json").read_text()) for run in (one, two)]
    for part in ("objective", "steps", "before", "after"):
        assert timeless(summaries[0][part]) == timeless(summaries[1][part])


def timeless(value: Any) -> Any:
    return {k: v for k, v in value.items() if not k.endswith(TIMES)} if isinstance(value, dict) else value
