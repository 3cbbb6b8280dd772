"""Claims of Solution 2, the landscape of ‖X − AB‖²: critical points and their Hessians."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.families import Problem, problems
from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_2_factorization.shared import (
    ExactProblem,
    GapProblem,
    after,
    exact_problems,
    flat,
    gap_problems,
    invertible,
    whole_basis,
)
from hw2lib.claims.tools import (
    largest,
    normal,
    shortfall,
    size,
    tensor,
)
from hw2lib.factorization import (
    Factors,
    change_basis,
    critical_hessian_eigenvalues,
    critical_point,
    loss,
    loss_gradient,
    loss_hessian,
    low_rank_factors,
    truncation_error,
)


def newton(X: np.ndarray, A: np.ndarray, B: np.ndarray) -> Factors | None:
    """Return the critical point that Newton's method finds, of whatever kind; None if it fails."""
    (m, n), r, scale = X.shape, A.shape[1], float(np.linalg.norm(X, 2)) or 1.0
    for _ in range(20):
        R = X - A @ B
        gradient = np.concatenate([(-2 * R @ B.T).ravel(), (-2 * A.T @ R).ravel()])
        if np.linalg.norm(gradient) < 1e-12 * scale**1.5:
            return Factors(tensor(A), tensor(B))
        of_A = np.einsum("ij,lc->icjl", np.eye(m), B).reshape(m * n, m * r)
        of_B = np.einsum("il,cd->icld", A, np.eye(n)).reshape(m * n, r * n)
        jacobian = np.concatenate([of_A, of_B], axis=1)  # of the product AB
        curvature = np.einsum("il,cd->icdl", R, np.eye(r)).reshape(m * r, r * n)
        hessian = 2 * jacobian.T @ jacobian
        hessian[: m * r, m * r :] -= 2 * curvature
        hessian[m * r :, : m * r] -= 2 * curvature.T
        step = np.linalg.pinv(hessian, 1e-6, hermitian=True) @ gradient
        A, B = A - step[: m * r].reshape(m, r), B - step[m * r :].reshape(r, n)
    return None


def found_points(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Tensor, Factors]]]:
    """Yield critical points that Newton's method finds: nothing about them is assumed."""
    for index, (description, (X, rank)) in enumerate(problems(rng)):
        X, rank = X[:4, :3], min(rank, 2, *X[:4, :3].shape)
        scale = largest(X) ** 0.5
        A, B = rng.standard_normal((len(X), rank)), rng.standard_normal((rank, X.shape[1]))
        found = newton(X.numpy(), scale * A, scale * B)
        if found is None:
            continue
        if index % 2:
            found = change_basis(*found, invertible(rng, rank))
        factor = 1e4 if index % 4 == 3 else 1.0
        yield (
            f"{description} (at most 4×3, rank {rank}){', in another basis' if index % 2 else ''}",
            (factor * X, Factors(factor**0.5 * found.A, factor**0.5 * found.B)),
        )


@claim(
    "2d-critical",
    kind="universal",
    verdict="theorem",
    statement=r"**Lemma.** At a critical point $AB$ keeps some of the singular values of $X$: the decompositions of $AB$ and "
    r"of $X-AB$ together are one of $X$, and the loss is the sum of the squares that are not kept. (Tried on points that "
    r"Newton's method finds, which is drawn to saddles as well: at each that is not a minimum the Hessian has "
    r"a negative eigenvalue.)",
    family=found_points,
    tolerance=1e-9,
)
def critical_points_keep_some_singular_values(case: tuple[Tensor, Factors]) -> Trial:
    X, (A, B) = case
    error = distance_from_a_choice(X, A @ B)
    above = (loss(X, A, B) - truncation_error(X, A.shape[1])).item()
    strict = 0.0
    if above > 1e-9 * X.square().sum().item():
        least = torch.linalg.eigvalsh(loss_hessian(X, A, B))[0].item()
        strict = float(least >= -1e-9 * largest(X))
    wrong = {}
    if largest(X - A @ B) > 1e-6 * largest(X):
        wrong["any part of them"] = distance_from_a_choice(X, A @ B + 0.5 * (X - A @ B))
    return Trial(max(error, strict), wrong)


