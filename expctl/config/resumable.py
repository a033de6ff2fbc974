"""Settings under which an interrupted run does not resume to the last bit, or only from far back.

And folders whose change is not noticed then. Everything else resumes exactly on the CPU. Read from the config
and from source files: nothing is imported.
"""

import re
from typing import Any

from expctl.base.engine import COLOCATED, vllm_mode
from expctl.base.evaluation import trains
from expctl.base.experiment import Experiment
from expctl.base.plain_data import mapping, sequence
from expctl.config.checks.settings import TRAINER_KEYWORDS
from expctl.config.source.lookup import ClassDefinition, Definition, FunctionDefinition, find
from expctl.config.source.stateful import LIBRARIES, changed_globals, changes_itself
from expctl.config.source.syntax import Function
from expctl.data.streamed import STREAMED
from expctl.runs.decisive import decisive_part
from expctl.runs.named_files import ignored_folders

# What TRL ships without the rollout in its checkpoints; expctl's own trainers for the first of them have it.
FORGET_ROLLOUTS = ("GRPOTrainer", "RLOOTrainer", "DistillationTrainer")

STATE = ("state_dict", "load_state_dict")
# In the source of a loader whose data come as a stream.
STREAMS = re.compile(rb"\b(IterableDataset|to_iterable_dataset|streaming\s*=\s*True)\b")
# Key of `args` -> what its setting means for a resumed run.
ARGS = {
    "save_only_model": "checkpoints hold no optimizer: a resumed run starts it anew",
    "ignore_data_skip": "a resumed run begins its epoch again, with data it has had",
    "auto_find_batch_size": "a resumed run finds its batch size anew, by the memory that is free then",
}
SAVE_STRATEGIES = {
    "no": "only a signal saves: after a crash the run begins again",
    "best": "only a better evaluation saves: after a crash the run goes back to the best step",
}


def inexact(experiment: Experiment) -> list[str]:
    """A sentence for each setting that keeps a run from being carried on exactly; empty when none does.

    An evaluation begins again where it was interrupted, so nothing keeps it.
    """
    if not trains(experiment.config):
        return []
    return [
        *_of_the_args(experiment.config["args"]),
        *_of_the_engine(experiment.config),
        *_of_the_devices(experiment.config),
        *_of_the_data(experiment),
        *of_the_trainer(str(experiment.config["algorithm"]["trainer"].get("_target_")), experiment.config["args"]),
        *_of_unsaved_state(experiment),
        *_of_folders(experiment),
    ]


def _of_the_engine(config: dict[str, Any]) -> list[str]:
    """vLLM's; in the training process on a CPU it draws from torch's random states, which a checkpoint has."""
    mode = vllm_mode(config)
    if mode is None or (mode == COLOCATED and config["hardware"]["use_cpu"]):
        return []
    return ["args.use_vllm=True: vLLM samples with random states of its own: a resumed run samples other completions"]


def _of_folders(experiment: Experiment) -> list[str]:
    return [
        f"{setting}: the experiment itself lies there, so what changes in it makes no other run; name the files"
        for setting in ignored_folders(decisive_part(experiment.config), experiment.folder)
    ]


def _of_the_args(args: dict[str, Any]) -> list[str]:
    sentences = [f"args.{key}={args[key]}: {consequence}" for key, consequence in ARGS.items() if args.get(key)]
    # YAML reads a bare `no` as false.
    strategy = "no" if args.get("save_strategy") is False else args.get("save_strategy")
    if strategy in SAVE_STRATEGIES:
        sentences.append(f"args.save_strategy={strategy}: {SAVE_STRATEGIES[strategy]}")
    return sentences


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


def _of_the_data(experiment: Experiment) -> list[str]:
    dataset = experiment.config["dataset"]
    if dataset.get("streaming"):
        return ["dataset.streaming=true: a resumed run finds its place in the first pass over the data only"]
    loader = _users_own(dataset, experiment)
    # As far as its source tells; the worker notes the same where the data are streamed.
    return [STREAMED] if loader and STREAMS.search(loader.file.read_bytes()) else []


