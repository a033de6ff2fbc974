"""The parts of `scripts/gpu_check.py`: each appends rows of figures, and raises where something does not hold."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from gpu_bench import COMMAND, GIB, LIMIT_SECONDS, Bench, CheckFailed, LeftOut, Row


def environment(bench: Bench, rows: list[Row]) -> None:
    """What is installed, and that the card can be used at all."""
    import torch

    for name in ("expctl", "torch", "trl", "transformers", "accelerate", "peft", "datasets", "vllm", "deepspeed"):
        try:
            rows.append({"what": name, "found": metadata.version(name)})
        except metadata.PackageNotFoundError:
            rows.append({"what": name, "found": "not installed"})
    rows.append({"what": "python", "found": sys.version.split()[0]})
    if not bench.cpu:
        free, total = torch.cuda.mem_get_info()
        rows.append({"what": "memory", "found": f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"})
        rows.append({"what": "bfloat16", "found": str(torch.cuda.is_bf16_supported())})
        square = torch.randn(1024, 1024, device="cuda", dtype=torch.bfloat16)
        if not torch.isfinite(square @ square).all():
            raise CheckFailed("a product of random matrices is not finite")


def verify(bench: Bench, rows: list[Row]) -> None:
    """`expctl verify` as it is, then its checks on the device in bfloat16: identities to the last bit still."""
    done = bench.expctl("verify", "--json", name="verify")
    found = json.loads(done.stdout)["proofs"]
    rows.append({"checks": "float32 on the CPU", "passed": sum(p["passed"] for p in found), "of": len(found)})
    script = Path(__file__).with_name("gpu_verify.py")
    command = [sys.executable, str(script), *(["--cpu"] if bench.cpu else [])]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    (bench.output / "verify_bf16.log").write_text(checked.stdout + checked.stderr)
    results = [json.loads(line) for line in checked.stdout.splitlines() if line.startswith('{"')]
    rows.append({"checks": "bfloat16", "passed": sum(r["passed"] for r in results), "of": len(results)})
    failed = [f"{r['algorithm']} {r['name']}: {r['measured']}" for r in results if not r["passed"]]
    if failed or checked.returncode or not results:
        raise CheckFailed("; ".join(failed) or f"exit code {checked.returncode} (verify_bf16.log)")


def gfpo(shape: str) -> Callable[[Bench, list[Row]], None]:
    """GFPO that keeps 4 of 16 beside GRPO of expctl and of TRL: seconds by phase, tokens a second, peak memory."""

    def part(bench: Bench, rows: list[Row]) -> None:
        words = [*bench.model(shape), *sizes(bench)]
        rows.append(bench.train(f"gfpo-{shape}", "algorithm=gfpo", "args.num_remains_in_group=4", *words))
        rows.append(bench.train(f"grpo-{shape}", "algorithm=grpo", *words))
        own = ["algorithm.trainer._target_=trl.GRPOTrainer", "args._target_=trl.GRPOConfig"]
        rows.append(bench.train(f"trl-grpo-{shape}", "algorithm=grpo", *own, *words))

    return part


def sizes(bench: Bench, steps: int = 3, rows: int = 16) -> list[str]:
    """One group of 16 a step; 512 tokens of completion on a GPU, which random weights use up."""
    tokens = 24 if bench.cpu else 512
    return [
        f"args.max_steps={steps}",
        f"args.per_device_train_batch_size={rows}",
        "args.num_generations=16",
        f"args.max_completion_length={tokens}",
        "args.gradient_checkpointing=true",
        "args.eval_strategy=no",
        "args.do_eval=false",
        "args.load_best_model_at_end=false",
        "args.save_strategy=no",
    ]


def lora(bench: Bench, rows: list[Row]) -> None:
    """GFPO with adapters, on float32 and on bfloat16 weights."""
    words = ["algorithm=gfpo", "args.num_remains_in_group=4", "peft=lora", *bench.model("0.6B"), *sizes(bench)]
    rows.append(bench.train("lora", *words))
    rows.append(bench.train("lora-bf16", *words, "model.dtype=bfloat16"))


def sharded(kind: str) -> Callable[[Bench, list[Row]], None]:
    """GFPO with the model sharded over one device: the path of many, on one."""

    def part(bench: Bench, rows: list[Row]) -> None:
        if bench.cpu:
            raise LeftOut("accelerate shards over GPUs only (tests/system/test_sharded.py does it on the CPU)")
        if kind == "zero3" and not installed("deepspeed"):
            raise LeftOut("deepspeed is not installed")
        words = ["algorithm=gfpo", "args.num_remains_in_group=4", *bench.model("0.6B"), *sizes(bench)]
        hardware = [f"hardware=gpu_8_{kind}", "hardware.num_processes=1"]
        rows.append(bench.train(kind, *[word for word in words if not word.startswith("hardware=")], *hardware))

    return part


def resume(bench: Bench, rows: list[Row]) -> None:
    """Killed with `kill -9` after a checkpoint and resumed: the weights are those of an uninterrupted run."""
    import torch
    from safetensors.torch import load_file

    words = [
        "algorithm=gfpo",
        "args.num_remains_in_group=4",
        *bench.model("0.6B"),
        *sizes(bench, steps=4 if bench.cpu else 8),
    ]
    words += ["args.max_completion_length=24", "args.save_strategy=steps", f"args.save_steps={1 if bench.cpu else 2}"]
    folders = {name: bench.work / f"outputs-{name}" for name in ("calm", "killed")}
    seconds: dict[str, float] = {}
    for name, folder in folders.items():
        began = time.perf_counter()
        if name == "killed":
            kill_after_a_checkpoint(bench, words, folder)
        os.environ["EXPCTL_OUTPUTS"] = str(folder)
        bench.expctl(*words, name=f"resume-{name}")
        seconds[name] = time.perf_counter() - began
    del os.environ["EXPCTL_OUTPUTS"]
    calm, killed = (load_file(next(folder.glob("*/model/model.safetensors"))) for folder in folders.values())
    drift = max(float((calm[key] - killed[key]).abs().max()) for key in calm)
    rows.append({"runs": "uninterrupted", "s": seconds["calm"]})
    rows.append({"runs": "killed and resumed", "s": seconds["killed"], "largest difference of a weight": drift})
    if not all(torch.equal(calm[key], killed[key]) for key in calm):
        raise CheckFailed(f"the resumed run's weights differ by up to {drift:g}")


def kill_after_a_checkpoint(bench: Bench, words: list[str], outputs: Path) -> None:
    """Start the training and kill its whole process group once a checkpoint is complete."""
    variables = os.environ | {"EXPCTL_OUTPUTS": str(outputs)}
    with open(bench.output / "resume-to-be-killed.log", "w") as log:
        process = subprocess.Popen(
            [COMMAND, *words], cwd=bench.work, env=variables, stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + LIMIT_SECONDS
        while not list(outputs.glob("*/checkpoints/checkpoint-*")):
            if process.poll() is not None or time.monotonic() > deadline:
                raise CheckFailed("the training to be killed made no checkpoint (resume-to-be-killed.log)")
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def leases(bench: Bench, rows: list[Row]) -> None:
    """Two cells of a sweep that both want the one GPU: each has it to itself, one after the other."""
    words = ["algorithm=sft", *bench.model("0.6B", 64), "args.max_steps=3", "args.do_eval=false", "seed=1,2"]
    words += ["args.per_device_train_batch_size=4", "args.eval_strategy=no", "args.load_best_model_at_end=false"]
    if not bench.cpu:
        words = [word for word in words if not word.startswith("reward.")]
        words.append("dataset.columns={completion: answer}")
    outputs = bench.work / "outputs-leases"
    os.environ["EXPCTL_OUTPUTS"] = str(outputs)
    bench.expctl("-m", *words, "hydra.launcher.n_jobs=2", name="leases")
    del os.environ["EXPCTL_OUTPUTS"]
    attempts = []
    for path in sorted(outputs.glob("*/run.json")):
        record = json.loads(path.read_text())
        attempts.append((record["attempts"][0]["started"], record["attempts"][0]["ended"]))
        rows.append(
            {"cell": path.parent.name, "status": record["status"], "from": attempts[-1][0], "to": attempts[-1][1]}
        )
    attempts.sort()
    if len(attempts) != 2:
        raise CheckFailed(f"{len(attempts)} runs of two cells")
    if not bench.cpu and attempts[1][0] < attempts[0][1]:
        raise CheckFailed("both cells had the one GPU at the same time")


def vllm(bench: Bench, rows: list[Row]) -> None:
    """GFPO and replay with vLLM in the trainer's process beside transformers' sampling."""
    if not installed("vllm"):
        raise LeftOut("vLLM is not installed")
    if bench.cpu:
        raise LeftOut("on the CPU the real engine is tested by scripts/test_vllm.sh")
    words = [*bench.model("0.6B"), *sizes(bench), "generation=vllm"]
    rows.append(bench.train("gfpo-vllm", "algorithm=gfpo", "args.num_remains_in_group=4", *words))
    rows.append(bench.train("replay-vllm", "algorithm=grpo_replay", *words))


def installed(package: str) -> bool:
    """Whether a package is installed, without importing it."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


PARTS: dict[str, Callable[[Bench, list[Row]], None]] = {
    "environment": environment,
    "verify": verify,
    "gfpo_0.6B": gfpo("0.6B"),
    "gfpo_1.7B": gfpo("1.7B"),
    "lora": lora,
    "fsdp2": sharded("fsdp2"),
    "zero3": sharded("zero3"),
    "resume": resume,
    "leases": leases,
    "vllm": vllm,
}
