"""Whether a model's config is that of a reward model: a sequence classifier with one label. Torch-free."""

from typing import Any

KEY = "reward_model"
CLASSIFIER = "ForSequenceClassification"


def check_head(path: str, config: dict[str, Any]) -> None:
    """Look at the class and the labels of a `config.json`.

    Args:
        path: of the model, for the message.
        config: empty where it is not known yet.

    Raises:
        ValueError: it has no head for a score, or more than one label.
    """
    if not config:
        return
    architectures = config.get("architectures") or []
    if architectures and not any(str(name).endswith(CLASSIFIER) for name in architectures):
        raise ValueError(
            f"{KEY}.path={path} is a {architectures[0]}, which has no head that gives a score. "
            "algorithm=reward trains one on preferences, from such a model."
        )
    labels = labels_of(config)
    if labels != 1:
        raise ValueError(
            f"{KEY}.path={path} has {labels} labels, and a reward is one number: "
            "give a classifier that was trained with num_labels=1."
        )


def labels_of(config: dict[str, Any]) -> int:
    """The number of labels that transformers makes of a `config.json`: two where it says nothing."""
    labels = config.get("id2label")
    if isinstance(labels, dict) and labels:
        return len(labels)
    return int(config.get("num_labels") or 2)
