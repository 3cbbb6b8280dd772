"""What unfolds without JavaScript: ``details`` elements, and the directive ``dropdown``."""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Details(nodes.General, nodes.Element):
    """What unfolds; the first child is its summary."""


class Summary(nodes.General, nodes.TextElement):
    """The line of a details node that is always seen."""


class Dropdown(SphinxDirective):
    """Fold what not every reader needs; the argument is the line that is always seen."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = {"class": directives.class_option}

    def run(self) -> list[nodes.Node]:
        """Return what unfolds."""
        self.assert_has_content()
        title, _ = self.state.inline_text(self.arguments[0], self.lineno)
        folded = Details(classes=["dropdown", *self.options.get("class", [])])
        folded += Summary("", "", *title)
        self.state.nested_parse(self.content, self.content_offset, folded)
        return [folded]


def visit_details(writer: nodes.NodeVisitor, node: nodes.Element) -> None:
    """Open a details element."""
    writer.body.append(writer.starttag(node, "details"))


def depart_details(writer: nodes.NodeVisitor, node: nodes.Element) -> None:
    """Close it."""
    writer.body.append("</details>\n")


def visit_summary(writer: nodes.NodeVisitor, node: nodes.Element) -> None:
    """Open a summary."""
    writer.body.append("<summary>")


def depart_summary(writer: nodes.NodeVisitor, node: nodes.Element) -> None:
    """Close it."""
    writer.body.append("</summary>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register nodes and directive."""
    app.add_node(Details, html=(visit_details, depart_details))
    app.add_node(Summary, html=(visit_summary, depart_summary))
    app.add_directive("dropdown", Dropdown)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
