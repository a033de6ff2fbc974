"""Imported by the workers of a server of vLLM on a CPU, before they load the model.

`vllm serve --worker-extension-cls expctl.worker.cpu_server.PlainWeights`
"""

from typing import Any

from expctl.worker.cpu_engine import keep_weights_loadable

keep_weights_loadable()


class PlainWeights:
    """A base of vLLM's worker: the weights of a training are loaded into it while it serves."""

    model_runner: Any

    def load_weights_of(self, file: str) -> None:
        """Load all parameters that a file of safetensors has, by the names that the checkpoint gives them."""
        from safetensors.torch import load_file

        self.model_runner.model.load_weights(load_file(file).items())
