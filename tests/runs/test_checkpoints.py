"""A checkpoint is used when it was written to its end and is still what was written."""

import pytest

from expctl.runs.checkpoints import damage, last_complete, seal


@pytest.fixture
def checkpoints(tmp_path):
    for step in (5, 20, 100):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "inner").mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(bytes(range(256)) * 100)
        (folder / "inner" / "state.pt").write_bytes(b"state")
        seal(folder)
    return tmp_path


def test_the_latest_sealed_checkpoint_by_number_is_used(checkpoints):
    assert last_complete(checkpoints).name == "checkpoint-100"


def test_one_that_was_not_sealed_was_not_finished(checkpoints):
    (checkpoints / "checkpoint-100" / "complete.json").unlink()
    assert last_complete(checkpoints).name == "checkpoint-20"


@pytest.mark.parametrize("how", ["truncated", "one bit", "missing", "seal cut"])
def test_a_damaged_one_is_passed_over_for_the_one_before(how, checkpoints):
    weights = checkpoints / "checkpoint-100" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    if how == "truncated":
        weights.write_bytes(content[:-1])
    elif how == "one bit":
        content[1234] ^= 1
        weights.write_bytes(content)
    elif how == "missing":
        (checkpoints / "checkpoint-100" / "inner" / "state.pt").unlink()
    else:
        (checkpoints / "checkpoint-100" / "complete.json").write_text('{"model')
    assert damage(checkpoints / "checkpoint-100")
    assert damage(checkpoints / "checkpoint-20") is None
    assert last_complete(checkpoints).name == "checkpoint-20"


def test_foreign_folders_are_no_checkpoints(tmp_path):
    for name in ("checkpoint-best", "checkpoint-7", "notes"):
        (tmp_path / name).mkdir()
    assert last_complete(tmp_path) is None
