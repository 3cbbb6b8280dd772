"""A page's title and description, as search engines and previews of links show them."""

from __future__ import annotations

import re
import textwrap
from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

WRITTEN = re.compile(r'<meta content="([^"]*)" name="description" />')
LENGTH = 200


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
        "og:title": escape(re.sub(r"<[^>]*>", "", context["title"])),
        "og:type": "website",
        "og:site_name": escape(app.config.project),
        "og:description": description,
    }
    if app.config.html_baseurl:
        tags["og:url"] = escape(context["pageurl"])
    if not written:
        context["metatags"] += f'\n<meta content="{description}" name="description" />'
    for name, content in tags.items():
        context["metatags"] += f'\n<meta property="{name}" content="{content}" />'


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the tags."""
    app.connect("html-page-context", add_tags)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
