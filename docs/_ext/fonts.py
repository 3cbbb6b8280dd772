"""The faces of text and formulas, from the npm packages that ``package-lock.json`` pins.

The site gets them as woff2, with the glyphs that it shows alone and without instructions for
coarse screens: half of their size. Matplotlib reads neither woff nor woff2, so figures get the
faces of the text unpacked.
"""

from __future__ import annotations

import json
import logging
import os
import re
import string
from collections.abc import Iterable
from functools import cache
from html import unescape
from io import BytesIO
from pathlib import Path

from katex import DIST as FORMULAS
from npm_packages import missing
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

DOCS = Path(__file__).resolve().parents[1]
PACKAGES = DOCS / "node_modules" / "@fontsource"
UNPACKED = DOCS / "_build" / "faces"
SITE = (
    "source-serif-4-latin-400-normal",
    "source-serif-4-latin-400-italic",
    "source-serif-4-latin-ext-400-normal",
    "source-serif-4-greek-400-normal",
    "source-serif-4-greek-400-italic",
    "source-sans-3-latin-400-normal",
    "source-sans-3-latin-600-normal",
    "source-sans-3-greek-400-normal",
    "source-sans-3-greek-600-normal",
)
FIGURES = (
    "source-sans-3-latin-400-normal",
    "source-sans-3-latin-600-normal",
    "source-sans-3-greek-400-normal",
    "source-sans-3-greek-600-normal",
)
TAG = re.compile(r"<[^>]*>")
IN_FONT = {  # what only certain classes of KaTeX's show
    "Main-Bold": ("mathbf", "textbf"),
    "Caligraphic-Regular": ("mathcal",),
    "AMS-Regular": ("mathbb", "textbb", "amsrm"),
    "Fraktur-Regular": ("mathfrak", "textfrak"),
    "Script-Regular": ("mathscr", "textscr"),
    "SansSerif-Regular": ("mathsf", "textsf"),
    "Typewriter-Regular": ("mathtt", "texttt"),
}
FONT_OF = {name: font for font, names in IN_FONT.items() for name in names}
STYLED = re.compile(rf'class="[^"]*?\b({"|".join(FONT_OF)})\b[^"]*"[^>]*>([^<]*)<')
FONT_FILE = re.compile(r"fonts/([\w-]+)\.woff2")  # in KaTeX's style


def file_of(face: str, kind: str) -> Path:
    """Return the file of a face in its package."""
    package = "-".join(face.split("-")[:3])
    path = PACKAGES / package / "files" / f"{face}.{kind}"
    if not path.is_file():
        raise ExtensionError(missing(f"the face {face}"))
    return path


@cache
def use_in_figures(folder: Path = UNPACKED) -> list[str]:
    """Unpack the faces of the figures, make matplotlib know them, and return their family names."""
    from fontTools.ttLib import TTFont
    from matplotlib.font_manager import fontManager

    folder.mkdir(parents=True, exist_ok=True)
    families = []
    for face in FIGURES:
        path = folder / f"{face}.ttf"
        font = TTFont(file_of(face, "woff"), recalcTimestamp=False)
        family = "Source Sans 3" if "latin" in face else "Source Sans 3 Greek"
        for record in font["name"].names:
            if record.nameID in (1, 16):
                record.string = family
        if "600" in face:
            font["OS/2"].usWeightClass = 700  # or matplotlib warns that it found no bold
        font["hhea"].ascent = font["OS/2"].sCapHeight  # by which matplotlib centres a label
        font.flavor = None
        unpacked = BytesIO()
        font.save(unpacked)
        if not path.is_file() or path.read_bytes() != unpacked.getvalue():  # others may read it
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(unpacked.getvalue())
            part.replace(path)
        fontManager.addfont(path)
        families.append(family)
    return [*dict.fromkeys(families), "DejaVu Sans"]


def characters(pages: Iterable[Path]) -> dict[str, str]:
    """Return the characters that some pages show: by font, "" for those in any other font."""
    shown: dict[str, set[str]] = {font: set() for font in ("", *IN_FONT)}
    for page in pages:
        html = page.read_text(encoding="utf-8")
        shown[""].update(unescape(TAG.sub("", html)))
        for name, text in STYLED.findall(html):
            shown[FONT_OF[name]].update(unescape(text))
    return {font: "".join(sorted(found)) for font, found in shown.items()}


def written_by_scripts() -> str:
    """Return the characters that may appear on a page later: what is typed, explorables' labels."""
    sources = (DOCS / "explorables").rglob("*.ts")
    labels = "".join(source.read_text(encoding="utf-8") for source in sources)
    return "".join(sorted({*string.printable, *labels}))


def fonts_of_formulas() -> list[Path]:
    """Return the files of the fonts that KaTeX's style names."""
    style = (FORMULAS / "katex.min.css").read_text(encoding="utf-8")
    files = [FORMULAS / "fonts" / f"{name}.ttf" for name in sorted(set(FONT_FILE.findall(style)))]
    for file in files:
        if not file.is_file():
            raise ExtensionError(missing(f"KaTeX's font {file.name}"))
    return files


def write_font(source: Path, target: Path, text: str) -> None:
    """Write a font as woff2, with the glyphs of a text alone."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    logging.getLogger("fontTools").setLevel(logging.ERROR)  # of dates in the font
    font = TTFont(source, recalcTimestamp=False)
    subsetter = Subsetter(Options(layout_features=["*"], hinting=False))
    subsetter.populate(text=text)
    subsetter.subset(font)
    font.flavor = "woff2"
    part = target.with_suffix(".part")
    font.save(part)
    os.replace(part, target)


def write_fonts(pages: list[Path], static: Path) -> None:
    """Write the fonts for the pages of a site, if pages are new and show other characters.

    The list of characters is written last: an interruption before it writes the fonts once more.
    """
    stamp = static / "fonts" / "characters.txt"
    if stamp.is_file() and stamp.stat().st_mtime > max(page.stat().st_mtime for page in pages):
        return
    shown, more = characters(pages), written_by_scripts()
    packages = (FORMULAS.parent, *{file_of(face, "woff2").parents[1] for face in SITE})
    versions = {
        package.name: json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
        for package in sorted(packages)
    }
    content = json.dumps(versions | shown | {"more": more}, ensure_ascii=False, indent=0)
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != content:
        for face in SITE:
            target = static / "fonts" / f"{face}.woff2"
            write_font(file_of(face, "woff2"), target, shown[""] + more)
        for source in fonts_of_formulas():
            text = shown.get(source.stem.removeprefix("KaTeX_"), shown[""])
            target = static / "katex" / "fonts" / f"{source.stem}.woff2"
            target.unlink(missing_ok=True)
            if text:
                write_font(source, target, text)
    stamp.write_text(content, encoding="utf-8")


def add_fonts(app: Sphinx, error: Exception | None) -> None:
    """Write the fonts of a site into it."""
    if error is None and app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        for folder in (static / "fonts", static / "katex" / "fonts"):
            folder.mkdir(parents=True, exist_ok=True)
        pages = [Path(app.builder.get_outfilename(page)) for page in app.env.found_docs]
        write_fonts(pages, static)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the fonts when all pages are there."""
    app.connect("build-finished", add_fonts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
