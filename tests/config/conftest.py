"""Experiments of every algorithm, and what is refused once their config was changed."""

import copy
from dataclasses import replace

import pytest

from expctl.cli.hydra_app import compose
from expctl.config.check import check

BASES = {
    "gfpo": ["algorithm=gfpo"],
    "grpo": ["algorithm=grpo"],
    "gspo": ["algorithm=gspo"],
    "gspo_token": ["algorithm=gspo_token"],
    "replay": ["algorithm=grpo_replay"],
    "dpo": ["algorithm=dpo"],
    "dpo_bema": ["algorithm=dpo_bema"],
    "eval": ["algorithm=eval"],
    "moving": ["algorithm=grpo", "algorithm/reference=bema"],
    "together": [
        "algorithm=gfpo",
        "+algorithm/ratio=sequence_token",
        "algorithm/replay=on",
        "algorithm/reference=bema",
    ],
}
# The value of a key that is to be taken out of the config.
GONE = "~"


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    """`composed(base)`: the experiment that the words of a base compose to, composed once."""
    experiments = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        for base, words in BASES.items():
            experiments[base] = compose([*words, "hardware=cpu"])
        yield experiments.__getitem__


@pytest.fixture
def refused(composed):
    """`refused(base, changes, **fields)`: what `check` refuses once dotted keys of the config were changed."""

    def refuse(base, changes=(), **fields):
        experiment = composed(base)
        config, sources = copy.deepcopy(experiment.config), dict(experiment.sources)
        for key, value in dict(changes).items():
            *path, last = key.split(".")
            node = config
            for name in path:
                node = node[name]
            node.pop(last) if value == GONE else node.update({last: value})
            sources[key] = f"{key}={value} (command line)"
        return check(replace(experiment, **{"config": config, "sources": sources} | fields))

    return refuse


@pytest.fixture
def refused_by_name(refused):
    """`refused_by_name(base, changes, said, blamed, helps)`: one refusal says so, blames the key, and helps."""

    def assert_refused(base, changes, said, blamed, helps):
        found = refused(base, changes)
        assert len(found) == 1, [str(refusal) for refusal in found]
        (refusal,) = found
        assert said in refusal.what
        assert refusal.where.startswith(blamed)
        assert any(helps in text for text in (refusal.do, *refusal.nearest))

    return assert_refused
