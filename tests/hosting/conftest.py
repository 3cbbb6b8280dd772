"""The small project, built once."""

import shutil
from collections.abc import Callable

import pytest
from small_project import Project, copy


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Project:
    """Return the small project with its site, in a folder with a space and an accent."""
    project = copy(tmp_path_factory.mktemp("somewhere") / "a place é")
    project.build()
    return project


@pytest.fixture
def project(built, tmp_path) -> Callable[[], Project]:
    """Return a built copy of the small project."""
    shutil.copytree(built.root, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")
