#!/usr/bin/env python
"""A day on a GPU in one command: what only a GPU can show, measured part by part. No network, nothing left behind.

    python scripts/gpu_check.py                          all parts, one after the other
    python scripts/gpu_check.py environment verify       some, each in under eight minutes
    python scripts/gpu_check.py --output results         where gpu_check.json and the logs of the runs go

Without a GPU every part runs on the CPU with the embedded model: a rehearsal, whose figures mean nothing. A part that
needs what is not installed (vLLM, DeepSpeed) says so and counts as left out, never as passed. Exits with 1 where a part
failed. Needs an environment with expctl in it, Python 3.11 or newer, and any torch that expctl takes.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from gpu_bench import Bench, LeftOut
from gpu_parts import PARTS


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all unless named")
    parser.add_argument("--output", type=Path, default=Path("gpu_check"), help="folder of gpu_check.json and the logs")
    parser.add_argument("--cpu", action="store_true", help="rehearse on the CPU although there is a GPU")
    chosen = parser.parse_args(words)
    unknown = [part for part in chosen.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part '{unknown[0]}'; parts are {', '.join(PARTS)}")
    chosen.output.mkdir(parents=True, exist_ok=True)
    record = chosen.output / "gpu_check.json"
    results = json.loads(record.read_text()) if record.exists() else {}
    with tempfile.TemporaryDirectory(prefix="gpu_check-") as work:
        bench = Bench(Path(work), chosen.output.resolve(), cpu=chosen.cpu)
        for name in chosen.parts or PARTS:
            results[name] = run_part(name, bench)
            # After each part: a machine that is taken away leaves what was measured until then.
            record.write_text(json.dumps(results, indent=2) + "\n")
            print(table(name, results[name]), flush=True)
    failed = [name for name, result in results.items() if result["outcome"] == "failed"]
    print(f"\n{record}: {len(results)} parts" + (f", failed: {', '.join(failed)}" if failed else ", none failed"))
    return 1 if failed else 0


def run_part(name: str, bench: Bench) -> dict[str, Any]:
    """One part's rows and how it ended: `passed`, `failed` or `left out`."""
    began = time.perf_counter()
    result: dict[str, Any] = {"device": bench.device, "outcome": "passed", "rows": []}
    try:
        PARTS[name](bench, result["rows"])
    except LeftOut as reason:
        result |= {"outcome": "left out", "why": str(reason)}
    except Exception as error:
        result |= {"outcome": "failed", "why": f"{type(error).__name__}: {error}"}
        traceback.print_exc()
    return result | {"seconds": round(time.perf_counter() - began, 1)}


def table(name: str, result: dict[str, Any]) -> str:
    """One part as text: a headline, then a line for each row with its figures under their names."""
    lines = [f"\n{name}: {result['outcome']} in {result['seconds']:.0f} s on {result['device']}"]
    if "why" in result:
        lines.append(f"  {result['why']}")
    columns: list[str] = []
    for row in result["rows"]:
        columns += [key for key in row if key not in columns]
    cells = [columns] + [[shown(row.get(column)) for column in columns] for row in result["rows"]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    if result["rows"]:
        lines += [
            "  " + "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)) for line in cells
        ]
    return "\n".join(line.rstrip() for line in lines)


def shown(value: Any) -> str:
    """A figure with three significant digits; nothing where there is none."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
