"""What begins before Sphinx does, for short builds spend most of their time on starting.

One edited script: another process imports its libraries while Sphinx starts, and then runs it. That
saves one second in six or seven. Two scripts and more Sphinx-Gallery divides itself.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import sys
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from freshness import ROOT, stale_scripts
from sphinx.application import Sphinx

from hw2lib._processes import end_with_parent

LIBRARIES = (
    *("torch", "matplotlib.pyplot", "hw2lib.figures", "hw2lib.training"),
    "sphinx_gallery.gen_rst",
)


def begin() -> None:
    """Do it; called by the configuration, at once."""
    gc.set_threshold(100_000)  # documents are large and not garbage: a tenth of the time
    atexit.register(gc.freeze)  # nor is what is left at the end: half a second
    worker()


@cache
def worker() -> Executor | None:
    """Fork a process that imports the libraries, if one script is stale and a fork is safe."""
    if sys.platform != "linux" or len(stale()) != 1:
        return None
    process = ProcessPoolExecutor(1, get_context("fork"), initializer=end_with_parent)
    process.submit(import_libraries)
    return process


def import_libraries() -> None:
    """Import what takes scripts long."""
    for name in LIBRARIES:
        importlib.import_module(name)


def stale() -> list[Path]:
    """Return the scripts that will run."""
    return stale_scripts(ROOT / "examples", ROOT / "docs" / "auto_examples")


def run_one_there(app: Sphinx) -> None:
    """Let Sphinx-Gallery run one stale script in that process, and divide more than one.

    Not earlier: Sphinx writes every page again if a setting differs from the last build's.
    """
    scripts, process = stale(), worker()
    if len(scripts) < 2:
        app.config.sphinx_gallery_conf["parallel"] = False
    if process and len(scripts) == 1:
        hand_over(scripts[0], process)
    elif process:  # something else has changed, too, so that all are stale
        process.shutdown()


def hand_over(script: Path, process: Executor) -> None:
    """Have one of the scripts that Sphinx-Gallery goes through made a page in a process."""
    from sphinx_gallery import gen_rst

    make_page = gen_rst.generate_file_rst

    def made_there(name: str, target: str, source: str, gallery_conf: dict[str, Any]) -> Any:
        if not script.samefile(Path(source, name)):
            return make_page(name, target, source, gallery_conf)
        gen_rst.generate_file_rst = make_page
        with process:  # which ends before Sphinx forks others
            return process.submit(make_page, name, target, source, gallery_conf).result()

    gen_rst.generate_file_rst = made_there


def setup(app: Sphinx) -> dict[str, bool]:
    """Hand over when the gallery begins."""
    app.connect("builder-inited", run_one_there, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
