"""One composed experiment as a value: plain containers, everything resolved, and how each value was set."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NotRequired, Self, TypedDict

from expctl.base.plain_data import mapping
from expctl.base.refusal import where_set
from expctl.base.words import dotted_key_of


class Hardware(TypedDict):
    """The config group `hardware`; `expctl.config.checks.schema` has checked its types."""

    use_cpu: bool
    # On each machine.
    num_processes: int
    num_machines: int
    bf16: bool
    fp16: bool
    # Keys of accelerate's fsdp_config or of DeepSpeed; None replicates the model.
    sharding: dict[str, Any] | None
    # CPU threads of a process; None shares the cores out.
    threads: int | None
    hang_minutes: float | None
    # Memory of a device where that is not to be asked of it.
    memory_gib: NotRequired[float]
    # Completions that transformers samples at a time on a device; absent samples all of a generation batch at once.
    sampled_rows: NotRequired[int]


# Endings of a data file in front of which its own ending stands.
COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True)
class Experiment:
    """One composed experiment; the parent checks it, the worker builds from it."""

    # The composed config: a mapping for each group of conf/, and `args`, `seed`, `name` and `force`. What `_target_`s
    # take in it is the user's to choose, so most of it has no fixed type.
    config: dict[str, Any]
    # Config group -> the option chosen in it.
    choices: dict[str, str]
    # The words as they were typed.
    overrides: list[str]
    # The working folder of the command.
    folder: Path
    # Dotted key -> the word that set it.
    sources: dict[str, str] = field(default_factory=dict)
    # Dotted key -> the config file and line that set it, for the run to keep.
    locations: dict[str, str] = field(default_factory=dict)
    # Which settings of files gave way to typed ones (see `expctl.config.implied`).
    notes: list[str] = field(default_factory=list)
    # Typed keys of conf/ that only others are made of, and that no other is made of here.
    idle: list[str] = field(default_factory=list)
    # Launched by torchrun or srun: they, not expctl, have placed the processes.
    in_group: bool = False
    # A cell that another machine is to run: what this one has says nothing about it.
    runs_remotely: bool = False
    # Folders of config groups named on the command line.
    config_dirs: list[str] = field(default_factory=list)
    # The user's code as a run has kept it: when that is done again, it goes before the working folder's.
    code: Path | None = None

    @property
    def hardware(self) -> Hardware:
        """The devices that the experiment asks for."""
        hardware: Hardware = self.config["hardware"]
        return hardware

    @property
    def forced(self) -> bool:
        """Whether force=true asks for a new run although there is one."""
        return bool(self.config["force"])

    def unforced(self) -> Self:
        """The same experiment, whose run is resumed or found complete where there is one."""
        return replace(self, config=self.config | {"force": False})

    @property
    def code_folders(self) -> list[Path]:
        """Where the user's own modules are looked for, the first that has one counts."""
        return [*filter(None, [self.code]), self.folder]

    def set_by(self, *keys: str) -> str:
        """The words, or the files and lines, that set these keys, for the `where` of a refusal."""
        return ", ".join(where_set(key, self.sources, self.locations) for key in keys)

    def label(self, group: str) -> str:
        """The name of what was chosen in a group and in those below it; a local path is called after its file."""
        below = {name: option for name, option in self.choices.items() if name.startswith(f"{group}/")}
        parts = [name.rpartition("/")[2] if option == "on" else option for name, option in below.items()]
        choice = "_".join([self.choices.get(group) or "none", *parts])
        path, run = (mapping(self.config.get(group)).get(name) for name in ("path", "run"))
        if run and group == "model":  # called as in the id of the run that it was trained by
            return str(run).split("-")[1:2][0] if "-" in str(run) else choice
        if choice == "benchmarks" and group == "dataset":
            tasks = self.config["dataset"].get("tasks")
            return "_".join(map(str, tasks)) if isinstance(tasks, list) else str(tasks)
        if choice in ("local", "files", "hub") and path:
            first = str(path[0] if isinstance(path, list) else path)
            # Of a pattern the folder that its files are in.
            named = Path(*(part for part in Path(first).parts if not set(part) & set("*?[")))
            if group == "model":  # a dot in its name is part of it: Qwen3-0.6B
                return named.name.lower() or choice
            if named.suffix.lower() in COMPRESSED:
                named = named.with_suffix("")
            return named.stem.lower() or choice
        return choice


def sources_of(typed: list[str]) -> dict[str, str]:
    """Dotted key -> the override that set it; a key that no override names came from a file."""
    sources = {}
    for override in typed:
        sources[dotted_key_of(override).split("@")[0]] = f"{override.lstrip('+')} (command line)"
    return sources
