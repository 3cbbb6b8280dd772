"""Text notebooks to take away: each page that is one gets an .ipynb that any Jupyter can read.

MyST-NB's own download keeps the roles and directives, which mean nothing outside of this site.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from gallery import write_atomically
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from sphinx.application import Sphinx

from hw2lib.claims.registry import quote


def fenced(name: str) -> str:
    """Return a pattern of a directive: its indent, fence, argument and content."""
    return rf"^( *)(`{{3,}})\{{{name}\}} ?(.*?)\n((?:.*\n)*?)\1\2 *\n"


def plain(markdown: str, claims: Mapping[str, Any], numbers: Mapping[str, int]) -> str:
    r"""Return Markdown in which roles and directives are replaced by what they say.

    Examples
    --------
    >>> plain("By {eq}`eq-a` {cite}`one,two`.", {}, {"eq-a": 3})
    'By (3) [one, two].'
    >>> plain("$$ x $$ (eq-a)", {}, {"eq-a": 3})
    '$$ x \\tag{3}$$'
    """

    def value(match: re.Match[str]) -> str:
        id, _, wanted = match[1].partition(":")
        return quote(id, claims[id]["evidence"]["values"], wanted)

    rules: tuple[tuple[str, Any], ...] = (
        (fenced("gallery-figure"), r"\1*Figure of the script `\3.py`:* \4"),
        (fenced("dropdown"), r"\1<details><summary>\3</summary>\n\n\4\n\1</details>\n"),
        (fenced("claims"), r"\1`python -m hw2lib.claims 5` checks them.\n"),
        (r"^<a .* download>.*\n", ""),
        (r"^\([\w-]+\)=\n", ""),
        (r"\{value\}`([^`]+)`", value),
        (r"\{claim\}`([^`]+)`", r"[\1]"),
        (r"\{cite\}`([^`]+)`", lambda match: f"[{match[1].replace(',', ', ')}]"),
        (r"\{eq\}`([^`]+)`", lambda match: f"({numbers[match[1]]})"),
        (r"\$\$ \((eq-[\w-]+)\)", lambda match: rf"\tag{{{numbers[match[1]]}}}$$"),
    )
    for pattern, replacement in rules:
        markdown = re.sub(pattern, replacement, markdown, flags=re.MULTILINE)
    return markdown


def take_away(source: str, claims: Mapping[str, Any]) -> str:
    """Return a text notebook as JSON, its text in plain Markdown."""
    labels = re.findall(r"^\$\$ \((eq-[\w-]+)\)", source, re.MULTILINE)
    numbers = {label: number for number, label in enumerate(labels, 1)}
    notebook = read_myst_markdown_notebook(source)
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source + "\n", claims, numbers).strip()
    return nbformat.writes(notebook)


def write_all(app: Sphinx, error: Exception | None) -> None:
    """Write each text notebook beside its page."""
    if error is None and app.builder.format == "html":
        for docname in app.env.found_docs:
            path = Path(app.env.doc2path(docname))
            source = path.read_text(encoding="utf-8")
            if path.suffix == ".md" and is_myst_markdown_notebook(source):
                notebook = take_away(source, app.env.hw2lib_claims)
                write_atomically(Path(app.outdir) / f"{docname}.ipynb", notebook)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the notebooks when all pages are there."""
    app.connect("build-finished", write_all)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
