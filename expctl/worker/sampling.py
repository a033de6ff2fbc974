"""`python -m expctl.worker.sampling`: complete prompts with a model that is loaded once; requests and answers are JSON.

The first line of the input is an experiment's config; each further one asks for completions: `rows`, each with a
`prompt`, or `held_out`, how many prompts of the dataset; and `count`, completions a prompt.
"""

import json
import os
import sys
from itertools import islice
from typing import Any

import torch

from expctl import models
from expctl.data.images import IMAGES
from expctl.models.seeing import text_tokenizer
from expctl.worker.answers import answers_alone
from expctl.worker.generate import generate
from expctl.worker.samples import shown_text

Row = dict[str, Any]


class Sampler:
    """A model that completes prompts as an evaluation samples them, from the config's seed on.

    Args:
        config: resolved, of an experiment that evaluates.
    """

    def __init__(self, config: dict[str, Any]):
        self._config = config
        loaded: tuple[Any, Any] = models.load(**models.loaded_part(config["model"]))
        self._model, self._tokenizer = loaded[0], text_tokenizer(loaded[1])
        args = config["args"]
        if not config["hardware"]["use_cpu"]:
            self._model.to("cuda")
        if config["hardware"]["threads"]:
            torch.set_num_threads(config["hardware"]["threads"])
        self._model.eval()
        temperature = args.get("temperature", 1.0)
        chosen = {"temperature": temperature, "top_k": args.get("top_k") or 0, "top_p": args.get("top_p", 1.0)}
        self._sampling = {"do_sample": True} | chosen if temperature else {"do_sample": False}
        self._sampling |= {"max_new_tokens": args.get("max_completion_length") or 512} | (
            args.get("generation_kwargs") or {}
        )
        torch.manual_seed(config["seed"])

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """`rows`: of each prompt its completions, with `text`, `tokens`, `ended` and `rewards`, name -> value.

        There are no rewards where the functions need columns that neither the row nor the dataset has.
        """
        rows = self._held_out(request["held_out"]) if "held_out" in request else request["rows"]
        if any(row.get(IMAGES) for row in rows):
            raise ValueError("sample shows no images to a model; expctl eval samples with them")
        count = request["count"]
        answered = [row | {"completions": self._completed(row["prompt"], count)} for row in rows]
        self._reward(answered)
        kept = [{"prompt": shown_text(row["prompt"]), "completions": row["completions"]} for row in answered]
        return {"rows": kept}

    def _held_out(self, count: int) -> list[Row]:
        from expctl.worker.datasets import load_data

        _, held_out = load_data(self._config["dataset"])
        sets = list(held_out.values()) if isinstance(held_out, dict) else [held_out]
        return [dict(row) for part in sets if part is not None for row in islice(part, count)]

    def _completed(self, prompt: Any, count: int) -> list[dict[str, Any]]:
        tokenizer: Any = self._tokenizer
        text, is_chat = self._rendered(prompt)
        ids, ended = generate(self._model, tokenizer, [text] * count, self._sampling, special_tokens=not is_chat)
        said = tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [
            {"text": one, "tokens": len(row), "ended": has_ended, "rewards": {}}
            for one, row, has_ended in zip(said, ids, ended, strict=True)
        ]

    def _rendered(self, prompt: Any) -> tuple[str, bool]:
        """The text of a prompt, and whether it is a chat template's, with its own special tokens."""
        tokenizer: Any = self._tokenizer
        if isinstance(prompt, str) and not tokenizer.chat_template:
            return prompt, False
        turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        if not tokenizer.chat_template:
            return shown_text(turns), False
        options = self._config["args"].get("chat_template_kwargs") or {}
        return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **options), True

    def _reward(self, rows: list[Row]) -> None:
        """Put the rewards beside the completions."""
        from expctl.worker.scoring import score

        flat = [(row, completion) for row in rows for completion in row["completions"]]
        asked = []
        for row, completion in flat:
            text = completion["text"]
            said = text if isinstance(row["prompt"], str) else [{"role": "assistant", "content": text}]
            columns = {name: value for name, value in row.items() if name != "completions"}
            asked.append(columns | {"completion": said, "truncated": not completion["ended"]})
        for name, values in score(self._config, asked)["values"].items():
            for (_, completion), value in zip(flat, values, strict=True):
                completion["rewards"][name] = value


def main() -> None:
    """Load the model of the first line, and answer every further one."""
    answers = answers_alone()
    try:
        sampler = Sampler(json.loads(sys.stdin.readline()))
        for line in sys.stdin:
            print(json.dumps(sampler.answer(json.loads(line))), file=answers)
    except Exception as error:
        if os.environ.get("EXPCTL_DEBUG") == "1":
            raise
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers)


if __name__ == "__main__":
    main()
