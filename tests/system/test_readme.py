"""Every command of the README and of docs/ runs.

Long trainings are cut to one step and few rows; all else is typed as it stands.

Each command of the README has a folder of its own; those of another page are typed one after another in the same one,
as its reader does, so what shows or carries on a run finds those that the page has made.
"""

import functools
import re
import shlex
import sys

import pytest
from harness import COMMAND, REPOSITORY, expctl, forked_workers, manifest, run, runs

PAGES = {
    path.name: path.read_text() for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
}
SHORT = ["args.max_steps=1", "args.do_eval=false"]
FEW_ROWS = ["dataset.train_size=64", "dataset.eval_size=16"]  # of the embedded data
# Commands that have a test of their own, by what they begin with.
ELSEWHERE = {
    "scripts/quickstart.sh": "test_fresh_clone.py",
    "scripts/test.sh": "this very run",
    "scripts/reproduce.sh": "test_reproduce.py",
    "python scripts/make_tiny_model.py": "tests/models/test_tiny.py",
    "python scripts/make_smollm2.py": "test_real_model.py",
    "expctl algorithm=gfpo model=smollm2_135m": "test_real_model.py",
    "expctl -m sweep=optuna": "test_search.py",
    "expctl compare algorithm=grpo,gfpo --excess": "tests/cli/test_compare.py",
    "expctl compare algorithm=grpo,gfpo --at": "tests/cli/test_compare.py",
    "sbatch scripts/slurm/": "test_slurm.py",
}
# What needs runs: the README's are tested there, the other pages' here.
WITH_RUNS = {
    "expctl compare": "test_compare.py",
    "expctl resume": "test_resume_command.py",
    "expctl show": "tests/cli/test_show.py and test_samples.py",
    "expctl rerun": "test_rerun.py",
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], flags=re.M | re.S)


def commands() -> list[tuple[str, str]]:
    lines = [(page, line) for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()]
    return [(page, line) for page, line in lines if line.strip() and not line.startswith(elsewhere(page))]


def elsewhere(page: str) -> tuple[str, ...]:
    return (*ELSEWHERE, *(WITH_RUNS if page == "README.md" else ()))


@pytest.fixture
def folder(tmp_path, page, folders):
    """A working folder with the files that the page has the reader write."""
    if page == "README.md":
        return with_files(page, tmp_path)
    return folders(page)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return functools.cache(lambda page: with_files(page, tmp_path_factory.mktemp(page)))


def with_files(page, folder):
    for block in [*blocks(page, "python"), *blocks(page, "yaml")]:
        first = block.splitlines()[0]
        if re.fullmatch(r"# [\w/]+\.(py|yaml)", first):
            path = folder / first[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.split("\n", 1)[1] if path.suffix == ".yaml" else block)
    rows = [f'{{"question": "{n}+{n}=", "solution": "{2 * n}"}}' for n in range(10, 60)]
    written = blocks(page, "jsonl") or ["\n".join(rows)]  # a page's own rows, as they stand there
    (folder / "problems.jsonl").write_text(written[0])
    (folder / "held_out.jsonl").write_text("\n".join(rows[:8]))
    (folder / "models").mkdir()
    (folder / "models" / "tiny").symlink_to(REPOSITORY / "expctl" / "models" / "tiny")
    return folder


@pytest.fixture(scope="module")
def typed():
    """Page and line of what was typed so far."""
    return set()


def trains(line: str) -> bool:
    others = (
        "list",
        "new",
        "check",
        "data",
        "plan",
        "reward",
        "verify",
        "--cfg",
        "ls",
        "explain",
        "sync",
        "export",
        "eval",
        "stages",
        "prune",
        *(one.split()[1] for one in WITH_RUNS),
    )
    program, *words = shlex.split(line)
    return program != "expctl" or not words or words[0] not in others


@pytest.mark.parametrize(("page", "line"), commands())
def test_command(page, line, folder, typed):
    lines = [one for where, one in commands() if where == page]
    for earlier in lines[: lines.index(line)]:
        # Of a test by itself: the runs that its page has made before.
        if page != "README.md" and trains(earlier) and (page, earlier) not in typed:
            type_in(earlier, folder)
            typed.add((page, earlier))
    type_in(line, folder)
    typed.add((page, line))
    if trains(line):
        assert runs(folder) and all(manifest(path)["status"] == "completed" for path in runs(folder))


def type_in(line, folder):
    program, *words = shlex.split(line)
    if trains(line):
        embedded = "experiment" not in line and "dataset" not in line
        words += [*SHORT, *FEW_ROWS] if embedded else SHORT
    if words[0] == "stages":
        words += ["args.do_eval=false", *FEW_ROWS]  # of every stage
    if program == "expctl":
        done = expctl(*words, cwd=folder)
    else:
        assert program == "torchrun"
        done = run(sys.executable, "-m", "torch.distributed.run", *words, cwd=folder, **forked_workers())
    assert done.returncode == 0, done.stdout + done.stderr


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
        assert any(beginning in text for text in PAGES.values())
    assert COMMAND.endswith("expctl")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    folder = REPOSITORY if page == "README.md" else REPOSITORY / "docs"
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.M | re.S)
    for target in re.findall(r"\[[^]]*\]\(([^)]+)\)", text):
        file, _, section = target.partition("#")
        if file.startswith("https://"):
            continue
        assert not file or (folder / file).is_file(), target
        if section:
            heads = re.findall(r"^#+ (.+)$", PAGES[file.rpartition("/")[2] or page], flags=re.M)
            assert section in [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads], target


def test_every_picture_is_shown_and_says_what_it_is():
    shown = [found for text in PAGES.values() for found in re.findall(r"!\[([^]]*)\]\(\S*pictures/(\S+)\)", text)]
    assert all(len(said) > 20 for said, _ in shown)
    assert {name for _, name in shown} == {path.name for path in (REPOSITORY / "docs" / "pictures").iterdir()}
