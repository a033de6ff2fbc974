"""Run folders that a stranger has made: what shows them runs nothing, writes nothing, and says text."""

import copy
import json
import os
import shutil
import socket
import sys
import unicodedata
from pathlib import Path

import fabricated
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expctl.cli.main import run_words
from expctl.runs import manifest
from expctl.runs.files import Run, write_json

DEEP, LONG = 10_000, 20_000
MARK = "touched"
UNSAFE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\u2066\u200b\ud800\u2028\r\x00"
SCRIPT = f"</script><script>alert(1)</script><img src=x onerror=alert(1)>javascript:alert(1){UNSAFE}"
CALLBACK = "{_target_: shutil.copyfile, src: run.json, dst: touched}"
COMMAND = f"expctl '+hydra.callbacks.x={CALLBACK}' '+hydra.callbacks.y={{_target_: numpy.load, allow_pickle: true}}'"
VALUES = [
    None, True, 0, -1, 10**400, -(10**400), 1e308, float("nan"), float("inf"), "", UNSAFE, SCRIPT, COMMAND, "../../etc",
    "/etc/passwd", "[red]$\\frac{1}{0$ {0.__class__} %s", "x" * LONG, [], {}, [1, "a", None], {"a": {"b": [1]}},
    "9" * 1000, "2026-99-99", "!!python/object/apply:os.system [touch touched]",
]  # fmt: skip
CONTENTS = {
    "missing": None, "empty": b"", "no text": b"\xff\xfe\x00\x80", "cut": b'{"step": 1, "lo', "deep list": b"[" * DEEP,
    "deep mapping": b'{"a":' * DEEP + b"1" + b"}" * DEEP, "number": b'{"step": 1, "loss": ' + b"9" * 400 + b"}",
    "digits": b'{"step": ' + b"9" * 5000 + b"}", "float": b'{"step": 1, "loss": 1e400, "status": NaN}',
    "twice": b'{"step": 1, "step": 2}', "long line": b'{"step": 1, "prompt": "' + b"x" * 2_000_000 + b'"}',
    "python": b"!!python/object/apply:os.system ['touch touched']", "bomb": b"a: &a {<<: [*a, *a]}\n", "null": b"null",
    "pickle": b"cos\nsystem\n(S'touch touched'\ntR.", "text": json.dumps(SCRIPT).encode(), "list": b"[1, 2]",
}  # fmt: skip
FILES = ("run.json", "config.yaml", "summary.json", "metrics.jsonl", "samples.jsonl", "origins.json", ".progress.json",
         ".outcome.json", ".lock", ".ranks/rank-0", "overrides.yaml")  # fmt: skip
FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect",
             "socket.getaddrinfo", "pickle.find_class", "shutil.copyfile")  # fmt: skip
watched: dict[str, object] = {"on": False, "seen": []}


def _audit(event: str, arguments: tuple) -> None:
    if not watched["on"]:
        return
    if event in FORBIDDEN:
        watched["seen"].append((event, arguments))
    elif event == "open" and isinstance(arguments[0], str) and isinstance(arguments[1], str):
        outside = not arguments[0].startswith(str(watched["cache"])) and "page" not in arguments[0]
        # The folder itself is opened to try whether it can be written.
        writes = set("wax+") & set(arguments[1]) and not os.path.isdir(arguments[0])
        if writes and outside and str(watched["folder"]) in os.path.abspath(arguments[0]):
            watched["seen"].append((event, arguments))


sys.addaudithook(_audit)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EXPCTL_OUTPUTS", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    watched.update(folder=work, cache=tmp_path / "cache")
    return work


def a_run(folder: Path, **changes: object) -> Run:
    run = fabricated.run_of(fabricated.experiment(folder, **changes), status=manifest.COMPLETED)
    fabricated.write_metrics(run, [{"step": step, "reward": 0.1 * step, "loss": 1.0 / step} for step in (1, 2, 3)])
    after = {"eval_reward": 0.5, "eval_completions/mean_length": 9.0, "eval_rewards/mine/mean": 0.5}
    summary = {"objective": 0.5, "objective_name": "eval_reward", "direction": "maximize", "steps": 3}
    summary |= {"after": after, "before": after, "train": {"loss": 0.1}, "seconds": {"training": 3.0}}
    write_json(run.summary, summary)
    rows = [{"step": step, "prompt": "1+1=", "completion": "2", "rewards": {"mine": 1.0}} for step in (0, 3)]
    run.samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def look(run: Run, capsys, *, page: bool = False, folder: Path | None = None) -> str:
    """Every verb that shows, over a run: nothing happens but text."""
    root = folder or run.folder.parent.parent
    before = set(root.rglob("*"))
    where = str(run.folder)
    commands = [["ls"], ["ls", "--json"], ["show", where], ["show", where, "--json"], ["sync", where], ["sync"]]
    commands += [["compare", where], ["compare", where, "--json"]]
    if page:
        commands.append(["compare", where, "--html", "page.html", "--plots", "page-plots"])
    said = []
    for words in commands:
        watched.update(on=True, seen=[])
        try:
            code = run_words(words)
        finally:
            watched["on"] = False
        out, err = capsys.readouterr()
        assert code in (0, 2), (words, out, err)
        assert "Traceback" not in err and watched["seen"] == [], words
        for text in (out, err):
            kinds = {one: unicodedata.category(one) for one in set(text) - {"\n", "\t"}}
            assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & set(kinds.values()), words
        if "--json" in words and code == 0:
            json.loads(out, parse_constant=pytest.fail)
        else:
            assert len(out) + len(err) < 100_000 and len(err.splitlines()) <= 20, words
        said += [out, err]
    new = {path.relative_to(root).parts[0] for path in set(root.rglob("*")) - before}
    assert new <= {"page.html", "page-plots"}, new
    if (root / "page.html").exists():
        text = (root / "page.html").read_text(encoding="utf-8")
        assert text.count("<script") == 2 and "<img" not in text and "onerror=alert(1)>" not in text
        (root / "page.html").unlink()
        shutil.rmtree(root / "page-plots")
    return "".join(said)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", CONTENTS)
