"""`args` is refused exactly where the config class could not take it, and the refusal says what to type."""

import dataclasses
import enum
import textwrap

import pytest

from expctl.config.checks.fields import check_args, check_value
from expctl.config.source.annotation import fits
from expctl.config.source.lookup import find
from expctl.config.source.signature import signature

GRPO = {"_target_": "trl.GRPOConfig"}


def only(args, **options):
    refusals = check_args(args, **options)
    assert len(refusals) == 1, refusals
    return refusals[0]


@pytest.fixture
def mine(tmp_path):
    """Checks `args` of a config class written into the user's folder."""

    def check(fields, **args):
        text = "import enum, typing\nfrom dataclasses import dataclass\nfrom typing import *\n"
        text += "class Color(str, enum.Enum):\n    RED = 'red'\n    BLUE = 'blue'\n"
        text += "@dataclass\nclass Config:\n" + textwrap.indent(textwrap.dedent(fields).strip(), "    ")
        (tmp_path / "mine.py").write_text(text)
        from expctl.config.source import syntax

        syntax.read.cache_clear()
        return check_args({"_target_": "mine.Config", **args}, search=[tmp_path])

    return check


@pytest.mark.parametrize("name", ["GRPOConfig", "SFTConfig", "DPOConfig", "KTOConfig", "RLOOConfig", "RewardConfig"])
def test_every_default_of_a_trl_config_passes_its_own_check(name):
    import trl

    static = signature(find(f"trl.{name}")).fields
    for field in dataclasses.fields(getattr(trl, name)):
        if field.default is not dataclasses.MISSING:
            value = field.default
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            continue
        value = value.value if isinstance(value, enum.Enum) else value
        assert check_value(static[field.name], field.name, value) is None, field.name


def test_every_default_of_a_grpo_config_fits_its_annotation_alone():
    # Where annotations were not understood at all, the check would accept everything and this would tell nothing.
    fields = signature(find("trl.GRPOConfig")).fields
    assert fits(fields["learning_rate"], 1e-5)
    assert sum(not fits(field, object()) for field in fields.values()) > 150


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("learning_rat", "learning_rate"),
        ("lr", "learning_rate"),
        ("num_generation", "num_generations"),
        ("batch_size", "per_device_train_batch_size"),
        ("max_completion_len", "max_completion_length"),
        ("reference_model_sync", None),
    ],
)
def test_an_unknown_field_is_refused_with_the_field_that_was_meant(typed, meant):
    refusal = only({**GRPO, typed: 1})
    assert typed in refusal.what
    assert "trl.GRPOConfig" in refusal.what
    assert meant is None or meant in refusal.nearest


def test_a_refusal_says_how_the_key_was_set():
    refusal = only({**GRPO, "learning_rat": 1}, where_set=lambda key: f"{key}=1 (command line)")
    assert refusal.where == "args.learning_rat=1 (command line)"
    assert "set by   args.learning_rat=1 (command line)" in str(refusal)


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("float", [1, 1.5], ["1e-5", True, None, [1.0]]),
        ("int", [1, -1], [1.0, "1", True, None]),
        ("bool", [True, False], [0, 1, "true", None]),
        ("str", ["", "x"], [1, None, True, ["x"]]),
        ("int | None", [1, None], ["None", 1.5]),
        ("Optional[float]", [1, None], ["x", True]),
        ("typing.Union[int, str]", [1, "x"], [1.5, None]),
        ("Literal['a', 1]", ["a", 1], ["b", True, None, 2]),
        ("list[float]", [[], [1, 0.5]], [1.0, ["x"], {}]),
        ("Optional[List[str]]", [None, ["a"]], ["a", [1]]),
        ("tuple[float, float]", [[0.9, 0.99]], [[0.9], [0.9, 0.99, 1.0], 0.9]),
        ("tuple[int, ...]", [[], [1, 2, 3]], [["a"], 1]),
        ("dict", [{}, {"a": 1}], ["x", [1]]),
        ("dict[str, float]", [{"a": 1}], [{"a": "x"}]),
        ("'float | None'", [0.5, None], ["x"]),
        ("Annotated[int, 'steps']", [1], ["x"]),
        ("Color", ["red", "blue"], ["green", 1]),
        ("Color | str", ["red"], ["green", None]),
        ("Any", [1, None, "x", {}], []),
        ("SomethingUnknown | None", [1, None, "x"], []),
    ],
)
def test_a_value_passes_where_it_fits_the_annotation(mine, annotation, good, bad):
    for value in good:
        assert mine(f"field: {annotation}", field=value) == [], value
    for value in bad:
        assert len(mine(f"field: {annotation}", field=value)) == 1, value


def test_null_passes_where_it_is_the_default(mine):
    assert mine("field: float = None", field=None) == []


def test_a_field_that_is_computed_cannot_be_set(mine):
    (refusal,) = mine("import dataclasses\nfield: int = dataclasses.field(init=False, default=0)", field=1)
    assert "computed" in refusal.what


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("lr_scheduler_type", "cosin", "cosine"),
        ("save_strategy", "step", "steps"),
        ("eval_strategy", "epochs", "epoch"),
        ("optim", "adamw_torc", "adamw_torch"),
        ("loss_type", "grop", "grpo"),
    ],
)
def test_an_option_that_does_not_exist_is_refused_with_the_nearest(field, value, meant):
    refusal = only({**GRPO, field: value})
    assert refusal.nearest[0] == meant
    assert check_args({**GRPO, field: meant}) == []


def test_every_loss_is_checked_where_there_are_several():
    dpo = {"_target_": "trl.DPOConfig"}
    assert check_args({**dpo, "loss_type": ["sigmoid", "ipo"]}) == []
    assert check_args({**dpo, "loss_type": "ipo"}) == []
    assert "sigmoi" in only({**dpo, "loss_type": ["ipo", "sigmoi"]}).what


def test_an_option_that_only_the_users_trainer_names_passes(tmp_path):
    (tmp_path / "my_trainer.py").write_text(
        "class Mine:\n    def loss(self):\n        return self.loss_type == 'mine'\n"
    )
    args = {**GRPO, "loss_type": "mine"}
    assert check_args(args, search=[tmp_path], trainer="my_trainer.Mine") == []
    assert "mine" in only(args).what


def test_an_option_beyond_the_annotation_that_the_documentation_gives_passes():
    assert check_args({**GRPO, "scale_rewards": False}) == []  # annotated str, documented `str` or `bool`
    assert check_args({**GRPO, "importance_sampling_level": "sequence_token"}) == []  # ours, TRL lists none


@pytest.mark.parametrize(
    ("field", "value", "advice"),
    [
        ("learning_rate", "1e-5", "without quotes"),
        ("max_steps", 10.0, "write 10"),
        ("eval_strategy", False, 'write "no" in quotes'),
        ("run_name", 5, "quote it"),
        ("epsilon", "high", "give it as float"),
    ],
)
def test_a_wrong_type_is_refused_with_what_to_type(field, value, advice):
    assert advice in only({**GRPO, field: value}).do


def test_everything_wrong_is_told_at_once():
    assert len(check_args({**GRPO, "learning_rat": 1, "max_steps": "x", "optim": "adam"})) == 3


def test_args_without_a_config_class_are_refused():
    assert "_target_" in only({"learning_rate": 1}).do


def test_args_for_a_plain_function_are_checked_against_its_parameters(tmp_path):
    (tmp_path / "factory.py").write_text("def make(learning_rate: float): ...")
    assert "learning_rate" in only({"_target_": "factory.make", "learning_rat": 1}, search=[tmp_path]).nearest
