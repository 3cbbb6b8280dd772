"""Pages load the style sheets and scripts that they use, and no others."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SIGN_OF_USE = {  # the beginning of a file's name: what stands in a page that uses it
    "sg_": 'class="sphx-glr',
    "sg-": 'class="sphx-glr',
    "mystnb": 'class="cell',
    "katex": 'class="katex',
    "pygments": 'class="highlight',
    "copybutton": 'class="highlight',
    "clipboard": 'class="highlight',
}


def leave_out(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Take from a page's list the files that only others use."""
    body = context.get("body", "")
    for kind in ("css_files", "script_files"):
        context[kind] = [file for file in context.get(kind, []) if is_used(file, body)]


def is_used(file: Any, body: str) -> bool:
    """Say whether a page uses a file of the lists that Sphinx keeps."""
    name = str(getattr(file, "filename", "")).rpartition("/")[2]
    return all(sign in body for start, sign in SIGN_OF_USE.items() if name.startswith(start))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the choice, after every extension has added its files."""
    app.connect("html-page-context", leave_out, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
