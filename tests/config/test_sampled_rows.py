"""`hardware.sampled_rows`: how many completions are sampled at a time."""

import pytest

from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose
from expctl.config.source.defaults import FieldValues
from expctl.plan import estimate
from expctl.plan.plan import usable

FLAGSHIP = ["algorithm=gfpo", "model=qwen3_0_6b", "dataset=gsm8k", "hardware=gpu"]


def planned(experiment):
    return estimate(experiment, FieldValues(experiment.config["args"], experiment.code_folders))


@pytest.mark.parametrize("gib", [24, 48, 80, 141])
def test_the_first_command_of_the_readme_fits_a_gpu(gib):
    plan = planned(compose([*FLAGSHIP, f"hardware.memory_gib={gib}"]))
    assert plan.peak.total <= usable(plan.device)


def test_a_larger_device_samples_more_at_a_time():
    sizes = (24, 48, 80, 400)
    found = [compose([*FLAGSHIP, f"hardware.memory_gib={gib}"]).hardware.get("sampled_rows") for gib in sizes]
    assert found[:3] == sorted(set(found[:3]))
    assert found[3] is None


@pytest.mark.parametrize("words", [[], ["hardware=gpu"], ["hardware=cpu"], ["algorithm=sft", "hardware=gpu"]])
def test_what_fits_or_samples_nothing_keeps_no_key(words):
    assert "sampled_rows" not in compose([*words, "hardware.memory_gib=24"]).hardware


def test_a_number_stands():
    assert compose(["hardware.sampled_rows=32"]).hardware["sampled_rows"] == 32


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hardware.sampled_rows=0"], "at least 1"),
        (["hardware.sampled_rows=many"], "'many'"),
        (["algorithm=sft", "hardware.sampled_rows=8"], "algorithm=sft samples no completions"),
        (["generation=vllm", "hardware.sampled_rows=8"], "vLLM samples"),
        (["generation=paged", "hardware.sampled_rows=8"], "continuous batching"),
    ],
)
def test_what_has_no_effect_is_refused(words, said):
    with pytest.raises(Refusal, match=said):
        compose(words)
