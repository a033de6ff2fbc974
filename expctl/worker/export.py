"""`python -m expctl.worker.export`: write a model as others load it: a request on stdin, an answer on stdout.

The request is a line of JSON (see `Request`), the answer another: `{"files": ..., "bytes": ..., "url": ...}`, or what
went wrong as `{"error": ...}`.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, TypedDict

from expctl.runs.files import read_json, write_json
from expctl.worker.answers import answers_alone


class Request(TypedDict):
    """What is to be written. `dtype` "auto" is the one of the weights, of an adapter that of its base model."""

    source: str
    destination: str
    dtype: str
    card: str
    # `ORG/NAME` on the hub, where it is to be uploaded as well, and whether everybody may see it there.
    push: str | None
    public: bool


def main() -> None:
    """Answer the request."""
    answers = answers_alone()
    request: Request = json.loads(sys.stdin.readline())
    try:
        answer = export(request)
    except Exception as error:
        if os.environ.get("EXPCTL_DEBUG") == "1":
            raise
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
    print(json.dumps(answer), file=answers, flush=True)


def export(request: Request) -> dict[str, Any]:
    """Write the folder, whole or not at all, and upload it where that is asked for; what was written.

    Raises:
        OSError, ValueError: the model cannot be loaded or written.
        huggingface_hub.errors.HfHubHTTPError: the hub refuses it.
    """
    destination = Path(request["destination"])
    aside = destination.with_name(f".{destination.name}.writing")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _write(request, aside)
        if destination.is_dir():
            destination.rmdir()  # an empty one
        aside.rename(destination)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    files = [file for file in destination.iterdir() if file.is_file()]
    written = {"files": len(files), "bytes": sum(file.stat().st_size for file in files)}
    if request["push"] is None:
        return written
    try:
        return written | {"url": _push(destination, request["push"], public=request["public"])}
    except Exception as error:
        return written | {"not_uploaded": f"{' '.join(str(error).split())[:400]}"}


def _write(request: Request, folder: Path) -> None:
    import torch

    from expctl.models import load, resolve
    from expctl.models.loading import DTYPES
    from expctl.models.seeing import text_tokenizer

    adapters = resolve(request["source"]).adapters
    # A product of matrices that is added in a short format would be rounded twice.
    model, processing = load(request["source"], dtype="float32" if adapters else "auto")
    tokenizer = text_tokenizer(processing)
    dtype = DTYPES[request["dtype"] if request["dtype"] != "auto" or not adapters else _saved_dtype(request["source"])]
    if isinstance(dtype, torch.dtype):
        module: torch.nn.Module = model
        module.to(dtype)
    _let_it_end(model, tokenizer)
    model.config.use_cache = True  # off where gradients were recomputed, and generation would be slow
    model.save_pretrained(folder)
    processing.save_pretrained(folder)
    _tell_other_readers(folder, tokenizer.chat_template)
    (folder / "README.md").write_text(request["card"], encoding="utf-8")


def _saved_dtype(source: str) -> str:
    """The number format of the base model of an adapter."""
    from expctl.models import resolve
    from expctl.models.files import config_of

    config = config_of(Path(resolve(source).source))
    saved = config.get("dtype") or config.get("torch_dtype")
    return saved if saved in ("bfloat16", "float16") else "float32"


def _let_it_end(model: Any, tokenizer: Any) -> None:
    """The end token of the tokenizer ends a completion in every engine: they read it from the generation config."""
    if model.generation_config is None or tokenizer.eos_token_id is None:
        return
    ends = model.generation_config.eos_token_id
    if isinstance(ends, int):
        ends = [ends]
    ends = list(ends or [])
    if tokenizer.eos_token_id not in ends:
        ends.append(tokenizer.eos_token_id)
    model.generation_config.eos_token_id = ends[0] if len(ends) == 1 else ends


def _tell_other_readers(folder: Path, template: Any) -> None:
    """Say what transformers 5 has moved also where it was before, for engines and converters that know only that."""
    file = folder / "tokenizer_config.json"
    settings = read_json(file)
    if isinstance(template, str):
        settings["chat_template"] = template
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    write_json(file, settings)
    config = read_json(folder / "config.json")
    rope = config.get("rope_parameters") or {}
    if "rope_theta" in rope and "rope_theta" not in config:
        write_json(folder / "config.json", config | {"rope_theta": rope["rope_theta"]})


def _push(folder: Path, repo: str, *, public: bool) -> str:
    """Upload to the hub, with the token of the environment; the address."""
    from huggingface_hub import HfApi

    hub = HfApi()
    url = hub.create_repo(repo, private=not public, exist_ok=True)
    hub.upload_folder(repo_id=repo, folder_path=folder, commit_message="Exported by expctl")
    return str(url)


if __name__ == "__main__":
    main()
