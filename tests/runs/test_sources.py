"""The user's code is what the config names, what that imports from the working folder, and nothing else."""

import pytest

from expctl.runs.sources import digests, keep, user_sources

REWARD = {"_target_": "my_rewards.short"}


def write(folder, **files):
    for name, text in files.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(text)


def test_what_the_named_module_imports_counts_too_wherever_in_it(tmp_path):
    write(
        tmp_path,
        my_rewards="import helpers\n\ndef short(**k):\n    from scoring import deep\n",
        helpers="import torch\nfrom more import *\n",
        more="import helpers\n",
        scoring="",
        unrelated="",
    )
    assert list(user_sources(REWARD, [tmp_path])) == ["helpers.py", "more.py", "my_rewards.py", "scoring.py"]


@pytest.mark.parametrize("function", ["importlib.import_module", "import_module", "__import__"])
def test_what_is_imported_by_its_name_counts(function, tmp_path):
    write(tmp_path, my_rewards=f"{function}('helpers')\n", helpers="")
    assert list(user_sources(REWARD, [tmp_path])) == ["helpers.py", "my_rewards.py"]


def test_an_entry_point_names_a_module(tmp_path):
    write(tmp_path, my_rewards="")
    write(tmp_path / "pack", inner="")
    assert list(user_sources(["my_rewards:short", "pack.inner:f", "embedded:tiny"], [tmp_path])) == [
        "my_rewards.py",
        "pack/inner.py",
    ]


def test_a_package_counts_whole_and_one_without_init_by_the_modules_used(tmp_path):
    write(tmp_path / "whole", __init__="", a="")
    write(tmp_path / "loose", used="from . import beside\n", beside="", other="")
    assert list(user_sources({"a": "whole.a.f", "b": ["loose.used.f"]}, [tmp_path])) == [
        "loose/beside.py",
        "loose/used.py",
        "whole/__init__.py",
        "whole/a.py",
    ]


def test_the_first_folder_that_has_a_module_counts(tmp_path):
    for name in ("kept", "now"):
        write(tmp_path / name, my_rewards=f"x = '{name}'\n")
    write(tmp_path / "now", only_now="")
    found = user_sources({"a": "my_rewards.short", "b": "only_now.f"}, [tmp_path / "kept", tmp_path / "now"])
    assert found == {"my_rewards.py": tmp_path / "kept/my_rewards.py", "only_now.py": tmp_path / "now/only_now.py"}


@pytest.mark.parametrize("text", ["def broken(:\n", "x = '\0'\n"])
def test_a_file_that_is_no_python_is_still_part_of_it(text, tmp_path):
    write(tmp_path, my_rewards=text)
    assert list(user_sources(REWARD, [tmp_path])) == ["my_rewards.py"]


def test_copies_keep_relative_paths_and_say_where_a_secret_was_masked(tmp_path, monkeypatch):
    monkeypatch.setenv("SERVICE_KEY", "abcdefghij")
    write(tmp_path, my_rewards="from pack.inner import f\n")
    write(tmp_path / "pack", __init__="", inner="key = 'abcdefghij'\n")
    sources = user_sources(REWARD, [tmp_path])
    assert keep(sources, tmp_path / "run") == ["pack/inner.py"]
    copies = user_sources(REWARD, [tmp_path / "run"])
    assert copies.keys() == sources.keys()
    differing = {name for name, digest in digests(copies).items() if digests(sources)[name] != digest}
    assert differing == {"pack/inner.py"}
    assert (tmp_path / "run/pack/inner.py").read_text() == "key = '<SERVICE_KEY>'\n"
