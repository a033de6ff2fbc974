"""An experiment that only evaluates: something to evaluate on, and sampling that makes sense."""

from expctl.base.evaluation import trains
from expctl.base.experiment import Experiment
from expctl.base.refusal import Refusal
from expctl.config.source.defaults import FieldValues


def check_evaluation(experiment: Experiment) -> list[Refusal]:
    """Refuse an evaluation of no prompts, of a model that is split, and several completions that would be the same."""
    if trains(experiment.config):
        return []
    return [*_no_prompts(experiment), *_split(experiment), *_greedy(experiment)]


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
