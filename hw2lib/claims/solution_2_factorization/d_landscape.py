"""Claims of Solution 2, the landscape of ‖X − AB‖²: critical points, and how descent moves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.families import Problem, problems, with_singular_values
from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_2_factorization.shared import (
    ExactProblem,
    GapProblem,
    exact_problems,
    flat,
    footprint,
    gap_problems,
    imbalance,
    invertible,
    proved_rate,
    size_bound,
    whole_basis,
    whole_point,
)
from hw2lib.claims.tools import (
    largest,
    normal,
    shortfall,
    size,
    spread,
    tensor,
    torch_generator,
)
from hw2lib.factorization import (
    Factors,
    balance_factors,
    change_basis,
    critical_hessian_eigenvalues,
    critical_point,
    descend,
    loss,
    loss_gradient,
    loss_hessian,
    low_rank_factors,
    random_factors,
    truncation_error,
)

# ---- critical points


def newton(X: np.ndarray, A: np.ndarray, B: np.ndarray) -> Factors | None:
    """Return the critical point that Newton's method finds, of whatever kind; None if it fails."""
    (m, n), r, scale = X.shape, A.shape[1], float(np.linalg.norm(X, 2)) or 1.0
    for _ in range(20):
        R = X - A @ B
        gradient = np.concatenate([(-2 * R @ B.T).ravel(), (-2 * A.T @ R).ravel()])
        if np.linalg.norm(gradient) < 1e-12 * scale**1.5:
            return Factors(tensor(A), tensor(B))
        jacobian = np.hstack([np.kron(np.eye(m), B.T), np.kron(A, np.eye(n))])
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
    "2d-T2",
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


@counterexample("2d-T2", "critical")
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
    r"move that turns $u_j$, $v_j$ towards $u_i$, $v_i$ by $s$ changes the loss by exactly "
    r"$s^2(2-2\sigma_i/\sigma_j)+s^4/\sigma_j^2$.",
    family=exchanges,
    exact=True,
)
def loss_along_an_exchange(exchange: Exchange) -> Trial:
    roots, kept = exchange.point.problem.roots, exchange.point.kept
    wrong = {"without the fourth power": exchange_error(exchange, fourth=0)}
    if roots[exchange.missing] != roots[kept[exchange.place]]:
        wrong |= {"$\\sigma_i$ and $\\sigma_j$ exchanged": exchange_error(exchange, second=-1)}
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


def after(singular: tuple[float, ...], r: int) -> float:
    """Return σ_{r+1}, 0 beyond the last."""
    return singular[r] if r < len(singular) else 0.0


@counterexample("2d-minimum", "$\\sigma_r>\\sigma_{r+1}$")
def more_zeros_with_a_tie() -> float:
    X = tensor(np.diag([3.0, 2.0, 2.0]))
    values = torch.linalg.eigvalsh(loss_hessian(X, *low_rank_factors(X, 2)))
    return float(values[4].item() <= 1e-6)


# ---- descent


class Step(NamedTuple):
    """A point of whole numbers, and a learning rate that is a power of two."""

    X: Tensor
    factors: Factors
    rate: float


def steps(rng: np.random.Generator) -> Iterator[tuple[str, Step]]:
    """Yield points and learning rates for which a step of descent involves no rounding."""
    while True:
        m, n, r = size(rng, 1, 6), size(rng, 1, 6), size(rng, 1, 4)
        rate = 2.0 ** -size(rng, 0, 6)
        yield f"{m}×{n}, rank {r}, η = {rate:g}", Step(*whole_point(rng, m, n, r), rate)


@claim(
    "2d-imbalance",
    kind="identity",
    verdict="theorem",
    statement=r"A step of gradient descent changes $A^\top A-BB^\top$ by exactly $\eta^2\bigl((\nabla_Af)^\top\nabla_Af"
    r"-\nabla_Bf(\nabla_Bf)^\top\bigr)$: nothing at first order in $\eta$. Gradient flow keeps it.",
    family=steps,
    exact=True,
)
def imbalance_changes_at_second_order(step: Step) -> Trial:
    X, (A, B), rate = step
    A_slope, B_slope = loss_gradient(X, A, B)
    end = descend(X, A, B, rate, 1)
    found = imbalance(Factors(end.A, end.B)) - imbalance(step.factors)
    expected = rate**2 * (A_slope.T @ A_slope - B_slope @ B_slope.T)
    wrong = {"not at all": largest(found)} if largest(expected) else {}
    return Trial(largest(found - expected), wrong)


