"""docs/settings.md says what composes, and what TRL would have done."""

import re

import pytest
import yaml
from harness import REPOSITORY

from expctl.cli.hydra_app import compose
from expctl.config.check import check
from expctl.config.source.defaults import FieldValues

PAGE = (REPOSITORY / "docs" / "settings.md").read_text()
# The words of an experiment, and the table that follows.
TABLES = {
    words: [[cell.strip() for cell in line.strip("|").split("|")] for line in rows.splitlines()[2:]]
    for words, rows in re.findall(r"^`(algorithm=[^`]*)`[^|]*\n\n((?:\|.*\n)+)", PAGE, re.M)
}
ROWS = [(words, row) for words, rows in TABLES.items() for row in rows]


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    """The experiment of the words of a table, composed once."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        patch.setenv("HF_HUB_OFFLINE", "0")

        def of(words):
            if words not in made:
                made[words] = compose([*words.split(), "hardware=cpu"])
            return made[words]

        yield of


# Of the table over the other methods: algorithm, setting, ours, TRL's.
OTHERS = re.findall(r"^\| `(\w+)` \| `args\.(\w+)` \| ([^|]*) \| ([^|]*) ?\|", PAGE, re.M)


def test_the_other_methods_compose_to_what_their_table_says(composed):
    assert len(OTHERS) > 15
    for algorithm, name, ours, trl in OTHERS:
        args = composed(f"algorithm={algorithm} model=qwen3_0_6b").config["args"]
        assert FieldValues(args)[name] == number(ours.strip()), (algorithm, name)
        default = FieldValues({"_target_": args["_target_"]})[name]
        assert default == (number(trl.strip()) if trl.strip() else None), (algorithm, name)


def test_every_family_has_its_table():
    assert [words.split()[0] for words in TABLES] == [f"algorithm={name}" for name in ("gfpo", "gspo", "sft", "dpo")]
    assert len(ROWS) > 35


@pytest.mark.parametrize(("words", "row"), ROWS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_a_row_says_what_composes(words, row, composed):
    setting, ours, trl = row[0], number(row[1]), row[2]
    if setting.startswith("with "):
        assert composed(f"{words} {setting.split('`')[1]}").config["args"]["learning_rate"] == ours
        return
    config = composed(words).config
    key = setting.strip("`")
    if key == "prompts_per_step":
        assert config[key] == ours
        return
    name = key.removeprefix("args.")
    assert FieldValues(config["args"])[name] == ours
    if trl:
        default = FieldValues({"_target_": config["args"]["_target_"]})[name]
        assert default == number(trl) or str(default) == trl, default


def number(text):
    value = yaml.safe_load(text)
    return float(value) if isinstance(value, str) and re.fullmatch(r"[\d.]+e-\d+", value) else value


@pytest.mark.parametrize("words", TABLES)
def test_nothing_of_it_is_refused_but_what_is_not_here(words, composed):
    """Without the hub's model there is only that to say: no setting contradicts another."""
    refused = [str(refusal) for refusal in check(composed(words))]
    assert not [text for text in refused if "model.path=" not in text and "dataset.path=" not in text], refused
