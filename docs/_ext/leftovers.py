"""What no page of the site has any more is removed: pages, figures, downloads, words to search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.matching import get_matching_files

WITHOUT_SOURCE = {"search.html", "genindex.html", "py-modindex.html"}


def leftovers(app: Sphinx) -> Iterator[Path]:
    """Yield the files of pages that are no more, and figures and downloads that no page has."""
    site, env = Path(app.outdir), app.env
    pages = {f"{page}.html" for page in env.found_docs} | WITHOUT_SOURCE
    notebooks = {f"{page}.ipynb" for page in env.found_docs}
    images = {name for _, name in env.images.values()}
    downloads = {path.as_posix() for _, path in env.dlfiles.values()}
    own = {page.replace("/", "-") for page in env.found_docs}  # a notebook's figures: page-1.svg
    for name in get_matching_files(site, exclude_patterns=["_static/**", "binder/**"]):
        folder, _, rest = name.partition("/")
        if folder == "_images":
            stem = Path(rest).stem.rpartition("-")[0]
            card = f"{stem.removeprefix('card-')}.svg" if app.config.html_baseurl else ""
            is_left = not (rest in images or stem in own or card in images)
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


def sweep(app: Sphinx, error: Exception | None) -> None:
    """Remove them, and folders that are empty then."""
    if error is None and app.builder.format == "html":
        for path in list(leftovers(app)):
            path.unlink()
            while not any(path.parent.iterdir()):
                path = path.parent
                path.rmdir()


def forget_words(app: Sphinx) -> list[tuple[str, dict[str, object], str]]:
    """Take words that are on no page from the search index; no page is added."""
    index = getattr(app.builder, "indexer", None)
    for words in (index._mapping, index._title_mapping) if index else ():
        for word in [each for each, pages in words.items() if not pages]:
            del words[word]
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    """Sweep before others look at the pages that there are."""
    app.connect("html-collect-pages", forget_words)
    app.connect("build-finished", sweep, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
