"""A file of stages becomes commands that start from each other, or is refused as a whole."""

import os

import pytest
from fabricated import completed, write_metrics

from expctl.base.refusal import Refusal
from expctl.cli.stages import main
from expctl.cli.verify import LAUNCHER_VARIABLES
from expctl.config.stages import read_stages, with_runs

TWO = """
sft: algorithm=sft args.max_steps=6
dpo: algorithm=dpo model=run:sft@best args.beta=0.2
last: [algorithm=gfpo, 'name=the last']
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    # What a training in this process has left there would make this one of several processes.
    for name in [name for name in os.environ if name.startswith(LAUNCHER_VARIABLES)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.yaml").write_text(TWO)
    return tmp_path / "two.yaml"


def test_a_stage_starts_from_the_one_that_it_names_else_from_the_one_before(file):
    sft, dpo, last = read_stages(file, [])
    assert sft.words == ("algorithm=sft", "args.max_steps=6") and sft.starts_from is None
    assert (dpo.starts_from, last.starts_from) == ("run:sft@best", "run:dpo")
    assert last.words == ("algorithm=gfpo", "name=the last", "model=run:dpo")
    assert with_runs(dpo, {"sft": "sft-a-b-s0-1"}).starts_from == "run:sft-a-b-s0-1@best"


def test_typed_words_are_for_all_stages_or_for_one_and_take_the_place_of_the_files(file):
    typed = ["seed=1", "dpo:args.beta=0.5", "model=smollm2_135m", "last:+algorithm/replay=on"]
    sft, dpo, last = read_stages(file, typed)
    assert sft.words == ("algorithm=sft", "args.max_steps=6", "seed=1", "model=smollm2_135m")
    assert dpo.words == ("algorithm=dpo", "model=run:sft@best", "seed=1", "args.beta=0.5")
    assert last.words[-3:] == ("model=run:dpo", "seed=1", "+algorithm/replay=on")


@pytest.mark.parametrize(
    ("text", "words", "what", "where"),
    [
        (None, [], "cannot be read: No such file", "two.yaml"),
        ("a: [", [], "not valid YAML", "two.yaml"),
        ("- algorithm=sft", [], "holds no stages", "two.yaml"),
        ("sft: {algorithm: sft}", [], "the stage 'sft' has no words", "two.yaml"),
        ("sft: algorithm='sft", [], "cannot be read: No closing quotation", "two.yaml"),
        ("s-1: algorithm=sft", [], "'s-1' is no name of a stage", "two.yaml"),
        (TWO, ["dpp:seed=1"], "there is no stage 'dpp'", "dpp:seed=1"),
    ],
)
def test_a_file_or_word_that_is_none_is_refused(text, words, what, where, file):
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(Refusal, match=what) as refused:
        read_stages(file, words)
    assert where in refused.value.where


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dpo:args.bta=1"], "no field 'bta' in trl.DPOConfig\n  set by   stage dpo: args.bta=1"),
        (["sft:args.do_eval=false"], "'sft' is never evaluated, so it has no best checkpoint"),
        (["dpo:model=run:sft@checkpoint-9"], "'sft' takes 6 steps, so it has no checkpoint-9"),
        (["dpo:model=run:sftt"], "no run is called 'sftt'\n  set by   stage dpo: model=run:sftt"),
        (["last:args.num_generations=3"], "stage last:"),
    ],
)
def test_any_stage_that_cannot_be_started_is_refused_before_the_first_begins(words, said, file, capsys):
    assert main([str(file), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (file.parent / "outputs").exists()


def test_what_was_checked_is_what_will_run(file, capsys):
    assert main([str(file), "--check"]) == 0
    assert "ok  dpo  expctl algorithm=dpo" in capsys.readouterr().out
    done = completed("algorithm=sft", "args.max_steps=6")
    write_metrics(done, [{"step": 2, "eval_loss": 1.0}])
    assert main([str(file), "--check"]) == 0
    assert f"ok  sft  {done.run_id}" in capsys.readouterr().out
