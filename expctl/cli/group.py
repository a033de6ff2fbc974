"""`accelerate launch -m expctl ...`, `torchrun -m expctl ...`, `srun expctl ...`: this process is one rank of a group.

Rank 0 alone composes, checks and claims, and tells the others through the group's store: one config, one run folder.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TextIO

from expctl.base.engine import GROUP_PORT, SERVER_URL, has_own_node
from expctl.base.exit_codes import EXIT_COMPLETED, EXIT_FAILED
from expctl.base.experiment import Experiment
from expctl.base.garbage import collect_as_usual
from expctl.base.parent_death import exit_with_parent
from expctl.base.ports import HeldPort
from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.prepare import prepare
from expctl.cli.refuse import refuse, refuse_as_worker
from expctl.launch.command import accelerate_environment, engine_environment, tracker_environment
from expctl.launch.engine_node import keep_server, leave_to_training, of_training
from expctl.launch.launch import Outcome, begin_attempt, settle
from expctl.launch.launched import ProcessGroup
from expctl.launch.rendezvous import Rendezvous
from expctl.report.closing import print_closing, print_done_already
from expctl.report.display import Display
from expctl.runs.claim import Claim
from expctl.runs.files import Run
from expctl.runs.manifest import REFUSED

LOOK_SECONDS = 0.2
# What rank 0 holds: its claim, and the word that set each key.
Led = tuple[Claim, dict[str, str]]
# What this process keeps until it ends.
_for_good = contextlib.ExitStack()


def join_group(group: ProcessGroup, words: list[str]) -> int:
    """Take part in the run that rank 0 composes; the exit code where there is none."""
    # The user's code. `python -m` looks there by itself; a rank that srun has started as `expctl` does not.
    sys.path.insert(0, os.getcwd())

    def composed() -> Experiment | None:
        if is_multirun(words):
            raise _no_sweep(group, words)
        return compose(words, lambda experiment: _sized(experiment, group))

    return take_part(group, composed)


def take_part(
    group: ProcessGroup,
    composed: Callable[[], Experiment | None],
    leave: Callable[[Run, int], NoReturn] = lambda run, code: os._exit(code),
) -> int:
    """Take part in a run; the exit code where there is none.

    `composed` returns rank 0's experiment, if the command has one; `leave` ends rank 0 when the run is settled.
    """
    led, lead = _lead(group, composed) if group.rank == 0 else ({}, None)
    meeting = Rendezvous(group)
    if group.rank == 0:
        meeting.tell("run", led)
    message = meeting.hear("run")
    if "exit" in message:
        meeting.part()
        return int(message["exit"])
    os.environ |= message["environment"] | {"EXPCTL_WORLD_SIZE": str(message["world"])}
    run = Run(Path(message["folder"]))
    _find_server(run, group, message["world"], meeting)
    terminal = _log_to(run)
    collect_as_usual()
    if lead is None:
        from expctl.worker.main import run_rank

        return run_rank(run.folder)
    return _lead_to_the_end(run, *lead, terminal, leave)


def _find_server(run: Run, group: ProcessGroup, trains: int, meeting: Rendezvous) -> None:
    """Part from the others, with the address of the run's server where it has a machine to itself.

    `trains`: how many processes train. The others, of that machine, do not return.
    """
    if trains == group.world:
        meeting.part()
        return

    def tell(url: str) -> None:
        meeting.tell("server", {SERVER_URL: url})
        meeting.part()

    if group.rank >= trains:
        if group.rank > trains:
            meeting.part()
        keep_server(run, group, trains, tell)
        os._exit(EXIT_COMPLETED)
    os.environ |= meeting.hear("server")
    meeting.part()
    leave_to_training(trains)


def _lead(group: ProcessGroup, composed: Callable[[], Experiment | None]) -> tuple[dict[str, Any], Led | None]:
    """Rank 0: compose, check, claim; what every rank needs, or the exit code when there is nothing to run."""
    try:
        experiment = composed()
        # `--cfg job`, `--help` and the like print and run nothing.
        return _acquire(_sized(experiment, group), group) if experiment else ({"exit": EXIT_COMPLETED}, None)
    except Refusal as refusal:
        return {"exit": refuse([refusal])}, None
    except BaseException:
        meeting = Rendezvous(group)
        meeting.tell("run", {"exit": EXIT_FAILED})
        meeting.part()
        raise


def _acquire(experiment: Experiment, group: ProcessGroup) -> tuple[dict[str, Any], Led | None]:
    """Acquire the run of an experiment and begin an attempt, unless it is refused or complete."""
    claimed = prepare(experiment)
    if isinstance(claimed, Outcome):
        return {"exit": claimed.exit_code}, None
    if claimed.done is not None:
        print_done_already(claimed.run, claimed.done)
        return {"exit": EXIT_COMPLETED}, None
    begin_attempt(claimed)
    environment = tracker_environment(claimed.run, experiment.config["tracker"])
    environment |= accelerate_environment(experiment.hardware)
    for_engine = engine_environment(experiment.config)
    environment |= {name: value for name, value in for_engine.items() if name not in os.environ}
    if has_own_node(experiment.config):
        environment[GROUP_PORT] = str(_for_good.enter_context(contextlib.closing(HeldPort())).number)
    world = of_training(group, experiment.config).world
    message = {"folder": str(claimed.run.folder), "environment": environment, "world": world}
    return message, (claimed, experiment.sources)


def _lead_to_the_end(
    run: Run, claimed: Claim, sources: dict[str, str], terminal: TextIO, leave: Callable[[Run, int], NoReturn]
) -> NoReturn:
    """Rank 0 is worker and parent at once: train, watch, settle the manifest."""
    from expctl.worker.main import run_attempt
    from expctl.worker.stop import StopRequest, exit_when_peers_are_lost

    exit_with_parent(os.getppid())()
    settling = threading.Lock()

    def end(code: int) -> None:
        if not settling.acquire(blocking=False):
            return  # told to stop, or left by a peer, while the run is being settled
        outcome = settle(claimed, code, stop.received if code != EXIT_FAILED else None)
        with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
            if outcome.status == REFUSED:
                refuse_as_worker(outcome.wrong, sources, outcome.trace)
            else:
                print_closing(run, outcome.status, outcome.error)
        terminal.flush()
        leave(run, outcome.exit_code)

    stop = StopRequest(run, leave=lambda: end(EXIT_FAILED))
    if "RANK" not in os.environ:  # it trains alone, and its server may be lost
        exit_when_peers_are_lost(run, stop)
    with Display(run, claimed.from_step, terminal) as display, watched(display):
        code = run_attempt(run, stop)
    end(code)
    while True:
        time.sleep(LOOK_SECONDS)  # another thread settles the run and ends this process


@contextlib.contextmanager
def watched(display: Display) -> Iterator[None]:
    """Keep the display moving from a thread while this process trains."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            display.look()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _log_to(run: Run) -> TextIO:
    """Send this rank's output to the run's log; what is returned writes where it went before."""
    sys.stdout.flush()
    sys.stderr.flush()
    terminal = os.fdopen(os.dup(1), "w")
    log = os.open(run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    return terminal


def _sized(experiment: Experiment, group: ProcessGroup) -> Experiment:
    """The experiment with the group's size; a hardware option that says another size is an error."""
    hardware, config = experiment.hardware, experiment.config
    launched, group = group, of_training(group, config)
    if not group.machines:
        raise Refusal(
            "the processes were launched on one machine, and generation.own_node=true gives the server one to itself",
            where=experiment.set_by("generation.own_node"),
            do=f"launch on two: srun --nodes 2 --ntasks-per-node {launched.world} expctl ..., or leave own_node out",
        )
    size = {"num_processes": group.processes_a_machine, "num_machines": group.machines}
    said = {"num_processes": hardware["num_processes"], "num_machines": hardware["num_machines"]}
    chosen = experiment.choices.get("hardware")
    typed = [word for word in experiment.overrides if word.startswith("hardware")]
    if typed and said != size and hardware["num_processes"] * hardware["num_machines"] != group.world:
        beside = "" if group == launched else " beside the machine of the server"
        raise Refusal(
            f"{group.world} processes were launched{beside}, but the config asks for "
            f"{said['num_processes']} x {said['num_machines']} machine{'s' if said['num_machines'] > 1 else ''}",
            where=", ".join(typed) or f"hardware={chosen}",
            do=f"launch as many, or leave hardware out: it then takes the {group.world} that were launched",
        )
    return replace(experiment, config=config | {"hardware": {**hardware, **size}}, in_group=True)


def _no_sweep(group: ProcessGroup, words: list[str]) -> Refusal:
    sweep = " ".join(words)
    return Refusal(
        f"a sweep inside a distributed launch: each of the {group.world} processes would run all of it",
        where="-m (command line)",
        do=f"expctl {sweep} hardware.num_processes={group.processes_a_machine}  (without the launcher)",
    )
