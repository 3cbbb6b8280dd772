"""The workflows: what they use is pinned, and the site can be published more than once."""

import re
from pathlib import Path

import pytest
import yaml

from hw2lib import __version__

WORKFLOWS = sorted((Path(__file__).parents[1] / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def steps(workflow):
    """Return the steps of all jobs."""
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_keep_no_credentials(workflow):
    used = [line for line in workflow.read_text().splitlines() if "uses:" in line]
    assert used
    assert all(map(PINNED.search, used))
    fetching = [step for step in steps(workflow) if "checkout@" in step.get("uses", "")]
    assert fetching
    assert all(step["with"] == {"persist-credentials": False} for step in fetching)


def test_nothing_takes_the_place_of_a_waiting_publication():
    """A group keeps one waiting run; a closed pull request runs on the branch of the site, too."""
    (workflow,) = (path for path in WORKFLOWS if path.stem == "site")
    group = yaml.safe_load(workflow.read_text())["concurrency"]["group"]
    named = "${{ github.event_name != 'pull_request' && 'site' || format('preview-{0}',"
    assert group.startswith(named)


def test_one_job_at_a_time_writes_the_branch_of_the_site_and_none_is_dropped():
    (workflow,) = (path for path in WORKFLOWS if path.stem == "site")
    publish = yaml.safe_load(workflow.read_text())["jobs"]["publish"]
    assert publish["concurrency"] == {"group": "gh-pages", "queue": "max"}


def test_release_has_the_version_of_its_tag():
    (workflow,) = (path for path in WORKFLOWS if path.stem == "release")
    built, check, upload = (step["run"] for step in steps(workflow) if "run" in step)
    assert built.endswith("nox -s lint tests package")
    assert check.startswith('test -f "dist/hw2lib-${GITHUB_REF_NAME#v}-py3-none-any.whl"')
    assert upload.startswith("gh release upload")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_what_may_write_installs_and_runs_nothing_of_others(workflow):
    whole = yaml.safe_load(workflow.read_text())
    assert "write" not in whole["permissions"].values()
    for job in whole["jobs"].values():
        if "write" in job.get("permissions", {}).values():
            scripts = " ".join(step.get("run", "") for step in job["steps"])
            assert not re.search(r"\b(pip|nox|npm|python)\b", scripts)


def test_version_is_one():
    root = Path(__file__).parents[1]
    citation = yaml.safe_load((root / "CITATION.cff").read_text())["version"]
    changed = re.search(r"^## (\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert citation == changed == __version__


def test_site_is_published_over_the_one_before():
    """A branch of one commit is replaced: pushed without force, the second is refused."""
    (workflow,) = (path for path in WORKFLOWS if path.stem == "site")
    (publish,) = (step["with"] for step in steps(workflow) if step.get("name") == "Publish")
    assert publish["single-commit"]
    assert publish.get("force", True)
    assert publish["clean-exclude"] == "pr-preview"  # those of open pull requests stay
