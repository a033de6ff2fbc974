"""A model that is split over the processes trains, is saved and resumes as the whole one does.

Without GPUs accelerate does not split; `cpu_as_gpus` has two processes of the CPU pass for two (gloo).
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from harness import (
    COMMAND,
    REPOSITORY,
    SFT,
    clean_environment,
    forked_workers,
    manifest,
    metrics,
    only_run,
    run,
)
from resuming import composed
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from expctl.launch.command import accelerate_environment, worker_command
from expctl.runs.files import Run

TESTS = REPOSITORY / "tests"
AS_GPUS = os.pathsep.join([str(REPOSITORY), str(TESTS / "cpu_as_gpus")])
TWO = ["hardware.num_processes=2", "hardware.bf16=false"]
FSDP2, ZERO3 = ["hardware=gpu_8_fsdp2", *TWO], ["hardware=gpu_8_zero3", *TWO]
# Sums over two halves are rounded elsewhere than sums over the whole. Float32 has seven digits.
CLOSE = {"rel": 1e-4, "abs": 1e-5}


@dataclass
class Pair:
    """What two ranks saw of the trainings that they shared, and the folder that these left."""

    folder: Path
    ranks: list[dict]

    def rows(self, case: str) -> list[dict]:
        seen = self.ranks[0][case]
        return [seen["before"], *seen["rows"], seen["after"]]

    def weights(self, case: str) -> dict[str, torch.Tensor]:
        return load_file(self.folder / case / "model" / "model.safetensors")


def train_as_pair(folder: Path, cases: str, words: list[str], *, as_gpus: bool) -> Pair:
    """Start two ranks as expctl starts its workers: by accelerate, with the config file that it writes."""
    hardware = composed(*words)["hardware"]
    folder.mkdir()
    launcher = worker_command(Run(folder), hardware)[:-3]
    forked = forked_workers(import_path=AS_GPUS) if as_gpus else forked_workers()
    paths = os.pathsep.join([forked["PYTHONPATH"], str(REPOSITORY), str(TESTS)])
    environment = accelerate_environment(hardware) | forked | {"PYTHONPATH": paths}
    words = [*words, "args.do_eval=true", "args.max_steps=4", "args.save_steps=2", "args.logging_steps=1"]
    command = [*launcher, str(TESTS / "system" / "sharded_rank.py"), str(folder), cases, *words]
    done = subprocess.run(
        command, cwd=folder, env=clean_environment(**environment), capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return Pair(folder, [json.loads((folder / f"rank_{rank}.json").read_text()) for rank in range(2)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Pair:
    """Every process has the model."""
    return train_as_pair(tmp_path_factory.mktemp("whole") / "runs", "sft,dpo,gfpo", ["hardware=cpu_2"], as_gpus=False)


@pytest.fixture(scope="module")
def fsdp2(tmp_path_factory) -> Pair:
    return train_as_pair(tmp_path_factory.mktemp("fsdp2") / "runs", "sft,dpo,gfpo", FSDP2, as_gpus=True)


@pytest.fixture(scope="module")
def zero3(tmp_path_factory) -> Pair:
    return train_as_pair(tmp_path_factory.mktemp("zero3") / "runs", "sft,dpo,gfpo", ZERO3, as_gpus=True)


ALL = [(pair, case) for pair in ("fsdp2", "zero3") for case in ("sft", "dpo", "gfpo")]


@pytest.fixture(params=ALL, ids=["-".join(each) for each in ALL])
def split(request) -> tuple[Pair, str]:
    """A pair that splits the model, and what it trained."""
    pair, case = request.param
    return request.getfixturevalue(pair), case


def test_a_rank_holds_half_of_every_parameter(split):
    pair, case = split
    for rank in pair.ranks:
        assert len(rank[case]["held"]) > 20
        for name, (here, in_all) in rank[case]["held"].items():
            assert here * 2 == in_all, name


def test_metrics_are_those_of_the_whole_model(split, whole):
    pair, case = split
    rows, expected = pair.rows(case), whole.rows(case)
    assert [row.get("step") for row in rows] == [None, 1, 2, 3, 4, None]
    assert all("eval_loss" in row for row in (rows[0], rows[-1]))
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, **CLOSE)


@pytest.mark.parametrize("pair", ["fsdp2", "zero3"])
def test_completions_are_those_of_the_whole_model_where_the_ranks_end_at_different_tokens(pair, whole, request):
    pair = request.getfixturevalue(pair)
    for rank, other in zip(pair.ranks, whole.ranks, strict=True):
        assert rank["gfpo"]["completions"] == other["gfpo"]["completions"]
    longest = [[max(map(len, texts)) for texts in rank["gfpo"]["completions"]] for rank in pair.ranks]
    assert longest[0] != longest[1]


def test_the_model_that_is_saved_loads_and_is_the_whole_one(split, whole):
    pair, case = split
    model, loading = AutoModelForCausalLM.from_pretrained(pair.folder / case / "model", output_loading_info=True)
    assert not any(loading.values()), loading
    weights = model.state_dict()
    started_from = load_file(REPOSITORY / "expctl" / "models" / "tiny" / "model.safetensors")
    for name, weight in whole.weights(case).items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-4, atol=2e-5)
    moved = max((weights[name] - weight.float()).abs().max().item() for name, weight in started_from.items())
    assert moved > 1e-4, "training changed nothing, so equal weights prove nothing"


def test_a_resumed_training_is_the_undisturbed_one(split):
    pair, case = split
    for rank in pair.ranks:
        undisturbed, resumed = rank[case], rank[f"{case}_resumed"]
        assert resumed["rows"] == undisturbed["rows"] and resumed["after"] == undisturbed["after"]
        assert resumed["completions"] == undisturbed["completions"][-len(resumed["completions"]) or None :]
    saved, again = pair.weights(case), pair.weights(f"{case}_resumed")
    assert all(torch.equal(again[name], weight) for name, weight in saved.items())
    checkpoint = pair.folder / f"{case}_resumed" / "checkpoints" / "checkpoint-4"
    assert {file.name for file in checkpoint.glob("counters_*")} == {"counters_0.pt", "counters_1.pt"}


BEST = ["args.load_best_model_at_end=true", "args.eval_strategy=steps", "args.eval_steps=2", "args.save_steps=2"]


def test_the_command_trains_a_split_model_from_the_first_evaluation_to_the_best_model(tmp_path):
    words = [*SFT, *FSDP2, *BEST, "args.do_eval=true", "dataset.eval_size=8"]
    done = run(COMMAND, *words, cwd=tmp_path, **forked_workers(import_path=AS_GPUS))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((only_run(tmp_path) / "summary.json").read_text())
    assert told["after"]["eval_loss"] < told["before"]["eval_loss"] == metrics(only_run(tmp_path))[0]["eval_loss"]
    assert (only_run(tmp_path) / "model" / "model.safetensors").exists()


def test_a_launcher_that_knows_nothing_of_it_splits_the_model_too(tmp_path):
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "expctl"]
    forked = forked_workers(import_path=AS_GPUS)
    done = run(sys.executable, *launcher, *SFT, *FSDP2, "args.max_steps=2", cwd=tmp_path, **forked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert manifest(only_run(tmp_path))["status"] == "completed"


def test_a_model_that_would_be_copied_instead_of_split_is_not_trained(tmp_path):
    """As accelerate would do without a word: here the workers see a CPU, and only the command believes in GPUs."""
    forked = forked_workers()
    paths = os.pathsep.join([forked["PYTHONPATH"], AS_GPUS])
    own = forked | {"PYTHONPATH": paths, "CPU_AS_GPUS": "command"}
    done = run(COMMAND, *SFT, *FSDP2, "hardware.num_processes=1", cwd=tmp_path, **own)
    assert done.returncode == 1
    assert "each would hold all of it: accelerate knows of no FSDP or DeepSpeed here" in done.stderr
