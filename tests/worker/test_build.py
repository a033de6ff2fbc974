"""What the worker makes of the config before the trainer sees it."""

from trl import GRPOConfig

from expctl.worker.build import make_floats


def test_a_whole_number_for_a_float_is_a_float(tmp_path):
    arguments = GRPOConfig(output_dir=str(tmp_path), temperature=4, beta=0, num_generations=4, top_k=5, bf16=False)
    make_floats(arguments)
    assert type(arguments.temperature) is type(arguments.beta) is float and arguments.temperature == 4.0
    assert type(arguments.num_generations) is type(arguments.top_k) is int
