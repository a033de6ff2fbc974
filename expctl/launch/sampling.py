"""A process that holds a model and completes prompts, for as long as somebody asks."""

import json
from typing import Any

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.launch.preflight import started


class ModelProcess:
    """The model of an experiment in a process of its own; it ends with the block.

    `expctl.worker.sampling` is what answers.
    """

    def __init__(self, experiment: Experiment, name: str):
        self.name = name
        self._process = started(experiment, "expctl.worker.sampling")
        self._say(experiment.config)

    def __enter__(self) -> "ModelProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, request: dict[str, Any]) -> None:
        """Ask for completions; `answer` waits for them, so that several processes can work meanwhile."""
        self._say(request)

    def answer(self) -> list[dict[str, Any]]:
        """The rows of the request that was asked first. Raises Refusal where the process cannot answer."""
        assert self._process.stdout, "it is a pipe"
        said = json.loads(self._process.stdout.readline() or "null") or {"error": "its process died without a word"}
        if "error" in said:
            do = "EXPCTL_DEBUG=1 shows where"
            raise Refusal(f"{self.name} cannot be sampled from: {said['error']}", where=self.name, do=do)
        rows: list[dict[str, Any]] = said["rows"]
        return rows

    def _say(self, content: Any) -> None:
        assert self._process.stdin, "it is a pipe"
        try:
            self._process.stdin.write(json.dumps(content) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # what is wrong is its last word, which `answer` reads
