"""A model folder that cannot be loaded is told by its file before anything is imported."""

import shutil
from pathlib import Path

import pytest

from expctl import models
from expctl.models.files import check_files

TINY = Path(models.__file__).parent / "tiny"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(TINY, tmp_path / "mine")
    return tmp_path / "mine"


def test_a_whole_folder_passes(folder):
    check_files(folder)


def test_a_pointer_in_place_of_weights_is_told(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ValueError, match="model.safetensors is a Git LFS pointer"):
        check_files(folder)


@pytest.mark.parametrize("kept", [4, 100, -1])
def test_weights_that_are_cut_off_are_told(folder, kept):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match="no whole safetensors file"):
        check_files(folder)


def test_a_folder_without_tokenizer_is_told(folder):
    for file in [*folder.glob("*token*"), *folder.glob("vocab*")]:
        file.unlink()
    with pytest.raises(ValueError, match="holds no tokenizer"):
        check_files(folder)


def test_the_folder_of_a_run_leads_to_its_last_model(folder):
    for place in ("run/model", "run/checkpoints/checkpoint-2"):
        shutil.copytree(folder, folder.parent / place)
    with pytest.raises(ValueError, match="model.path=.*run/model"):
        models.resolve(str(folder.parent / "run"))
