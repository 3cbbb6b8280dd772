"""Claims of Solution 2(c): all the minimisers of ‖X − AB‖²."""

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
    exact_problem,
    exact_problems,
    footprint,
    gap_problems,
    imbalance,
    invertible,
    whole_basis,
)
from hw2lib.claims.tools import (
    largest,
    normal,
    relative,
    shortfall,
    size,
    spread,
    tensor,
    torch_generator,
    whole,
)
from hw2lib.factorization import (
    Factors,
    alternating_least_squares,
    balance_factors,
    change_basis,
    connecting_matrix,
    descend,
    gradient_descent,
    loss,
    loss_gradient,
    low_rank_factors,
    random_factors,
    truncation_error,
)


def excess(X: Tensor, A: Tensor, B: Tensor) -> float:
    """Return how far the loss lies from the minimum, over the loss of doing nothing."""
    least, scale = truncation_error(X, A.shape[1]), X.square().sum()
    return relative(loss(X, A, B) - least, scale)


def best_of(problem: ExactProblem) -> Factors:
    """Return the balanced minimiser without rounding; for X = 0 one that is not zero."""
    A, B = problem.factors(range(problem.rank))
    if not largest(A):
        A[0, 0] = 1.0
    return Factors(A, B)


@claim(
    "2c-unique",
    kind="universal",
    verdict="holds",
    printed=r"The values of $A^*$ and $B^*$ obtained above are not unique.",
    statement=r"For $X\ne0$, $(A^*,B^*)$ and $(-A^*,-B^*)$ differ and both are minimisers; for $X=0$ so are all $(A,0)$.",
    family=exact_problems,
    exact=True,
)
def opposite_factors_are_another_minimiser(problem: ExactProblem) -> Trial:
    X, (A, B) = problem.X, best_of(problem)

    def error(A: Tensor, B: Tensor) -> float:
        return abs(loss(X, A, B).item() - problem.minimum)

    wrong = {"negating A alone": error(-A, B)} if largest(X) else {}
    return Trial(max(error(A, B), error(-A, -B), float(not largest(A + A))), wrong)


def multiples(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Problem, float]]]:
    """Yield problems with numbers other than 0, of both signs and of many magnitudes."""
    for description, problem in problems(rng):
        e = float(rng.choice([-1, 1]) * 10 ** rng.uniform(-3, 3))
        yield f"{description}, e = {e:.3g}", (problem, e)


@claim(
    "2c-scale",
    kind="identity",
    verdict="holds",
    printed=r"For instance we can multiply $A$ by any constant $e\in\mathbb R$ and $B$ by $1/e$ to preserve the "
    r"objective.",
    statement=r"By any $e\ne0$, as $1/e$ implies: $(eA^*,B^*/e)$ is a minimiser, with $G=eI$.",
    family=multiples,
    tolerance=1e-12,
)
def scaling_keeps_the_loss(case: tuple[Problem, float]) -> Trial:
    (X, rank), e = case
    A, B = low_rank_factors(X, rank)
    moved = change_basis(A, B, e * tensor(np.eye(rank)))
    return Trial(
        max(excess(X, *moved), relative(moved.A - e * A, e * A)),
        {"multiply both by e": excess(X, e * A, e * B)} if largest(X) else {},
    )


@counterexample("2c-scale", r"$e\ne0$, with $B$ as large as you like")
def zero_times_a_large_factor() -> float:
    X = tensor(np.diag([2.0, 1.0]))
    A, B = low_rank_factors(X, 1)
    return excess(X, 0 * A, 1e12 * B)


def off_the_orbit(best: Factors, found: Factors) -> float:
    """Return how far factors lie from (A*G, G⁻¹B*) for the best G, relatively."""
    G = torch.linalg.lstsq(best.A, found.A, driver="gelsd").solution
    return max(relative(best.A @ G - found.A, found.A), relative(G @ found.B - best.B, best.B))


def found_minimisers(rng: np.random.Generator) -> Iterator[tuple[str, tuple[GapProblem, Factors]]]:
    """Yield problems with a gap, and a minimiser each that an optimiser has found."""
    for index, (description, problem) in enumerate(gap_problems(rng)):
        X, rank, singular = problem
        fit = torch_generator(rng)
        if index % 8 or singular[0] > 20 * singular[rank - 1]:
            by, found = (
                "alternating least squares",
                alternating_least_squares(X, rank, 11, generator=fit),
            )
        else:
            by, found = "gradient descent", gradient_descent(X, rank, 200, generator=fit)
        yield f"{description}, by {by}", (problem, Factors(found.A, found.B))


