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

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process would compile every source

OPTIONS = ("-j", "2", "-q", "-W", "-n", "-d", "trees")


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


def pages(copy):
    """Return the pages made of documents, and when each was written; Sphinx always writes two."""
    always = {"genindex.html", "search.html"}
    found = (path for path in (copy / "site").rglob("*.html") if path.name not in always)
    return {path: path.stat().st_mtime_ns for path in found}


def test_building_beside_running_the_scripts(tmp_path):
    copy = tmp_path / "project"
    unwanted = shutil.ignore_patterns(".git", ".nox", ".venv", "_build", "auto_examples")
    shutil.copytree(ROOT, copy, ignore=unwanted)
    scripts = sorted((copy / "examples").rglob("plot_*.py"))
    build = [sys.executable, "-m", "sphinx", *OPTIONS, "docs", "site"]
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
    built = pages(copy)
    assert len(built) > len(scripts)
    found["no change"] = statistics.median(timed(build, copy) for _ in range(3))
    assert pages(copy) == built

    def after_an_edit(count):
        scripts[0].write_text(f"{scripts[0].read_text()}\n# edited {count} times\n")
        return timed(build, copy)

    found["one script edited"] = statistics.median(map(after_an_edit, range(1, 4)))
    page = copy / "site" / "auto_examples" / scripts[0].relative_to(copy / "examples")
    assert "edited 3 times" in page.with_suffix(".html").read_text(encoding="utf-8")
    found["ledger"] = timed([sys.executable, "-m", "hw2lib.claims"], copy)
    for ours, other in (
        ("cold build", "scripts and notebook, two at a time"),
        ("no change", "cold build"),
        ("one script edited", "cold build"),
    ):
        ratio = found[ours] / found[other]
        print(f"{ours} {found[ours]:.1f} s / {other} {found[other]:.1f} s = {ratio:.2f}")
    print(f"ledger: {found['ledger']:.1f} s")
