"""Sampling that computes a prompt once for all its completions, and no completion that has ended.

transformers' `generate` computes every row of a batch until the last one has ended, and the prompt of a group once for
each of its completions. Both follow from the batch being one tensor, and neither changes what is sampled. Here a batch
is sampled by transformers' own loop in stretches: a stretch ends when enough rows have ended, these leave the batch and
its cache, and the loop goes on with the others. Each row sees the same tokens, positions and processors as before, so
its next token has the same distribution, to rounding; what differs is which random number it is drawn with.
"""

from functools import partial
from typing import Any

import torch
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.configuration_utils import GenerationMode
from transformers.generation.utils import is_deepspeed_zero3_enabled, is_fsdp_managed_module

# A stretch ends when this share of its rows has ended.
SHARE = 1 / 32
# What the loop is given with a row for each completion. Any other tensor belongs to an image or a sound.
ROW_TENSORS = {"attention_mask", "position_ids"}
PLAIN = (GenerationMode.SAMPLE, GenerationMode.GREEDY_SEARCH)
# Settings whose processors keep a state of the whole batch.
OF_THE_BATCH = ("guidance_scale", "watermarking_config")


def sample_compactly(model: Any) -> None:
    """Have `model.generate` sample with `compact_loop` from now on.

    Args:
        model: a `PreTrainedModel` that decodes text, or one with an adapter.

    Raises:
        ValueError: rows cannot leave the cache of this kind of model.
    """
    layers = [] if model.config.is_encoder_decoder else DynamicCache(config=model.config).layers
    fixed = {type(layer).__name__ for layer in layers if not hasattr(layer, "batch_select_indices")}
    if fixed or model.config.is_encoder_decoder:
        kind = f"layers of {', '.join(sorted(fixed))}" if fixed else "an encoder"
        raise _refusal(f"{type(model).__name__} has {kind}")
    model.generate = partial(model.generate, custom_generate=compact_loop)


def is_compact(model: Any) -> bool:
    """Whether `sample_compactly` had this model."""
    generate = getattr(model, "generate", None)
    return isinstance(generate, partial) and generate.keywords.get("custom_generate") is compact_loop


def compact_loop(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    **model_kwargs: Any,
) -> torch.Tensor:
    """A `custom_generate` of transformers: the completions that its own loop would sample, from fewer computed rows.

    Args:
        input_ids: `(B, L)` prompts, padded on the left. Equal rows are computed once.

    Returns:
        `(B, L + T)` prompts and completions, T the longest completion, padded on the right.

    Raises:
        ValueError: rows that depend on each other, or ranks that must step together.
    """
    _check(model, generation_config, model_kwargs)
    loop = partial(model._sample, logits_processor=logits_processor, generation_config=generation_config)
    if model_kwargs.get("attention_mask") is None:  # transformers leaves it out where no prompt is padded
        model_kwargs["attention_mask"] = torch.ones_like(input_ids)
    _compute_prompts_once(model, input_ids, model_kwargs)
    rows = torch.arange(len(input_ids), device=input_ids.device)
    sampled = input_ids.new_full((len(rows), generation_config.max_length), generation_config.pad_token_id)
    while len(rows):
        ended = EnoughEnded(stopping_criteria)
        grown = loop(input_ids, stopping_criteria=StoppingCriteriaList([*stopping_criteria, ended]), **model_kwargs)
        before, width = input_ids.shape[1], grown.shape[1]
        sampled[rows, :width] = grown
        stay = (~ended.rows).nonzero().squeeze(1)
        input_ids, rows = grown[stay], rows[stay]
        model_kwargs = model._update_model_kwargs_for_generation({}, model_kwargs, num_new_tokens=width - before)
        model_kwargs |= _select(model_kwargs, stay)
        _select_state(logits_processor, model_kwargs, stay)
    return sampled[:, :width]


class EnoughEnded(StoppingCriteria):
    """Ends a stretch once a share of its rows has ended; `rows` `(B,)` says which.

    Args:
        criteria: by which a row ends.
    """

    rows: torch.Tensor

    def __init__(self, criteria: StoppingCriteriaList):
        self.criteria = criteria

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        ended = self.criteria(input_ids, scores, **kwargs)
        self.rows = self.rows | ended if hasattr(self, "rows") else ended
        return self.rows | (self.rows.sum() >= SHARE * len(self.rows))


def _check(model: Any, generation_config: GenerationConfig, model_kwargs: dict[str, Any]) -> None:
    others = _tensors(model_kwargs) - ROW_TENSORS
    if others:
        raise _refusal(f"prompts have {', '.join(sorted(others))}")
    if generation_config.cache_implementation not in (None, "dynamic"):
        raise _refusal(f"cache_implementation is {generation_config.cache_implementation}")
    mode = generation_config.get_generation_mode()
    if mode not in PLAIN:
        raise _refusal(f"completions are generated by {mode.value}")
    of_the_batch = [name for name in OF_THE_BATCH if getattr(generation_config, name) is not None]
    if of_the_batch:
        raise _refusal(f"{', '.join(of_the_batch)} is set")
    is_group = torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1
    if is_group and (is_deepspeed_zero3_enabled() or is_fsdp_managed_module(model)):
        raise _refusal("each process holds a part of the model, so all must step together")


def _refusal(reason: str) -> ValueError:
    return ValueError(f"rows that have ended cannot leave the batch, since {reason}: generation=transformers")


def _compute_prompts_once(model: Any, input_ids: torch.Tensor, model_kwargs: dict[str, Any]) -> None:
    """Fill the cache of each row with all but the last token of its prompt, computing equal prompts once."""
    rows, length = input_ids.shape
    prompts = torch.cat([input_ids, model_kwargs["attention_mask"]], dim=1)
    distinct, prompt_of_row = torch.unique(prompts, dim=0, return_inverse=True)
    if length < 2 or len(distinct) == rows or "past_key_values" not in model_kwargs:
        return
    row_of_prompt = prompt_of_row.new_empty(len(distinct))
    row_of_prompt[prompt_of_row] = torch.arange(rows, device=input_ids.device)
    begun = {name: tensor[:, :-1] for name, tensor in _select(model_kwargs, row_of_prompt).items()}
    ids = input_ids[row_of_prompt, :-1]
    inputs = model.prepare_inputs_for_generation(ids, is_first_iteration=True, **model_kwargs | begun)
    model(**inputs, return_dict=True)
    model_kwargs["past_key_values"].batch_select_indices(prompt_of_row)


def _tensors(model_kwargs: dict[str, Any]) -> set[str]:
    return {name for name, value in model_kwargs.items() if isinstance(value, torch.Tensor)}


def _select(model_kwargs: dict[str, Any], rows: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: model_kwargs[name][rows] for name in _tensors(model_kwargs)}


def _select_state(processors: LogitsProcessorList, model_kwargs: dict[str, Any], rows: torch.Tensor) -> None:
    """Keep these rows of the cache, and of the paddings that a repetition penalty passes over."""
    if "past_key_values" in model_kwargs:
        model_kwargs["past_key_values"].batch_select_indices(rows)
    for processor in processors:
        if isinstance(processor, RepetitionPenaltyLogitsProcessor):
            paddings = processor.prompt_ignore_length
            if isinstance(paddings, torch.Tensor):
                processor.prompt_ignore_length = paddings.to(rows.device)[rows]
