"""The server of vLLM that a run has for itself: begun beside its workers, ended with them."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expctl import models
from expctl.base.engine import GROUP_PORT, SERVER_URL, engine_settings, format_of_engine, has_own_node, server_devices
from expctl.base.ports import HeldPort
from expctl.base.telemetry import silence
from expctl.devices.detection import gpu_names
from expctl.launch.process import prepared, started
from expctl.runs.files import Run

ASK_SECONDS = 0.5
# How long it may take to leave when it is told to: it gives shared memory back.
LEAVE_SECONDS = 10.0
# What a launcher of this command has said of itself, and would say of the server's own processes.
OF_RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
OF_A_LAUNCHER = (*OF_RANKS, "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE")
VISIBLE = "CUDA_VISIBLE_DEVICES"
# What a server on a CPU has in its workers; the launcher imports no worker.
PLAIN_WEIGHTS = "expctl.worker.cpu_server.PlainWeights"


class EngineServer:
    """A server under way. The kernel ends it when this process dies, and `stop` ends all that it has started.

    `node`: the name by which other machines reach this one, where the server has it to itself; else only this machine
    reaches it.

    Attributes:
        of_workers: the environment variables that tell the workers where it is and which devices are theirs.

    Raises:
        OSError: in the constructor, where no port is free or its log cannot be written.
    """

    def __init__(
        self,
        run: Run,
        config: Mapping[str, Any],
        environment: Mapping[str, str],
        folder: Path,
        node: str | None = None,
    ):
        """Start it. `environment`: that of the workers, with all devices of the run."""
        self._log, self._seconds = run.server_log, float(engine_settings(config)["timeout"])
        self._ports = [HeldPort(), HeldPort()]
        port, group = (held.number for held in self._ports)
        self._url = f"http://{node or '127.0.0.1'}:{port}"
        theirs, own = share_devices(config, environment)
        self.of_workers = {SERVER_URL: self._url, GROUP_PORT: str(group), VISIBLE: ",".join(theirs)}
        variables = {name: value for name, value in environment.items() if name not in OF_A_LAUNCHER}
        variables[VISIBLE] = ",".join(own)
        silence(variables)
        guard = [sys.executable, "-m", "expctl.launch.engine_guard"]
        command = [*guard, *server_command(config, port, "0.0.0.0" if node else "127.0.0.1")]
        self._process = started(command, variables, folder, self._log, prepared())
        self._began, self._healthy, self._over = time.monotonic(), False, threading.Event()
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        """Ask whether it is healthy until it is; in a thread, since an answer may take long."""
        from urllib.request import ProxyHandler, build_opener  # 15 ms, which only a run with a server takes

        opener = build_opener(ProxyHandler({}))
        while not self._over.wait(ASK_SECONDS):
            with contextlib.suppress(OSError), opener.open(f"{self._url}/health", timeout=5):
                self._healthy = True
                return

    def trouble(self) -> str | None:
        """Why the run cannot go on: the server has ended, or did not become healthy in time. None while all is well."""
        code = self._process.poll()
        if code is not None:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            return f"the server of vLLM {how}{self._last_words()}"
        if self._healthy or time.monotonic() - self._began < self._seconds:
            return None
        return f"the server of vLLM was not healthy after {self._seconds:g} s (generation.timeout){self._last_words()}"

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            said = [line.strip() for line in lines if line.strip()]
            return f": {said[-1][:200]} (see {self._log})" if said else f" (see {self._log})"
        return ""

    def stop(self) -> None:
        """End it and all its processes, and give its ports back; to do it again does nothing."""
        self._over.set()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what it has started is in its session
        self._process.wait()
        for port in self._ports:
            port.close()


def share_devices(config: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Names of the GPUs of the workers on this machine, and of those of the server: the last ones that the run has."""
    given = environment.get(VISIBLE)
    names = gpu_names() if given is None else [name.strip() for name in given.split(",") if name.strip()]
    processes = 0 if has_own_node(config) else int(config["hardware"]["num_processes"])
    return names[:processes], names[processes : processes + server_devices(config)]


def server_command(config: Mapping[str, Any], port: int, host: str = "127.0.0.1") -> list[str]:
    """TRL's own script, which runs vLLM's server as TRL's trainers need it."""
    settings, args, model, engine = engine_settings(config), config["args"], config["model"], format_of_engine(config)
    location = models.resolve(model["path"], revision=model.get("revision") or "main")
    options: dict[str, Any] = {
        "model": location.source,
        "host": host,
        "port": port,
        "tensor_parallel_size": settings["devices"],
        "gpu_memory_utilization": args.get("vllm_gpu_memory_utilization"),
        "max_model_len": args.get("vllm_max_model_length"),
        "dtype": engine["dtype"],
        "enforce_eager": engine["enforce_eager"] or None,
        "vllm_model_impl": args.get("vllm_model_impl"),
        "trust_remote_code": model.get("trust_remote_code") or None,
        "revision": model.get("revision") if location.kind == "hub" else None,
    }
    command = [sys.executable, "-m", "trl.scripts.vllm_serve"]
    for name, value in options.items():
        if value is not None:
            command += [f"--{name}", str(value)]
    # Without NCCL the weights come in a file.
    return [*command, "--worker-extension-cls", PLAIN_WEIGHTS] if config["hardware"]["use_cpu"] else command
