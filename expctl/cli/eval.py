"""`expctl eval RUN|MODEL [overrides]`: evaluate a run, a checkpoint of it or any model, and train nothing."""

from pathlib import Path

from expctl.base.refusal import Refusal
from expctl.base.words import dotted_key_of
from expctl.cli.hydra_app import compose, is_multirun
from expctl.cli.named_run import as_it_was
from expctl.cli.run import main as run_words
from expctl.cli.trust import TRUST, ask_for_trust
from expctl.config.evaluated import words_of
from expctl.config.groups import group_options
from expctl.runs.handed_on import HandedOn, handed_on
from expctl.runs.seal import broken

USAGE = "expctl eval RUN|MODEL ... [-m] [--trust] [overrides]; RUN may be RUN@best, RUN@last or RUN@checkpoint-N"
# The dataset that lm-eval evaluates, with an algorithm of its own.
BENCHMARKS = "dataset=benchmarks"
MODEL_FILES = ("config.json", "adapter_config.json")
# Flags that are followed by a word of their own.
VALUED = ("--config-dir", "-cd", "--cfg", "--package")


def main(words: list[str]) -> int:
    """Evaluate what is named; the exit code is that of the run that an evaluation is.

    Raises:
        Refusal: no run, no model, or the runs were trained on other data.
    """
    return run_words(evaluation_words(words))


def evaluation_words(words: list[str]) -> list[str]:
    """The words of the experiment that `expctl eval` with these words is.

    Raises:
        Refusal: no run, no model, other data, or rewards of a run that somebody else made and that is not trusted.
    """
    named, typed = _parted([word for word in words if word != TRUST])
    keys = {dotted_key_of(word) for word in typed}
    if "algorithm" in keys:
        typed_word = next(word for word in typed if dotted_key_of(word) == "algorithm")
        raise Refusal("eval is the algorithm", where=f"{typed_word} (command line)", do="leave it out")
    if named and keys & {"model", "model.path"}:
        raise Refusal("the model is named twice", where=f"{named[0]} and model=... (command line)", do=USAGE)
    targets = [_target(word) for word in named]
    flags = [word for word in typed if word.startswith("-")]
    several = ["-m"] if len(targets) > 1 and not is_multirun(typed) else []
    return [
        *several,
        *flags,  # first: argparse takes no overrides on both sides of a flag
        *_data_words(targets, typed, trusted=TRUST in words),
        *_model_words(targets),
        *_overrides(typed),
        *_whole_file(typed),
    ]


def _parted(words: list[str]) -> tuple[list[str], list[str]]:
    """What is evaluated, and flags and overrides; the value of a flag is joined to it."""
    named, typed, left = [], [], iter(words)
    for word in left:
        if word in VALUED:
            typed.append(f"{word}={next(left, '')}")
        elif word.startswith(("-", "+", "~")) or "=" in word:
            typed.append(word)
        else:
            named.append(word)
    return named, typed


def _target(word: str) -> HandedOn | str:
    """A run's weights, or the overrides of a model, joined by a space."""
    if word in group_options("model"):
        return f"model={word}"
    folder = Path(word).expanduser()
    if any((folder / name).is_file() for name in MODEL_FILES):
        return f"model=local model.path={word}"
    try:
        return handed_on(word)
    except Refusal as refusal:
        if "/" in word and not folder.exists() and word.count("/") == 1 and not word.startswith("."):
            return f"model=local model.path={word}"  # a hub id
        do = refusal.do or "expctl ls has the runs, expctl list model the models"
        raise Refusal(refusal.what, where=refusal.where, nearest=refusal.nearest, do=do) from refusal


def is_model(word: str) -> bool:
    """Whether a word names a run or a model, and is no prompt. Raises Refusal for a state that a run does not have."""
    if any(character.isspace() for character in word):
        return False
    try:
        _target(word)
    except Refusal:
        if "@" in word:
            raise
        return False
    return True


def _data_words(targets: list[HandedOn | str], typed: list[str], *, trusted: bool) -> list[str]:
    """`algorithm=eval`, and the data, rewards and sampling of the runs, which must be the same in all."""
    if BENCHMARKS in typed:
        return ["algorithm=benchmarks"]
    runs = [target for target in targets if isinstance(target, HandedOn)]
    if not runs:
        return ["algorithm=eval"]
    overrides = _overrides(typed)
    found = [words_of(run, overrides, compose) for run in runs]
    for run, words in zip(runs, found, strict=True):
        _ask_for_trust(run, words, trusted)
    if len(targets) == 1:
        return found[0]
    shared = [[word for word in words if "random_states=" not in word] for words in found]
    for run, words in zip(runs, shared, strict=True):
        if words != shared[0]:
            other = next(iter(sorted(set(words) ^ set(shared[0]))), "")
            raise Refusal(
                f"{run.word} and {runs[0].word} were not evaluated alike, so one command cannot do both ({other})",
                where=f"{run.word} (command line)",
                do="name the data for both: dataset=... and, where they differ, seed=0; or evaluate each by itself",
            )
    return shared[0]


def _ask_for_trust(run: HandedOn, words: list[str], trusted: bool) -> None:
    """Ask where the run's own rewards or loaders would be executed: its config may be anybody's."""
    names_code = any(dotted_key_of(word).startswith("reward.") or "_target_" in word for word in words)
    if names_code and (trusted or broken(run.run) is not None):
        ask_for_trust("eval", run.run, as_it_was(run.run), trusted)


def _model_words(targets: list[HandedOn | str]) -> list[str]:
    """`model=run:RUN` or another model; of several, a choice to sweep over."""
    words = [f"model=run:{target.address}" if isinstance(target, HandedOn) else target for target in targets]
    if len(words) < 2:
        return words[0].split(" ") if words else []
    paths = [word for word in words if " " in word]
    if paths and len(paths) < len(words):
        raise Refusal(
            "folders and hub ids are one sweep, runs and the options of model another",
            where=f"{paths[0].rpartition('=')[2]} (command line)",
            do="one command for each",
        )
    if paths:
        return ["model=local", "model.path=" + ",".join(word.rpartition("=")[2] for word in paths)]
    return ["model=" + ",".join(word.removeprefix("model=") for word in words)]


def _whole_file(typed: list[str]) -> list[str]:
    """`dataset.eval_path` where a file was typed, and nothing that says which of its rows are evaluated."""
    keys = {dotted_key_of(word) for word in typed}
    paths = [word.partition("=")[2] for word in typed if dotted_key_of(word) == "dataset.path"]
    if not paths or "dataset=files" not in typed or keys & {"dataset.eval_path", "dataset.eval_size"}:
        return []
    return [f"dataset.eval_path={paths[-1]}"]


def _overrides(typed: list[str]) -> list[str]:
    return [word for word in typed if not word.startswith("-")]
