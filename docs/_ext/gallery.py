"""Figures of the gallery: a light and a dark SVG of each, and directives that show them."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from fonts import use_in_figures
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx_gallery import gen_gallery

from hw2lib._svg import svg_size

GALLERY = "auto_examples"
DARK = "_dark"
IMAGE = re.compile(r'<img (?=[^>]*src="[^"]*_images/([^"]+\.svg)")(?![^>]*width=)')


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save every open figure twice, for light and dark grounds, and return their markup.

    The figure's label (:func:`hw2lib.figures.describe`) is its alt text; a figure without one
    fails the build.
    """
    import matplotlib.pyplot as plt
    from matplotlib.text import Text

    from hw2lib.figures import picture

    markup = []
    for number, template in zip(plt.get_fignums(), block_vars["image_path_iterator"], strict=False):
        figure, light = plt.figure(number), Path(template).with_suffix(".svg")
        alt = figure.get_label()
        if not alt:
            script = block_vars["src_file"]
            raise ExtensionError(f"{script}: a figure without alt text; call figures.describe")
        faces = use_in_figures()
        for text in figure.findobj(Text):
            if text.get_fontfamily() == ["sans-serif"]:
                text.set_fontfamily(faces)
        with plt.rc_context({"font.family": faces}):
            drawn = picture(figure, alt)
        write_if_new(light, drawn.light)
        write_if_new(light.with_name(light.stem + DARK + ".svg"), drawn.dark)
        markup.append(figure_markup(light, gallery_conf["src_dir"], alt))
    plt.close("all")
    return "\n".join(markup)


def reset_torch(gallery_conf: dict[str, Any], script: str) -> None:
    """Undo what the script before has set in the same process: torch's default dtype and seed."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(0)


def figure_markup(light: Path, source: str, alt: str) -> str:
    """Return reStructuredText for a figure's two images."""
    path = "/" + light.relative_to(source).as_posix()
    dark = path.removesuffix(".svg") + DARK + ".svg"
    return "".join(
        f".. image:: {each}\n   :alt: {alt}\n   :class: {theme} sphx-glr-single-img\n"
        "   :loading: lazy\n\n"
        for each, theme in ((path, "only-light"), (dark, "only-dark"))
    )


def write_atomically(path: Path, text: str) -> None:
    """Write a file under a temporary name, then move it into place."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_if_new(path: Path, text: str) -> None:
    """Write a file unless it says the same: what depends on it need not be made again."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)


def alt_text(svg: str) -> str:
    """Return the description that a figure's SVG carries.

    Examples
    --------
    >>> alt_text("<dc:description>A line &amp; a point</dc:description>")
    'A line & a point'
    """
    found = re.search(r"<dc:description>(.*?)</dc:description>", svg, re.DOTALL)
    return unescape(found[1]) if found else ""


class GalleryFigure(SphinxDirective):
    """Show a gallery script's figure, with a caption that links to the script.

    ````
    ```{gallery-figure} 1-resnet/plot_architecture
    The caption.
    ```
    ````
    """

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"number": directives.positive_int}

    def run(self) -> Sequence[nodes.Node]:
        """Return a figure node with both images, the caption and the link."""
        folder, _, script = self.arguments[0].rpartition("/")
        stem = f"sphx_glr_{script}_{self.options.get('number', 1):03d}"
        base = f"{GALLERY}/{folder}/images/{stem}"
        light = Path(self.env.srcdir) / f"{base}.svg"
        if not light.is_file():
            raise self.error(f"the gallery has drawn no {base}.svg")
        self.env.note_dependency(str(light))
        alt = alt_text(light.read_text("utf-8"))
        figure = nodes.figure("", classes=["gallery-figure"])
        for uri, theme in ((f"/{base}.svg", "only-light"), (f"/{base}{DARK}.svg", "only-dark")):
            figure += nodes.image(uri=uri, alt=alt, classes=[theme], loading="lazy")
        self.env.temp_data.setdefault("scripts", {})[self.arguments[0]] = None
        label = f"sphx_glr_{GALLERY}_{folder}_{script}.py"
        for line in ("", f"{{ref}}`Script and data. <{label}>`"):
            self.content.append(line, self.get_source_info()[0], 0)
        caption = nodes.caption("", "")
        holder = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, holder)
        for paragraph in holder.children:
            caption += nodes.inline("", "", *paragraph.children)
            caption += nodes.Text(" ")
        figure += caption
        return [figure]


