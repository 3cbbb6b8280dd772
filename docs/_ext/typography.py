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
LOWERED = re.compile("([₀₁₂₃₄₅₆₇₈₉₊₋₌ₐ-ₜᵢᵣᵤⱼ]+|(?<=[‖ℓ])∞|(?<=ℓ)[12])")
PERCENT = re.compile(r"(\d %)")
TIED = re.compile(
    r"(\b(?:[Pp]art|Theorem|Lemma|Solution|rank|et) (?=\(|\d|al\.)|\S{1,8} [=<>≤≥≈−+±×∈] \S{1,8})"
)
NAME = re.compile(r"(ResNet-\d+|\b[1-6][a-e]?-[\w-]+|\bi-th\b)")
VERBATIM = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)


def set_indices(app: Sphinx, doctree: nodes.document) -> None:
    """Set 10⁻¹⁶ and σ₁ in the text's face, which does not have all raised and lowered figures."""

    def plain(found: str) -> str:
        return unicodedata.normalize("NFKC", found)

    replace(doctree, RAISED, lambda found: nodes.superscript("", plain(found)))
    replace(doctree, LOWERED, lambda found: nodes.subscript("", plain(found)))


def keep_together(app: Sphinx, doctree: nodes.document) -> None:
    """Keep formulas with what stands before and after: a bracket or quote, punctuation, a mark.

    Short ones stay whole. A browser may break a line on either side of each part of a formula.
    """
    for formula in list(doctree.findall(nodes.math)):
        length = len(formula.astext())
        formula["breaks"] = "" if length <= SHORT else "on-phones" if length <= LONG else "always"
        parent, start = formula.parent, place(formula)
        group: list[nodes.Node] = [formula]
        before, rest = [], list(parent.children[start + 1 :])
        if (
            start
            and isinstance(parent[start - 1], nodes.Text)
            and parent[start - 1].endswith(("(", "“"))
        ):
            start -= 1
            before = [nodes.Text(parent[start][:-1])]
            group.insert(0, nodes.Text(parent[start][-1]))
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
    """Keep ResNet-18 and 1c-fc on one line; not by another hyphen: no search would find them."""
    replace(doctree, NAME, lambda found: nodes.inline("", found, classes=["together"]))


def keep_ties(app: Sphinx, doctree: nodes.document) -> None:
    """Keep part (a), Theorem 1, et al., and a = b in plain text on one line."""
    replace(doctree, TIED, lambda found: nodes.Text(found.replace(" ", "\u00a0")))


def keep_percent(app: Sphinx, doctree: nodes.document) -> None:
    """Keep a number and its per cent sign on one line, a thin space between them."""
    replace(doctree, PERCENT, lambda found: nodes.Text(found.replace(" ", "\u202f")))


def replace(
    doctree: nodes.document, pattern: re.Pattern[str], element: Callable[[str], nodes.Node]
) -> None:
    """Put an element in the place of every match in the text; the pattern is one group."""
    for text in list(doctree.findall(nodes.Text)):
        if pattern.search(text) and not isinstance(text.parent, VERBATIM):
            position = place(text)
            text.parent[position : position + 1] = [
                element(part) if number % 2 else nodes.Text(part)
                for number, part in enumerate(pattern.split(text))
                if part
            ]


def place(node: nodes.Node) -> int:
    """Return a node's place among its siblings; by identity, for an equal text may come earlier."""
    return [child is node for child in node.parent].index(True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the repairs."""
    app.connect("doctree-read", set_indices)
    app.connect("doctree-read", keep_percent)
    app.connect("doctree-read", keep_ties)
    app.connect("doctree-read", keep_together)
    app.connect("doctree-read", keep_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
