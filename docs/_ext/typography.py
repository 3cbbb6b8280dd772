"""Small repairs of the text before it is set: real indices; formulas, names, 5 % kept whole."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from docutils import nodes
from sphinx.application import Sphinx

SHORT = 24  # characters of TeX; longer formulas may break, where KaTeX lets them,
LONG = 44  # but up to this length only on a phone
RAISED = re.compile("([⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼ᵀᵃ-ᵡⁱⁿ]+)")
LOWERED = re.compile("([₀₁₂₃₄₅₆₇₈₉₊₋₌ₐ-ₜᵢᵣᵤⱼ]+)")
PERCENT = re.compile(r"(\d %)")
RESNET = re.compile(r"(ResNet-\d+)")
VERBATIM = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)


def set_indices(app: Sphinx, doctree: nodes.document) -> None:
    """Set 10⁻¹⁶ and σ₁ in the text's face, which does not have all raised and lowered figures."""

    def plain(found: str) -> str:
        return unicodedata.normalize("NFKC", found)

    replace(doctree, RAISED, lambda found: nodes.superscript("", plain(found)))
    replace(doctree, LOWERED, lambda found: nodes.subscript("", plain(found)))


def keep_together(app: Sphinx, doctree: nodes.document) -> None:
    """Keep formulas with a bracket before, punctuation and a note's number after; short ones whole.

    A browser may break a line on either side of each part of a formula.
    """
    for formula in list(doctree.findall(nodes.math)):
        length = len(formula.astext())
        formula["breaks"] = "" if length <= SHORT else "on-phones" if length <= LONG else "always"
        parent, start = formula.parent, place(formula)
        group: list[nodes.Node] = [formula]
        before, rest = [], list(parent.children[start + 1 :])
        if start and isinstance(parent[start - 1], nodes.Text) and parent[start - 1].endswith("("):
            start -= 1
            before = [nodes.Text(parent[start][:-1])]
            group.insert(0, nodes.Text("("))
        if rest and isinstance(rest[0], nodes.Text):
            text = rest.pop(0)
            kept = len(text) - len(text.lstrip(",.;:!?)]"))
            group += [nodes.Text(text[:kept])] if kept else []
            rest[:0] = [nodes.Text(text[kept:])] if text[kept:] else []
        while rest and isinstance(rest[0], nodes.superscript):
            group.append(rest.pop(0))
        together = nodes.inline("", "", *group, classes=["together"])
        parent[start:] = [*before, together, *rest]


def keep_names(app: Sphinx, doctree: nodes.document) -> None:
    """Keep ResNet-18 on one line; not by another hyphen, or no search would find it."""
    replace(doctree, RESNET, lambda found: nodes.inline("", found, classes=["together"]))


def keep_percent(app: Sphinx, doctree: nodes.document) -> None:
    """Keep a number and its per cent sign on one line, a thin space between them."""
    replace(doctree, PERCENT, lambda found: nodes.Text(found.replace(" ", "\u202f")))


def replace(
    doctree: nodes.document, pattern: re.Pattern[str], element: Callable[[str], nodes.Node]
) -> None:
    """Put an element in the place of every match in the text; the pattern is one group."""
    for text in list(doctree.findall(nodes.Text)):
        if pattern.search(text) and not isinstance(text.parent, VERBATIM):
            parts = [part for part in pattern.split(text) if part]
            position = place(text)
            text.parent[position : position + 1] = [
                element(part) if pattern.fullmatch(part) else nodes.Text(part) for part in parts
            ]


def place(node: nodes.Node) -> int:
    """Return a node's place among its siblings; by identity, for an equal text may come earlier."""
    return [child is node for child in node.parent].index(True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the repairs."""
    app.connect("doctree-read", set_indices)
    app.connect("doctree-read", keep_percent)
    app.connect("doctree-read", keep_together)
    app.connect("doctree-read", keep_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
