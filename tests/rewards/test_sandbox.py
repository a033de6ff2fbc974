"""The sandbox is attacked: what a program tries there fails, and the same attempt works where nothing protects.

A kernel without seccomp or Landlock is found by trying; there the reward has to refuse, and the attacks are skipped.
"""

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from expctl.rewards import code
from expctl.rewards.code import PassedTests, check_protected
from expctl.rewards.sandbox import bubblewrap, processes, seccomp
from expctl.rewards.sandbox.processes import Process, limits, open_doors

LIMITS = limits(2, 512)
DOORS = open_doors(LIMITS)
needs_protection = pytest.mark.skipif(bool(DOORS), reason=f"this kernel leaves open: {'; '.join(DOORS)}")

# Name -> code that ends with an exception where it is stopped. None of these does harm where nothing stops it.
ATTEMPTS = {
    "reads a file": "open('/etc/hostname').read()",
    "lists a folder": "import os; os.listdir(os.path.dirname(MINE))",
    "reads its parent's environment": "import os; open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "reads its parent's memory": "import os; open(f'/proc/{os.getppid()}/mem', 'rb')",
    "reads installed packages": "import os; os.listdir(PACKAGES)",
    "forks": "import os; os.fork() or os._exit(0)",
    "starts a process": "import subprocess; subprocess.run(['/bin/true'], check=True)",
    "becomes another program": "import os; pid = os.fork(); pid or os.execv('/bin/true', ['true'])",
    "signals its parent": "import os; os.kill(os.getppid(), 0)",
    "signals every process": "import os; os.kill(1, 0)",
    "makes a socket": "import socket; socket.socket()",
    "makes a local socket": "import socket; socket.socketpair()",
    "connects": "import socket; socket.create_connection(('127.0.0.1', PORT), 1)",
    "makes files in memory": "import os; os.memfd_create('x')",
    "changes modes": "import os; os.chmod(MINE, 0o600)",
    "becomes a session": "import os; os.setsid()",
    "lowers its priority": "import os; os.setpriority(os.PRIO_PROCESS, 0, 19)",
    "has signals sent": "import fcntl, os; fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid())",
    "calls the kernel itself": "import ctypes; assert ctypes.CDLL(None).syscall(41 if X86 else 198, 2, 1, 0) >= 0",
    "limits its parent": "import ctypes, os; assert ctypes.CDLL(None).prlimit(os.getppid(), 7, None, b' ' * 16) == 0",
    "uses system V memory": "import ctypes; c = ctypes.CDLL(None); s = c.shmget(0, 4096, 0o1600); "
    "assert s >= 0; c.shmctl(s, 0, None)",
}
# Of these the kernel itself keeps a user who is not root from the second half of the test.
OF_ROOT = ("reads its parent's memory", "signals every process")


def outcome(program, given="", limit=LIMITS):
    with Process("programs", limit, program=program) as process:
        process.send({"input": given}, 60)
        return process.receive(60)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The names that attempts use."""
    mine = tmp_path_factory.mktemp("mine") / "file"
    mine.write_text("mine")
    with socket.create_server(("127.0.0.1", 0)) as server:
        names = {"MINE": str(mine), "PORT": server.getsockname()[1], "X86": os.uname().machine == "x86_64"}
        names["PACKAGES"] = os.path.dirname(os.path.dirname(pytest.__file__))
        yield "".join(f"{name} = {value!r}\n" for name, value in names.items())


@needs_protection
@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_fails_inside_and_works_where_nothing_protects(name, prepared):
    program = (
        f"{prepared}try:\n    {ATTEMPTS[name]}\nexcept BaseException:\n    print('stopped')\nelse:\n    print('done')"
    )
    assert outcome(program) == {"output": "stopped\n", "ended": "well"}
    if os.geteuid() == 0 or name not in OF_ROOT:
        unprotected = outcome(program, limit=limits(2, 512, protected=False))
        assert "done" in unprotected["output"], "the attempt itself is wrong"


@needs_protection
@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("while True: pass", "late"),
        ("import time; time.sleep(1000)", "late"),
        ("print('x' * 10_000_000)", "flooded"),
        ("while True: print('x' * 1000)", "flooded"),
        ("x = 'x' * (1 << 30)", "badly"),
        ("x = []\nwhile True: x.append(bytearray(1 << 26))", "badly"),
        ("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(1000,)).start()", "badly"),
        ("import os\nwhile True: os.fork()", "badly"),
        ("import os; os.abort()", "badly"),
        ("import ctypes; ctypes.string_at(0)", "badly"),
        ("import sys; sys.exit(3)", "badly"),
        ("import os; os._exit(0)", "well"),
        ("f = lambda: f()\nf()", "badly"),
        ("import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n    except OSError: pass\n"
         "while True: pass", "late"),
    ],
)  # fmt: skip
def test_what_takes_too_much_is_ended_and_the_next_one_runs(program, ended):
    short = replace(limits(1, 512), wall=3.0)
    both = f"import sys\nif sys.stdin.read() == 'good': print(1)\nelse:\n {indented(program)}"
    with Process("programs", short, program=both) as process:
        process.send({"input": ""}, 60)
        assert process.receive(60)["ended"] == ended
        process.send({"input": "good"}, 60)
        assert process.receive(60) == {"output": "1\n", "ended": "well"}


def indented(program):
    return program.replace("\n", "\n ")


@needs_protection
def test_no_process_outlives_the_sandbox():
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
    late = replace(limits(1, 512), wall=1.0)
    with Process("programs", late, program=program) as process:
        process.send({"input": ""}, 60)
        process.receive(60)
        leader = process._process.pid
    assert not os.path.exists(f"/proc/{leader}")
    with Process("programs", LIMITS, program="import time; time.sleep(1000)") as process:
        process.send({"input": ""}, 60)
        children = Path(f"/proc/{process._process.pid}/task/{process._process.pid}/children")
        while not (started := children.read_text().split()):
            pass
    while any(os.path.exists(f"/proc/{child}") and "Z" not in state(child) for child in started):
        pass  # the kernel ends it with its parent


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@needs_protection
def test_ordinary_programs_run(prepared):
    program = """