def test_any_content_of_any_file_is_shown_as_text(folder, capsys, name, kind):
    run = a_run(folder)
    path = run.folder / name
    path.parent.mkdir(exist_ok=True)
    if CONTENTS[kind] is not None:
        path.write_bytes(CONTENTS[kind])
    elif path.exists():
        path.unlink()
    look(run, capsys)


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_of_the_run_is_neither_opened_nor_followed(folder, capsys, name):
    secret = folder.parent / "secret"
    words = {"step": 1, "prompt": "SECRET", "completion": "SECRET", "status": "completed", "run_id": "SECRET"}
    secret.write_text(json.dumps(words))
    run = a_run(folder)
    path = run.folder / name
    path.parent.mkdir(exist_ok=True)

    def a_socket() -> None:
        server = socket.socket(socket.AF_UNIX)
        server.bind(os.path.relpath(path))
        server.close()

    for made in (lambda: os.mkfifo(path), path.mkdir, a_socket, lambda: path.symlink_to(secret),
                 lambda: path.symlink_to("/dev/zero"), lambda: path.symlink_to(path.name)):  # fmt: skip
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        made()
        assert "SECRET" not in look(run, capsys)


def _places(node, above=()):
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*above, key)
            yield from _places(value, (*above, key))


def _with(content, place, value):
    changed = copy.deepcopy(content)
    node = changed
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return changed


@pytest.mark.parametrize("name", ["run.json", "summary.json"])
def test_any_value_of_any_field_is_shown_as_text(folder, capsys, name):
    run = a_run(folder)
    path = run.folder / name
    content = json.loads(path.read_text())
    for number, place in enumerate(_places(content)):
        for value in VALUES[number % 3 :: 3]:
            path.write_text(json.dumps(_with(content, place, value)))
            look(run, capsys)


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples.jsonl", ".progress.json", ".outcome.json"])
def test_any_value_of_any_field_of_a_row_is_shown_as_text(folder, capsys, name):
    run = a_run(folder)
    keys = ("step", "prompt", "completion", "rewards", "reward", "loss", "status", "error", "metrics", "of", "phase")
    good = {"step": 1, "prompt": "a", "completion": "b", "rewards": {"mine": 1.0}, "reward": 1.0}
    for key in keys:
        rows = [json.dumps(good | {key: value}) for value in VALUES]
        (run.folder / name).write_text("\n".join(rows) if name.endswith("l") else rows[len(key)])
        look(run, capsys, page=key in ("prompt", "rewards", "reward"))