def of_the_trainer(target: str, args: dict[str, Any]) -> list[str]:
    """A sentence where a trainer (its dotted path) with these arguments does not resume exactly."""
    package, _, name = target.rpartition(".")
    if package.partition(".")[0] != "trl" or name not in FORGET_ROLLOUTS:
        return []
    accumulated = args.get("gradient_accumulation_steps") or 1
    rollout = (args.get("steps_per_generation") or accumulated) * (args.get("num_iterations") or 1)
    if accumulated % rollout == 0:
        return []
    instead = "; expctl.algorithms.grpo.GRPOTrainer saves it" if name == "GRPOTrainer" else ""
    return [f"algorithm.trainer={target}: a resumed run samples anew what was not trained on yet{instead}"]


def _of_unsaved_state(experiment: Experiment) -> list[str]:
    """Parts of the user's own that change themselves and give no state to be saved."""
    config, trainer = experiment.config, experiment.config["algorithm"]["trainer"]
    sentences = []
    for name, node in config["callbacks"].items():
        sentences += _unsaved(f"callbacks.{name}", node, ("state",), experiment)
    for key in TRAINER_KEYWORDS:
        sentences += _unsaved(f"algorithm.trainer.{key}", trainer.get(key), STATE, experiment)
    for name, node in mapping(config["reward"].get("functions")).items():
        sentences += _unsaved(f"reward.functions.{name}", node, STATE, experiment)
    return sentences


def _unsaved(key: str, node: Any, saved_by: tuple[str, ...], experiment: Experiment, holder: str = "") -> list[str]:
    """A sentence for each object or function at and below a key whose state is in no checkpoint.

    Args:
        key: dotted key of the node.
        node: a dotted path, or what has a `_target_`.
        saved_by: the methods that a class needs to be saved.
        holder: the class that is made with the object and hides it from what is saved.
    """
    definition = _users_own(node, experiment)
    if isinstance(definition, ClassDefinition) and not holder and not _missing(definition, saved_by):
        return []  # it saves what it holds as well
    sentences = [
        f"{key}: {sentence}; a resumed run starts it anew" for sentence in _unsaved_state(definition, saved_by, holder)
    ]
    if isinstance(definition, ClassDefinition) and key.startswith("reward."):  # what is inside of a filter is reached
        holder = definition.name
    for name, inner in mapping(node).items():
        for part in sequence(inner) or [inner]:
            if isinstance(part, dict):
                sentences += _unsaved(f"{key}.{name}", part, saved_by, experiment, holder)
    return sentences


def _unsaved_state(definition: Definition | None, saved_by: tuple[str, ...], holder: str) -> list[str]:
    """What a class or function keeps from call to call that no checkpoint has."""
    sentences = []
    methods = _joined(saved_by)
    if isinstance(definition, ClassDefinition):
        missing = _missing(definition, saved_by)
        if not missing:
            sentences.append(f"what {definition.name} remembers is not saved, since {holder} has no {methods}")
        elif changes_itself(definition):
            sentences.append(f"what {definition.name} remembers is not saved, since it has no {_joined(missing)}")
    if isinstance(definition, ClassDefinition | FunctionDefinition):
        names = ", ".join(changed_globals(definition))
        if names:
            sentences.append(f"what {definition.name} keeps in {names} is not saved; only a class with {methods} is")
    return sentences


def _users_own(node: Any, experiment: Experiment) -> Definition | None:
    """The class or function of the user's own that a node or dotted path names; ours and the libraries' are saved."""
    target = mapping(node).get("_target_") if isinstance(node, dict) else node
    if not isinstance(target, str) or target.partition(".")[0] in LIBRARIES:
        return None
    return find(target, experiment.code_folders)


def _missing(definition: ClassDefinition, methods: tuple[str, ...]) -> tuple[str, ...]:
    """Which of these methods neither the class nor one that it derives from defines."""
    defined: set[str] = set()
    for owner in definition.lineage:
        if owner.name != "ExportableState":  # its state() says that a state is to be written, and has none itself
            defined |= {node.name for node in owner.node.body if isinstance(node, Function)}
    return tuple(method for method in methods if method not in defined)


def _joined(methods: tuple[str, ...]) -> str:
    return " and ".join(f"{method}()" for method in methods)