@claim(
    "2c-orbit",
    kind="universal",
    verdict="sharpened",
    severity=1,
    printed=r"In general, any $A=A^*Q$, $B=Q^\top B^*$ where $Q$ is an orthogonal matrix gives a different solution.",
    statement=r"Right for $Q\ne I$ if $\sigma_r>0$, but far from the whole family: all $(A^*G,G^{-1}B^*)$ with $G$ invertible are minimisers, the "
    r"print's own rescaling among them. If $\sigma_r>\sigma_{r+1}$ (counting $\sigma_{r+1}=0$ for $r=\min(m,n)$), "
    r"there are no others.",
    corrected=r"every $(A^*G,G^{-1}B^*)$ with $G$ invertible; no others if $\sigma_r>\sigma_{r+1}$",
    family=found_minimisers,
    tolerance=1e-6,
)
def minimisers_are_an_orbit_of_the_general_linear_group(case: tuple[GapProblem, Factors]) -> Trial:
    (X, rank, _), found = case
    best = low_rank_factors(X, rank)
    G = connecting_matrix(best.A, found.A)
    there = change_basis(*best, G)
    U, _, Vh = torch.linalg.svd(best.A.T @ found.A)
    turned = change_basis(*best, U @ Vh)  # by the nearest orthogonal matrix
    mirrored = Factors(-best.A, -best.B)  # Q = −I

    def error(factors: Factors) -> float:
        return max(relative(factors.A - found.A, found.A), relative(factors.B - found.B, found.B))

    return Trial(
        max(
            error(there),
            excess(X, *found),
            excess(X, *change_basis(*found, torch.linalg.inv(G))),
            excess(X, *mirrored),
            float(torch.equal(mirrored.A, best.A)),
        ),
        {"only orthogonal G": error(turned)},
    )


@counterexample("2c-orbit", "$\\sigma_r>0$: an orthogonal $Q\\ne I$ that changes nothing")
def sign_of_a_column_of_zeros() -> float:
    _, low = exact_problem(np.random.default_rng(0), 5, 4, [3, 0, 0, 0], 2)
    A, B = best_of(low)
    Q = tensor(np.diag([1.0, -1.0]))
    return float(torch.equal(A @ Q, A) and torch.equal(Q.T @ B, B))


@counterexample("2c-orbit", "$\\sigma_r>\\sigma_{r+1}$: a tie")
def tied_singular_vectors_are_exchanged() -> float:
    _, tied = exact_problem(np.random.default_rng(0), 5, 4, [3, 2, 2, 1], 2)
    return off_the_orbit(best_of(tied), another_minimiser(tied))


@counterexample("2c-orbit", "$\\sigma_r>\\sigma_{r+1}$: both are 0")
def column_without_use_is_filled() -> float:
    _, low = exact_problem(np.random.default_rng(0), 5, 4, [3, 0, 0, 0], 2)
    return off_the_orbit(best_of(low), another_minimiser(low))


def another_minimiser(problem: ExactProblem) -> Factors:
    """Return a minimiser off the orbit, for a tie at the cut."""
    r, roots = problem.rank, (*problem.roots, 0)
    A, B = problem.factors(range(r))
    if roots[r - 1]:
        return problem.factors([*range(r - 1), r])
    A[:, r - 1] = problem.U[:, r - 1]  # σ_r = 0: its left vector is outside the column space of X
    return Factors(A, B)


def ties(rng: np.random.Generator) -> Iterator[tuple[str, ExactProblem]]:
    """Yield problems without rounding that have σ_r = σ_{r+1}, both 0 among them."""
    for m, n, roots, rank in ((1, 1, [0], 1), (2, 3, [1, 1], 1), (3, 2, [2, 0], 2)):
        yield exact_problem(rng, m, n, roots, rank)
    while True:
        m, n = size(rng, 1, 6), size(rng, 1, 6)
        roots, rank = sorted(rng.integers(0, 5, min(m, n)).tolist())[::-1], size(rng, 1, min(m, n))
        roots[rank - 1 :] = [roots[rank - 1]] * 2 + roots[rank + 1 :]
        if rank == min(m, n) or rng.random() < 0.3:
            roots[rank - 1 :] = [0] * (min(m, n) - rank + 1)
        yield exact_problem(rng, m, n, roots[: min(m, n)], rank)


