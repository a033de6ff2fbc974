"""Bad input is refused before anything is created: exit 2, a few lines, no traceback, the nearest right name."""

import json
import sys

import pytest
from harness import expctl, run

HEAVY = ("torch", "transformers", "trl", "datasets", "wandb", "accelerate", "peft")

REFUSED = {
    "unknown option": (["algorithm=gfop"], ["no option 'gfop'", "gfpo"]),
    "unknown group": (["algoritm=gfpo"], ["algoritm", "algorithm"]),
    "unknown key of args": (["args.learning_rat=1"], ["learning_rat", "learning_rate"]),
    "unknown key of args with a plus": (["+args.num_generation=8"], ["num_generation", "num_generations"]),
    "unknown key of a group": (["hardware.num_process=2"], ["num_process", "num_processes"]),
    "unknown key of a group with a plus": (["+hardware.num_proceses=2"], ["num_proceses", "num_processes"]),
    "unknown key of the model": (["model.pth=x"], ["pth", "path"]),
    "unknown key of a dataset": (["dataset.train_sise=3"], ["train_sise", "train_size"]),
    "unknown key of an adapter": (["peft=lora", "peft.lora_alfa=3"], ["lora_alfa", "lora_alpha"]),
    "unknown root key": (["+sede=1"], ["sede", "seed"]),
    "wrong type of args": (["args.learning_rate=fast"], ["learning_rate", "float", "fast"]),
    "wrong type of the seed": (["seed=abc"], ["seed", "whole number"]),
    "several values without -m": (["seed=1,2"], ["seed=1,2", "-m"]),
    "unreadable override": (["seed=[1"], ["seed=[1"]),
    "no such verb": (["chek"], ["chek", "check"]),
    "unknown loss": (["args.loss_type=dapoo"], ["dapoo", "dapo"]),
    "batch that groups do not fill": (
        ["args.per_device_train_batch_size=10", "args.num_generations=4"],
        ["10", "/ 4", "2.50 groups", "8 or 12"],
    ),
    "evaluation batch that groups do not fill": (
        ["args.per_device_eval_batch_size=10", "args.num_generations_eval=4"],
        ["evaluation", "10", "4"],
    ),
    "more kept than sampled": (
        ["args.num_generations=8", "args.num_remains_in_group=9"],
        ["num_remains_in_group (9)", "num_generations (8)"],
    ),
    "one kept": (["args.num_remains_in_group=1"], ["num_remains_in_group (1)", "at least two"]),
    "adaptive filter beside a k": (
        ["algorithm.trainer.group_filter_func=adaptive_difficulty"],
        ["AdaptiveDifficulty decides", "=null", "set by"],
    ),
    "ratio of sequences without the trainer for it": (
        ["args.importance_sampling_level=sequence_token"],
        ["GFPOTrainer", "algorithm/ratio=sequence_token"],
    ),
    "replay over pairs": (["algorithm=dpo", "+algorithm/replay=on"], ["algorithm/replay=on", "not with dpo"]),
    "moving reference without a penalty": (
        ["+algorithm/reference=bema", "args.beta=0"],
        ["update_ref_model", "args.beta=0 (command line)"],
    ),
    "token advantages outside the allowed packages": (
        ["algorithm=gspo_token", "algorithm.trainer.token_advantages=os.system"],
        ["os.system"],
    ),
    "unknown filter": (["algorithm.trainer.group_filter_func=shortst"], ["shortst", "shortest"]),
    "target outside the allowed packages": (["+callbacks.bad._target_=os.system"], ["os.system"]),
    "target that is not there": (["args._target_=trl.GRPOConfi"], ["trl.GRPOConfi", "GRPOConfig"]),
    "escape through an allowed package": (["+callbacks.bad._target_=transformers.utils.logging.sys.exit"], ["sys"]),
    "missing file": (["dataset=files", "dataset.path=nowhere.jsonl"], ["nowhere.jsonl"]),
    "model that is nowhere": (["model.path=nobody/nothing-1b"], ["nobody/nothing-1b", "cache"]),
    "embedded model that is none": (["model.path=embedded:tyny"], ["tyny", "tiny"]),
    "GPU that is not there": (["hardware=gpu"], ["GPU"]),
    "eight GPUs that are not there": (["hardware=gpu_8"], ["GPU"]),
    "sharding without a GPU": (["hardware=gpu_8_fsdp2"], ["GPU"]),
    "fp16 on a CPU": (["hardware=cpu", "args.fp16=true", "args.bf16=false"], ["fp16"]),
    "both half precisions": (["hardware=cpu", "args.fp16=true", "args.bf16=true"], ["fp16", "bf16"]),
    "more processes than cores": (["hardware=cpu", "hardware.num_processes=4096"], ["4096", "cores"]),
    "negative seed": (["seed=-1"], ["seed"]),
    "reward weight of no reward": (["reward.weights={acuracy: 2}"], ["acuracy", "accuracy"]),
    "kind that the algorithm does not eat": (
        ["algorithm=sft", "dataset.kind=prompts"],
        ["prompt-completion", "prompt-only"],
    ),
    "tracker that does not exist": (["tracker=wandbb"], ["wandbb", "wandb"]),
    "field that expctl sets itself": (["args.output_dir=elsewhere"], ["args.output_dir", "EXPCTL_OUTPUTS"]),
    "group emptied": (["dataset=null"], ["dataset"]),
    "token in the config": (["args.hub_token=hf_abcdefgh"], ["hub_token", "secret"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_what_is_wrong_and_nothing_is_created(case, tmp_path):
    words, said = REFUSED[case]
    done = expctl(*words, cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("expctl: ")
    assert len(done.stderr.strip().splitlines()) <= 12
    for text in said:
        assert text in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column_is_named_with_the_columns_that_exist(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "1+1=", "answer": "2"}) + "\n")
    done = expctl("dataset=files", "dataset.path=rows.jsonl", cwd=tmp_path)
    assert done.returncode == 2
    assert "prompt" in done.stderr and "question" in done.stderr and "answer" in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_an_empty_dataset_is_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_text("")
    done = expctl("dataset=files", "dataset.path=rows.jsonl", cwd=tmp_path)
    assert done.returncode == 2
    assert "empty" in done.stderr


def test_a_secret_of_the_environment_never_reaches_a_file(tmp_path):
    (tmp_path / "conf" / "tracker").mkdir(parents=True)
    (tmp_path / "conf" / "tracker" / "mine.yaml").write_text(
        "report_to: wandb\nproject: ${oc.env:MY_API_KEY}\nmode: null\n"
    )
    done = expctl("tracker=mine", cwd=tmp_path, MY_API_KEY="0123456789abcdef")
    assert done.returncode == 2
    assert "secret" in done.stderr and "0123456789abcdef" not in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("words", [["--help"], ["--cfg", "job"], ["list"], ["check"], ["check", "seed=-1"]])
def test_the_parent_never_imports_what_only_workers_need(words, tmp_path):
    program = (
        "import sys\nfrom expctl.cli.main import run_words\n"
        f"code = run_words({words!r})\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = run(sys.executable, "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_option_of_every_group_composes_and_is_explained(tmp_path):
    groups = {}
    for line in run_list(tmp_path).splitlines():
        if line.startswith("  "):
            group, _, options = line.strip().partition(" ")
            groups[group] = [option.strip() for option in options.split(",") if option.strip()]
    assert {"algorithm", "model", "dataset", "reward", "hardware", "peft", "tracker", "callbacks"} <= set(groups)
    for group, options in groups.items():
        listed = json.loads(expctl("list", group, "--json", cwd=tmp_path).stdout)[group]
        assert sorted(option[group] for option in listed) == sorted(options)
        for option in listed:
            assert len(option["does"].split()) > 2, f"{group} is not explained: {option}"


def run_list(cwd) -> str:
    done = expctl("list", cwd=cwd)
    assert done.returncode == 0
    return done.stdout
