"""What vLLM needs on a CPU so that the weights of a training reach it.

TRL hands weights over as a GPU needs it: to a colocated engine one by one, to a server by NCCL. On a CPU the engine
packs the weights of its linear layers and throws the originals away, and there is no NCCL.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

SHARED_MEMORY = Path("/dev/shm")
# For `vllm serve --worker-extension-cls`.
SERVER_EXTENSION = "expctl.worker.cpu_server.PlainWeights"


def keep_weights_loadable() -> None:
    """Have the engines that this process makes keep the weights of linear layers, and pack them again when loaded.

    Otherwise `load_weights` fails for a layer whose weights were packed, and the head, of which both are kept, goes on
    computing with the packed ones of the beginning. Without packing a layer takes 1.1 to 1.8 times as long.

    Raises:
        AttributeError: this vLLM packs elsewhere.
    """
    from vllm.model_executor.layers import utils

    pack = utils.dispatch_cpu_unquantized_gemm
    if hasattr(pack, "packs_again"):  # an earlier trainer of this process
        return

    def pack_when_used(layer: Any, remove_weight: bool) -> None:
        if layer.weight.ndim != 2:  # a convolution, or experts, which have functions of their own
            pack(layer, remove_weight)
            return
        layer.cpu_linear = _PackedAgain(layer, pack)

    pack_when_used.packs_again = True  # type: ignore[attr-defined]
    utils.dispatch_cpu_unquantized_gemm = pack_when_used


class _PackedAgain:
    """A linear layer's function: vLLM's own for the weights that were loaded last."""

    def __init__(self, layer: Any, pack: Callable[..., None]):
        self._layer, self._pack, self._packed = layer, pack, None
        # Several layers may share a weight, as a head and the embedding do: each learns of a load.
        load = layer.weight.weight_loader

        def load_and_tell(*args: Any, **keywords: Any) -> Any:
            self._packed = None
            return load(*args, **keywords)

        layer.weight.weight_loader = load_and_tell

    def __call__(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if self._packed is None:
            packed: Any = SimpleNamespace(weight=self._layer.weight, bias=getattr(self._layer, "bias", None))
            self._pack(packed, remove_weight=False)
            self._packed = packed.cpu_linear
        function: Any = self._packed
        product: torch.Tensor = function(x, weight, bias)
        return product


def hand_over_by_file(shared: Path | None = None) -> None:
    """Have the trainers of this process give a server their weights in a file.

    `shared`: the folder for it, which the server sees as well; None is main memory, for a server of this machine.
    """
    from trl.generation import vllm_generation

    module: Any = vllm_generation
    module.VLLMClient = _by_file(module.VLLMClient)
    module.VLLMClient.shared = shared or (SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)


def _by_file(client: Any) -> Any:
    if hasattr(client, "by_file"):  # an earlier trainer of this process
        return client

    class ByFile(client):  # type: ignore[misc]
        """TRL's client of a server, with a file in place of a broadcast."""

        by_file = True
        shared: Path | None = None

        def init_communicator(self, device: torch.device | str | int = 0) -> None:
            """There is no communicator."""

        def update_named_params(
            self, metadata: list[tuple[str, str, list[int]]], named_params: Iterator[tuple[str, torch.Tensor]]
        ) -> None:
            """Write the parameters into a file, have the server load it, and remove it.

            Raises:
                Exception: the server's, by TRL: it was started without `SERVER_EXTENSION`, or not in dev mode.
            """
            from safetensors.torch import save_file

            # Copies: an adapter is taken out of the weights again when the last one was read.
            tensors = {name: tensor.detach().clone() for name, tensor in named_params}
            with tempfile.TemporaryDirectory(prefix="expctl-weights-", dir=self.shared) as folder:
                file = Path(folder) / "model.safetensors"
                save_file(tensors, file)
                call = {"method": "load_weights_of", "args": [str(file)]}
                self._post(f"{self.base_url}/collective_rpc", json=call)

    return ByFile