@counterexample("2d-imbalance", "gradient descent: $A$ first, then $B$ with the new $A$")
def factors_that_take_turns() -> float:
    X, A, B, rate = tensor([[2.0]]), tensor([[1.0]]), tensor([[1.0]]), 0.25
    slopes = loss_gradient(X, A, B)
    new_A = A - rate * slopes.A
    new_B = B - rate * loss_gradient(X, new_A, B).B
    found = imbalance(Factors(new_A, new_B)) - imbalance(Factors(A, B))
    return largest(found - rate**2 * (slopes.A.square() - slopes.B.square()))


class Pair(NamedTuple):
    """A start of descent on (1 − ab)², with a learning rate."""

    a: float
    b: float
    rate: float

    @property
    def bound(self) -> float:
        """T, which a² + b² does not exceed."""
        return math.hypot(self.a**2 - self.b**2, 2 + 2 * abs(1 - self.a * self.b))


def pairs(rng: np.random.Generator) -> Iterator[tuple[str, Pair]]:
    """Yield starts, near, far and beside the line a + b = 0, with rates up to the largest."""
    while True:
        a, b = (float(10 ** rng.uniform(-1.5, 0.7) * rng.choice([-1, 1])) for _ in range(2))
        if rng.random() < 0.3:
            b = -a * (1 - float(10 ** rng.uniform(-6, -1)))
        share = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.2, 1))
        rate = share / (2 * Pair(a, b, 0).bound)
        yield f"from ({a:.3g}, {b:.3g}), {share:.2g} of the largest η", Pair(a, b, rate)


def scalar_walk(start: Pair, count: int = 5000) -> tuple[Tensor, Tensor]:
    """Return the a and the b of descent, until the loss is below 1e-12 or it has made its steps."""
    path = [(start.a, start.b)]
    while abs(R := 1 - math.prod(path[-1])) > 1e-6 and len(path) <= count:
        a, b = path[-1]
        path.append((a + 2 * start.rate * R * b, b + 2 * start.rate * R * a))
    a, b = tensor(path).T
    return a, b


def scalar_violation(start: Pair, share: float = 1.5) -> float:
    """Return by how much a walk breaks the theorem; `share` is of the factor 1 − share·η(a² + b²)."""
    a, b = scalar_walk(start)
    R, squares, D, total = (1 - a * b).abs(), a**2 + b**2, (a**2 - b**2).abs(), (a + b).abs()
    margins = (
        (1 - share * start.rate * squares[:-1]) * R[:-1] - R[1:],
        (D[:-1] - D[1:]) / start.bound,
        1 - squares / start.bound,
        total[1:] / total[:-1].clamp(min=1e-300) - 0.5,
        1e-6 - R[-1:],
    )
    return shortfall(torch.cat(margins).min().item(), 0.0)


@claim(
    "2d-scalar",
    kind="universal",
    verdict="theorem",
    statement=r"**Three numbers.** Gradient descent on $(1-ab)^2$ from $(a_0,b_0)$ with $a_0+b_0\ne0$, "
    r"$T^2=(a_0^2-b_0^2)^2+4(1+\lvert1-a_0b_0\rvert)^2$ and any $\eta\le1/(2T)$ converges to a minimum. In every step "
    r"$\lvert1-ab\rvert$ shrinks at least by the factor $1-\frac32\eta(a^2+b^2)$, $\lvert a^2-b^2\rvert$ does not "
    r"grow, $a^2+b^2\le T$, and $a+b$ is multiplied by at least $\frac12$.",
    family=pairs,
    tolerance=1e-12,
)
def descent_on_three_numbers(start: Pair) -> Trial:
    return Trial(
        scalar_violation(start),
        {"by the factor $1-3\\eta(a^2+b^2)$": scalar_violation(start, 3)},
    )


@counterexample(
    "2d-scalar", "$a_0+b_0\\ne0$: from $(\\frac12,-\\frac12)$ descent ends at the saddle"
)
def start_on_the_line_into_the_saddle() -> float:
    return scalar_violation(Pair(0.5, -0.5, 0.1))


@counterexample("2d-scalar", "$\\eta\\le1/(2T)$: with $\\eta=0.55$ from $(0.9,0.8)$ it cycles")
def rate_that_makes_descent_cycle() -> float:
    return scalar_violation(Pair(0.9, 0.8, 0.55))


