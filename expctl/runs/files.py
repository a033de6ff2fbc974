"""The folder of a run, and how its files are written: whole or not at all."""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expctl.runs import reading


@dataclass(frozen=True)
class Run:
    """The files of one run: see "What it leaves" in docs/first-run.md, and `expctl.runs.records` for their content."""

    folder: Path

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def manifest(self) -> Path:
        return self.folder / "run.json"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def overrides(self) -> Path:
        return self.folder / "overrides.yaml"

    @property
    def origins(self) -> Path:
        """Key of the config -> the file and line, or the typed word, that set it."""
        return self.folder / "origins.json"

    @property
    def sources(self) -> Path:
        """The user's own source files as they were when the run was created."""
        return self.folder / "sources"

    @property
    def seal(self) -> Path:
        """The proof that this user's expctl described the run; see `expctl.runs.seal`."""
        return self.folder / ".seal.json"

    @property
    def accelerate(self) -> Path:
        return self.folder / "accelerate.yaml"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """A few completions with their rewards, of each evaluation."""
        return self.folder / "samples.jsonl"

    @property
    def completions(self) -> Path:
        """Of an evaluation: every completion with its rewards, a row a prompt."""
        return self.folder / "completions.jsonl"

    @property
    def random_states(self) -> Path:
        """The random states with which the last evaluation of a training began."""
        return self.folder / "evaluation_rng.pth"

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    @property
    def server_log(self) -> Path:
        """What the run's own server of vLLM says, appended over attempts."""
        return self.folder / "server.log"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def progress(self) -> Path:
        """What the worker is doing right now; rewritten all the time, of no use once the run has ended."""
        return self.folder / ".progress.json"

    @property
    def outcome(self) -> Path:
        """The outcome of the current attempt, from the worker to the parent."""
        return self.folder / ".outcome.json"

    @property
    def ranks(self) -> Path:
        """One file for each rank of the current attempt, locked while it lives."""
        return self.folder / ".ranks"

    @property
    def stacks(self) -> Path:
        """Stack dumps of the ranks, from when no step had come for too long."""
        return self.folder / "stacks"

    @property
    def lock(self) -> Path:
        return self.folder / ".lock"


def hang_reports(run: Run) -> list[Path]:
    """The stack dumps that ranks wrote when no step came; the file of a rank that moves is empty."""
    with contextlib.suppress(FileNotFoundError):  # ranks end well at this very moment, and take file and folder away
        return sorted(file for file in run.stacks.glob("rank-*.txt") if file.stat().st_size)
    return []


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new, never half (rename on the same file system)."""
    aside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        # A path that the locale could not decode is written as the bytes that it is.
        with aside.open("w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write plain data as JSON, as `write_whole`."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        text = json.dumps(content, indent=2)  # a path that the locale cannot decode; UTF-8 has no such characters
    write_whole(path, text + "\n")


def write_yaml(path: Path, content: Any) -> None:
    """Write plain data as YAML, as `write_whole`."""
    import yaml  # here, since most commands write none

    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def read_json(path: Path) -> Any:
    """The content of a JSON file; None where there is none, or it is damaged."""
    try:
        return reading.read_json(path)
    except (OSError, ValueError):
        return None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a `metrics.jsonl`; lines that are no JSON object are left out, as the last one that a crash cut."""
    return reading.read_rows(path)[0]
