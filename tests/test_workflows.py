"""The workflows: what they use is pinned, and the site can be published more than once."""

import re
from pathlib import Path

import pytest
import yaml

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


def test_site_is_published_over_the_one_before():
    """A branch of one commit is replaced: pushed without force, the second is refused."""
    (workflow,) = (path for path in WORKFLOWS if path.stem == "site")
    (publish,) = (step["with"] for step in steps(workflow) if step.get("name") == "Publish")
    assert publish["single-commit"]
    assert publish.get("force", True)
    assert publish["clean-exclude"] == "pr-preview"  # those of open pull requests stay
