"""`expctl VERB --help` of the verbs that take runs: to look at them, compare, carry on, hand on and delete them."""

RUN = "RUN is the id of a run, the beginning of one, its name=..., or the path of its folder."

RUN_VERB_HELP = {
    "ls": """expctl ls [FILTER ...] [options]

List the runs of the outputs folder, the latest first. A FILTER is key=value[,value], key<value, key>value and the like;
the keys are those of the config, of the metrics, and status, run, started.

  --sort KEY,-KEY      sort by keys, - for descending
  --columns KEY,KEY    these columns in place of the usual ones
  --limit N            so many runs at most (0: all)
  --all                also reruns and replaced runs
  --tree               below each run those that have started from its weights
  --json               as JSON

Examples:
  expctl ls
  expctl ls algorithm=gfpo 'eval_reward>0.9' --sort=-eval_reward
  expctl ls status=failed --json
""",
    "show": f"""expctl show [RUN] [--samples] [--json]

Show one run, without a RUN the latest: status, attempts, metrics, every value with what set it, completions with their
rewards, and the commands that carry it on or do it again. Nothing of the run is executed.

  --samples  the completions alone, whole: the same held-out prompts before, during and after the training, with what
             changed in rewards, length and words
  --json     everything as JSON; with --samples every row that was kept

{RUN}

Examples:
  expctl show
  expctl show gfpo-tiny
  expctl show gfpo-tiny --samples
""",
    "compare": """expctl compare [RUN|SWEEP|PATTERN|FILTER ...] [options]

Set runs against each other: groups that differ in nothing but the seed, means with intervals, differences and verdicts.
Without a name, the runs of the last sweep.

  --baseline LABEL     the group that the others are held against (default: the first)
  --metric NAME,...    these metrics only
  --excess NAME,...    the share of the baseline's growth of a metric that each group took away
  --at tokens=100000   as they were after so many tokens (seconds, cpu_seconds, steps), between evaluations in training
  --level 0.95         of the intervals
  --plots FOLDER       every picture as PNG and SVG
  --html FILE          one page with everything
  --latex              as a table of LaTeX (booktabs), for a paper
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
    "export": f"""expctl export RUN DEST [--dtype FORMAT] [--push ORG/NAME [--public]]
expctl export --table FILE.csv|FILE.parquet [FILTER ...] [--all]

Write the model of a completed run into the folder DEST as transformers, vLLM and llama.cpp's converter load it:
adapters merged, tokenizer with its chat template, generation config, and a card with data, method, metrics, commands
and lineage.

  --dtype FORMAT     float32, bfloat16 or float16 in place of that of the weights (of an adapter: of its base model)
  --push ORG/NAME    upload it to the hub as well, with the token of HF_TOKEN or hf auth login; private where it is new
  --public           everybody may see it there
  --table FILE       instead: a line a run with every setting, metric and seed, of the runs that match the filters of
                     expctl ls; --all: also reruns and replaced runs

{RUN} RUN@best, RUN@last and RUN@checkpoint-N are other states of it.

Examples:
  expctl export gfpo-tiny exported/model
  expctl export gfpo-tiny@best exported/best --dtype bfloat16
  expctl export --table runs.parquet algorithm=gfpo,grpo status=completed
""",
    "prune": f"""expctl prune [RUN ...] [--yes]

Delete the checkpoints that nobody needs any more, of these runs or of all in the outputs folder. Each keeps its last
one, its best one, and those that another run has started from; a run that is alive is not touched, and final models
stay. What would be deleted is said first.

  --yes    do not ask

{RUN}

Examples:
  expctl prune
  expctl prune gfpo-tiny --yes
""",
    "stages": """expctl stages FILE [--check] [WORD ...] [STAGE:WORD ...]

Run several experiments one after another, each from the weights of one before it. A line of FILE is a name and the
words of a command; `model=run:NAME` (@best, @last, @checkpoint-N) is the stage of that name, and a stage that names no
model starts from the one before it. All stages are checked before the first begins. The same command carries on where
it stopped: a completed stage is passed over, an interrupted one resumed.

  --check       only check
  WORD          holds for every stage; a model for the first
  STAGE:WORD    holds for one stage

Exit codes: 0 all completed, 1 one failed, 2 one is refused, 75 interrupted.

Examples:
  expctl stages two.yaml
  expctl stages two.yaml seed=1 dpo:args.beta=0.2
""",
    "sync": """expctl sync [RUN|SWEEP|FILTER ...]

Upload to Weights & Biases what runs have recorded offline (tracker=wandb); without a word, all runs of the outputs
folder. Needs WANDB_API_KEY or `wandb login`.

Examples:
  expctl sync
  expctl sync gfpo-tiny
""",
}
