"""Number formats that torch does not take together are refused before a worker would fall over them."""

import pytest

STATIC = {"args.cache_implementation": "static"}


def test_a_cache_in_the_format_of_the_weights_is_refused_where_the_model_computes_in_another(refused_by_name):
    changes = STATIC | {"args.bf16": True}
    refused_by_name("grpo", changes, "float32", "args.cache_implementation=static", "model.dtype=bfloat16")


@pytest.mark.parametrize("name", ["offloaded_static", "hybrid_chunked"])
@pytest.mark.parametrize("weights", ["float32", "float16"])
def test_every_cache_that_is_allocated_beforehand_is_meant(refused_by_name, name, weights):
    changes = {"args.cache_implementation": name, "args.bf16": True, "model.dtype": weights}
    refused_by_name("gfpo", changes, f"the format of the weights, {weights}", "args.cache_implementation", "dynamic")


@pytest.mark.parametrize(
    "changes",
    [
        STATIC,
        STATIC | {"args.bf16": True, "model.dtype": "bfloat16"},
        STATIC | {"args.bf16": True, "model.dtype": "auto"},
        {"args.cache_implementation": "dynamic", "args.bf16": True},
        {"args.bf16": True},
    ],
    ids=["one format", "weights in it too", "as the checkpoint says", "a cache that grows", "no cache named"],
)
def test_what_goes_together_is_not_refused(refused, changes):
    assert refused("grpo", changes) == []


def test_the_names_are_those_of_transformers():
    from transformers.generation.configuration_utils import ALL_STATIC_CACHE_IMPLEMENTATIONS

    from expctl.config.checks.number_formats import STATIC_CACHES

    assert set(STATIC_CACHES) == set(ALL_STATIC_CACHE_IMPLEMENTATIONS)
