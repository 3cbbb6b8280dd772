"""A build after a change equals a clean one, whatever has changed; one that was killed, too."""

import os
import random
import re
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


def change_title_of_script(project):
    replace(project.root / "examples" / SCRIPT, "first grow\n====", "grow at first\n=======")


def change_figure_of_script(project):
    replace(project.root / "examples" / SCRIPT, "lw=2.8", "lw=2.2")


def use_what_was_not_used(project):
    script = project.root / "examples" / SCRIPT
    replace(script, "peak = max(norms)", "print(callable(figures.svg_size))\npeak = max(norms)")


def change_heading(project):
    replace(project.docs / "index.md", "## A figure", "## The figure")


def number_an_equation(project):
    replace(project.docs / "index.md", "$$z = 1$$", "$$y = 2$$ (two)\n\n$$z = 1$$")


def cite_another_work(project):
    replace(project.docs / "index.md", "A first page", "A page {cite}`eckart1936approximation`")


def rename_script(project):
    script = project.root / "examples" / SCRIPT
    script.rename(script.with_name("plot_05_hill.py"))
    replace(project.docs / "index.md", "plot_04_hump", "plot_05_hill")


def remove_page(project):
    for page in ("solutions", "ledger"):
        (project.docs / page / "4-moved.md").unlink()
    project.write_index(*(page for page in small_project.PAGES if "4-moved" not in page))


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


def remove_static_file(project):
    (project.docs / "_static" / "screenshot.png").unlink()


def change_settings_of_the_gallery(project):
    replace(project.docs / "conf.py", '"show_signature": False', '"show_signature": True')


def change_template(project):
    replace(project.docs / "_templates" / "page.html", "Contents of this page", "On this page")


def change_bibliography(project):
    replace(project.docs / "references.bib", "Convex", "Concave")


def change_configuration(project):
    replace(project.docs / "conf.py", "{course.TITLE}, solved", "{course.TITLE}, solved again")


def change_claim(project):
    claims = project.root / "hw2lib" / "claims" / "solution_4_moved.py"
    replace(claims, 'statement="', 'statement="Indeed: ')


def change_lock(project):
    with (project.root / "requirements.lock").open("a", encoding="utf-8") as lock:
        lock.write("# another line\n")


CHANGES = (
    *(remove_script, rename_script, change_title_of_script, change_figure_of_script),
    *(use_what_was_not_used, change_heading, number_an_equation, cite_another_work),
    *(remove_page, rename_page, change_extension, change_style),
    *(change_script_of_the_site, change_template, change_bibliography, change_configuration),
    *(remove_static_file, change_settings_of_the_gallery, change_claim, change_lock),
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


def test_pages_that_show_an_unchanged_figure_are_left_alone(project):
    pages = [project.site / name for name in ("index.html", "auto_examples/index.html")]
    replace(project.root / "examples" / SCRIPT, "network sees growth", "network sees only growth")
    before = [page.stat().st_mtime_ns for page in pages]
    project.build()
    assert [page.stat().st_mtime_ns for page in pages] == before
    after = project.files()
    edited = (project.site / "auto_examples" / SCRIPT).with_suffix(".html")
    assert "network sees only growth" in edited.read_text(encoding="utf-8")
    project.build(clean=True)
    assert different(after, project.files()) == []


def test_build_without_a_change_writes_no_page_and_imports_little(project):
    before = {page: page.stat().st_mtime_ns for page in project.site.glob("*/**/*.html")}
    imported = project.build(PYTHONPROFILEIMPORTTIME="1")
    assert {page: page.stat().st_mtime_ns for page in project.site.glob("*/**/*.html")} == before
    assert "sphinx_gallery.gen_gallery" in imported
    assert not re.search(r"\| +(torch|matplotlib\.pyplot)\n", imported)


@pytest.mark.parametrize("seed", range(10))
def test_build_after_one_that_was_killed_equals_a_clean_one(seed, project):
    change_extension(project)
    moment = random.Random(seed).uniform(0.5, 9)
    process = subprocess.Popen(
        [sys.executable, "-m", *small_project.SPHINX, "-j", "2"],
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
