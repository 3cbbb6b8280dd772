"""Small repairs of the text before it is set: variables, indices; formulas and names kept whole."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

SHORT = 15  # signs; longer formulas may break, where KaTeX lets them,
LONG = 27  # but up to this length only on a phone
UNSEEN = re.compile(  # what takes no room in a formula
    r"\\[,;!:> ]|\\(?:[bB]igg?[lr]?|[dt]?frac|mathrm|text|operatorname|left|right)(?![A-Za-z])"
)
COMMAND = re.compile(r"\\[A-Za-z]+|\\\W")
RAISED = re.compile("([⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼ᵀᵃ-ᵡⁱⁿ]+)")
LOWERED = re.compile("([₀₁₂₃₄₅₆₇₈₉₊₋₌ₐ-ₜᵢᵣᵤⱼ]+|(?<=[‖ℓ])∞|(?<=ℓ)[12])")
VARIABLE = re.compile(  # a letter by itself; a, A and I only beside a sign, an index, or in a list
    r"""(
      (?<![A-Za-z0-9_’'.-])(?!(?<=\().\))[B-HJ-Zb-zα-ω]\u0304?(?![A-Za-z0-9_’'\u0304-]|\.\w)
    | (?<=[A-Za-zα-ω]\()[A-Za-z](?=\))
    | (?<![A-Za-z_’'.-])(?:(?<=\d)[pxuα-ω]|[ηλ]+x?|AB|AG|Wb|XX|ab|eA|eI|uu)(?![A-Za-z0-9_’'-])
    | (?<![A-Za-z_’'.-])[AIa](?=,[ \xa0]−?[A-Za-z]\)|[ \xa0]SIGN|[′ᵀ₀-₉⁻ᵢ/−])
    | \b[aA](?=[ ]and[ ][A-Za-z]\b|[ ]of[ ]shape)
    | (?:(?<=SIGN[ \xa0])[AIa]|(?<=[a-z,][ \xa0])A)(?![A-Za-z0-9_’'-]|\.\d)
    )""".replace("SIGN", "[=<>≤≥≈≠−+±×·∈→∘]"),
    re.VERBOSE,
)
PERCENT = re.compile(r"(\d %)")
TIED = re.compile(
    r"(\b(?:[Pp]art|Theorem|Lemma|Solution|rank|factor|mode|et) (?=\(|\d|al\.)"
    r"|\b(?:log|arctan) (?=\w)|\b[1-6]\([a-f]\) (?=\w)|\(\S{1,6}, \S{1,6}\)"
    r"|(?:(?<!\S)\S{1,8} [=<>≤≥≈−+±×∈] )(?:\S{1,8} [=<>≤≥≈−+±×∈] )?\S{1,8})"
)
NAME = re.compile(r"(ResNet-\d+|\b[1-6][a-e]?-[\w-]+|\bi-th\b)")
VERBATIM = (nodes.literal, nodes.FixedTextElement, nodes.math)
NAMES = (nodes.title, nodes.term, nodes.strong, addnodes.desc_signature)


def set_variables(app: Sphinx, doctree: nodes.document) -> None:
    """Set x, λ and W in italics where formulas stand in plain text: in scripts and docstrings."""
    if app.env.docname.startswith(("auto_examples/", "api/")):
        replace(
            doctree, VARIABLE, lambda found: nodes.inline("", found, classes=["variable"]), NAMES
        )


def set_indices(app: Sphinx, doctree: nodes.document) -> None:
    """Set 10⁻¹⁶ and σ₁ in the text's face, which does not have all raised and lowered figures."""
    replace(doctree, RAISED, lambda found: index(nodes.superscript, found))
    replace(doctree, LOWERED, lambda found: index(nodes.subscript, found))


def index(kind: type[nodes.TextElement], found: str) -> nodes.Node:
    """Return an index; small letters are variables, the T of a transpose is none."""
    parts = re.split("([a-z])", unicodedata.normalize("NFKC", found))
    return kind(
        "",
        "",
        *(
            nodes.inline("", part, classes=["variable"]) if number % 2 else nodes.Text(part)
            for number, part in enumerate(parts)
            if part
        ),
    )


def keep_together(app: Sphinx, doctree: nodes.document) -> None:
    """Keep formulas with what stands before and after: a bracket or quote, punctuation, a mark.

    Short ones stay whole. A browser may break a line on either side of each part of a formula.
    """
    for formula in list(doctree.findall(nodes.math)):
        length = signs(formula.astext())
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


def signs(formula: str) -> int:
    r"""Count what one sees of a formula, about.

    Examples
    --------
    >>> signs(r"\frac12\lVert x\rVert_F^2")
    7
    """
    return len(re.sub(r"[{}^_&\s]", "", COMMAND.sub("x", UNSEEN.sub("", formula))))


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
    doctree: nodes.document,
    pattern: re.Pattern[str],
    element: Callable[[str], nodes.Node],
    apart: tuple[type[nodes.Element], ...] = (),
) -> None:
    """Put an element in the place of every match in the text; the pattern is one group."""
    for text in list(doctree.findall(nodes.Text)):
        if pattern.search(text) and not stands_in(text, VERBATIM + apart):
            position = place(text)
            text.parent[position : position + 1] = [
                element(part) if number % 2 else nodes.Text(part)
                for number, part in enumerate(pattern.split(text))
                if part
            ]


def stands_in(node: nodes.Node, kinds: tuple[type[nodes.Element], ...]) -> bool:
    """Say whether a node lies within one of some kinds."""
    while (node := node.parent) is not None:
        if isinstance(node, kinds):
            return True
    return False


def place(node: nodes.Node) -> int:
    """Return a node's place among its siblings; by identity, for an equal text may come earlier."""
    return [child is node for child in node.parent].index(True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the repairs."""
    app.connect("doctree-read", keep_percent)
    app.connect("doctree-read", keep_ties, priority=400)  # before titles are collected
    app.connect("doctree-read", set_variables)
    app.connect("doctree-read", set_indices)
    app.connect("doctree-read", keep_together)
    app.connect("doctree-read", keep_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
