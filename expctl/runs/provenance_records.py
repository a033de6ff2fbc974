"""Parts of `run.json` that say where a run comes from: repository, machine, earlier run. As `expctl.runs.records`."""

from dataclasses import dataclass, field

from expctl.runs.json_record import JsonRecord, omitted


@dataclass(kw_only=True, eq=False, repr=False)
class Git(JsonRecord):
    """The user's git repository when the run was created; all None outside of one."""

    # The commit, and whether tracked files differed from it.
    sha: str | None = None
    dirty: bool | None = None
    # The file of the run with the uncommitted changes, or a sentence that says why there is none.
    patch: str | None = None
    # Names of files that git neither knows nor ignores, and how many more there are.
    untracked: list[str] = field(default_factory=list)
    untracked_left_out: int = omitted(default=0)
    # Whether a secret was masked in the patch.
    masked: bool = omitted(default=False)


@dataclass(kw_only=True, eq=False, repr=False)
class Devices(JsonRecord):
    """The machine that a run was created on."""

    # The processor's name, cores that may be used, main memory in bytes.
    cpu: str | None = None
    cores: int | None = None
    memory: int | None = None
    # `NVIDIA H200, 143771 MiB`, one for each GPU.
    gpus: list[str] = field(default_factory=list)


@dataclass(kw_only=True, eq=False, repr=False)
class Lineage(JsonRecord):
    """The weights of an earlier run that a run has started from (`model=run:RUN`)."""

    # The id of the earlier run, its folder when this one was created, and its `config_hash`.
    run_id: str
    folder: str | None = None
    config_hash: str | None = None
    # Which of its weights: `` for the final model, `best`, `last` or `checkpoint-N`; and the step they are of.
    which: str = ""
    step: int | None = None
    # Digest of what the earlier run and those before it were asked for, but for the seeds: its repetitions share it.
    recipe: str | None = None
