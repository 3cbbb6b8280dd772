"""Pages load one style sheet, and of other style sheets and scripts only those that they use.

What nearly every page needs is joined in one file, or a reader would wait for seven. Nothing is
written into a page or a style sheet that a strict Content-Security-Policy would refuse.
"""

from __future__ import annotations

import re
import shutil
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import furo
import myst_nb
import sphinx_copybutton
from docutils import nodes
from katex import DIST
from sphinx.application import Sphinx

THEME = Path(furo.__file__).parent / "theme" / "furo" / "static"
NOTEBOOKS = Path(myst_nb.__file__).parent / "static" / "mystnb.css"
STATIC = Path(__file__).resolve().parents[1] / "_static"
JOINED = {  # the name by which a page would load it: where it comes from
    "styles/furo.css": THEME / "styles" / "furo.css",
    "katex/katex.min.css": DIST / "katex.min.css",
    "copybutton.css": Path(sphinx_copybutton.__file__).parent / "_static" / "copybutton.css",
    "styles/furo-extensions.css": THEME / "styles" / "furo-extensions.css",
    "site.css": STATIC / "site.css",
    "explorables.css": STATIC / "explorables.css",
}
SIGN_OF_USE = {  # the beginning of a file's name: what stands in a page that uses it
    "sg_": 'class="sphx-glr',
    "sg-": 'class="sphx-glr',
    "sg_gallery-binder": 'class="binder',
    "sg_gallery-dataframe": 'class="dataframe',
    "sg_gallery-rendered": "rendered_html",
    "mystnb": 'class="cell',
    "copybutton": 'class="highlight',
    "clipboard": 'class="highlight',
    "explorables": 'class="explorable',
}
POLICY = (  # "file:" for a site that is read from a disk, KaTeX's attributes need the last
    "default-src 'self' file:; img-src 'self' file: data:; style-src 'self' file:; "
    "style-src-attr 'unsafe-inline'"
)
NO_TAGS = "<div id='sg-tag-list' class='sphx-glr-tag-list'></div>"  # several on a page, all empty
SIGNS = re.compile("[\u2016\u2113\u2190-\u22ff\u27e8\u27e9]")  # come from the face of formulas
URL = re.compile(r"url\(([\"']?)(?!data:|[\"'])")
DRAWN = re.compile(r"url\(([\"'])data:image/svg\+xml;charset=utf-8,(.*?)\1\)")


def joined_styles() -> str:
    """Return one style sheet; addresses in it are relative to ``_static``."""
    parts = [furo.get_pygments_stylesheet()]
    for name, path in JOINED.items():
        folder = name.rpartition("/")[0]
        prefix = rf"url(\1{folder}/" if folder else r"url(\1"
        parts.append(URL.sub(prefix, path.read_text(encoding="utf-8")))
    return "\n".join(part.partition("/*# sourceMappingURL")[0] for part in parts)


def write_styles(app: Sphinx) -> None:
    """Write the style sheet, and the pictures in it, where Sphinx takes static files from."""
    if app.builder.format != "html":
        return
    folder, styles = folder_of_styles(app), joined_styles()
    for former in (*folder.glob("icon-*.svg"), *folder.glob("mystnb.*.css")):
        former.unlink()
    for name, picture in pictures(styles).items():
        (folder / name).write_text(picture, encoding="utf-8")
    for name, _ in app.registry.css_files:  # MyST-NB writes its own too late for a checksum
        if name.startswith("mystnb."):
            shutil.copyfile(NOTEBOOKS, folder / name)
    named = DRAWN.sub(lambda match: f"url({name_of(match[2])})", styles)
    (folder / "styles.css").write_text(named, encoding="utf-8")


def pictures(styles: str) -> dict[str, str]:
    """Return the SVGs that stand in a style sheet, by the names of their files."""
    return {name_of(match[2]): unquote(match[2]) for match in DRAWN.finditer(styles)}


def name_of(picture: str) -> str:
    """Return the file name of a picture in a style sheet."""
    return f"icon-{zlib.crc32(picture.encode()):08x}.svg"


def folder_of_styles(app: Sphinx) -> Path:
    """Return the folder of the style sheet: one of ``html_static_path``."""
    return Path(app.srcdir) / "_build" / "static"


def leave_out(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Take what only other pages use from a page and its lists; scripts need not be waited for."""
    context["policy"] = POLICY
    if "body" in context:
        context["body"] = context["body"].replace(NO_TAGS, "")
    body = context.get("body", "")
    context["has_signs"] = bool(SIGNS.search(body))
    context["begins_with_italics"] = "<em>" in body.partition("</figure>")[0]
    for kind in ("css_files", "script_files"):
        context[kind] = [file for file in context.get(kind, []) if is_used(file, body)]
    for script in context["script_files"]:
        script.attributes["defer"] = None if template == "search.html" else "defer"  # it calls them


def is_used(file: Any, body: str) -> bool:
    """Say whether a page uses a file of the lists that Sphinx keeps."""
    path = str(getattr(file, "filename", "")).removeprefix("_static/")
    name = path.rpartition("/")[2]
    if path in JOINED or name == "pygments.css":
        return False
    return all(sign in body for start, sign in SIGN_OF_USE.items() if name.startswith(start))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both, after the theme and every extension have added their files."""
    folder_of_styles(app).mkdir(parents=True, exist_ok=True)
    app.connect("builder-inited", write_styles, priority=900)
    app.connect("html-page-context", leave_out, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
