"""The server of a run, which begins and ends with it. A script stands in for vLLM."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from expctl.base.engine import GROUP_PORT, SERVER_URL
from expctl.launch import engine_server
from expctl.launch.engine_server import EngineServer, server_command, share_devices
from expctl.runs.files import Run

SCRIPT = """
import http.server, os, signal, subprocess, sys, time
port, mode, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(f"{folder}/pids", "w").write(f"{os.getpid()} {child.pid}")
print("devices", os.environ["CUDA_VISIBLE_DEVICES"], os.environ["VLLM_NO_USAGE_STATS"], flush=True)
if mode == "starting":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
if mode == "dies":
    sys.exit("No available memory for the cache blocks")
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if mode == "healthy" else 503)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer.allow_reuse_address = True
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""


@pytest.fixture
def config():
    return {
        "args": {"use_vllm": True, "vllm_mode": "server", "vllm_gpu_memory_utilization": 0.9},
        "generation": {"url": None, "devices": 2, "timeout": 60, "dtype": "auto", "enforce_eager": None},
        "hardware": {"num_processes": 1, "use_cpu": False},
        "model": {"path": "embedded:tiny"},
    }


@pytest.fixture
def start(tmp_path, config, monkeypatch):
    """`start(mode)`: a server that is healthy, or is not, or dies; all are ended after the test."""
    begun = []

    def begin(mode):
        script = [sys.executable, "-c", SCRIPT]
        monkeypatch.setattr(
            engine_server, "server_command", lambda _, port, __: [*script, str(port), mode, str(tmp_path)]
        )
        begun.append(EngineServer(Run(tmp_path), config, os.environ | {"CUDA_VISIBLE_DEVICES": "4,5,6"}, tmp_path))
        return begun[-1]

    yield begin
    for server in begun:
        server.stop()


def wait_until(condition):
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def pids(tmp_path):
    wait_until(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == 2)
    return [int(pid) for pid in (tmp_path / "pids").read_text().split()]


def test_a_healthy_server_has_devices_of_its_own_and_leaves_with_all_its_processes(start, tmp_path):
    server = start("healthy")
    wait_until(lambda: server._healthy)
    assert server.trouble() is None
    assert server.of_workers["CUDA_VISIBLE_DEVICES"] == "4"
    assert server.of_workers[SERVER_URL].startswith("http://127.0.0.1:")
    assert server.of_workers[GROUP_PORT] != server.of_workers[SERVER_URL].rpartition(":")[2]
    assert "devices 5,6 1" in (tmp_path / "server.log").read_text()
    main, child = pids(tmp_path)
    server.stop()
    wait_until(lambda: not lives(main) and not lives(child))


def test_a_server_that_dies_is_said_with_its_last_words(start):
    server = start("dies")
    wait_until(server.trouble)
    assert "ended with exit code 1: No available memory for the cache blocks" in server.trouble()
    assert "server.log" in server.trouble()


def test_a_killed_server_is_said_and_what_it_had_started_is_ended(start, tmp_path):
    server = start("healthy")
    main, child = pids(tmp_path)
    wait_until(lambda: server._healthy)
    os.kill(main, signal.SIGKILL)
    wait_until(server.trouble)
    assert "was killed by SIGKILL" in server.trouble()
    server.stop()
    wait_until(lambda: not lives(child))


def test_a_server_that_never_becomes_healthy_is_waited_for_as_long_as_it_may_take(start, config):
    config["generation"]["timeout"] = 0.2
    server = start("sick")
    wait_until(server.trouble)
    assert "was not healthy after 0.2 s (generation.timeout)" in server.trouble()


PARENT = """
import os, sys, time
from pathlib import Path
from expctl.launch import engine_server
from expctl.runs.files import Run
from tests.launch.test_engine_server import SCRIPT
folder = Path(sys.argv[1])
engine_server.server_command = lambda _, port, __: [sys.executable, "-c", SCRIPT, str(port), sys.argv[2], str(folder)]
config = {
    "args": {"use_vllm": True, "vllm_mode": "server"},
    "generation": {"url": None, "devices": 1, "timeout": 60},
    "hardware": {"num_processes": 1},
}
server = engine_server.EngineServer(Run(folder), config, os.environ | {"CUDA_VISIBLE_DEVICES": "0,1"}, folder)
while sys.argv[2] == "healthy" and not server._healthy:
    time.sleep(0.02)
print(sys.argv[2], flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("mode", ["healthy", "starting"])
def test_a_server_ends_with_a_command_that_is_killed(tmp_path, mode):
    """With all its processes, and also while it starts: then vLLM does not leave when it is told to."""
    words = [sys.executable, "-c", PARENT, str(tmp_path), mode]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == f"{mode}\n"
    main, child = pids(tmp_path)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not lives(main) and not lives(child))


def test_two_runs_have_neither_a_port_nor_an_address_in_common(start):
    servers = [start("healthy"), start("healthy")]
    numbers = [server.of_workers[GROUP_PORT] for server in servers]
    numbers += [server.of_workers[SERVER_URL].rpartition(":")[2] for server in servers]
    assert len(set(numbers)) == 4


def test_the_command_is_one_that_trls_script_takes(config):
    from trl import TrlParser
    from trl.scripts.vllm_serve import ScriptArguments, build_command

    config["args"] |= {"vllm_max_model_length": 512}
    config["generation"] |= {"enforce_eager": True, "dtype": "bfloat16"}
    config["model"] |= {"trust_remote_code": True, "revision": "abc"}
    _, module, *words = server_command(config, 8123)[1:]
    assert module == "trl.scripts.vllm_serve"
    (arguments,) = TrlParser(ScriptArguments).parse_args_and_config(words)
    command = build_command(arguments)
    assert "--enforce-eager" in command and "--trust-remote-code" in command and "--revision" not in command
    served = command[command.index("serve") + 1]
    assert Path(served, "config.json").is_file()
    values = dict(zip(command, command[1:], strict=False))
    expected = {"--port": "8123", "--host": "127.0.0.1", "--tensor-parallel-size": "2", "--max-model-len": "512"}
    assert expected.items() <= values.items() and values["--dtype"] == "bfloat16"


def test_a_server_on_a_cpu_takes_its_weights_from_a_file(config):
    from expctl.worker.cpu_engine import SERVER_EXTENSION

    config["hardware"]["use_cpu"] = True
    command = server_command(config, 8123)
    assert command[-2:] == ["--worker-extension-cls", SERVER_EXTENSION]
    assert command[command.index("--dtype") + 1] == "float32" and "--enforce_eager" in command


def test_the_server_has_the_last_of_the_devices(config, monkeypatch):
    monkeypatch.setattr(engine_server, "gpu_names", lambda: ["0", "1", "2", "3"])
    assert share_devices(config, {}) == (["0"], ["1", "2"])
    assert share_devices(config, {"CUDA_VISIBLE_DEVICES": "GPU-a, GPU-b,GPU-c"}) == (["GPU-a"], ["GPU-b", "GPU-c"])
