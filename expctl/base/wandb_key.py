"""Whether there is an API key of Weights & Biases, found out without importing it."""

import netrc
import os
from pathlib import Path
from urllib.parse import urlparse


def has_wandb_key() -> bool:
    """Whether a key for the configured server is in the environment or was stored by `wandb login`."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname
    if host is None:
        return False
    try:
        return netrc.netrc(os.environ.get("NETRC") or Path("~/.netrc").expanduser()).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