def distance_from_a_choice(X: Tensor, product: Tensor) -> float:
    """Return how far the decompositions of a product and of the rest are from being one of X."""
    rest, scale = X - product, float(torch.linalg.matrix_norm(X, 2)) or 1.0
    together = torch.cat([torch.linalg.svdvals(product), torch.linalg.svdvals(rest)])
    values = torch.linalg.svdvals(X)
    padded = torch.cat([values, torch.zeros_like(values)])
    apart = max(largest(product.T @ rest), largest(product @ rest.T)) / scale**2
    return max(largest(together.sort(descending=True).values - padded) / scale, apart)


@counterexample("2d-critical", "critical")
def product_of_random_factors() -> float:
    rng = np.random.default_rng(0)
    return distance_from_a_choice(normal(rng, 4, 4), normal(rng, 4, 2) @ normal(rng, 2, 4))


class CriticalPoint(NamedTuple):
    """A critical point without rounding, and the basis that takes it to the balanced one."""

    problem: ExactProblem
    kept: tuple[int, ...]
    A: Tensor
    B: Tensor
    G: Tensor
    inverse: Tensor


def critical_points(rng: np.random.Generator) -> Iterator[tuple[str, CriticalPoint]]:
    """Yield critical points of all kinds: any σ kept, balanced or not, spare columns used or not.

    A spare column of A may hold anything orthogonal to the residual if it faces a row of zeros.
    """
    for index, (description, problem) in enumerate(exact_problems(rng)):
        r, positive = problem.rank, [j for j, root in enumerate(problem.roots) if root]
        count = size(rng, 0, min(r, len(positive)))
        count = min(r, len(positive)) if index % 3 else count
        kept = tuple(sorted(rng.choice(positive, count, replace=False).tolist() if count else []))
        A, B = problem.factors(kept)
        missing = [j for j in positive if j not in kept]
        for column in range(count, r):
            filled = rng.integers(3)
            if filled == 1:
                free = [i for i in range(len(A)) if i not in missing]
                A[:, column] = problem.U[:, rng.choice(free)] if free else 0
            if filled == 2:
                free = [i for i in range(B.shape[1]) if i not in missing]
                B[column] = problem.V[:, rng.choice(free)] if free else 0
        G, inverse = whole_basis(rng, r) if index % 2 else (tensor(np.eye(r)),) * 2
        names = ", ".join(f"σ{j + 1}" for j in kept) or "nothing"
        yield (
            f"{description}, keeping {names}{', unbalanced' if index % 2 else ''}",
            CriticalPoint(problem, kept, A @ G, inverse @ B, G, inverse),
        )


def way_down(point: CriticalPoint) -> Tensor:
    """Return the direction of the proof along which the second variation is negative."""
    (_, r, U, roots, V), kept = point.problem, point.kept
    i = next(i for i in range(len(roots)) if i not in kept)  # the largest that is missing
    if len(kept) == r:  # A p = √σ_j u_j and Bᵀq = √σ_j v_j for the least that is kept
        p, q = point.inverse[:, -1], point.G[-1]
        return flat(torch.outer(U[:, i], q), torch.outer(p, V[:, i]))
    spare = range(len(kept), r)
    for c in (point.inverse[:, column] for column in spare):
        if not largest(point.A @ c):
            s = big_enough(point.B.T @ c, c, roots[i])
            return flat(torch.outer(U[:, i], c), s * torch.outer(c, V[:, i]))
    c = next(row for row in (point.G[column] for column in spare) if not largest(point.B.T @ row))
    s = big_enough(point.A @ c, c, roots[i])
    return flat(s * torch.outer(U[:, i], c), torch.outer(c, V[:, i]))


def big_enough(other: Tensor, c: Tensor, root: int) -> float:
    """Return a power of two s with ‖other‖² < 2 s σ ‖c‖²: the residual's part outweighs the rest."""
    needed = (other.square().sum() + 1) / (c.square().sum() * root**2)
    return 2.0 ** math.ceil(math.log2(needed.item()))


@claim(
    "2d-landscape",
    kind="universal",
    verdict="theorem",
    statement=r"**Landscape.** Every critical point of $\lVert X-AB\rVert_F^2$, for every $X$, is a global minimum or a "
    r"strict saddle: the Hessian has a negative eigenvalue there. Ties, lost rank and unbalanced factors are no exception.",
    family=critical_points,
    exact=True,
)
def critical_points_are_minima_or_strict_saddles(point: CriticalPoint) -> Trial:
    X, A, B = point.problem.X, point.A, point.B
    slope = max(map(largest, loss_gradient(X, A, B)))
    above = loss(X, A, B).item() - point.problem.minimum
    if above == 0:
        return Trial(slope)
    step = way_down(point)
    curvature = (step @ loss_hessian(X, A, B) @ step).item()
    return Trial(
        slope + shortfall(above, 0.0) + float(curvature >= 0),
        {"a local minimum besides": float(curvature < 0), "all are global minima": above},
    )


