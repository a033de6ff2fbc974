"""The files of a run and of a sweep, field by field: what expctl writes, and all that it expects to find.

Each class is a JSON object. It is written with every field, but for those marked `omitted`, which are there only where
they say something. It is read from anything: see `expctl.runs.json_record`. A field is of format 0 (expctl 0.1) unless
its comment names a later one. Times are UTC in ISO 8601, to the second; steps are optimizer steps; sizes are bytes;
digests are SHA-256 in hexadecimal digits. Values that are masked have `***` where a secret was.

The parts of a manifest that say where a run comes from are in `expctl.runs.provenance_records`.

| file | class | written by |
|---|---|---|
| `run.json` | `Manifest` | the parent, and rank 0 for what it has to note |
| `summary.json` | `Summary` | rank 0, last of all |
| `sweeps/<sweep_id>.json` | `LedgerFile` | the command of the sweep |
| `.lock`, `.ranks/rank-N` | `ProcessRecord` | the command that owns the run; each rank |
| `.progress.json` | `ProgressState` | rank 0, many times a second |
| `.outcome.json` | `WorkerOutcome` | the first rank that ends the attempt |
"""

from dataclasses import dataclass, field
from typing import Any

from expctl.runs.json_record import JsonFile, JsonRecord, omitted
from expctl.runs.provenance_records import Devices, Git, Lineage


@dataclass(kw_only=True, eq=False, repr=False)
class Attempt(JsonRecord):
    """One start of a run's workers."""

    # When it was started and when it ended; None while it goes on.
    started: str | None = None
    ended: str | None = None
    # The step of the checkpoint that it was started from (0: none), and the last step that it took.
    from_step: int = 0
    to_step: int | None = None
    # The exit code of the command; None while it goes on, and of a command that was killed.
    exit: int | None = None
    # The signal that stopped it, `killed` where its command was gone without a word, or None.
    signal: str | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class Alert(JsonRecord):
    """A sign that a training learns nothing; see `expctl.worker.symptoms`."""

    # Which sign, in lower case with underscores, and what was seen, a sentence with its numbers.
    kind: str
    text: str
    # The first and the last logged step at which it held, and at how many steps between these it did.
    step: int | None = None
    last_step: int | None = None
    steps: int | None = None
    # The setting to change, with its value.
    do: str = ""


@dataclass(kw_only=True, eq=False, repr=False)
class Manifest(JsonFile):
    """`run.json`: what a run is and what became of it; the only source of truth for its status."""

    # `<algorithm>-<model>-<dataset>-s<seed>-<hash8>`, the folder's name as well.
    run_id: str = ""
    # created | running | completed | failed | interrupted (see `expctl.runs.manifest`).
    status: str
    # The root key `name`: what a person calls the run.
    name: str | None = None
    # Digest of everything that can change the result; its first eight digits end the id.
    config_hash: str | None = None
    # What a person types to have this run, in `folder`; its overrides as Hydra took them, secrets masked.
    command: str | None = None
    overrides: list[str] = field(default_factory=list)
    # Config group -> the option chosen in it.
    choices: dict[str, str] = field(default_factory=dict)
    # The working folder of the command.
    folder: str | None = None
    # The folder of the run that this one does again.
    rerun_of: str | None = omitted(default=None)
    # The earlier run whose weights it has started from.
    lineage: Lineage | None = omitted(default=None)
    git: Git = field(default_factory=Git)
    # The user's own code: file, relative to `folder` -> digest (None: not recorded). Those in whose kept copy a secret
    # was masked.
    sources: dict[str, str] | None = None
    masked: list[str] = omitted(default_factory=list)
    # How often force=true has begun the run anew.
    forced: int = omitted(default=0)
    # Local data and weights: file -> digest, or `unreadable` (None: not recorded).
    inputs: dict[str, str] | None = None
    # Key of the config -> the seed that it sets; None where the trainer has its own default.
    seeds: dict[str, int | None] = field(default_factory=dict)
    # Package (and python) -> version, None where it is not installed; those of the last attempt.
    versions: dict[str, str | None] = field(default_factory=dict)
    host: str | None = None
    # None in a run that was made before machines were recorded.
    devices: Devices | None = None
    # Variables that a training or its libraries read, secrets masked; None where they were not recorded.
    environment: dict[str, str] | None = None
    # The config group `hardware`.
    hardware: dict[str, Any] = field(default_factory=dict)
    # When the first attempt started, and when the last one ended.
    started: str | None = None
    ended: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    # Why the last attempt failed, a line.
    error: str | None = None
    # Split (`train`, `eval`, and `prompts`, for which `callbacks=completions` samples) -> `rows`, `columns`,
    # `fingerprint` (16 digits) and `of` (which rows were read); by name where a split is several datasets, None where
    # its rows cannot be counted.
    data: dict[str, Any] | None = omitted(default=None)
    # Sentences for whoever reads the results: settings under which the run cannot be carried on exactly, ...
    notes: list[str] = omitted(default_factory=list)
    # Upstream methods that have changed since the algorithms were tested with them.
    warnings: list[str] = omitted(default_factory=list)
    # An attempt saw other data than the one before.
    data_changed: list[str] = omitted(default_factory=list)
    # Held-out prompts that are trained on as well, found before training; and all alerts, these among them.
    leaks: list[Alert] = omitted(default_factory=list)
    alerts: list[Alert] = omitted(default_factory=list)


