"""What the worker makes of the config before the trainer sees it."""

import pytest
from trl import GRPOConfig

from expctl.worker.build import build, make_floats, with_current_fields


def test_a_whole_number_for_a_float_is_a_float(tmp_path):
    arguments = GRPOConfig(output_dir=str(tmp_path), temperature=4, beta=0, num_generations=4, top_k=5, bf16=False)
    make_floats(arguments)
    assert type(arguments.temperature) is type(arguments.beta) is float and arguments.temperature == 4.0
    assert type(arguments.num_generations) is type(arguments.top_k) is int


@pytest.mark.parametrize("value", [True, False])
def test_a_field_that_has_another_name_now_is_set_by_that_one_without_a_warning(tmp_path, recwarn, value):
    node = {"_target_": "trl.GRPOConfig", "gradient_checkpointing": value, "bf16": False}
    arguments = build(with_current_fields(node), output_dir=str(tmp_path))
    assert arguments.gradient_checkpointing is arguments.activation_checkpointing is value
    assert not [warning for warning in recwarn if "gradient_checkpointing" in str(warning.message)]


def test_what_is_set_under_the_new_name_or_not_set_is_left_as_it_is():
    both = {"_target_": "trl.SFTConfig", "gradient_checkpointing": False, "activation_checkpointing": True}
    unset = {"_target_": "trl.SFTConfig", "gradient_checkpointing": None, "learning_rate": 1e-5}
    assert with_current_fields(both) == both
    assert with_current_fields(unset) == unset
