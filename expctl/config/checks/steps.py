"""Whether the training takes a step at all, where the number of rows is known without loading them."""

from expctl.base.evaluation import trains
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.batch_request import PER_DEVICE, PROMPTS, BatchRequest
from expctl.config.source.defaults import FieldValues
from expctl.data.located import LOADERS, is_held_out
from expctl.data.rows import training_rows
from expctl.data.steps import Batches, NoStepError, check_some_step


def check_steps(experiment: Experiment) -> list[Refusal]:
    """Refuse a training of no steps, and data that fill no batch."""
    if not trains(experiment.config):
        return []
    values = FieldValues(experiment.config["args"], experiment.code_folders)
    for key in ("max_steps", "num_train_epochs"):
        if _trains_nothing(values, key):
            what = f"args.{key}={values[key]} trains for no step"
            do = f"args.{key}=1 or more; expctl check trains nothing"
            return [Refusal(what, where=experiment.set_by(f"args.{key}"), do=do)]
    refusals = _unreached(experiment, values)
    if refusals:
        return refusals
    rows = training_rows(experiment.config["dataset"])
    if rows is None or values["per_device_train_batch_size"] is None:
        return []
    try:
        check_some_step(rows, _batches(experiment, values))
    except NoStepError as error:
        key, do = "args.per_device_train_batch_size", error.do
        if values["generation_batch_size"] is not None:
            do = "a smaller args.generation_batch_size, or more rows"
        elif rows and experiment.config.get(PROMPTS) is not None:
            key, do = PROMPTS, _smaller_step(experiment, rows)
        data = [name for name in experiment.sources if name.startswith("dataset")] or ["dataset"]
        return [Refusal(error.what + _held_out(experiment), where=experiment.set_by(*data, key), do=do)]
    return []


def _smaller_step(experiment: Experiment, rows: int) -> str:
    """The largest `prompts_per_step` that so many rows fill and that agrees with everything that was typed."""
    for prompts in range(rows, 0, -1):
        request = BatchRequest.of(experiment, prompts)
        if request is None:
            break
        try:
            request.cuts()
        except Refusal:
            continue
        return f"{PROMPTS}={prompts}, or more rows"
    return f"{PROMPTS}={rows} or less and args.{PER_DEVICE} left out, or more rows"


def _unreached(experiment: Experiment, values: FieldValues) -> list[Refusal]:
    """Refuse a number of steps that is none, and a typed warm-up that outlasts the training."""
    steps, warmup = values["max_steps"], values["warmup_steps"]
    if isinstance(steps, int) and steps < -1:
        what = f"args.max_steps is {steps}; it must be at least 1, or -1 for args.num_train_epochs"
        return [Refusal(what, where=experiment.set_by("args.max_steps"))]
    if "args.warmup_steps" not in experiment.sources or not isinstance(steps, int) or steps < 1:
        return []
    if not isinstance(warmup, int | float) or warmup < max(steps, 1):
        return []
    what = f"args.warmup_steps={warmup:g} of args.max_steps={steps}: the learning rate would never be reached"
    do = "fewer, or a share of the steps: args.warmup_steps=0.1"
    return [Refusal(what, where=experiment.set_by("args.warmup_steps"), do=do)]


def _held_out(experiment: Experiment) -> str:
    """Why there are fewer rows to train on than a file has."""
    dataset = experiment.config["dataset"]
    if dataset.get("_target_") not in LOADERS or not is_held_out(dataset):
        return ""
    return " (others are held out, see dataset.eval_size)"


def _trains_nothing(values: FieldValues, key: str) -> bool:
    """Whether a setting of the length of the training makes it none. Epochs count where there are no steps."""
    if key == "max_steps":
        return bool(values[key] == 0)
    steps, epochs = values["max_steps"], values[key]
    return isinstance(epochs, int | float) and epochs <= 0 and not (isinstance(steps, int) and steps > 0)


def _batches(experiment: Experiment, values: FieldValues) -> Batches:
    hardware = experiment.hardware
    processes = hardware["num_processes"] * hardware["num_machines"]
    rows, sampled = values["per_device_train_batch_size"], values["generation_batch_size"]
    if sampled is None:
        steps = values["steps_per_generation"] or values["gradient_accumulation_steps"] or 1
        sampled = rows * processes * steps
    return Batches(rows, processes, values["num_generations"], sampled, bool(values["dataloader_drop_last"]))
