"""Answers of judges on the disk, a file each under a digest of the request, for all runs and processes."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from expctl.base.paths import cache_root


def key_of(url: str, request: dict[str, Any]) -> str:
    """The digest of a request to a server, which holds no key."""
    return hashlib.sha256(json.dumps([url, request], sort_keys=True).encode()).hexdigest()


def kept(key: str) -> str | None:
    """The answer to a request that was made before; None where there is none, or none that can be read."""
    try:
        answer = json.loads(_file(key).read_text(encoding="utf-8"))["answer"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return answer if isinstance(answer, str) else None


def keep(key: str, answer: str) -> None:
    """Keep an answer; the file appears whole, whoever else writes it. A full disk only costs the next request."""
    file = _file(key)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, aside = tempfile.mkstemp(dir=file.parent, prefix=".")
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            json.dump({"answer": answer}, opened)
        os.replace(aside, file)
    except OSError:
        return


def _file(key: str) -> Path:
    return cache_root() / "judge" / key[:2] / f"{key}.json"
