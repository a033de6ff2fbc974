"""The files by which a repository is known say what is so: versions, commands, links."""

import os
import re
from pathlib import Path

import pytest
import yaml

import expctl

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (REPOSITORY / page).read_text()
    targets = re.findall(r"\[[^]]*\]\((?!https:)([^)#]+)", text)
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []


@pytest.mark.parametrize("page", PAGES[:2])
def test_the_paths_that_a_page_names_exist(page):
    named = re.findall(r"`((?:expctl|conf|docs|scripts|tests|\.ci)/[\w./-]+)", (REPOSITORY / page).read_text())
    assert named
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_the_files_along_the_way_of_a_command_exist():
    text = (REPOSITORY / "docs" / "how-it-is-built.md").read_text()
    named = set(re.findall(r"`([\w-]+/[\w/-]+\.(?:py|yaml|md))`", text))
    assert len(named) > 30
    roots = (REPOSITORY / "expctl", REPOSITORY / "expctl" / "worker", REPOSITORY)
    assert sorted(name for name in named if not any((root / name).is_file() for root in roots)) == []


def test_the_scripts_are_executable():
    scripts = [REPOSITORY / ".ci" / "run", *(REPOSITORY / "scripts").glob("*.sh")]
    assert [script.name for script in scripts if not os.access(script, os.X_OK)] == []


def test_the_citation_has_the_version_of_the_package():
    assert yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())["version"] == expctl.__version__


def test_the_changelog_has_the_version_of_the_package():
    assert re.search(rf"^## {re.escape(expctl.__version__)}\b", (REPOSITORY / "CHANGELOG.md").read_text(), flags=re.M)


@pytest.mark.parametrize(
    ("workflow", "command"), [("ci.yml", ".ci/run"), ("trl-main.yml", "scripts/test.sh")], ids=["ci", "weekly"]
)
def test_a_workflow_runs_the_commands_of_the_repository(workflow, command):
    jobs = yaml.safe_load((REPOSITORY / ".github" / "workflows" / workflow).read_text())["jobs"]
    lines = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert any(command in line for line in lines)


def test_the_commit_hook_runs_the_check_of_ci():
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entry = hooks[0]["entry"].split()[0]
    assert entry in (REPOSITORY / ".ci" / "run").read_text()
