"""`dataset.filter_tokens`: lengths that are those of the trainer's own tokens, and the rows that are kept."""

import json
import tempfile

import pytest
from datasets import Dataset

from expctl import models
from expctl.base.data_kinds import PREFERENCE, PROMPT_ONLY
from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.data.rows import training_rows
from expctl.data.token_filter import check_token_filter
from expctl.models.loading import load
from expctl.worker.data_view import lengths, view
from expctl.worker.libraries import import_libraries
from expctl.worker.preflight import build_phases
from expctl.worker.preflight.phases import Preflight
from expctl.worker.token_lengths import keep_by_tokens, lengths_of

TURNS = [{"role": "user", "content": "12+3="}, {"role": "assistant", "content": "15"}]
FILES = {
    "text": {"text": "12+3=15"},
    "messages": {"messages": [*TURNS, {"role": "user", "content": "and 4?"}, {"role": "assistant", "content": "19"}]},
    "texts": {"prompt": "12+3=", "completion": "15"},
    "conversations": {"chosen": TURNS, "rejected": [TURNS[0], {"role": "assistant", "content": "wait 16"}]},
}


@pytest.fixture(scope="module")
def tokenizer():
    return load(**models.loaded_for(compose(["hardware=cpu"]).config))[1]


@pytest.mark.parametrize(
    ("algorithm", "file"),
    [("sft", None), ("dpo", None), ("orpo", None), ("sft", "text"), ("sft", "messages"), ("sft", "texts")]
    + [("dpo", "conversations")],
)
def test_lengths_are_those_of_the_rows_that_the_trainer_makes(algorithm, file, tmp_path):
    data = ["dataset.train_size=16", "dataset.eval_size=2"]
    if file:
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(FILES[file] | {"n": n}) + "\n" for n in range(6)))
        data = ["dataset=files", f"dataset.path={tmp_path}/rows.jsonl", "dataset.eval_size=1"]
    config = compose([f"algorithm={algorithm}", "hardware=cpu", "args.do_eval=false", *data]).config
    import_libraries(config)
    asked = Preflight(config)
    with tempfile.TemporaryDirectory() as folder:
        parts = build_phases.parts_of(asked, folder)
        sequences = view._sequences(asked, parts | {"eval_dataset": None}, folder)
    assert not asked.problems
    theirs = lengths.lengths(sequences)
    ours = [lengths_of(row, parts["processing_class"], {}) for row in parts["train_dataset"]]
    assert theirs.pop("whole") == [each["whole"] for each in ours]
    for name in ours[0].keys() & theirs.keys():
        assert theirs[name] == [each[name] for each in ours]
    assert algorithm == "sft" or {"prompt", "chosen", "rejected"} <= theirs.keys()


def test_rows_are_kept_as_they_are_and_each_set_by_itself(tokenizer):
    texts = ["1+1=", "1+1=" * 5, "1+1=" * 20]
    rows = Dataset.from_dict({"prompt": texts, "answer": ["2", "3", "4"]})
    counts = [len(tokenizer(text=text)["input_ids"]) for text in texts]
    kept = keep_by_tokens({"a": rows, "b": None}, f"{counts[0]} < prompt <= {counts[1]}", tokenizer, {})
    assert kept["b"] is None
    assert kept["a"].to_list() == [rows[1]]
    assert keep_by_tokens(rows, "prompt > 0", tokenizer, {}) is rows
    assert keep_by_tokens(rows, None, tokenizer, {}) is rows


def test_a_filter_that_keeps_nothing_says_what_lengths_there_are(tokenizer):
    rows = Dataset.from_dict({"prompt": ["1+1=", "1+1=" * 5]})
    counts = sorted(len(tokenizer(text=text)["input_ids"]) for text in rows["prompt"])
    with pytest.raises(ValueError, match=f"^dataset.filter_tokens=prompt < 1 .*{counts[0]} to {counts[1]} tokens"):
        keep_by_tokens(rows, "prompt < 1", tokenizer, {})
    with pytest.raises(ValueError, match="^dataset.filter_tokens=prompt < 'a': .*not supported between"):
        keep_by_tokens(rows, "prompt < 'a'", tokenizer, {})
    with pytest.raises(ValueError, match="^dataset.filter_tokens=.*IterableDataset"):
        keep_by_tokens(rows.to_iterable_dataset(), "prompt < 9", tokenizer, {})


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ("promt < 9", PROMPT_ONLY, "'promt' is no length of prompt-only data"),
        ("completion < 9", PROMPT_ONLY, "prompt, whole"),
        ("completion < 9", PREFERENCE, "chosen, rejected"),
        ("prompt <", PROMPT_ONLY, "no expression"),
        ("open('x')", PROMPT_ONLY, "dataset.filter_tokens=open"),
        ("True", PROMPT_ONLY, "looks at no length"),
    ],
)
def test_an_expression_over_other_lengths_is_refused(given, kind, said):
    with pytest.raises(ValueError, match="^dataset.filter_tokens=") as error:
        check_token_filter({"filter_tokens": given}, kind)
    assert said in str(error.value)


def test_it_is_a_key_of_every_dataset_and_leaves_the_number_of_rows_to_the_worker():
    experiment = compose(["hardware=cpu", "dataset.filter_tokens='prompt <= 64'"])
    assert check(experiment) == []
    assert training_rows(experiment.config["dataset"]) is None
    (refusal,) = check(compose(["hardware=cpu", "dataset.filter_token='prompt <= 64'"]))
    assert "filter_tokens" in refusal.nearest
    (refusal,) = check(compose(["hardware=cpu", "dataset.filter_tokens='answer <= 64'"]))
    assert refusal.where.startswith("dataset.filter_tokens=") and "prompt, whole" in refusal.do
