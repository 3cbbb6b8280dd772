"""Every gallery script runs alone, in an empty folder, in a fresh process."""

import ast
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SCRIPTS = sorted((ROOT / "examples").rglob("plot_*.py"))
NAMES = [str(script.relative_to(ROOT / "examples")) for script in SCRIPTS]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run all scripts, two at a time."""

    def run(script):
        folder = tmp_path_factory.mktemp(script.stem)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        environment |= {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
        process = subprocess.run(
            [sys.executable, "-W", "error", script],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return process, list(folder.iterdir())

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(NAMES, pool.map(run, SCRIPTS), strict=True))


def test_scripts_are_found():
    assert len(SCRIPTS) >= 25


@pytest.mark.parametrize("name", NAMES)
def test_script_runs_alone_and_leaves_nothing(name, runs):
    process, left = runs[name]
    assert process.returncode == 0, process.stderr
    assert not left


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_script_verifies_describes_and_names_its_claims(script):
    source = script.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree)), "no verify step"
    assert "describe(" in source, "no alt text"
    assert ":doc:`/solutions/" in ast.get_docstring(tree), "no link to the derivation"
    assert "``" in ast.get_docstring(tree), "names no claim"
    assert 40 <= len(source.splitlines()) <= 140
