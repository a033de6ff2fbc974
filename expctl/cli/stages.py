"""`expctl stages FILE [words]`: several experiments one after another, each from the weights of one before it."""

import shlex
import sys
from pathlib import Path

from expctl.base.exit_codes import EXIT_COMPLETED
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.refuse import refuse
from expctl.config.check import check
from expctl.config.stages import Stage, named_stage, read_stages, unreachable, with_runs, with_stand_in
from expctl.launch.launched import group_of_this_process
from expctl.runs import manifest
from expctl.runs.identity import run_of

USAGE = "expctl stages FILE [--check] [words for all stages] [STAGE:word ...]"
CHECK = "--check"


def main(words: list[str]) -> int:
    """Check all stages, then run one after another; the exit code of the first that does not complete."""
    typed = [word for word in words if word != CHECK]
    _refuse_words(words, typed)
    stages = read_stages(Path(typed[0]).expanduser(), typed[1:])
    experiments, refusals = _checked(stages)
    if refusals:
        return refuse(refusals)
    if CHECK in words:
        for stage in stages:
            known = _done(experiments[stage.name])
            print(f"ok  {stage.name}  {known or 'expctl ' + shlex.join(stage.words)}")
        return EXIT_COMPLETED
    return _run(stages)


def _refuse_words(words: list[str], typed: list[str]) -> None:
    where = f"{shlex.join(['stages', *words])} (command line)"
    if group_of_this_process() is not None:
        raise Refusal("stages does not work inside a distributed launch, where each process would do it", where=where)
    if not typed or typed[0].startswith("-") or "=" in typed[0]:
        raise Refusal("stages needs a file", where=where, do=USAGE)
    unknown = [word for word in typed[1:] if word.startswith("-")]
    if unknown:
        raise Refusal(f"stages takes no option '{unknown[0]}'", where=where, do=USAGE)


def _checked(stages: list[Stage]) -> tuple[dict[str, Experiment], list[Refusal]]:
    """Stage -> its experiment, or as much of it as is known before the earlier ones have run; and what is wrong."""
    experiments: dict[str, Experiment] = {}
    refusals: list[Refusal] = []
    for stage in stages:
        earlier = named_stage(stage, list(experiments))
        try:
            experiment = _composed(stage, earlier, experiments)
            wrong = [unreachable(stage, experiments[earlier], earlier)] if earlier else []
            found = [*filter(None, wrong), *check(experiment)]
        except Refusal as refusal:
            return experiments, [*refusals, _of_stage(stage, refusal)]
        refusals += [_of_stage(stage, refusal) for refusal in found]
        experiments[stage.name] = experiment
    return experiments, refusals


def _composed(stage: Stage, earlier: str | None, experiments: dict[str, Experiment]) -> Experiment:
    if is_multirun(list(stage.words)):
        raise Refusal("a stage is one experiment and no sweep", where=shlex.join(stage.words), do="expctl -m after it")
    if earlier is not None:
        done = _done(experiments[earlier])
        stage = with_runs(stage, {earlier: done}) if done else with_stand_in(stage, experiments[earlier])
    experiment = compose(list(stage.words))
    if experiment is None:
        raise Refusal("a stage is an experiment and asks Hydra for nothing else", where=shlex.join(stage.words))
    return experiment


def _done(experiment: Experiment) -> str | None:
    """The id of a completed run, from which the stages after it are composed as they will be run."""
    run = run_of(experiment)
    recorded = manifest.read(run) if run.manifest.is_file() and not experiment.forced else None
    return run.run_id if recorded and recorded.status == manifest.COMPLETED else None


def _of_stage(stage: Stage, refusal: Refusal) -> Refusal:
    where = refusal.where if f"(stage {stage.name})" in refusal.where else f"stage {stage.name}: {refusal.where}"
    return Refusal(refusal.what, where=where, nearest=refusal.nearest, do=refusal.do)


def _run(stages: list[Stage]) -> int:
    """Run each stage as its own command would be; one that is completed is passed over, one that is not carried on."""
    from expctl.cli.start import run_checked

    runs: dict[str, str] = {}
    for number, stage in enumerate(stages, 1):
        print(f"stage {number}/{len(stages)}  {stage.name}", flush=True)
        stage = with_runs(stage, runs)
        experiment = compose(list(stage.words))
        assert experiment is not None, "it was composed for the check"
        refusals = check(experiment)
        if refusals:
            return refuse([_of_stage(stage, refusal) for refusal in refusals])
        code = run_checked(experiment).exit_code
        if code != EXIT_COMPLETED:
            left = ", ".join(later.name for later in stages[number:])
            rest = f"; after it come {left}" if left else ""
            print(f"stage {stage.name} did not complete: the same command carries on with it{rest}", file=sys.stderr)
            return code
        runs[stage.name] = run_of(experiment.unforced()).run_id
        print(flush=True)
    return EXIT_COMPLETED
