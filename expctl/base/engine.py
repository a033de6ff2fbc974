"""Which engine samples the completions of an experiment, as its resolved config says it."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from expctl.base.plain_data import mapping

COLOCATED, SERVER = "colocate", "server"
# Variables by which the parent tells every rank of a run where its server is.
SERVER_URL, GROUP_PORT = "EXPCTL_VLLM_URL", "EXPCTL_VLLM_GROUP_PORT"


def vllm_mode(config: Mapping[str, Any]) -> str | None:
    """`colocate` or `server` where vLLM samples, else None.

    `config`: the resolved root config. TRL's fields decide, whether the group `generation` set them or a word did.
    """
    args = mapping(config.get("args"))
    if not args.get("use_vllm"):
        return None
    return str(args.get("vllm_mode") or COLOCATED)


def engine_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the group `generation` says beside TRL's fields; empty where it is no engine of vLLM."""
    return mapping(config.get("generation"))


def starts_server(config: Mapping[str, Any]) -> bool:
    """Whether the run has a server of its own, which begins and ends with it."""
    settings = engine_settings(config)
    return vllm_mode(config) == SERVER and "url" in settings and settings["url"] is None


def has_own_node(config: Mapping[str, Any]) -> bool:
    """Whether the run's own server has a machine to itself, the last one of those that a launcher gives to the run."""
    return starts_server(config) and bool(engine_settings(config).get("own_node"))


def joined_server(config: Mapping[str, Any]) -> str | None:
    """The address of the server that the run joins by `generation.url`; None where it joins none."""
    url = engine_settings(config).get("url") if vllm_mode(config) == SERVER else None
    return str(url).rstrip("/") if url else None


def reach_directly(url: str) -> None:
    """Have this process send nothing for an address to a proxy that its environment names."""
    host = urlsplit(url).hostname or ""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), host]))


def server_devices(config: Mapping[str, Any]) -> int:
    """GPUs that the run's own server has beside those of its processes."""
    return int(engine_settings(config)["devices"]) if starts_server(config) else 0


def format_of_engine(config: Mapping[str, Any]) -> dict[str, Any]:
    """`dtype` and `enforce_eager` of the engine by the group `generation`, with what a CPU needs where it is silent."""
    settings, on_cpu = engine_settings(config), bool(config["hardware"]["use_cpu"])
    dtype, eager = settings.get("dtype", "auto"), settings.get("enforce_eager")
    if dtype == "auto" and on_cpu:
        # vLLM would halve the weights' precision, which most CPUs are slow in.
        dtype = "bfloat16" if config["args"].get("bf16") else "float32"
    return {"dtype": dtype, "enforce_eager": on_cpu if eager is None else bool(eager)}
