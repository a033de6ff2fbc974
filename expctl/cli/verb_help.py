"""`expctl VERB --help`: what a verb does, its options, and commands to start from."""

from expctl.cli.run_verb_help import RUN_VERB_HELP

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
    "eval": """expctl eval RUN|MODEL ... [-m] [--trust] [overrides]

Sample completions of held-out prompts and reward them; nothing is trained. What is named is a run, a checkpoint of it,
an option of the group model, a folder with a model, or a hub id; several are a sweep.

A run is evaluated on its own data, with its own rewards and sampling, unless others are typed: as it is, it gives the
figures of its own last evaluation. dataset=... brings the rewards of that dataset; of dataset.path=FILE all rows are
evaluated.

  RUN@best, RUN@last, RUN@checkpoint-N    another state of the run than its final model
  args.temperature=0                      greedy
  args.num_generations_eval=8             so many completions a prompt: pass@k, majority
  dataset.eval_size=256                   so many prompts
  -m                                      a sweep over overrides
  --trust                                 execute the rewards that a run names although somebody else made it

The result is a run of its own: skipped when it is done, listed, shown and compared as others are. Its completions.jsonl
has every completion.

Exit codes: as for a run.

Examples:
  expctl eval gfpo-tiny
  expctl eval gfpo-tiny@checkpoint-50 gfpo-tiny args.num_generations_eval=8
  expctl eval tiny dataset.eval_size=64 args.temperature=0
  expctl eval -m gfpo-tiny args.temperature=0,0.5,1
""",
    "sample": """expctl sample RUN|MODEL ... [PROMPT] [-n 4] [--held-out 3] [--json] [--trust] [overrides]

Complete a prompt with the model of a run, or any model, in its own chat template. Several models answer side by side;
rewards stand below what was said where the dataset knows the prompt or the row has what they need. Nothing is created.

  PROMPT          without one, prompts are typed line by line (Ctrl-D ends), or read from a pipe
  -n 4            so many completions of each prompt
  --held-out 3    so many of the held-out prompts, in place of a prompt
  --json          an object a prompt and model; always so from a pipe
  --trust         execute the rewards that a run names although somebody else made it

In a pipe a line is a prompt, or an object with `prompt` (text or turns) and columns for the rewards.

Examples:
  expctl sample gfpo-tiny "12+34="
  expctl sample gfpo-tiny tiny --held-out 3 -n 2
  expctl sample gfpo-tiny args.temperature=0 < prompts.txt > completions.jsonl
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
    "data": """expctl data [overrides] [--rows N] [--json] [--html FILE]

Load the data of an experiment and show them as the trainer will see them: rows with the chat template applied, special
tokens, which tokens are trained on and which are cut off; lengths in tokens; what repeats, what is both trained on and
held out, how labels are balanced, and cells that look wrong. Nothing is created.

  --rows N       rows to show (default: 3)
  --json         everything as JSON: rows, examples, lengths, limits, repeated, overlap, balance, odd
  --html FILE    one page with everything

Exit codes: 0 the data are shown, 2 the experiment cannot be started.

Examples:
  expctl data
  expctl data algorithm=sft dataset=files dataset.path=data/train.jsonl model=qwen3_0_6b --rows 10
  expctl data algorithm=dpo --html data.html
""",
    "reward": """expctl reward [overrides] --on FILE|RUN [--rows N|all] [--json]

Reward completions that are there already, with the functions, weights and gates of an experiment, and show what each
function read of them. Nothing is trained, sampled or created; of the model only the tokenizer is loaded.

  --on FILE      lines of JSON: completion (a text or a conversation), prompt, the columns that the rewards read, and
                 truncated: true for one that was cut off. Columns that are not there are those of the dataset's row
                 with the same prompt
  --on RUN       a run's samples, by its own rewards and dataset; what is typed takes the place of the run's own words
  --trust        a run that somebody else made may execute the code that it names
  --rows N|all   rows to show; 20 without it
  --json         all rows, as JSON: rewards, their weighted sum, and what was read

Exit codes: 0 rewarded, 2 a function or a column is missing, or a function fails.

Examples:
  expctl reward reward=math --on answers.jsonl
  expctl reward --on outputs/RUN --rows all
  expctl reward reward=accuracy_and_format --on RUN
  expctl reward reward.functions.mine._target_=my_rewards.short --on answers.jsonl --json
""",
    "list": """expctl list [GROUP ...] [key=value] [TEXT] [--json] [--config-dir DIR]

Without a group, all config groups and their options; with one, a line for each option of it. Of each algorithm also its
status (stable or experimental in TRL, carried by expctl, yours), the data that it takes, whether an interrupted run
resumes exactly, whether it is checked on the versions installed here, and its paper.

  key=value           only the options of which this is so: status, data, exact, checked, paper, ...
  TEXT                only the options that have the text somewhere
  --json              everything that is known, as JSON
  --config-dir DIR    groups of your own, as for a run (conf/ of the working folder is found by itself)

Examples:
  expctl list
  expctl list algorithm
  expctl list algorithm status=carried,yours
  expctl list algorithm data=preference --json
  expctl list reward length
""",
    "explain": """expctl explain KEY [overrides]

Say which file or word sets a key of the experiment that the overrides describe, over what, and what the key means.

Examples:
  expctl explain args.learning_rate
  expctl explain args.beta algorithm=grpo
  expctl explain algorithm/replay
""",
    "new": """expctl new algorithm NAME [--over PARENT]

Write the skeleton of a method of your own into the working folder: NAME.py with a trainer that overrides one method,
conf/algorithm/NAME.yaml, NAME_checks.py with the checks that `expctl verify NAME` runs, and tests/test_NAME.py. It
trains and its checks hold as it stands. Nothing is written where one of the files is there already.

  --over PARENT    the algorithm that it builds on (default: grpo)

Examples:
  expctl new algorithm clipped
  expctl new algorithm tilted --over dpo
""",
    "verify": """expctl verify [--json] [--config-dir DIR] [ALGORITHM ...]

Check the algorithms that expctl carries, and yours that have checks (NAME_checks.py beside NAME.py), on the versions
installed here: neutral settings against the parent, equations against independent references. Without a name, all of
them; about half a minute. What was found shows in `expctl list algorithm`.

  --json              the verdicts as JSON
  --config-dir DIR    config groups of your own, as for a run (conf/ of the working folder is found by itself)

Exit codes: 0 all checks passed, 1 one did not.

Examples:
  expctl verify
  expctl verify gfpo
""",
} | RUN_VERB_HELP
