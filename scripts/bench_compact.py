"""The loop of `generation=compact` beside transformers' own, with SmolLM2-135M (`scripts/bench.py compact`).

Four prompts of 32 tokens, eight completions each of at most 64, in float32 on one thread. Computed tokens are counted
in the model's forward passes; seconds are those of the processor, so that the ratio holds on a busy machine as well.
"""

import statistics
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from expctl.algorithms.compact_sampling import compact_loop

MODEL = Path("~/.cache/expctl/models/smollm2_135m").expanduser()
PROMPTS, GROUP, TOKENS = 4, 8, 64
# Name -> settings of the generation, and the loop in place of transformers' own.
WAYS = {
    "transformers": ({}, None),
    "transformers, static cache": ({"cache_implementation": "static"}, None),
    "compact": ({}, compact_loop),
}


def measure(repeat: int) -> list[tuple[str, ...]]:
    """A row for each way of sampling: tokens computed and sampled, seconds, and how many times faster."""
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    ends = model.generation_config.eos_token_id
    sampling = {"max_new_tokens": TOKENS, "do_sample": True, "top_k": 0, "eos_token_id": ends, "pad_token_id": ends}
    batch = tokenizer.pad({"input_ids": prompts(tokenizer)}, return_tensors="pt")
    computed: list[int] = []
    model.register_forward_pre_hook(lambda _, __, named: computed.append(named["input_ids"].numel()), with_kwargs=True)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    counts = {}
    for turn in range(repeat):
        for name, (own, loop) in WAYS.items():
            settings = GenerationConfig(**sampling, **own, disable_compile=True)
            computed.clear()
            torch.manual_seed(turn)
            began = time.process_time()
            rows = model.generate(**batch, generation_config=settings, custom_generate=loop)
            seconds[name].append(time.process_time() - began)
            completions = rows[:, batch["input_ids"].shape[1] :]
            # The first end of a completion is its last token; what follows is padding.
            ended = (completions == ends).cumsum(dim=1) - (completions == ends).int()
            counts[name] = (sum(computed), int((ended == 0).sum()))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    whole = medians["transformers"]
    return [(name, *map(str, counts[name]), f"{one:.1f}", f"{whole / one:.2f}") for name, one in medians.items()]


def prompts(tokenizer: AutoTokenizer) -> list[list[int]]:
    """The tokens of each row's prompt."""
    system = {"role": "system", "content": "You are terse."}
    ids = []
    for number in range(PROMPTS):
        question = f"What is {17 + number} plus {5 * number + 2}? Answer briefly."
        conversation = [system, {"role": "user", "content": question}]
        row = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, return_dict=False)
        ids += [row] * GROUP
    return ids