class Scripts(SphinxDirective):
    """List the scripts that drew the page's figures, and those named, to read and to take away."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return a list, one script a line."""
        named = self.arguments[0].split() if self.arguments else []
        drawn = self.env.temp_data.get("scripts", {})
        holder = nodes.Element()
        lines = StringList([self.line(each) for each in dict.fromkeys([*drawn, *named])])
        self.state.nested_parse(lines, self.content_offset, holder)
        return holder.children

    def line(self, name: str) -> str:
        """Return Markdown for one script."""
        folder, _, script = name.rpartition("/")
        path = f"/{GALLERY}/{folder}/{script}"
        label = f"sphx_glr_{GALLERY}_{folder}_{script}.py"
        take = ", ".join(f"{{download}}`{kind} <{path}{kind}>`" for kind in (".py", ".ipynb"))
        return f"- {{ref}}`{label}` ({take})"


def keep_times_of_thumbnails(app: Sphinx, config: Config) -> None:
    """Let thumbnails that the gallery copies, the same as before, keep their times.

    Sphinx would read the indexes again, and write them.
    """
    kept = {
        thumbnail: (thumbnail.read_bytes(), thumbnail.stat())
        for thumbnail in Path(app.srcdir, GALLERY).rglob("*_thumb.svg")
    }

    def give_back(app: Sphinx) -> None:
        for thumbnail, (content, before) in kept.items():
            if thumbnail.read_bytes() == content:
                os.utime(thumbnail, ns=(before.st_atime_ns, before.st_mtime_ns))

    app.connect("builder-inited", give_back, priority=900)  # when the gallery is there


def complete_thumbnails(app: Sphinx, doctree: nodes.document) -> None:
    """Give every thumbnail the description of its figure as alt text, and a dark twin."""
    for thumbnail in list(doctree.findall(nodes.image)):
        uri = thumbnail["uri"]
        if uri.endswith("_thumb.svg"):
            alt = alt_text((Path(app.srcdir) / uri.lstrip("/")).read_text("utf-8"))
            dark = uri.replace("/thumb/", "/").replace("_thumb.svg", f"_001{DARK}.svg")
            thumbnail["alt"] = alt
            thumbnail["classes"].append("only-light")
            thumbnail["loading"] = "lazy"
            thumbnail.parent.append(
                nodes.image(uri=dark, alt=alt, classes=["only-dark"], loading="lazy")
            )


def forget_downloads(app: Sphinx, doctree: nodes.document) -> None:
    """Let Sphinx not read a page again because a file that it offers has changed.

    It copies all of them in every build.
    """
    page, files = app.env.current_document.docname, app.env.dlfiles.items()
    offered = {Path(app.srcdir, name) for name, (pages, _) in files if page in pages}
    app.env.dependencies[page] -= offered


def give_sizes(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give every figure its width and height, so that nothing moves when it comes."""
    source = {name: uri for uri, name in app.builder.images.items()}

    def sized(match: re.Match[str]) -> str:
        svg = (Path(app.srcdir) / source[unquote(match[1])]).read_text(encoding="utf-8")
        width, height = svg_size(svg)
        return f'<img width="{width}" height="{height}" '

    if "body" in context:
        context["body"] = IMAGE.sub(sized, context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives and the repairs.

    Sphinx-Gallery imports pyplot at once, a tenth of a build without changes, to choose what draws.
    It does so again before each script: ``reset_modules`` says matplotlib.
    """
    gen_gallery._import_matplotlib = lambda: None
    warnings.filterwarnings("ignore", "A worker stopped")  # joblib, of one that had no more to do
    app.add_directive("gallery-figure", GalleryFigure)
    app.add_directive("scripts", Scripts)
    app.connect("config-inited", keep_times_of_thumbnails, priority=200)  # without orphans
    app.connect("doctree-read", forget_downloads, priority=900)  # when they have been noted
    app.connect("html-page-context", give_sizes)
    app.connect("doctree-read", complete_thumbnails, priority=100)  # before images are collected
    return {"parallel_read_safe": True, "parallel_write_safe": True}
