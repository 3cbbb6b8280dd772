"""The page of a gallery script: the figure first, the code that draws it folded, claims linked."""

from __future__ import annotations

import re

from docutils import nodes
from evidence import link_to, link_to_card
from folds import Details, Summary
from gallery import GALLERY
from sphinx.application import Sphinx

FOOTER = "sphx-glr-footer"  # the downloads
DRAWS = re.compile(r"\bplt\.(subplots|figure)\(")


def arrange(app: Sphinx, doctree: nodes.document) -> None:
    """Put a script's first figure under its first paragraph, fold what draws, link its claims."""
    docname = app.env.docname
    if not (docname.startswith(GALLERY) and "/plot_" in docname):
        return
    for literal in list(doctree.findall(nodes.literal)):
        if literal.astext() in app.env.hw2lib_claims:
            id = literal.astext()
            literal.parent.replace(literal, link_to_card(id, docname, nodes.literal("", id)))
    for block in list(doctree.findall(nodes.literal_block)):
        if DRAWS.search(block.astext()):
            folded = Details(classes=["plotting"])
            block.parent.replace(block, folded)
            folded += [Summary("", "The code that draws"), block]
    page = next(doctree.findall(nodes.section))
    first = next(page.findall(nodes.paragraph))
    images = list(doctree.findall(nodes.image))[:2]  # for light and dark grounds
    for image in images:
        image.parent.remove(image)
    place = page.index(first) + 1
    page[place:place] = images
    footer = next(each for each in page.findall(nodes.container) if FOOTER in each["classes"])
    how = link_to("run-it", docname, nodes.inline("", "how to install it"))
    needs = nodes.paragraph("", "", nodes.Text("The script needs hw2lib: "), how, classes=["needs"])
    footer.parent.insert(footer.parent.index(footer) + 1, needs)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the arrangement."""
    app.connect("doctree-read", arrange)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
