"""Write `expctl/algorithms/fingerprints.json` from the installed versions, once the tests pass on them."""

import json
from importlib.metadata import version

from expctl.algorithms.fingerprints import RECORD, current
from expctl.algorithms.upstream import PARTS


def main() -> None:
    """Record every fingerprint, and refuse to record what is not there."""
    found = current()
    gone = [path for path, digest in found.items() if digest is None]
    if gone:
        raise SystemExit(f"not found: {', '.join(gone)}; correct expctl/algorithms/upstream.py first")
    packages = sorted({one.owner.partition(".")[0] for part in PARTS.values() for one in part.upstream})
    record = {"versions": {package: version(package) for package in packages}, "fingerprints": found}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{len(found)} fingerprints in {RECORD}")


if __name__ == "__main__":
    main()
