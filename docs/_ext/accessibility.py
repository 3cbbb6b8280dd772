"""Small repairs of the pages' HTML for those who hear them or use no mouse."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

REPAIRS = {
    "body": (
        ("<pre>", '<pre tabindex="0">'),  # wide code scrolls, by keyboard too
        ('<pre class="literal-block">', '<pre class="literal-block" tabindex="0">'),
        ('<div class="output_subarea', '<div tabindex="0" class="output_subarea'),
        ('<th class="head"><p></p></th>', "<td></td>"),
        ('<summary aria-label="Toggle hidden content">', "<summary>"),
        ('role="doc-biblioentry"', 'role="listitem"'),
    ),
    "furo_navigation_tree": (('role="heading"', 'role="heading" aria-level="2"'),),
}


def repair(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Replace what the theme and the extensions leave out."""
    for part, replacements in REPAIRS.items():
        for old, new in replacements:
            if part in context:
                context[part] = context[part].replace(old, new)


def strip_code(app: Sphinx, doctree: nodes.document) -> None:
    """Drop the empty line that ends a doctest in Markdown."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.astext().rstrip()  # Sphinx highlights what equals its source
        block[:] = [nodes.Text(block.rawsource)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the repairs, after those who write what they repair."""
    app.connect("html-page-context", repair, priority=900)
    app.connect("doctree-read", strip_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
