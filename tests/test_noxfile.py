"""The sessions: locked installs, and sentences on an old Python or a full disk."""

import ast
import re
import runpy
import sys
import tomllib
from pathlib import Path
from unittest.mock import MagicMock

import pytest

NOXFILE = Path(__file__).resolve().parents[1] / "noxfile.py"


def load(monkeypatch, *version):
    """Load the sessions as a version of Python would, without nox."""
    monkeypatch.setitem(sys.modules, "nox", MagicMock())
    monkeypatch.setattr(sys, "version_info", version)
    return runpy.run_path(str(NOXFILE))


@pytest.mark.parametrize("version", [(3, 8, 18), (3, 10, 13), (3, 15, 0)])
def test_another_python_is_told_which_ones_are_needed(monkeypatch, version):
    with pytest.raises(SystemExit) as stopped:
        load(monkeypatch, *version)
    assert stopped.value.code.startswith("This project needs Python 3.11 to 3.14, and this is 3.")
    assert "python3.11 -m nox -s docs" in stopped.value.code


def test_the_needed_pythons_are_those_of_the_package_and_of_the_workflow(monkeypatch):
    project = tomllib.loads((NOXFILE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    sessions = load(monkeypatch, 3, 14, 9)
    oldest, newest = (".".join(map(str, sessions[name])) for name in ("OLDEST", "NEWEST"))
    assert project["project"]["requires-python"] == f">={oldest}"
    workflow = (NOXFILE.parent / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert set(re.findall(r'python: "([\d.]+)"', workflow)) == {oldest, newest}


def test_a_full_disk_is_noticed_before_any_work(monkeypatch):
    session = MagicMock()
    check_room = load(monkeypatch, 3, 11, 0)["check_room"]
    for free, complaints in ((10**11, 0), (10**8, 1)):
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=free: MagicMock(free=free))
        check_room(session)
        assert session.error.call_count == complaints
    assert "and 100 MB are free" in session.error.call_args.args[0]


def test_an_empty_environment_counts_as_none(monkeypatch, tmp_path):
    """Nox has made it by then; the packages are what is missing, and what takes the room."""
    sessions, session = load(monkeypatch, 3, 11, 0), MagicMock()
    monkeypatch.setitem(sessions["is_installed"].__globals__, "DOCS_ENVIRONMENT", tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: MagicMock(free=10**9))
    program = Path(sessions["program_in"](tmp_path, "python"))
    program.parent.mkdir()
    program.touch()
    sessions["check_room"](session)
    assert (
        "needs 25" in session.error.call_args.args[0]
        or "needs 26" in session.error.call_args.args[0]
    )
    Path(sessions["program_in"](tmp_path, "sphinx-build")).touch()
    sessions["check_room"](session)
    assert session.error.call_count == 1


@pytest.mark.parametrize(
    ("free", "named"), [(10**6, "is full (1 MB are free)"), (10**10, "WARNING")]
)
def test_a_build_that_filled_the_disk_says_so(monkeypatch, free, named):
    reason = load(monkeypatch, 3, 11, 0)["reason_of_failure"]
    monkeypatch.setattr("shutil.disk_usage", lambda path: MagicMock(free=free))
    assert named in reason()


def test_the_hashes_are_of_the_locked_versions(monkeypatch):
    sessions = load(monkeypatch, 3, 11, 0)
    lock, hashes = (
        (NOXFILE.parent / sessions[name]).read_text(encoding="utf-8") for name in ("LOCK", "HASHES")
    )
    pinned = re.compile(r"^[\w.-]+==[^\s;\\]+(?: ; [^\\\n]+\b|)", re.MULTILINE)
    locked = {line.strip() for line in pinned.findall(lock)}
    hashed = {line.strip() for line in pinned.findall(hashes)}
    assert {line.split("==")[0] for line in locked - hashed} == {"torch"}
    assert hashed < locked
    for block in re.split(r"\n(?=\w)", hashes)[1:]:
        assert "--hash=sha256:" in block, block


def test_what_has_hashes_is_installed_by_them(monkeypatch):
    session, sessions = MagicMock(), load(monkeypatch, 3, 11, 0)
    sessions["install"](session)
    _, by_hash, by_version = (call.args for call in session.install.call_args_list)
    assert by_hash[:2] == ("-c", "requirements.hashes")
    assert not {"torch", "-e"} & {re.split("[><=]", word)[0] for word in by_hash}
    assert by_version == ("-c", "requirements.lock", "-e", ".[examples]")


def test_an_older_python_can_read_the_sessions():
    tree = ast.parse(NOXFILE.read_text(encoding="utf-8"), feature_version=(3, 8))
    sessions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {"docs", "tests"} <= sessions
    with pytest.raises(SyntaxError):  # what 3.8 does not know is refused so
        ast.parse("match 1:\n    case 1:\n        pass\n", feature_version=(3, 8))


def test_book_is_of_the_state_that_was_there_when_it_began():
    sessions = ast.parse(NOXFILE.read_text(encoding="utf-8"))
    (body,) = (each.body for each in sessions.body if getattr(each, "name", "") == "pdf")
    lines = [ast.unparse(line) for line in body]
    assert lines.index("current = fingerprint()") < lines.index("STAMP.write_text(current)")
    assert not any(
        "run_beside_docs" in line for line in lines[: lines.index("current = fingerprint()")]
    )


def test_what_was_served_is_built_anew(monkeypatch, tmp_path):
    sessions = load(monkeypatch, 3, 11, 0)
    serve = ast.parse(NOXFILE.read_text(encoding="utf-8"))
    (body,) = (each.body for each in serve.body if getattr(each, "name", "") == "serve")
    lines = [ast.unparse(line) for line in body]
    dropped = next(i for i, line in enumerate(lines) if line.startswith("STAMP.unlink("))
    served = next(i for i, line in enumerate(lines) if "sphinx-autobuild" in line)
    assert dropped < served
    assert sessions["STAMP"].name == "made-from"
