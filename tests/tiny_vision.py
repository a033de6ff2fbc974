"""A language model that sees, of 51,000 random weights: Llava over a CLIP and a Qwen3, with the toy's tokenizer."""

import json
from pathlib import Path

import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen3Config,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from expctl import models

PLACE = "<image>"
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{% endif %}<eos>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
SIDE, PATCH = 28, 14
COLORS = ("red", "blue", "green", "black", "white", "yellow")


def save_model(folder: Path) -> Path:
    """Write the model and its processor."""
    tokenizer = AutoTokenizer.from_pretrained(Path(models.__file__).parent / "tiny")
    tokenizer.add_special_tokens({"additional_special_tokens": [PLACE]})
    tokenizer.chat_template = TEMPLATE
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    small = {"num_hidden_layers": 2, "num_attention_heads": 2}
    text = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=512,
        bos_token_id=None,
        **small,
        **ends,
    )
    vision = CLIPVisionConfig(hidden_size=16, intermediate_size=32, image_size=SIDE, patch_size=PATCH, **small)
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids(PLACE),
        image_seq_length=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="default",
        **ends,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    model.generation_config.update(**ends)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_rows(folder: Path, count: int = 24) -> Path:
    """Write pictures of one color each, and a file that asks for it in the same words every time."""
    (folder / "pictures").mkdir(parents=True)
    rows = []
    for number in range(count):
        color = COLORS[number % len(COLORS)]
        Image.new("RGB", (30 + number, 40), color).save(folder / "pictures" / f"{number}.png")
        turns = {
            "prompt": [{"role": "user", "content": "Which color?"}],
            "completion": [{"role": "assistant", "content": color}],
            "chosen": [{"role": "assistant", "content": color}],
            "rejected": [{"role": "assistant", "content": "No idea."}],
        }
        rows.append(turns | {"image": f"pictures/{number}.png", "answer": color})
    (folder / "colors.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "colors.jsonl"


def remainder(completions: list[list[dict]], **_) -> list[float]:
    """A reward that differs from completion to completion, and that nobody can learn."""
    return [float(sum(map(ord, turns[0]["content"])) % 7) for turns in completions]
