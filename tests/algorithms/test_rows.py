import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from expctl.algorithms.rows import pack, select_rows, trim, unpack

PAD = 0


@st.composite
def batches(draw):
    """A batch as upstream builds it, with every text field that it may hold."""
    rows = draw(st.integers(1, 5))
    prompts = draw(st.lists(st.integers(1, 6), min_size=rows, max_size=rows))
    completions = draw(st.lists(st.integers(1, 6), min_size=rows, max_size=rows))
    per_token = draw(st.booleans())
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    prompt_mask = torch.tensor([[0] * (max(prompts) - n) + [1] * n for n in prompts])
    completion_mask = torch.tensor([[1] * n + [0] * (max(completions) - n) for n in completions])
    shape = completion_mask.shape
    sequence = torch.cat([prompt_mask, torch.zeros_like(completion_mask)], 1)
    floats = torch.randn(3, *shape, generator=generator) * completion_mask
    return {
        "prompt_ids": torch.randint(1, 9, prompt_mask.shape, generator=generator) * prompt_mask,
        "prompt_mask": prompt_mask,
        "completion_ids": torch.randint(1, 9, shape, generator=generator) * completion_mask,
        "completion_mask": completion_mask,
        "tool_mask": torch.where(completion_mask == 1, torch.randint(0, 2, shape, generator=generator), 1),
        "old_per_token_logps": floats[0],
        "ref_per_token_logps": floats[1],
        "advantages": floats[2] if per_token else torch.randn(rows, generator=generator),
        "importance_sampling_ratio": torch.rand(rows, 1, generator=generator),
        "token_type_ids": torch.randint(1, 3, sequence.shape, generator=generator) * sequence,
        "sample_index": torch.arange(rows),
        "num_items_in_batch": completion_mask.sum(),
    }


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@settings(max_examples=50)
@given(batches())
def test_unpack_then_pack_is_the_identity_also_on_left_padded_prompts(batch):
    total = batch["num_items_in_batch"]
    assert equal({**pack(unpack(batch), pad_token_id=PAD), "num_items_in_batch": total}, batch)


@settings(max_examples=50)
@given(batches(), st.data())
def test_selecting_and_trimming_is_packing_the_selected_rows(batch, data):
    indices = data.draw(st.lists(st.integers(0, len(batch["prompt_ids"]) - 1), min_size=1, max_size=6))
    rows = unpack(batch)
    trimmed = trim(select_rows(batch, indices))
    packed = pack([rows[i] for i in indices], pad_token_id=PAD)
    assert equal(trimmed, {**packed, "num_items_in_batch": batch["num_items_in_batch"]})


@given(batches(), st.integers(2, 8))
def test_widths_stay_multiples(batch, multiple):
    packed = pack(unpack(batch), pad_token_id=PAD, pad_to_multiple_of=multiple)
    assert packed["prompt_ids"].size(1) % multiple == packed["completion_ids"].size(1) % multiple == 0
    width = packed["prompt_ids"].size(1) + packed["completion_ids"].size(1)
    assert packed["token_type_ids"].size(1) == width
    assert equal(trim(packed, multiple), packed)
    assert equal(trim(packed), pack(unpack(batch), pad_token_id=PAD))


@given(batches())
def test_a_row_owns_no_more_memory_than_its_own_tokens(batch):
    for row in unpack(batch):
        for value in row.values():
            assert value.untyped_storage().nbytes() == value.numel() * value.element_size()


@given(batches())
def test_pack_refuses_rows_of_different_kinds_and_names_the_field(batch):
    rows = unpack(batch)
    with pytest.raises(ValueError, match="ref_per_token_logps"):
        pack([*rows, {key: value for key, value in rows[0].items() if key != "ref_per_token_logps"}], pad_token_id=PAD)


