"""Caches that know what they depend on, and nothing of what is no more: a build equals a clean one.

Sphinx-Gallery's cache looks at a script alone, MyST-NB's at a notebook's cells alone, Sphinx's at a
page alone. Here digests of everything else that they depend on decide whether the caches hold; of
other pages, too: a page shows their titles and their order, and numbers of what it refers to.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

ROOT = Path(__file__).resolve().parents[2]
STAMP = ".digest"
UNFINISHED = ".unfinished"
SETTINGS = ".buildinfo"
STATICS = "statics"
FEW = 5  # pages that one process has read before others have begun
READING = ("_ext", "conf.py", "references.bib", "package-lock.json")  # what any page is read with
WRITING = ("_static", "_templates", "explorables")  # and written with
# in _ext, what draws figures
DRAWING = ("gallery.py", "fonts.py", "networks.py", "kernel/startup.py")
OUTCOMES = "ledger.py"  # in _ext, what the cache of the claims' outcomes is made with


def sources(root: Path) -> list[Path]:
    """Return the files on which every cached result depends."""
    kinds = (".py", ".mplstyle", ".npz")
    library = [path for path in (root / "hw2lib").rglob("*") if path.suffix in kinds]
    return [
        *sorted(library),
        root / "requirements.lock",
        root / "docs" / "package-lock.json",  # the faces of figures
        root / "docs" / "conf.py",  # how the gallery is made
        *(root / "docs" / "_ext" / name for name in (*DRAWING, OUTCOMES)),
    ]


def below(root: Path, names: Iterable[str]) -> list[Path]:
    """Return the files of these names, and those in folders of these names."""
    found = [path for name in names for path in (root / name, *(root / name).rglob("*"))]
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def digest(paths: Iterable[Path], root: Path) -> str:
    """Return a digest of the names and contents of some files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.relative_to(root).as_posix().encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def drop_stale_gallery(gallery: Path, current: str) -> bool:
    """Make Sphinx-Gallery run every script again if the digest has changed; say whether it has.

    The stamp is written last: an interruption before it drops the cache once more, one after it
    keeps what the next scripts have done.
    """
    stamp = gallery / STAMP
    if stamp.is_file() and stamp.read_text() == current:
        return False
    for checksum in gallery.rglob("*.md5"):
        checksum.unlink()
    gallery.mkdir(parents=True, exist_ok=True)
    temporary = stamp.with_suffix(".part")
    temporary.write_text(current)
    os.replace(temporary, stamp)
    return True


def drop_orphans(gallery: Path, examples: Path) -> None:
    """Remove from the gallery what scripts have left that are no more."""
    for page in list(gallery.glob("*/plot_*.rst")):
        if not (examples / page.relative_to(gallery).with_suffix(".py")).is_file():
            own = re.compile(rf"sphx_glr_{re.escape(page.stem)}_(\d+(_dark)?|thumb)\.\w+")
            pictures = [
                each for each in page.parent.rglob("sphx_glr_*") if own.fullmatch(each.name)
            ]
            for made in [*page.parent.glob(f"{page.stem}.*"), *pictures]:
                made.unlink()
    for folder in [each for each in gallery.glob("*") if (each / "index.rst").is_file()]:
        if not (examples / folder.name).is_dir():
            shutil.rmtree(folder)


def drop_others(kept: Path, pattern: str) -> None:
    """Remove the caches of other states beside the one that is kept."""
    for other in kept.parent.glob(pattern):
        if other != kept:
            shutil.rmtree(other) if other.is_dir() else other.unlink()


def stale_scripts(examples: Path, gallery: Path) -> list[Path]:
    """Return the scripts that Sphinx-Gallery will run: those whose checksum it does not have."""

    def is_stale(script: Path) -> bool:
        checksum = gallery / script.relative_to(examples).with_suffix(".py.md5")
        current = hashlib.md5(script.read_text("utf-8").encode(), usedforsecurity=False).hexdigest()
        return not checksum.is_file() or checksum.read_text() != current

    return [script for script in sorted(examples.rglob("plot_*.py")) if is_stale(script)]


def drop_unfinished_environment(doctrees: Path) -> None:
    """Make Sphinx read every page again if the last build failed or was interrupted.

    Sphinx would take the pages that it has read from its cache, and say nothing of their warnings.
    """
    if (doctrees / UNFINISHED).is_file():
        (doctrees / "environment.pickle").unlink(missing_ok=True)
    doctrees.mkdir(parents=True, exist_ok=True)
    (doctrees / UNFINISHED).touch()


