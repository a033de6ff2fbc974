"""Where config files come from: expctl's own `conf/`, and a user's."""

import os
from pathlib import Path

ROOT_CONFIG = "expctl"
PACKAGE = Path(__file__).resolve().parent.parent


def own_conf() -> Path:
    """The folder of expctl's config groups: `$EXPCTL_CONF`, the wheel's copy, or the clone's top-level `conf/`.

    Raises:
        FileNotFoundError: none of them holds the root config.
    """
    chosen = os.environ.get("EXPCTL_CONF")
    candidates = [Path(chosen).resolve()] if chosen else [PACKAGE / "conf", PACKAGE.parent / "conf"]
    for folder in candidates:
        if (folder / f"{ROOT_CONFIG}.yaml").is_file():
            return folder
    raise FileNotFoundError(f"expctl's config groups are missing: no {ROOT_CONFIG}.yaml in {candidates}")


def user_conf() -> Path | None:
    """`conf/` of the working folder, when it is not expctl's own."""
    folder = Path.cwd() / "conf"
    return folder if folder.is_dir() and folder.resolve() != own_conf().resolve() else None
