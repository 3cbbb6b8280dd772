"""Numbers as a reader sees them: 8.9·10⁻¹⁶, −1.58, 16 000, 97 %."""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

THIN = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
PLAIN = (1e-3, 1e6)  # magnitudes that are written without a power of ten


def typeset(value: float, form: str = "", direction: int = 0) -> str:
    """Return a number, typeset.

    Parameters
    ----------
    value : float
        Any real number.
    form : str
        A format of Python's: "d", ".3f", ".1%", ".2g" … The last, significant digits, writes
        powers of ten only for numbers below 0.001 and from a million on. Without a format integers
        are written out, and other numbers with two significant digits.
    direction : int
        -1 rounds down, 1 up, 0 to the nearest. What twelve digits do not show counts as rounding
        errors of the value.

    Returns
    -------
    str
        With a true minus sign, and narrow spaces between thousands and before a per cent sign.

    Raises
    ------
    ValueError
        If the format does not fit the number.

    Examples
    --------
    >>> typeset(8.88e-16), typeset(-1.583, ".3g"), typeset(0.4554, ".0%")
    ('8.9·10⁻¹⁶', '−1.58', '46\u202f%')
    >>> typeset(0.928, ".0%", -1), typeset(0.921, ".0%", 1), typeset(0.3 - 1e-16, ".1f", -1)
    ('92\u202f%', '93\u202f%', '0.3')
    >>> typeset(16049.3), typeset(11689512), typeset(0.05, ".1g"), typeset(1e-5, ".1g")
    ('16\u202f000', '11\u202f689\u202f512', '0.05', '10⁻⁵')
    """
    if not math.isfinite(value):
        return str(value).replace("-", MINUS).replace("inf", "∞")
    whole = isinstance(value, int)
    try:
        if direction and not whole:
            value = rounded(value, form or ".2g", direction)
        if form.endswith("g") or not (form or whole):
            text = significant(value, int(form[:-1].lstrip(".") or 2) if form else 2)
        else:
            text = format(value, form or "d")
    except ValueError as error:
        raise ValueError(f"the format {form!r} does not fit {value!r} ({error})") from error
    return grouped(text).replace("-", MINUS).replace("%", f"{THIN}%")


def rounded(value: float, form: str, direction: int) -> float:
    """Return a number rounded down or up to the digits that a format shows."""
    exact = Decimal(f"{value:.12g}") * (100 if form.endswith("%") else 1)
    last = -int(form[:-1].lstrip(".") or 0)
    if form.endswith("g"):
        last += exact.adjusted() + 1
    unit = Decimal(1).scaleb(last)
    rounding = ROUND_FLOOR if direction < 0 else ROUND_CEILING
    steps = (exact / unit).to_integral_value(rounding)
    return float(steps * unit / (100 if form.endswith("%") else 1))


def significant(value: float, digits: int) -> str:
    """Return a number with so many significant digits."""
    if digits < 1:
        raise ValueError("at least one digit is needed")
    mantissa, _, exponent = format(value, f".{digits - 1}e").partition("e")
    power = int(exponent)
    if value == 0:
        return "0"
    if PLAIN[0] <= abs(float(f"{mantissa}e{power}")) < PLAIN[1]:
        return format(float(f"{mantissa}e{power}"), f".{max(0, digits - 1 - power)}f")
    raised = f"10{str(power).translate(RAISED)}"
    return raised if mantissa == "1" else f"{mantissa}·{raised}"


def grouped(text: str) -> str:
    """Return a number's text with its thousands set apart, from five digits on."""
    return re.sub(r"(?<![\d.])\d{5,}", lambda found: f"{int(found[0]):,}".replace(",", THIN), text)
