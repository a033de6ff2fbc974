"""Nothing leaves the machine unless somebody says so: no name is looked up, no connection is made."""

import os
import sys
from pathlib import Path

import pytest
from harness import GFPO, SFT, expctl, only_run, run

from expctl.base.telemetry import SILENT, silence

AUDITED = Path(__file__).resolve().parents[1] / "audited"

# Nothing of the machine under the test decides whether a library connects: no mode, no CI (TRL reports nothing there),
# no mirror, no proxy (one of this machine would hide every address behind it).
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
UNSET = {name: "" for upper in PROXIES for name in (upper, upper.lower())}
UNSET |= {"CI": "", "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0", "WANDB_MODE": ""}
UNSET |= {"HF_ENDPOINT": "https://hub.invalid"}
ALLOWED = {"EXPCTL_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "0", "DO_NOT_TRACK": "0"}


@pytest.fixture
def audited(tmp_path):
    """`audited(*words) -> (result, lines)`: the command without any setting that keeps a library offline."""
    file = tmp_path / "network.txt"
    home = tmp_path / "home"
    home.mkdir()

    def audited(*words, **environment):
        paths = os.pathsep.join(filter(None, [str(AUDITED), os.environ.get("PYTHONPATH", "")]))
        environment = {**UNSET, "PYTHONPATH": paths, "NETWORK_AUDIT": str(file), "HOME": str(home), **environment}
        done = expctl(*words, cwd=tmp_path, forked=False, **environment)
        return done, file.read_text().splitlines() if file.exists() else []

    return audited


@pytest.mark.parametrize(
    "words",
    [[*GFPO, "tracker=tensorboard"], [*SFT, "tracker=wandb"]],
    ids=["tensorboard", "wandb without a key"],
)
def test_a_training_looks_up_no_name_and_connects_to_nothing(words, audited, tmp_path):
    done, lines = audited(*words)
    assert done.returncode == 0, done.stderr
    assert lines == []
    assert (only_run(tmp_path) / "summary.json").exists()


def test_the_audit_sees_what_trl_reports_where_that_is_allowed(audited):
    # TRL reports from a thread, which a short training may end before: the process waits for it.
    done, lines = audited(*SFT, **ALLOWED, NETWORK_AUDIT_WAITS="1")
    assert done.returncode == 0, done.stderr
    assert any("getaddrinfo" in line and "hub.invalid" in line for line in lines)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["list"],
        ["ls"],
        ["check"],
        ["check", "dataset=gsm8k", "model=qwen3_0_6b"],
        ["check", "--full", "algorithm=sft"],
        ["explain", "seed"],
        ["show"],
        ["compare"],
        ["sync"],
        ["resume", "x"],
        ["rerun", "x"],
        ["verify", "--json", "nothing"],
        ["check", "-m", "seed=0,1"],
    ],
    ids=" ".join,
)
def test_a_verb_looks_up_no_name(words, audited):
    # What names a model or data of the hub is asked for there, which is what it says; offline it is not.
    hub = {"HF_HUB_OFFLINE": "1"} if "model=qwen3_0_6b" in words else {}
    done, lines = audited(*words, **hub)
    assert done.returncode in (0, 2), done.stderr
    assert lines == []


def test_what_somebody_has_set_is_left_alone():
    environment = {"HF_HUB_DISABLE_TELEMETRY": "0", "WANDB_ERROR_REPORTING": "true"}
    silence(environment)
    assert environment == SILENT | {"HF_HUB_DISABLE_TELEMETRY": "0", "WANDB_ERROR_REPORTING": "true"}
    allowed = {"EXPCTL_TELEMETRY": "1"}
    silence(allowed)
    assert allowed == {"EXPCTL_TELEMETRY": "1"}


CHILD = """
import os
from huggingface_hub import constants
print(constants.HF_HUB_DISABLE_TELEMETRY, os.environ["DO_NOT_TRACK"])
"""


def test_what_is_started_from_a_worker_is_told(tmp_path):
    parts = {"algorithm": {"trainer": {"_target_": "x.y"}}, "args": {"_target_": "x.y"}}
    code = f"from expctl.worker.libraries import import_libraries\nimport_libraries({parts})\n{CHILD}"
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert done.stdout.split() == ["True", "1"], done.stderr
