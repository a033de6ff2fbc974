"""An exported model in the real vLLM: the same greedy tokens as in transformers."""

import torch
from colocated import greedy_model
from fabricated import completed
from harness import expctl
from padded import make_padded
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.generation import vllm_generation

PROMPTS = ["12+34=", "7+8=", "40+19=", "5+90="]


def test_vllm_loads_an_export_and_gives_the_tokens_of_transformers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = make_padded(tmp_path / "padded")
    # Other weights than the embedded ones: what vLLM loads must be what was exported.
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    with torch.no_grad():
        model.get_output_embeddings().weight += 0.02 * torch.randn_like(model.get_output_embeddings().weight)
    model.save_pretrained(folder)
    run = completed("algorithm=sft", weights=folder)
    done = expctl("export", run.run_id, "exported", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    engine = vllm_generation.LLM(
        model=str(tmp_path / "exported"),
        max_model_len=128,
        dtype="float32",
        enforce_eager=True,
        distributed_executor_backend="external_launcher",
        seed=0,
    )
    # The end token is the export's own: neither is told of it here.
    sampling = vllm_generation.SamplingParams(temperature=0.0, max_tokens=24)
    outputs = engine.generate(PROMPTS, sampling_params=sampling, use_tqdm=False)
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    ids = [tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
    assert [list(output.outputs[0].token_ids) for output in outputs] == greedy_model(exported, ids)
