"""Standard benchmarks by EleutherAI's lm-eval: its tasks, prompts and metrics, with the model of an experiment."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from transformers import Trainer, TrainingArguments

from expctl.algorithms.scored_completion import ScoredCompletion
from expctl.base.suggest import nearest
from expctl.data.benchmarks import Benchmarks
from expctl.models.seeing import text_tokenizer


@dataclass
class BenchmarkConfig(TrainingArguments):
    """The arguments of a `BenchmarkTrainer`: those of transformers' that an evaluation reads."""

    per_device_eval_batch_size: int = field(default=8, metadata={"help": "Questions a device takes at a time."})


class BenchmarkTrainer(Trainer):
    """A trainer that only evaluates, on tasks of lm-eval.

    Args:
        eval_dataset: `Benchmarks`.

    Attributes:
        scored: of each task, by `eval_<task>`, what the model answered to each question and what it earned, by metric;
            of a task with several filters `<metric>_<filter>`.
    """

    def __init__(self, *args: Any, eval_dataset: Benchmarks, **keywords: Any):
        super().__init__(*args, **keywords)
        self.eval_dataset = self.benchmarks = eval_dataset
        self.scored: dict[str, list[ScoredCompletion]] = {}

    def train(self, *_: Any, **__: Any) -> NoReturn:
        """Raise: there is nothing to train."""
        raise RuntimeError("a BenchmarkTrainer does not train: call evaluate()")

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Evaluate on every task.

        Returns:
            `<prefix>_<task>_rewards/<metric>/mean` of what has a value for each question, `<prefix>_<task>_<metric>` of
            what lm-eval makes of all questions at once, `<prefix>_<task>_questions`, their number, and
            `<prefix>_score`, the mean over tasks of the first metric of each.
        """
        found = self._results(self.benchmarks.limit)
        samples = found["samples"]
        self.scored = {
            f"{metric_key_prefix}_{plain(task)}": scored_questions(logged, text_tokenizer(self.processing_class))
            for task, logged in samples.items()
        }
        metrics: dict[str, float] = {}
        firsts: list[float] = []
        for task, results in [*found["results"].items(), *found.get("groups", {}).items()]:
            name = f"{metric_key_prefix}_{plain(task)}"
            questions = self.scored.get(name, [])
            by_question = {metric for each in questions for metric in each.rewards}
            values = named(results)
            for metric, value in values.items():
                key = f"rewards/{metric}/mean" if metric in by_question or not questions else metric
                metrics[f"{name}_{key}"] = value
            if questions:
                metrics[f"{name}_questions"] = float(len(questions))
                firsts += list(values.values())[:1]
        if firsts:
            metrics[f"{metric_key_prefix}_score"] = math.fsum(firsts) / len(firsts)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def check(self) -> None:
        """Load every task with its data, and evaluate nothing. Raises what lm-eval does; ValueError for a name."""
        _load_tasks(self.benchmarks)

    def _results(self, limit: int | None) -> dict[str, Any]:
        import lm_eval
        from lm_eval.models.huggingface import HFLM

        chosen, tokenizer = self.benchmarks, text_tokenizer(self.processing_class)
        manager = _manager(chosen)
        templated = chosen.chat_template
        if templated is None:
            templated = getattr(tokenizer, "chat_template", None) is not None
        precision = "bfloat16" if self.args.bf16 else "float16" if self.args.fp16 else None
        model: Any = self.model
        language_model = HFLM(
            pretrained=model.eval(),
            tokenizer=tokenizer,
            batch_size=self.args.per_device_eval_batch_size,
            mixed_precision_dtype=precision,
        )
        seed = self.args.seed
        results: dict[str, Any] = lm_eval.simple_evaluate(
            model=language_model,
            tasks=list(chosen.tasks),
            num_fewshot=chosen.num_fewshot,
            limit=limit,
            apply_chat_template=templated,
            system_instruction=chosen.system_prompt,
            task_manager=manager,
            log_samples=True,
            bootstrap_iters=0,
            random_seed=seed,
            numpy_random_seed=seed,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
        )
        return results


def _manager(chosen: Benchmarks) -> Any:
    """lm-eval's index of tasks, which takes five seconds, with the user's own alone where these are all.

    Raises:
        ValueError: a name that no task, group or tag has.
    """
    from lm_eval.tasks import TaskManager

    if chosen.include_path is not None:
        own = TaskManager(include_path=chosen.include_path, include_defaults=False)
        if set(chosen.tasks) <= set(own.all_tasks):
            return own
    manager = TaskManager(include_path=chosen.include_path)
    known = set(manager.all_tasks)
    for name in chosen.tasks:
        if name not in known:
            likely = ", ".join(nearest(name, sorted(known)))
            hint = f"; nearest: {likely}" if likely else ""
            raise ValueError(f"dataset.tasks={name}: lm-eval has no task, group or tag of that name{hint}")
    return manager


def _load_tasks(chosen: Benchmarks) -> None:
    _manager(chosen).load(list(chosen.tasks))


def scored_questions(samples: Sequence[Mapping[str, Any]], tokenizer: Any) -> list[ScoredCompletion]:
    """What lm-eval logged of the questions of a task, in the order of its data, each once.

    Args:
        samples: a dict a question and filter, as `simple_evaluate` gives them.
        tokenizer: of the model.
    """
    several = len({sample["filter"] for sample in samples}) > 1
    rows: dict[int, ScoredCompletion] = {}
    for sample in samples:
        used = sample["filter"] if several else ""
        earned = {_metric(name, used): float(sample[name]) for name in sample["metrics"] if _is_number(sample[name])}
        row = sample["doc_id"]
        if row in rows:
            rows[row].rewards.update(earned)
            continue
        answer = _answer(sample)
        tokens = len(tokenizer(answer, add_special_tokens=False)["input_ids"])
        prompt = sample["arguments"][0][0]
        rows[row] = ScoredCompletion(prompt, answer, tokens, ended=True, rewards={**earned}, row=row)
    return [rows[row] for row in sorted(rows)]


def _answer(sample: Mapping[str, Any]) -> str:
    """What the model wrote, or of given answers the one that is most probable."""
    responses = [response[0] for response in sample["resps"]]
    if all(isinstance(response, str) for response in responses):
        return str(responses[0])
    likelihoods = [response[0] if isinstance(response, tuple | list) else response for response in responses]
    best = max(range(len(likelihoods)), key=likelihoods.__getitem__)
    return str(sample["arguments"][best][-1])


def named(results: Mapping[str, Any]) -> dict[str, float]:
    """Metric -> value of a task, from lm-eval's `exact_match,strict-match`: the filter only where there are several."""
    found = {key.partition(",")[::2]: value for key, value in results.items() if "," in key and _is_number(value)}
    metrics = {pair: float(value) for pair, value in found.items() if not pair[0].endswith("_stderr")}
    several = len({used for _, used in metrics}) > 1
    return {_metric(metric, used if several else ""): value for (metric, used), value in metrics.items()}


def _metric(name: str, used: str) -> str:
    return plain(f"{name}_{used}" if used else name)


def plain(name: str) -> str:
    """A name of lm-eval's as a part of a metric's: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name)


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float) and math.isfinite(value)
