"""Small repairs of the text before it is set: exponents raised, punctuation kept with formulas."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx

SHORT = 24  # characters of TeX; longer formulas may need to break
RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
EXPONENT = re.compile(f"([{RAISED}]+)")
LOWER = str.maketrans(RAISED, "0123456789−")
VERBATIM = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)


def raise_exponents(app: Sphinx, doctree: nodes.document) -> None:
    """Set 10⁻¹⁶ with an exponent of the text's face: few faces have all raised figures."""
    for text in list(doctree.findall(nodes.Text)):
        if EXPONENT.search(text) and not isinstance(text.parent, VERBATIM):
            parts = [
                nodes.superscript("", part.translate(LOWER)) if part[0] in RAISED
                else nodes.Text(part)
                for part in EXPONENT.split(text) if part
            ]  # fmt: skip
            position = place(text)
            text.parent[position : position + 1] = parts


def keep_punctuation(app: Sphinx, doctree: nodes.document) -> None:
    """Keep a comma or bracket after a short formula on the formula's line."""
    for formula in list(doctree.findall(nodes.math)):
        follower = formula.next_node(descend=False, siblings=True)
        if len(formula.astext()) > SHORT or not isinstance(follower, nodes.Text):
            continue
        text = follower.astext()
        kept = len(text) - len(text.lstrip(",.;:!?)]"))
        if kept:
            parent, position = formula.parent, place(formula)
            together = nodes.inline("", "", formula, nodes.Text(text[:kept]), classes=["together"])
            rest = [nodes.Text(text[kept:])] if text[kept:] else []
            parent[position : position + 2] = [together, *rest]


def place(node: nodes.Node) -> int:
    """Return a node's place among its siblings; by identity, for an equal text may come earlier."""
    return [child is node for child in node.parent].index(True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the repairs."""
    app.connect("doctree-read", raise_exponents)
    app.connect("doctree-read", keep_punctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
