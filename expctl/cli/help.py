"""`expctl --help`."""

from expctl.cli.verb_help import VERB_HELP
from expctl.config.groups import group_options, groups
from expctl.report.group_lines import group_lines

TEXT = """expctl: post-training experiments from small YAML groups.

  expctl [overrides]               run one experiment (alone: GFPO, embedded model and data, no network)
  expctl -m [overrides]            run a sweep, e.g. expctl -m algorithm=grpo,gfpo seed=0,1,2
  expctl eval RUN|MODEL [overrides]  a run, a checkpoint of it or any model on held-out prompts, without training
  expctl sample RUN|MODEL [PROMPT] talk to models: samples and models side by side; JSONL in a pipe
  expctl check [-m] [overrides]    check what can be known in half a second; --full: all but the weights, built
  expctl plan [overrides]          the memory of a training on each device, by part, before anything is loaded
  expctl data [overrides]          the rows as the trainer will see them: tokens, lengths, repetitions, overlap
  expctl reward --on FILE [...]    the rewards of given completions, with what each function read of them
  expctl list [GROUP]              the options of a group, one line each
  expctl explain KEY [overrides]   which file or word set a key, over what, and what it means
  expctl ls [filters]              the runs, e.g. expctl ls algorithm=gfpo 'eval_reward>0.9' --sort=-eval_reward
  expctl compare [RUN|SWEEP ...]   seeds together: means, intervals, verdicts; as a page too: --html FILE
  expctl show [RUN]                one run: status, metrics, every value with what set it, completions, commands
  expctl resume RUN                carry a run on by its name, from any folder
  expctl rerun RUN                 do a run again from what it kept, and show what came out differently
  expctl prune [RUN ...]           free the disk of checkpoints that nobody needs; says which, and asks
  expctl stages FILE [words]       experiments one after another, each from the weights of one before it
  expctl export RUN DEST           the model as transformers, vLLM and llama.cpp load it, with a card; to the hub
  expctl sync [RUN|SWEEP ...]      upload to Weights & Biases what runs have recorded offline
  expctl new algorithm NAME        the skeleton of a method of your own: trainer, option, checks, test
  expctl verify [ALGORITHM ...]    check the algorithms, yours too, on the versions installed here
  expctl VERB --help               the options of a verb, with examples
  expctl --version                 the versions of expctl and of what it stands on

RUN is the id of a run, the beginning of one, its name=..., or the path of its folder. model=run:RUN starts from its
weights (run:RUN@best, @last, @checkpoint-N).

Examples:
  expctl algorithm=grpo args.learning_rate=1e-5
  expctl algorithm=gfpo model=smollm2_135m dataset=reasoning_gym args.max_steps=10
  expctl hardware=cpu_2
  accelerate launch --num_processes 8 -m expctl model=qwen3_0_6b dataset=gsm8k

Groups (choose with group=option; expctl list GROUP explains the options):
{groups}

Any key of the composed config can be overridden; args.* are the trainer's own fields.
  expctl --cfg job                 the composed config
  expctl --config-dir DIR ...      groups of your own, before ours (conf/ of the working folder is found by itself)
  expctl --hydra-help              Hydra's other flags: --info, --shell-completion, ...

Environment: EXPCTL_OUTPUTS (where runs go), EXPCTL_CACHE, EXPCTL_ALLOW (more packages for _target_), EXPCTL_DEBUG=1,
EXPCTL_TELEMETRY=1 (libraries may report how they are used; off otherwise).
Exit codes: 0 completed, 1 the run failed, 2 refused (nothing was created), 75 interrupted, the same command carries on.
"""


def print_help(verb: str | None = None) -> int:
    """Print the help of a verb, or of the whole command where the word is none."""
    if verb in VERB_HELP:
        print(VERB_HELP[verb], end="")
        return 0
    named = [group for group in groups() if not group.startswith("experiment/")]  # the rows of those tables
    lines = group_lines({group: group_options(group) for group in named})
    print(TEXT.format(groups="\n".join(lines)), end="")
    return 0


def print_versions() -> int:
    """Print the versions that decide what a run computes."""
    from expctl.runs.provenance import versions

    print("\n".join(f"{name:<13} {version}" for name, version in versions().items() if version))
    return 0
