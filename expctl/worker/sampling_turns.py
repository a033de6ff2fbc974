"""`hardware.sampled_rows`: a generation batch sampled in turns, so that its cache fits the device."""

from typing import Any

from transformers import Trainer


def sample_in_turns(config: dict[str, Any], trainer: Trainer) -> None:
    """Have the trainer sample at most `hardware.sampled_rows` completions at a time, where that is set.

    Seen in TRL 1.16: `_generate_single_turn` takes the prompt of each completion and gives its tokens, with `logprobs`
    None where transformers samples. Images and other tensors belong to the whole batch, which is then sampled at once.

    Args:
        config: resolved.
        trainer: whose method is replaced.
    """
    rows = config["hardware"].get("sampled_rows")
    sampler: Any = trainer
    sample = getattr(trainer, "_generate_single_turn", None)
    if rows is None or sample is None:
        return

    def sample_turns(prompts: list[Any], images: Any, others: dict[str, Any], *args: Any, **keywords: Any) -> Any:
        if images or others:
            return sample(prompts, images, others, *args, **keywords)
        completions: list[Any] = []
        for first in range(0, len(prompts), rows):
            sampled, _ = sample(prompts[first : first + rows], images, others, *args, **keywords)
            completions += sampled
        return completions, None

    sampler._generate_single_turn = sample_turns
