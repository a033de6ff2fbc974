"""The machine that a run's server has to itself: the last one of those that a launcher has started processes on."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from expctl.base.engine import SERVER_URL, has_own_node, server_devices
from expctl.devices.detection import gpu_names
from expctl.launch.engine_server import OF_RANKS, EngineServer, share_devices
from expctl.launch.launched import ProcessGroup
from expctl.runs.files import Run
from expctl.runs.lock import is_held
from expctl.runs.manifest import FAILED
from expctl.runs.ranks import Presence
from expctl.runs.records import WorkerOutcome

LOOK_SECONDS = 0.5


def of_training(group: ProcessGroup, config: dict[str, Any]) -> ProcessGroup:
    """The part of a launched group that trains, by the resolved config; the other part has higher ranks."""
    if not has_own_node(config):
        return group
    return replace(group, world=group.world - group.processes_a_machine, machines=group.machines - 1)


def leave_to_training(world: int) -> None:
    """Make this process one of the `world` that train, for what torch and accelerate read of the environment."""
    if world > 1:
        os.environ["WORLD_SIZE"] = str(world)
        return
    for name in OF_RANKS:  # torch would take one process for a group
        os.environ.pop(name, None)


def node_name() -> str:
    """The name by which the other machines of a job reach this one."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def keep_server(run: Run, group: ProcessGroup, trains: int, tell: Callable[[str], None]) -> None:
    """Keep the server until the attempt ends; the other processes of this machine only wait for that.

    A launcher may end a job soon after the first of its processes has left. Signals are for those who train: they save,
    and need the server for that long. A server that fails is the outcome of the attempt, which the others look for.

    Args:
        run: claimed by rank 0.
        group: of all processes that were launched.
        trains: how many of them train.
        tell: is called with the address of the server, by the one process that starts it.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)  # what is ignored would be ignored by the server as well
    if group.rank > trains:
        _wait(run, lambda: None)
        return
    presence = Presence(run, group.rank)
    config = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    server, wrong = None, _misplaced(group, trains) or _too_few_devices(config)
    if not wrong:
        try:
            server = EngineServer(run, config, os.environ, Path.cwd(), node_name())
        except OSError as error:
            wrong = f"the server of vLLM cannot be started on {node_name()}: {error.strerror or error}"
    tell(server.of_workers[SERVER_URL] if server else "")
    if server is not None:
        wrong = _wait(run, server.trouble)
    if wrong and not run.outcome.exists():
        WorkerOutcome(status=FAILED, rank=group.rank, error=f"{wrong} (on {node_name()})").write(run.outcome)
    if server is not None:
        server.stop()
    presence.leave()


def _misplaced(group: ProcessGroup, trains: int) -> str | None:
    """What keeps this machine from being the server's alone: processes that were dealt out in turns."""
    if int(os.environ.get("LOCAL_RANK", "0")) == group.rank - trains:
        return None
    return "processes were dealt out in turns, and the last machine trains too (srun --distribution=block)"


def _too_few_devices(config: dict[str, Any]) -> str | None:
    devices = server_devices(config)
    if config["hardware"]["use_cpu"] or len(share_devices(config, os.environ)[1]) >= devices:
        return None
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(gpu_names()))
    return f"the server of vLLM needs {devices} GPUs (generation.devices), and its node shows {shown or 'none'}"


def _wait(run: Run, trouble: Callable[[], str | None]) -> str | None:
    """Wait until the attempt has ended, or there is trouble."""
    pause = threading.Event()
    while is_held(run.lock) and not run.outcome.exists():
        if wrong := trouble():
            return wrong
        pause.wait(LOOK_SECONDS)
    return None
