"""The small project, built once."""

import shutil
from collections.abc import Iterator

import pytest
from small_project import Project, copy


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Project:
    """Return the small project with its site, in a folder with a space and an accent."""
    project = copy(tmp_path_factory.mktemp("somewhere") / "a place é")
    project.build()
    return project


@pytest.fixture(scope="session")
def kept(built, tmp_path_factory):
    """Return a folder that holds the built project as it was."""
    folder = tmp_path_factory.mktemp("kept") / "copy"
    return shutil.copytree(built.root, folder, symlinks=True)


@pytest.fixture
def project(built, kept) -> Iterator[Project]:
    """Lend the built project to a test, which may change it.

    Not a copy in another place: there Sphinx would read every page again, whatever has changed.
    """
    yield Project(built.root)
    shutil.rmtree(built.root)
    shutil.copytree(kept, built.root, symlinks=True)