@claim(
    "2c-ties",
    kind="universal",
    verdict="theorem",
    statement=r"If $\sigma_r=\sigma_{r+1}$ (counting $\sigma_{r+1}=0$ for $r=\min(m,n)$) there are minimisers that no $G$ reaches from $(A^*,B^*)$: exchange "
    r"$u_r,v_r$ for $u_{r+1},v_{r+1}$ if $\sigma_r>0$; put a vector outside the column space of $X$ into the zero "
    r"column of $A^*$ if $\sigma_r=0$.",
    family=ties,
    exact=True,
)
def ties_have_minimisers_off_the_orbit(problem: ExactProblem) -> Trial:
    X, r, other = problem.X, problem.rank, another_minimiser(problem)
    kept = problem.U[:, [j for j in range(r) if problem.roots[j]]]
    outside = other.A - kept @ (kept.T @ other.A)  # exact: the columns of A*G lie in this span
    return Trial(
        abs(loss(X, *other).item() - problem.minimum) + float(not largest(outside)),
        {"none: all minimisers are (A*G, G⁻¹B*)": largest(outside)},
    )


@counterexample("2c-ties", "$\\sigma_r=\\sigma_{r+1}$")
def exchanged_without_a_tie() -> float:
    _, distinct = exact_problem(np.random.default_rng(0), 5, 4, [4, 3, 2, 1], 2)
    return abs(loss(distinct.X, *another_minimiser(distinct)).item() - distinct.minimum)


@claim(
    "2c-permutation",
    kind="identity",
    verdict="holds",
    printed=r"We can also have $Q$ to be a permutation matrix which shuffles the columns of $A^*$ and rows of $B^*$ "
    r"correspondingly to preserve the objective.",
    statement=r"All $r!$ permutation matrices are orthogonal: shuffle the columns of $A^*$ and the rows of $B^*$ "
    r"alike. The minimisers are $r!$ different ones if $\sigma_r>0$.",
    family=exact_problems,
    exact=True,
)
def permutations_keep_the_loss(problem: ExactProblem) -> Trial:
    X, r, (A, B) = problem.X, problem.rank, problem.factors(range(problem.rank))
    orders = torch.tensor(list(itertools.permutations(range(r))))
    As, Bs = A[:, orders].movedim(1, 0), B[orders]

    def error(As: Tensor, Bs: Tensor) -> float:
        return largest((X - As @ Bs).square().sum((1, 2)) - problem.minimum)

    different = len(torch.unique(As.flatten(1), dim=0))
    missing = len(orders) - different if problem.roots[r - 1] else 0
    wrong = {"shuffling A alone": error(As, B)} if r > 1 and problem.roots[0] else {}
    return Trial(error(As, Bs) + missing, wrong)


@counterexample("2c-permutation", "different ones if $\\sigma_r>0$")
def zero_columns_are_alike() -> float:
    _, problem = exact_problem(np.random.default_rng(0), 4, 4, [2, 0, 0, 0], 3)
    A = problem.factors(range(3)).A
    orders = itertools.permutations(range(3))
    return math.factorial(3) - len({tuple(A[:, list(o)].flatten().tolist()) for o in orders})


@claim(
    "2c-infinite",
    kind="universal",
    verdict="holds",
    printed=r"… there are multiple (an infinite number in fact) solutions that give the same value.",
    statement=r"Yes, for every $X$: already the rescalings $(eA^*,B^*/e)$ of a minimiser with $A^*\ne0$ are different for "
    r"different $e$. (The orthogonal ones alone are two for $r=1$, $Q=\pm1$.)",
    family=exact_problems,
    exact=True,
)
def infinitely_many_through_rescaling(problem: ExactProblem) -> Trial:
    X, (A, B) = problem.X, best_of(problem)

    def minimisers(multiples: list[float]) -> int:
        e = tensor(multiples)[:, None, None]
        losses = (X - (e * A) @ (B / e)).square().sum((1, 2))
        return len(torch.unique((e * A)[losses == problem.minimum], dim=0))

    scales = [sign * 2.0**k for k in range(-8, 8) for sign in (-1, 1)]
    wrong = {"orthogonal Q alone, for r = 1": len(scales) - minimisers([1.0, -1.0])}
    return Trial(len(scales) - minimisers(scales), wrong if problem.rank == 1 else {})


