"""The shape of a decoder, read from its `config.json`: what its weights and its layers take."""

from dataclasses import dataclass
from typing import Any

from expctl.base.plain_data import is_number, mapping

# Families whose queries and keys pass a norm of their own, a head at a time.
NORMED_HEADS = ("qwen3", "qwen3_moe", "olmo2", "gemma3_text", "smollm3")
# Families that have a bias on queries, keys and values without saying so in their config.
BIASED_HEADS = ("qwen2", "qwen2_moe")


class UnknownShapeError(ValueError):
    """A `config.json` that lacks what a decoder's shape is made of."""


@dataclass(frozen=True)
class Linear:
    """A matrix of a layer, and what it reads."""

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Shape:
    """A decoder as Qwen3 and Llama are built: norm, attention, norm, gated MLP, in every layer."""

    hidden: int
    layers: int
    heads: int
    key_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    # The output head is the embedding's matrix.
    tied: bool
    normed_heads: bool = False
    biased_heads: bool = False
    # Experts of a layer, and how many of them a token passes; 0 where the MLP is one.
    experts: int = 0
    experts_a_token: int = 0

    @property
    def queries(self) -> int:
        """Numbers of a token's queries, all heads together."""
        return self.heads * self.head_size

    @property
    def keys(self) -> int:
        """Numbers of a token's keys, all heads together; as many are its values."""
        return self.key_heads * self.head_size

    @property
    def linears(self) -> tuple[Linear, ...]:
        """The matrices of a layer, by transformers' names. Of experts it is the gates, ups and downs of one."""
        return (
            Linear("q_proj", self.hidden, self.queries),
            Linear("k_proj", self.hidden, self.keys),
            Linear("v_proj", self.hidden, self.keys),
            Linear("o_proj", self.queries, self.hidden),
            Linear("gate_proj", self.hidden, self.intermediate),
            Linear("up_proj", self.hidden, self.intermediate),
            Linear("down_proj", self.intermediate, self.hidden),
        )

    @property
    def embedding(self) -> int:
        """Numbers of the embedding's matrix."""
        return self.vocabulary * self.hidden

    @property
    def layer_matrices(self) -> int:
        """Numbers of a layer's matrices."""
        sizes = {linear.name: linear.inputs * linear.outputs for linear in self.linears}
        mlp = sizes["gate_proj"] + sizes["up_proj"] + sizes["down_proj"]
        attention = sum(sizes.values()) - mlp
        return attention + mlp * max(self.experts, 1) + self.experts * self.hidden

    @property
    def layer(self) -> int:
        """Numbers of a layer's parameters."""
        norms = 2 * self.hidden + (2 * self.head_size if self.normed_heads else 0)
        biases = self.queries + 2 * self.keys if self.biased_heads else 0
        return self.layer_matrices + norms + biases

    @property
    def parameters(self) -> int:
        """Numbers of all parameters."""
        matrices = self.embedding if self.tied else 2 * self.embedding
        return matrices + self.layers * self.layer + self.hidden

    @property
    def mlp_width(self) -> int:
        """Numbers of a token's MLP: of one MLP, or of all experts that the token passes."""
        return self.intermediate * max(self.experts_a_token, 1)


def shape_of(config: dict[str, Any]) -> Shape:
    """The shape that a `config.json` describes.

    Raises:
        UnknownShapeError: an entry that the shape is made of is missing or no whole number.
    """
    config = mapping(config.get("text_config")) or config
    family = str(config.get("model_type", ""))
    hidden, heads = _whole(config, "hidden_size"), _whole(config, "num_attention_heads")
    experts = next((config[key] for key in ("num_experts", "num_local_experts") if is_number(config.get(key))), 0)
    intermediate = "moe_intermediate_size" if experts and config.get("moe_intermediate_size") else "intermediate_size"
    return Shape(
        hidden=hidden,
        layers=_whole(config, "num_hidden_layers"),
        heads=heads,
        key_heads=_whole(config, "num_key_value_heads", heads),
        head_size=_whole(config, "head_dim", hidden // heads),
        intermediate=_whole(config, intermediate),
        vocabulary=_whole(config, "vocab_size"),
        tied=bool(config.get("tie_word_embeddings", False)),
        normed_heads=family in NORMED_HEADS,
        biased_heads=bool(config.get("attention_bias", family in BIASED_HEADS)),
        experts=int(experts),
        experts_a_token=_whole(config, "num_experts_per_tok", 1) if experts else 0,
    )


def _whole(config: dict[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        family = config.get("model_type") or "no model_type"
        raise UnknownShapeError(f"its config.json ({family}) has no '{key}' that is a whole number above 0")
    return value