@counterexample("2d-landscape", "critical")
def convex_away_from_the_critical_points() -> float:
    X, A, B = tensor([[1.0]]), tensor([[0.75]]), tensor([[0.75]])
    least = torch.linalg.eigvalsh(loss_hessian(X, A, B))[0].item()
    return float(loss(X, A, B).item() > 0 and least >= 0)


class Exchange(NamedTuple):
    """A critical point whose places are all used, and a move: missing for kept, and how far."""

    point: CriticalPoint
    missing: int
    place: int
    length: float


def exchanges(rng: np.random.Generator) -> Iterator[tuple[str, Exchange]]:
    """Yield every exchange at critical points whose places are all used."""
    for description, point in critical_points(rng):
        if len(point.kept) == point.problem.rank:
            missing = [i for i in range(len(point.problem.roots)) if i not in point.kept]
            for i, place in itertools.product(missing, range(len(point.kept))):
                length = float(size(rng, 1, 3))
                name = f"σ{i + 1} for σ{point.kept[place] + 1}, a move of size {length:g}"
                yield f"{description}, {name}", Exchange(point, i, place, length)


def exchange_error(exchange: Exchange, second: float = 1.0, fourth: float = 1.0) -> float:
    """Return how far the loss along the exchange is from the formula, in whole numbers.

    The move is √σ_j times that of the lemma; `second` and `fourth` multiply the formula's terms.
    """
    (X, _, U, roots, V), kept, A, B, G, inverse = exchange.point
    _, i, place, length = exchange
    dA = length * torch.outer(U[:, i], G[place])
    dB = length * torch.outer(inverse[:, place], V[:, i])
    moved = (loss(X, A + dA, B + dB) - loss(X, A, B)).item()
    gap = 2 * (roots[kept[place]] ** 2 - roots[i] ** 2)
    return abs(moved - second * length**2 * gap - fourth * length**4)


@claim(
    "2d-exchange",
    kind="identity",
    verdict="theorem",
    statement=r"**Exchange.** At a critical point that keeps $r$ singular values, $\sigma_j$ among them and $\sigma_i$ not, the "
    r"move that turns $u_j$, $v_j$ towards $u_i$, $v_i$ by $s/\sigma_j$ (to $u_j+\frac s{\sigma_j}u_i$, and so on) changes the loss by exactly "
    r"$s^2(2-2\sigma_i/\sigma_j)+s^4/\sigma_j^2$.",
    family=exchanges,
    exact=True,
)
def loss_along_an_exchange(exchange: Exchange) -> Trial:
    roots, kept = exchange.point.problem.roots, exchange.point.kept
    wrong = {"without the fourth power": exchange_error(exchange, fourth=0)}
    if roots[exchange.missing] != roots[kept[exchange.place]]:
        wrong |= {"the second order with the other sign": exchange_error(exchange, second=-1)}
    return Trial(exchange_error(exchange), wrong)


@counterexample("2d-exchange", "$\\sigma_i$ missing: both are kept")
def exchange_of_two_that_are_kept() -> float:
    X, root = tensor([[4.0, 0.0], [0.0, 1.0]]), tensor([[2.0, 0.0], [0.0, 1.0]])
    dA, dB = tensor([[0.0, 1.0], [0.0, 0.0]]), tensor([[0.0, 0.0], [1.0, 0.0]])
    return abs(loss(X, root + dA, root + dB).item() - (2 - 2 * 4 + 1))


def balanced_points(rng: np.random.Generator) -> Iterator[tuple[str, CriticalPoint]]:
    """Yield the balanced critical points whose spare columns and rows are zero."""
    for description, point in critical_points(rng):
        problem, kept = point.problem, point.kept
        one = tensor(np.eye(problem.rank))
        yield (
            description.removesuffix(", unbalanced"),
            CriticalPoint(problem, kept, *problem.factors(kept), one, one),
        )


