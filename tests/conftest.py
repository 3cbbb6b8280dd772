"""What several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import matplotlib
import pytest

ROOT = Path(__file__).resolve().parents[1]

os.environ["OMP_NUM_THREADS"] = "1"  # or the threads of several workers wait for each other
matplotlib.use("Agg")
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the folder of the built site."""
    folder = ROOT / "docs" / "_build" / "html"
    assert (folder / "index.html").is_file(), "no site: run 'python -m nox -s docs' first"
    return folder
