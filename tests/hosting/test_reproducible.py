"""The same sources give the same bytes: in another folder, language, number of processes, later.

On another processor, too, but for what shows networks that were trained there, and one figure that
shows chaos.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import book
import course
import pytest
import small_project
from small_project import different

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "_build" / "html"
ELSEWHERE = {
    "TZ": "Pacific/Auckland",
    "LC_ALL": "C",
    "LANG": "fr_FR.UTF-8",
    "PYTHONHASHSEED": "4321",
}
OLD_PROCESSOR = {  # x86-64 as of 2009: other kernels, other sums, another rounding
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
}
SCRIPTS = "|".join(path.stem for path in (ROOT / "examples" / "5-adversarial").glob("plot_*.py"))
MAY_DIFFER = re.compile(
    rf".*(5-adversarial|5-beyond|{SCRIPTS}).*|searchindex\.js|auto_examples/index\.html"
    r"|.*plot_06_nonlinearities_(001(_dark)?|thumb)\.svg"  # chaotic orbits differ after some steps
)
HOSTED = {
    "REPOSITORY_URL": "https://github.com/someone/homework",
    "SITE_URL": "https://someone.github.io/homework/",
}


def test_small_site_is_the_same_elsewhere_with_its_zips(tmp_path):
    first, second = (
        small_project.copy(tmp_path / "first"),
        small_project.copy(tmp_path / "second place é"),
    )
    first.build(**HOSTED)
    second.build(jobs=1, **HOSTED, **ELSEWHERE)
    one, other = first.files(), second.files()
    assert f"{course.FILE}.zip" in one
    assert any(name.endswith("auto_examples_jupyter.zip") for name in one)
    assert different(one, other) == []


@pytest.fixture
def whole(tmp_path) -> small_project.Project:
    """Return the project, not yet built, in a folder with a space and an accent."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    root = tmp_path / "another place é"
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    (root / "docs" / "node_modules").symlink_to(ROOT / "docs" / "node_modules")
    if book.MADE.is_dir():
        shutil.copytree(book.MADE, root / book.MADE.relative_to(ROOT))
    return small_project.Project(root)


def test_whole_site_is_the_same_elsewhere(whole):
    whole.build(**ELSEWHERE)
    assert different(small_project.Project(ROOT).files(), whole.files()) == []


def test_only_trained_networks_and_chaos_differ_on_another_processor(whole):
    whole.build(**OLD_PROCESSOR)
    changed = different(small_project.Project(ROOT).files(), whole.files())
    assert "solutions/5-adversarial.html" in changed, "the settings change nothing here"
    assert [name for name in changed if not MAY_DIFFER.fullmatch(name)] == []


def set_book(root, **environment):
    """Set the book of a project's site and return it."""
    made = root / book.TARGET.relative_to(ROOT)
    if not made.is_file():
        command = [sys.executable, str(root / "docs" / "book" / "book.py")]
        subprocess.run(command, env=os.environ | environment, check=True)
    return made.read_bytes()


def test_book_is_the_same_elsewhere(tmp_path):
    root = tmp_path / "another place é"
    for folder in ("docs/book", "docs/_ext", "docs/_build/html"):
        shutil.copytree(ROOT / folder, root / folder)
    (root / "docs" / "node_modules").symlink_to(ROOT / "docs" / "node_modules")
    assert set_book(ROOT) == set_book(root, **ELSEWHERE)


NOTEBOOKS = sorted(SITE.rglob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_notebook_runs_alone_in_an_empty_folder(notebook, tmp_path):
    copy = tmp_path / notebook.name
    shutil.copy(notebook, copy)
    process = subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", str(copy)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert [path.name for path in tmp_path.iterdir()] == [notebook.name]
