"""The tests with the real vLLM: `scripts/test_vllm.sh`, in an environment of their own."""

import os
import socket

import pytest


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Read when vLLM is imported; what expctl sets for a worker, tests that make an engine here must have as well.
os.environ |= {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": str(_free_port()),
}


@pytest.fixture
def shared_engine(monkeypatch):
    """Trainers of a test take the engine of this process in place of one of their own."""
    from colocated import engine
    from trl.generation import vllm_generation

    shared = engine()
    monkeypatch.setattr(vllm_generation, "LLM", lambda **_: shared)
    return shared


@pytest.fixture(scope="session")
def words(tmp_path_factory) -> list[str]:
    """Four steps of GFPO, 4 of 8, at a rate that changes what is likely."""
    from padded import make_padded

    return [
        "model=local",
        f"model.path={make_padded(tmp_path_factory.mktemp('models') / 'padded')}",
        "hardware=cpu",
        "generation=vllm",
        "args.max_steps=4",
        "args.do_eval=false",
        "args.learning_rate=1e-3",
        "args.lr_scheduler_type=constant",
        "args.num_generations=8",
        "args.num_remains_in_group=4",
        "args.per_device_train_batch_size=16",
        "args.max_completion_length=64",
        "dataset.train_size=64",
        "dataset.eval_size=16",
    ]
