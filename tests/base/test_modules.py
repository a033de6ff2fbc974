"""Modules are found where Python would find them, and nothing is imported for it."""

import json
import sys

from expctl.base.modules import find_module, installed_file, module_in


def write(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("raise ImportError('it was imported')\n")


def test_a_package_goes_before_a_file_and_a_file_before_a_plain_folder(tmp_path):
    write(tmp_path, "all/__init__.py", "all.py", "two.py", "two/inner.py", "plain/inner.py")
    assert module_in(tmp_path, "all").file == tmp_path / "all/__init__.py"
    assert module_in(tmp_path, "two").file == tmp_path / "two.py"
    plain = module_in(tmp_path, "plain")
    assert plain.file is None and plain.submodule("inner").file == tmp_path / "plain/inner.py"
    assert plain.submodule("inner").name == "plain.inner"
    assert module_in(tmp_path, "none") is None
    assert module_in(tmp_path, "n" * 1000) is None


def test_the_first_folder_with_source_goes_before_what_is_installed_and_that_before_a_plain_folder(tmp_path):
    write(tmp_path, "first/json/decoder.py", "second/json.py", "first/nowhere_else/inner.py")
    search = (tmp_path / "first", tmp_path / "second")
    assert find_module("json", search).file == tmp_path / "second/json.py"
    assert str(find_module("json", search[:1]).file) == json.__file__
    assert find_module("nowhere_else", search).folder == tmp_path / "first/nowhere_else"
    assert find_module("nowhere_at_all", search) is None


def test_submodules_of_a_package_are_listed_without_importing_it(tmp_path):
    write(tmp_path, "mine/__init__.py", "mine/b.py", "mine/a/__init__.py", "mine/data/rows.txt")
    module = find_module("mine", (tmp_path,))
    assert list(module.submodules()) == ["a", "b"]
    assert "mine" not in sys.modules


def test_what_a_file_of_the_users_own_hides_is_found_without_its_folder(tmp_path, monkeypatch):
    write(tmp_path, "json.py", "only_mine.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert str(installed_file("json", without=[tmp_path])) == json.__file__
    assert installed_file("only_mine", without=[tmp_path]) is None
    assert installed_file("only_mine", without=[]) == tmp_path / "only_mine.py"
