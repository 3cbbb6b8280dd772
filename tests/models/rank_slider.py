"""Solution 2(b): digits from few numbers, and the tail of the spectrum."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from hw2lib.factorization import low_rank_factors, truncation_error
from models import Comparison, Random


def centred(random: Random) -> tuple[np.ndarray, np.ndarray, int]:
    """Return a mean, a matrix (wide, tall, of low rank), and a rank from 0 on."""
    rows, columns, inner = random.integers(1, 9, 3)
    X = random.standard_normal((rows, inner)) @ random.standard_normal((inner, columns))
    return random.standard_normal(columns), X, int(random.integers(0, min(X.shape) + 1))


def first_row(random: Random) -> Sequence[Any]:
    """Return directions, mean, a row of the data and a rank."""
    mean, X, rank = centred(random)
    _, _, directions = np.linalg.svd(X, full_matrices=False)
    return directions.tolist(), mean.tolist(), (X[0] + mean).tolist(), rank, X.tolist()


def rebuilt(directions: Any, mean: Any, row: Any, rank: int, X: Any) -> Any:
    """Return the mean and the first row of the truncated factors' product."""
    if rank == 0:
        return mean
    A, B = low_rank_factors(torch.tensor(X, dtype=torch.float64), rank)
    return torch.tensor(mean, dtype=torch.float64) + (A @ B)[0]


def spectrum(random: Random) -> Sequence[Any]:
    """Return singular values and a rank."""
    _, X, rank = centred(random)
    return np.linalg.svd(X, compute_uv=False).tolist(), rank, X.tolist()


def lost(values: Any, rank: int, X: Any) -> Any:
    """Return the loss of the truncated factors."""
    X = torch.tensor(X, dtype=torch.float64)
    return X.square().sum() if rank == 0 else truncation_error(X, rank)


COMPARISONS = [
    Comparison(
        "rank-slider",
        "reconstruct",
        first_row,
        rebuilt,
        mutants=[
            ("(x[j]! - mean[j]!)", "x[j]!"),
            ("slice(0, rank)", "slice(1, rank + 1)"),
            ("+= code * entry", "+= code * x[j]!"),
        ],
    ),
    Comparison(
        "rank-slider",
        "tail",
        spectrum,
        lost,
        mutants=[
            ("slice(rank).reduce", "slice(rank + 1).reduce"),
            ("value * value, 0", "value, 0"),
        ],
        size=lambda values, rank, X: np.square(values).sum(),
    ),
    Comparison(
        "rank-slider",
        "shares",
        lambda random: spectrum(random)[:1],
        lambda values: np.square(values) / np.square(values).sum(),
        mutants=[("/ all", "/ Math.sqrt(all)")],
    ),
]
