"""What this machine has of the Hugging Face hub, and whether the hub can be reached; without torch.

`huggingface_hub` retries for half a minute where there is no network; an experiment wants the answer before it starts.
"""

import os
import socket
import threading
from pathlib import Path

_TRUE = {"1", "ON", "YES", "TRUE"}  # as huggingface_hub reads its own variables


def cache_folder() -> Path:
    """Where `huggingface_hub` keeps what it downloaded, by the same variables in the same order."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    return _hugging_face_home() / "hub"


def _hugging_face_home() -> Path:
    if os.environ.get("HF_HOME"):
        return Path(os.environ["HF_HOME"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface"


def cached_snapshot(repo_id: str, *, repo_type: str = "model", revision: str = "main") -> Path | None:
    """Folder of the downloaded files of `repo_id` at `revision` (branch, tag or commit), None if never downloaded."""
    repository = cache_folder() / f"{repo_type}s--{repo_id.replace('/', '--')}"
    reference = repository / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    snapshot = repository / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def cached_ids(repo_type: str = "model") -> list[str]:
    """Ids of all repositories in the cache, for the "did you mean" of an error."""
    folders = cache_folder().glob(f"{repo_type}s--*")
    return sorted(folder.name.removeprefix(f"{repo_type}s--").replace("--", "/", 1) for folder in folders)


def offline_reason(timeout: float = 2.0) -> str | None:
    """Why the hub cannot be reached, as the end of a sentence; None when it can. Takes at most `timeout` seconds."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(name, "").upper() in _TRUE:
            return f"{name} is set"
    import urllib.parse
    import urllib.request

    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    # Behind a proxy only the proxy can be reached, and it stands for the hub.
    scheme = urllib.parse.urlsplit(endpoint).scheme or "https"
    address = urllib.request.getproxies().get(scheme) or endpoint
    host = urllib.parse.urlsplit(address if "//" in address else f"//{address}")
    port = host.port or (80 if scheme == "http" else 443)
    return None if _connects(host.hostname or "", port, timeout) else f"{host.hostname} cannot be reached"


def _connects(host: str, port: int, timeout: float) -> bool:
    """Whether a TCP connection opens in time. In a thread, because a name look-up takes no timeout of its own."""
    opened = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=timeout).close()
        except OSError:
            return
        opened.set()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout)
    return opened.is_set()
