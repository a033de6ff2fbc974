"""Nothing of a checkpoint or of a model's folder is unpickled: a file that would execute code is refused instead."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from resuming import composed, resumed, whole

from expctl import models

SFT = ("algorithm=sft", "args.max_steps=2", "args.packing=false")
FILES = ["optimizer.pt", "scheduler.pt", "rng_state.pth", "counters_0.pt"]


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pickles") / "run"
    whole(folder, *SFT)
    return folder


@pytest.mark.parametrize("plain", [True, False], ids=["plain pickle", "in torch's archive"])
@pytest.mark.parametrize("name", FILES)
def test_a_checkpoint_with_a_pickle_that_executes_code_is_not_carried_on_from(name, plain, trained, tmp_path):
    mark = tmp_path / "executed"
    copied = shutil.copytree(trained, tmp_path / "run")
    file = copied / "checkpoints" / "checkpoint-1" / name
    assert file.is_file()
    write_bomb(file, mark, plain)
    with pytest.raises(pickle.UnpicklingError):
        resumed(copied, 1, *SFT, copied=True)
    assert not mark.exists()


def test_the_arguments_that_a_checkpoint_keeps_are_not_read(trained, tmp_path):
    copied, mark = shutil.copytree(trained, tmp_path / "run"), tmp_path / "executed"
    write_bomb(copied / "checkpoints" / "checkpoint-1" / "training_args.bin", mark, plain=False)
    resumed(copied, 1, *SFT, copied=True)
    assert not mark.exists()


@pytest.mark.parametrize("where", ["checkpoint", "model"])
def test_weights_that_are_a_pickle_which_executes_code_are_not_loaded(where, trained, tmp_path):
    mark = tmp_path / "executed"
    copied = shutil.copytree(trained, tmp_path / "run")
    folder = copied / "checkpoints" / "checkpoint-1"
    (folder / "model.safetensors").unlink()
    write_bomb(folder / "pytorch_model.bin", mark, plain=False)
    with pytest.raises(Exception):  # noqa: B017 - transformers says in several ways what it cannot load
        if where == "model":
            models.load(str(folder))
        else:
            resumed(copied, 1, *SFT, copied=True)
    assert not mark.exists()


def test_code_beside_the_weights_is_not_executed_unless_typed(trained, tmp_path):
    folder = shutil.copytree(trained / "checkpoints" / "checkpoint-1", tmp_path / "model")
    mark = tmp_path / "executed"
    (folder / "theirs.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    config = (folder / "config.json").read_text().replace('"model_type": "qwen3"', '"model_type": "theirs"')
    (folder / "config.json").write_text(
        config.rstrip().removesuffix("}") + ', "auto_map": {"AutoConfig": "theirs.Config", '
        '"AutoModelForCausalLM": "theirs.Model"}}'
    )
    assert not composed(*SFT)["model"].get("trust_remote_code")
    with pytest.raises(Exception):  # noqa: B017 - transformers says in several ways what it cannot load
        models.load(str(folder))
    assert not mark.exists()


def write_bomb(file: Path, mark: Path, plain: bool) -> None:
    if plain:
        file.write_bytes(pickle.dumps(Bomb(mark)))
    else:
        torch.save({"weight": Bomb(mark)}, file)
