"""An experiment that only evaluates: something to evaluate on, and sampling that makes sense."""

from expctl.base.data_kinds import BENCHMARKS
from expctl.base.evaluation import trains
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.source.defaults import FieldValues
from expctl.data.benchmarks import TARGET as BENCHMARKS_TARGET


def check_evaluation(experiment: Experiment) -> list[Refusal]:
    """Refuse an evaluation of no prompts, of a model that is split, and several completions that would be the same."""
    if trains(experiment.config):
        return []
    if experiment.config["algorithm"]["kind"] == BENCHMARKS:
        return [*_other_data(experiment), *_rewarded(experiment), *_one_process(experiment)]
    return [*_no_prompts(experiment), *_split(experiment), *_greedy(experiment)]


def _other_data(experiment: Experiment) -> list[Refusal]:
    if experiment.config["dataset"].get("_target_") == BENCHMARKS_TARGET:
        return []
    what = f"algorithm=benchmarks has the tasks of dataset=benchmarks, and not dataset={experiment.choices['dataset']}"
    do = "dataset=benchmarks dataset.tasks=[gsm8k]; or algorithm=eval, which samples and rewards other data"
    return [Refusal(what, where=experiment.set_by("dataset"), do=do)]


def _rewarded(experiment: Experiment) -> list[Refusal]:
    """What somebody typed of the rewards, which nothing reads: a task has its own metrics."""
    typed = [key for key in experiment.sources if key == "reward" or key.startswith("reward.")]
    what = "'{}' would do nothing: a benchmark has metrics of its own"
    return [Refusal(what.format(key), where=experiment.set_by(key), do="leave it out") for key in typed[:1]]


def _one_process(experiment: Experiment) -> list[Refusal]:
    hardware = experiment.hardware
    count = hardware["num_processes"] * hardware["num_machines"]
    if count == 1:
        return []
    what = f"lm-eval has the model in one process, and {count} were asked for"
    do = "hardware.num_processes=1; several tasks go side by side as a sweep: expctl eval -m RUN dataset.tasks=a,b"
    return [Refusal(what, where=experiment.set_by("hardware.num_processes", "hardware"), do=do)]


def _no_prompts(experiment: Experiment) -> list[Refusal]:
    if experiment.config["dataset"].get("eval_size", 1) != 0:
        return []
    what = "dataset.eval_size=0 holds no prompts out, so there is nothing to evaluate"
    return [Refusal(what, where=experiment.set_by("dataset.eval_size"), do="dataset.eval_size=64, or leave it out")]


def _split(experiment: Experiment) -> list[Refusal]:
    if not experiment.hardware["sharding"]:
        return []
    what = "an evaluation does not split a model: each process holds all of it"
    do = "hardware=gpu_8 for whole ones side by side, or generation=vllm args.vllm_tensor_parallel_size=8 for one"
    return [Refusal(what, where=experiment.set_by("hardware"), do=do)]


def _greedy(experiment: Experiment) -> list[Refusal]:
    values = FieldValues(experiment.config["args"], experiment.code_folders)
    count, temperature = values["num_generations_eval"] or 1, values["temperature"]
    if temperature != 0 or count == 1:
        return []
    what = f"args.temperature=0 takes the most probable tokens, so the {count} completions of a prompt are the same"
    where = experiment.set_by("args.temperature", "args.num_generations_eval")
    return [Refusal(what, where=where, do="args.num_generations_eval=1, or args.temperature=1")]
