"""The size of an SVG, apart from what draws it: a site asks for it without torch and matplotlib."""

from __future__ import annotations

import re


def svg_size(svg: str) -> tuple[int, int]:
    """Return an SVG's width and height, which a page needs before it has the picture.

    Parameters
    ----------
    svg : str
        The source; it has a ``viewBox``, as those of matplotlib have.

    Returns
    -------
    width, height : int
        In the SVG's own units, rounded.

    Raises
    ------
    TypeError, ValueError
        If `svg` is not a string, or has no ``viewBox``.

    References
    ----------
    W3C, "Scalable Vector Graphics (SVG) 2", section 8.6.

    Examples
    --------
    >>> svg_size('<svg viewBox="0 0 374.4 259.2">')
    (374, 259)
    """
    if not isinstance(svg, str):
        raise TypeError(f"svg must be of type str, got {type(svg).__name__}")
    found = re.search(r"""(?<![\w-])viewBox\s*=\s*["']([^"']*)["']""", svg)
    try:
        _, _, width, height = map(float, re.split(r"[\s,]+", found[1].strip() if found else ""))
        size = round(width), round(height)
        if min(size) <= 0:
            raise ValueError("an SVG of no size")
        return size
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"svg must have a viewBox of four numbers, the last two positive, got {svg[:60]!r}"
        ) from error
