"""A run of a method that is experimental in TRL."""

import json

from harness import expctl

GMPO = ["algorithm=grpo", "algorithm.trainer._target_=trl.experimental.gmpo.GMPOTrainer", "hardware=cpu"]
GMPO += ["args._target_=trl.experimental.gmpo.GMPOConfig"]


def test_a_run_keeps_the_notice_and_its_worker_does_not_repeat_it(tmp_path):
    words = [*GMPO, "args.max_steps=1", "args.do_eval=false", "args.per_device_train_batch_size=8"]
    words += ["args.num_generations=4", "args.max_completion_length=8", "prompts_per_step=null"]
    done = expctl(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (path for path in (tmp_path / "outputs").iterdir() if path.name.startswith("grpo-"))
    notes = json.loads((folder / "run.json").read_text())["notes"]
    assert sum("experimental in TRL" in note for note in notes) == 1
    log = (folder / "worker.log").read_text()
    assert "You are importing from 'trl.experimental'" not in log + done.stdout + done.stderr
    assert done.stderr.count("experimental in TRL") == 1
