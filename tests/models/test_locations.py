"""A model is found, or refused with what to do, without torch and without asking a hub that cannot answer."""

import json
import threading

import pytest

from expctl.base import hub
from expctl.models import SMOLLM2_FOLDER, resolve


@pytest.fixture(autouse=True)
def offline_with_an_own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def save_model(folder, weights: str = "model.safetensors"):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / weights).touch()
    return folder


def save_in_cache(tmp_path, repo_id: str, commit: str = "abc", branch: str = "main"):
    repository = tmp_path / "hub" / f"models--{repo_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / branch).write_text(commit)
    return save_model(repository / "snapshots" / commit)


def test_the_embedded_model_is_in_the_package():
    location = resolve("embedded:tiny")
    assert location.kind == "embedded"
    assert location.source.endswith("expctl/models/tiny")


def test_an_unknown_embedded_model_names_those_there_are():
    with pytest.raises(FileNotFoundError, match=r"only tiny\b[^.]*\.\nUse model\.path=embedded:tiny"):
        resolve("embedded:tinny")


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_is_found_absolute_relative_and_under_home(tmp_path, weights):
    folder = save_model(tmp_path / "home" / "mine", weights)
    for path in (str(folder), "home/mine", "./home/mine", "~/mine"):
        assert resolve(path).source == str(folder)
        assert resolve(path).kind == "folder"


def test_a_folder_goes_before_a_hub_id_of_the_same_name(tmp_path):
    save_in_cache(tmp_path, "org/name")
    assert resolve(str(save_model(tmp_path / "org" / "name"))) == resolve("org/name")


def test_a_downloaded_model_is_loaded_from_the_cache_by_its_branch_or_commit(tmp_path):
    main = save_in_cache(tmp_path, "org/name", "abc")
    other = save_in_cache(tmp_path, "org/name", "def", branch="v2")
    assert resolve("org/name").kind == "cache"
    assert resolve("org/name").source == str(main)
    assert resolve("org/name", revision="v2").source == resolve("org/name", revision="def").source == str(other)


def test_a_model_that_is_nowhere_is_refused_with_the_reason_the_nearest_and_what_to_run(tmp_path):
    save_in_cache(tmp_path, "Qwen/Qwen3-0.6B")
    with pytest.raises(FileNotFoundError) as refusal:
        resolve("Qwen/Qwen3-06B")
    message = str(refusal.value)
    assert "HF_HUB_OFFLINE is set" in message
    assert "Did you mean Qwen/Qwen3-0.6B" in message
    assert "hf download Qwen/Qwen3-06B" in message


def test_an_interrupted_download_does_not_count_as_a_model(tmp_path):
    snapshot = save_in_cache(tmp_path, "org/name")
    (snapshot / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    (snapshot / "model-1-of-2.safetensors").touch()
    with pytest.raises(FileNotFoundError):
        resolve("org/name")
    (snapshot / "model-2-of-2.safetensors").touch()
    assert resolve("org/name").kind == "cache"


def test_a_hub_that_can_be_asked_is_left_to_answer(monkeypatch):
    monkeypatch.setattr(hub, "offline_reason", lambda: None)
    location = resolve("org/name")
    assert (location.kind, location.source) == ("hub", "org/name")


def test_a_host_that_does_not_answer_is_given_up_in_time(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://host.invalid:9")
    released = threading.Event()

    def look_up_forever(*address, timeout):
        released.wait()
        raise OSError

    monkeypatch.setattr(hub.socket, "create_connection", look_up_forever)
    assert hub.offline_reason(timeout=0.1) == "host.invalid cannot be reached"
    released.set()


def test_a_proxy_stands_for_the_hub(monkeypatch):
    asked = []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    monkeypatch.setattr(hub, "_connects", lambda host, port, timeout: asked.append((host, port)))
    assert hub.offline_reason() == "proxy.invalid cannot be reached"
    assert asked == [("proxy.invalid", 3128)]


def test_the_smollm2_that_is_not_made_yet_names_its_script():
    with pytest.raises(FileNotFoundError, match=r"(?s)not there yet.*python scripts/make_smollm2\.py"):
        resolve(str(SMOLLM2_FOLDER))


def test_a_misspelt_folder_names_the_nearest(tmp_path):
    save_model(tmp_path / "checkpoint-100")
    with pytest.raises(FileNotFoundError, match=r"no such folder\. Did you mean .*checkpoint-100\?"):
        resolve("./checkpoint-10O")


@pytest.mark.parametrize("path", ["/no/such/folder", "a/b/c", "../up", "~/nothing"])
def test_what_can_only_be_a_folder_is_never_sought_on_the_hub(path, monkeypatch):
    monkeypatch.setattr(hub, "offline_reason", lambda: pytest.fail("asked the hub"))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        resolve(path)


def test_a_folder_without_config_points_to_the_one_inside(tmp_path):
    save_model(tmp_path / "run" / "checkpoints" / "checkpoint-3")
    with pytest.raises(ValueError, match=r"holds no config\.json.*Did you mean .*checkpoint-3\?"):
        resolve(str(tmp_path / "run"))


def test_a_folder_without_weights_an_adapter_and_a_file_are_refused_each_in_its_words(tmp_path):
    (save_model(tmp_path / "bare") / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="not all of its weights"):
        resolve("./bare")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").touch()
    with pytest.raises(ValueError, match="PEFT adapter"):
        resolve("./adapter")
    with pytest.raises(ValueError, match="is a file; give the folder"):
        resolve("./bare/config.json")


@pytest.mark.parametrize("path", ["./quantized", "./quantized/model.gguf"])
def test_gguf_weights_name_the_script_that_converts_them(tmp_path, path):
    (tmp_path / "quantized").mkdir()
    (tmp_path / "quantized" / "model.gguf").touch()
    with pytest.raises(ValueError, match=r"(?s)GGUF.*python scripts/make_smollm2\.py --source"):
        resolve(path)


def test_the_id_of_a_run_is_told_where_its_model_lies(tmp_path, monkeypatch):
    (tmp_path / "outputs" / "sft-a").mkdir(parents=True)
    (tmp_path / "outputs" / "sft-a" / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPCTL_OUTPUTS", raising=False)
    with pytest.raises(ValueError, match=r"is the id of a run\. Give model=run:sft-a in its place"):
        resolve("sft-a")
