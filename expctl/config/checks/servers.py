"""Methods whose samples or whose teacher come from a server that somebody starts beforehand."""

from importlib.util import find_spec

from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal

# Trainer -> whether it needs a GPU, the packages it imports, the fields of `args` with addresses, what does without.
NEEDS: dict[str, tuple[bool, tuple[str, ...], tuple[str, ...], str]] = {
    "AsyncGRPOTrainer": (True, ("vllm",), ("vllm_server_base_url",), "grpo"),
    "AsyncDistillationTrainer": (
        True,
        ("vllm", "kernels"),
        ("vllm_server_base_url", "teacher_server_urls"),
        "distillation",
    ),
    "ServerDistillationTrainer": (False, ("vllm",), ("teacher_model_server_url",), "distillation"),
}


def check_servers(experiment: Experiment) -> list[Refusal]:
    """Refuse a method whose device, packages or servers are not there, with the one that does without them."""
    trainer = str(experiment.config["algorithm"]["trainer"].get("_target_"))
    package, _, name = trainer.rpartition(".")
    if name not in NEEDS or package.partition(".")[0] != "trl":
        return []
    needs_gpu, packages, addresses, other = NEEDS[name]
    algorithm, args = experiment.choices.get("algorithm"), experiment.config["args"]
    where, instead = experiment.set_by("algorithm"), f"algorithm={other} does without"
    if needs_gpu and experiment.config["hardware"]["use_cpu"]:
        return [Refusal(f"algorithm={algorithm} needs a GPU beside those of its server", where=where, do=instead)]
    lacking = [name for name in packages if find_spec(name) is None]
    if lacking and not experiment.runs_remotely:
        what = f"algorithm={algorithm} needs the package {lacking[0]}, which is not installed"
        return [Refusal(what, where=where, do=f"pip install {lacking[0]}; or {instead}")]
    unset = [field for field in addresses if not args.get(field)]
    return [
        Refusal(
            f"algorithm={algorithm} needs a server, and 'args.{field}' has no address of it",
            where=experiment.set_by(f"args.{field}"),
            do=f"vllm serve <model>, and args.{field}=http://HOST:PORT; or {instead}",
        )
        for field in unset[:1]
    ]
