"""Definitions read from source are those that an import would give."""

import dataclasses
import inspect
import os
import subprocess
import sys
import textwrap

import pytest

from expctl.config.source.lookup import Missing, find, locate
from expctl.config.source.signature import signature

CONFIGS = ["GRPOConfig", "SFTConfig", "DPOConfig", "KTOConfig", "RLOOConfig", "RewardConfig"]


@pytest.fixture
def write(tmp_path):
    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))

    return write


def literal(node):
    return getattr(node, "value", None)


@pytest.mark.parametrize("name", CONFIGS)
def test_fields_of_trl_configs_equal_those_of_the_imported_class(name):
    import trl

    static = signature(find(f"trl.{name}")).fields
    real = {field.name: field for field in dataclasses.fields(getattr(trl, name))}
    assert list(static) == list(real)
    assert {key: field.init for key, field in static.items()} == {key: field.init for key, field in real.items()}
    for key, field in static.items():
        if isinstance(literal(field.default), int | float | str):
            assert literal(field.default) == real[key].default, key


@pytest.mark.parametrize(
    "path",
    [
        "trl.GRPOTrainer",
        "trl.BEMACallback",
        "peft.LoraConfig",
        "transformers.EarlyStoppingCallback",
        "torch.optim.AdamW",
        "torch.optim.lr_scheduler.StepLR",
        "accelerate.Accelerator",
        "datasets.Dataset.from_dict",
    ],
)
def test_parameters_equal_those_of_the_imported_callable(path):
    import importlib

    package, *rest = path.split(".")
    real = importlib.import_module("torch.optim" if package == "torch" else package)
    for name in rest[1:] if package == "torch" else rest:
        real = getattr(real, name)
    keywords = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    expected = [name for name, parameter in inspect.signature(real).parameters.items() if parameter.kind in keywords]
    read = signature(find(path))
    assert list(read.parameters) == expected
    assert not read.accepts_any


@pytest.mark.parametrize(
    "path", ["transformers.Qwen3Config", "transformers.Qwen2_5_VLConfig", "transformers.BartModel"]
)
def test_models_behind_hundreds_of_star_imports_are_found(path):
    assert find(path).name == path.partition(".")[2]


def test_the_definition_says_where_it_stands():
    import trl

    definition = find("trl.GRPOConfig")
    lines, first = inspect.getsourcelines(trl.GRPOConfig)
    assert str(definition.file) == inspect.getsourcefile(trl.GRPOConfig)
    assert "class GRPOConfig" in lines[definition.line - first]


