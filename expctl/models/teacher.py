"""Teachers: language models whose probabilities a student learns, and which are not trained."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from expctl.models.loading import load as load_model
from expctl.models.locations import resolve


def load(path: str, *, dtype: str = "float32", revision: str = "main", has_weights: bool = True) -> PreTrainedModel:
    """Load a teacher.

    Args:
        path: `embedded:<name>`, a folder, or a hub id (see `expctl.models.resolve`).
        dtype: of the weights, as for `expctl.models.load`.
        revision: branch, tag or commit of a hub id.
        has_weights: False makes it on the meta device, for a check without weights.

    Returns:
        The model in evaluation mode, without gradients.

    Raises:
        FileNotFoundError, ValueError: from `expctl.models.load`.
    """
    if not has_weights:
        config = AutoConfig.from_pretrained(resolve(path, revision=revision).source)
        with torch.device("meta"):
            skeleton: PreTrainedModel = AutoModelForCausalLM.from_config(config)
        return skeleton
    model, _ = load_model(path, dtype=dtype, revision=revision)
    model.requires_grad_(False)
    model.eval()
    return model
