"""Type commands that are wrong in every way that one can think of, and look whether each is answered well.

    python scripts/fuzz.py --count 1000
    python scripts/fuzz.py --count 1000 --train 100 --seed 7

`expctl check` is given overrides of real keys, mutated: other types, sizes, Unicode, interpolations, deletions,
additions, duplicates, two mutations at once. An answer is bad if it has a traceback, an exit code other than 0 and 2,
more than 20 lines, or unprintable characters, or if it created a file. With `--train`, so many of the commands that
were accepted are run for two steps; a run that fails in the worker (exit code 1) is bad. Exits with 1 if a check was
answered badly, or if more than one run in fifty failed.
"""

import argparse
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from expctl.base.words import key_of

COMMAND = str(Path(sys.executable).with_name("expctl"))
LIMIT_SECONDS, MOST_LINES = 60, 20
BASES = (
    [], ["algorithm=grpo"], ["algorithm=sft"], ["algorithm=dpo"], ["algorithm=gspo_token"], ["algorithm=grpo_replay"],
    ["algorithm=dpo_bema"], ["algorithm=sft", "peft=lora"], ["algorithm=gfpo", "reward=accuracy_short"],
    ["algorithm=sft", "callbacks=completions"], ["+algorithm/replay=on"], ["hardware=cpu"],
    ["algorithm=gfpo", "dataset=reasoning_gym"], ["algorithm=gfpo", "tracker=tensorboard"],
)  # fmt: skip
# Two steps of any of the bases; what was mutated stays as it was typed.
SMALL = {
    "args.max_steps": "2", "args.do_eval": "false", "args.per_device_train_batch_size": "16",
    "args.num_generations": "8", "args.num_remains_in_group": "4", "args.max_completion_length": "12",
    "args.steps_per_generation": "1",
}  # fmt: skip
VALUES = (
    "null", "true", "false", "0", "1", "-1", "2", "7", "1000000", "99999999999999999999", "0.5", "-0.0", "1e-5", "1e2",
    "1e400", ".inf", "-.inf", ".nan", "nan", "abc", "''", "' '", "[]", "[1,2]", "[a,[b]]", "{}", "{a: 1}",
    "{_target_: os.system}", "{_target_: expctl.nothing}", "{_target_: 3}", "${seed}", "${args}", "${nothing}",
    "${oc.env:HOME}", "${oc.env:NO_SUCH}", "${expctl.no_gpu:}", "${args.", "${.}", "???", "no", "steps", "auto", "é",
    "日本", "\u202eabc", "\x1b[31mred", "'\\n'", "a b", "a=b", "../../etc", "/dev/null", "/", ".", "~", "~user",
    "0x10", "1_000", "1e", "+1", "--", "a.b.c", "None", "True", "torch.optim.SGD", "1,2", "range(3)", "choice(1,2)",
    "x" * 3000, "9" * 400, "[" * 60 + "]" * 60, "2024-01-01", "0o17", "1:30", "!!python/object:os.system", "&a", "*a",
)  # fmt: skip
PLAUSIBLE = ("null", "true", "false", "0", "1", "2", "3", "4", "8", "16", "0.1", "0.5", "0.9", "1.0", "1e-5", "1e-3",
             "steps", "epoch", "no", "auto", "linear", "cosine", "sgd", "token", "sequence", "group")  # fmt: skip
NAMES = ("args.learning_rat", "arg.learning_rate", "args.", ".", "args..x", "ARGS.seed", "args.lerning", "hydra.x",
         "args[0]", "données", "a" * 300, "_target_", "args._target_", "args._partial_", "args._args_",
         "algorithm@x", "model/x", "dataset/files/x", "callbacks.x", "reward.functions.x", "reward.weights.x",
         "model.x.y.z", "hydra.run.dir", "hydra.mode", "hydra.searchpath", "hydra.callbacks", "hydra.launcher",
         "defaults", "args.seed.x", "seed.x", "peft.r", "tracker.report_to", "hardware.sharding")  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    words: list[str]
    code: int
    text: str

    def complaints(self) -> list[str]:
        """Why the answer to `check` is bad; empty if it is good."""
        found = []
        if "Traceback (most recent call last)" in self.text:
            found.append("traceback")
        if self.code not in (0, 2):
            found.append(f"exit code {self.code}")
        if len(self.text.splitlines()) > MOST_LINES:
            found.append(f"{len(self.text.splitlines())} lines")
        if self.code == 2 and not self.text.strip():
            found.append("no answer")
        if any(unprintable(character) for character in self.text):
            found.append("unprintable characters")
        return found