@dataclass(kw_only=True, eq=False, repr=False)
class Summary(JsonFile):
    """`summary.json`: the results of a completed run. A run that has it is complete."""

    # What a sweep optimises: its value (None: there is none, and why), the metric's name, the step at which it was
    # measured last, and `maximize` or `minimize`.
    objective: float | None = None
    no_objective: str | None = None
    objective_name: str | None = None
    objective_step: int | None = None
    direction: str | None = None
    # The step of the weights in `model/`, where these are the best checkpoint's and not the last ones.
    best_step: int | None = omitted(default=None)
    # Optimizer steps taken, over all attempts.
    steps: int | None = None
    # Metric -> value: of the evaluation before training, of that after it, and as training logged it last.
    before: dict[str, float | None] = field(default_factory=dict)
    after: dict[str, float | None] = field(default_factory=dict)
    train: dict[str, float | None] = field(default_factory=dict)
    # Of an evaluation: metric -> lower and upper end of its 95 % interval over the prompts.
    intervals: dict[str, list[float]] = omitted(default_factory=dict)
    # Seconds in the trainer's loop, as it measured them, of the last attempt.
    train_runtime: float | None = None
    # Seconds of the last attempt until training began, `start`; with the steps that earlier attempts left in a
    # checkpoint, `training` and `total`; and of all these steps each phase of `expctl.runs.phases`.
    seconds: dict[str, float | None] = field(default_factory=dict)
    # Phase -> tokens a second, where they are counted.
    tokens_per_second: dict[str, float | None] = omitted(default_factory=dict)


@dataclass(kw_only=True, eq=False, repr=False)
class LedgerCell(JsonRecord):
    """One job of a sweep: the words that set it apart, its run, and what became of it."""

    # The name of the run's folder, in the outputs folder that the ledger belongs to.
    run_id: str
    words: list[str] = field(default_factory=list)
    # The status of its run, or waiting | elsewhere (another command has it) | pruned | refused.
    status: str = "waiting"
    objective: float | None = None
    error: str | None = None
    # Number of the trial, in a search.
    trial: int | None = omitted(default=None)
    # False: of an earlier, larger grid.
    asked_for: bool = True


@dataclass(kw_only=True, eq=False, repr=False)
class LedgerFile(JsonFile):
    """`sweeps/<sweep_id>.json`: the jobs of a sweep. Derived from the runs' manifests, and made anew from them."""

    # `<algorithms>-<hash8>`, the file's name as well.
    sweep_id: str | None = None
    # What was typed, the metric that is optimised, and `maximize` or `minimize`.
    command: str | None = None
    objective: str | None = None
    direction: str | None = None
    # When the sweep was begun first, and when all jobs had ended (None: not yet).
    started: str | None = None
    ended: str | None = None
    # Of a search: its best trial, and the command that is its run.
    best: LedgerCell | None = omitted(default=None)
    again: str | None = omitted(default=None)
    cells: list[LedgerCell] = field(default_factory=list)


@dataclass(kw_only=True, eq=False, repr=False)
class ProcessRecord(JsonRecord):
    """The first line of `.lock` and of `.ranks/rank-N`: the process that holds the file's lock."""

    # Its machine, and its number there.
    host: str
    pid: int
    # Of a rank.
    rank: int | None = omitted(default=None)
    # Of the command that owns the run: counts up every few seconds, for other machines to see.
    beat: int | None = omitted(default=None)


@dataclass(kw_only=True, eq=False, repr=False)
class ProgressState(JsonRecord):
    """`.progress.json`: what a worker is doing right now; of no use once the run has ended."""

    # `starting`, `training`, `saving the model`, ...
    phase: str = "starting"
    # The step, of how many (None: not known yet), and the metrics as they were logged last.
    step: int = 0
    of: int | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    # When it was written, in seconds since 1970.
    at: float = 0.0


@dataclass(kw_only=True, eq=False, repr=False)
class WorkerOutcome(JsonRecord):
    """`.outcome.json`: what became of the current attempt, by the rank that knows it first, for the parent."""

    # completed | interrupted | failed | refused.
    status: str
    error: str | None = omitted(default=None)
    # The rank that wrote it, and the ranks that were gone without a word.
    rank: int | None = omitted(default=None)
    lost: list[int] = omitted(default_factory=list)
    # Of a refused one: what is wrong, mappings of `what`, `key` and `do`, and the traceback of the first.
    wrong: list[dict[str, str]] = omitted(default_factory=list)
    traceback: str | None = omitted(default=None)
