"""Language models that see: which they are, by their config alone, and their tokenizer. Torch-free."""

from collections.abc import Mapping
from typing import Any


def sees(config: Mapping[str, Any]) -> bool:
    """Whether a model's `config.json` is that of a language model with a part for images."""
    architectures = config.get("architectures") or [""]
    return bool(config.get("vision_config")) and str(architectures[0]).endswith("ForConditionalGeneration")


def text_tokenizer(processing: Any) -> Any:
    """The tokenizer of a processor of texts and images, or the tokenizer itself."""
    return getattr(processing, "tokenizer", processing)