def main(arguments: list[str] | None = None, environment: dict[str, str] | None = None) -> int:
    """Draw the commands, check them all, run some of those that were accepted (in `environment`, where it is given)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="commands to check")
    parser.add_argument("--train", type=int, default=0, help="accepted commands to run for two steps")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        answers, bad = check_all(chosen.count, chosen.seed, Path(folder))
        accepted = [answer.words for answer in answers if answer.code == 0]
        print(f"{len(answers)} commands, {len(accepted)} accepted, {bad} answered badly, "
              f"{time.monotonic() - began:.0f} s")  # fmt: skip
        failed = train_all(accepted[: chosen.train], Path(folder), environment)
    return int(bad > 0 or failed * 50 > chosen.train)


def check_all(count: int, seed: int, folder: Path) -> tuple[list[Answer], int]:
    """The answers to so many drawn commands, and how many are bad; the bad ones are printed."""
    dice, answers, bad = random.Random(seed), [], 0
    keys = known_keys(folder)
    import expctl.cli.check
    import expctl.config.check
    import expctl.runs.identity  # noqa: F401 - imported once, before the forks

    for _ in range(count):
        answer = checked(drawn(dice, keys), folder)
        answers.append(answer)
        complaints = answer.complaints()
        created = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        if created:
            complaints.append(f"created {', '.join(created[:3])}")
            subprocess.run(["rm", "-rf", *map(str, folder.iterdir())], check=False)
        if complaints:
            bad += 1
            print(f"BAD ({'; '.join(complaints)}): expctl check {shlex.join(answer.words)}"[:600])
            print("    " + "\n    ".join(answer.text.splitlines()[-6:])[:1200])
    return answers, bad


def known_keys(folder: Path) -> dict[int, list[str]]:
    """Number of a base -> the dotted keys of its composed config, and fields that no file sets."""
    from expctl.base.plain_data import leaves
    from expctl.cli.hydra_app import compose
    from expctl.config.source.lookup import find
    from expctl.config.source.signature import signature

    os.chdir(folder)
    keys: dict[int, list[str]] = {}
    for number, base in enumerate(BASES):
        config = compose(base).config
        fields = signature(find(config["args"]["_target_"])).fields
        keys[number] = [key for key, _ in leaves(config)] + [f"args.{name}" for name in fields]
    return keys


def drawn(dice: random.Random, keys: dict[int, list[str]]) -> list[str]:
    """One command: a base, and one to three mutations."""
    number = dice.randrange(len(BASES))
    words = list(BASES[number])
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        words.append(mutation(dice, keys[number]))
    if dice.random() < 0.1:
        words.append(dice.choice(words))
    return words


def mutation(dice: random.Random, keys: list[str]) -> str:
    """One override: a value of another kind, a deletion, an addition, a misspelt key."""
    key, value = dice.choice(keys), dice.choice(VALUES if dice.random() < 0.5 else PLAUSIBLE)
    kind = dice.random()
    if kind < 0.70:
        return f"{key}={value}"
    if kind < 0.76:
        return f"~{key}"
    if kind < 0.82:
        return f"+{key}={value}"
    if kind < 0.86:
        return f"++{key}.below={value}"
    if kind < 0.92:
        return f"{dice.choice(('', '+', '~'))}{dice.choice(NAMES)}={value}"
    place = dice.randrange(len(key))
    return f"{key[:place]}{dice.choice(('', 'x', '.', '_', 'é', ' '))}{key[place + 1 :]}={value}"


def checked(words: list[str], folder: Path) -> Answer:
    """`expctl check` on the words, in a fork of this process: no import, no start."""
    output = Path(tempfile.gettempdir()) / f"fuzz-{os.getpid()}.txt"
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            answer = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(answer, 1)
            os.dup2(answer, 2)
            os.chdir(folder)
            signal.alarm(LIMIT_SECONDS)
            code = typed(words)
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    text = output.read_text(encoding="utf-8", errors="surrogateescape")
    output.unlink()
    return Answer(words, os.waitstatus_to_exitcode(status), text)


def typed(words: list[str]) -> int:
    """The exit code of the command, as the shell would see it."""
    from expctl.cli.main import run_words

    sys.argv = ["expctl", "check", *words]
    code = 1
    try:
        code = run_words(["check", *words])
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def train_all(commands: list[list[str]], folder: Path, environment: dict[str, str] | None = None) -> int:
    """Run commands for two steps, two at a time; how many failed in the worker."""
    places = [folder / f"run-{number}" for number in range(len(commands))]
    with ThreadPoolExecutor(max_workers=2) as pool:
        answers = list(pool.map(lambda words, place: trained(words, place, environment), commands, places))
    failed = [answer for answer in answers if answer.code not in (0, 2)]
    for answer in failed:
        print(f"FAILED ({answer.code}): expctl {shlex.join(answer.words)}"[:800])
        print("    " + "\n    ".join(answer.text.splitlines()[-8:])[:1500])
    refused = sum(answer.code == 2 for answer in answers)
    if commands:
        print(f"{len(commands)} accepted commands run for two steps: {len(failed)} failed, {refused} refused")
    return len(failed)


def trained(words: list[str], place: Path, environment: dict[str, str] | None) -> Answer:
    """What became of a command with two steps, in a folder of its own."""
    place.mkdir()
    keys = set(map(key_of, words))
    algorithm = [word for word in words if word.startswith("algorithm=")] or ["algorithm=gfpo"]
    small = [f"{key}={value}" for key, value in SMALL.items() if key not in keys and fits(key, algorithm[0])]
    command = [COMMAND, *words, *small]
    ran = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=1800)
    shutil.rmtree(place)
    return Answer([*words, *small], ran.returncode, ran.stdout + ran.stderr)


def fits(key: str, algorithm: str) -> bool:
    """Whether the algorithm's config class has the field."""
    offline = algorithm.partition("=")[2] in ("sft", "dpo", "dpo_bema")
    if key == "args.num_remains_in_group":
        return algorithm == "algorithm=gfpo"
    return not offline or key in ("args.max_steps", "args.do_eval", "args.per_device_train_batch_size")


def unprintable(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co")


if __name__ == "__main__":
    raise SystemExit(main())