@claim(
    "2c-balanced",
    kind="universal",
    verdict="theorem",
    statement=r"**Balance.** Of all factors of a product the balanced ones, $A^\top A=BB^\top$, have the least "
    r"$\lVert A\rVert_F^2+\lVert B\rVert_F^2$, namely $2\lVert AB\rVert_*$; for minimisers it is $2\sum_{i\le r}\sigma_i$. "
    r"At $(A^*G,G^{-1}B^*)$ it is larger by at least $\sigma_r\sum_i(g_i-1/g_i)^2$, with $g_i$ the singular values of $G$. "
    r"So, if $\sigma_r>0$, the balanced ones among these are those with $G$ orthogonal.",
    family=lambda rng: (
        (
            description,
            (
                problem,
                invertible(rng, problem.rank),
                normal(rng, problem.rank, problem.rank),
                any_factors(rng, problem),
            ),
        )
        for description, problem in problems(rng)
    ),
    tolerance=1e-10,
)
def balanced_factors_are_the_smallest(case: tuple[Problem, Tensor, Tensor, Factors]) -> Trial:
    (X, rank), G, turned, others = case
    values = torch.linalg.svdvals(X)
    best, least = low_rank_factors(X, rank), 2 * values[:rank].sum().item()
    moved = change_basis(*best, G)
    rotated = change_basis(*best, torch.linalg.qr(turned).Q)
    balanced = balance_factors(*moved)
    scale = least or 1.0
    margin = values[rank - 1].item() * excess_of_basis(G)
    size = footprint(moved).item()
    wrong = {"so do all minimisers": abs(size - least) / scale} if least else {}
    return Trial(
        max(
            shortfall(size, least + margin) / scale,
            abs(footprint(rotated).item() - least) / scale,
            abs(footprint(balanced).item() - least) / scale,
            relative(balanced.A @ balanced.B - moved.A @ moved.B, X),
            largest(imbalance(rotated)) / scale,
            largest(imbalance(balanced)) / scale,
            larger_than_balanced(others),
            balanced_but_not_orthogonal(moved, G, values[rank - 1].item() > 1e-9 * scale),
        ),
        wrong,
    )


def any_factors(rng: np.random.Generator, problem: Problem) -> Factors:
    """Return random factors, every other time with a column of A that the product does not use."""
    (m, n), rank = problem.X.shape, problem.rank
    A, B = normal(rng, m, rank), normal(rng, rank, n)
    B[-1] *= float(rng.integers(2))
    return Factors(A, B)


def larger_than_balanced(factors: Factors) -> float:
    """Return by how much factors are smaller than 2‖AB‖_*, or balanced ones differ from it."""
    least = 2 * torch.linalg.svdvals(factors.A @ factors.B).sum().item()
    size, balanced = footprint(factors).item(), footprint(balance_factors(*factors)).item()
    return max(shortfall(size, least), abs(balanced - least)) / (least or 1.0)


def excess_of_basis(G: Tensor) -> float:
    """Return Σ (g − 1/g)² over the singular values of G: 0 for orthogonal ones only."""
    values = torch.linalg.svdvals(G)
    return (values - 1 / values).square().sum().item()


def balanced_but_not_orthogonal(factors: Factors, G: Tensor, applies: bool = True) -> float:
    """Return 1 if factors are balanced although their G is far from orthogonal, 0 otherwise."""
    balanced = largest(imbalance(factors)) <= 1e-9 * largest(factors.A.T @ factors.A)
    return float(applies and balanced and excess_of_basis(G) > 1e-3)


@counterexample("2c-balanced", "$\\sigma_r>0$")
def basis_that_meets_a_zero() -> float:
    G = tensor(np.diag([1.0, 5.0]))
    moved = change_basis(*low_rank_factors(tensor(np.diag([2.0, 0.0, 0.0])), 2), G)
    return balanced_but_not_orthogonal(moved, G)


