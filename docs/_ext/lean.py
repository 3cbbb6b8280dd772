"""Pages load the style sheets and scripts that they use, and no others."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

NEEDED_BY = {  # the beginning of a file's name: the beginning of the pages that use it
    "sg_": "auto_examples",
    "sg-": "auto_examples",
    "mystnb": "solutions/5-adversarial",
}


def leave_out(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Take from a page's list the files that only others use."""
    for kind in ("css_files", "script_files"):
        context[kind] = [file for file in context.get(kind, []) if is_used(file, page)]


def is_used(file: Any, page: str) -> bool:
    """Say whether a page uses a file of the lists that Sphinx keeps."""
    name = str(getattr(file, "filename", "")).rpartition("/")[2]
    return all(
        page.startswith(pages) for start, pages in NEEDED_BY.items() if name.startswith(start)
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the choice, after every extension has added its files."""
    app.connect("html-page-context", leave_out, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
