"""A user's own options, trainers, rewards and callbacks, from the working folder."""

import json

from harness import GFPO, expctl, manifest, only_run

TRAINER = '''
from trl import GRPOTrainer


class PatientTrainer(GRPOTrainer):
    """Adds a number of its own to what is logged."""

    def __init__(self, *args, patience: int = 1, **kwargs):
        super().__init__(*args, **kwargs)
        self.patience = patience

    def log(self, logs, start_time=None):
        super().log(logs | {"patience": float(self.patience)}, start_time)
'''
ALGORITHM = """# @package _global_
# Mine: GRPO with patience.
defaults:
  - grpo
  - _self_

algorithm:
  trainer:
    _target_: patient.PatientTrainer
    patience: 7
"""


def test_a_trainer_of_ones_own_is_one_file_away(tmp_path):
    (tmp_path / "patient.py").write_text(TRAINER)
    (tmp_path / "conf" / "algorithm").mkdir(parents=True)
    (tmp_path / "conf" / "algorithm" / "patient.yaml").write_text(ALGORITHM)
    words = ["algorithm=patient", *[word for word in GFPO if "remains" not in word]]
    assert "patient" in expctl("list", "algorithm", cwd=tmp_path).stdout
    done = expctl(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path)
    assert run.name.startswith("patient-")
    assert json.loads((run / "metrics.jsonl").read_text().splitlines()[0])["patience"] == 7.0
    wrong = expctl(*words, "algorithm.trainer.patiense=3", cwd=tmp_path)
    assert wrong.returncode == 2 and "patience" in wrong.stderr


def test_the_source_of_ones_own_code_is_part_of_what_a_run_is(tmp_path):
    (tmp_path / "mine.py").write_text("def reward(completions, **kwargs):\n    return [1.0] * len(completions)\n")
    words = ["check", "reward.functions.mine._target_=mine.reward"]
    first = expctl(*words, cwd=tmp_path).stdout
    (tmp_path / "mine.py").write_text("def reward(completions, **kwargs):\n    return [0.0] * len(completions)\n")
    assert expctl(*words, cwd=tmp_path).stdout != first


def test_the_content_of_a_local_data_file_is_part_of_what_a_run_is(tmp_path):
    words = ["check", "dataset=files", "dataset.path=rows.jsonl"]
    named = set()
    for answer in ("2", "3"):
        rows = [{"prompt": f"{number}+1=", "answer": answer} for number in range(40)]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = expctl(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        named.add(done.stdout)
    assert len(named) == 2


def test_an_option_of_the_users_hides_ours_of_the_same_name(tmp_path):
    (tmp_path / "conf" / "tracker").mkdir(parents=True)
    (tmp_path / "conf" / "tracker" / "local.yaml").write_text("# Mine.\nreport_to: tensorboard\n")
    assert "report_to: tensorboard" in expctl("--cfg", "job", cwd=tmp_path).stdout


def test_config_dir_adds_and_hides_options(tmp_path):
    (tmp_path / "elsewhere" / "algorithm").mkdir(parents=True)
    (tmp_path / "elsewhere" / "algorithm" / "mine.yaml").write_text(
        "# @package _global_\n# Mine.\ndefaults: [gfpo, _self_]\nargs:\n  num_remains_in_group: 3\n"
    )
    done = expctl("--config-dir", "elsewhere", "--cfg", "job", "algorithm=mine", cwd=tmp_path)
    assert "num_remains_in_group: 3" in done.stdout, done.stderr


def test_a_callback_and_a_field_that_no_file_mentions_need_no_plus(tmp_path):
    (tmp_path / "watch.py").write_text(
        "from transformers import TrainerCallback\n\n\n"
        "class Watch(TrainerCallback):\n"
        "    def __init__(self, path):\n        self.path = path\n\n"
        "    def on_train_end(self, args, state, control, **kwargs):\n"
        "        open(self.path, 'w').write(f'{state.global_step} {args.weight_decay}')\n"
    )
    words = ["algorithm=sft", "args.max_steps=2", "args.do_eval=false", "args.weight_decay=0.5"]
    done = expctl(*words, "callbacks.w._target_=watch.Watch", "callbacks.w.path=seen.txt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "seen.txt").read_text() == "2 0.5"


def test_data_of_ones_own_trains(tmp_path):
    rows = [{"question": f"{n}+{n}=", "solution": str(2 * n)} for n in range(10, 60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = expctl(
        *GFPO,
        "dataset=files",
        "dataset.path=rows.jsonl",
        "dataset.columns={prompt: question, answer: solution}",
        "args.do_eval=true",
        "args.per_device_eval_batch_size=8",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert only_run(tmp_path).name.startswith("gfpo-tiny-rows-s0-")
    assert manifest(only_run(tmp_path))["status"] == "completed"


def test_several_rewards_are_weighed_by_name(tmp_path):
    (tmp_path / "mine.py").write_text("def one(completions, **kwargs):\n    return [1.0] * len(completions)\n")
    done = expctl(
        *GFPO,
        "reward.functions.a._target_=mine.one",
        "reward.functions.b._target_=mine.one",
        "reward.weights={b: 3.0}",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    row = json.loads((only_run(tmp_path) / "metrics.jsonl").read_text().splitlines()[0])
    assert row["rewards/a/mean"] == row["rewards/b/mean"] == 1.0
    assert row["reward"] == 4.0
