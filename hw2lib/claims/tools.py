"""What the checks of several solutions share: measures of error, fits, spreads, optimizers."""

from __future__ import annotations

import inspect
import math
import statistics
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer


def tensor(values: Any) -> Tensor:
    """Return numbers as a tensor in double precision."""
    return torch.as_tensor(values, dtype=torch.float64)


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    """Return standard normal numbers in double precision."""
    return tensor(rng.standard_normal(shape))


def whole(rng: np.random.Generator, *shape: int, largest: int = 3) -> Tensor:
    """Return whole numbers from -largest to largest in double precision.

    Sums and products of them are exact as long as they stay below 2⁵³.
    """
    return tensor(rng.integers(-largest, largest, shape, endpoint=True))


def size(rng: np.random.Generator, low: int, high: int) -> int:
    """Return a random whole number from low to high."""
    return int(rng.integers(low, high, endpoint=True))


def torch_generator(rng: np.random.Generator) -> torch.Generator:
    """Return a generator of torch's that a generator of numpy's has seeded."""
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def largest(x: Tensor) -> float:
    """Return the largest absolute value; 0 if there is no entry, infinity if one is NaN."""
    found = x.abs().max().item() if x.numel() else 0.0
    return math.inf if math.isnan(found) else found


def relative(error: Tensor, scale: Tensor) -> float:
    """Return the largest entry of an error over that of what it is measured against.

    Against zeros, the error itself; infinity if it is infinite or NaN somewhere.
    """
    found = largest(error)
    return found if found == math.inf else found / (largest(scale) or 1.0)


def shortfall(value: float, bound: float) -> float:
    """Return by how much a value lies below its lower bound, 0 if it does not.

    Infinity if one of them is NaN: Python's ``max`` would lose it.
    """
    short = bound - value
    return math.inf if math.isnan(short) else max(0.0, short)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the exponent of a power law y ∝ xᵃ, fitted to logarithms by least squares.

    Examples
    --------
    >>> round(slope([1, 10, 100], [2, 200, 20000]), 12)
    2.0
    """
    return statistics.linear_regression([*map(math.log, x)], [*map(math.log, y)]).slope


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Return the median of values under a name, and their least and largest beside it.

    Examples
    --------
    >>> spread("ratio", [4.0, 1.0, 2.0])
    {'ratio': 2.0, 'ratio_least': 1.0, 'ratio_most': 4.0}
    """
    return {
        name: statistics.median(values),
        f"{name}_least": min(values),
        f"{name}_most": max(values),
    }


def medians(rows: Tensor) -> list[float]:
    """Return the median of each row; of an even number of entries the mean of the middle two.

    ``torch.median`` returns the lower one.

    Examples
    --------
    >>> medians(torch.tensor([[1.0, 2.0, 4.0, 8.0], [3.0, 3.0, 3.0, 5.0]]))
    [3.0, 3.0]
    """
    return [statistics.median(row) for row in rows.tolist()]


def jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the Jacobian at a vector of a map from n numbers to n, by autograd.

    The function takes rows, (N, n), and maps each by itself: on a copy of the vector for each
    output one pass backward gives them all.

    Examples
    --------
    >>> jacobian(lambda rows: rows[:, [1, 0]] * torch.tensor([2.0, 3.0]), torch.ones(2)).tolist()
    [[0.0, 2.0], [3.0, 0.0]]
    """
    rows = x.repeat(len(x), 1).requires_grad_()
    return torch.autograd.grad(function(rows).diagonal().sum(), rows)[0]


@cache
def eager(optimizer: type[Optimizer]) -> Any:
    """Return one of PyTorch's optimizers that does not load PyTorch's compiler, a second's work.

    Its methods are the same, but for the compiler's wrappers around them.
    """
    plain = {n: inspect.unwrap(getattr(optimizer, n)) for n in ("add_param_group", "zero_grad")}
    plain["step"] = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), plain)
