"""Text notebooks: their figures, and an .ipynb of each to take away that any Jupyter can read.

MyST-NB's own download keeps the roles and directives, which mean nothing outside of this site.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
from docutils import nodes
from environments import COUNTED, END_OF_PROOF
from gallery import write_atomically
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from pybtex.backends.markdown import Backend
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from hw2lib.claims.registry import quote

STARTUP = Path(__file__).resolve().parent / "kernel" / "startup.py"
FOLD = re.compile(r'<details class="admonition hide.*?</summary>', re.DOTALL)  # MyST-NB's own bar
PICTURE = re.compile(r'src="data:image/svg\+xml,([^"]*)"')
CITATION = r"\{cite(?::t)?\}`([^`]+)`"
PRINTED = "If you have the printed solutions"


def fenced(name: str) -> str:
    """Return a pattern of a directive: its indent, fence, argument and content."""
    return rf"^( *)(`{{3,}})\{{{name}\}} ?(.*?)\n((?:.*\n)*?)\1\2 *\n"


def environment(match: re.Match[str], names: Iterator[str], kind: str) -> str:
    """Return a theorem or one of its kin: its name and title in bold, or a proof and its mark."""
    indent, _, title, content = match.groups()
    content = re.sub(r"\A *:label:.*\n", "", content).strip("\n")
    if kind == "proof":
        return f"{indent}*Proof.* {content} {END_OF_PROOF}\n"
    title = f" ({title})" if title else ""
    gap = "\n\n" if content.startswith("```") else " "
    return f"{indent}**{next(names)}{title}.**{gap}{content}\n"


def named(source: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    r"""Return the names of a page's theorems and their kin, by kind and by label.

    Examples
    --------
    >>> named("```{lemma}\n:label: a\nOne.\n```\n```{theorem} T\nTwo.\n```\n")[1]
    {'a': 'Lemma 1'}
    """
    counts: dict[str, int] = {}
    names: dict[str, list[str]] = {kind: [] for kind in COUNTED}
    labels = {}
    opening = rf"^ *`{{3,}}\{{({'|'.join(COUNTED)})\}}.*\n(?: *:label: *(\S+))?"
    for match in re.finditer(opening, source, re.MULTILINE):
        series = COUNTED[match[1]]
        counts[series] = counts.get(series, 0) + 1
        name = f"{match[1].capitalize()} {counts[series]}"
        names[match[1]].append(name)
        if match[2]:
            labels[match[2]] = name
    return names, labels


def plain(
    markdown: str,
    claims: Mapping[str, Any],
    numbers: Mapping[str, int],
    names: Mapping[str, Iterator[str]] | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    r"""Return Markdown in which roles and directives are replaced by what they say.

    `numbers` are those of the equations; `names` those of theorems and their kin, by kind, each
    taken once, and `labels` the same names by label.

    Examples
    --------
    >>> plain("By {eq}`eq-a` {cite}`one,two`.", {}, {"eq-a": 3})
    'By (3) [one, two].'
    >>> plain("```{theorem} Short\n:label: a\nBy {ref}`a`.\n```\n", {}, {},
    ...       {"theorem": iter(["Theorem 1"])}, {"a": "Theorem 1"})
    '**Theorem 1 (Short).** By Theorem 1.\n'
    >>> plain("```{proof}\nTrivial.\n```\n", {}, {})
    '*Proof.* Trivial. ∎\n'
    >>> plain("```{explorable} lab\n:figure: a/plot_b\n**Try.** Drag.\n```\n", {}, {})
    '*On the site, a figure that answers when touched:* **Try.** Drag.\n'
    >>> plain(":::{container} on-screen\nLoad it.\n:::\nText.", {}, {})
    'Text.'
    >>> plain("See {doc}`another page <other>`.", {}, {})
    'See another page.'
    >>> plain("$$ x $$ (eq-a)", {}, {"eq-a": 3})
    '$$ x \\tag{3}$$'
    """

    def figure(match: re.Match[str]) -> str:
        caption = re.sub(r"^ *:number:.*\n", "", match[4])
        return f"{match[1]}*Figure of the script `{match[3]}.py`:* {caption}"

    def explorable(match: re.Match[str]) -> str:
        caption = re.sub(r"^ *:\w+:.*\n", "", match[4], flags=re.MULTILINE)
        return f"{match[1]}*On the site, a figure that answers when touched:* {caption}"

    def value(match: re.Match[str]) -> str:
        id, _, wanted = match[1].partition(":")
        return quote(id, claims[id]["evidence"]["values"], wanted)

    def told(kind: str) -> tuple[str, Any]:
        return fenced(kind), lambda match: environment(
            match, (names or {}).get(kind, iter(())), kind
        )

    rules: tuple[tuple[str, Any], ...] = (
        (fenced("container"), r"\4"),
        (fenced("gallery-figure"), figure),
        (fenced("explorable"), explorable),
        *map(told, COUNTED),
        (fenced("printed"), rf"\1<details><summary>{PRINTED}</summary>\n\n\4\n\1</details>\n"),
        (
            fenced("scripts"),
            r"\1The scripts are on the site, and in the folder `examples` of the project.\n",
        ),
        (fenced("dropdown"), r"\1<details><summary>\3</summary>\n\n\4\n\1</details>\n"),
        told("proof"),
        (fenced("claims"), r"\1`python -m hw2lib.claims \3` checks the claims in brackets.\n"),
        (fenced("toctree"), ""),
        (r"^:::\{container\} on-screen\n(?:.*\n)*?:::\n", ""),
        (r"^\([\w-]+\)=\n", ""),
        (r"\{value\}`([^`]+)`", value),
        (r"\{claim\}`([^`]+)`", r"[\1]"),
        (r"\{(?:ref|doc)\}`([^`<]+) <[^`]+`", r"\1"),
        (r"\{ref\}`([^`]+)`", lambda match: known(labels or {}, match)),
        (CITATION, lambda match: f"[{match[1].replace(',', ', ')}]"),
        (r"\{eq\}`([^`]+)`", lambda match: f"({known(numbers, match)})"),
        (r"\$\$ \((eq-[\w-]+)\)", lambda match: rf"\tag{{{known(numbers, match)}}}$$"),
    )
    for pattern, replacement in rules:
        markdown = re.sub(pattern, replacement, markdown, flags=re.MULTILINE)
    return markdown


def known(labels: Mapping[str, Any], match: re.Match[str]) -> Any:
    """Return what a label of the same page stands for."""
    if match[1] not in labels:
        raise ExtensionError(
            f"{match[0]}: a notebook can refer to labels of its own page only; name the other page "
            "by {doc}`words <page>`"
        )
    return labels[match[1]]


def take_away(source: str, claims: Mapping[str, Any], works: Mapping[str, str]) -> str:
    """Return a text notebook as JSON, its text in plain Markdown, the works it cites at the end."""
    labels = re.findall(r"\$\$ \((eq-[\w-]+)\)", source)
    numbers = {label: number for number, label in enumerate(labels, 1)}
    names, by_label = named(source)
    unused = {kind: iter(each) for kind, each in names.items()}
    notebook = read_myst_markdown_notebook(source)
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    cited = {key for keys in re.findall(CITATION, source) for key in keys.split(",")}
    if cited:
        works_cited = "".join(f"\n- [{key}] {works[key]}" for key in sorted(cited))
        notebook.cells.append(nbformat.v4.new_markdown_cell(f"## References\n{works_cited}"))
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # not at random: the same page, the same bytes
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source + "\n", claims, numbers, unused, by_label).strip()
    return nbformat.writes(notebook)


def write_beside(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write a text notebook beside its page."""
    path = Path(app.env.doc2path(page))
    if doctree is not None and path.suffix == ".md":
        source = path.read_text(encoding="utf-8")
        if is_myst_markdown_notebook(source):
            target = Path(app.outdir) / f"{page}.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            works = {
                each.key: each.formatted_entry.text.render(Backend())
                for each in app.env.get_domain("cite").citations
            }
            write_atomically(target, take_away(source, app.env.hw2lib_claims, works))


def move_pictures(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the figures of a notebook's page files of their own; fold code as script pages do."""

    def move(match: re.Match[str]) -> str:
        name = f"_images/{page.replace('/', '-')}-{next(numbers)}.svg"
        path = Path(app.outdir) / name
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, unquote(match[1]))
        return f'loading="lazy" src="{context["pathto"](name, 1)}"'

    numbers = count(1)
    if "body" in context:
        body = FOLD.sub('<details class="plotting">\n<summary>The code</summary>', context["body"])
        context["body"] = PICTURE.sub(move, body)


def setup(app: Sphinx) -> dict[str, bool]:
    """Draw in the site's faces; move figures and write notebooks as pages are written."""
    os.environ["PYTHONSTARTUP"] = str(STARTUP)  # the kernel runs it before the first cell
    app.connect("html-page-context", move_pictures)
    app.connect("html-page-context", write_beside)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