def eigenvectors(point: CriticalPoint) -> tuple[Tensor, Tensor]:
    """Return all eigenvectors and eigenvalues of the Hessian, by the table of the page."""
    (X, r, U, roots, V), kept = point.problem, point.kept
    (m, n), p, k = X.shape, len(roots), len(kept)
    columns: list[dict[int, float]] = []
    values: list[float] = []

    def a(i: int, c: int) -> int:
        return i * r + c

    def b(c: int, i: int) -> int:
        return m * r + c * n + i

    def pair(x: int, y: int, by: tuple[float, float], plus: float, minus: float) -> None:
        columns.extend([{x: by[0], y: by[1]}, {x: by[1], y: -by[0]}])
        values.extend([plus, minus])

    s = [float(root**2) for root in roots]
    for (c, i), (d, j) in itertools.product(enumerate(kept), repeat=2):
        pair(a(i, d), b(c, j), (roots[j], roots[i]), 2 * (s[i] + s[j]), 0.0)
    for i in (i for i in range(p) if i not in kept):
        for c, j in enumerate(kept):
            pair(a(i, c), b(c, i), (1, 1), 2 * (s[j] - s[i]), 2 * (s[j] + s[i]))
        for c in range(k, r):
            pair(a(i, c), b(c, i), (1, 1), -2 * s[i], 2 * s[i])
    single = [(a(i, c), c) for i in range(p, m) for c in range(r)]
    single += [(b(c, i), c) for i in range(p, n) for c in range(r)]
    single += [(x, c) for i in kept for c in range(k, r) for x in (a(i, c), b(c, i))]
    for x, c in single:
        columns.append({x: 1})
        is_beyond = c < k
        values.append(2 * s[kept[c]] if is_beyond else 0.0)
    E = torch.zeros(r * (m + n), len(columns)).double()
    for column, entries in enumerate(columns):
        for row, value in entries.items():
            E[row, column] = value
    one = tensor(np.eye(r))
    basis = torch.block_diag(torch.kron(U, one), torch.kron(one, V))
    return basis @ E, tensor(values)


@claim(
    "2d-spectrum",
    kind="identity",
    verdict="theorem",
    statement=r"At the balanced critical point that keeps $J$, $k=|J|$, all eigenvalues of the Hessian are "
    r"$2(\sigma_i+\sigma_j)$ and 0 for $i,j\in J$; $2(\sigma_j\pm\sigma_i)$ for $j\in J$ and each of the other "
    r"$\min(m,n)-k$; $2\sigma_j$, $|m-n|$ times for each $j\in J$; $\pm2\sigma_i$, $r-k$ times for each of the others; and "
    r"0. (Spare columns of $A$ and rows of $B$ are zero. Checked by $r(m+n)$ orthogonal eigenvectors.)",
    family=balanced_points,
    exact=True,
)
def hessian_has_these_eigenvectors(point: CriticalPoint) -> Trial:
    X, r = point.problem.X, point.problem.rank
    H, (E, values) = loss_hessian(X, point.A, point.B), eigenvectors(point)
    inner = E.T @ E
    incomplete = abs(E.shape[1] - len(H)) + float(inner.diagonal().min() <= 0)
    incomplete += largest(inner - torch.diag(inner.diagonal()))
    formula = critical_hessian_eigenvalues(X, list(range(0)), r) if not point.kept else None
    if len(set(point.problem.roots)) == len(point.problem.roots):  # indices mean the same triples
        formula = critical_hessian_eigenvalues(X, point.kept, r)
    disagrees = 0.0
    if formula is not None:
        scale = 1 + largest(values)
        disagrees = float(largest(values.sort().values - formula) > 1e-12 * scale)
    wrong = {}
    if point.problem.roots[0]:
        wrong["half of them"] = largest(H @ E - E * values / 2)
    if (values < 0).any():
        wrong["none is negative"] = largest(H @ E - E * values.abs())
    return Trial(largest(H @ E - E * values) + incomplete + disagrees, wrong)


@counterexample("2d-spectrum", "balanced")
def spectrum_at_an_unbalanced_point() -> float:
    X, (A, B) = tensor([[4.0]]), (tensor([[4.0]]), tensor([[1.0]]))
    values = torch.linalg.eigvalsh(loss_hessian(X, A, B))
    return largest(values - critical_hessian_eigenvalues(X, [0], 1))


class Choice(NamedTuple):
    """A problem, and indices of singular values that are kept."""

    problem: Problem
    kept: list[int]


def choices(rng: np.random.Generator) -> Iterator[tuple[str, Choice]]:
    """Yield problems with any choice of at most r singular values, the largest ones among them."""
    for index, (description, (X, rank)) in enumerate(problems(rng)):
        X = X[:6, :6]
        rank = min(rank, *X.shape)
        count = rank if index % 3 else size(rng, 0, rank)
        kept = sorted(rng.choice(min(X.shape), count, replace=False).tolist())
        kept = list(range(rank)) if index % 10 == 9 else kept
        names = ", ".join(f"σ{j + 1}" for j in kept) or "nothing"
        yield f"{description} (at most 6×6), keeping {names}", Choice(Problem(X, rank), kept)


