"""Formulas set by KaTeX while the site is built: no page needs JavaScript to show one.

KaTeX runs in QuickJS, inside the build's own process; its script and style come from the npm
package that ``package-lock.json`` pins. A formula that KaTeX refuses fails the build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from docutils import nodes
from npm_packages import missing
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

HERE = Path(__file__).resolve().parent
DIST = HERE.parent / "node_modules" / "katex" / "dist"
BASE = '<span class="katex-base">'  # of a formula, what no line may break
OPEN, CLOSE = '<span class="mopen', '<span class="mclose'  # the last twice if it has an exponent
ANNOTATION = re.compile(r"<annotation .*?</annotation>", re.DOTALL)  # the source, once more
TAG = re.compile("<[^>]*>")
SHORT_END = 2
DOT = re.compile(r'class="mbin">⋅</span>(<span class="mspace"[^>]*></span>)?(</span>)*$')
ORDINARY = re.compile('<span class="mord">([^<]*)')  # bars here are what TeX takes for no bracket
HIGH_ROW = re.compile(r"\\\\(?=\s(?:[^\\]|\\(?!\\|end))*?\\(?:frac|sum))")  # of an aligned formula
SETTINGS = {"throwOnError": True, "strict": "error", "output": "htmlAndMathml", "trust": False}


class FormulaError(ValueError):
    """A formula that KaTeX refuses."""


@cache
def renderer() -> Callable[[str, bool], str]:
    """Load KaTeX once a process, and return the function that sets a formula."""
    import quickjs

    script = DIST / "katex.min.js"
    if not script.is_file():
        raise ExtensionError(missing("KaTeX"))
    context = quickjs.Context()
    context.eval(script.read_text(encoding="utf-8"))
    context.eval(
        "function render(source, settings) {"
        "  try {"
        "    return JSON.stringify({html: katex.renderToString(source, JSON.parse(settings))})"
        "  }"
        "  catch (error) { return JSON.stringify({error: String(error)}) }"
        "}"
    )
    call = context.get("render")

    def render(source: str, display: bool) -> str:
        settings = json.dumps(SETTINGS | {"displayMode": display})
        answer = json.loads(call(HIGH_ROW.sub(r"\\\\[0.9em]", source), settings))
        if "error" in answer:
            raise FormulaError(answer["error"])
        return ANNOTATION.sub("", answer["html"])

    return render


@cache
def render(source: str, display: bool = False) -> str:
    r"""Return the HTML of a formula.

    Examples
    --------
    >>> render("a^2").startswith('<span class="katex">')
    True
    >>> render(r"\frac{a}")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    FormulaError: ...
    """
    return renderer()(source, display)


def html(node: nodes.Element, display: bool) -> str:
    """Return the HTML of a formula's node, or report the formula that KaTeX refuses."""
    try:
        return render(node.astext(), display)
    except FormulaError as error:
        logger.warning("formula '%s': %s", node.astext(), error, location=node, type="katex")
        return '<span class="katex-error"></span>'


def visit_inline(writer: nodes.NodeVisitor, node: nodes.math) -> None:
    """Write a formula in running text, with places to break in a long one."""
    whole = html(node, False)
    breaks = node.get("breaks")
    formula = breakable(whole) if breaks else whole
    name = "math breaks-on-phones" if breaks == "on-phones" else "math"
    writer.body.append(f'<span class="{name}">{formula}</span>')
    raise nodes.SkipNode


def breakable(formula: str) -> str:
    """Let a line break between parts of a formula: not in brackets or bars, not after a dot.

    Nor before an end as short as 0, which would stand on a line of its own.
    """
    first, *parts = formula.split(BASE)
    written, depth, bars = first, 0, 0
    for number, part in enumerate(parts):
        is_short_end = part is parts[-1] and len(TAG.sub("", part)) <= SHORT_END
        is_kept = not number or depth or bars % 2 or is_short_end or DOT.search(parts[number - 1])
        written += (BASE if is_kept else f"<wbr>{BASE}") + part
        depth += part.count(OPEN) - part.count(CLOSE) + part.count(f'{CLOSE}">{CLOSE}')
        bars += sum(found in "∥∣" for text in ORDINARY.findall(part) for found in text)
    return written


def visit_block(writer: nodes.NodeVisitor, node: nodes.math_block) -> None:
    """Write a displayed formula, with its number in a column of its own."""
    if "math-wrapper" in node.parent.get("classes", []):
        node["ids"] = []  # the theme's wrapper has them
    writer.body.append(writer.starttag(node, "div", CLASS="math-block"))
    number = get_node_equation_number(writer, node) if node["number"] else ""
    name = f"Formula {number}".strip()
    writer.body.append(
        f'<div class="math-scroll" role="group" aria-label="{name}" tabindex="0">'
        f"{html(node, True)}</div>"
    )
    if number:
        writer.body.append(f'<span class="eqno">({number})')
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append("</div>")
    raise nodes.SkipNode


def keep_from_search(app: Sphinx, doctree: nodes.document) -> None:
    """Let the search index words, not TeX."""
    for formula in doctree.findall(lambda node: isinstance(node, nodes.math | nodes.math_block)):
        formula["classes"].append("no-search")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_block, None))
    app.connect("doctree-read", keep_from_search)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
