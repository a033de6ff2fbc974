"""The embedded model with heads of 32 dimensions in place of 24, which vLLM's attention on a CPU asks for.

The same function: the new dimensions of queries, keys and values are zero, and so are their gradients, so that training
keeps them so. What depends on a head's size is corrected: the base of the rotary embedding, the mean in the norms of
queries and keys, and the scale of the scores.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

TINY = Path(__file__).parents[2] / "expctl" / "models" / "tiny"
NEW = 32


def make_padded(folder: Path) -> Path:
    """Write the padded model into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in TINY.iterdir():
        if file.suffix in (".json", ".jinja") and file.name != "model.safetensors.index.json":
            (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((TINY / "config.json").read_text())
    old = config["head_dim"]
    config["head_dim"] = NEW
    rope = config["rope_parameters"]
    rope["rope_theta"] = rope["rope_theta"] ** (NEW / old)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    # Dimension i turns with i + half a head, at a rate that the base and the size of a head decide.
    places = torch.cat([torch.arange(old // 2), torch.arange(old // 2) + NEW // 2])
    shrink = math.sqrt(old / NEW)  # a norm over more dimensions, the new ones zero, divides by less
    tensors = {}
    for name, tensor in load_file(TINY / "model.safetensors").items():
        kind = name.split(".")[-2]
        if kind in ("q_proj", "k_proj", "v_proj"):
            tensor = _widen_rows(tensor, old, places)
        elif kind == "o_proj":
            tensor = _widen_rows(tensor.T, old, places).T.contiguous()
        elif kind in ("q_norm", "k_norm"):
            # The scores are divided by the root of a head's size: what the queries gain there they lose by the norm.
            wide = torch.zeros(NEW)
            wide[places] = tensor * (shrink if kind == "k_norm" else 1.0)
            tensor = wide
        tensors[name] = tensor
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _widen_rows(tensor: torch.Tensor, old: int, places: torch.Tensor) -> torch.Tensor:
    """`(heads * old, hidden)` to `(heads * NEW, hidden)`."""
    heads = tensor.shape[0] // old
    wide = torch.zeros(heads, NEW, tensor.shape[1])
    wide[:, places] = tensor.reshape(heads, old, -1)
    return wide.reshape(heads * NEW, -1)