def drop_stale_statics(site: Path, stamp: Path, current: str) -> None:
    """Remove the site's static files if what they are made of has changed.

    Sphinx writes all of them then, with every page, but removes none that is no more.
    """
    if not stamp.is_file() or stamp.read_text() != current:
        shutil.rmtree(site / "_static", ignore_errors=True)


def state_of_statics(config: Config) -> str:
    """Return the digests of all that static files are made of."""
    return f"{config.hw2lib_digest} {config.hw2lib_reading} {config.hw2lib_writing}"


def finish(app: Sphinx, error: Exception | None) -> None:
    """Remember that this build ended well."""
    if error is None and not app._warncount:
        (Path(app.doctreedir) / STATICS).write_text(state_of_statics(app.config))
        (Path(app.doctreedir) / UNFINISHED).unlink(missing_ok=True)


def prepare(app: Sphinx, config: Config) -> None:
    """Drop what is stale before anything runs, and read every page again (a config value)."""
    current = digest(sources(ROOT), ROOT)
    config.hw2lib_digest = current
    config.nb_execution_cache_path = str(Path(app.doctreedir).parent / "jupyter_cache" / current)
    config.hw2lib_reading = digest(below(ROOT / "docs", READING), ROOT)
    config.hw2lib_writing = digest(below(ROOT / "docs", WRITING), ROOT)
    drop_others(Path(config.nb_execution_cache_path), "*")
    drop_others(Path(app.doctreedir) / f"claims-{current}.json", "claims-*")
    drop_stale_gallery(Path(app.srcdir) / "auto_examples", current)
    stamp = Path(app.doctreedir) / STATICS
    drop_stale_statics(Path(app.outdir), stamp, state_of_statics(config))
    drop_orphans(Path(app.srcdir) / "auto_examples", ROOT / "examples")
    drop_unfinished_environment(Path(app.doctreedir))


def read_here_if_few(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Read and write few pages in this process: dividing them would take longer."""
    if len(pages) < FEW:
        app.parallel = 1


def seen_elsewhere(env: BuildEnvironment) -> str:
    """Return a digest of what pages show of others: titles, order, labels, objects, numbers."""
    objects = (found for domain in env.domains.values() for found in domain.get_objects())
    citations = getattr(env.domains.get("cite"), "citations", ())
    seen = (
        sorted(env.toctree_includes.items()),
        sorted(map(repr, objects)),
        sorted(env.domains.math_domain.equations.items()),
        sorted((each.key, each.formatted_entry.label, each.citation_id) for each in citations),
    )
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def write_all_if_seen_elsewhere(app: Sphinx, env: BuildEnvironment, *, jobs: int) -> set[str]:
    """Have every page written, by as many processes as at first, if that digest has changed."""
    before, env.hw2lib_seen = getattr(env, "hw2lib_seen", None), seen_elsewhere(env)
    if env.hw2lib_seen == before:
        return set()
    app.parallel = jobs
    return env.found_docs


def take_settings(app: Sphinx) -> None:
    """Give Sphinx its digest of the last build's settings: it looks whether they have changed."""
    if (kept := Path(app.doctreedir) / "buildinfo").is_file():
        shutil.copy2(kept, Path(app.outdir) / SETTINGS)


def keep_settings(app: Sphinx, error: Exception | None) -> None:
    """Keep that digest out of the site: paths of this machine are in it."""
    if error is None and (written := Path(app.outdir) / SETTINGS).is_file():
        os.replace(written, Path(app.doctreedir) / "buildinfo")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the digest."""
    app.add_config_value("hw2lib_digest", "", "env", str)
    app.add_config_value("hw2lib_reading", "", "env", str)
    app.add_config_value("hw2lib_writing", "", "html", str)
    app.connect("config-inited", prepare, priority=100)
    app.connect("builder-inited", take_settings)
    app.connect("build-finished", keep_settings, priority=100)
    app.connect("build-finished", finish, priority=900)
    app.connect("env-before-read-docs", read_here_if_few, priority=900)
    app.connect("env-get-updated", partial(write_all_if_seen_elsewhere, jobs=app.parallel))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
