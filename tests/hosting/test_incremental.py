"""A build after a change equals a clean one, whatever has changed; one that was killed, too."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import small_project
from small_project import different

SCRIPT = "6-recurrent/plot_04_hump.py"


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def remove_script(project):
    (project.root / "examples" / small_project.SCRIPTS[0]).unlink()
    (project.root / "examples" / "2-factorization" / "GALLERY_HEADER.rst").unlink()
    (project.root / "examples" / "2-factorization").rmdir()


def rename_script(project):
    script = project.root / "examples" / SCRIPT
    script.rename(script.with_name("plot_05_hill.py"))
    replace(project.docs / "index.md", "plot_04_hump", "plot_05_hill")


def remove_page(project):
    for page in ("solutions", "ledger"):
        (project.docs / page / "4-moved.md").unlink()
    project.write_index("auto_examples/index", "references")


def rename_page(project):
    page = project.docs / "references.md"
    page.rename(page.with_name("literature.md"))
    project.write_index(*small_project.PAGES[:-1], "literature")


def change_extension(project):
    replace(project.docs / "_ext" / "katex.py", 'else "math"', 'else "maths"')


def change_style(project):
    replace(project.docs / "_static" / "site.css", "text-wrap-style: balance", "text-wrap: nowrap")


def change_script_of_the_site(project):
    with (project.docs / "_static" / "theme.js").open("a", encoding="utf-8") as script:
        script.write("\n// another line\n")


def change_template(project):
    replace(project.docs / "_templates" / "page.html", "Contents of this page", "On this page")


def change_bibliography(project):
    replace(project.docs / "references.bib", "Convex", "Concave")


def change_configuration(project):
    replace(project.docs / "conf.py", "Homework 2, solved", "Homework 2, solved again")


def change_claim(project):
    claims = project.root / "hw2lib" / "claims" / "solution_4_moved.py"
    replace(claims, 'statement="', 'statement="Indeed: ')


def change_lock(project):
    with (project.root / "requirements.lock").open("a", encoding="utf-8") as lock:
        lock.write("# another line\n")


CHANGES = (
    *(remove_script, rename_script, remove_page, rename_page, change_extension, change_style),
    *(change_script_of_the_site, change_template, change_bibliography, change_configuration),
    *(change_claim, change_lock),
)


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_build_after_a_change_equals_a_clean_one(change, project):
    before = project.files()
    change(project)
    project.build()
    after = project.files()
    assert after != before or change is change_lock
    project.build(clean=True)
    assert different(after, project.files()) == []


@pytest.mark.parametrize("seed", range(10))
def test_build_after_one_that_was_killed_equals_a_clean_one(seed, project):
    change_extension(project)
    moment = random.Random(seed).uniform(0.5, 9)
    process = subprocess.Popen(
        [sys.executable, "-m", *small_project.SPHINX],
        cwd=project.docs, env=os.environ | {"PYTHONPATH": str(project.root)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    time.sleep(moment)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    project.build()
    after = project.files()
    project.build(clean=True)
    assert different(after, project.files()) == []


def test_renamed_key_of_the_bibliography_fails_at_once(project):
    replace(project.docs / "references.bib", "boyd2004convex", "boyd")
    assert "boyd2004convex" in project.build(expect=1)


def test_caches_of_other_states_are_dropped(project):
    change_claim(project)
    project.build()
    doctrees = project.docs / "_build" / "doctrees"
    assert len([*doctrees.glob("claims-*")]) == 1
    assert len([*doctrees.glob("explorables-*")]) == 1
