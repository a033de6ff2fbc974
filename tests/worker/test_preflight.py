"""The full check: what the libraries refuse is refused before a run counts as begun, and named by the config's keys."""

import json
import subprocess
import sys
from functools import partial

import pytest
from harness import clean_environment, forked_workers

from expctl.cli.hydra_app import compose

# Words of a command -> what is said of it (each of the words), and the key that is to blame.
REFUSED = {
    "algorithm=sft args.optim=adamw_8bit": ("bitsandbytes", "args.optim"),
    "algorithm=grpo args.lr_scheduler_type=cosine_with_min_lr": ("min_lr", "args.lr_scheduler"),
}
ACCEPTED = ["", "algorithm=sft", "algorithm=dpo", "algorithm=grpo", "algorithm=grpo_replay", "algorithm=dpo_bema"]


def keep(configs, words, experiment):
    configs[words] = experiment.config


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What the preflight says of each command, by one process for all of them."""
    folder = tmp_path_factory.mktemp("work")
    configs = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in [*REFUSED, *ACCEPTED]:
            compose(["hardware=cpu", *words.split()], partial(keep, configs, words))
    done = subprocess.run(
        [sys.executable, "-m", "expctl.worker.preflight"], cwd=folder, env=clean_environment(**forked_workers()),
        input="".join(json.dumps(config) + "\n" for config in configs.values()), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(configs, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("words", REFUSED)
def test_what_a_library_refuses_is_named_by_the_key_that_set_it(answers, words):
    said, key = REFUSED[words]
    [wrong] = answers[words]["wrong"]
    assert said in wrong["what"] and wrong["key"].startswith(key), wrong


@pytest.mark.parametrize("words", ACCEPTED)
def test_what_is_shipped_passes(answers, words):
    assert answers[words]["wrong"] == [], answers[words]["traceback"]
