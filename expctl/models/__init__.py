"""Models: where they are (`resolve`, torch-free, for the parent) and how they are loaded (`load`, in the worker)."""

from expctl.models.locations import EMBEDDED_PREFIX, SMOLLM2_FOLDER, Location, resolve

__all__ = ["EMBEDDED_PREFIX", "SMOLLM2_FOLDER", "Location", "load", "resolve"]


def __getattr__(name: str):
    # The parent imports this package to resolve a path; torch may be imported only when somebody loads.
    if name == "load":
        from expctl.models.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
