"""`model=run:RUN` composes as an option with a file would, and is known by the content of the weights."""

import json
import shutil
from pathlib import Path

import pytest
from fabricated import completed
from harness import expctl

from expctl.base.refusal import Refusal
from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.runs import manifest
from expctl.runs.bundle import describe, rebuild
from expctl.runs.files import Run
from expctl.runs.identity import config_hash, run_id
from expctl.runs.lineage import ancestors


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(*words: str) -> Run:
    """The completed run of some words, with the embedded model as what it has trained."""
    run = completed(*words)
    (run.model / "README.md").write_text(run.run_id)
    return run


def test_the_model_its_settings_and_the_batch_of_its_option_are_those_of_the_run(work):
    run = made("algorithm=sft", "model.dtype=bfloat16", "model.attn_implementation=eager")
    plain, started = compose(["algorithm=dpo"]), compose(["algorithm=dpo", "model=run:sft-tiny"])
    assert check(started) == []
    assert started.config["model"] == {
        "path": f"outputs/{run.run_id}/model",
        "run": run.run_id,
        "dtype": "bfloat16",
        "attn_implementation": "eager",
    }
    assert started.config["args"] == plain.config["args"] and started.choices == plain.choices
    assert run_id(started, config_hash(started)).startswith("dpo-tiny-arithmetic-s0-")
    assert started.overrides == ["algorithm=dpo", "model=run:sft-tiny"]
    typed = compose(["model=run:sft-tiny", "model.dtype=float32"])
    assert (typed.config["model"]["dtype"], typed.sources["model.dtype"]) == (
        "float32",
        "model.dtype=float32 (command line)",
    )
    assert started.locations["model.dtype"].startswith(f"outputs/{run.run_id}/config.yaml:")


def test_the_id_follows_the_content_of_the_weights_and_neither_path_nor_word(work):
    run = made("algorithm=sft")
    first = config_hash(compose(["model=run:sft-tiny"]))
    shutil.copytree(run.folder, work / "moved" / run.run_id)
    (work / "moved" / run.run_id / "model" / "README.md").write_text("another card")
    words = [f"model=run:{run.run_id}@last", f"model=run:outputs/{run.run_id}", f"model=run:{work}/moved/{run.run_id}"]
    assert {config_hash(compose([word])) for word in words} == {first}
    assert first != config_hash(compose([]))
    with (run.model / "model.safetensors").open("ab") as weights:
        weights.write(b"\0")
    assert config_hash(compose(["model=run:sft-tiny"])) != first


def test_the_lineage_goes_back_to_the_first_run_and_repetitions_share_their_recipe(work):
    grandchildren = []
    for seed in (0, 1):
        made("algorithm=sft", f"seed={seed}", "name=first")
        child = made("algorithm=dpo", f"seed={seed}", f"model=run:sft-tiny-arithmetic-s{seed}@last")
        with (child.model / "model.safetensors").open("ab") as weights:
            weights.write(bytes([seed]))
        grandchildren.append(made(f"seed={seed}", f"model=run:{child.run_id}"))
    lines = [ancestors(run) for run in grandchildren]
    assert [[lineage.run_id.split("-")[0] for lineage in line] for line in lines] == [["dpo", "sft"]] * 2
    assert [lineage.which for lineage in lines[0]] == ["", "last"] and lines[0][1].step == 2
    assert lines[0][0].recipe == lines[1][0].recipe != lines[0][1].recipe
    assert rebuild(grandchildren[0]).config["model"]["run"] == lines[0][0].run_id


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["model=run:nobody"], "no run is called 'nobody'"),
        (["model=run:sft-tiny@checkpoint-7"], "checkpoint-7 of .* is not there"),
        (["model=run:dpo-tiny"], "is interrupted, and only a completed one"),
        (["model=run:outputs/none"], "no folder 'outputs/none'"),
        (["model=run:"], "no run"),
    ],
)
def test_a_run_that_cannot_be_started_from_is_refused_by_the_word_that_names_it(words, what, work):
    made("algorithm=sft")
    begun = compose(["algorithm=dpo"])
    folder = work / "outputs" / run_id(begun, config_hash(begun))
    folder.mkdir()
    describe(Run(folder), begun, config_hash(begun))
    with pytest.raises(Refusal, match=what) as refused:
        compose(words)
    assert refused.value.where == f"{words[0]} (command line)"


def test_the_place_of_the_base_of_an_adapter_does_not_count_but_its_content(work):
    first, second = made("algorithm=sft"), made("algorithm=dpo")
    for file in second.model.iterdir():
        file.unlink()

    def hashed(base: Path, modules: list[str]) -> str:
        settings = {"base_model_name_or_path": str(base), "target_modules": modules}
        (second.model / "adapter_config.json").write_text(json.dumps(settings))
        return config_hash(compose(["model=run:dpo-tiny"]))

    shutil.copytree(first.model, work / "elsewhere")
    there = hashed(first.model, ["q", "v"])
    assert hashed(work / "elsewhere", ["v", "q"]) == there
    (work / "elsewhere" / "tokenizer.json").write_text("{}")
    assert hashed(work / "elsewhere", ["q", "v"]) != there
    assert len({hashed(Path("org/name"), ["q"]), hashed(Path("org/other"), ["q"])}) == 2


def test_a_folder_beside_it_is_refused(work):
    made("algorithm=sft")
    refusals = check(compose(["model=run:sft-tiny", "model.path=elsewhere"]))
    assert [refusal.where for refusal in refusals] == ["model.path=elsewhere (command line)"]


def test_nothing_of_a_foreign_config_is_resolved_or_trusted(work):
    run = made("algorithm=sft")
    text = run.config.read_text().replace("dtype: float32", "dtype: ${oc.env:HOME}\n  trust_remote_code: true")
    run.config.write_text(text)
    told = manifest.recorded(run)
    told.choices["model"] = "../../elsewhere"
    told.write(run.manifest)
    model = compose(["model=run:sft-tiny"]).config["model"]
    assert model["dtype"] == "float32" and "trust_remote_code" not in model


def test_a_sweep_takes_several_runs(work):
    for words in (["algorithm=sft"], ["algorithm=sft", "args.learning_rate=0.1"]):
        with (made(*words).model / "model.safetensors").open("ab") as weights:
            weights.write(str(words).encode())
    names = [folder.name for folder in sorted((work / "outputs").iterdir())]
    checked = expctl("check", "-m", f"model=run:{names[0]},run:{names[1]}@last", "seed=0,1", cwd=work)
    assert checked.returncode == 0, checked.stderr
    assert len(set(checked.stdout.split("\n")) - {""}) == 4
    refused = expctl("-m", f"model=run:{names[0]},run:nobody", cwd=work)
    assert refused.returncode == 2 and "model=run:nobody" in refused.stderr
    assert sorted(folder.name for folder in (work / "outputs").iterdir()) == names
