"""Secrets are known by their variables' names and stand in nothing that a run writes."""

import pytest

from expctl.base.masking import is_secret, masked, masked_bytes, secrets, shown


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "my_credential", "PROXY_AUTH"]
)
def test_a_variable_called_like_a_secret_is_one(name):
    assert is_secret(name)
    assert shown(name, "anything at all") == "***"


@pytest.mark.parametrize(
    "name", ["TOKENIZERS_PARALLELISM", "GIT_AUTHOR_NAME", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"]
)
def test_other_variables_are_none(name):
    assert not is_secret(name)
    assert shown(name, "0,1") == "0,1"


def test_credentials_inside_a_url_are_masked_and_the_rest_of_it_stands():
    assert shown("HF_ENDPOINT", "https://ann:pw@hub.example/x") == "https://***@hub.example/x"
    assert shown("WANDB_BASE_URL", "https://w.example/?a=1&api_key=abc&b=2") == "https://w.example/?a=1&api_key=***&b=2"


def test_a_secret_is_replaced_by_the_name_of_its_variable_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh12345")
    monkeypatch.setenv("OTHER_KEY", "hf_abcdefgh12345_and_more")
    assert masked("a hf_abcdefgh12345 b hf_abcdefgh12345_and_more") == "a <HF_TOKEN> b <OTHER_KEY>"
    assert masked_bytes(b"\xff hf_abcdefgh12345") == b"\xff <HF_TOKEN>"
    assert shown("HF_HOME", "/x/hf_abcdefgh12345") == "/x/<HF_TOKEN>"


def test_each_line_of_a_key_of_many_lines_is_a_secret(monkeypatch):
    monkeypatch.setenv("DEPLOY_KEY", "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA\n-----END KEY-----")
    assert "MIIEp" not in masked("+MIIEpAIBAAKCAQEA")


def test_flags_and_the_names_of_files_are_no_secrets(tmp_path):
    file = tmp_path / "credentials.json"
    file.write_text("{}")
    assert secrets({"USE_KEY": "true", "GOOGLE_APPLICATION_CREDENTIALS": str(file)}) == {}
