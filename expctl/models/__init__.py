"""Models: where they are (`resolve`, torch-free, for the parent) and how they are loaded (`load`, in the worker)."""

from typing import TYPE_CHECKING, Any

from expctl.models.locations import EMBEDDED_PREFIX, SMOLLM2_FOLDER, Location, resolve

if TYPE_CHECKING:
    from expctl.models.loading import load

__all__ = ["EMBEDDED_PREFIX", "SMOLLM2_FOLDER", "Location", "load", "loaded_for", "loaded_part", "resolve"]

# Keys of conf/model that say how a model is used, or where it comes from, and not what is loaded.
_NOT_LOADED = ("thinking", "run")


def loaded_part(node: dict[str, Any]) -> dict[str, Any]:
    """The keywords of `load` in a node of conf/model."""
    return {name: value for name, value in node.items() if name not in _NOT_LOADED}


def loaded_for(config: dict[str, Any]) -> dict[str, Any]:
    """The keywords of `load` in a whole config, with what the algorithm needs the model for."""
    task_type = config["algorithm"].get("task_type")
    return loaded_part(config["model"]) | ({"task_type": task_type} if task_type else {})


def __getattr__(name: str) -> Any:
    # The parent imports this package to resolve a path; torch is imported only when a model is loaded.
    if name == "load":
        from expctl.models.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
