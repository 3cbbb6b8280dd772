"""What a hosted site has besides: run buttons, links to the sources, an address and a card a page.

Two variables of the environment switch it on. ``REPOSITORY_URL`` is the project on GitHub, with
``/tree/<branch>`` if its branch is not main; ``SITE_URL`` is where the site will stand.
"""

from __future__ import annotations

import functools
import os
import posixpath
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import course
import nbformat
from docutils import nodes
from gallery import GALLERY, write_atomically
from notfound.utils import replace_uris
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?(?:/tree/(\S+?))?/?")
PUBLISHED = "gh-pages"  # the branch from which the site is served, with all notebooks in it
CPU = "--extra-index-url https://download.pytorch.org/whl/cpu"  # not gigabytes for a GPU
PYTHON = "python-3.12"  # Binder's own is older than what hw2lib needs
ROLE = re.compile(r":doc:`/([^`]+)`")
NOTEBOOK = re.compile(r'href="([^"]+\.ipynb)"')
HEADING = "</h1>"
BOOK = Path(__file__).resolve().parents[1] / "_build" / "book" / f"{course.FILE}.pdf"
ZIP = f"{course.FILE}.zip"


class Repository(NamedTuple):
    """A repository on GitHub."""

    owner: str
    name: str
    branch: str

    @property
    def requirement(self) -> str:
        """What pip installs."""
        return f"hw2lib[examples] @ git+https://github.com/{self.owner}/{self.name}@{self.branch}"

    def links_to(self, source: str) -> list[tuple[str, str]]:
        """Return names and addresses of links to one of its files."""
        home = f"https://github.com/{self.owner}/{self.name}"
        return [
            ("View the source", f"{home}/blob/{self.branch}/{source}"),
            ("Suggest an edit", f"{home}/edit/{self.branch}/{source}"),
        ]

    def links_to_run(self, notebook: str) -> list[tuple[str, str]]:
        """Return names and addresses of links that open a notebook of the published site."""
        place = f"{self.owner}/{self.name}"
        path = quote(unquote(notebook))  # as a page links to it, it is quoted already
        return [
            (
                "Run in Colab",
                f"https://colab.research.google.com/github/{place}/blob/{PUBLISHED}/{path}",
            ),
            ("Run in Binder", f"https://mybinder.org/v2/gh/{place}/{PUBLISHED}?labpath={path}"),
        ]


def repository(address: str | None) -> Repository | None:
    """Return the repository at an address, or nothing if none is given.

    Examples
    --------
    >>> repository("https://github.com/someone/homework")
    Repository(owner='someone', name='homework', branch='main')
    >>> repository("https://github.com/someone/homework/tree/fall")[2]
    'fall'
    """
    if not address:
        return None
    found = ADDRESS.fullmatch(address)
    if not found:
        raise ExtensionError(
            "REPOSITORY_URL must be like https://github.com/owner/name or "
            f"https://github.com/owner/name/tree/branch, got {address!r}"
        )
    owner, name, branch = found.groups()
    return Repository(owner, name, branch or "main")


def naming_pages(markdown: str, titles: Mapping[str, str], home: str) -> str:
    """Return Markdown in which references to pages are titles, and links if the site has a home.

    Examples
    --------
    >>> naming_pages("See :doc:`/a/b`.", {"a/b": "The page"}, "")
    'See “The page”.'
    >>> naming_pages("See :doc:`/a/b`.", {"a/b": "The page"}, "https://a.example/")
    'See [The page](https://a.example/a/b.html).'
    """

    def name(match: re.Match[str]) -> str:
        title = titles[match[1]]
        return f"[{title}]({home}{match[1]}.html)" if home else f"“{title}”"

    return ROLE.sub(name, markdown)


def readable(notebook: str, app: Sphinx) -> str:
    """Return a notebook, as JSON, that names the site's pages instead of referring to them."""
    if ":doc:" not in notebook:
        return notebook
    content = nbformat.reads(notebook, as_version=4)
    titles = {page: title.astext() for page, title in app.env.titles.items()}
    for cell in content.cells:
        if cell.cell_type == "markdown":
            cell.source = naming_pages(cell.source, titles, app.config.html_baseurl)
    return nbformat.writes(content)


def installing(notebook: str, source: Repository | None) -> str:
    """Return a notebook, as JSON, with a first cell that installs hw2lib if that has a source."""
    if source is None or source.requirement in notebook:
        return notebook
    content = nbformat.reads(notebook, as_version=4)
    cell = nbformat.v4.new_code_cell(
        "# This installs hw2lib, which computes and draws here, from the project's repository.\n"
        f'%pip install --quiet "{source.requirement}"',
        id="install-hw2lib",
    )
    if content.nbformat_minor < 5:  # Sphinx-Gallery's, whose cells have no ids
        del cell["id"]
    content.cells.insert(0, cell)
    return nbformat.writes(content)


def source_of(app: Sphinx, page: str) -> str | None:
    """Return the file in the repository from which a page is made, if a person wrote it."""
    if not page.startswith(f"{GALLERY}/"):
        path = Path(app.env.doc2path(page))
        return path.relative_to(Path(app.srcdir).parent).as_posix() if path.is_file() else None
    if page.rpartition("/")[2].startswith("plot_"):
        return f"examples/{page.removeprefix(f'{GALLERY}/')}.py"
    return None


