"""A page's title, description and picture, as search engines and previews of links show them."""

from __future__ import annotations

import hashlib
import os
import re
import textwrap
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

from docutils import nodes
from sphinx.application import Sphinx

WRITTEN = re.compile(r'<meta content="([^"]*)" name="description" />')
FIGURE = re.compile(r'src="[^"]*_images/([^"]+\.svg)"')
OPENING = re.compile(r".*?<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", re.DOTALL)
LENGTH = 200
WIDTH, HEIGHT, EDGE = 1200, 630, 36  # pixels, of a card
GROUND = "#fffefb"


def first_words(doctree: nodes.document) -> str:
    """Return the beginning of a page's text; what stands in a note or a box is not its text."""
    text = (each for each in doctree.findall(nodes.paragraph) if type(each.parent) is nodes.section)
    return textwrap.shorten(next(text, nodes.paragraph()).astext(), LENGTH, placeholder=" …")


def add_tags(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add the tags of the Open Graph protocol, with the page's own description if it has one."""
    if doctree is None:
        return
    written = WRITTEN.search(context["metatags"])
    description = written[1] if written else escape(first_words(doctree))
    tags = {
        "og:title": escape(app.env.titles[page].astext()),
        "og:type": "website",
        "og:site_name": escape(app.config.project),
        "og:description": description,
    }
    if app.config.html_baseurl:
        tags["og:url"] = escape(context["pageurl"])
        sources = {name: uri for uri, name in app.builder.images.items()}  # not a notebook's own
        figures = filter(sources.__contains__, map(unquote, FIGURE.findall(context["body"])))
        if figure := next(figures, None):
            card = write_card(Path(app.srcdir) / sources[figure], Path(app.outdir) / "_images")
            tags["og:image"] = escape(urljoin(app.config.html_baseurl, f"_images/{card}"))
            tags |= {"og:image:width": str(WIDTH), "og:image:height": str(HEIGHT)}
    if not written:
        context["metatags"] += f'\n<meta content="{description}" name="description" />'
    for name, content in tags.items():
        context["metatags"] += f'\n<meta property="{name}" content="{content}" />'


def name_of_card(figure: Path) -> str:
    """Return the name of a figure's card, which changes with its look: previews are kept long."""
    look = hashlib.sha256(figure.read_bytes() + Path(__file__).read_bytes())
    return f"card-{figure.stem}-{look.hexdigest()[:8]}.png"


def write_card(figure: Path, folder: Path) -> str:
    """Write a figure as a picture of the size that previews have, and return its name."""
    import resvg_py

    svg, name = figure.read_text(encoding="utf-8"), name_of_card(figure)
    if not (folder / name).is_file():
        size = f'x="{EDGE}" y="{EDGE}" width="{WIDTH - 2 * EDGE}" height="{HEIGHT - 2 * EDGE}"'
        links = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
        placed = OPENING.sub(rf"<svg {size} {links} \1>", svg, count=1)
        card = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{GROUND}"/>{placed}</svg>'
        )
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{name}.{os.getpid()}.part"
        part.write_bytes(resvg_py.svg_to_bytes(svg_string=card, skip_system_fonts=True))
        part.replace(folder / name)
    return name


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the tags."""
    app.connect("html-page-context", add_tags)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
