"""Solution 1(d): ridge regression on a line."""

from collections.abc import Sequence
from typing import Any

import torch

from hw2lib.normalization import ridge
from models import Comparison, Random


def regression(random: Random) -> Sequence[Any]:
    """Return points, a penalty, and whether it is on the intercept too.

    Now and then there is one point, or all lie on a line: upright, level, or through the origin.
    """
    x, y = random.normal(random.uniform(-8, 8), 1, (2, random.integers(1, 30)))
    kind = random.integers(5)
    if kind == 0:
        x = 0 * x + x[0]
    elif kind == 1:
        y = 0 * y + y[0]
    elif kind == 2:
        y = 2 * x
    penalty, penalised = 10 ** random.uniform(-2, 3), bool(random.integers(2))
    return list(zip(x.tolist(), y.tolist(), strict=True)), penalty, penalised


def line(points: Any, penalty: float, penalised: bool) -> Any:
    """Return slope and intercept."""
    x, y = torch.tensor(points, dtype=torch.float64).split(1, dim=1)
    return [*ridge(x, y, penalty, penalize_intercept=penalised)]


COMPARISONS = [
    Comparison(
        "slide-the-data",
        "ridge",
        regression,
        line,
        mutants=[
            ("x * (x - u)", "x * (x + u)"),
            ("(penalised ? penalty : 0)", "(penalised ? 0 : penalty)"),
            ("v - slope * u", "u - slope * v"),
        ],
    ),
]
