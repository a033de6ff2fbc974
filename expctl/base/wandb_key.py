"""Whether Weights & Biases can be spoken to: asked without importing it, by the parent and by the worker."""

import netrc
import os
from pathlib import Path
from urllib.parse import urlparse


def has_wandb_key() -> bool:
    """Whether a key is set in the environment or was stored by `wandb login`, for the server that is meant."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname
    if host is None:
        return False
    try:
        return netrc.netrc(os.environ.get("NETRC") or Path("~/.netrc").expanduser()).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
