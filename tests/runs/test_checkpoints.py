"""A checkpoint is used when it was written to its end and is still what was written."""

import pytest

from expctl.runs.checkpoints import (
    ForeignCheckpointError,
    _checksum,
    damage,
    last_complete,
    refuse_foreign,
    trust,
    write_checksums,
)
from expctl.runs.files import write_json


@pytest.fixture
def checkpoints(tmp_path):
    for step in (5, 20, 100):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "inner").mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(bytes(range(256)) * 100)
        (folder / "inner" / "state.pt").write_bytes(b"state")
        write_checksums(folder)
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


@pytest.fixture
def pickled(tmp_path, monkeypatch):
    """A checkpoint of DeepSpeed, which would be unpickled, made by this user."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    checkpoint = tmp_path / "checkpoint-5"
    (checkpoint / "global_step5").mkdir(parents=True)
    (checkpoint / "global_step5" / "states.pt").write_bytes(b"a pickle")
    (checkpoint / "latest").write_text("global_step5")
    write_checksums(checkpoint)
    return checkpoint


def test_a_checkpoint_that_is_unpickled_is_used_where_it_is_ones_own(pickled):
    assert last_complete(pickled.parent) == pickled
    refuse_foreign(pickled)


ALTERED = {
    "its pickle": lambda folder: (folder / "global_step5" / "states.pt").write_bytes(b"a bomb"),
    "one more pickle": lambda folder: (folder / "global_step5" / "more.pt").write_bytes(b"a bomb"),
    "another folder named": lambda folder: (folder / "latest").write_text("../elsewhere"),
    "a link": lambda folder: (folder / "global_step5" / "more.pt").symlink_to("/etc/hostname"),
    "no signature": lambda folder: (folder / "signature.json").unlink(),
    "odd signature": lambda folder: (folder / "signature.json").write_text('{"files": 1}'),
    "another's key": lambda folder: (folder.parent / "settings" / "expctl" / "seal.key").write_text("0" * 64),
}


@pytest.mark.parametrize("what", ALTERED)
def test_a_checkpoint_that_is_unpickled_and_anothers_is_refused_until_it_is_trusted(what, pickled):
    ALTERED[what](pickled)
    # Whoever alters files can sum them up as well: the checksums are against damage.
    files = {
        str(file.relative_to(pickled)): [file.stat().st_size, _checksum(file)]
        for file in pickled.rglob("*")
        if file.is_file() and file.name != "complete.json"
    }
    write_json(pickled / "complete.json", files)
    assert damage(pickled) is None
    with pytest.raises(ForeignCheckpointError):
        refuse_foreign(pickled)
    if what != "a link":
        trust(pickled.parent)
        refuse_foreign(pickled)


@pytest.mark.parametrize("sealed", ["[]", '{"a": 1}', '{"a": [1]}', '{"a": "xy"}', "7"])
def test_a_seal_of_odd_values_is_a_damaged_one(sealed, checkpoints):
    (checkpoints / "checkpoint-100" / "complete.json").write_text(sealed)
    assert last_complete(checkpoints).name == "checkpoint-20"
