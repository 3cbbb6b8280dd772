"""Claims of Solution 2(a): why ‖X − AB‖² is not convex, and what bilinearity does give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.families import problems
from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_2_factorization.shared import (
    gap_problems,
    whole_point,
)
from hw2lib.claims.tools import largest, shortfall, size, tensor, whole
from hw2lib.factorization import (
    Factors,
    Fit,
    alternating_least_squares,
    loss,
    truncation_error,
)

TIMES = range(-2, 4)  # more than a polynomial of degree 4 can pass through by chance


class Line(NamedTuple):
    """A point and a direction, of whole numbers."""

    X: Tensor
    point: Factors
    direction: Factors


def lines(rng: np.random.Generator) -> Iterator[tuple[str, Line]]:
    """Yield lines through the factors, where arithmetic is exact: zeros, then random ones."""
    for m, n, r in ((1, 1, 1), (3, 2, 1), (2, 3, 3)):
        _, direction = whole_point(rng, m, n, r)
        zero = Factors(tensor(np.zeros((m, r))), tensor(np.zeros((r, n))))
        X = whole(rng, m, n)
        yield f"{m}×{n}, rank {r}, from the origin", Line(X, zero, direction)
        yield f"{m}×{n}, rank {r}, X = 0", Line(0 * X, direction, direction)
        yield f"{m}×{n}, rank {r}, standing still", Line(X, direction, zero)
    while True:
        m, n, r = size(rng, 1, 5), size(rng, 1, 5), size(rng, 1, 4)
        X, point = whole_point(rng, m, n, r)
        _, direction = whole_point(rng, m, n, r)
        yield f"{m}×{n} of whole numbers, rank {r}", Line(X, point, direction)


def along(line: Line, times: Iterable[int] = TIMES) -> Tensor:
    """Return the loss at several times on a line."""
    X, (A, B), (dA, dB) = line
    return torch.stack([loss(X, A + t * dA, B + t * dB) for t in times])


def concavity(line: Line) -> float:
    """Return by how much the second difference at a point of a line falls below zero."""
    return shortfall(along(line, (-1, 0, 1)).diff(n=2).item(), 0.0)


@claim(
    "2a-bilinear",
    kind="identity",
    verdict="holds",
    printed=r"The multiplication of $A$ and $B$ produces terms that are of the form "
    r"$\sum(a_{ij}b_{jk})$ which is a bilinear optimization problem …",
    statement=r"The entries of $AB$ are bilinear. So along every line, with $R=X-AB$, "
    r"$L=dA\,B+A\,dB$ and $Q=dA\,dB$, $\lVert X-(A+t\,dA)(B+t\,dB)\rVert_F^2=\lVert R\rVert_F^2"
    r"-2t\langle R,L\rangle+t^2(\lVert L\rVert_F^2-2\langle R,Q\rangle)+2t^3\langle L,Q\rangle"
    r"+t^4\lVert Q\rVert_F^2$, a polynomial of degree at most 4; and in $A$ alone or in $B$ alone, where "
    r"$Q=0$, the objective is convex.",
    family=lines,
    exact=True,
)
def objective_is_quartic_and_convex_in_each_factor(line: Line) -> Trial:
    X, (A, B), (dA, dB) = line
    R, L, Q = X - A @ B, dA @ B + A @ dB, dA @ dB
    coefficients = [
        (R * R).sum(),
        -2 * (R * L).sum(),
        (L * L).sum() - 2 * (R * Q).sum(),
        2 * (L * Q).sum(),
        (Q * Q).sum(),
    ]

    powers, values = tensor([[t**k for k in range(5)] for t in TIMES]), along(line)

    def error(degree: int) -> float:
        return largest(values - powers[:, : degree + 1] @ torch.stack(coefficients[: degree + 1]))

    in_one = max(
        concavity(Line(X, line.point, d)) for d in (Factors(dA, 0 * dB), Factors(0 * dA, dB))
    )
    moves = {"quadratic": error(2), "cubic": error(3)} if largest(Q) else {}
    return Trial(max(error(4), in_one), moves)


@counterexample("2a-bilinear", "alone: both factors move")
def both_factors_move_from_the_origin() -> float:
    X, zero, one = tensor([[1.0]]), tensor([[0.0]]), tensor([[1.0]])
    return concavity(Line(X, Factors(zero, zero), Factors(one, one)))


class Convexity(NamedTuple):
    """An X, and factors for the case X = 0."""

    X: Tensor
    factors: Factors
    numbers: list[int]


def convexities(rng: np.random.Generator) -> Iterator[tuple[str, Convexity]]:
    """Yield whole matrices, zeros among them, and whole factors whose product is not zero."""
    for index in range(10**9):
        m, n, r = size(rng, 1, 5), size(rng, 1, 5), size(rng, 1, 3)
        m, n, r = (1, 1, 1) if index < 2 else (m, n, r)
        X = whole(rng, m, n) * (index % 4 > 0)
        A, B = whole(rng, m, r), whole(rng, r, n)
        A[0, 0], B[0] = A[0, 0] or 1.0, B[0] * 0
        B[0, 0] = 1.0
        A[:, 1:] = 0
        kind = "random" if largest(X) else "X = 0"
        yield (
            f"{m}×{n}, rank {r}, {kind}",
            Convexity(X, Factors(A, B), rng.integers(-9, 9, 4).tolist()),
        )


def opposite_ends(X: Tensor, factors: Factors) -> tuple[Factors, Factors, float]:
    """Return two points whose midpoint is worse, and by how much it is worse."""
    A, B = factors
    if not largest(X):
        return Factors(A, 0 * B), Factors(0 * A, B), (A @ B).square().sum().item() / 16
    i, j = divmod(int(X.abs().argmax()), X.shape[1])
    A, B = 0 * A, 0 * B
    A[i, 0], B[0, j] = X[i, j], 1.0
    return Factors(A, B), Factors(-A, -B), X[i, j].item() ** 2


def rise(X: Tensor, one: Factors, other: Factors) -> float:
    """Return by how much the midpoint is worse than the mean of two points."""
    middle = Factors((one.A + other.A) / 2, (one.B + other.B) / 2)
    return (loss(X, *middle) - (loss(X, *one) + loss(X, *other)) / 2).item()


def bilinear_and_convex(a: float, b: float) -> float:
    """Return ab + (a² + b²)/2."""
    return a * b + (a * a + b * b) / 2


@claim(
    "2a-nonconvex",
    kind="universal",
    verdict="sharpened",
    severity=2,
    printed=r"… which is a bilinear optimization problem and hence non-convex.",
    statement=r"The conclusion is right for every $X$, the reason is not: $ab+\frac12(a^2+b^2)$ has a "
    r"bilinear term and is convex. A proof: $(A,B)$ and $(-A,-B)$ have the same loss, and if that is below "
    r"$\lVert X\rVert_F^2$, their midpoint $(0,0)$ is worse. Below it are, for $X\ne0$, all minimisers, and "
    r"already $A=x_{ij}e_ie_1^\top$, $B=e_1e_j^\top$ with one entry $x_{ij}\ne0$: by $x_{ij}^2$. For $X=0$, "
    r"$(A,0)$ and $(0,B)$ with $AB\ne0$ have the loss 0 and their midpoint $\lVert AB\rVert_F^2/16$.",
    corrected=r"for $X\ne0$ the midpoint of two opposite minimisers is worse",
    family=convexities,
    exact=True,
)
def midpoint_is_worse_than_two_opposite_points(case: Convexity) -> Trial:
    one, other, expected = opposite_ends(case.X, case.factors)
    a, b, c, d = map(float, case.numbers)
    ends = (bilinear_and_convex(a, b) + bilinear_and_convex(c, d)) / 2
    not_convex = shortfall(ends, bilinear_and_convex((a + c) / 2, (b + d) / 2))
    found = rise(case.X, one, other)
    return Trial(
        max(abs(found - expected), not_convex),
        {"convex: the midpoint is no worse": max(0.0, found)},
    )


@counterexample("2a-nonconvex", "the loss is below that of the midpoint")
def opposite_points_that_are_worse_than_the_origin() -> float:
    X, A, B = tensor([[1.0]]), tensor([[2.0]]), tensor([[-1.0]])
    return shortfall(rise(X, Factors(A, B), Factors(-A, -B)), 0.0)


def span(M: Tensor) -> Tensor:
    """Return an orthonormal basis of the column space."""
    U, S, _ = torch.linalg.svd(M, full_matrices=False)
    return U[:, 1e-9 * S[:1] < S]


def outside(M: Tensor, basis: Tensor) -> float:
    """Return how far an orthonormal basis lies outside the span of another."""
    Q = span(M)
    return largest(Q - basis @ (basis.T @ Q))


class Sweeps(NamedTuple):
    """A matrix of norm 1, the rank of the factors, a seed, and whether σ_r > σ_{r+1}."""

    X: Tensor
    rank: int
    seed: int
    gap: bool


def starts(rng: np.random.Generator) -> Iterator[tuple[str, Sweeps]]:
    """Yield problems in turn of any kind and with a gap at the cut, and seeds of random starts."""
    for (other, (X, rank)), (description, gapped) in zip(
        problems(rng), gap_problems(rng), strict=False
    ):
        values = torch.linalg.svdvals(X)
        if values[0] == 0 or not 0 < values[values > 1e-12 * values[0]][-1] < 1e-4 * values[0]:
            scaled = X / (values[0] or 1.0)
            yield other, Sweeps(scaled, rank, size(rng, 0, 10**6), gap=False)
        scaled = gapped.X / gapped.singular[0]
        yield description, Sweeps(scaled, gapped.rank, size(rng, 0, 10**6), gap=True)


def excess(X: Tensor, A: Tensor, B: Tensor) -> float:
    """Return how far the loss lies above the minimum, over the loss of doing nothing."""
    return ((loss(X, A, B) - truncation_error(X, A.shape[1])) / X.square().sum()).item()


@claim(
    "2a-alternating",
    kind="identity",
    verdict="theorem",
    statement=r"A sweep of alternating least squares, $B$ for $A$ and then $A$ for $B$, by pseudo-inverses or with "
    r"both factors of rank $r$, takes the column space of $A$ to its image under $XX^\top$: it is the power method for "
    r"subspaces. That, not convexity in each factor, is why it finds the minimum from almost every start if "
    r"$\sigma_r>\sigma_{r+1}$ (counting $\sigma_{r+1}=0$ for $r=\min(m,n)$).",
    family=starts,
    tolerance=1e-9,
)
def sweeps_are_power_iterations(case: Sweeps) -> Trial:
    X, rank, seed, gap = case

    def swept_by(steps: int) -> Fit:
        generator = torch.Generator().manual_seed(seed)
        return alternating_least_squares(X, rank, steps, generator=generator)

    before, after, late = (swept_by(steps) for steps in (1, 2, 9))
    half = span(X.T @ span(before.A))
    twice = span(X @ span(X.T @ span(X @ half)))
    image = span(X @ half)
    wrong = {"the image under X Xᵀ X Xᵀ": outside(after.A, twice)} if gap and len(X) > rank else {}
    return Trial(
        max(
            outside(after.A, image),
            float(span(after.A).shape != image.shape),
            excess(X, late.A, late.B) if gap else 0.0,
        ),
        wrong,
    )


@counterexample("2a-alternating", "by pseudo-inverses: another solution, for a B of rank 1")
def sweep_by_another_solution() -> float:
    X, A = tensor(np.diag([1.0, 0.0])), tensor(np.eye(2))
    B, image = A.T @ X, X @ X.T @ A
    assert loss(X, A, B) == 0  # so A itself is a best A for this B
    return outside(A, image[:, :1])


@counterexample("2a-alternating", "almost every start: from $A=u_2$ it stays at a saddle")
def sweeps_from_the_second_singular_vector() -> float:
    X, A = tensor(np.diag([3.0, 2.0, 1.0])), tensor([[0.0], [1.0], [0.0]])
    for _ in range(25):
        B = torch.linalg.lstsq(A, X).solution
        A = torch.linalg.lstsq(B.T, X.T).solution.T
    return excess(X, A, B)
