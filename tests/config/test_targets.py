"""A `_target_` is let through only where it leads to a definition in an allowed place, with keywords it takes."""

import textwrap

import pytest

from expctl.config.checks.targets import ALLOWED, check_nodes, resolve


@pytest.fixture
def folder(tmp_path):
    """A working folder with code of the user's own."""
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            """
            import functools, json, os
            from os import system as run
            from torch.optim import Adam
            from trl import GRPOTrainer
            halves = functools.partial(round, ndigits=1)
            def reward(completions, scale: float = 1.0): ...
            class Trainer(GRPOTrainer):
                def __init__(self, *args, patience: int = 3, **kwargs):
                    super().__init__(*args, **kwargs)
                @classmethod
                def build(cls, size): ...
            """
        )
    )
    (tmp_path / "code").mkdir()
    (tmp_path / "helpers" / "deep").mkdir(parents=True)
    (tmp_path / "helpers" / "__init__.py").write_text("")
    (tmp_path / "helpers" / "deep" / "inner.py").write_text("def f(): ...")
    return tmp_path


def check(node, folder=None, **options):
    return check_nodes({"root": node}, [folder] if folder else [], **options)


def only(node, folder=None, **options):
    refusals = check(node, folder, **options)
    assert len(refusals) == 1, refusals
    return refusals[0]


@pytest.mark.parametrize(
    "target",
    [
        "trl.GRPOTrainer",
        "trl.trainer.grpo_trainer.GRPOTrainer",
        "transformers.EarlyStoppingCallback",
        "transformers.AutoModelForCausalLM.from_pretrained",
        "peft.LoraConfig",
        "torch.optim.AdamW",
        "torch.optim.lr_scheduler.StepLR",
        "datasets.load_dataset",
        "datasets.Dataset.from_dict",
        "accelerate.Accelerator",
        "expctl.base.refusal.Refusal",
        "mine.reward",
        "mine.Trainer",
        "mine.Trainer.build",
        "mine.halves",
        "mine.Adam",
        "helpers.deep.inner.f",
    ],
)
def test_a_definition_in_an_allowed_place_passes(target, folder):
    assert check({"_target_": target}, folder) == []


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.run",
        "builtins.eval",
        "functools.partial",
        "pickle.loads",
        "torch.load",
        "torch.hub.load",
        "hydra.utils.get_method",
        "expctlx.thing",
        "trlx.GRPOTrainer",
        "expctl.config.checks.targets.os.system",
        "expctl.base.modules.importlib.util.find_spec",
        "transformers.utils.import_utils.importlib.import_module",
        "transformers.utils.import_utils.os.system",
        "trl.trainer.utils.os.system",
        "datasets.load.importlib.import_module",
        "datasets.utils.py_utils.copy.deepcopy",
        "torch.optim.optimizer.functools.partial",
        "torch.optim.optimizer.torch.load",
        "trl.GRPOConfig.__init__.__globals__",
        "trl.__loader__",
        "transformers.models.auto.modeling_auto.MODEL_MAPPING_NAMES",
        "accelerate.launchers.notebook_launcher",
        "accelerate.commands.launch.simple_launcher",
        "transformers.dynamic_module_utils.get_class_from_dynamic_module",
        "peft.utils.save_and_load.torch_load",
        "mine.os.system",
        "mine.run",
        "mine.json.loads",
        "trl",
        "torch.optim",
        "..",
        "",
        "os system",
        "3.x",
        None,
        5,
        ["os.system"],
    ],
)
def test_everything_else_is_refused(target, folder):
    refusal = only({"_target_": target}, folder)
    assert refusal.where == "root._target_"
    assert refusal.do


@pytest.mark.parametrize(
    "node", [[{"a": [{"_target_": "os.system"}]}], {"a": {"_target_": "mine.reward", "b": {"_target_": "os.system"}}}]
)
def test_targets_are_found_at_any_depth(node, folder):
    assert any("os.system" in refusal.what for refusal in check(node, folder))


def test_a_refusal_names_the_place_and_how_it_was_set():
    nodes = [{"_target_": "trl.GRPOTrainer"}, {"_target_": "os.system"}]
    refusal = only({"list": nodes}, where_set=lambda key: f"{key}=os.system (command line)")
    assert refusal.where == "root.list[1]._target_=os.system (command line)"


@pytest.mark.parametrize("name", ["os", "json", "torch", "trl", "datasets", "numpy", "yaml"])
@pytest.mark.parametrize("shape", ["{}.py", "{}/__init__.py"])
def test_a_file_that_hides_an_installed_module_is_refused(name, shape, tmp_path, monkeypatch):
    file = tmp_path / shape.format(name)
    file.parent.mkdir(exist_ok=True)
    file.write_text("def optim(): ...\ndef f(): ...")
    for path in ((), (str(tmp_path),)):
        monkeypatch.setattr("sys.path", [*path, *__import__("sys").path])
        assert "hides" in only({"_target_": f"{name}.f"}, tmp_path).what