class Decay(NamedTuple):
    """A problem with weight decay, and factors that might beat the formula."""

    problem: Problem
    decay: float
    rival: Factors


def shrunken(X: Tensor, rank: int, decay: float) -> Factors:
    """Return balanced factors of the truncated SVD with every singular value less the decay."""
    U, S, Vh = torch.linalg.svd(X, full_matrices=False)
    root = (S[:rank] - decay).clamp(min=0).sqrt()
    return Factors(U[:, :rank] * root, root[:, None] * Vh[:rank])


def decays(rng: np.random.Generator) -> Iterator[tuple[str, Decay]]:
    """Yield problems with decays from far below to above the singular values, and rivals."""
    for index, (description, problem) in enumerate(problems(rng)):
        X, rank = problem
        decay = float(torch.linalg.matrix_norm(X, 2) or 1.0) * float(10 ** rng.uniform(-3, 0.3))
        A, B = shrunken(X, rank, decay)
        scale = largest(X) ** 0.5
        if index % 2:
            by, moves = "a small step away", 0.01 * scale
        else:
            by, moves, A, B = "anywhere", scale, 0 * A, 0 * B
        rival = Factors(A + moves * normal(rng, *A.shape), B + moves * normal(rng, *B.shape))
        yield f"{description}, λ = {decay:.2g}, {by}", Decay(problem, decay, rival)


def decayed_loss(X: Tensor, factors: Factors, decay: float) -> float:
    """Return ‖X − AB‖² + λ(‖A‖² + ‖B‖²)."""
    return (loss(X, *factors) + decay * footprint(factors)).item()


def decayed_minimum(X: Tensor, rank: int, decay: float) -> float:
    """Return its least value: σ² for what is not kept, 2λσ − λ² for what is."""
    values = torch.linalg.svdvals(X)
    kept = values[:rank][values[:rank] > decay]
    rest = values[len(kept) :]
    return (rest.square().sum() + (2 * decay * kept - decay**2).sum()).item()


@claim(
    "2c-decay",
    kind="universal",
    verdict="theorem",
    statement=r"**Weight decay** on both factors picks balanced ones and shrinks: the minimisers of $\lVert X-AB\rVert_F^2"
    r"+\lambda(\lVert A\rVert_F^2+\lVert B\rVert_F^2)$, $\lambda>0$, are balanced, with $AB=\sum_{i\le r}"
    r"\max(\sigma_i-\lambda,0)\,u_iv_i^\top$ (if $\sigma_r=\sigma_{r+1}>\lambda$, for one of the choices of singular vectors). The least value is $\sum(2\lambda\sigma_i-\lambda^2)$ over the $i\le r$ with "
    r"$\sigma_i>\lambda$, plus the squares of the other $\sigma_i$; where at most $r$ of the $\sigma_i$ exceed $\lambda$, other factors are above it by at least "
    r"the square of the distance of their product from this one.",
    family=decays,
    tolerance=1e-12,
)
def decay_shrinks_the_singular_values(case: Decay) -> Trial:
    (X, rank), decay, rival = case
    scale, least = X.square().sum().item() or 1.0, decayed_minimum(X, rank, decay)

    def error(by: float) -> float:
        return abs(decayed_loss(X, shrunken(X, rank, by * decay), decay) - least) / scale

    above = decayed_loss(X, rival, decay) - least
    if (
        torch.linalg.svdvals(X) > decay
    ).sum() <= rank:  # then ‖X − P‖² + 2λ‖P‖_* is least at this product
        best = shrunken(X, rank, decay)
        above -= (rival.A @ rival.B - best.A @ best.B).square().sum().item()
    beaten = shortfall(above, 0.0) / (scale + (rival.A @ rival.B).square().sum().item())
    slopes = loss_gradient(X, *rival)  # where both vanish with the decay, AᵀA = BBᵀ:
    in_A, in_B = slopes.A + 2 * decay * rival.A, slopes.B + 2 * decay * rival.B
    pull = rival.A.T @ in_A - in_B @ rival.B.T
    terms = torch.cat([rival.A.T @ slopes.A, 2 * decay * rival.A.T @ rival.A])
    balance = relative(pull - 2 * decay * imbalance(rival), terms)
    kept = float(torch.linalg.matrix_norm(X, 2)) > decay
    wrong = {"by λ/2": error(0.5), "by nothing": error(0.0)} if kept else {}
    return Trial(max(error(1.0), beaten, balance), wrong)


