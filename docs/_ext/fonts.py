"""The faces of the text, from the npm packages that ``package-lock.json`` pins: site and figures.

The site gets woff2 subsets. Matplotlib reads neither woff nor woff2, so figures get the same faces
unpacked.
"""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from npm_packages import missing
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

PACKAGES = Path(__file__).resolve().parents[1] / "node_modules" / "@fontsource"
UNPACKED = Path(__file__).resolve().parents[1] / "_build" / "faces"
SITE = (
    "source-serif-4-latin-400-normal",
    "source-serif-4-latin-400-italic",
    "source-serif-4-greek-400-normal",
    "source-sans-3-latin-400-normal",
    "source-sans-3-latin-600-normal",
)
FIGURES = (
    "source-sans-3-latin-400-normal",
    "source-sans-3-latin-600-normal",
    "source-sans-3-greek-400-normal",
    "source-sans-3-greek-600-normal",
)


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
        font = TTFont(file_of(face, "woff"))
        family = "Source Sans 3" if "latin" in face else "Source Sans 3 Greek"
        for record in font["name"].names:
            if record.nameID in (1, 16):
                record.string = family
        if "600" in face:
            font["OS/2"].usWeightClass = 700  # or matplotlib warns that it found no bold
        font["hhea"].ascent = font["OS/2"].sCapHeight  # by which matplotlib centres a label
        font.flavor = None
        part = path.with_suffix(f".{os.getpid()}.part")
        font.save(part)
        part.replace(path)
        fontManager.addfont(path)
        families.append(family)
    return [*dict.fromkeys(families), "DejaVu Sans"]


def copy_faces(app: Sphinx, error: Exception | None) -> None:
    """Copy the faces of the text into the site."""
    if error is None and app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "fonts"
        target.mkdir(parents=True, exist_ok=True)
        for face in SITE:
            shutil.copy2(file_of(face, "woff2"), target)


def setup(app: Sphinx) -> dict[str, bool]:
    """Copy the faces when all pages are there."""
    app.connect("build-finished", copy_faces)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
