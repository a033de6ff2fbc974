"""What the processes of a launched group tell each other before any of them trains."""

import json
import os
from datetime import timedelta
from typing import Any

from expctl.launch.launched import ProcessGroup

STORE_TIMEOUT = timedelta(minutes=5)


class Rendezvous:
    """A place for messages of all processes of a group: the launcher's own store where it keeps one, else rank 0's."""

    def __init__(self, group: ProcessGroup):
        from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # torch lists neither

        self._group = group
        kept_by_launcher = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        port = int(os.environ["MASTER_PORT"]) + (0 if kept_by_launcher else 1)
        store = TCPStore(
            os.environ["MASTER_ADDR"],
            port,
            is_master=group.rank == 0 and not kept_by_launcher,
            timeout=STORE_TIMEOUT,
            wait_for_workers=False,
        )
        self._shared = PrefixStore(f"expctl/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)

    def tell(self, name: str, message: dict[str, Any]) -> None:
        """Leave a message for all."""
        self._shared.set(name, json.dumps(message))

    def hear(self, name: str) -> dict[str, Any]:
        """A message, once it is there."""
        message: dict[str, Any] = json.loads(self._shared.get(name))
        return message

    def part(self) -> None:
        """Have all read what they need; every process calls it, and nothing is told or heard after it.

        Rank 0 may keep the store, so it must not leave before all have read.
        """
        if self._shared.add("read", 1) == self._group.world:
            self._shared.set("all", "read")
        if self._group.rank == 0:
            self._shared.wait(["all"])
