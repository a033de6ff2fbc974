"""`expctl data`: the tokens that are shown are those that the trainer trains on; nothing is created."""

import json

from harness import REPOSITORY, expctl

LOCAL = ["model=local", f"model.path={REPOSITORY}/expctl/models/tiny", "dataset=files"]


def view(*words, cwd):
    done = expctl("data", "--json", *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert not (cwd / "outputs").exists()
    return json.loads(done.stdout)


def texts(sequence, **marks):
    return "".join(
        piece["text"] for piece in sequence["pieces"] if all(piece[name] is mark for name, mark in marks.items())
    )


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))


def test_of_a_supervised_row_the_completion_is_trained_on_and_what_is_too_long_is_cut_or_dropped(tmp_path):
    rows = [{"prompt": "ab" * count, "completion": " yes", "source": "xy"[count % 2]} for count in range(1, 31)]
    write(tmp_path / "rows.jsonl", [*rows, rows[0]])
    write(tmp_path / "held.jsonl", [rows[3], {"prompt": "AB", "completion": " no"}, {"prompt": "q", "completion": "n"}])
    files = ["dataset.path=rows.jsonl", "dataset.eval_path=held.jsonl"]
    found = view("algorithm=sft", *LOCAL, *files, "args.max_length=40", "--rows", "4", cwd=tmp_path)
    assert found["rows"] == {"train": 31, "eval": 3} and found["looked_at"] == {"content": 31, "tokens": 31}
    assert found["columns"]["source"] == "text" and found["examples"][0]["columns"] == {"source": "y"}
    assert [example["row"] for example in found["examples"]] == [1, 2, 3, 30], "the last one is the longest"
    [first] = found["examples"][0]["sequences"]
    assert texts(first, trained=False) == "ab" and texts(first, trained=True) == " yes<eos>"
    assert texts(first, special=True) == "<eos>" and first["trained"] == 5 and first["tokens"] == 7
    [longest] = found["examples"][-1]["sequences"]
    assert longest["tokens"] == 65 and texts(longest, cut=False) == "ab" * 20
    # A byte is a token: n times "ab", " yes" and its end are 2n + 5, and where the prompt fills 40 nothing is learnt.
    [limit] = [each for each in found["limits"] if each["limit"] == "args.max_length"]
    assert limit["over"] == sum(2 * count + 5 > 40 for count in range(1, 31))
    assert limit["dropped"] == sum(2 * count >= 40 for count in range(1, 31))
    assert found["lengths"]["prompt"]["max"] == 60 and found["lengths"]["completion"]["min"] == 5
    assert found["repeated"] == {"rows": 1, "prompts": 1}
    assert (found["overlap"]["eval"]["same"], found["overlap"]["eval"]["nearly"]) == (1, 1)
    assert found["balance"] == {"source": {"y": 16, "x": 15}}
    assert found["odd"] == []


def test_both_sides_of_preferences_are_shown_and_a_page_is_written(tmp_path):
    rows = [{"prompt": f"Say {count}", "chosen": "y" * count, "rejected": "<b>&amp;"} for count in range(1, 20)]
    write(tmp_path / "rows.jsonl", rows)
    write(tmp_path / "held.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "c"}])
    files = ["dataset.path=rows.jsonl", "dataset.eval_path=held.jsonl"]
    done = expctl("data", "algorithm=dpo", *LOCAL, *files, "--html", "page.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert ", chosen: " in shown and ", rejected: " in shown and "┃ <b>&amp;<eos>" in shown
    assert "the chosen side beside the rejected one: 11 longer, 1 as long, 7 shorter" in shown
    assert "an HTML entity in 'rejected' of 19 rows" in shown
    page = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;&amp;amp;" in page and "<b>" not in page and "expctl data algorithm=dpo" in page


def test_prompts_that_are_sampled_from_end_where_the_model_begins_to_speak(tmp_path):
    turns = [{"role": "user", "content": "1+1?"}]
    write(tmp_path / "rows.jsonl", [{"prompt": turns, "answer": str(count)} for count in range(40)])
    found = view(*LOCAL, "dataset.path=rows.jsonl", "args.max_completion_length=64", "--rows=1", cwd=tmp_path)
    [prompt] = found["examples"][0]["sequences"]
    assert prompt["name"] == "prompt" and texts(prompt, trained=False) == "1+1?" and prompt["trained"] == 0
    assert found["lengths"].keys() == {"prompt"}
    assert found["limits"] == [{"limit": "positions", "tokens": 2048, "over": 0, "sampled": 64}]


def test_what_cannot_be_started_is_refused_as_a_run_refuses_it(tmp_path):
    write(tmp_path / "rows.jsonl", [{"question": "1+1?"}])
    done = expctl("data", "dataset=files", "dataset.path=rows.jsonl", cwd=tmp_path)
    assert done.returncode == 2 and "has no column 'prompt'" in done.stderr
    write(tmp_path / "rows.jsonl", [{"prompt": "1"}] * 20 + [{"prompt": 7}])
    done = expctl("data", "dataset=files", "dataset.path=rows.jsonl", cwd=tmp_path)
    assert done.returncode == 2 and "dataset.path" in done.stderr
    for words in (["-m", "seed=0,1"], ["--rows", "many"], ["--rows"], ["--html", "none/page.html"]):
        done = expctl("data", *words, cwd=tmp_path)
        assert done.returncode == 2 and words[0] in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl"}
