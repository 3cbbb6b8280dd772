"""Building the site beside running its scripts, in a copy of the project: prints ratios."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}


def code_cells(notebook):
    """Write the code of a text notebook beside it as a script, and return that."""
    script = notebook.with_suffix(".py")
    cells = re.findall(r"```{code-cell}.*?\n(.*?)```", notebook.read_text(), re.DOTALL)
    script.write_text("\n".join(re.sub(r"^:.*\n", "", cell) for cell in cells))
    return script


def timed(command, cwd):
    """Run a command and return its seconds."""
    start = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=ENVIRONMENT, check=True, capture_output=True)
    return time.perf_counter() - start


@pytest.fixture(scope="module")
def times(tmp_path_factory):
    """Measure everything once, one after the other."""
    copy = tmp_path_factory.mktemp("site") / "project"
    unwanted = shutil.ignore_patterns(".git", ".nox", ".venv", "_build", "auto_examples")
    shutil.copytree(ROOT, copy, ignore=unwanted)
    scripts = sorted((copy / "examples").rglob("plot_*.py"))
    build = [
        sys.executable,
        "-m",
        "sphinx",
        "-j",
        "2",
        "-q",
        "-W",
        "-n",
        "-d",
        "trees",
        "docs",
        "site",
    ]
    notebook = code_cells(copy / "docs" / "solutions" / "5-adversarial.md")
    commands = [[sys.executable, script] for script in (notebook, *scripts)]
    found = {}
    with ThreadPoolExecutor(2) as pool:
        start = time.perf_counter()
        alone = list(pool.map(lambda command: timed(command, copy), commands))
        found["scripts and notebook, two at a time"] = time.perf_counter() - start
    slowest = sorted(zip(alone, (command[1].name for command in commands), strict=True))[-4:]
    print("\nslowest scripts:", ", ".join(f"{name} {seconds:.1f} s" for seconds, name in slowest))
    found["cold build"] = timed(build, copy)
    found["no change"] = statistics.median(timed(build, copy) for _ in range(3))

    def after_an_edit(count):
        scripts[0].write_text(f"{scripts[0].read_text()}\n# edited {count} times\n")
        return timed(build, copy)

    found["one script edited"] = statistics.median(map(after_an_edit, range(1, 4)))
    found["ledger"] = timed([sys.executable, "-m", "hw2lib.claims"], copy)
    return found


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        ("cold build", "scripts and notebook, two at a time"),
        ("no change", "cold build"),
        ("one script edited", "cold build"),
    ],
)
def test_build_ratio(times, ours, other):
    ratio = times[ours] / times[other]
    print(f"{ours} {times[ours]:.1f} s / {other} {times[other]:.1f} s = {ratio:.2f}")


def test_ledger(times):
    print(f"ledger: {times['ledger']:.1f} s")
