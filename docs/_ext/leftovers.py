"""What no page of the site has any more is removed: pages, figures, downloads, words to search."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from myst_nb.core.read import is_myst_markdown_notebook
from sharing import name_of_card
from sphinx.application import Sphinx
from sphinx.util.index_entries import split_index_msg
from sphinx.util.matching import get_matching_files

WITHOUT_SOURCE = {"search.html", "genindex.html", "py-modindex.html"}


def leftovers(app: Sphinx) -> Iterator[Path]:
    """Yield the files of pages that are no more, and figures and downloads that no page has."""
    site, env = Path(app.outdir), app.env
    pages = {f"{page}.html" for page in env.found_docs} | WITHOUT_SOURCE
    texts = {page for page in env.found_docs if is_notebook(Path(env.doc2path(page)))}
    notebooks = {f"{page}.ipynb" for page in texts}
    images = {name for _, name in env.images.values()}
    images |= {name for page in texts for name in pictures_of(site / f"{page}.html")}
    figures = [Path(app.srcdir) / uri for uri in env.images if uri.endswith(".svg")]
    cards = {name_of_card(figure) for figure in figures} if app.config.html_baseurl else set()
    downloads = {path.as_posix() for _, path in env.dlfiles.values()}
    for name in get_matching_files(site, exclude_patterns=["_static/**", "binder/**"]):
        folder, _, rest = name.partition("/")
        if folder == "_images":
            is_left = rest not in images | cards
        elif folder == "_downloads":
            is_left = rest not in downloads
        elif name == ".buildinfo.bak":
            is_left = True
        elif name == "sitemap.xml":
            is_left = not app.config.html_baseurl
        else:
            is_left = name.endswith((".html", ".ipynb")) and name not in pages | notebooks
        if is_left:
            yield site / name


def is_notebook(source: Path) -> bool:
    """Tell whether a page's source is a text notebook."""
    return source.suffix == ".md" and is_myst_markdown_notebook(source.read_text(encoding="utf-8"))


def pictures_of(page: Path) -> list[str]:
    """Return the names of the pictures that a written page shows."""
    return re.findall(r'_images/([^"]+)"', page.read_text(encoding="utf-8"))


def sweep(app: Sphinx, error: Exception | None) -> None:
    """Remove them, and folders that are empty then."""
    if error is None and app.builder.format == "html":
        for path in list(leftovers(app)):
            path.unlink()
            while not any(path.parent.iterdir()):
                path = path.parent
                path.rmdir()


def mend_search(app: Sphinx) -> list[tuple[str, dict[str, object], str]]:
    """Make the search index that of a clean build; no page is added.

    Sphinx keeps words that are on no page, forgets the index entries of pages that it does not
    write again, and lists pages in the order in which they were written.
    """
    search = getattr(app.builder, "indexer", None)
    if search is None:
        return []
    for words in (search._mapping, search._title_mapping):
        for word in [each for each, pages in words.items() if not pages]:
            del words[word]
    for page, entries in app.env.domains.index_domain.entries.items():
        parts = {
            (part, target or "", main)
            for kind, value, target, main, _ in entries
            for part in split_index_msg(kind, value)
        }
        search._index_entries.setdefault(page, sorted(parts))
    for page in sorted(search._index_entries):
        search._index_entries[page] = search._index_entries.pop(page)
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    """Sweep before others look at the pages that there are."""
    app.connect("html-collect-pages", mend_search)
    app.connect("build-finished", sweep, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
