"""`expctl VERB --help`: what a verb does, its options, and commands to start from."""

RUN = "RUN is the id of a run, the beginning of one, its name=..., or the path of its folder."

VERB_HELP = {
    "check": """expctl check [-m] [--full] [overrides]

Say what would be refused, for one experiment or for every cell of a sweep. Nothing is created.

  -m        check every cell of the sweep
  --full    in a child process as well: import the libraries, build everything but the weights, and take the first
            rows through tokenizer, chat template and rewards (a run does the same before it begins)

Exit codes: 0 it can be started, 2 it cannot.

Examples:
  expctl check algorithm=gfpo args.learning_rate=3e-4
  expctl check --full algorithm=dpo peft=lora
  expctl check -m algorithm=grpo,gfpo seed=0,1
""",
    "plan": """expctl plan [overrides] [--json]

Say what a training takes of each device, by part, while it updates, samples and evaluates, and what to change where
that is too much. Nothing is loaded; neither the weights nor the devices need be here.

  --json    as JSON: training_bytes, sampling_bytes, peak_bytes, parts and more

Exit codes: 0 it fits, or nobody knows how much a device has; 2 it does not fit.

Examples:
  expctl plan
  expctl plan model=qwen3_1_7b dataset=gsm8k hardware=gpu hardware.memory_gib=80
  expctl plan algorithm=sft model=qwen3_0_6b hardware=gpu args.max_length=4096 --json
""",
    "list": """expctl list [GROUP ...] [--config-dir DIR]

Without a group, all config groups and their options; with one, a line for each option of it.

  --config-dir DIR    groups of your own, as for a run (conf/ of the working folder is found by itself)

Examples:
  expctl list
  expctl list algorithm
""",
    "explain": """expctl explain KEY [overrides]

Say which file or word sets a key of the experiment that the overrides describe, over what, and what the key means.

Examples:
  expctl explain args.learning_rate
  expctl explain args.beta algorithm=grpo
  expctl explain algorithm/replay
""",
    "ls": """expctl ls [FILTER ...] [options]

List the runs of the outputs folder, the latest first. A FILTER is key=value[,value], key<value, key>value and the like;
the keys are those of the config, of the metrics, and status, run, started.

  --sort KEY,-KEY      sort by keys, - for descending
  --columns KEY,KEY    these columns in place of the usual ones
  --limit N            so many runs at most (0: all)
  --all                also reruns and replaced runs
  --json               as JSON

Examples:
  expctl ls
  expctl ls algorithm=gfpo 'eval_reward>0.9' --sort=-eval_reward
  expctl ls status=failed --json
""",
    "show": f"""expctl show [RUN] [--json]

Show one run, without a RUN the latest: status, attempts, metrics, every value with what set it, completions with their
rewards, and the commands that carry it on or do it again. Nothing of the run is executed.

  --json    everything as JSON

{RUN}

Examples:
  expctl show
  expctl show gfpo-tiny
""",
    "compare": """expctl compare [RUN|SWEEP|PATTERN|FILTER ...] [options]

Set runs against each other: groups that differ in nothing but the seed, means with intervals, differences and verdicts.
Without a name, the runs of the last sweep.

  --baseline LABEL     the group that the others are held against (default: the first)
  --metric NAME,...    these metrics only
  --excess NAME,...    the share of the baseline's growth of a metric that each group took away
  --level 0.95         of the intervals
  --plots FOLDER       every picture as PNG and SVG
  --html FILE          one page with everything
  --json               as JSON

Examples:
  expctl compare
  expctl compare gfpo-tiny grpo-tiny --baseline algorithm=grpo
  expctl compare algorithm=gfpo,grpo 'seed<5' --html report.html
""",
    "resume": f"""expctl resume RUN [--trust]

Carry an interrupted or failed run on from its last complete checkpoint, from any folder.

  --trust    also if the run was made elsewhere: its code and checkpoints are executed

{RUN}

Examples:
  expctl resume gfpo-tiny
""",
    "rerun": f"""expctl rerun RUN [--trust]

Do a run again from what it has kept, with its code as it was then, and show what came out differently: versions,
machine, data, then every metric.

  --trust    also if the run was made elsewhere: its code is executed

{RUN}

Examples:
  expctl rerun gfpo-tiny
""",
    "sync": """expctl sync [RUN|SWEEP|FILTER ...]

Upload to Weights & Biases what runs have recorded offline (tracker=wandb); without a word, all runs of the outputs
folder. Needs WANDB_API_KEY or `wandb login`.

Examples:
  expctl sync
  expctl sync gfpo-tiny
""",
    "verify": """expctl verify [--json] [ALGORITHM ...]

Check the algorithms that expctl carries on the versions installed here: neutral settings against the parent, equations
against independent references. Without a name, all of them; about half a minute.

  --json    the verdicts as JSON

Exit codes: 0 all checks passed, 1 one did not.

Examples:
  expctl verify
  expctl verify gfpo
""",
}