@counterexample("2c-decay", "on both factors: A alone, with B scaled up")
def decay_of_one_factor() -> float:
    X = tensor(np.diag([3.0, 2.0, 1.0]))
    A, B = low_rank_factors(X, 1)
    value = loss(X, A / 1e3, 1e3 * B) + 0.5 * (A / 1e3).square().sum()
    return shortfall(value.item(), decayed_minimum(X, 1, 0.5)) / X.square().sum().item()


SIZES = ((6, 4, 2), (9, 6, 3), (12, 8, 4))
RUNS = 8


@claim(
    "2c-landing",
    kind="measured",
    verdict="measured",
    statement=r"Where on the orbit an optimiser lands depends on the optimiser. With $(A,B)=(A^*G,G^{-1}B^*)$, alternating "
    r"least squares from random starts ends at a $G$ that lengthens or shortens some vector by a factor of {value}`alternating:.2g` in the median (from "
    r"{value}`alternating_least:.2g` to {value}`alternating_most:.2g`): far from orthogonal as a rule. Gradient descent from "
    r"small random starts ends nearly balanced, at {value}`descent:.3f` in the median and {value}`descent_most:.3f` in the farthest run.",
)
def optimisers_land_on_different_parts_of_the_orbit(seed: int) -> Trial:
    alternating, descent, runs = [], [], []
    for m, n, rank in SIZES:
        rng = np.random.default_rng([seed, m])
        values = np.linspace(3, 1, min(m, n)).tolist()
        Xs = [with_singular_values(rng, m, n, values) for _ in range(RUNS)]
        starts = [random_factors(X, rank, torch_generator(rng)) for X in Xs]
        A, B = (torch.stack(factors) for factors in zip(*starts, strict=True))
        ends = descend(torch.stack(Xs), A, B, 1 / (4 * values[0]), 45 * min(m, n)).A
        for run, (X, end) in enumerate(zip(Xs, ends, strict=True)):
            best = low_rank_factors(X, rank)
            swept = alternating_least_squares(X, rank, 20, generator=torch_generator(rng))
            alternating.append(stretch(best, swept.A))
            descent.append(stretch(best, end))
            runs.append(f"{m}×{n}, rank {rank}, run {run}")
    usual, most = float(np.median(alternating)), max(descent)
    return Trial(
        max(shortfall(usual, 1.5), shortfall(1.05, most)),
        {
            "all optimisers land near balance": shortfall(1.05, usual),
            "all optimisers land far from it": shortfall(float(np.median(descent)), 1.5),
        },
        spread("alternating", alternating) | spread("descent", descent),
        cases=len(runs),
        worst=runs[int(np.argmax(descent))],
    )


def stretch(best: Factors, A: Tensor) -> float:
    """Return the largest factor by which G, from the balanced minimiser to another, changes a length."""
    S = torch.linalg.svdvals(connecting_matrix(best.A, A))
    return max(S[0].item(), 1 / S[-1].item())


@claim(
    "2c-autoencoder",
    kind="universal",
    verdict="sharpened",
    severity=1,
    printed=r"This problem is an example of a linear auto-encoder",
    statement=r"A linear auto-encoder ties the codes to the data, $B=EX$. The least loss is the same, with $A=U_r$ and "
    r"$E=U_r^\top$, but not every $B$ is of that form unless the columns of $X$ are independent.",
    corrected=r"with the constraint $B=EX$",
    family=lambda rng: (
        (description, (problem, normal(rng, problem.rank, problem.X.shape[1])))
        for description, problem in problems(rng)
    ),
    tolerance=1e-12,
)
def autoencoder_has_the_same_least_loss(case: tuple[Problem, Tensor]) -> Trial:
    (X, rank), B = case
    U, S, Vh = torch.linalg.svd(X, full_matrices=False)
    rows = Vh[S.gt(1e-12 * (S[0] or 1.0))]  # the rows of EX are in their span, and any there
    free = relative(B - B @ rows.T @ rows, B)
    same = excess(X, U[:, :rank], U[:, :rank].T @ X)
    if len(rows) == X.shape[1]:
        return Trial(max(same, free))
    return Trial(same, {"every B is some EX": free})


