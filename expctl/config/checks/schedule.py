"""Evaluations, checkpoints, learning rates and optimizers: what transformers would refuse once the worker runs."""

from importlib.util import find_spec

from expctl.base.experiment import Experiment
from expctl.base.plain_data import at
from expctl.base.refusal import Refusal
from expctl.config.checks.settings import TrainerSettings

NEEDS_MINIMUM = ("cosine_with_min_lr", "cosine_warmup_with_min_lr")
NEEDS_EVALUATION = ("reduce_lr_on_plateau", "greedy")
EARLY_STOPPING = "EarlyStoppingCallback"
# Part of the name of an optimizer -> modules of which one has to be there; the first that matches counts.
OPTIMIZERS = (
    ("galore", ("galore_torch",)),
    ("apollo", ("apollo_torch",)),
    ("lomo", ("lomo_optim",)),
    ("grokadamw", ("grokadamw",)),
    ("schedule_free", ("schedulefree",)),
    ("stable_adamw", ("optimi",)),
    ("anyprecision", ("torchdistx",)),
    ("adamw_torch_4bit", ("torchao",)),
    ("adamw_torch_8bit", ("torchao",)),
    ("paged_", ("bitsandbytes",)),
    ("bnb", ("bitsandbytes",)),
    ("8bit", ("bitsandbytes",)),
    ("lion", ("bitsandbytes",)),
    ("ademamix", ("bitsandbytes",)),
)
# Where the module and the package of the registry differ.
PACKAGES = {
    "galore_torch": "galore-torch",
    "apollo_torch": "apollo-torch",
    "lomo_optim": "lomo-optim",
    "optimi": "torch-optimi",
}


def check_schedule(experiment: Experiment) -> list[Refusal]:
    """Refuse evaluations, checkpoints, schedules and optimizers that do not go together or are not installed."""
    settings = TrainerSettings(experiment)
    checks = (_check_best, _check_early_stopping, _check_scheduler, _check_optimizer, _check_loss_weights)
    return [refusal for check in checks for refusal in check(settings)]


def _check_best(settings: TrainerSettings) -> list[Refusal]:
    args = settings.args
    if not args["load_best_model_at_end"]:
        return []
    key = "args.load_best_model_at_end"
    if not settings.evaluates:
        what = "load_best_model_at_end=true needs evaluations during training, and eval_strategy is no"
        return [Refusal(what, where=settings.where(key), do="args.eval_strategy=steps args.eval_steps=<steps>")]
    if args["save_strategy"] == "best":
        return []
    if args["save_strategy"] != args["eval_strategy"]:
        what = (
            f"load_best_model_at_end=true needs checkpoints where it evaluates: save_strategy is "
            f"{args['save_strategy']}, eval_strategy {args['eval_strategy']}"
        )
        do = f"args.save_strategy={args['eval_strategy']}"
        return [Refusal(what, where=settings.where(key, "args.save_strategy"), do=do)]
    save, evaluate = args["save_steps"], args["eval_steps"] or args["logging_steps"]
    whole = all(isinstance(steps, int) and steps >= 1 for steps in (save, evaluate))
    if args["eval_strategy"] != "steps" or not whole or save % evaluate == 0:
        return []
    what = f"load_best_model_at_end=true needs save_steps={save} to be a multiple of eval_steps={evaluate}"
    multiple = save - save % evaluate + evaluate
    return [Refusal(what, where=settings.where("args.save_steps", "args.eval_steps"), do=f"args.save_steps={multiple}")]


def _check_early_stopping(settings: TrainerSettings) -> list[Refusal]:
    nodes = settings.experiment.config["callbacks"]
    stopping = [name for name, node in nodes.items() if str(at(node, "_target_")).endswith(EARLY_STOPPING)]
    if not stopping:
        return []
    where = settings.where(f"callbacks.{stopping[0]}")
    if not settings.evaluates:
        what = "early stopping needs evaluations during training, and eval_strategy is no"
        return [Refusal(what, where=where, do="args.eval_strategy=steps args.eval_steps=<steps>")]
    if not settings.args["metric_for_best_model"]:
        objective = settings.experiment.config["algorithm"]["objective"]
        what = "early stopping needs metric_for_best_model, the metric that has to improve"
        return [Refusal(what, where=where, do=f"args.metric_for_best_model={objective}, or callbacks=early_stopping")]
    return []


def _check_scheduler(settings: TrainerSettings) -> list[Refusal]:
    name, options = settings.args["lr_scheduler_type"], settings.args["lr_scheduler_kwargs"]
    where = settings.where("args.lr_scheduler_type")
    options = options if isinstance(options, dict) else {}
    if name in NEEDS_MINIMUM and "min_lr" not in options and "min_lr_rate" not in options:
        what = f"lr_scheduler_type={name} needs the learning rate that it ends at"
        return [Refusal(what, where=where, do="'args.lr_scheduler_kwargs={min_lr_rate: 0.1}', or min_lr")]
    if name == "warmup_stable_decay" and "num_decay_steps" not in options:
        what = "lr_scheduler_type=warmup_stable_decay needs the number of steps in which it decays"
        return [Refusal(what, where=where, do="'args.lr_scheduler_kwargs={num_decay_steps: 10}'")]
    if name in NEEDS_EVALUATION and not settings.evaluates:
        what = f"lr_scheduler_type={name} follows evaluations, and eval_strategy is no"
        return [Refusal(what, where=where, do="args.eval_strategy=steps args.eval_steps=<steps>")]
    return []


def _check_optimizer(settings: TrainerSettings) -> list[Refusal]:
    name = str(settings.args["optim"])
    modules = next((modules for part, modules in OPTIMIZERS if part in name), ())
    if not modules or any(find_spec(module) for module in modules):
        return []
    package = PACKAGES.get(modules[0], modules[0])
    what = f"args.optim={name} needs the package {package}, which is not installed"
    return [Refusal(what, where=settings.where("args.optim"), do=f"pip install {package}, or args.optim=adamw_torch")]


def _check_loss_weights(settings: TrainerSettings) -> list[Refusal]:
    losses, weights = settings.args["loss_type"], settings.args["loss_weights"]
    if not isinstance(weights, list):
        return []
    count = len(losses) if isinstance(losses, list) else 1
    if count == len(weights):
        return []
    what = f"args.loss_weights has {len(weights)} weights, and args.loss_type {count} loss{'es' if count > 1 else ''}"
    where = settings.where("args.loss_weights", "args.loss_type")
    return [Refusal(what, where=where, do="one weight a loss, or args.loss_weights=null")]
