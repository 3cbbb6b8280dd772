"""Theorems and their kin: numbered on each page, set without boxes, referred to by ``{ref}``.

````
```{theorem} Landscape
:label: theorem-landscape
At a critical point …
```
```{proof}
…
```
````

Theorems, lemmas, definitions and remarks of a page share one count, exercises have their own, and
proofs have none; a proof ends with its mark.
"""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

COUNTED = dict.fromkeys(("theorem", "lemma", "definition", "remark"), "theorem")
COUNTED["exercise"] = "exercise"
END_OF_PROOF = "∎"


class Environment(SphinxDirective):
    """A theorem, lemma, definition, remark, exercise or proof; the argument is its title."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = {"label": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return the environment, its name in front of the first paragraph."""
        self.assert_has_content()
        name = self.heading()
        block = nodes.container(classes=["environment", f"is-{self.name}"])
        self.state.nested_parse(self.content, self.content_offset, block)
        head = nodes.inline("", name, classes=["environment-name"])
        lead: list[nodes.Node] = [head]
        if self.arguments:
            title, _ = self.state.inline_text(self.arguments[0], self.lineno)
            lead += [nodes.inline("", " (", *title, nodes.Text(")"), classes=["environment-title"])]
        lead.append(nodes.Text(". "))
        paragraph(block, first=True)[0:0] = lead
        if self.name == "proof":
            end = nodes.inline("", END_OF_PROOF, classes=["end-of-proof"])
            last = paragraph(block, first=False)
            last["classes"] += [] if last.children else ["end-alone"]
            last.extend([nodes.Text("\u00a0"), end])
        return [*self.target(name), block]

    def heading(self) -> str:
        """Return the environment's name and, if it is of a kind that is counted, its number."""
        series = COUNTED.get(self.name)
        if series is None:
            return self.name.capitalize()
        counts = self.env.temp_data.setdefault("environments", {})
        counts[series] = counts.get(series, 0) + 1
        return f"{self.name.capitalize()} {counts[series]}"

    def target(self, name: str) -> list[nodes.Node]:
        """Return a place that ``{ref}`` finds under the label, and calls by the name."""
        label = self.options.get("label")
        if not label:
            return []
        place = nodes.target("", "", ids=[nodes.make_id(label)])
        domain = self.env.domains.standard_domain
        domain.note_hyperlink_target(label.lower(), self.env.docname, place["ids"][0], name)
        return [place]


def paragraph(block: nodes.Element, *, first: bool) -> nodes.paragraph:
    """Return the block's first or last child if it is a paragraph, else a new one in its place."""
    position = 0 if first else len(block) - 1
    found = block[position]
    if not isinstance(found, nodes.paragraph):
        found = nodes.paragraph()
        block.insert(0 if first else len(block), found)
    return found


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the environments."""
    for name in (*COUNTED, "proof"):
        app.add_directive(name, Environment)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
