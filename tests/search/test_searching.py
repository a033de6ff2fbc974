"""A search from its command to its exit code, with trials on paper: composed as always, trained by nobody."""

import errno

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from optuna.storages.journal import JournalFileBackend

from expctl.base.refusal import Refusal
from expctl.config.frozen import register_resolvers
from expctl.config.locate import own_conf
from expctl.launch.launch import Outcome
from expctl.report.search_closing import print_search
from expctl.report.sweep_closing import print_results
from expctl.report.sweep_display import SweepDisplay
from expctl.runs import manifest
from expctl.runs.claim import claim
from expctl.runs.files import Run, write_json
from expctl.runs.lock import Lock
from expctl.search.plan import Plan
from expctl.search.question import Question
from expctl.search.searching import Searching
from expctl.search.space import split
from expctl.sweep.command import SweepCommand
from expctl.sweep.composer import Composer
from expctl.sweep.job import Ended
from expctl.sweep.runners import Runner


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """A command that searches over `words`; `fates`: what becomes of its trials one after the other, then completed.

    Its exit code, and the seeds of the trials that were begun.
    """
    register_resolvers()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    with initialize_config_dir(str(own_conf()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        composer = Composer(loader, loader.load_configuration("expctl", [], RunMode.MULTIRUN))

        def begin(*words, fates=(), n_trials=4, at_once=1, fail_fast=False):
            fates, begun = list(fates), []

            class Paper(Runner):
                def _run(self, jobs, look, to_come):
                    for job in jobs:
                        if not isinstance(job.state, Ended):
                            begun.append(job.experiment.config["seed"])
                            job.end(trained(job, fates.pop(0) if fates else "completed"))

                def at_once(self, hardware):
                    return at_once

            def trained(job, fate):
                claimed = claim(job.experiment)
                if claimed.done:
                    return Outcome.of_completed(job.run)
                manifest.start_attempt(job.run, 0, {})
                if fate == "completed":
                    write_json(job.run.summary, {"objective": float(job.experiment.config["seed"])})
                code = {"completed": 0, "failed": 1, "interrupted": 75}[fate]
                manifest.end_attempt(job.run, fate, to_step=1, exit_code=code)
                claimed.held.release()
                return Outcome.of_completed(job.run) if fate == "completed" else Outcome(code, fate, error="lost")

            parsed = OverridesParser.create(config_loader=loader).parse_overrides(["algorithm=sft", *words])
            question = Question.of(*split(parsed), composer)
            plan = Plan(question, composer, {"name": "RandomSampler", "seed": 0}, None, n_trials, at_once)
            command = SweepCommand("expctl", SweepDisplay, print_results, print_search, lambda folder: None)
            runner = Paper()
            runner.fail_fast = fail_fast
            return Searching(command, plan, runner).run(), begun

        yield begin


SEEDS = "seed=range(0, 1000)"


def replaced(folder):
    return sorted(path.name.partition("-search-")[2][8:] for path in (folder / "outputs/replaced").glob("*-search-*"))


@pytest.mark.parametrize("at_once", [1, 2])
def test_fail_fast_ends_a_search_at_its_first_failure_as_it_does_a_grid(begin, at_once, capsys):
    code, begun = begin(SEEDS, fates=["failed", "interrupted"], fail_fast=True, at_once=at_once)
    assert code == 1 and len(begun) == at_once
    said = capsys.readouterr().out
    assert "stopped at the first failure (fail_fast=true); the same command carries the search on" in said
    code, begun = begin(SEEDS, fail_fast=True, at_once=at_once)
    assert code == 0 and len(begun) == 4


def test_without_fail_fast_the_others_go_on(begin):
    assert begin(SEEDS, fates=["failed"])[0] == 0


def test_a_search_that_was_interrupted_exits_with_75(begin, capsys):
    assert begin(SEEDS, fates=["completed", "interrupted"])[0] == 75
    assert "stopped; the same command carries the search on" in capsys.readouterr().out


def test_a_journal_on_a_full_disk_is_one_message_and_loses_no_trial_that_finished(begin, monkeypatch, capsys, tmp_path):
    append, ended = JournalFileBackend.append_logs, []

    def full(self, logs):
        ended.extend(log for log in logs if "values" in log and log.get("state") == 1)
        if len(ended) < 2:
            return append(self, logs)
        with open(self._file_path, "ab") as file:  # the kernel takes what there is room for
            file.write(b'{"op_code": 6, "wor')
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(JournalFileBackend, "append_logs", full)
    code, first = begin(SEEDS)
    said = capsys.readouterr()
    [journal] = (tmp_path / "outputs/sweeps").glob("*.journal")
    assert code == 1 and len(first) == 2
    assert f"the search cannot be kept: No space left on device\n  where    {journal}\n" in said.err
    assert "2 completed" in said.out and "the same command carries the search on" in said.out
    monkeypatch.setattr(JournalFileBackend, "append_logs", append)
    code, second = begin(SEEDS)
    said = capsys.readouterr()
    assert code == 0 and "damaged" not in said.err and "4 completed" in said.out
    assert second[0] == first[1] and len(second) == 3, "the trial that the journal missed is told, not trained again"


def test_a_search_whose_journal_cannot_be_begun_is_refused(begin, monkeypatch):
    def full(self, logs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(JournalFileBackend, "append_logs", full)
    with pytest.raises(Refusal, match="the search cannot be kept: No space left on device"):
        begin(SEEDS)


def test_force_begins_a_search_anew_and_keeps_the_old_one_aside(begin, tmp_path, capsys):
    _, first = begin(SEEDS, n_trials=2)
    code, again = begin(SEEDS, "force=true", n_trials=2)
    assert code == 0 and again == first, "the same seed of the sampler proposes the same trials, and all are run again"
    assert replaced(tmp_path) == ["-1.journal", "-1.json"]
    assert len(list((tmp_path / "outputs/replaced").glob("*/run.json"))) == 2
    assert "2 completed" in capsys.readouterr().out
    begin(SEEDS, "force=true", n_trials=1, fates=["interrupted"])
    assert "the same command without force=true carries the search on" in capsys.readouterr().out
    assert "-2.journal" in replaced(tmp_path)
    assert begin(SEEDS, n_trials=1)[0] == 0


def test_what_a_forced_search_samples_twice_is_trained_once(begin, tmp_path):
    begin("seed=0,1", "force=true", n_trials=5)
    runs = list((tmp_path / "outputs").glob("*/run.json"))
    assert len(runs) == 2 and not (tmp_path / "outputs/replaced").exists()


def test_a_search_is_not_set_aside_while_one_of_its_trials_runs(begin, tmp_path):
    begin(SEEDS, n_trials=1)
    [told] = (tmp_path / "outputs").glob("*/run.json")
    run = Run(told.parent)
    manifest.start_attempt(run, 0, {})
    held = Lock(run.lock)
    with pytest.raises(Refusal, match="this search is running already: seed="):
        begin(SEEDS, "force=true", n_trials=1)
    held.release()
    assert not (tmp_path / "outputs/replaced").exists()
