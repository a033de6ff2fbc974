"""Every command of the README runs. Long trainings are cut to one step; everything else is typed as it stands."""

import re
import shlex
import sys

import pytest
from harness import COMMAND, REPOSITORY, expctl, forked_workers, manifest, run, runs

README = (REPOSITORY / "README.md").read_text()
SHORT = ["args.max_steps=1", "args.do_eval=false"]
# Commands that have a test of their own, by what they begin with.
ELSEWHERE = {
    "scripts/quickstart.sh": "test_fresh_clone.py",
    "scripts/test.sh": "this very run",
    "python scripts/make_tiny_model.py": "tests/models/test_tiny.py",
    "python scripts/make_smollm2.py": "test_real_model.py",
    "expctl algorithm=gfpo model=smollm2_135m": "test_real_model.py",
    "expctl compare": "test_compare.py",
    "expctl resume": "test_resume_command.py",
    "expctl show": "tests/cli/test_show.py and test_samples.py",
    "expctl rerun": "test_rerun.py",
    "expctl -m sweep=optuna": "test_search.py",
    "sbatch scripts/slurm/": "test_slurm.py",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


def commands() -> list[str]:
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    return [line for line in lines if not line.startswith(tuple(ELSEWHERE))]


@pytest.fixture
def folder(tmp_path):
    """A working folder with the files that the README has the reader write."""
    for block in [*blocks("python"), *blocks("yaml")]:
        first = block.splitlines()[0]
        if re.fullmatch(r"# [\w/]+\.(py|yaml)", first):
            path = tmp_path / first[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.split("\n", 1)[1] if path.suffix == ".yaml" else block)
    rows = [f'{{"question": "{n}+{n}=", "solution": "{2 * n}"}}' for n in range(10, 60)]
    (tmp_path / "problems.jsonl").write_text("\n".join(rows))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny").symlink_to(REPOSITORY / "expctl" / "models" / "tiny")
    return tmp_path


@pytest.mark.parametrize("line", commands())
def test_command(line, folder):
    program, *words = shlex.split(line)
    others = ("list", "check", "verify", "--cfg", "ls", "explain", "sync")
    trains = program != "expctl" or not words or words[0] not in others
    short = SHORT if trains else []
    if program == "expctl":
        done = expctl(*words, *short, cwd=folder)
    else:
        assert program == "torchrun"
        done = run(sys.executable, "-m", "torch.distributed.run", *words, *short, cwd=folder, **forked_workers())
    assert done.returncode == 0, done.stdout + done.stderr
    if trains:
        assert runs(folder) and all(manifest(path)["status"] == "completed" for path in runs(folder))


def shown() -> list[str]:
    """Lines of the README that show a command which this machine may have no device or network for."""
    return [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("line", shown())
def test_shown_command_composes_or_is_refused_as_shown(line, folder):
    _, _, words = line.rpartition("expctl")
    composing = ["check"] if "-m" in words else ["--cfg", "job"]
    done = expctl(*composing, *shlex.split(words), cwd=folder)
    if done.returncode == 2:
        block = next(block for block in blocks("console") if f"$ {line}\n" in block)
        done = expctl(*shlex.split(words), cwd=folder)
        assert done.stderr == block.split("\n", 1)[1]
        return
    assert done.returncode == 0 and "algorithm:" in done.stdout, done.stderr


def test_the_commands_that_are_tested_elsewhere_are_there():
    for beginning in ELSEWHERE:
        assert beginning in README
    assert COMMAND.endswith("expctl")
