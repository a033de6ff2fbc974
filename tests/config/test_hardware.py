"""How the model is split, and over how many machines: what is refused before anything is launched."""

import pytest

from expctl.cli.hydra_app import compose
from expctl.config.checks import hardware
from expctl.config.checks.hardware import check_hardware


@pytest.fixture(autouse=True)
def eight_gpus(monkeypatch):
    monkeypatch.setattr("expctl.devices.detection.gpu_names", lambda *_: list("01234567"))


def refused(*words):
    return [str(refusal) for refusal in check_hardware(compose(list(words)))]


@pytest.mark.parametrize("preset", ["gpu_8", "gpu_8_fsdp2", "gpu_8_zero3"])
def test_the_presets_pass(preset):
    assert refused(f"hardware={preset}") == []


REFUSED = {
    "key that neither knows": (
        ["hardware=gpu_8_fsdp2", "+hardware.sharding.fsdp_reshard_after_foward=true"],
        ["fsdp_reshard_after_foward", "fsdp_reshard_after_forward"],
    ),
    "key that would leave the saved model empty": (
        ["hardware=gpu_8_fsdp2", "+hardware.sharding.fsdp_state_dict_type=SHARDED_STATE_DICT"],
        ["no key", "fsdp_state_dict_type"],
    ),
    "key of the other": (["hardware=gpu_8_zero3", "+hardware.sharding.fsdp_version=2"], ["for DeepSpeed"]),
    "version that was never tried": (
        ["hardware=gpu_8_fsdp2", "hardware.sharding.fsdp_version=1"],
        ["fsdp_version' is 1", "can be 2"],
    ),
    "stage that was never tried": (["hardware=gpu_8_zero3", "hardware.sharding.zero_stage=2"], ["is 2", "can be 3"]),
    "neither": (["hardware=gpu_8", "+hardware.sharding.fsdp_offload_params=true"], ["neither", "gpu_8_zero3"]),
    "machines that nobody started": (
        ["hardware=gpu_8_fsdp2", "hardware.num_machines=2"],
        ["2 machines", "torchrun --nnodes 2 --nproc_per_node 8", "srun --nodes 2 --ntasks-per-node 8"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_what_to_do(case):
    words, said = REFUSED[case]
    (refusal,) = refused(*words)
    assert all(each in refusal for each in said), refusal


def test_deepspeed_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(hardware, "find_spec", lambda name: None)
    (refusal,) = refused("hardware=gpu_8_zero3")
    assert "package deepspeed" in refusal and "expctl[deepspeed]" in refusal
