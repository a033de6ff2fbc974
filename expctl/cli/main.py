"""`expctl`: pick the verb, and say what is wrong in a few lines."""

import os
import sys
from collections.abc import Callable
from importlib import import_module

from expctl.base.garbage import collect_rarely, leave_garbage
from expctl.base.printable import only_printable
from expctl.base.refusal import Refusal
from expctl.base.telemetry import silence
from expctl.cli.refuse import fail, refuse

NAMES = (
    "check compare data eval explain export list ls new plan prune rerun resume reward sample show stages sync verify"
)
# Verb -> the module that is it; without a verb, the words are Hydra's and the experiment is run.
VERBS = {verb: f"expctl.cli.{verb}" for verb in NAMES.split()}


def main() -> None:
    """The console script."""
    _insist_on_utf8()
    collect_rarely()
    silence(os.environ)  # for the libraries of every process that is started from here, too
    code = run_words(sys.argv[1:])
    leave_garbage()
    raise SystemExit(code)


def _insist_on_utf8() -> None:
    """Start anew in Python's UTF-8 mode where the locale has no other letters than ASCII's (`LC_ALL=C PYTHONUTF8=0`).

    Not every library takes a path that the locale cannot decode; a worker inherits the mode.
    """
    if sys.getfilesystemencoding() == "ascii":
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | {"PYTHONUTF8": "1"})


def run_words(words: list[str]) -> int:
    """Run one command; its exit code."""
    with only_printable():
        return _run_words(words)


def _run_words(words: list[str]) -> int:
    try:
        return _dispatch(words)
    except Refusal as refusal:
        return refuse([refusal])
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return fail(error)


def _dispatch(words: list[str]) -> int:
    """Hand the words to the verb that they begin with. A verb's module is imported only when it is asked for."""
    words = _verb_first(words)
    verb = words[0] if words and not words[0].startswith("-") and "=" not in words[0] else None
    if verb == "help" or "--help" in words or "-h" in words:
        from expctl.cli.help import print_help

        return print_help(words[1] if verb == "help" and len(words) > 1 else verb)
    if words == ["--version"]:  # Hydra would say its own
        from expctl.cli.help import print_versions

        return print_versions()
    if verb is None:
        return _run_experiment(words)
    if verb not in VERBS:
        raise _unknown_verb(verb)
    main: Callable[[list[str]], int] = import_module(VERBS[verb]).main
    return main(words[1:])


def _verb_first(words: list[str]) -> list[str]:
    """`expctl -m eval ...` as `expctl eval -m ...`; a word without `=` behind the flag is nothing else."""
    if words[:1] in (["-m"], ["--multirun"]) and len(words) > 1 and words[1] in VERBS:
        return [words[1], words[0], *words[2:]]
    return words


def _run_experiment(words: list[str]) -> int:
    if is_query(words):
        from expctl.cli.completion import suggest

        if suggest([*VERBS, "help"]):
            return 0
    from expctl.cli.run import main

    return main(words)


def is_query(words: list[str]) -> bool:
    """Whether a shell asks what could be typed: the script of `--shell-completion` does."""
    asked = any(word in ("-sc", "--shell-completion") for word in words)
    return asked and any(word.startswith("query=") for word in words)


def _unknown_verb(word: str) -> Refusal:
    from expctl.base.suggest import nearest

    return Refusal(
        f"no command '{word}'",
        where=f"{word} (command line)",
        nearest=nearest(word, VERBS),
        do="an experiment is described by overrides, group=option or key=value; see expctl --help",
    )


if __name__ == "__main__":
    main()
