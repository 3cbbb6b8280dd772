"""Every gallery script runs alone, in an empty folder, in a fresh process."""

import ast
from pathlib import Path

import alone
import pytest

ROOT = Path(__file__).resolve().parents[1]

SCRIPTS = sorted((ROOT / "examples").rglob("plot_*.py"))
NAMES = [str(script.relative_to(ROOT / "examples")) for script in SCRIPTS]


def test_scripts_are_found():
    assert len(SCRIPTS) >= 25


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_script_runs_alone_and_leaves_nothing(script, tmp_path):
    folder, messages = tmp_path / "empty", tmp_path / "messages"
    folder.mkdir()
    assert alone.run(script, folder, messages) == 0, messages.read_text(encoding="utf-8")
    assert not list(folder.iterdir())


def test_script_that_fails_or_warns_is_noticed(tmp_path):
    script, messages = tmp_path / "script.py", tmp_path / "messages"
    script.write_text("import warnings\n\nwarnings.warn('this is said')\n")
    assert alone.run(script, tmp_path, messages) == 1
    assert "UserWarning: this is said" in messages.read_text(encoding="utf-8")


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_script_verifies_describes_and_names_its_claims(script):
    source = script.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree)), "no verify step"
    assert "describe(" in source, "no alt text"
    assert ":doc:`/solutions/" in ast.get_docstring(tree), "no link to the derivation"
    assert "``" in ast.get_docstring(tree), "names no claim"
    assert 40 <= len(source.splitlines()) <= 150
