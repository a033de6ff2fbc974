"""What differs between configs is found, and nothing else makes a group."""

from synthetic import GFPO, run, two_algorithms

from expctl.compare.groups import group_runs, varied
from expctl.compare.runs import read


def labels(*folders):
    return {one.label: one.group.seeds for one in group_runs([read(folder) for folder in folders])[0]}


def test_seeds_and_what_follows_them_are_one_group(tmp_path):
    follow = [{"dataset.seed": seed, "args.run_name": f"grpo-s{seed}", "model.cache": f"x/{seed}/y"} for seed in (0, 1)]
    folders = [run(tmp_path, seed, config=follow[seed]) for seed in (0, 1)]
    assert labels(*folders) == {"all runs": [0, 1]}


def test_a_seed_of_a_part_that_other_runs_do_not_have_makes_no_group_of_each_seed(tmp_path):
    part = "callbacks.completions.dataset"
    folders = [run(tmp_path, seed, config={"args.beta": 0.1}) for seed in range(3)]
    folders += [run(tmp_path, seed, config={f"{part}.seed": seed, f"{part}.kind": "prompt-only"}) for seed in range(3)]
    assert list(labels(*folders).values()) == [[0, 1, 2], [0, 1, 2]]


def test_a_text_that_only_happens_to_hold_the_seed_is_a_setting(tmp_path):
    folders = [run(tmp_path, seed, config={"model.path": path}) for seed in (0, 1) for path in ("m0", "m1")]
    assert labels(*folders) == {"model.path=m0": [0, 1], "model.path=m1": [0, 1]}


def test_an_option_stands_for_all_that_its_file_sets(tmp_path):
    assert labels(*two_algorithms(tmp_path, [0.1, 0.2], [0.3])) == {"algorithm=grpo": [0, 1], "algorithm=gfpo": [0]}


def test_a_setting_that_was_typed_besides_an_option_is_not_hidden_by_it(tmp_path):
    first = run(tmp_path, 0, typed=("algorithm=grpo",))
    other = run(
        tmp_path,
        0,
        config=GFPO | {"args.learning_rate": 1e-4},
        choices={"algorithm": "gfpo"},
        typed=("algorithm=gfpo", "args.learning_rate=1e-4"),
    )
    assert list(labels(first, other)) == [
        "algorithm=grpo learning_rate=0.001",
        "algorithm=gfpo learning_rate=0.0001",
    ]


def test_a_file_of_the_config_that_was_edited_between_two_runs_makes_two_groups(tmp_path):
    folders = [run(tmp_path, 0, config={"args.beta": beta}) for beta in (0.0, 0.1)]
    assert list(labels(*folders)) == ["beta=0", "beta=0.1"]


def test_two_options_that_compose_the_same_experiment_are_no_difference(tmp_path):
    folders = [run(tmp_path, seed, choices={"reward": name}) for seed, name in enumerate(("default", "accuracy"))]
    assert labels(*folders) == {"all runs": [0, 1]}


def test_an_option_that_unsets_what_another_fills_is_named_once(tmp_path):
    lora = {"peft": {"_target_": "peft.LoraConfig", "r": 8}}
    first = run(tmp_path, 0, choices={"peft": "none"}, typed=("peft=none",))
    assert list(labels(first, run(tmp_path, 0, config=lora, choices={"peft": "lora"}, typed=("peft=lora",)))) == [
        "peft=none",
        "peft=lora",
    ]


def test_what_cannot_change_a_result_makes_no_group(tmp_path):
    other = {"tracker.report_to": "wandb", "name": "mine", "args.save_steps": 7, "args.logging_steps": 3}
    assert labels(run(tmp_path, 0), run(tmp_path, 1, config=other)) == {"all runs": [0, 1]}


def test_a_machine_is_a_circumstance_unless_it_was_chosen(tmp_path):
    gpu = {"hardware.bf16": True, "args.bf16": True, "hardware.threads": 8}
    assert labels(run(tmp_path, 0), run(tmp_path, 1, config=gpu)) == {"all runs": [0, 1]}
    chosen = [
        run(tmp_path, 0, choices={"hardware": "cpu"}),
        run(tmp_path, 0, config=gpu, choices={"hardware": "gpu"}),
    ]
    assert list(labels(*chosen)) == ["hardware=cpu", "hardware=gpu"]


def test_a_step_of_as_many_prompts_is_the_same_however_the_machine_cuts_it(tmp_path):
    cuts = {1: {"args.gradient_accumulation_steps": 8}, 2: {"args.gradient_accumulation_steps": 4}}
    for processes, cut in cuts.items():
        cut |= {"hardware.num_processes": processes, "prompts_per_step": 32}
    assert labels(*(run(tmp_path, seed, config=cut) for seed, cut in cuts.items())) == {"all runs": [1, 2]}
    typed = [
        run(
            tmp_path,
            0,
            config=cut,
            typed=[f"args.gradient_accumulation_steps={cut['args.gradient_accumulation_steps']}"],
        )
        for cut in cuts.values()
    ]
    assert list(labels(*typed)) == ["gradient_accumulation_steps=8", "gradient_accumulation_steps=4"]


def test_code_and_data_of_other_content_make_another_group(tmp_path):
    folders = [run(tmp_path, 0, sources={"my_rewards.py": digest}) for digest in ("a" * 64, "b" * 64)]
    assert list(labels(*folders)) == ["file my_rewards.py=aaaaaaaa", "file my_rewards.py=bbbbbbbb"]
    older = run(tmp_path, 1)
    told = (older / "run.json").read_text().replace('"sources": {}, "inputs": {}, ', "")
    (older / "run.json").write_text(told)
    assert labels(folders[0], older) == {"all runs": [0, 1]}  # what was not recorded does not differ


def test_the_trainers_own_seed_is_the_seed_where_only_that_was_varied(tmp_path):
    folders = [run(tmp_path, 0, config={"args.seed": seed}) for seed in (3, 1, 2)]
    assert labels(*folders) == {"all runs": [1, 2, 3]}


def test_of_two_runs_with_the_same_settings_and_seed_the_later_counts_and_the_other_is_named(tmp_path):
    folders = [run(tmp_path, 0, config={"args.save_steps": steps}) for steps in (1, 2)]
    groups, warnings = group_runs([read(folder) for folder in folders])
    assert groups[0].group.runs == [folders[1].name]
    assert warnings == [f"{folders[0].name} left out: a later run has the same settings and seed"]


def test_a_grid_is_told_by_its_keys_and_values(tmp_path):
    folders = [
        run(tmp_path, seed, config={"args.learning_rate": rate, "args.beta": beta}, typed=(f"args.beta={beta}",))
        for rate in (1e-3, 1e-4)
        for beta in (0.0, 0.1)
        for seed in (0, 1)
    ]
    groups, _ = group_runs([read(folder) for folder in folders])
    assert varied(groups) == {"args.beta": [0.0, 0.1], "args.learning_rate": [1e-3, 1e-4]}
    assert [one.group.seeds for one in groups] == [[0, 1]] * 4 and len({one.label for one in groups}) == 4


def test_a_group_that_lacks_what_the_other_has_is_named_by_it(tmp_path):
    folders = [
        run(tmp_path, 0),
        run(tmp_path, 1, config={"callbacks.bema.every": 4}, typed=("callbacks.bema.every=4",)),
    ]
    assert set(labels(*folders)) == {"no callbacks.bema.every", "callbacks.bema.every=4"}