import sys, threading, resource, math, collections, decimal, json, random, datetime, heapq
resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sys.setrecursionlimit(10**6); threading.stack_size(1 << 26)
def depth(n): return n and 1 + depth(n - 1)
def main(): print(depth(20000), sum(map(int, sys.stdin.read().split())))
thread = threading.Thread(target=main); thread.start()
"""
    assert outcome(program, "1 2\n3") == {"output": "20000 6\n", "ended": "well"}


def test_the_filter_knows_both_machines_and_ends_with_a_denial():
    for machine in ("x86_64", "aarch64"):
        program = seccomp.assembled(machine, 1)
        assert program[-1][0] == seccomp.RETURN and program[-1][3] == seccomp.ERROR | 1
        assert all(row[1] < 256 and row[2] < 256 for row in program) and len(program) < 4096


def test_without_protection_it_refuses_and_says_what_is_open_and_what_to_do(monkeypatch):
    monkeypatch.setattr(code, "open_doors", lambda limit: ["the kernel has no Landlock", "it can read files"])
    with pytest.raises(
        RuntimeError, match=r"no Landlock; it can read files.*reward\.functions\.code\.unprotected=true"
    ):
        PassedTests()
    assert PassedTests(unprotected=True)


@pytest.mark.skipif(not bubblewrap.command(()), reason="bubblewrap is not here, or may not make a root folder")
def test_where_the_kernel_has_no_landlock_bubblewrap_closes_files(prepared):
    without = replace(LIMITS, landlock=False)
    rooted = replace(without, root=bubblewrap.command(()))
    assert open_doors(rooted) == []
    writes = "import os\nfor at in '/', '/dev/shm/', os.path.dirname(PACKAGES) + '/', '/tmp/':\n"
    writes += "    try:\n        open(at + 'x', 'w')\n    except OSError:\n        print('stopped')"
    assert outcome(prepared + writes, limit=rooted)["output"] == "stopped\n" * 4
    for name in ("reads a file", "lists a folder", "reads installed packages", "reads its parent's memory", "forks"):
        program = f"{prepared}try:\n    {ATTEMPTS[name]}\nexcept BaseException:\n    print('stopped')"
        assert outcome(program, limit=rooted) == {"output": "stopped\n", "ended": "well"}, name
    numbers = limits(2, 1024, imports=["numpy"])
    numbers = replace(numbers, landlock=False, root=bubblewrap.command(numbers.packages))
    assert outcome("import numpy\nprint(numpy.arange(3).sum())", limit=numbers)["output"] == "3\n"


def test_bubblewrap_is_asked_only_where_the_kernel_has_no_landlock(monkeypatch):
    monkeypatch.setattr(bubblewrap, "command", lambda packages: ("bwrap",))
    monkeypatch.setattr(processes, "version", lambda: 3)
    assert limits(2, 512).root == ()
    monkeypatch.setattr(processes, "version", lambda: 0)
    assert limits(2, 512).root == ("bwrap",) and limits(2, 512, protected=False).root == ()


def test_a_kernel_that_cannot_close_a_door_is_found_by_trying():
    """Without Landlock files stay open, whatever else is closed."""
    found = open_doors(replace(LIMITS, landlock=False))
    assert "it can read files" in found
    with pytest.raises(RuntimeError, match="it can read files"):
        check_protected(replace(LIMITS, landlock=False))