def test_a_folder_of_data_named_like_a_package_hides_nothing(tmp_path):
    (tmp_path / "datasets").mkdir()
    assert check({"_target_": "datasets.load_dataset"}, tmp_path) == []


def test_code_installed_below_the_working_folder_is_not_the_users_own(tmp_path, monkeypatch):
    site = tmp_path / ".venv" / "site-packages"
    site.mkdir(parents=True)
    (site / "installed_thing.py").write_text("def f(): ...")
    monkeypatch.syspath_prepend(str(site))
    assert "outside" in only({"_target_": "installed_thing.f"}, tmp_path).what


def test_the_environment_allows_more(folder, monkeypatch):
    assert check({"_target_": "json.loads"}, folder)
    monkeypatch.setenv("EXPCTL_ALLOW", "yaml, json")
    assert check({"_target_": "json.loads"}, folder) == []
    assert check({"_target_": "yaml.safe_load"}, folder) == []
    assert check({"_target_": "json.codecs.open"}, folder)
    assert check({"_target_": "jsonx.loads"}, folder)


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("trl.GRPOTraner", "trl.GRPOTrainer"),
        ("tlr.GRPOTrainer", "trl.GRPOTrainer"),
        ("GRPOTrainer", "trl.GRPOTrainer"),
        ("torch.optim.Adamw", "torch.optim.AdamW"),
        ("trl.trainer.grpo_traner.GRPOTrainer", "trl.trainer.grpo_trainer"),
        ("transformers.EarlyStopingCallback", "transformers.EarlyStoppingCallback"),
        ("mine.rewards", "mine.reward"),
        ("mien.reward", "mine.reward"),
    ],
)
def test_a_misspelled_target_is_refused_with_the_nearest(target, meant, folder):
    assert only({"_target_": target}, folder).nearest[0] == meant


@pytest.mark.parametrize(
    ("node", "meant"),
    [
        ({"_target_": "peft.LoraConfig", "lora_alph": 3}, "lora_alpha"),
        ({"_target_": "transformers.EarlyStoppingCallback", "patience": 3}, "early_stopping_patience"),
        ({"_target_": "trl.GRPOTrainer", "reward_func": "x"}, "reward_funcs"),
        ({"_target_": "mine.Trainer", "patienc": 3}, "patience"),
        ({"_target_": "mine.Trainer", "reward_func": "x"}, "reward_funcs"),
        ({"_target_": "mine.reward", "_partail_": True}, "_partial_"),
    ],
)
def test_a_keyword_that_the_target_does_not_take_is_refused_with_the_nearest(node, meant, folder):
    assert only(node, folder).nearest[0] == meant


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "peft.LoraConfig", "r": "eight"},
        {"_target_": "peft.LoraConfig", "bias": "non"},
        {"_target_": "transformers.EarlyStoppingCallback", "early_stopping_patience": "long"},
        {"_target_": "mine.reward", "scale": [1]},
        {"_target_": "mine.reward", "_partial_": "yes"},
    ],
)
def test_a_keyword_of_the_wrong_type_is_refused(node, folder):
    assert only(node, folder).where.startswith("root.")


def test_hydra_own_keys_pass(folder):
    node = {"_target_": "mine.reward", "_partial_": True, "_convert_": "all", "_recursive_": False, "_args_": [[]]}
    assert check(node, folder) == []


def test_what_is_built_by_a_nested_target_is_not_checked_as_a_value(folder):
    assert check({"_target_": "peft.LoraConfig", "r": {"_target_": "mine.reward"}}, folder) == []


def test_a_dataset_may_carry_its_reward(folder):
    (folder / "loader.py").write_text("def load(*, kind, seed, size: int = 3): ...")
    node = {"_target_": "loader.load", "size": 4, "reward": {"right": {"_target_": "mine.reward", "_partial_": True}}}
    assert check_nodes({"dataset": node}, [folder]) == []
    assert len(check_nodes({"elsewhere": node}, [folder])) == 1


def test_keywords_of_args_are_left_to_the_field_check():
    assert check_nodes({"args": {"_target_": "trl.GRPOConfig", "no_such_field": 1}}) == []


def test_a_file_with_a_syntax_error_is_told_with_its_line(tmp_path):
    (tmp_path / "broken.py").write_text("x = 1\ndef f(:\n")
    assert "broken.py, line 2" in only({"_target_": "broken.f"}, tmp_path).what


def test_every_allowed_package_resolves_to_files_under_its_own_name():
    for prefix, name in zip(
        ALLOWED, ("base.refusal.Refusal", "GRPOConfig", "Trainer", "LoraConfig", "SGD"), strict=False
    ):
        assert resolve(f"{prefix}.{name}").module.name.startswith(prefix)
