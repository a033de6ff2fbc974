"""The wheel carries `conf/` and the embedded model; an editable install reads those of the clone."""

import sys
import zipfile

import pytest
from harness import REPOSITORY, run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    done = run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY), cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_config_file_and_the_embedded_model_and_no_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"expctl/conf/{file.relative_to(REPOSITORY / 'conf')}" for file in (REPOSITORY / "conf").rglob("*.yaml")}
    assert configs and configs <= names
    plugins = {str(file.relative_to(REPOSITORY)) for file in (REPOSITORY / "hydra_plugins/expctl").glob("*.py")}
    assert "hydra_plugins/expctl/pool.py" in plugins and plugins <= names
    assert "expctl/models/tiny/model.safetensors" in names
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "conf/"))]


def test_an_installed_wheel_runs_on_its_own_config(wheel, tmp_path):
    site = tmp_path / "site"
    done = run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    program = "from expctl.config.locate import own_conf; print(own_conf())"
    where = run(sys.executable, "-c", program, cwd=tmp_path, PYTHONPATH=str(site))
    assert where.stdout.strip() == str(site / "expctl" / "conf")
    checked = run(sys.executable, "-m", "expctl", "check", cwd=tmp_path, PYTHONPATH=str(site))
    assert checked.returncode == 0 and checked.stdout.startswith("ok "), checked.stderr
    swept = run(sys.executable, "-m", "expctl", "check", "-m", "sweep=seeds", cwd=tmp_path, PYTHONPATH=str(site))
    assert swept.returncode == 0 and swept.stdout.count("ok  ") == 5, swept.stderr
    listed = run(sys.executable, "-m", "expctl", "list", "algorithm", cwd=tmp_path, PYTHONPATH=str(site))
    assert "gfpo" in listed.stdout


def test_an_editable_install_reads_the_clone(tmp_path):
    program = "from expctl.config.locate import own_conf; print(own_conf())"
    where = run(sys.executable, "-c", program, cwd=tmp_path)
    assert where.stdout.strip() == str(REPOSITORY / "conf")
