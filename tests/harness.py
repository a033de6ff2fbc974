"""Run the installed command as a person runs it, and look at what it leaves."""

import atexit
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
COMMAND = str(Path(sys.executable).with_name("expctl"))
# The variables that name the processes to fork from, where all processes of the tests share them.
SHARED = {"workers": "FORK_WORKERS_FROM", "commands": "FORK_COMMANDS_FROM"}

# The smallest training: no completions are sampled, and few rows are tokenized.
SFT = [
    "algorithm=sft",
    "args.max_steps=4",
    "args.do_eval=false",
    "args.per_device_train_batch_size=4",
    "dataset.train_size=64",
    "dataset.eval_size=16",
]
# The same, long enough to be interrupted.
LONG = [*SFT, "args.max_steps=2000", "args.per_device_train_batch_size=2"]
GFPO = [
    "args.max_steps=2",
    "args.do_eval=false",
    "args.per_device_train_batch_size=16",
    "args.num_generations=8",
    "args.num_remains_in_group=4",
]


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without what a launcher, a tracker or another test left in it."""
    left_out = ("WANDB", "SLURM", "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER", "TORCHELASTIC", "ACCELERATE", "EXPCTL")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    return kept | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | extra


def run(*command: str, cwd: Path, timeout: float = 280, **environment: str) -> subprocess.CompletedProcess:
    """Run a command to its end; output and errors as text."""
    return subprocess.run(
        command, cwd=cwd, env=clean_environment(**environment), capture_output=True, text=True, timeout=timeout
    )


def expctl(
    *words: str, cwd: Path, timeout: float = 280, forked: bool = True, **environment: str
) -> subprocess.CompletedProcess:
    """`expctl`, to its end. It and its workers are forked from processes of these tests that have their imports done.

    With `forked=False` they are started: where the start is what is tested, and where a library must read the
    environment when it is imported. A command is started as well where Python itself reads a variable given here.
    """
    if not forked:
        return run(COMMAND, *words, cwd=cwd, timeout=timeout, **environment)
    environment = forked_workers(**environment)
    if any(name.startswith(("LC_", "LANG", "PYTHON")) and name != "PYTHONPATH" for name in environment):
        return run(COMMAND, *words, cwd=cwd, timeout=timeout, **environment)
    return run_forked(COMMAND, *words, cwd=cwd, timeout=timeout, **environment)


def run_forked(script: str, *words: str, cwd: Path, timeout: float, **environment: str) -> subprocess.CompletedProcess:
    """As `run`, of a Python script that is run in a process forked from one that has a command's imports done."""
    with socket.socket(socket.AF_UNIX) as server, ThreadPoolExecutor(2) as readers:
        server.connect(_fork_server("commands", ""))
        out, its_out = os.pipe()
        error, its_error = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        request = {
            "words": [script, *map(str, words)],
            "folder": str(cwd),
            "environment": clean_environment(**environment),
            "descriptors": [0, 1, 2],
        }
        message = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(server, [message], [nothing, its_out, its_error])
        server.sendall(message[sent:])
        for descriptor in (nothing, its_out, its_error):
            os.close(descriptor)
        texts = [readers.submit(_read, descriptor) for descriptor in (out, error)]
        server.settimeout(timeout)
        answers = server.makefile()
        try:
            answers.readline()  # its process id
            code = int(answers.readline())
        except TimeoutError:
            server.shutdown(socket.SHUT_RDWR)  # which kills it
            raise subprocess.TimeoutExpired([script, *words], timeout) from None
        return subprocess.CompletedProcess([script, *words], code, *[text.result() for text in texts])


def _read(descriptor: int) -> str:
    with open(descriptor, encoding=sys.getdefaultencoding()) as file:
        return file.read()


def start(*words: str, cwd: Path, forked: bool = False, **environment: str) -> subprocess.Popen:
    """Start `expctl` and leave it running."""
    environment = forked_workers(**environment) if forked else environment
    return subprocess.Popen(
        [COMMAND, *words],
        cwd=cwd,
        env=clean_environment(**environment),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def forked_workers(*, import_path: str = "", **environment: str) -> dict[str, str]:
    """The environment of a command whose workers are to be forked from a process that has the libraries imported.

    Args:
        import_path: the PYTHONPATH with which that process imports them.
        environment: further variables, of the command and its workers.
    """
    paths = [
        str(REPOSITORY / "tests" / "forked"),
        import_path,
        environment.get("PYTHONPATH", os.environ.get("PYTHONPATH", "")),
    ]
    return environment | {
        "FORKED_FROM": _fork_server("workers", import_path),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


@functools.cache
def _fork_server(kind: str, import_path: str) -> str:
    """The address of the process that workers or commands are forked from, when it answers."""
    shared = os.environ.get(SHARED[kind]) if not import_path else None
    pid, address = (shared or _start_fork_server(kind, import_path)).split(":")
    wait_for(lambda: os.path.exists(address) or not alive(int(pid)), seconds=280)
    assert os.path.exists(address), f"nothing to fork {kind} from"
    return address


def share_fork_servers() -> None:
    """Start one process of each kind to fork from, for all processes that are started from this one."""
    for kind, variable in SHARED.items():
        os.environ[variable] = _start_fork_server(kind, "")


def _start_fork_server(kind: str, import_path: str) -> str:
    """Start a process to fork from, which leaves with this one; its process id and the address of its socket to be."""
    address = os.path.join(tempfile.mkdtemp(), kind)
    server = subprocess.Popen(
        [sys.executable, "-P", str(REPOSITORY / "tests" / "forked" / "server.py"), address, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
        env=clean_environment(**({"PYTHONPATH": import_path} if import_path else {})),
    )
    atexit.register(server.communicate)
    return f"{server.pid}:{address}"


def remember_packages() -> None:
    """Have accelerate look for a package once: it reads its metadata each time, several times a step, 2 ms each."""
    imports = sys.modules.get("accelerate.utils.imports")
    if imports and not hasattr(imports._is_package_available, "cache_clear"):
        imports._is_package_available = functools.cache(imports._is_package_available)


def runs(cwd: Path) -> list[Path]:
    """The folders of the runs that a working folder holds."""
    return sorted(path.parent for path in (cwd / "outputs").glob("*/run.json"))


def only_run(cwd: Path) -> Path:
    found = runs(cwd)
    assert len(found) == 1, [folder.name for folder in found]
    return found[0]


def manifest(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def metrics_reach(folder: Path, step: int) -> bool:
    """Whether a run has logged a step, or one beyond it."""
    try:
        return metrics(folder)[-1]["step"] >= step
    except ValueError:
        return False  # a line that is being written


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something holds; the time is a limit for a broken program, not a claim about speed."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_of(folder: Path) -> list[int]:
    """Ids of the living processes whose command line names a run's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in words and alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def files_that_hold(folder: Path, secret: str) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]


TIMES = ("runtime", "_per_second", "_time", "_seconds")


def comparable(folder: Path) -> list[dict]:
    """The rows of a run's metrics without what no two runs share: times."""
    return [{key: value for key, value in row.items() if not key.endswith(TIMES)} for row in metrics(folder)]


def weights(folder: Path) -> dict[str, bytes]:
    """The final weights of a run, to the last bit."""
    found = {file.name: file.read_bytes() for file in (folder / "model").glob("*.safetensors")}
    assert found
    return found
