"""Settings under which a run that was interrupted is not carried on to the last bit, or only from far back.

And folders whose change is not seen when it goes on. Everything else resumes exactly on the CPU. Read from the config
and from source files: nothing is imported.
"""

import ast
from typing import Any

from expctl.config.experiment import Experiment
from expctl.config.source import Definition, find
from expctl.nested import mapping
from expctl.runs.identity import deciding
from expctl.runs.named_files import passed_over

# What TRL ships without the rollout in its checkpoints; expctl's own trainers for the first of them have it.
FORGET_ROLLOUTS = ("GRPOTrainer", "RLOOTrainer", "DistillationTrainer")

# Key of `args` -> what is true then.
ARGS = {
    "save_only_model": "checkpoints hold no optimizer: a resumed run starts it anew",
    "ignore_data_skip": "a resumed run begins its epoch again, with data it has had",
    "use_vllm": "vLLM samples with random states of its own: a resumed run samples other completions",
    "auto_find_batch_size": "a resumed run finds its batch size anew, by the memory that is free then",
}
SAVE_STRATEGIES = {
    "no": "only a signal saves: after a crash the run begins again",
    "best": "only a better evaluation saves: after a crash the run goes back to the best step",
}


def inexact(experiment: Experiment) -> list[str]:
    """A sentence for each setting that keeps a run from being carried on exactly; empty when none does."""
    return [
        *_of_the_args(experiment.config["args"]),
        *_of_the_devices(experiment.config),
        *_of_the_data(experiment.config["dataset"]),
        *_of_the_trainer(experiment.config),
        *_of_memories(experiment),
        *_of_places(experiment),
    ]


def _of_places(experiment: Experiment) -> list[str]:
    return [
        f"{setting}: the experiment itself lies there, so what changes in it makes no other run; name the files"
        for setting in passed_over(deciding(experiment.config), experiment.folder)
    ]


def _of_the_args(args: dict[str, Any]) -> list[str]:
    found = [f"args.{key}={args[key]}: {truth}" for key, truth in ARGS.items() if args.get(key)]
    # YAML reads a bare `no` as false.
    strategy = "no" if args.get("save_strategy") is False else args.get("save_strategy")
    if strategy in SAVE_STRATEGIES:
        found.append(f"args.save_strategy={strategy}: {SAVE_STRATEGIES[strategy]}")
    return found


def _of_the_devices(config: dict[str, Any]) -> list[str]:
    hardware = config["hardware"]
    if not hardware["use_cpu"]:
        if config["args"].get("full_determinism"):
            return []
        return ["on a GPU a resumed run equals the undisturbed one up to rounding (args.full_determinism=true: closer)"]
    processes = hardware["num_processes"] * hardware["num_machines"]
    if processes > 2:
        return [f"{processes} processes: their first step after a resume adds the gradients in another order"]
    return []


def _of_the_data(dataset: dict[str, Any]) -> list[str]:
    if not dataset.get("streaming"):
        return []
    return ["dataset.streaming=true: a resumed run finds its place in the first pass over the data only"]


def _of_the_trainer(config: dict[str, Any]) -> list[str]:
    target, args = str(config["algorithm"]["trainer"].get("_target_")), config["args"]
    package, _, name = target.rpartition(".")
    if package.partition(".")[0] != "trl" or name not in FORGET_ROLLOUTS:
        return []
    accumulated = args.get("gradient_accumulation_steps") or 1
    rollout = (args.get("steps_per_generation") or accumulated) * (args.get("num_iterations") or 1)
    if accumulated % rollout == 0:
        return []
    instead = "; expctl.algorithms.grpo.GRPOTrainer saves it" if name == "GRPOTrainer" else ""
    return [f"algorithm.trainer={target}: a resumed run samples anew what was not trained on yet{instead}"]


def _of_memories(experiment: Experiment) -> list[str]:
    """Parts of the user's own that change themselves and give no state to be saved."""
    parts = [(f"callbacks.{name}", node, "state") for name, node in experiment.config["callbacks"].items()]
    filter = experiment.config["algorithm"]["trainer"].get("group_filter_func")
    parts.append(("algorithm.trainer.group_filter_func", filter, "state_dict"))
    found = []
    for key, node, saved_by in parts:
        definition = _class_of(node, experiment)
        if definition and _changes_itself(definition) and not _defines(definition, saved_by):
            found.append(
                f"{key}: what {definition.name} remembers is not saved, since it has no {saved_by}(); "
                "a resumed run starts it anew"
            )
    return found


def _class_of(node: Any, experiment: Experiment) -> Definition | None:
    """The class of the user's own that a node with a `_target_` names; ours and the libraries' save what they have."""
    target = mapping(node).get("_target_")
    if not isinstance(target, str) or target.partition(".")[0] in ("expctl", "transformers", "trl"):
        return None
    definition = find(target, [experiment.folder])
    return definition if isinstance(definition, Definition) and definition.kind == "class" else None


def _changes_itself(definition: Definition) -> bool:
    """Whether a method other than the constructor assigns an attribute of the object."""
    # The definition was read without the bodies of its functions.
    tree = ast.parse(definition.file.read_text(encoding="utf-8"))
    (whole,) = (each for each in ast.walk(tree) if isinstance(each, ast.ClassDef) and each.lineno == definition.line)
    methods = [each for each in whole.body if isinstance(each, ast.FunctionDef) and each.name != "__init__"]
    targets = [
        target
        for method in methods
        for node in ast.walk(method)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return any(isinstance(each, ast.Attribute) and ast.unparse(each.value) == "self" for each in targets)


def _defines(definition: Definition, method: str) -> bool:
    return any(
        isinstance(each, ast.FunctionDef) and each.name == method
        for holder in definition.lineage
        if holder.name != "ExportableState"  # whose state() says that one is to be written
        for each in holder.node.body
    )
