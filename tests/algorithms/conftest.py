import pytest
import torch
from gfpo_trainer import build_trainer
from tiny_policy import tiny_model


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory):
    """The tiny policy saved once: with a KL term TRL loads the reference model from where the policy came from."""
    folder = tmp_path_factory.mktemp("policy")
    tiny_model().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def gfpo(policy_folder, tmp_path):
    """`gfpo(group_filter_func=..., trainer=..., config=..., **args)` builds a trainer, see `build_trainer`."""

    def build(**keywords):
        return build_trainer(policy_folder, keywords.pop("output_dir", tmp_path / "run"), **keywords)

    return build