def test_a_truncated_completion_that_upstream_masked_whole_stays_masked():
    batch = {
        "prompt_ids": torch.tensor([[5], [5]]),
        "prompt_mask": torch.tensor([[1], [1]]),
        "completion_ids": torch.tensor([[6, 7, 8], [6, 7, 0]]),
        "completion_mask": torch.tensor([[0, 0, 0], [1, 1, 0]]),
    }
    packed = pack(unpack(batch), pad_token_id=PAD)
    assert packed["completion_mask"].tolist() == [[0, 0], [1, 1]]
    assert packed["completion_ids"].tolist() == [[6, 0], [6, 7]]
    assert trim(select_rows(batch, [0]))["completion_mask"].tolist() == [[0]]


def text(rows):
    ids = torch.arange(rows).unsqueeze(1) + 1
    return {"prompt_ids": ids, "prompt_mask": ids * 0 + 1, "completion_ids": ids, "completion_mask": ids * 0 + 1}


def tagged(counts, *shape):
    """Images, tiles or patches, each filled with the number of the row that it belongs to."""
    return torch.cat([torch.full((n, *shape), float(row)) for row, n in enumerate(counts)])


VISION = {
    # grid models (Qwen): pixel rows grouped by the product of each image's grid
    "grid": {
        "pixel_values": tagged([4, 0, 6, 2], 3),
        "image_grid_thw": torch.tensor([[1, 2, 2], [1, 1, 2], [1, 2, 2], [1, 1, 2]]),
        "num_images": [1, 0, 2, 1],
    },
    "positions": {
        "pixel_values": tagged([1, 0, 2, 1], 5),
        "image_position_ids": tagged([1, 0, 2, 1], 5),
        "num_images": [1, 0, 2, 1],
    },
    "tiles": {
        "pixel_values": tagged([2, 1, 3, 1], 2),
        "pixel_attention_mask": tagged([2, 1, 3, 1], 2),
        "spatial_shapes": tagged([2, 1, 3, 1], 2),
        "num_images": [1, 1, 2, 1],
        "num_tiles": [2, 1, 3, 1],
    },
    "tiles_alone": {"pixel_values": tagged([2, 1, 3, 1], 2), "num_images": [1] * 4, "num_tiles": [2, 1, 3, 1]},
    "flat": {
        "pixel_values": tagged([1, 0, 2, 1], 3),
        "image_sizes": tagged([1, 0, 2, 1], 2),
        "num_images": [1, 0, 2, 1],
    },
    # padded to one entry a sample (Idefics)
    "a_row_each": {
        "pixel_values": tagged([1, 1, 1, 1], 2, 3),
        "pixel_attention_mask": tagged([1, 1, 1, 1], 2, 3),
        "num_images": [2, 1, 2, 2],
    },
}


@pytest.mark.parametrize("kind", VISION)
def test_images_stay_with_their_rows(kind):
    batch = {**text(4), **VISION[kind]}
    selected = select_rows(batch, [2, 0])
    rows = unpack(batch)
    packed = pack([rows[2], rows[0]], pad_token_id=PAD)
    for one in (selected, packed):
        owners = one["pixel_values"].flatten(1)[:, 0].tolist()
        counts = [(VISION[kind]["pixel_values"].flatten(1)[:, 0] == row).sum().item() for row in (2, 0)]
        assert owners == [2.0] * counts[0] + [0.0] * counts[1]
        assert one["num_images"] == [VISION[kind]["num_images"][i] for i in (2, 0)]
    assert packed.keys() == selected.keys()
    for key in VISION[kind]:
        same = packed[key] == selected[key]
        assert same if isinstance(same, bool) else same.all()


@pytest.mark.parametrize("kind", VISION)
def test_images_survive_the_round_trip(kind):
    batch = {**text(4), **VISION[kind]}
    packed = pack(unpack(batch), pad_token_id=PAD)
    for key, value in batch.items():
        assert torch.equal(packed[key], value) if isinstance(value, torch.Tensor) else packed[key] == value
