"""The reference of hw2lib: a list a module, links to claims, and to the scripts of a function."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MANY = 12  # scripts that use a function; their list would say nothing
CLAIM_ID = re.compile(r"(?<!\")\b\d[a-z]?-[\w-]+")


class ModuleTable(SphinxDirective):
    """Say what a module holds, and list its public names: ``.. module-table:: hw2lib.x``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the module's docstring and a definition list whose terms are links."""
        module = importlib.import_module(self.arguments[0])
        described = nodes.Element()
        text = StringList((inspect.getdoc(module) or "").splitlines(), module.__name__)
        self.state.nested_parse(text, 0, described)
        self.env.ref_context["py:module"] = module.__name__  # what the first sentences refer to
        table = nodes.definition_list(classes=["module-table"])
        for name in filter(lambda name: callable(getattr(module, name)), module.__all__):
            link = addnodes.pending_xref(
                "", nodes.literal("", name), refdomain="py", reftype="obj", refexplicit=True,
                reftarget=f"{module.__name__}.{name}", refdoc=self.env.docname, refwarn=True,
            )  # fmt: skip
            table += entry(self, link, getattr(module, name))
        return [*described.children, table]


class Modules(SphinxDirective):
    """List the modules named with what each holds: ``.. modules:: resnet dropout``."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return a definition list whose terms are links to the modules' pages."""
        table = nodes.definition_list(classes=["module-table"])
        for name in self.arguments[0].split():
            module = importlib.import_module(f"hw2lib.{name}")
            link = addnodes.pending_xref(
                "", nodes.literal("", module.__name__), refdomain="std", reftype="doc",
                reftarget=name, refdoc=self.env.docname, refexplicit=True, refwarn=True,
            )  # fmt: skip
            table += entry(self, link, module)
        return [table]


def entry(directive: SphinxDirective, link: nodes.Node, described: Any) -> nodes.Node:
    """Return an item of a definition list: a link to an object, and its first sentence."""
    first = (inspect.getdoc(described) or "").split("\n\n")[0]
    text, _ = directive.state.inline_text(" ".join(first.split()), directive.lineno)
    body = nodes.definition("", nodes.paragraph("", "", *text))
    return nodes.definition_list_item("", nodes.term("", "", link), body)


def leave_to_table(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Do not say again under a module's table what stands above it."""
    if what == "module":
        lines.clear()


def link_claims(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Link the claims that a docstring names, above its examples."""
    claims = app.env.hw2lib_claims
    for number, line in enumerate(lines):
        if line == "Examples":
            break
        lines[number] = CLAIM_ID.sub(
            lambda match: f":claim:`{match[0]}`" if match[0] in claims else match[0], line
        )


def link_scripts(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Add to an object's reference the gallery scripts that use it."""
    backreferences = Path(app.srcdir) / app.config.sphinx_gallery_conf["backreferences_dir"]
    scripts = backreferences / f"{name}.examples"
    if what in ("function", "class") and scripts.is_file():  # Sphinx-Gallery makes an empty one
        app.env.note_dependency(scripts)
        found = dict.fromkeys(re.findall(r":doc:`(.+?)`", scripts.read_text(encoding="utf-8")))
        if found:
            items = [f"* :doc:`{script}`" for script in found]
            if len(found) > MANY:
                items = [f"{len(found)} scripts of the :doc:`gallery </auto_examples/index>`."]
            lines += ["", ".. rubric:: Used in", "", *items, ""]


def skip_fields(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the fields of named tuples, whose docstrings say nothing."""
    return True if (getattr(obj, "__doc__", "") or "").startswith("Alias for field") else None


def make_readable(
    app: Sphinx, kind: str, name: str, obj: Any, options: Any, signature: str | None, returned: Any
) -> tuple[str | None, Any] | None:
    """Let Sphinx read a signature whose default is made by a factory; it would show it raw."""
    if signature is None or "<factory>" not in signature:
        return None
    return signature.replace("<factory>", "{}"), returned


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and the links, claims before numpydoc takes docstrings apart."""
    app.setup_extension("sphinx.ext.autodoc")  # which knows the events
    app.add_directive("module-table", ModuleTable)
    app.add_directive("modules", Modules)
    app.connect("autodoc-process-signature", make_readable)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-docstring", leave_to_table)
    app.connect("autodoc-process-docstring", link_claims, priority=100)
    app.connect("autodoc-process-docstring", link_scripts, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