@claim(
    "2d-least",
    kind="identity",
    verdict="theorem",
    statement=r"The least eigenvalue of the Hessian at the balanced critical point that keeps $J$ is "
    r"$-2(\max_{i\notin J}\sigma_i-\min_{j\in J}\sigma_j)$ for $|J|=r$ and $-2\max_{i\notin J}\sigma_i$ for $|J|<r$ where that "
    r"is negative, and 0 otherwise. So it depends on the largest singular value that is missing, on whether all $r$ places "
    r"are used, and then on the least that is kept.",
    family=choices,
    tolerance=1e-12,
)
def least_eigenvalue_at_balanced_critical_points(choice: Choice) -> Trial:
    (X, rank), kept = choice
    singular, scale = torch.linalg.svdvals(X).tolist(), largest(X) or 1.0
    missing = max((s for i, s in enumerate(singular) if i not in kept), default=0.0)
    weakest = min((singular[j] for j in kept), default=0.0) if len(kept) == rank else 0.0
    formula = min(0.0, -2 * (missing - weakest))

    def error(value: float) -> float:
        found = torch.linalg.eigvalsh(loss_hessian(X, *critical_point(X, kept, rank)))[0].item()
        return abs(found - value) / scale

    wrong = {}
    if formula < -1e-6 * scale:
        wrong = {"none is negative": error(0.0), "positive, of this size": error(-formula)}
        if weakest > 1e-6 * scale:
            wrong["−2 max σ of those missing, also for |J| = r"] = error(-2 * missing)
    return Trial(error(formula), wrong)


@counterexample("2d-least", "balanced")
def least_eigenvalue_at_an_unbalanced_saddle() -> float:
    X, G = tensor(np.diag([3.0, 2.0])), tensor([[3.0]])
    moved = change_basis(*critical_point(X, [1], 1), G)
    return abs(torch.linalg.eigvalsh(loss_hessian(X, *moved))[0].item() + 2) / 3


@claim(
    "2d-minimum",
    kind="universal",
    verdict="theorem",
    statement=r"Let $\sigma_r>\sigma_{r+1}$ (counting $\sigma_{r+1}=0$ for $r=\min(m,n)$). At every minimiser, balanced or not, the Hessian has exactly $r^2$ zero eigenvalues, "
    r"and the others are positive. At balanced ones the least positive is $2(\sigma_r-\sigma_{r+1})$ ($4\sigma_r$ for "
    r"$r=m=n$) and the largest $4\sigma_1$; at every other minimiser the largest is at least that.",
    family=lambda rng: (
        (description, (problem, invertible(rng, problem.rank)))
        for description, problem in gap_problems(rng)
    ),
    tolerance=1e-9,
)
def hessian_at_the_minimisers(case: tuple[GapProblem, Tensor]) -> Trial:
    (X, r, singular), G = case
    best, unit = low_rank_factors(X, r), singular[0]
    values = torch.linalg.eigvalsh(loss_hessian(X, *best)) / unit
    moved = torch.linalg.eigvalsh(loss_hessian(X, *change_basis(*best, G))) / unit
    gap = (
        4 * singular[-1]
        if r == len(X) == X.shape[1]
        else 2 * (singular[r - 1] - after(singular, r))
    )
    found, top = values[r * r].item(), values[-1].item()
    zeros = max(largest(values[: r * r]), largest(moved[: r * r]))
    positive = float(moved[r * r].item() <= 1e-6)
    return Trial(
        max(
            zeros,
            positive,
            abs(found - gap / unit),
            abs(top - 4),
            shortfall(moved[-1].item(), 4.0),
        ),
        {
            r"the least positive is $\sigma_r-\sigma_{r+1}$": abs(found - gap / unit / 2),
            "the largest is 2σ₁": abs(top - 2),
            "the same at all minimisers": largest(moved - values),
        },
    )


@counterexample("2d-minimum", "$\\sigma_r>\\sigma_{r+1}$")
def more_zeros_with_a_tie() -> float:
    X = tensor(np.diag([3.0, 2.0, 2.0]))
    values = torch.linalg.eigvalsh(loss_hessian(X, *low_rank_factors(X, 2)))
    return float(values[4].item() <= 1e-6)