def far_starts(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Tensor, Factors, float]]]:
    """Yield problems with starts that are small or large, balanced or far from it.

    The learning rates are the largest of the theorem and smaller ones, as fractions of it.
    """
    for index, (description, (X, rank)) in enumerate(problems(rng)):
        scale = largest(X) ** 0.5 or 1.0
        a, b = (scale * float(10 ** rng.uniform(-2, 1)) for _ in range(2))
        factors = Factors(a * normal(rng, len(X), rank), b * normal(rng, rank, X.shape[1]))
        fraction = float(10 ** rng.uniform(-2, 0)) if index % 3 == 2 else 1.0
        yield (
            f"{description}, ‖A‖ to ‖B‖ as {a / b:.2g}, {fraction:.2g} of the largest η",
            (X, factors, fraction),
        )


def violation(X: Tensor, start: Factors, rate: float, count: int = 10) -> tuple[float, float]:
    """Return by how much steps of descent break the three bounds of the theorem, relatively.

    The second is by how much they would break a decrease of twice as much.
    """
    path = [start]
    for _ in range(count):
        path.append(Factors(*descend(X, *path[-1], rate, 1)[:2]))
    walk = Factors(*(torch.stack(factors) for factors in zip(*path, strict=True)))
    R = X - walk.A @ walk.B
    losses = R.square().sum((-2, -1))
    squares = 4 * ((R @ walk.B.mT).square().sum((-2, -1)) + (walk.A.mT @ R).square().sum((-2, -1)))
    drift = torch.linalg.matrix_norm(imbalance(walk) - imbalance(start)).max().item()
    sizes = sum(torch.linalg.matrix_norm(M, 2).square() for M in walk).max().item()
    first, bound = losses[0].item(), size_bound(X, start)

    def too_little(decrease: float) -> float:
        margin = losses[:-1] - losses[1:] - decrease * rate * squares[:-1]
        return shortfall(margin.min().item(), 0.0) / (first or 1.0)

    outside = max(shortfall(2 * rate * first, drift), shortfall(bound, sizes)) / (bound or 1.0)
    return max(too_little(0.5), outside), too_little(1.0)


@claim(
    "2d-convergence",
    kind="universal",
    verdict="theorem",
    statement=r"**Convergence.** Let $f_0$ be the loss at the start, $D_0=A_0^\top A_0-B_0B_0^\top$ and "
    r"$S^2=2(\lVert D_0\rVert_F+\frac12\sqrt{f_0})^2+4(\lVert X\rVert_F+\sqrt{f_0})^2$. For every learning rate "
    r"$\eta\le1/(6S+4\sqrt{f_0})$ each step of gradient descent lowers $f$ by at least "
    r"$\frac\eta2\lVert\nabla f\rVert^2$, $A^\top A-BB^\top$ stays within $2\eta f_0$ of $D_0$, and "
    r"$\lVert A\rVert^2+\lVert B\rVert^2\le S$ (operator norms). These bounds are checked, for ten steps; by the proof on the page descent then converges to a critical point, and for fixed $\eta$ from almost "
    r"every start for which $\eta$ is that small, to a global minimum.",
    family=far_starts,
    tolerance=1e-12,
)
def descent_stays_bounded(case: tuple[Tensor, Factors, float]) -> Trial:
    X, start, fraction = case
    error, faster = violation(X, start, fraction * proved_rate(X, start))
    moves = largest(flat(*loss_gradient(X, *start))) > 0
    return Trial(error, {"by at least η‖∇f‖²": faster} if moves else {})


@counterexample("2d-convergence", "η small enough for the start: 1/(4σ₁) from a distant one")
def distant_start_with_a_rate_for_the_minimum() -> float:
    X, start = tensor([[1.0]]), Factors(tensor([[3.0]]), tensor([[3.0]]))
    return violation(X, start, 0.25, count=1)[0]


@counterexample("2d-convergence", "almost every start: $A$ and $B$ along $u_2$, $v_2$ only")
def start_that_descends_to_a_saddle() -> float:
    X, (A, B) = tensor(np.diag([3.0, 2.0, 1.0])), critical_point(np.diag([3.0, 2.0, 1.0]), [1], 1)
    start = Factors(A / 4, B / 4)
    return excess_after(X, start, proved_rate(X, start), 1500)


def excess_after(X: Tensor, start: Factors, rate: float, count: int) -> float:
    """Return how far the loss is above its least value, over that, after some steps."""
    least = truncation_error(X, start.A.shape[1]).item()
    return descend(X, *start, rate, count).losses[-1].item() / least - 1


SIZES = ((4, 3, 1), (6, 5, 2), (5, 9, 3))
RUNS = 8
STEPS = 800


