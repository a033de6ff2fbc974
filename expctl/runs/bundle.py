"""Describe a run in its folder: everything needed to resume it by name and to do it again."""

import shlex
import shutil
from pathlib import Path
from typing import Any

from expctl.base.data_kinds import with_current_kinds
from expctl.base.experiment import Experiment, sources_of
from expctl.base.masking import masked
from expctl.base.paths import outputs_of
from expctl.base.plain_data import mapping
from expctl.runs import manifest, output_folders, provenance, repository
from expctl.runs.difference import immaterial_changes
from expctl.runs.files import Run, read_json, write_json, write_whole, write_yaml
from expctl.runs.identity import local_inputs
from expctl.runs.lineage import lineage_of
from expctl.runs.origins import origins_to_record
from expctl.runs.reading import UnreadableError
from expctl.runs.records import Manifest
from expctl.runs.seal import WANDB_FOLDERS, broken, seal_run
from expctl.runs.sources import digests, keep, user_sources
from expctl.runs.yaml_reading import read_yaml

PATCH = "changes.patch"


def describe(run: Run, experiment: Experiment, hashed: str, forced: int = 0) -> None:
    """Write config, origins, overrides, code, uncommitted changes and, last, the manifest of a run that is to start.

    `forced`: how often force=true has begun it anew.
    """
    write_yaml(run.config, experiment.config)
    write_json(run.origins, {key: masked(where) for key, where in origins_to_record(experiment).items()})
    write_yaml(run.overrides, [masked(word) for word in experiment.overrides])
    code = user_sources(experiment.config, experiment.code_folders)
    altered = _keep_only(code, run.sources)
    git, patch = repository.snapshot(experiment.folder, outputs_of(run.folder))
    if patch:
        (run.folder / PATCH).write_bytes(patch)
        git.patch = PATCH
    described = Manifest(
        run_id=run.run_id,
        status=manifest.CREATED,
        name=experiment.config["name"],
        config_hash=hashed,
        command=command(experiment),
        overrides=[masked(word) for word in experiment.overrides],
        choices=experiment.choices,
        folder=str(experiment.folder),
        rerun_of=str(experiment.code.parent) if experiment.code else None,
        lineage=lineage_of(experiment),
        git=git,
        sources=digests(code),
        masked=altered,
        forced=forced,
        inputs=local_inputs(experiment.config, experiment.folder, code),
        seeds=_seeds(experiment.config),
        versions=provenance.versions(),
        host=provenance.host(),
        devices=provenance.devices(),
        environment=provenance.environment(),
        hardware=experiment.config["hardware"],
    )
    manifest.create(run, described)
    seal_run(run)
    output_folders.remember(outputs_of(run.folder))


def description(run: Run) -> dict[Path, bytes]:
    """The files that describe an unfinished run, but for its code, with their content as it is now."""
    files = (run.config, run.origins, run.overrides, run.seal, run.manifest)
    return {file: file.read_bytes() for file in files if file.is_file()}


def put_back(files: dict[Path, bytes]) -> None:
    """Give the files of a `description` their content back, the manifest last. Raises OSError."""
    for file, content in files.items():
        write_whole(file, content.decode(errors="surrogateescape"))


def describe_again(run: Run, experiment: Experiment) -> list[str]:
    """Put the typed experiment into an unfinished run, whose own it is but for immaterial settings.

    The command that is typed again executes what was typed, never what lies in the folder: the run may have been
    described by another user, by an earlier expctl, or with other immaterial settings.

    Returns:
        A sentence for each immaterial setting that has another value from now on.
    """
    before = _config_or_none(run) if broken(run) is None else None
    changed = immaterial_changes(before, experiment.config) if before else []
    if before and not changed:
        return []
    write_yaml(run.config, experiment.config)
    write_json(run.origins, {key: masked(where) for key, where in origins_to_record(experiment).items()})
    overrides = [masked(word) for word in experiment.overrides]
    write_yaml(run.overrides, overrides)
    code = user_sources(experiment.config, experiment.code_folders)
    if experiment.code != run.sources:  # a rerun that is carried on has no other copy than this one
        _keep_only(code, run.sources)
    for name in WANDB_FOLDERS:
        if (run.folder / name).is_symlink():
            (run.folder / name).unlink()
        (run.folder / name / "settings").unlink(missing_ok=True)
    recorded = manifest.recorded(run)
    if not experiment.code:
        recorded.rerun_of = None
    recorded.name, recorded.choices = experiment.config["name"], experiment.choices
    recorded.command, recorded.overrides = command(experiment), overrides
    recorded.folder, recorded.sources = str(experiment.folder), digests(code)
    recorded.inputs = local_inputs(experiment.config, experiment.folder, code)
    recorded.lineage = lineage_of(experiment)
    recorded.write(run.manifest)
    seal_run(run)
    return changed


def _keep_only(code: dict[str, Path], folder: Path) -> list[str]:
    """Copy sources into an emptied folder. Returns as `keep`."""
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    return keep(code, folder)


def rebuild(run: Run) -> Experiment:
    """The experiment of a run, from the files of its folder.

    Raises:
        OSError, ValueError, KeyError, TypeError: the run's own files are damaged.
    """
    recorded = manifest.recorded(run)
    if recorded.folder is None:
        raise ValueError(f"{run.manifest.name} does not say in which folder the run was started")
    return Experiment(
        config=read_config(run) | {"force": False},  # that was for the day it was typed
        choices=recorded.choices,
        overrides=recorded.overrides,
        folder=Path(recorded.folder),
        sources=sources_of(recorded.overrides),
        locations={key: where for key, where in mapping(read_json(run.origins)).items() if isinstance(where, str)},
        code=run.sources if recorded.rerun_of else None,
    )


def read_config(run: Run) -> dict[str, Any]:
    """What a run was started with, kinds of data in their current spelling.

    Raises:
        OSError, ValueError: the file cannot be read, or is no mapping.
    """
    config = read_yaml(run.config)
    if not isinstance(config, dict):
        raise UnreadableError("is no config")
    return with_current_kinds(config)


def _config_or_none(run: Run) -> dict[str, Any] | None:
    try:
        return mapping(read_config(run)) or None
    except (OSError, ValueError):
        return None


def command(experiment: Experiment) -> str:
    """What a person types to have this experiment, in its working folder."""
    folders = [word for folder in experiment.config_dirs for word in ("--config-dir", folder)]
    return masked(shlex.join(["expctl", *folders, *experiment.overrides]))


def changed_files(recorded: Manifest, experiment: Experiment) -> dict[str, str]:
    """File -> `changed`, `gone` or `new`: the user's code, data and weights that are not what a manifest says."""
    code = user_sources(experiment.config, experiment.code_folders)
    now = digests(code) | local_inputs(experiment.config, experiment.folder, code)
    was = (recorded.sources or {}) | (recorded.inputs or {})
    words = {name: "gone" if name not in now else "new" if name not in was else "changed" for name in was | now}
    return {name: word for name, word in sorted(words.items()) if was.get(name) != now.get(name)}


def _seeds(config: dict[str, Any]) -> dict[str, int | None]:
    """Key -> seed, of everything random in the run; the trainer draws its data by `data_seed`, else by `seed`."""
    arguments = config["args"]
    seeds = {"seed": config["seed"], "args.seed": arguments.get("seed"), "args.data_seed": arguments.get("data_seed")}
    dataset = mapping(config["dataset"])
    return seeds | ({"dataset.seed": dataset["seed"]} if "seed" in dataset else {})
