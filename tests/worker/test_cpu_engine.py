"""How the weights of a training reach vLLM on a CPU. `tests/engine` has the real one; here are stand-ins."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from expctl.worker import cpu_engine


class Client:
    """TRL's client of a server that keeps what it is given a file of."""

    base_url = "http://server"

    def __init__(self, answers: bool = True):
        self.answers, self.files, self.loaded = answers, [], {}

    def _post(self, url, json):
        assert (url, json["method"]) == ("http://server/collective_rpc", "load_weights_of")
        self.files.append(Path(json["args"][0]))
        if not self.answers:
            raise ConnectionError
        self.loaded = load_file(self.files[-1])


@pytest.fixture
def client_class(monkeypatch):
    module = ModuleType("trl.generation.vllm_generation")
    module.VLLMClient = Client
    monkeypatch.setitem(sys.modules, "trl.generation.vllm_generation", module)
    monkeypatch.setattr("trl.generation.vllm_generation", module, raising=False)
    cpu_engine.hand_over_by_file()
    once = module.VLLMClient
    cpu_engine.hand_over_by_file()
    assert module.VLLMClient is once
    return once


def test_a_server_is_given_the_weights_of_the_moment_in_a_file_of_which_nothing_stays(client_class):
    client, weight = client_class(), torch.ones(2, 3)

    def parameters():
        yield "with.adapter", weight
        weight.zero_()  # the adapter is taken out when all were read

    client.init_communicator("cpu")
    client.update_named_params([("with.adapter", "float32", [2, 3])], parameters())
    assert torch.equal(client.loaded["with.adapter"], torch.ones(2, 3))
    assert not client.files[0].parent.exists()


def test_nothing_stays_of_weights_that_no_server_took(client_class):
    client = client_class(answers=False)
    with pytest.raises(ConnectionError):
        client.update_named_params([], iter([("weight", torch.ones(1))]))
    assert not client.files[0].parent.exists()


def pack(layer, remove_weight):
    """As vLLM does: what it computes with are the weights of this moment."""
    packed = layer.weight.detach().clone()
    layer.cpu_linear = lambda x, weight, bias: torch.nn.functional.linear(x, packed, bias)
    layer.removed = remove_weight


@pytest.fixture
def dispatch(monkeypatch):
    utils = ModuleType("vllm.model_executor.layers.utils")
    utils.dispatch_cpu_unquantized_gemm = pack
    layers = ModuleType("vllm.model_executor.layers")
    layers.utils = utils
    for name in ("vllm", "vllm.model_executor"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "vllm.model_executor.layers", layers)
    cpu_engine.keep_weights_loadable()
    once = utils.dispatch_cpu_unquantized_gemm
    cpu_engine.keep_weights_loadable()
    assert utils.dispatch_cpu_unquantized_gemm is once
    return once


def with_loader(layer):
    layer.weight.weight_loader = lambda weight, loaded: weight.data.copy_(loaded)
    return layer


def test_layers_compute_with_the_weights_that_were_loaded_last_also_where_two_share_them(dispatch):
    layer, head = (with_loader(torch.nn.Linear(3, 2, bias=False)) for _ in range(2))
    head.weight = layer.weight
    for each in (layer, head):
        dispatch(each, remove_weight=True)
    rows = torch.ones(4, 3)
    for number in (1.0, 2.0):
        loaded = torch.full((2, 3), number)
        layer.weight.weight_loader(layer.weight, loaded)
        for each in (layer, head):
            assert torch.equal(each.cpu_linear(rows, each.weight), rows @ loaded.T)


def test_what_is_no_matrix_is_packed_as_vllm_does(dispatch):
    convolution = torch.nn.Conv1d(1, 1, 1)
    dispatch(convolution, remove_weight=True)
    assert convolution.removed
