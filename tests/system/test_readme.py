"""Every command of the README and of docs/ runs. Long trainings are cut to one step; all else is typed as it stands."""

import re
import shlex
import sys

import pytest
from harness import COMMAND, REPOSITORY, expctl, forked_workers, manifest, run, runs

PAGES = {
    path.name: path.read_text() for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
}
README = PAGES["README.md"]
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


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], flags=re.M | re.S)


def commands() -> list[tuple[str, str]]:
    lines = [(page, line) for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()]
    return [(page, line) for page, line in lines if line.strip() and not line.startswith(tuple(ELSEWHERE))]


@pytest.fixture
def folder(tmp_path, page):
    """A working folder with the files that the page has the reader write."""
    for block in [*blocks(page, "python"), *blocks(page, "yaml")]:
        first = block.splitlines()[0]
        if re.fullmatch(r"# [\w/]+\.(py|yaml)", first):
            path = tmp_path / first[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.split("\n", 1)[1] if path.suffix == ".yaml" else block)
    rows = [f'{{"question": "{n}+{n}=", "solution": "{2 * n}"}}' for n in range(10, 60)]
    (tmp_path / "problems.jsonl").write_text("\n".join(rows))
    (tmp_path / "held_out.jsonl").write_text("\n".join(rows[:8]))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny").symlink_to(REPOSITORY / "expctl" / "models" / "tiny")
    return tmp_path


@pytest.mark.parametrize(("page", "line"), commands())
def test_command(page, line, folder):
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


def shown() -> list[tuple[str, str]]:
    """Lines that show a command which is refused, or which this machine may have no device, network or time for."""
    found = [(page, line) for page in PAGES for block in blocks(page, "console") for line in block.splitlines()]
    return [(page, line[2:]) for page, line in found if line.startswith("$ ")]


@pytest.mark.parametrize(("page", "line"), shown())
def test_shown_command_composes_or_is_refused_as_shown(page, line, folder):
    _, _, words = line.rpartition("expctl")
    composing = ["check"] if "-m" in words else ["--cfg", "job"]
    done = expctl(*composing, *shlex.split(words), cwd=folder)
    if done.returncode == 2:
        block = next(block for block in blocks(page, "console") if f"$ {line}\n" in block)
        done = expctl(*shlex.split(words), cwd=folder)
        assert done.stderr == block.split("\n", 1)[1]
        return
    shown_by = "ok  " if "-m" in words else "algorithm:"
    assert done.returncode == 0 and shown_by in done.stdout, done.stderr


def test_the_commands_that_are_tested_elsewhere_are_there():
    for beginning in ELSEWHERE:
        assert beginning in README
    assert COMMAND.endswith("expctl")
