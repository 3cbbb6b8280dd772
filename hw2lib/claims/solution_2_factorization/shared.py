"""What the claims of Solution 2 share: problems without rounding, other bases, descent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.families import with_singular_values
from hw2lib.claims.tools import normal, size, tensor, whole
from hw2lib.factorization import Factors, loss


class ExactProblem(NamedTuple):
    """A problem whose singular value decomposition X = U diag(roots²) Vᵀ involves no rounding.

    U and V are orthogonal matrices of quarters, the roots whole numbers in decreasing order, so
    balanced factors hold the numbers √σ_j exactly.
    """

    X: Tensor
    rank: int
    U: Tensor
    roots: tuple[int, ...]
    V: Tensor

    @property
    def singular(self) -> tuple[int, ...]:
        """The singular values, in decreasing order."""
        return tuple(root**2 for root in self.roots)

    @property
    def minimum(self) -> int:
        """The least loss."""
        return sum(value**2 for value in self.singular[self.rank :])

    def factors(self, indices: Sequence[int]) -> Factors:
        """Return the balanced factors that keep some σ_j, filled up with zeros to inner size r."""
        A, B = self.X.new_zeros(len(self.U), self.rank), self.X.new_zeros(self.rank, len(self.V))
        for column, j in enumerate(indices):
            A[:, column] = self.roots[j] * self.U[:, j]
            B[column] = self.roots[j] * self.V[:, j]
        return Factors(A, B)


def quarters(rng: np.random.Generator, n: int) -> Tensor:
    """Return an orthogonal matrix of multiples of ¼: signs, swaps, and reflections from n = 4 on.

    A reflection at a vector of four ±1 subtracts vvᵀ/2, which is exact.
    """
    Q = np.diag(rng.choice([-1.0, 1.0], n))[rng.permutation(n)]
    for _ in range(2 if n >= 4 else 0):
        v = np.zeros((n, 1))
        v[rng.choice(n, 4, replace=False), 0] = rng.choice([-1.0, 1.0], 4)
        Q -= v @ (v.T @ Q) / 2
    return tensor(Q)


def exact_problem(
    rng: np.random.Generator, m: int, n: int, roots: Sequence[int], rank: int
) -> tuple[str, ExactProblem]:
    """Return a problem with these roots of singular values, and its description."""
    U, V, p = quarters(rng, m), quarters(rng, n), len(roots)
    X = (U[:, :p] * tensor(roots).square()) @ V[:, :p].T
    problem = ExactProblem(X, rank, U, tuple(roots), V)
    values = ", ".join(map(str, problem.singular))
    return f"{m}×{n} with σ = {values}, rank {rank}", problem


def exact_problems(rng: np.random.Generator) -> Iterator[tuple[str, ExactProblem]]:
    """Yield problems without rounding: zeros, ties, lost rank, then random ones."""
    for m, n, roots, rank in (
        (1, 1, [2], 1),
        (1, 1, [0], 1),
        (3, 2, [0, 0], 2),
        (1, 5, [3], 1),
        (5, 1, [3], 1),
        (4, 4, [1, 1, 1, 1], 2),
        (5, 4, [3, 2, 2, 1], 2),
        (5, 4, [2, 2, 2, 1], 3),
        (4, 6, [3, 1, 0, 0], 2),
        (4, 6, [3, 1, 0, 0], 3),
        (3, 3, [3, 2, 1], 3),
        (6, 4, [5, 4, 2, 1], 4),
    ):
        yield exact_problem(rng, m, n, roots, rank)
    while True:
        m, n = size(rng, 1, 6), size(rng, 1, 6)
        roots = sorted(rng.integers(0, 6, min(m, n)).tolist(), reverse=True)
        yield exact_problem(rng, m, n, roots, size(rng, 1, min(m, n)))


def whole_basis(rng: np.random.Generator, rank: int) -> tuple[Tensor, Tensor]:
    """Return an invertible matrix and its inverse, both without rounding: shears, then scales."""
    G, inverse = np.eye(rank), np.eye(rank)
    for _ in range(2 * rank if rank > 1 else 0):
        shear = np.zeros((rank, rank))
        shear[tuple(rng.choice(rank, 2, replace=False))] = rng.choice([-1.0, 1.0])
        G, inverse = G + G @ shear, inverse - shear @ inverse
    scales = rng.choice([-2.0, -0.5, 0.5, 2.0, 4.0], rank)
    return tensor(G * scales), tensor(inverse / scales[:, None])


def whole_point(rng: np.random.Generator, m: int, n: int, r: int) -> tuple[Tensor, Factors]:
    """Return an X and factors of whole numbers."""
    return whole(rng, m, n), Factors(whole(rng, m, r), whole(rng, r, n))


class GapProblem(NamedTuple):
    """A problem with σ_r well above σ_{r+1}, where minimisers are one orbit."""

    X: Tensor
    rank: int
    singular: tuple[float, ...]


def gap_problems(rng: np.random.Generator) -> Iterator[tuple[str, GapProblem]]:
    """Yield problems with a gap at the cut: every rank, ties elsewhere, exact rank, far scales."""
    for m, n, values, rank in (
        (1, 1, [2.0], 1),
        (1, 4, [3.0], 1),
        (4, 1, [3.0], 1),
        (4, 4, [4.0, 3.0, 2.0, 1.0], 4),
        (6, 4, [4.0, 3.0, 2.0, 1.0], 4),
        (5, 4, [3.0, 3.0, 1.0, 1.0], 2),
        (5, 5, [4.0, 3.0, 0.0, 0.0, 0.0], 2),
        (4, 6, [100.0, 1.0, 0.1, 0.01], 2),
        (4, 3, [3e6, 2e6, 5e5], 2),
        (4, 3, [3e-6, 2e-6, 5e-7], 2),
    ):
        X = with_singular_values(rng, m, n, values)
        yield f"{m}×{n} with σ = {values}, rank {rank}", GapProblem(X, rank, tuple(values))
    while True:
        m, n = size(rng, 1, 8), size(rng, 1, 8)
        rank = size(rng, 1, min(m, n))
        drawn = np.sort(rng.uniform(1, 4, min(m, n)))[::-1].copy()
        drawn[rank:] *= 0.3 * drawn[rank - 1] / drawn[min(rank, min(m, n) - 1)]
        X = with_singular_values(rng, m, n, drawn.tolist())
        yield f"{m}×{n}, random, rank {rank}", GapProblem(X, rank, tuple(drawn.tolist()))


def after(singular: tuple[float, ...], r: int) -> float:
    """Return σ_{r+1}, 0 beyond the last."""
    return singular[r] if r < len(singular) else 0.0


def invertible(rng: np.random.Generator, rank: int) -> Tensor:
    """Return an invertible matrix with random singular values between ⅓ and 3."""
    left, right = (torch.linalg.qr(normal(rng, rank, rank)).Q for _ in range(2))
    return left @ torch.diag(tensor(np.exp(rng.uniform(-1, 1, rank)))) @ right


def imbalance(factors: Factors) -> Tensor:
    """Return AᵀA − BBᵀ."""
    return factors.A.mT @ factors.A - factors.B @ factors.B.mT


def footprint(factors: Factors) -> Tensor:
    """Return ‖A‖² + ‖B‖²."""
    return factors.A.square().sum() + factors.B.square().sum()


def flat(A: Tensor, B: Tensor) -> Tensor:
    """Return the entries of A, then of B, row by row, as the Hessian orders them."""
    return torch.cat([A.flatten(), B.flatten()])


def size_bound(X: Tensor, factors: Factors) -> float:
    """Return S, below which ‖A‖² + ‖B‖² stays in gradient descent from these factors."""
    root = loss(X, *factors).sqrt()
    drift = torch.linalg.matrix_norm(imbalance(factors)) + root / 2
    product = torch.linalg.matrix_norm(X) + root
    return (2 * drift.square() + 4 * product.square()).sqrt().item()


def proved_rate(X: Tensor, factors: Factors) -> float:
    """Return the learning rate up to which gradient descent from these factors converges."""
    bound = 6 * size_bound(X, factors) + 4 * loss(X, *factors).sqrt().item()
    return 1 / (bound or 1.0)
