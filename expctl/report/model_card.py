"""The card of an exported model: what it was trained on and how, what was measured, and what it comes from."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from expctl.base.plain_data import at, mapping, number, sequence
from expctl.runs import manifest
from expctl.runs.bundle import read_config
from expctl.runs.drift import is_timed
from expctl.runs.files import Run
from expctl.runs.handed_on import HandedOn
from expctl.runs.lineage import ancestors
from expctl.runs.records import Manifest, Summary

# Settings of the trainer that a reader asks for first; the rest is in the command and its config files.
SETTINGS = (
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "max_steps", "num_train_epochs", "beta", "loss_type"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "num_generations", "num_remains_in_group"),
    *("max_length", "max_completion_length", "temperature"),
)
NORMAL = 1.96  # standard errors on either side, for 95 %


def model_card(weights: HandedOn, base: str, licence: str | None) -> str:
    """The card, in Markdown with the hub's header.

    Args:
        weights: what is exported.
        base: the model that the first of its runs has started from.
        licence: of the base model; None where it is not known.
    """
    run, recorded = weights.run, weights.recorded
    config = read_config(run)
    summary = Summary.read(run.summary) or Summary()
    stages = [run, *(Run(Path(each.folder)) for each in ancestors(run) if each.folder)]
    parts = [
        _header(recorded, base, config, licence),
        f"# {recorded.name or recorded.run_id}\n",
        _opening(weights, base, config),
        "## Use\n",
        USE,
        "## Results\n",
        *_results(recorded, summary, weights),
        "## Data\n",
        *_data(recorded, config),
        "## Training\n",
        *_training(config, recorded),
        "## The same again\n",
        "In the order of the stages, with [expctl](https://pypi.org/project/expctl/):\n",
        "```\n" + "\n".join(manifest.recorded(stage).command or "expctl" for stage in reversed(stages)) + "\n```\n",
        "## Lineage\n",
        *_lineage(weights, base),
        "## Licence\n",
        f"That of the base model: {licence}.\n" if licence else f"Not known here; see that of `{base}`.\n",
    ]
    return "\n".join(parts)


USE = """```python
from transformers import pipeline

generate = pipeline("text-generation", model="<this folder or repository>")
```

vLLM (`vllm serve`) and llama.cpp (`convert_hf_to_gguf.py`) read the folder as it is.
"""


def _header(recorded: Manifest, base: str, config: dict[str, Any], licence: str | None) -> str:
    head: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if licence:
        head["license"] = licence
    if re.fullmatch(r"[\w.-]+/[\w.-]+", base):
        head["base_model"] = base
    data = str(at(config, "dataset", "path") or "")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", data) and not Path(data).exists():
        head["datasets"] = [data]
    head["tags"] = ["expctl", "trl", str(recorded.choices.get("algorithm", "training"))]
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n"


def _opening(weights: HandedOn, base: str, config: dict[str, Any]) -> str:
    trainer = str(at(config, "algorithm", "trainer", "_target_")).rpartition(".")[2]
    adapter = ", with an adapter that is merged into these weights" if config.get("peft") else ""
    step = f" after step {weights.step}" if weights.step is not None else ""
    return f"`{base}`, trained by {trainer}{adapter}; the weights are those{step} of `{weights.recorded.run_id}`.\n"


def _results(recorded: Manifest, summary: Summary, weights: HandedOn) -> Iterator[str]:
    rows = number(at(recorded.data, "eval", "rows"))
    names = [name for name, value in summary.after.items() if name.startswith("eval_") and not is_timed(name)]
    if not names:
        yield "Nothing was held out.\n"
        return
    if weights.folder != weights.run.model:
        yield "Measured after training; these weights are an earlier state of it.\n"
    yield "| held out | before | after |\n|---|---|---|"
    for name in names:
        before, after = (_measured(values, name, rows) for values in (summary.before, summary.after))
        yield f"| {name.removeprefix('eval_')} | {before} | {after} |"
    of = f" of the {rows:,.0f} held-out rows" if rows else ""
    yield f"\n± is half of a 95 % interval over the rewards{of}, where their spread was measured.\n"


def _measured(values: dict[str, float | None], name: str, rows: float | None) -> str:
    """`0.812 ± 0.031`: a mean with half of its interval, from the spread of what it is the mean of.

    With several completions a prompt the rows are counted and not the completions, which are not independent.
    """
    value = values.get(name)
    if value is None or not math.isfinite(value):
        return "" if value is None else "not a number"
    spread = values.get(f"{name.removesuffix('/mean')}/std") if name.endswith("/mean") else None
    if not spread or not rows:
        return f"{value:.4g}"
    return f"{value:.4g} ± {NORMAL * spread / math.sqrt(rows):.2g}"


def _data(recorded: Manifest, config: dict[str, Any]) -> Iterator[str]:
    dataset = mapping(config.get("dataset"))
    source = dataset.get("path") or dataset.get("_target_")
    yield f"`{recorded.choices.get('dataset', 'dataset')}`: `{source}`\n"
    for split, facts in mapping(recorded.data).items():
        columns = ", ".join(f"`{name}`" for name in sequence(mapping(facts).get("columns")))
        rows, of = mapping(facts).get("rows"), mapping(facts).get("fingerprint")
        yield f"- {split}: {rows if rows is not None else 'unknown'} rows of {columns}; content `{of}`"
    functions = mapping(at(config, "reward", "functions"))
    if functions and at(config, "algorithm", "kind") == "prompt-only":
        named = [f"`{node['_target_']}`" for node in functions.values() if "_target_" in mapping(node)]
        yield f"- rewarded by {', '.join(named)}"
    yield ""


def _training(config: dict[str, Any], recorded: Manifest) -> Iterator[str]:
    arguments = mapping(config.get("args"))
    yield f"`{at(config, 'algorithm', 'trainer', '_target_')}` with\n"
    yield "| | |\n|---|---|"
    for name in SETTINGS:
        if arguments.get(name) is not None:
            yield f"| `{name}` | {arguments[name]} |"
    yield f"| `seed` | {config.get('seed')} |\n"
    versions = ", ".join(f"{name} {version}" for name, version in recorded.versions.items() if version)
    devices = recorded.devices.gpus if recorded.devices else []
    yield f"Versions: {versions}.\n\nDevices: {', '.join(devices) or 'CPU'}.\n"


def _lineage(weights: HandedOn, base: str) -> Iterator[str]:
    yield f"1. `{base}`"
    line = list(reversed(ancestors(weights.run)))
    for place, each in enumerate(line, 2):
        which = f", {each.which}" if each.which else ""
        yield f"{place}. `{each.run_id}` (step {each.step}{which}; config `{(each.config_hash or '')[:8]}`)"
    hashed = (weights.recorded.config_hash or "")[:8]
    yield f"{len(line) + 2}. `{weights.recorded.run_id}` (step {weights.step}; config `{hashed}`)\n"
