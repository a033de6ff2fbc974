#!/usr/bin/env python
"""Makes an embedded teacher: the tiny model, trained on concise completions until it adds in as few tokens as it can.

    python scripts/make_tiny_teacher.py                    # writes expctl/models/tiny_teacher
    python scripts/make_tiny_teacher.py --out /some/dir

It has the student's tokenizer and, in bfloat16, half of its bytes. The same machine makes the same bytes each time. The
shipped ones are of an earlier training of the same kind (`algorithm=sft`) and as good (0.99, 19.5 tokens), but others:
after this script, what is distilled has another teacher.
"""

import argparse
import random
import shutil
from pathlib import Path

import torch
from make_tiny_model import SHIPPED as TINY
from make_tiny_model import draw_batch, measure
from transformers import AutoModelForCausalLM, AutoTokenizer

from expctl.data.arithmetic import pools

SHIPPED = TINY.parent / "tiny_teacher"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
STEPS = 60
LEARNING_RATE = 1e-3


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Write the teacher; its accuracy on the held-out prompts, and its mean completion length in tokens."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder to write (default: the one that is shipped)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    torch.set_num_threads(1)  # sums in one order, whatever the number of cores
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    model = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    sums, held_out = pools()
    rng = random.Random(options.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
    for _ in range(STEPS):
        input_ids, labels = draw_batch(sums, tokenizer, rng, concise=True)
        optimizer.zero_grad()
        model(input_ids=input_ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.to(torch.bfloat16).save_pretrained(options.out)
    for name in TOKENIZER:
        shutil.copy(TINY / name, options.out / name)
    share_right, length = measure(model.float(), tokenizer, held_out)
    print(
        f"{options.out}: {len(held_out)} held-out prompts at temperature 1: {share_right:.3f}, {length:.1f} tokens each"
    )
    return share_right, length


if __name__ == "__main__":
    main()