class Starts(NamedTuple):
    """Problems of one size side by side, starts of three kinds, and learning rates."""

    X: Tensor
    A: Tensor
    B: Tensor
    rates: Tensor
    kinds: list[str]
    least: float


def random_starts(rng: np.random.Generator, m: int, n: int, rank: int) -> Starts:
    """Draw problems with a gap, and small, balanced and unbalanced starts."""
    values = [*np.linspace(3, 2, rank), *np.linspace(1, 0.2, min(m, n) - rank)]
    Xs, factors, rates, kinds = [], [], [], []
    for kind, _ in itertools.product(("small", "balanced", "unbalanced"), range(RUNS)):
        X = with_singular_values(rng, m, n, values)
        A, B = normal(rng, m, rank), normal(rng, rank, n)
        match kind:
            case "small":
                start = random_factors(X, rank, torch_generator(rng))
            case "balanced":
                start = balance_factors(A, B)
            case _:
                start = Factors(A, B / 10)
        Xs.append(X)
        factors.append(start)
        rates.append(1 / (4 * values[0] + 2 * footprint(start).item()))
        kinds.append(kind)
    A, B = (torch.stack(parts) for parts in zip(*factors, strict=True))
    least = sum(value**2 for value in values[rank:])
    return Starts(torch.stack(Xs), A, B, tensor(rates)[:, None, None], kinds, least)


@claim(
    "2d-descent",
    kind="measured",
    verdict="measured",
    statement=r"Gradient descent from random starts, small, balanced or with $A$ ten times as large as $B$, comes within "
    r"{value}`excess_most:.1g` of the least loss (relatively) in all of {value}`cases` runs of {value}`steps` steps, with "
    r"$\eta=1/(4\sigma_1+2\lVert A_0\rVert_F^2+2\lVert B_0\rVert_F^2)$, more than the theorem allows ($\sigma_1=3$, $\sigma_r\ge2$, $\sigma_{r+1}=1$). Within $10^{-6}$ it is after "
    r"{value}`small:.0f` steps from small starts, {value}`balanced:.0f` from balanced and {value}`unbalanced:.0f` from "
    r"unbalanced ones (medians). Unbalanced starts end at unbalanced minimisers: "
    r"$A^\top A-BB^\top$ changes by {value}`drift:.1%` in the median.",
)
def descent_from_random_starts(seed: int) -> Trial:
    needed: dict[str, list[float]] = {"small": [], "balanced": [], "unbalanced": []}
    excesses, drifts, runs, too_small = [], [], [], 0.0
    for m, n, rank in SIZES:
        X, A, B, rates, kinds, least = random_starts(np.random.default_rng([seed, m]), m, n, rank)
        proved = [proved_rate(*each) for each in zip(X, map(Factors, A, B), strict=True)]
        too_small = max(too_small, float((rates.flatten() <= tensor(proved)).any()))
        fit = descend(X, A, B, rates, STEPS)
        excess = fit.losses / least - 1
        before, after = imbalance(Factors(A, B)), imbalance(Factors(fit.A, fit.B))
        norm = torch.linalg.matrix_norm
        for run, kind in enumerate(kinds):
            needed[kind].append(int((excess[:, run] > 1e-6).sum()))
            excesses.append(abs(excess[-1, run].item()))
            runs.append(f"{m}×{n}, rank {rank}, {kind} start, run {run}")
            if kind == "unbalanced":
                drifts.append((norm(after[run] - before[run]) / norm(before[run])).item())
    most = max(excesses)
    return Trial(
        max(
            shortfall(1e-3, most),
            shortfall(0.2, float(np.median(drifts))),
            too_small,
            *(shortfall(STEPS, float(np.median(counts))) for counts in needed.values()),
        ),
        {
            "some run is left at a saddle": shortfall(most, 0.1),
            "they all end balanced": shortfall(float(np.median(drifts)), 0.8),
        },
        {kind: float(np.median(counts)) for kind, counts in needed.items()}
        | spread("excess", excesses)
        | spread("drift", drifts)
        | {"steps": STEPS},
        cases=len(runs),
        worst=runs[int(np.argmax(excesses))],
    )


@counterexample("2d-descent", "random: along $u_2$, $v_2$ only")
def start_without_the_largest_singular_vector() -> float:
    return start_that_descends_to_a_saddle()


@counterexample("2d-descent", "η small enough for the start: 1/(4σ₁)")
def rate_that_is_too_large_for_the_start() -> float:
    X, start = tensor(np.diag([3.0, 2.0])), Factors(tensor([[6.0], [1.0]]), tensor([[6.0, 1.0]]))
    return excess_after(X, start, 1 / 12, 4)


