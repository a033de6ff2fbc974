"""`expctl export RUN DEST`: the model of a run as transformers, vLLM and llama.cpp load it, with a card."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from expctl.base import hub
from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED
from expctl.base.parent_death import exit_with_parent
from expctl.base.paths import outputs_root
from expctl.base.refusal import Refusal
from expctl.base.suggest import nearest
from expctl.base.words import counted
from expctl.cli.options import take
from expctl.models import Location, resolve
from expctl.models.files import config_of
from expctl.models.locations import folder_of
from expctl.runs.catalogue import catalogue, names
from expctl.runs.filters import parse
from expctl.runs.handed_on import HandedOn, handed_on, loaded_files
from expctl.runs.lineage import first_model

TABLE = "--table"
USAGE = "expctl export RUN DEST [--dtype bfloat16] [--push ORG/NAME [--public]]"
TABLE_USAGE = "expctl export --table FILE.csv|FILE.parquet [FILTER ...] [--all]"
# Number format -> bytes of a weight.
WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}


def main(words: list[str]) -> int:
    """Export one model, or a table of runs; 0 when it is written, and uploaded where that was asked for."""
    if any(word.partition("=")[0] == TABLE for word in words):
        return _export_table(words)
    options, rest = take(words, flags=("--public",), valued=("--dtype", "--push"), usage=USAGE)
    if len(rest) != 2:
        raise Refusal("export needs a run and a folder", where=f"export {' '.join(rest)} (command line)", do=USAGE)
    weights, destination = handed_on(rest[0]), Path(rest[1]).expanduser().absolute()
    _refuse_taken(destination, rest[1])
    dtype = _dtype(options.get("--dtype", "auto"))
    location = _location(weights)
    _refuse_small(destination, location, dtype)
    push = options.get("--push")
    _refuse_push(push, public="--public" in options)
    from expctl.report.model_card import model_card

    base = _base(weights)
    request = {
        "source": str(weights.folder),
        "destination": str(destination),
        "dtype": dtype,
        "card": model_card(weights, base, _licence(base)),
        "push": push,
        "public": "--public" in options,
    }
    return _told(_written(request), destination, weights)


def _export_table(words: list[str]) -> int:
    """`export --table FILE [FILTER ...]`: the runs of the outputs folder, with settings, metrics and seeds."""
    from expctl.report.run_table import refuse_unwritable, write_table

    options, filters = take(words, flags=("--all",), valued=(TABLE,), usage=TABLE_USAGE)
    path = Path(options[TABLE]).expanduser()
    refuse_unwritable(path, options[TABLE])
    listed = catalogue(outputs_root(), everything="--all" in options)
    matches = parse(filters, names(listed) if listed else None)
    runs = sorted((facts for _, facts in listed if matches(facts)), key=lambda facts: str(facts["run"]))
    if not runs:
        where = f"{' '.join(filters)} (command line)" if filters else str(outputs_root())
        raise Refusal("there are no such runs to put into a table", where=where, do="expctl ls")
    try:
        columns = write_table(path, runs)
    except OSError as error:
        raise Refusal(f"{path} cannot be written: {error.strerror or error}", where=f"{TABLE} {path}") from error
    print(f"table  {path}  ({counted(len(runs), 'run')}, {counted(columns, 'column')})")
    return EXIT_COMPLETED


def _written(request: dict[str, Any]) -> dict[str, Any]:
    """The answer of the process that loads, merges and writes."""
    Path(request["destination"]).parent.mkdir(parents=True, exist_ok=True)
    child = subprocess.run(
        [sys.executable, "-m", "expctl.worker.export"],
        input=json.dumps(request) + "\n",
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("EXPCTL_DEBUG") == "1" else subprocess.PIPE,
        text=True,
        preexec_fn=exit_with_parent(os.getpid()),
    )
    last = child.stdout.strip().splitlines()[-1:]
    if not last:
        said = (child.stderr or "").strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        return {"error": f"the process that writes it died: {said[0]}"}
    answer: dict[str, Any] = json.loads(last[0])
    return answer


def _told(answer: dict[str, Any], destination: Path, weights: HandedOn) -> int:
    if "files" in answer:
        size = answer["bytes"] / 1e6
        print(f"model  {destination}  ({answer['files']} files, {size:,.1f} MB, of {weights.word})")
    if "url" in answer:
        print(f"hub    {answer['url']}")
    if "error" in answer:
        print(f"expctl: {weights.word} was not exported: {answer['error']}", file=sys.stderr)
        print("  do       EXPCTL_DEBUG=1 shows all that the libraries said", file=sys.stderr)
    if "not_uploaded" in answer:
        print(f"expctl: the model is written and was not uploaded: {answer['not_uploaded']}", file=sys.stderr)
        print(f"  do       hf upload ORG/NAME {destination}", file=sys.stderr)
    return EXIT_FAILED if {"error", "not_uploaded"} & answer.keys() else EXIT_COMPLETED


def _refuse_taken(destination: Path, typed: str) -> None:
    where = f"{typed} (command line)"
    if destination.is_file() or (destination.is_dir() and any(destination.iterdir())):
        raise Refusal(
            f"{destination} is there already, and nothing of it is replaced", where=where, do="name another folder"
        )
    above = next(folder for folder in destination.parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise Refusal(f"{above} cannot be written", where=where, do="name a folder of your own")


def _dtype(typed: str) -> str:
    if typed == "auto" or typed in WIDTHS:
        return typed
    what = f"the dtype '{typed}' is unknown; it can be {', '.join(WIDTHS)}"
    raise Refusal(what, where=f"--dtype {typed} (command line)", nearest=nearest(typed, WIDTHS))


def _location(weights: HandedOn) -> Location:
    """Where the weights are, and the base of an adapter."""
    try:
        return resolve(str(weights.folder))
    except (FileNotFoundError, ValueError) as error:
        raise Refusal(str(error).removeprefix("model.path="), where=weights.word) from error


def _refuse_small(destination: Path, location: Location, dtype: str) -> None:
    """Refuse a disk that has no room for the weights."""
    source = Path(location.source)
    files = loaded_files(source) if source.is_dir() else []
    saved = config_of(source).get("dtype") or config_of(source).get("torch_dtype") or "float32"
    share = WIDTHS.get(dtype, 1) / WIDTHS.get(saved, 4) if dtype != "auto" else 1.0
    needed = share * sum(file.stat().st_size for file in files)
    above = next(folder for folder in destination.parents if folder.exists())
    free = shutil.disk_usage(above).free
    if needed > free:
        raise Refusal(
            f"the model takes {needed / 1e9:,.1f} GB, and {above} has {free / 1e9:,.1f} GB left",
            where=f"{destination} (command line)",
            do="make room, name another folder, or --dtype bfloat16",
        )


def _refuse_push(push: str | None, *, public: bool) -> None:
    if push is None:
        if public:
            raise Refusal("--public is for --push", where="--public (command line)", do=USAGE)
        return
    where = f"--push {push} (command line)"
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", push):
        raise Refusal(f"'{push}' is no name of a repository", where=where, do="--push ORG/NAME")
    if not any(os.environ.get(name) for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")) and not _is_logged_in():
        raise Refusal("there is no token of the hub", where=where, do="set HF_TOKEN, or hf auth login")
    reason = hub.offline_reason()
    if reason:
        raise Refusal(f"nothing can be uploaded: {reason}", where=where, do="leave --push out; upload the folder later")


def _base(weights: HandedOn) -> str:
    try:
        return first_model(weights.run)
    except (OSError, ValueError) as error:
        raise Refusal(f"the run's config.yaml is damaged: {error}", where=str(weights.run.config)) from error


def _licence(base: str) -> str | None:
    """The licence that the base model's own card names; None where it is not on this machine."""
    folder = folder_of({"path": base})
    try:
        text = (folder / "README.md").read_text(encoding="utf-8") if folder else ""
    except (OSError, ValueError):
        return None
    found = re.match(r"---\n(?:.*\n)*?licen[sc]e: *([\w.-]+) *\n", text)
    return found[1] if found else None


def _is_logged_in() -> bool:
    return Path(os.environ.get("HF_TOKEN_PATH") or hub.cache_folder().parent / "token").expanduser().is_file()