def add_links(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give a page its links to the source, and run buttons if it has a notebook."""
    found = repository(app.config.hw2lib_repository)
    if found is None or doctree is None:
        return
    source = source_of(app, page)
    context["source_links"] = found.links_to(source) if source else []
    notebook = NOTEBOOK.search(context["body"])
    if notebook and ("/plot_" in page or page == "solutions/5-adversarial"):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), notebook[1]))
        buttons = " ".join(
            f'<a class="run" href="{address}">{name}</a>'
            for name, address in found.links_to_run(path)
        )
        context["body"] = context["body"].replace(
            HEADING, f'{HEADING}\n<p class="run-buttons">{buttons}</p>', 1
        )


def lead_from_any_address(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Let links in the text of the page for missing addresses begin at the site's root.

    Its extension does so for its images, its style and the menu alone.
    """
    if page == app.config.notfound_pagename:
        replace_uris(app, doctree, nodes.reference, "refuri")


def add_downloads(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Offer the book and the zip on the landing page, if there are any."""
    if page == app.config.root_doc:
        home = app.config.html_baseurl
        context["downloads"] = [(name, home + file) for name, file in app.config.hw2lib_downloads]


def pack(files: Mapping[str, bytes], target: Path) -> None:
    """Write files as a zip, always the same bytes for the same files."""
    part = target.with_suffix(".part")
    with ZipFile(part, "w") as archive:
        for name, content in sorted(files.items()):
            archive.writestr(ZipInfo(name), content, ZIP_DEFLATED, compresslevel=9)
    part.replace(target)


def repack(target: Path, complete: Callable[[str], str]) -> None:
    """Write a zip of the gallery's anew, its notebooks complete."""
    with ZipFile(target) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for name in files:
        if name.endswith(".ipynb"):
            files[name] = complete(files[name].decode()).encode()
    pack(files, target)


def write_downloads(app: Sphinx, error: Exception | None) -> None:
    """Put the book beside the pages, and all of them into a zip to read without a network."""
    if error is not None or app.builder.format != "html":
        return
    site, offers = Path(app.outdir), {file for _, file in app.config.hw2lib_downloads}
    for former in (*site.glob("*.pdf"), *site.glob("*.zip"), *site.glob("*.part")):
        former.unlink()
    if ZIP in offers:
        paths = {path.relative_to(site).as_posix(): path for path in site.rglob("*")}
        files = {f"{course.FILE}/{name}": path for name, path in paths.items() if path.is_file()}
        pack({name: path.read_bytes() for name, path in files.items()}, site / ZIP)
    if BOOK.name in offers:
        shutil.copy2(BOOK, site)


def offered() -> list[tuple[str, str]]:
    """Return names and files of what there is to download."""
    book = [("PDF", BOOK.name)] if BOOK.is_file() else []
    return [*book, *([("Zip, to read offline", ZIP)] if os.environ.get("SITE_URL") else [])]


def write_for_hosts(app: Sphinx, error: Exception | None) -> None:
    """Complete the notebooks, and write what GitHub Pages and Binder look for."""
    if error is not None or app.builder.format != "html":
        return
    site, found = Path(app.outdir), repository(app.config.hw2lib_repository)

    @functools.cache  # each lies in a zip, too
    def complete(notebook: str) -> str:
        return installing(readable(notebook, app), found)

    for path in site.glob("_downloads/*/*.zip"):
        repack(path, complete)
    for path in site.rglob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        if (completed := complete(text)) != text:
            write_atomically(path, completed)
    (site / ".nojekyll").unlink(missing_ok=True)
    shutil.rmtree(site / "binder", ignore_errors=True)
    if found:
        (site / ".nojekyll").touch()
        (site / "binder").mkdir()
        for name, lines in {
            "requirements.txt": (CPU, found.requirement),
            "runtime.txt": (PYTHON,),
        }.items():
            (site / "binder" / name).write_text("\n".join([*lines, ""]), encoding="utf-8")


def check_address(app: Sphinx, config: Config) -> None:
    """Refuse addresses that are none before any work: pages would lead nowhere."""
    repository(config.hw2lib_repository)
    address = urlsplit(config.html_baseurl)
    if config.html_baseurl and not (address.scheme in ("http", "https") and address.netloc):
        raise ExtensionError(
            f"SITE_URL must be like https://owner.github.io/name/, got {config.html_baseurl!r}"
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the links."""
    app.connect("config-inited", check_address)
    app.add_config_value("hw2lib_repository", os.environ.get("REPOSITORY_URL", ""), "html", str)
    app.add_config_value("hw2lib_downloads", offered(), "html", list)
    app.connect("doctree-resolved", lead_from_any_address)
    app.connect("html-page-context", add_links)
    app.connect("html-page-context", add_downloads)
    app.connect("build-finished", write_for_hosts, priority=800)  # when all notebooks are there
    app.connect("build-finished", write_downloads, priority=950)  # when all files are
    return {"parallel_read_safe": True, "parallel_write_safe": True}
