"""Keywords of a trainer that expctl gives itself."""

# Keyword -> what to type in its place.
GIVEN = {
    "model": "model=local model.path=<folder or hub id>",
    "args": "args.<field>=...",
    "train_dataset": "dataset=files dataset.path=<file>",
    "eval_dataset": "dataset.eval_path=<file>",
    "processing_class": "model.path: the tokenizer is the model's",
    "reward_funcs": "reward=..., or reward.functions.<name>._target_=...",
    "peft_config": "peft=lora",
    "callbacks": "+callbacks.<name>._target_=...",
}