def test_nothing_heavy_is_imported():
    code = """
import sys
from expctl.config.checks import fields, targets
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature
from expctl.base import refusal
from expctl.base import suggest
signature(find("trl.GRPOConfig")), signature(find("trl.GRPOTrainer"))
config = {"args": {"_target_": "trl.GRPOConfig", "optim": "adam"}, "peft": {"_target_": "peft.LoraConfig", "r": 2}}
targets.check_nodes(config), fields.check_args(config["args"])
heavy = {"torch", "transformers", "trl", "datasets", "accelerate", "peft", "wandb", "numpy", "hydra", "omegaconf"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


def test_a_reexport_is_followed_to_where_it_is_defined(write, tmp_path):
    write("mine/__init__.py", "from .inner import Thing as Public\nfrom .stars import *\nimport mine.inner as other")
    write("mine/inner.py", "class Thing:\n    def __init__(self, size): ...\nAlias = Thing")
    write("mine/stars.py", "def starred(a, *, b=1): ...")
    for path in ("mine.Public", "mine.other.Thing", "mine.inner.Alias"):
        assert find(path, [tmp_path]).path == "mine.inner.Thing"
    assert list(signature(find("mine.starred", [tmp_path])).parameters) == ["a", "b"]


def test_a_lazy_table_and_type_checking_imports_are_followed(write, tmp_path):
    write("lazy/__init__.py", '_import_structure = {"inner": ["Table"]}')
    write("lazy/inner.py", "class Table: ...\nclass Typed: ...")
    write("typed.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lazy.inner import Typed")
    assert find("lazy.Table", [tmp_path]).path == "lazy.inner.Table"
    assert find("typed.Typed", [tmp_path]).path == "lazy.inner.Typed"


def test_the_first_of_guarded_imports_that_leads_somewhere_is_taken(write, tmp_path):
    write(
        "guarded.py",
        """
        try:
            from not_installed_anywhere import Thing
        except ImportError:
            from fallback import Thing
        """,
    )
    write("fallback.py", "class Thing: ...")
    assert find("guarded.Thing", [tmp_path]).path == "fallback.Thing"


def test_circular_imports_end(write, tmp_path):
    write("ring_a.py", "from ring_b import Thing")
    write("ring_b.py", "from ring_a import Thing")
    assert find("ring_a.Thing", [tmp_path]) is None


def test_keywords_go_to_the_base_class_only_where_they_are_handed_on(write, tmp_path):
    write(
        "kinds.py",
        """
        class Base:
            def __init__(self, size, *, depth=1): ...
        class Forwards(Base):
            def __init__(self, *args, own=2, **kwargs):
                super().__init__(*args, **kwargs)
        class Inspects(Base):
            def __init__(self, **kwargs):
                kwargs.pop("anything", None)
                super().__init__(**kwargs)
        class Inherits(Base): ...
        """,
    )
    forwards = signature(find("kinds.Forwards", [tmp_path]))
    assert (set(forwards.parameters), forwards.accepts_any) == ({"own", "size", "depth"}, False)
    assert signature(find("kinds.Inspects", [tmp_path])).accepts_any
    assert set(signature(find("kinds.Inherits", [tmp_path])).parameters) == {"size", "depth"}


@pytest.mark.parametrize(
    "statement",
    [
        "import functools\n@functools.wraps(print)\ndef thing(a): ...",
        "from enum import EnumType\nclass thing(metaclass=EnumType): ...",
        "from not_installed_anywhere import Base\nclass thing(Base): ...",
        "import functools\nthing = functools.partial(print)",
        "class Base:\n    def __init_subclass__(cls): ...\nclass thing(Base):\n    size: int",
    ],
)
def test_what_the_source_cannot_tell_accepts_any_keyword(write, tmp_path, statement):
    write("dynamic.py", statement)
    assert signature(find("dynamic.thing", [tmp_path])).accepts_any


def test_dataclass_fields_come_through_bases_in_other_modules(write, tmp_path):
    write(
        "base_config.py", "from dataclasses import dataclass\n@dataclass\nclass Base:\n    a: int = 1\n    b: int = 2"
    )
    write(
        "my_config.py",
        """
        import dataclasses
        from typing import ClassVar
        import base_config
        @dataclasses.dataclass(kw_only=True)
        class Mine(base_config.Base):
            kind: ClassVar[str] = "x"
            b: float = 0.5
            c: list[int] = dataclasses.field(default_factory=list)
            d: int = dataclasses.field(init=False, default=0)
            unannotated = 3
        """,
    )
    read = signature(find("my_config.Mine", [tmp_path]))
    assert list(read.fields) == ["a", "b", "c", "d"]
    assert read.fields["a"].owner.path == "base_config.Base"
    assert literal(read.fields["b"].default) == 0.5
    assert list(read.parameters) == ["a", "b", "c"]


def test_a_path_that_leads_nowhere_says_how_far_it_led():
    missing = locate("trl.trainer.grpo_config.GRPOConf")
    assert isinstance(missing, Missing)
    assert (missing.reached, missing.name) == ("trl.trainer.grpo_config", "GRPOConf")
    assert "GRPOConfig" in missing.known
    assert locate("no_such_package.thing").reached == ""


def test_a_file_that_is_no_python_is_told_with_its_line(write, tmp_path):
    write("broken.py", "x = 1\ndef f(:\n")
    with pytest.raises(SyntaxError) as caught:
        locate("broken.f", [tmp_path])
    assert caught.value.lineno == 2
    assert caught.value.filename == str(tmp_path / "broken.py")
    assert find("broken.f", [tmp_path]) is None
