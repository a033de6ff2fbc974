"""Whether a model thinks reaches the tokens of trainers that take it from the rows."""

import pytest
import trl
from datasets import Dataset
from transformers import AutoTokenizer

from expctl import models
from expctl.data.conversation import fit_to_tokenizer
from expctl.worker.build import template_options

# As Qwen3's: what stands for no thoughts begins the assistant's turn, whether it is to be written or was.
TEMPLATE = (
    "{% set nothing = '7 7 ' if enable_thinking is defined and not enable_thinking else '' %}"
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{{ nothing }}{% endif %}"
    "{{ message['content'] }} {% endfor %}{% if add_generation_prompt %}{{ nothing }}{% endif %}"
)
PROMPT = [{"role": "user", "content": "1 + 2"}]
ANSWERS = {"completion": "3", "chosen": "3", "rejected": "4"}


@pytest.fixture(scope="module")
def tokenizer():
    loaded = AutoTokenizer.from_pretrained(models.resolve("embedded:tiny").source)
    loaded.chat_template = TEMPLATE
    return loaded


def rows(*columns):
    row = {name: [{"role": "assistant", "content": ANSWERS[name]}] for name in columns}
    return Dataset.from_list([{"prompt": PROMPT} | row] * 2)


def rendered(dataset, tokenizer):
    """The prompts as TRL renders them for trainers that take keywords of the template from the rows."""
    return [
        tokenizer.apply_chat_template(
            row["prompt"], tokenize=False, add_generation_prompt=True, **row.get("chat_template_kwargs", {})
        )
        for row in dataset
    ]


@pytest.mark.parametrize("columns", [["completion"], ["chosen", "rejected"]], ids=["sft", "dpo"])
def test_rows_tell_the_template_and_rows_of_a_user_s_own_count_more(columns, tokenizer):
    plain, off = rows(*columns), {"enable_thinking": False}
    assert fit_to_tokenizer(plain, tokenizer).column_names == plain.column_names
    assert all("7 7" not in text for text in rendered(fit_to_tokenizer(plain, tokenizer), tokenizer))
    assert all("7 7" in text for text in rendered(fit_to_tokenizer(plain, tokenizer, off), tokenizer))
    own = plain.add_column("chat_template_kwargs", [{"enable_thinking": True}] * 2)
    assert all("7 7" not in text for text in rendered(fit_to_tokenizer(own, tokenizer, off), tokenizer))
    streamed = fit_to_tokenizer(plain.to_iterable_dataset(), tokenizer, off)
    assert all("7 7" in text for text in rendered(streamed, tokenizer))


def test_trl_takes_them_from_there(tokenizer, tmp_path):
    """TRL's SFT tokenizes what the rows tell: the tokens of the prompt differ by those of the switch."""
    ids = []
    for options in ({}, {"enable_thinking": True}, {"enable_thinking": False}):
        model, _ = models.load("embedded:tiny")
        args = trl.SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none")
        train = fit_to_tokenizer(rows("completion"), tokenizer, options)
        trainer = trl.SFTTrainer(model, args, train_dataset=train, processing_class=tokenizer)
        row = trainer.train_dataset[0]
        ids.append(tokenizer.decode(row["input_ids"]))
    neutral, thinking, terse = ids
    assert neutral == thinking and "7 7" not in neutral and "7 7" in terse


def test_only_trainers_without_the_argument_take_it_from_the_rows(tmp_path):
    config = {"model": {"path": "x", "thinking": False}}
    sft = trl.SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    grpo = trl.GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    assert template_options(config, sft) == {"enable_thinking": False}
    assert template_options(config, grpo) == template_options({"model": {"path": "x"}}, sft) == {}