def test_scripts_and_escapes_in_every_text_are_text_also_on_the_page(folder, capsys):
    runs = [a_run(folder, seed=seed, args__learning_rate=rate) for seed in (0, 1) for rate in (1.0, 2.0)]
    for run in runs:
        recorded = json.loads(run.manifest.read_text())
        for place in list(_places(recorded)):
            node = recorded
            for key in place[:-1]:
                node = node[key]
            if isinstance(node[place[-1]], str) and place[0] not in ("status", "run_id"):
                node[place[-1]] = SCRIPT
        recorded |= {"command": f"expctl {SCRIPT}", "warnings": [SCRIPT], "notes": [SCRIPT], "overrides": [SCRIPT]}
        recorded["sources"] = {SCRIPT: SCRIPT}
        run.manifest.write_text(json.dumps(recorded))
        summary = json.loads(run.summary.read_text())
        summary["after"] |= {f"eval_rewards/{SCRIPT}/mean": 1.0, SCRIPT: 2.0}
        run.summary.write_text(json.dumps(summary))
        row = {"step": 3, "prompt": SCRIPT, "completion": SCRIPT, "rewards": {SCRIPT: 1.0}}
        run.samples.write_text(json.dumps(row) + "\n")
        fabricated.write_metrics(run, [{"step": step, SCRIPT: step, "reward": step} for step in (1, 2)])
        look(run, capsys, page=True)
    assert run_words(["compare", str(folder / "outputs"), "--html", "page.html"]) in (0, 2)


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_hostile_run_among_others_is_compared_or_left_out(folder, capsys, value):
    good, bad = a_run(folder, seed=0), a_run(folder, seed=1, args__learning_rate=2.0)
    summary = json.loads(bad.summary.read_text())
    for name in ("eval_reward", "eval_completions/mean_length"):
        summary["after"][name] = value
    summary |= {"steps": value, "objective": value, "seconds": {"training": value}}
    bad.summary.write_text(json.dumps(summary))
    recorded = json.loads(bad.manifest.read_text())
    recorded |= {"data": {"eval": value}, "ended": value, "git": {"sha": value}}
    recorded |= {"devices": {"gpus": value, "cpu": value}}
    bad.manifest.write_text(json.dumps(recorded | {"choices": {"algorithm": value}, "versions": {"trl": value}}))
    fabricated.write_metrics(bad, [{"step": step, "reward": value, "loss": value} for step in (1, 2)])
    words = ["compare", str(good.folder), str(bad.folder)]
    drawn = [["--html", "page.html", "--plots", "page-plots"]] if value in (UNSAFE, SCRIPT, 1e308) else []
    for more in ([], ["--json"], *drawn):
        assert run_words([*words, *more]) in (0, 2)
    assert run_words(["ls"]) == 0


def test_a_command_and_a_config_folder_of_a_run_are_never_composed(folder, capsys):
    run = a_run(folder)
    recorded = json.loads(run.manifest.read_text())
    (run.folder / "conf").mkdir()
    (run.folder / "conf" / "expctl.yaml").write_text(f"hydra:\n  callbacks:\n    x: {CALLBACK}\n")
    (run.folder / "sources").mkdir(exist_ok=True)
    (run.folder / "sources" / "my_rewards.py").write_text("open('touched', 'w')\n")
    for where in (str(run.folder), str(folder), 3):
        typed = [f"+hydra.callbacks.x={CALLBACK}"]
        write_json(run.manifest, recorded | {"command": COMMAND, "folder": where, "overrides": typed})
        look(run, capsys, page=True)
    assert not list(folder.rglob(MARK)) and "my_rewards" not in sys.modules


def test_a_ledger_leads_to_no_folder_but_those_beside_it(folder, capsys):
    run, stranger = a_run(folder), a_run(folder.parent / "elsewhere")
    upwards = f"../../../elsewhere/outputs/{stranger.run_id}"
    names = ("..", upwards, str(stranger.folder), "a\0b", "", 3, None, UNSAFE, run.run_id)
    cells = [{"run_id": name} for name in names]
    (folder / "outputs" / "sweeps").mkdir()
    (folder / "outputs" / "sweeps" / "s.json").write_text(json.dumps({"cells": cells}))
    assert run_words(["compare", "s", "--json"]) == 0
    assert [group["runs"] for group in json.loads(capsys.readouterr().out)["groups"]] == [[run.run_id]]


def test_recordings_that_lead_out_of_the_run_are_not_handed_up(folder, capsys):
    run = a_run(folder)
    for number, link in enumerate(("files/id_rsa", "x.wandb")):
        recording = run.folder / "wandb" / f"offline-run-{number}"
        (recording / "files").mkdir(parents=True)
        (recording / "a.wandb").touch()
        (recording / link).symlink_to("/etc/passwd")
    (folder.parent / "offline-run-3").mkdir()
    (folder.parent / "offline-run-3" / "a.wandb").touch()
    (run.folder / "wandb" / "offline-run-3").symlink_to(folder.parent / "offline-run-3")
    assert "nothing was recorded offline" in look(run, capsys)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec=None), max_size=8), inner),
    max_leaves=6,
)


@settings(max_examples=40)
@given(data=st.data())
def test_drawn_files_are_shown_as_text(data, tmp_path_factory):
    work = tmp_path_factory.mktemp("drawn")
    run = a_run(work)
    name = data.draw(st.sampled_from(FILES))
    path = run.folder / name
    path.parent.mkdir(exist_ok=True)
    content = json.loads(path.read_text()) if name in ("run.json", "summary.json") else {"step": 1}
    for key in data.draw(st.lists(st.sampled_from(sorted(content)), max_size=3)):
        content[key] = data.draw(JSON)
    path.write_text(json.dumps(content | data.draw(st.dictionaries(st.text(max_size=5), JSON, max_size=2))) + "\n")
    for words in (["show", str(run.folder)], ["show", str(run.folder), "--json"], ["compare", str(run.folder)]):
        assert run_words(words) in (0, 2)
