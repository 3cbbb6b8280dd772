"""Claims of Solution 2(b): the global minimum of ‖X − AB‖², by the SVD."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.families import Problem, matrices, problems
from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.tools import largest, normal, relative, shortfall, tensor, torch_generator
from hw2lib.factorization import (
    Factors,
    alternating_least_squares,
    gradient_descent,
    loss,
    low_rank_factors,
    truncation_error,
    weyl_gaps,
)


def right_vectors(C: Tensor) -> Tensor:
    """Return the right singular vectors with positive singular values, as columns."""
    rank = int(torch.linalg.matrix_rank(C))
    return torch.linalg.svd(C, full_matrices=False).Vh[:rank].T


@claim(
    "2b-frobenius",
    kind="identity",
    verdict="holds",
    printed=r"If $\sigma_i$ are the singular values of a matrix $C\in\mathbb R^{m\times n}$ "
    r"$\sum_i\sigma_i^2(C)=\|C\|_F^2=\sum_{i,j}C_{ij}^2$.",
    statement=r"$\sum_i\sigma_i(C)^2=\|C\|_F^2$ for every matrix $C$.",
    family=matrices,
    tolerance=1e-13,
)
def singular_values_give_the_norm(C: Tensor) -> Trial:
    values, norm = torch.linalg.svdvals(C), C.square().sum()

    def error(total: Tensor) -> float:
        return relative(total - norm, norm)

    return Trial(error(values.square().sum()), {"without the squares": error(values.sum())})


@claim(
    "2b-span",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"… if the singular vectors of $C$ are $v_1,\dots,v_r$, they span all rows of $C$ …",
    statement=r"The *right* singular vectors with $\sigma_i>0$ do, as many as the rank of $C$. "
    r"(The print uses $r$ for this rank and for the inner size of $AB$.)",
    corrected="the right ones, as many as the rank of $C$",
    family=matrices,
    tolerance=1e-13,
)
def right_singular_vectors_span_the_rows(C: Tensor) -> Trial:
    V = right_vectors(C)
    return Trial(outside_the_span(C, V), {"one fewer": outside_the_span(C, V[:, :-1])})


def outside_the_span(C: Tensor, vectors: Tensor) -> float:
    """Return what of the rows lies outside the span of orthonormal columns, relatively."""
    return relative(C - C @ vectors @ vectors.T, C)


@counterexample("2b-span", "right")
def left_singular_vectors() -> float:
    C = tensor([[1.0, 1.0], [0.0, 0.0]])
    return outside_the_span(C, torch.linalg.svd(C).U[:, :1])


@claim(
    "2b-row",
    kind="identity",
    verdict="corrected",
    severity=1,
    printed=r"… for any row $c_j$ of the matrix $C$ we have "
    r"$\sum_{i=1}^r\langle c_j,v_i\rangle=\|c_j\|_2^2$.",
    statement=r"$\sum_i\langle c_j,v_i\rangle^2=\|c_j\|_2^2$: the square is missing in print.",
    corrected=r"$\sum_i\langle c_j,v_i\rangle^2$",
    family=matrices,
    tolerance=1e-13,
)
def row_norms_are_sums_of_squares(C: Tensor) -> Trial:
    inner, norms = C @ right_vectors(C), C.square().sum(1)
    return Trial(
        relative(inner.square().sum(1) - norms, norms),
        {"as printed": relative(inner.sum(1) - norms, norms)},
    )


@claim(
    "2b-rows-sum",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"The above identity can now be obtained by summing up over all rows $j\le m$.",
    statement=r"It also takes $\sum_j\langle c_j,v_i\rangle^2=\|Cv_i\|^2=\sigma_i^2$, which is true of "
    r"the right singular vectors and, unless all positive $\sigma_i$ are equal, not of every "
    r"orthonormal basis of the row space.",
    corrected=r"needs $\|Cv_i\|=\sigma_i$ as well",
    family=matrices,
    tolerance=1e-12,
)
def columns_of_inner_products_are_singular_values(C: Tensor) -> Trial:
    _, S, Vh = torch.linalg.svd(C, full_matrices=False)
    kept = right_vectors(C)
    turned = kept.clone()
    if kept.shape[1] > 1:  # the first and the last, by 3/5 and 4/5
        first, last = kept[:, 0], kept[:, -1]
        turned[:, 0], turned[:, -1] = 0.6 * first + 0.8 * last, 0.6 * last - 0.8 * first
    positive = S[: kept.shape[1]]

    def error(basis: Tensor) -> float:
        return relative((C @ basis).square().sum(0) - positive.square(), positive.square())

    are_equal = not len(positive) or bool(positive[0] - positive[-1] <= 1e-12 * positive[0])
    return Trial(
        max(
            relative((C @ Vh.T).square().sum(0) - S.square(), S.square()),
            error(turned) if are_equal else 0.0,
        ),
        {} if are_equal else {"every orthonormal basis of the row space": error(turned)},
    )


@counterexample("2b-rows-sum", "singular vectors")
def another_orthonormal_basis() -> float:
    C, basis = tensor([[2.0, 0.0], [0.0, 1.0]]), tensor([[0.6, -0.8], [0.8, 0.6]])
    return largest((C @ basis).square().sum(0) - torch.linalg.svdvals(C).square())


def rivals(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Problem, Factors]]]:
    """Yield problems with factors that might beat the truncated SVD."""
    for index, (description, problem) in enumerate(problems(rng)):
        X, rank = problem
        (m, n), best, fit = X.shape, low_rank_factors(X, rank), torch_generator(rng)
        match index % 4:
            case 0:
                by, factors = "random factors", Factors(normal(rng, m, rank), normal(rng, rank, n))
            case 1:
                by = "the optimum, moved a little"
                factors = Factors(best.A + 0.01 * normal(rng, m, rank), best.B)
            case 2:
                by = "ten sweeps of alternating least squares"
                factors = Factors(*alternating_least_squares(X, rank, 10, generator=fit)[:2])
            case _:
                by = "twenty steps of gradient descent"
                factors = Factors(*gradient_descent(X, rank, 20, generator=fit)[:2])
        yield f"{description}, by {by}", (problem, factors)


@claim(
    "2b-optimum",
    kind="universal",
    verdict="sharpened",
    severity=2,
    printed=r"… we need to make sure $C$ has as small singular values as possible … If we set $A^*=U_r\sqrt{\Sigma_r}$, $B^*=\sqrt{\Sigma_r}V_r^\top$ … then we have "
    r"$\|X-A^*B^*\|_F^2=\sum_{i=r+1}^{\operatorname{rank}(X)}\sigma_i(X)^2$ which is the minimal value "
    r"of the problem.",
    statement=r"The value is the minimal one, and all singular values of $X-A^*B^*$ are as small as can be. But the print only computes the loss of these factors and never shows that no other factors do "
    r"better. The missing step is Weyl's inequality: $\sigma_i(X-AB)\ge\sigma_{i+r}(X)$ for all $A,B$ of "
    r"inner size $r$.",
    corrected=r"the lower bound is missing: $\sigma_i(X-AB)\ge\sigma_{i+r}(X)$",
    family=rivals,
    tolerance=1e-12,
)
def no_factors_beat_the_truncated_svd(case: tuple[Problem, Factors]) -> Trial:
    (X, rank), factors = case
    least, scale = truncation_error(X, rank).item(), X.square().sum().item() or 1.0
    values, left = torch.linalg.svdvals(X), torch.linalg.svdvals(X - factors.A @ factors.B)

    def bound(skipped: int) -> Tensor:
        """Return σ_{i+skipped}(X) for all i."""
        return torch.cat([values[skipped:], values.new_zeros(min(skipped, len(values)))])

    def below(skipped: int) -> float:
        return shortfall((left - bound(skipped)).min().item(), 0.0) / scale**0.5

    differ = largest(weyl_gaps(X, *factors) - (left - bound(rank))) / scale**0.5
    below_the_minimum = shortfall(loss(X, *factors).item(), least) / scale
    attained = abs(loss(X, *low_rank_factors(X, rank)).item() - least) / scale
    wrong = {r"$\sigma_i(X-AB)\ge\sigma_{i+r-1}(X)$": below(rank - 1)} if X.any() else {}
    return Trial(max(below(rank), differ, below_the_minimum, attained), wrong)


@counterexample("2b-optimum", "inner size $r$: one column more")
def one_more_column_is_enough() -> float:
    X = tensor(np.diag([3.0, 2.0, 1.0]))
    return shortfall(loss(X, *low_rank_factors(X, 2)).item(), truncation_error(X, 1).item())


@claim(
    "2b-residual",
    kind="identity",
    verdict="holds",
    printed=r"… $\|X-A^*B^*\|_F^2=\sum_{i=r+1}^{\operatorname{rank}(X)}\sigma_i(X)^2$",
    statement=r"$\min_{A,B}\|X-AB\|_F^2=\sum_{i>r}\sigma_i(X)^2$, for every $X$ and every $r$.",
    family=problems,
    tolerance=1e-12,
)
def minimum_is_the_sum_of_the_other_squares(problem: Problem) -> Trial:
    X, rank = problem
    scale = X.square().sum()
    tail = torch.linalg.svdvals(X)[rank:]
    attained = loss(X, *low_rank_factors(X, rank))

    def error(total: Tensor) -> float:
        return relative(attained - total, scale)

    kept = torch.linalg.svdvals(X)[:rank]
    return Trial(
        error(tail.square().sum()),
        {"the sum of the squares that are kept": error(kept.square().sum())},
    )


def ky_fan(C: Tensor) -> Tensor:
    """Return all Ky Fan norms: the sums of the 1, 2, … largest singular values."""
    return torch.linalg.svdvals(C).cumsum(0)


def ky_fan_of_the_tail(X: Tensor, rank: int) -> Tensor:
    """Return the Ky Fan norms that the truncated SVD leaves: sums from σ_{r+1} on."""
    values = torch.linalg.svdvals(X)
    return torch.cat([values[rank:], values.new_zeros(min(rank, len(values)))]).cumsum(0)


@claim(
    "2b-norms",
    kind="universal",
    verdict="theorem",
    statement=r"No factors of inner size $r$ beat the truncated SVD in any unitarily invariant norm, such as the operator, "
    r"nuclear and Schatten norms (Mirsky). By Fan's dominance theorem it is enough to check the Ky Fan norms: "
    r"$\sum_{i\le l}\sigma_i(X-AB)\ge\sum_{i\le l}\sigma_{r+i}(X)$ for every $l$, with equality for $A^*B^*$.",
    family=rivals,
    tolerance=1e-12,
)
def no_factors_beat_it_in_any_unitarily_invariant_norm(case: tuple[Problem, Factors]) -> Trial:
    (X, rank), factors = case
    left, best = ky_fan(X - factors.A @ factors.B), low_rank_factors(X, rank)
    scale = largest(X) or 1.0

    def error(bound: Tensor) -> float:
        attained = largest(ky_fan(X - best.A @ best.B) - bound)
        return max(shortfall((left - bound).min().item(), 0.0), attained) / scale

    wrong = {}
    if largest(X):
        wrong["one singular value fewer is removed"] = error(ky_fan_of_the_tail(X, rank - 1))
    return Trial(error(ky_fan_of_the_tail(X, rank)), wrong)


@counterexample("2b-norms", "unitarily invariant: the sum of the absolute entries")
def truncated_svd_is_not_best_entry_by_entry() -> float:
    X, ones = tensor([[1.0, 1.0], [1.0, 0.0]]), tensor([[1.0], [1.0]])
    A, B = low_rank_factors(X, 1)
    return shortfall((X - ones @ ones.T).abs().sum().item(), (X - A @ B).abs().sum().item())
