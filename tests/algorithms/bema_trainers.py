"""Tiny DPO and GRPO trainers for BEMA: full fine-tuning, frozen layers, a new adapter, a trained adapter."""

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from tiny_policy import scripted_rollout, tiny_prompts, tiny_tokenizer
from transformers import AutoModelForCausalLM
from trl import DPOConfig, GRPOConfig

from expctl.algorithms.bema_for_ref_model import DPOTrainer, GRPOTrainer

VARIANTS = ["full", "frozen", "lora", "trained_adapter"]
CONFIG_FIELDS = {"max_steps": 2, "save_strategy": "no", "learning_rate": 1e-2}


def tiny_preferences(count=32) -> Dataset:
    digits = [(str(i % 10), str((i + 3) % 10)) for i in range(count)]
    return Dataset.from_dict(
        {
            "prompt": [f"{a}a" for a, _ in digits],
            "chosen": [a + b for a, b in digits],
            "rejected": [b + b + b for _, b in digits],
        }
    )


def dpo_tokens() -> torch.Tensor:
    return torch.tensor([[4, 5, 6, 7], [8, 9, 10, 11]])


def lora(**options) -> LoraConfig:
    return LoraConfig(r=2, **{"target_modules": ["q_proj", "v_proj"], "lora_dropout": 0.2} | options)


def policy(folder, variant):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder)
    if variant == "frozen":
        model.model.embed_tokens.requires_grad_(False)
        model.model.layers[0].requires_grad_(False)
    if variant == "trained_adapter":
        model = get_peft_model(model, lora())
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(std=0.1)
    return model


def dpo(folder, output_dir, callback, variant="full", trainer=DPOTrainer, **options):
    return _build(
        trainer,
        DPOConfig,
        folder,
        output_dir,
        callback,
        variant,
        options,
        train_dataset=tiny_preferences(),
        eval_dataset=tiny_preferences(8),
    )


def grpo(folder, output_dir, callback, variant="full", trainer=GRPOTrainer, **options):
    config = options.pop("config", GRPOConfig)
    options = {"beta": 0.1, "num_generations": 4, "max_completion_length": 8} | options
    return _build(
        trainer,
        config,
        folder,
        output_dir,
        callback,
        variant,
        options,
        train_dataset=tiny_prompts(),
        reward_funcs=distinct_characters,
        rollout_func=scripted_rollout,
    )


def distinct_characters(completions, **_):
    return [float(len(set(completion))) for completion in completions]


def _build(trainer, config, folder, output_dir, callback, variant, options, **constructor):
    for name in ("model", "ref_model", "peft_config", "group_filter_func"):
        if name in options:
            constructor[name] = options.pop(name)
    if variant == "lora":
        constructor.setdefault("peft_config", lora())
    constructor.setdefault("model", policy(folder, variant) if folder else None)
    if "save_steps" in options:
        options["save_strategy"] = "steps"
    args = config(
        output_dir=str(output_dir),
        per_device_train_batch_size=4,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        **CONFIG_FIELDS | options,
    )
    callbacks = callback if isinstance(callback, list) else [callback] if callback else None
    return trainer(args=args, processing_class=tiny_tokenizer(), callbacks=callbacks, **constructor)


def losses(trainer) -> list[dict]:
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def snapshot(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def reference_of(trainer) -> dict[str, torch.Tensor]:
    """The reference's weights by the names of the policy's."""
    if trainer.ref_model is not None:
        return snapshot(trainer.ref_model)
    return {
        name.replace(".ref.", ".default."): tensor
        for name, tensor in snapshot(trainer.model).items()
        if ".ref." in name
    }
