"""Images beside conversations: the forms in which data have them, what is held out of them, what is refused."""

import json

import pytest
import tiny_vision
from datasets import Dataset
from PIL import Image

from expctl.data import files
from expctl.data.images import named_only, without_places
from expctl.worker.data_view.contents import overlap
from expctl.worker.leak import leak_alerts

KINDS = {"sft": "prompt-completion", "dpo": "preference", "grpo": "prompt-only"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def colors(tmp_path):
    return tiny_vision.save_rows(tmp_path / "data")


def rows_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def written(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def colour_of(row):
    (image,) = row["images"]
    return image.convert("RGB").getpixel((0, 0))


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_path_is_read_from_beside_the_file_and_the_picture_stays_with_its_row(kind, colors):
    train, held_out = files.load(kind=kind, seed=0, path=str(colors), eval_size=4)
    assert len(train) == 20 and len(held_out) == 4
    for row in [*train, *held_out]:
        assert colour_of(row) == Image.new("RGB", (1, 1), row["answer"]).getpixel((0, 0))
        assert row["prompt"] == [{"role": "user", "content": "Which color?"}] and "image" not in row


def test_pictures_inside_parquet_and_in_parts_of_a_turn_are_the_same_rows(colors, tmp_path):
    rows = rows_of(colors)
    plain = [row | {"image": Image.open(colors.parent / row["image"])} for row in rows]
    Dataset.from_list(plain).to_parquet(tmp_path / "colors.parquet")
    parts = [{"type": "image"}, {"type": "text", "text": "Which color?"}]
    spelt = [
        {
            "messages": [{"role": "user", "content": parts}, *row["completion"]],
            "images": [row["image"]],
            "answer": row["answer"],
        }
        for row in rows
    ]
    named = ["prompt", "completion", "answer"]
    found = []
    for path in (str(colors), str(tmp_path / "colors.parquet"), written(colors.parent / "parts.jsonl", spelt)):
        train, _ = files.load(kind="prompt-completion", seed=0, path=path, eval_size=4)
        found.append([[row[name] for name in named] + [colour_of(row)] for row in train])
    assert {str(row) for row in found[0]} == {str(row) for row in found[1]} == {str(row) for row in found[2]}


def test_the_same_question_about_other_pictures_is_another_question(colors):
    train, held_out = files.load(kind="prompt-only", seed=0, path=str(colors), eval_size=4)
    assert leak_alerts(train, held_out) == []
    twice, seen = files.load(kind="prompt-only", seed=0, path=str(colors), eval_path=str(colors))
    assert "24 of the 24 held-out prompts" in leak_alerts(twice, seen)[0].text
    stored = [{"prompt": "p", "images": [{"bytes": None, "path": path}]} for path in "abc"]
    assert overlap(stored[:2], stored[1:])["same"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "pictures/none.png"}, "row 3: the image pictures/none.png is not there"),
        ({"image": "https://somewhere/a.png"}, "row 3: the image https://somewhere/a.png lies in the network"),
        ({"image": 7}, "row 3: an image is a path"),
        ({"prompt": "Which color?", "completion": "red"}, "'prompt' is a text; dataset.conversational=true"),
    ],
)
def test_what_is_no_picture_is_named_by_its_row(change, said, colors):
    rows = rows_of(colors)
    if "prompt" in change:
        rows = [row | change for row in rows]
    else:
        rows[2] |= change
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        files.load(kind="prompt-completion", seed=0, path=written(colors.parent / "bad.jsonl", rows), eval_size=4)


def test_a_plain_prompt_becomes_the_turn_that_has_the_picture(colors):
    rows = [row | {"prompt": "Which color?", "completion": row["answer"]} for row in rows_of(colors)]
    path = written(colors.parent / "plain.jsonl", rows)
    train, _ = files.load(kind="prompt-completion", seed=0, path=path, eval_size=4, conversational=True)
    assert train[0]["prompt"] == [{"role": "user", "content": "Which color?"}] and len(train[0]["images"]) == 1


def test_pictures_stand_where_trl_puts_them_or_are_refused():
    first = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}
    assert without_places([first], 1) == [{"role": "user", "content": [{"type": "text", "text": "What?"}]}]
    later = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi"}, first]
    behind = {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image"}]}
    for conversation in (later, [behind]):
        with pytest.raises(ValueError, match="stands elsewhere than before the text of the first turn"):
            without_places(conversation, 1)
    with pytest.raises(ValueError, match="places for 1 images, and the row has 2"):
        without_places([first], 2)
    assert without_places([{"role": "user", "content": "What?"}], 2) == [{"role": "user", "content": "What?"}]


def test_a_prompt_is_kept_without_what_is_in_its_pictures():
    prompt = [{"role": "user", "content": [{"type": "image", "image": object()}, {"type": "text", "text": "What?"}]}]
    assert named_only(prompt)[0]["content"] == [{"type": "image"}, {"type": "text", "text": "What?"}]
    assert named_only("What?") == "What?"
