"""Benchmarks by lm-eval: its own figures, a row a question that `compare` pairs, and what an experiment refuses."""

import json
import math
from pathlib import Path

import pytest

from expctl import models
from expctl.cli.eval import evaluation_words
from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.data.benchmarks import Benchmarks
from expctl.models.loading import load
from expctl.runs import manifest
from expctl.runs.files import Run
from expctl.runs.identity import run_of
from expctl.worker.benchmarks import BenchmarkConfig, BenchmarkTrainer, named, scored_questions
from expctl.worker.evaluation import evaluate_benchmarks

TINY = Path(models.__file__).parent / "tiny"
SUMS = [(12, 3), (45, 17), (30, 46), (71, 8), (22, 22), (99, 1), (13, 58), (64, 27)]
WRITTEN = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 96, do_sample: false}}
filter_list:
  - {{name: last, filter: [{{function: regex, regex_pattern: "so (\\\\d+)"}}, {{function: take_first}}]}}
  - {{name: whole, filter: [{{function: take_first}}]}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""
CHOSEN = """
task: which-sum
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{prompt}}}}"
doc_to_choice: ["1", "2"]
doc_to_target: 1
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A folder with two tasks, one of written answers with two filters, one of given answers."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = [{"prompt": f"{first}+{second}=", "answer": str(first + second)} for first, second in SUMS]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in (("sums", WRITTEN), ("which", CHOSEN)):
        (folder / f"{name}.yaml").write_text(text.format(file=folder / "sums.jsonl"))
    return folder


@pytest.fixture(scope="module")
def trainer(tasks, tmp_path_factory):
    model, tokenizer = load(**models.loaded_for(compose(["hardware=cpu"]).config))
    args = BenchmarkConfig(str(tmp_path_factory.mktemp("out")), use_cpu=True, report_to=[], disable_tqdm=True)
    chosen = Benchmarks(("sums", "which-sum"), include_path=str(tasks))
    return BenchmarkTrainer(model, args, eval_dataset=chosen, processing_class=tokenizer)


@pytest.fixture(scope="module")
def recorded(trainer, tmp_path_factory):
    """What an evaluation left: metrics, intervals and the rows of completions.jsonl; and the run."""
    run = Run(tmp_path_factory.mktemp("run"))
    manifest.create(run)
    metrics, intervals = evaluate_benchmarks(trainer, run)
    return metrics, intervals, [json.loads(line) for line in run.completions.read_text().splitlines()], run


def test_figures_are_those_of_lm_eval_with_the_saved_model(recorded, tasks):
    import lm_eval
    from lm_eval.tasks import TaskManager

    metrics, _, _, _ = recorded
    theirs = lm_eval.simple_evaluate(
        model="hf",
        model_args=f"pretrained={TINY},dtype=float32,device=cpu",
        tasks=["sums", "which-sum"],
        batch_size=8,
        apply_chat_template=True,
        bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
    )["results"]
    assert theirs["sums"]["exact_match,last"] == metrics["eval_sums_rewards/exact_match_last/mean"] > 0
    assert theirs["sums"]["exact_match,whole"] == metrics["eval_sums_rewards/exact_match_whole/mean"]
    assert theirs["which-sum"]["acc,none"] == metrics["eval_which_sum_rewards/acc/mean"]
    first = [metrics["eval_sums_rewards/exact_match_last/mean"], metrics["eval_which_sum_rewards/acc/mean"]]
    assert metrics["eval_score"] == math.fsum(first) / 2


def test_every_question_is_a_row_with_what_it_earned(recorded):
    metrics, intervals, rows, run = recorded
    assert [row["set"] for row in rows] == ["eval_sums"] * 8 + ["eval_which_sum"] * 8
    assert [row["row"] for row in rows] == [*range(8), *range(8)]
    sums = rows[:8]
    right = [row["completions"][0].endswith(f"so {sum(pair)}") for row, pair in zip(sums, SUMS, strict=True)]
    assert [row["rewards"]["exact_match_last"] for row in sums] == [[float(each)] for each in right]
    assert all(row["completions"][0] in ("1", "2") for row in rows[8:])
    mean = metrics["eval_sums_rewards/exact_match_last/mean"]
    low, high = intervals["eval_sums_rewards/exact_match_last/mean"]
    assert low < mean < high
    assert intervals.keys() <= metrics.keys()
    assert metrics["eval_sums_questions"] == 8
    data = manifest.recorded(run).data
    assert data["eval"]["rows"] == 16 and data["train"] is None


def test_a_name_that_lm_eval_does_not_have_is_refused_with_the_nearest(trainer):
    whole = trainer.benchmarks
    try:
        trainer.benchmarks = Benchmarks(("gsm8kk",))
        with pytest.raises(ValueError, match="^dataset.tasks=gsm8kk: .*nearest: gsm8k"):
            trainer.check()
    finally:
        trainer.benchmarks = whole
    trainer.check()


def test_a_metric_of_all_questions_at_once_is_no_metric_of_each():
    results = {"alias": "x", "sample_len": 2, "word_perplexity,none": 7.5, "word_perplexity_stderr,none": "N/A"}
    assert named(results) == {"word_perplexity": 7.5}
    logged = {"doc_id": 0, "filter": "none", "arguments": [("text",)], "resps": [[-3.5]], "target": ""}
    sample = logged | {"metrics": ["word_perplexity"], "word_perplexity": (-3.5, 4)}

    class Words:
        def __call__(self, text, **_):
            return {"input_ids": text.split()}

    (question,) = scored_questions([sample], Words())
    assert question.rewards == {}


def test_the_verb_makes_it_an_experiment_that_trains_nothing(tasks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["dataset=benchmarks", "dataset.tasks=[sums,which-sum]", f"dataset.include_path={tasks}", "hardware=cpu"]
    made = evaluation_words(["tiny", *words])
    assert made[0] == "algorithm=benchmarks"
    experiment = compose(made)
    assert check(experiment) == []
    before = run_of(experiment).run_id
    assert before.startswith("benchmarks-tiny-sums_which_sum-s0-")
    (tasks / "note.yaml").write_text("group: more\ntask: [sums]\n")
    try:
        assert run_of(compose(made)).run_id != before, "another task file is another experiment"
    finally:
        (tasks / "note.yaml").unlink()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algorithm=sft", "dataset=benchmarks", "dataset.tasks=[gsm8k]"], "never trained on"),
        (["algorithm=eval", "dataset=benchmarks", "dataset.tasks=[gsm8k]"], "never trained on"),
        (["algorithm=benchmarks"], "not dataset=arithmetic"),
        (["algorithm=benchmarks", "dataset=benchmarks", "dataset.tasks=[]"], "names no task"),
        (["algorithm=benchmarks", "dataset=benchmarks", "dataset.tasks=[a]", "dataset.limit=0"], "dataset.limit=0"),
        (["algorithm=benchmarks", "dataset=benchmarks", "dataset.tasks=[a]", "reward=math"], "'reward' would do noth"),
        (["algorithm=benchmarks", "dataset=benchmarks", "dataset.tasks=[a]", "hardware=cpu_2"], "in one process"),
        (
            ["algorithm=benchmarks", "dataset=benchmarks", "dataset.tasks=[a]", "dataset.include_path=nowhere"],
            "is no folder",
        ),
        (["algorithm=benchmarks", "dataset=benchmarks", "dataset.tasks=[a]", "args.temperature=0"], "temperature"),
    ],
)
def test_what_makes_no_sense_is_refused(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hardware = [] if any(word.startswith("hardware") for word in words) else ["hardware=cpu"]
    refusals = check(compose([*words, *hardware]))
    assert any(said in refusal.what for refusal in refusals), [refusal.what for refusal in refusals]


def test_the_package_is_asked_for_by_its_extra(monkeypatch):
    from expctl.data import benchmarks

    monkeypatch.setattr(benchmarks, "find_spec", lambda name: None)
    words = ["algorithm=benchmarks", "dataset=benchmarks", "dataset.tasks=[a]", "hardware=cpu"]
    (refusal,) = check(compose(words))
    assert "lm-eval" in refusal.what and 'pip install "expctl[benchmarks]"' in refusal.do