class ReluNetwork(NamedTuple):
    """Weights of a network with one hidden layer of ReLUs, inputs, and a change of basis."""

    first: Tensor
    second: Tensor
    inputs: Tensor
    basis: tuple[Tensor, Tensor]
    other: tuple[Tensor, Tensor]


def relu_networks(rng: np.random.Generator) -> Iterator[tuple[str, ReluNetwork]]:
    """Yield networks of whole numbers whose hidden units have independent weights and all count."""
    while True:
        d = size(rng, 1, 6)
        h, o = size(rng, 1, d), size(rng, 1, 3)
        first, second = whole(rng, h, d), whole(rng, o, h)
        if torch.linalg.matrix_rank(first) < h or (second == 0).all(0).any():
            continue
        scales, P = (
            tensor(rng.choice([0.5, 1.0, 2.0, 4.0], h)),
            tensor(np.eye(h)[rng.permutation(h)]),
        )
        keeps = (scales[:, None] * P, P.T / scales)
        changes = whole_basis(rng, h)
        signs, inverse = changes if not is_monomial(changes[0]) else (-keeps[0], -keeps[1])
        yield (
            f"{d} inputs, {h} units, {o} outputs",
            ReluNetwork(first, second, whole(rng, d, 300, largest=9), keeps, (signs, inverse)),
        )


def is_monomial(G: Tensor) -> bool:
    """Say whether a matrix only permutes units and scales them by positive numbers."""
    one_each = ((G != 0).sum(0) == 1).all() and ((G != 0).sum(1) == 1).all()
    return bool(one_each and (G >= 0).all())


def change(network: ReluNetwork, G: Tensor, inverse: Tensor) -> float:
    """Return how much the outputs change by a change of basis in the hidden layer."""
    first, second, x = network[:3]
    before = second @ torch.relu(first @ x)
    return largest(second @ inverse @ torch.relu(G @ first @ x) - before)


@claim(
    "2c-relu",
    kind="universal",
    verdict="holds",
    printed=r"… neural networks are full of such symmetries (you are encouraged to think about this for a two-layer network "
    r"with ReLU nonlinearities).",
    statement=r"In $W_2\operatorname{relu}(W_1x)$ the hidden units can be permuted and rescaled by positive numbers: "
    r"$W_1\to GW_1$, $W_2\to W_2G^{-1}$ with $G=DP$. If the rows of $W_1$ are independent and no column of "
    r"$W_2$ is zero, every other invertible $G$ changes the function.",
    family=relu_networks,
    exact=True,
)
def relu_networks_keep_permutations_and_positive_scales(network: ReluNetwork) -> Trial:
    unchanged = float(change(network, *network.other) == 0)
    keeps = network.basis
    flipped = (-keeps[0], -keeps[1])
    return Trial(
        max(change(network, *keeps), unchanged),
        {
            "negative scales too": change(network, *flipped),
            "every invertible G": change(network, *network.other),
        },
    )


@counterexample("2c-relu", "independent rows: more units than inputs, and than outputs")
def more_units_than_inputs_and_outputs() -> float:
    first = tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    second = tensor([[1.0, 1.0, 1.0, 1.0]])
    b, a = tensor([[1.0, 1.0, -1.0, 0.0]]).T, tensor([[1.0, -1.0, 0.0, 0.0]]).T
    identity = tensor(np.eye(4))
    G, inverse = identity + a @ b.T, identity - a @ b.T  # bᵀW₁ = 0, W₂a = 0, bᵀa = 0
    x = whole(np.random.default_rng(0), 2, 300, largest=9)
    network = ReluNetwork(first, second, x, (G, inverse), (G, inverse))
    return float(not is_monomial(G) and change(network, G, inverse) == 0)


@counterexample("2c-relu", "no column of $W_2$ is zero")
def unit_without_use() -> float:
    flip = tensor(np.diag([1.0, -1.0]))
    x = whole(np.random.default_rng(0), 2, 300, largest=9)
    network = ReluNetwork(tensor(np.eye(2)), tensor([[1.0, 0.0]]), x, (flip, flip), (flip, flip))
    return float(not is_monomial(flip) and change(network, flip, flip) == 0)