class Rates(NamedTuple):
    """Logarithms of the factors by which the distance to X_r changes a step, and predictions."""

    found: list[float]
    predicted: float
    halved: float


def rates_near_minimum(
    rng: np.random.Generator, m: int, n: int, r: int, fraction: float, basis: float = 1.0
) -> Rates:
    """Run descent from a little beside minimisers, with a fraction of the largest stable rate."""
    p = min(m, n)
    values = (np.linspace(3, 0.4, p) + 0.1 / p * rng.uniform(-1, 1, p)).tolist()
    Xs = [with_singular_values(rng, m, n, values) for _ in range(RUNS)]
    best = [change_basis(*low_rank_factors(X, r), basis * tensor(np.eye(r))) for X in Xs]
    X, A, B = torch.stack(Xs), *(torch.stack(parts) for parts in zip(*best, strict=True))
    least = 4 * values[-1] if r == m == n else 2 * (values[r - 1] - after(tuple(values), r))
    rate, top = fraction / (2 * values[0]), 4 * values[0]
    predicted, halved = (
        math.log(max(abs(1 - rate * low), abs(1 - rate * top))) for low in (least, least / 2)
    )
    count, beside = (math.ceil(15 / -predicted), 1e-4) if predicted < 0 else (100, 1e-6)
    start = (A + beside * normal(rng, *A.shape), B + beside * normal(rng, *B.shape))
    half = descend(X, *start, rate, count // 2)
    end = descend(X, half.A, half.B, rate, count - count // 2)
    middle, last = (torch.linalg.matrix_norm(fit.A @ fit.B - A @ B) for fit in (half, end))
    found = (last / middle).log() / (count - count // 2)
    return Rates(found.tolist(), predicted, halved)


def off(found: list[float], predicted: float) -> float:
    """Return the largest relative error of a predicted rate."""
    return max(abs(value / predicted - 1) for value in found)


@claim(
    "2d-rate",
    kind="limit",
    verdict="theorem",
    statement=r"**Local rate.** Let $\sigma_r>\sigma_{r+1}$ (counting $\sigma_{r+1}=0$ for $r=\min(m,n)$; with a tie $X_r$ is not unique or the factors lose rank). From almost every start close to a balanced minimiser the distance of "
    r"$AB$ to $X_r$ changes, in the long run and while it stays close, by the factor $\max(|1-\eta\lambda^+|,|1-4\eta\sigma_1|)$ a step, up to an error that "
    r"vanishes with the distance of the start; here $\lambda^+=2(\sigma_r-\sigma_{r+1})$ ($4\sigma_r$ for $r=m=n$). "
    r"So gradient descent converges there for $\eta<1/(2\sigma_1)$, by $1-\eta\lambda^+$ a step if $\eta\le"
    r"2/(4\sigma_1+\lambda^+)$, and leaves for $\eta>1/(2\sigma_1)$. Measured at four learning rates, from a quarter to 1.05 times "
    r"the largest stable one, the logarithms of the factors agree within {value}`off:.1%`.",
    tolerance=0.02,
)
def distance_shrinks_by_the_least_and_largest_eigenvalue(seed: int) -> Trial:
    errors, halved, squared, runs = [], [], [], []
    for m, n, r in ((5, 4, 1), (4, 4, 4), (6, 8, 3), (8, 6, 4)):
        for fraction in (0.25, 0.5, 0.95, 1.05):
            rates = rates_near_minimum(np.random.default_rng([seed, m, n]), m, n, r, fraction)
            errors.append(off(rates.found, rates.predicted))
            halved.append(off(rates.found, rates.halved))
            squared.append(off(rates.found, 2 * rates.predicted))
            runs.append(f"{m}×{n}, rank {r}, {fraction} of the largest stable learning rate")
    return Trial(
        max(errors),
        {
            r"$\lambda^+=\sigma_r-\sigma_{r+1}$": max(halved),
            "its square, as for the loss": min(squared),
        },
        {"off": max(errors)},
        cases=len(runs) * RUNS,
        worst=runs[int(np.argmax(errors))],
    )


@counterexample("2d-rate", "balanced: at $(2A^*,B^*/2)$")
def rate_at_an_unbalanced_minimiser() -> float:
    rates = rates_near_minimum(np.random.default_rng(0), 6, 8, 3, 0.25, basis=2.0)
    return off(rates.found, rates.predicted)
