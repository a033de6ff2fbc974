"""The page as a file: complete, of sound structure, and never more than text where runs say something."""

import json
import os
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
from compare import synthetic
from report import compared
from report.compared import sampled

from expctl.base.refusal import Refusal
from expctl.cli.compare import main
from expctl.compare.conclusion import compare_runs
from expctl.report.files import write_files

HOSTILE = "</script></pre><img src=x onerror=alert(1)><script>alert(2)</script>&amp;\x00\ud800\u202e]]>-->"
VOID = {"meta", "br", "img", "input"}


class Tree(HTMLParser):
    """What is open where, as a browser would find it."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def all(self, *names):
        return [attributes for name, attributes in self.found if name in names]


def written(comparison, folder: Path) -> str:
    write_files(comparison, None, folder / "report.html", "expctl compare --html report.html")
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    samples = [sampled(0, "2+3=", "I guess four", 0.0), sampled(40, "2+3=", "5", 1.0)]
    return written(compared.two(folder / "outputs", samples=samples), folder)


def test_the_page_has_every_section_in_the_order_in_which_one_reads(text):
    tree = Tree(text)
    names = ["verdict", "metrics", "plots", "samples", "configs", "provenance", "commands"]
    assert [one["id"] for one in tree.all("section")] == names
    assert [one["href"] for one in tree.all("a")][1:] == [f"#{name}" for name in names]
    headings = [int(name[1]) for name, _ in tree.found if re.fullmatch("h[1-6]", name)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(headings, headings[1:], strict=False))


def test_the_page_says_what_the_comparison_says(text):
    for said in ("algorithm: grpo, gfpo, over seeds 0-2", "lower", "0.936 [0.892, 0.980]", "I guess four", "accuracy 1",
                 ">before training<",
                 "GFPOTrainer", "0123456789ab", "aaaa (2048 rows)", "expctl algorithm=gfpo seed=2", "node1",
                 "expctl -m algorithm=grpo,gfpo seed=3", "expctl compare --html report.html"):  # fmt: skip
        assert said in text, said


def test_tables_are_named_and_their_cells_belong_to_heads(text):
    tree = Tree(text)
    assert len(tree.all("table")) == len(tree.all("caption"))
    assert all(one.get("scope") in ("row", "col") for one in tree.all("th"))
    regions = [one for one in tree.all("div") if one.get("class") == "scrolls"]
    assert len(regions) == len(tree.all("table")) and all(
        one["tabindex"] == "0" and one["aria-label"] for one in regions
    )


def test_ids_are_unique_and_what_refers_to_one_finds_it(text):
    tree = Tree(text)
    ids = [one["id"] for _, one in tree.found if "id" in one]
    assert len(ids) == len(set(ids))
    used = {
        one[key].lstrip("#") for _, one in tree.found for key in ("aria-labelledby", "href", "xlink:href") if key in one
    }
    assert used <= set(ids)


def test_the_page_names_nothing_to_fetch_and_forbids_it(text):
    tree = Tree(text)
    assert not tree.all("link", "img", "iframe", "object", "embed", "image", "base")
    assert not [one for _, one in tree.found if "src" in one]
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest", text)
    policy = next(one["content"] for one in tree.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "http" not in policy


def test_whatever_runs_say_stays_text(tmp_path):
    samples = [sampled(0, HOSTILE, HOSTILE), sampled(40, HOSTILE, "\nfirst line empty " + HOSTILE)]
    names = ("grpo", "<b onclick=alert(3)>'\"")
    folders = [hostile(tmp_path / "outputs", seed, name, samples) for name in names for seed in range(2)]
    text = written(compare_runs(folders), tmp_path)
    tree = Tree(text)
    assert not tree.all("img", "b") and len(tree.all("script")) == 2
    assert not [key for _, one in tree.found for key in one if key.startswith("on")]
    assert "&lt;img src=x onerror=alert(1)&gt;" in text and "\x00" not in text and "\ud800" not in text
    values = re.search(r'<script type="application/json" id="values">(.*?)</script>', text)[1]
    assert "<" not in values and json.loads(values)


def hostile(outputs: Path, seed: int, name: str, samples: list[dict]) -> Path:
    rows = compared.logged(seed, 0.1, 4)
    folder = synthetic.run(
        outputs, seed, compared.measured(rows[-1]), rows=rows, typed=(f"algorithm={name}",), config={"args.note": name},
        choices={"algorithm": name}, warnings=[HOSTILE], versions={HOSTILE: HOSTILE}, host=HOSTILE, folder=HOSTILE,
        devices={"cpu": HOSTILE, "gpus": [{"name": HOSTILE}, HOSTILE]}, git={"sha": HOSTILE, "dirty": True},
        data={"train": {"fingerprint": HOSTILE, "rows": HOSTILE}}, command=shlex.join(["expctl", HOSTILE]),
    )  # fmt: skip
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in samples))
    return folder


def test_runs_that_kept_nothing_still_make_a_page(tmp_path):
    folders = synthetic.two_algorithms(
        tmp_path / "outputs", [0.5, None], [0.7, 0.8], devices=None, data=None, versions=None
    )
    text = written(compare_runs(folders), tmp_path)
    assert "not recorded" in text and "Completions side by side" not in text and "Reward by group" in text
    Tree(text)


def test_odd_samples_are_passed_over(tmp_path):
    odd = [{"step": 0}, {"step": "0", "prompt": "a", "completion": "b"},
           {"step": 1, "prompt": ["a"], "completion": "b"},
           sampled(40, "2+3=", " ", None) | {"rewards": {"accuracy": None, "text": "x"}}]  # fmt: skip
    text = written(
        compare_runs([compared.make(tmp_path / "outputs", 0, "grpo", compared.logged(0, 0.1, 4), samples=odd)]),
        tmp_path,
    )
    assert "(empty)" in text and "step 40, accuracy none" in text and "none kept" not in text
    assert "nothing to compare it with" in text


def test_completions_stand_beside_those_of_the_same_seed_and_prompt(tmp_path):
    outputs = tmp_path / "outputs"
    folders = [
        compared.make(outputs, 1, "grpo", compared.logged(1, 0.1, 4), samples=[sampled(40, "p", "grpo of one")]),
        compared.make(outputs, 2, "grpo", compared.logged(2, 0.1, 4), samples=[sampled(40, "p", "grpo of two")]),
        compared.make(outputs, 2, "gfpo", compared.logged(2, 0.1, 9), samples=[sampled(40, "p", "gfpo of two")]),
    ]
    text = written(compare_runs(folders), tmp_path)
    assert "Completions of seed 2." in text and "gfpo of two" in text
    assert "grpo of two" in text and "grpo of one" not in text


def test_differences_of_the_configs_are_marked_in_the_whole(text):
    whole = text[text.index("The whole config") : text.index('id="provenance"')]
    assert "<mark>6</mark>" in whole and "<mark>0.001</mark>" not in whole
    assert re.search(r"args\.num_remains_in_group <span[^>]*>differs", whole)


def test_many_verdicts_are_folded_away_after_those_that_say_something(tmp_path):
    text = written(compared.many(tmp_path / "outputs"), tmp_path)
    assert "10 more: 10 too few seeds" in text
    Tree(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--html", "."], "is a folder"),
        (["--html", "nowhere/report.html"], "there is no folder"),
        (["--html", "file/report.html"], "there is no folder"),
        (["--html", "/proc/report.html"], "cannot be written"),
        (["--plots", "file"], "is a file"),
        (["--plots", "file/below"], "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_computed(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr("expctl.compare.select.select", lambda named: pytest.fail("computed"))
    with pytest.raises(Refusal, match=said):
        main(words)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_page_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    folders = synthetic.two_algorithms(tmp_path / "outputs", [0.5], [0.7])
    page = tmp_path / "report.html"
    page.write_text("older")
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(Refusal, match=r"report\.html cannot be written: No space left"):
        write_files(compare_runs(folders), None, page, "expctl compare")
    assert page.read_text() == "older" and sorted(path.name for path in tmp_path.iterdir()) == [
        "outputs",
        "report.html",
    ]


def test_the_command_writes_both_and_json_stays_json(tmp_path, monkeypatch, capsys):
    synthetic.two_algorithms(tmp_path / "outputs", [0.5], [0.7])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXPCTL_OUTPUTS", str(tmp_path / "outputs"))
    assert main(["*", "--json", "--html=report.html", "--plots", "plots"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["baseline"] == "algorithm=grpo"
    assert "page   report.html" in printed.err and "plots  plots (4 files, PNG and SVG)" in printed.err
    assert sorted(path.name for path in (tmp_path / "plots").iterdir())[0] == "final-reward.png"
    assert (
        "expctl compare &#x27;*&#x27; --json --html=report.html --plots plots" in (tmp_path / "report.html").read_text()
    )
