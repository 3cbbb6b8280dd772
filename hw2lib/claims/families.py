"""Families of cases that checks of several solutions try: degenerate members first, then random."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.tools import normal, size, tensor

SCALES = (1e-6, 1e-3, 1.0, 1e3, 1e6)


def with_singular_values(rng: np.random.Generator, m: int, n: int, values: list[float]) -> Tensor:
    """Return a random m×n matrix with these singular values."""
    k = len(values)
    U, V = (torch.linalg.qr(normal(rng, rows, k)).Q for rows in (m, n))
    return U @ torch.diag(tensor(values)) @ V.T


def matrices(rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    """Yield matrices of all shapes: zeros, ties, lost rank, far scales, then random ones."""
    yield "1×1", tensor([[2.5]])
    yield "1×1, negative", tensor([[-3.0]])
    yield "zeros, 3×2", tensor(np.zeros((3, 2)))
    yield "one row", normal(rng, 1, 6)
    yield "one column", normal(rng, 6, 1)
    yield "identity, all singular values tied", tensor(np.eye(4))
    yield "two singular values tied, 5×4", with_singular_values(rng, 5, 4, [3.0, 2.0, 2.0, 1.0])
    yield "rank 1 of 4", normal(rng, 6, 1) @ normal(rng, 1, 4)
    yield (
        "rank 2 of 5, with a row of zeros",
        torch.cat([normal(rng, 4, 2) @ normal(rng, 2, 5), tensor(np.zeros((1, 5)))]),
    )
    yield (
        "singular values from 1 to a millionth",
        with_singular_values(rng, 5, 5, [1.0, 1e-2, 1e-4, 1e-6]),
    )
    for scale in SCALES:
        yield f"4×3, scale {scale:g}", scale * normal(rng, 4, 3)
    while True:
        m, n = size(rng, 1, 9), size(rng, 1, 9)
        yield f"{m}×{n}, random", normal(rng, m, n)


class Problem(NamedTuple):
    """A matrix, and the rank of the factors that shall give it."""

    X: Tensor
    rank: int


def problems(rng: np.random.Generator) -> Iterator[tuple[str, Problem]]:
    """Yield matrices with every possible rank of the factors in turn."""
    for description, X in matrices(rng):
        rank = size(rng, 1, min(X.shape))
        yield f"{description}, factors of rank {rank}", Problem(X, rank)


def squares(rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    """Yield square matrices: nilpotent, defective, far from normal, orthogonal, then random."""
    yield "1×1", tensor([[0.9]])
    yield "zeros, 3×3", tensor(np.zeros((3, 3)))
    yield "nilpotent, 3×3", tensor(np.diag([1.0, 1.0], 1))
    yield "Jordan block of size 3 at 0.9", tensor(0.9 * np.eye(3) + np.diag([1.0, 1.0], 1))
    yield "Jordan block of size 2 at −1", tensor([[-1.0, 1.0], [0.0, -1.0]])
    yield "far from normal, 2×2", tensor([[0.9, 100.0], [0.0, 0.8]])
    yield "rotation", tensor([[0.6, -0.8], [0.8, 0.6]])
    yield "tied eigenvalues", tensor(np.diag([0.5, 0.5, -0.5]))
    yield "rank 1 of 4", normal(rng, 4, 1) @ normal(rng, 1, 4)
    for p in (2, 5):
        yield f"orthogonal, {p}×{p}", torch.linalg.qr(normal(rng, p, p)).Q
    while True:
        p = size(rng, 1, 6)
        yield f"{p}×{p}, random", normal(rng, p, p) / p**0.5
