"""Claims of Solution 2: minimising ‖X − AB‖²."""

from __future__ import annotations

import itertools
import math
from functools import cache

import torch
from torch import Tensor

from hw2lib.claims.registry import Evidence, claim
from hw2lib.claims.tools import generator, largest, random
from hw2lib.factorization import (
    Factors,
    Fit,
    alternating_least_squares,
    balance_factors,
    change_basis,
    connecting_matrix,
    critical_hessian_eigenvalues,
    critical_point,
    gradient_descent,
    loss,
    loss_gradient,
    loss_hessian,
    low_rank_factors,
    truncation_error,
    weyl_gaps,
)

# ---- what several checks share


@cache
def problem(m: int = 9, n: int = 6, rank: int = 3) -> tuple[Tensor, Factors]:
    """Return a random X and its balanced minimiser."""
    X = random(m, n)
    return X, low_rank_factors(X, rank)


@cache
def found_by_an_optimiser() -> Fit:
    """Return the minimiser that alternating least squares finds for the problem."""
    X, _ = problem()
    return alternating_least_squares(X, 3, 400, generator=generator(1))


def relative(error: Tensor, scale: Tensor) -> float:
    """Return the Frobenius norm of an error over that of what it is measured against."""
    return (torch.linalg.matrix_norm(error) / torch.linalg.matrix_norm(scale)).item()


def excess(X: Tensor, A: Tensor, B: Tensor) -> float:
    """Return how far the loss lies from the minimum, over the minimum."""
    least = truncation_error(X, A.shape[1])
    return ((loss(X, A, B) - least).abs() / least).item()


# ---- 2(a): why the problem is not convex


@claim(
    "2a-bilinear",
    verdict="holds",
    printed="The entries of AB are bilinear in A and B.",
    statement="So along every line the objective is a polynomial of degree at most 4, and it is convex in $A$ alone "
    "and in $B$ alone.",
)
def objective_is_quartic() -> Evidence:
    X, A, B = random(5, 4), random(5, 2, seed=1), random(2, 4, seed=2)
    dA, dB = random(5, 2, seed=3), random(2, 4, seed=4)
    values = torch.stack([loss(X, A + t * dA, B + t * dB) for t in range(6)])
    hessian = loss_hessian(X, A, B)
    in_A, in_B = hessian[:10, :10], hessian[10:, 10:]
    concavity = max(0.0, *(-torch.linalg.eigvalsh(block)[0].item() for block in (in_A, in_B)))

    def difference(order: int) -> float:
        return largest(values[: order + 1].diff(order) / values.max())

    at_zero = torch.linalg.eigvalsh(loss_hessian(X, 0 * A, 0 * B))[0].item()
    return Evidence(
        max(difference(5), concavity),
        1e-12,
        {
            "quadratic": difference(3),
            "cubic": difference(4),
            "convex in both together": max(0.0, -at_zero),
        },
        "fifth differences vanish, fourth do not",
    )


@claim(
    "2a-nonconvex",
    verdict="sharpened",
    severity=2,
    printed="The problem is bilinear and hence not convex.",
    statement="The conclusion is right, the reason is not: $ab+\\frac12(a^2+b^2)$ has a bilinear term "
    "and is convex. A proof for every $X\\ne0$: $(A^*,B^*)$ and $(-A^*,-B^*)$ are both minimisers, and "
    "their midpoint $(0,0)$ has the loss $\\|X\\|_F^2$, which is larger. For $X=0$ take $(A,0)$ and "
    "$(0,B)$ with $AB\\ne0$.",
    corrected="the midpoint of two minimisers is worse",
)
def midpoint_of_two_minimisers_is_worse() -> Evidence:
    margins = []
    for seed in range(30):
        m, n = 2 + seed % 5, 2 + seed % 3
        X = random(m, n, seed=seed)
        A, B = low_rank_factors(X, 1 + seed % 2)
        ends = (loss(X, A, B) + loss(X, -A, -B)) / 2
        margins.append((loss(X, (A - A) / 2, (B - B) / 2) - ends).item())
    A, B = random(4, 2), random(2, 3)
    zero = torch.zeros(4, 3).double()
    ends = (loss(zero, A, 0 * B) + loss(zero, 0 * A, B)) / 2
    margins.append((loss(zero, A / 2, B / 2) - ends).item())
    least_curvature = torch.linalg.eigvalsh(torch.tensor([[1.0, 1.0], [1.0, 1.0]]).double())[0]
    return Evidence(
        max(0.0, -min(margins), -least_curvature.item()),
        1e-12,
        {"convex: the midpoint is no worse": min(margins)},
        f"midpoint worse by at least {min(margins):.2f} in {len(margins)} problems",
    )


# ---- 2(b): the minimum


@claim(
    "2b-frobenius",
    verdict="holds",
    printed="The squares of the singular values sum to the squared Frobenius norm.",
    statement="$\\sum_i\\sigma_i(C)^2=\\|C\\|_F^2$.",
)
def singular_values_give_the_norm() -> Evidence:
    C = random(7, 4)
    values, norm = torch.linalg.svdvals(C), C.square().sum()

    def error(total: Tensor) -> float:
        return (total / norm - 1).abs().item()

    return Evidence(
        error(values.square().sum()),
        1e-13,
        {"without the squares": error(values.sum())},
        f"to {error(values.square().sum()):.0e}",
    )


@claim(
    "2b-span",
    verdict="conditional",
    printed="The singular vectors $v_1,\\dots,v_r$ of C span its rows.",
    statement="The *right* singular vectors do, those with $\\sigma_i>0$, as many as the rank of $C$. "
    "(The print uses $r$ for this rank and for the inner size of $AB$.)",
    corrected="the right ones, $r=\\operatorname{rank}C$",
)
def right_singular_vectors_span_the_rows() -> Evidence:
    C = random(6, 3) @ random(3, 6, seed=1)
    U, _, Vh = torch.linalg.svd(C)

    def error(vectors: Tensor) -> float:
        return relative(C - C @ vectors.T @ vectors, C)

    return Evidence(
        error(Vh[:3]),
        1e-13,
        {"one missing": error(Vh[:2]), "the left singular vectors": error(U.T[:3])},
        f"to {error(Vh[:3]):.0e}",
    )


@claim(
    "2b-row",
    verdict="corrected",
    severity=2,
    printed="$\\sum_i\\langle c_j,v_i\\rangle=\\|c_j\\|_2^2$ for every row $c_j$.",
    statement="$\\sum_i\\langle c_j,v_i\\rangle^2=\\|c_j\\|_2^2$: the square is missing in print.",
    corrected="$\\sum_i\\langle c_j,v_i\\rangle^2$",
)
def row_norms_are_sums_of_squares() -> Evidence:
    C = random(7, 4)
    inner = C @ torch.linalg.svd(C, full_matrices=False).Vh.T
    norms = C.square().sum(1)
    return Evidence(
        largest(inner.square().sum(1) - norms),
        1e-13,
        {"printed": largest(inner.sum(1) - norms)},
        f"to {largest(inner.square().sum(1) - norms):.0e}",
    )


@claim(
    "2b-rows-sum",
    verdict="sharpened",
    severity=1,
    printed="Summing over the rows gives the identity.",
    statement="It also takes $\\sum_j\\langle c_j,v_i\\rangle^2=\\|Cv_i\\|^2=\\sigma_i^2$, which is true "
    "of the right singular vectors and not of other orthonormal bases of the row space.",
    corrected="needs $\\|Cv_i\\|=\\sigma_i$ as well",
)
def columns_of_inner_products_are_singular_values() -> Evidence:
    C = random(7, 4)
    _, S, Vh = torch.linalg.svd(C, full_matrices=False)
    basis = torch.linalg.qr(random(4, 4, seed=1)).Q

    def error(vectors: Tensor) -> float:
        return largest((C @ vectors).square().sum(0) - S.square())

    return Evidence(
        error(Vh.T),
        1e-12,
        {"another orthonormal basis": error(basis)},
        f"to {error(Vh.T):.0e}",
    )


@claim(
    "2b-optimum",
    verdict="sharpened",
    severity=2,
    printed="$A^*=U_r\\sqrt{\\Sigma_r}$ and $B^*=\\sqrt{\\Sigma_r}V_r^\\top$ attain the minimum.",
    statement="They do, but the print only computes their loss and never shows that no other factors "
    "do better. The missing step is Weyl's inequality: "
    "$\\sigma_i(X-AB)\\ge\\sigma_{i+r}(X)$ for all $A,B$ of inner size $r$.",
    corrected="the lower bound is missing: $\\sigma_i(X-AB)\\ge\\sigma_{i+r}(X)$",
)
def no_factors_beat_the_truncated_svd() -> Evidence:
    X, best = problem()
    tried = [Factors(random(9, 3, seed=s), random(3, 6, seed=s + 500)) for s in range(100)]
    tried += [Factors(s * best.A + 0.1 * random(9, 3, seed=s), best.B) for s in range(3)]
    fits = [found_by_an_optimiser(), gradient_descent(X, 3, 3000, generator=generator(2))]
    tried += [best, *(Factors(fit.A, fit.B) for fit in fits)]
    least = truncation_error(X, 3)
    below_the_bound = max(-weyl_gaps(X, *factors).min().item() for factors in tried)
    below_the_minimum = max((least - loss(X, *factors)).item() for factors in tried)
    singular = torch.linalg.svdvals(X)
    residual = torch.linalg.svdvals(X - best.A @ best.B)
    return Evidence(
        max(0.0, below_the_bound, below_the_minimum),
        1e-12,
        {
            "σᵢ(X − AB) ≥ σᵢ₊ᵣ₋₁(X)": largest((singular[2:] - residual[:4]).clamp(min=0)),
            "σᵢ(X − AB) ≥ σᵢ(X)": largest((singular - residual).clamp(min=0)),
        },
        f"never beaten by {len(tried) - 1} others",
    )


@claim(
    "2b-residual",
    verdict="holds",
    printed="The minimum is the sum of the squares of the other singular values.",
    statement="$\\min_{A,B}\\|X-AB\\|_F^2=\\sum_{i>r}\\sigma_i(X)^2$, for every $r$.",
)
def minimum_is_the_sum_of_the_other_squares() -> Evidence:
    X = random(40, 12)
    singular = torch.linalg.svdvals(X)

    def error(power: int) -> float:
        return max(
            abs(loss(X, *low_rank_factors(X, rank)) - (singular[rank:] ** power).sum()).item()
            for rank in range(1, 13)
        )

    def beaten_by(rank: int) -> float:
        fit = alternating_least_squares(X, rank, 30, generator=generator(rank))
        return (truncation_error(X, rank) - fit.losses[-1]).item()

    below = max(beaten_by(rank) for rank in range(1, 13))
    return Evidence(
        max(error(2), below),
        1e-10,
        {"without the squares": error(1)},
        f"to {error(2):.0e} at every rank, never below",
    )


# ---- 2(c): all the minimisers


@claim(
    "2c-unique",
    verdict="holds",
    printed="The minimisers are not unique.",
    statement="$(A^*,B^*)$ and $(-A^*,-B^*)$ differ and have the same loss.",
)
def negated_factors_are_another_minimiser() -> Evidence:
    X, (A, B) = problem()
    return Evidence(
        excess(X, -A, -B),
        1e-12,
        {"negating A alone": excess(X, -A, B)},
        "two minimisers",
    )


@claim(
    "2c-scale",
    verdict="corrected",
    severity=1,
    printed="Multiply A by any real constant $e$ and B by $1/e$.",
    statement="Any real $e\\ne0$.",
    corrected="any $e\\ne0$",
)
def scaling_keeps_the_loss_unless_zero() -> Evidence:
    X, (A, B) = problem()

    return Evidence(
        max(excess(X, e * A, B / e) for e in (-3.0, 0.1, 7.0)),
        1e-12,
        {"e = 0, with B as large as you like": excess(X, 0 * A, 1e12 * B)},
        "same loss for e = −3, 0.1, 7",
    )


@claim(
    "2c-orbit",
    verdict="sharpened",
    severity=2,
    printed="In general $(A^*Q,Q^\\top B^*)$ with $Q$ orthogonal is a different solution.",
    statement="Right, but far from the whole family, which is: all $(A^*G,G^{-1}B^*)$ with $G$ invertible. "
    "These are *all* minimisers if and only if $\\sigma_r>\\sigma_{r+1}$. The orthogonal ones are those "
    "that stay balanced, $A^\\top A=BB^\\top$; the print's own rescaling is not among them.",
    corrected="all of them: $(A^*G,G^{-1}B^*)$, $G$ invertible",
)
def minimisers_are_an_orbit_of_the_general_linear_group() -> Evidence:
    _, best = problem()
    found = found_by_an_optimiser()
    G = connecting_matrix(best.A, found.A)
    there = change_basis(best.A, best.B, G)
    U, _, Vh = torch.linalg.svd(best.A.T @ found.A)
    rotated = change_basis(best.A, best.B, U @ Vh)  # nearest orthogonal Q (Procrustes)
    orthogonal = change_basis(best.A, best.B, torch.linalg.qr(random(3, 3, seed=5)).Q)

    def imbalance(factors: Factors) -> float:
        return largest(factors.A.T @ factors.A - factors.B @ factors.B.T)

    def off_the_orbit(A: Tensor, other: Tensor) -> float:
        return relative(A @ torch.linalg.lstsq(A, other, driver="gelsd").solution - other, other)

    U, V = (torch.linalg.qr(random(n, 3, seed=n)).Q for n in (5, 4))
    tied_X = U @ torch.diag(torch.tensor([3.0, 2.0, 2.0]).double()) @ V.T
    tied = low_rank_factors(tied_X, 2)
    partner = torch.stack([3**0.5 * V[:, 0], 2**0.5 * (V[:, 1] + 2 * V[:, 2]) / 5**0.5])
    exchanged = torch.stack([3**0.5 * U[:, 0], 2**0.5 * (U[:, 1] + 2 * U[:, 2]) / 5**0.5], dim=1)
    deficient_X = U[:, :1] @ V[:, :1].T
    deficient = low_rank_factors(deficient_X, 2)
    filled = torch.stack([deficient.A[:, 0], U[:, 1]], dim=1)
    return Evidence(
        max(
            relative(there.A - found.A, found.A),
            relative(there.B - found.B, found.B),
            imbalance(orthogonal),
            abs(loss(tied_X, exchanged, partner).item() - 4),  # the two below are minimisers too
            loss(deficient_X, filled, deficient.B).item(),
        ),
        1e-7,
        {
            "G orthogonal": relative(rotated.A - found.A, found.A),
            "the print's own 2A, B/2 stays balanced": imbalance(Factors(2 * best.A, best.B / 2)),
            "all of them, also with a tie": off_the_orbit(tied.A, exchanged),
            "all of them, also for rank X < r": off_the_orbit(deficient.A, filled),
        },
        f"G of an optimiser's minimiser has condition number {torch.linalg.cond(G):.1f}",
    )


@claim(
    "2c-permutation",
    verdict="holds",
    printed="Q may be a permutation.",
    statement="All $r!$ permutation matrices are orthogonal: shuffle the columns of $A^*$ and the rows "
    "of $B^*$ alike.",
)
def permutations_keep_the_loss() -> Evidence:
    X, (A, B) = problem()
    orders = [list(order) for order in itertools.permutations(range(3))]
    missing = math.factorial(3) - len({tuple(A[0, order].tolist()) for order in orders})
    return Evidence(
        max(excess(X, A[:, order], B[order]) for order in orders) + missing,
        1e-12,
        {"shuffling A alone": max(excess(X, A[:, order], B) for order in orders)},
        f"{len(orders)} minimisers for r = 3",
    )


@claim(
    "2c-infinite",
    verdict="conditional",
    printed="There are infinitely many solutions.",
    statement="Yes, already through its rescaling, and through all invertible matrices. Its orthogonal "
    "ones alone give only two for $r=1$, $Q=\\pm1$.",
    corrected="through rescaling or invertible $G$; orthogonal $Q$ alone give two for $r=1$",
)
def infinitely_many_through_invertible_matrices() -> Evidence:
    X = random(5, 4)
    A, B = low_rank_factors(X, 1)

    def distinct(scales: Tensor) -> int:
        return len({round((A * scale)[0].item(), 9) for scale in scales})

    scales = torch.linspace(0.5, 5, 50, dtype=torch.float64)
    orthogonal = scales.sign().new_tensor([1.0, -1.0])
    return Evidence(
        max(excess(X, A * e, B / e) for e in scales) + 50 - distinct(scales),
        1e-12,
        {"orthogonal Q suffice for r = 1": 50 - distinct(orthogonal)},
        f"{distinct(scales)} of {len(scales)} tried scales give different minimisers",
    )


@claim(
    "2c-autoencoder",
    verdict="sharpened",
    severity=1,
    printed="The problem is an example of a linear auto-encoder.",
    statement="A linear auto-encoder ties the codes to the data, $B=DX$. The least loss is the same, but "
    "unless the columns of $X$ are independent not every $B$ is of that form.",
    corrected="with the constraint $B=DX$",
)
def autoencoder_has_the_same_least_loss() -> Evidence:
    X = random(6, 4) @ random(4, 9, seed=1)  # rank 4 of 9 columns: codes lie in a subspace
    U = torch.linalg.svd(X).U[:, :2]
    B = random(2, 9, seed=2)
    code = B @ torch.linalg.pinv(X)
    return Evidence(
        excess(X, U, U.T @ X),
        1e-12,
        {"every B is DX": relative(code @ X - B, B)},
        "same least loss with D = U_rᵀ",
    )


@claim(
    "2c-relu",
    verdict="holds",
    printed="Networks are full of such symmetries; think of two layers with ReLU.",
    statement="In $W_2\\operatorname{relu}(W_1x)$ the hidden units can be permuted and rescaled by "
    "positive numbers: $W_1\\to DPW_1$, $W_2\\to W_2P^\\top D^{-1}$. Other invertible matrices do not pass "
    "through the ReLU, for generic weights.",
)
def relu_networks_keep_permutations_and_positive_scales() -> Evidence:
    first, second, x = random(3, 5), random(2, 3, seed=1), random(5, 40, seed=2)

    def error(G: Tensor) -> float:
        changed = second @ torch.linalg.inv(G) @ torch.relu(G @ first @ x)
        return largest(changed - second @ torch.relu(first @ x))

    scales = torch.tensor([0.5, 2.0, 3.0]).double()
    permutation = torch.eye(3).double()[[2, 0, 1]]
    rotation = torch.linalg.qr(random(3, 3, seed=3)).Q
    return Evidence(
        error(torch.diag(scales) @ permutation),
        1e-12,
        {
            "a negative scale": error(torch.diag(-scales)),
            "another orthogonal matrix": error(rotation),
        },
        "permutations and positive scales only",
    )


@claim(
    "2c-T2",
    verdict="theorem",
    statement="**Landscape.** A critical point of $\\|X-AB\\|_F^2$ that is not a global minimum is a strict "
    "saddle. Keep the singular values $J$, balanced: then the Hessian's least eigenvalue is "
    "$-2(\\max_{i\\notin J}\\sigma_i-\\min_{j\\in J}\\sigma_j)$ for $|J|=r$ and "
    "$-2\\max_{i\\notin J}\\sigma_i$ for $|J|<r$, wherever that is negative. Of all minimisers, balanced ones "
    "have the least $\\|A\\|_F^2+\\|B\\|_F^2$, namely $2\\sum_{i\\le r}\\sigma_i$.",
)
def critical_points_are_minima_or_strict_saddles() -> Evidence:
    X, rank = random(5, 4), 2
    singular = torch.linalg.svdvals(X)
    spectrum_error, least_error, flat_error, gap_error = [0.0], [0.0], [], []
    for J in choices(4, rank):
        A, B = critical_point(X, J, rank)
        measured = torch.linalg.eigvalsh(loss_hessian(X, A, B))
        spectrum_error.append(largest(measured - critical_hessian_eigenvalues(X, J, rank)))
        missing = max((singular[i].item() for i in range(4) if i not in J), default=0.0)
        kept = min((singular[j].item() for j in J), default=0.0) if len(J) == rank else 0.0
        if set(J) != set(range(rank)):
            least_error.append(abs(measured[0].item() + 2 * (missing - kept)))
            flat_error.append(abs(measured[0].item()))
            if len(J) == rank:
                gap_error.append(abs(measured[0].item() + 2 * missing))
    best = low_rank_factors(X, rank)
    stretched = change_basis(*best, random(2, 2, seed=3))
    balanced = balance_factors(*stretched)

    def size(factors: Factors) -> float:
        return sum(matrix.square().sum().item() for matrix in factors)

    nuclear = 2 * singular[:rank].sum().item()
    flat, steepest = exceptions_to_strictness()
    return Evidence(
        max(*spectrum_error, *least_error, abs(size(balanced) - nuclear), flat),
        1e-10,
        {
            "saddles are flat": min(min(flat_error), steepest),
            "−2 max σ of those missing, also for |J| = r": min(gap_error),
            "minimisers that are not balanced": abs(size(stretched) - nuclear),
        },
        f"{len(choices(4, rank))} balanced critical points of a 5×4 problem, and unbalanced, tied and "
        "rank-deficient ones",
    )


def choices(count: int, rank: int) -> list[tuple[int, ...]]:
    """Return all sets of at most `rank` of so many indices."""
    return [J for k in range(rank + 1) for J in itertools.combinations(range(count), k)]


def exceptions_to_strictness() -> tuple[float, float]:
    """Return how many critical points of a varied list are neither minima nor strict saddles.

    And the largest of the saddles' least eigenvalues, its sign dropped. Unbalanced points, wide and
    tall X, ties, and a zero column of A that faces a row of B which is not zero.
    """
    rank = 2
    U, V = (torch.linalg.qr(random(n, 4, seed=n)).Q for n in (5, 4))
    tied = U @ torch.diag(torch.tensor([3.0, 2.0, 2.0, 1.0]).double()) @ V.T
    points: list[tuple[Tensor, Tensor, Tensor]] = []
    for X in (random(5, 4), random(4, 6), tied, random(5, 2) @ random(2, 4, seed=1)):
        for J in choices(4, rank):
            balanced = critical_point(X, J, rank)
            points.append((X, *change_basis(*balanced, random(2, 2, seed=len(points)))))
            if len(J) == 1:  # rows of B orthogonal to those of the residual: right vectors in J
                A, B = balanced
                points.append((X, A, torch.stack([B[0], -3 * B[0]])))
    exceptions, least = 0, []
    for X, A, B in points:
        scale = loss(X, 0 * A, 0 * B)
        if max(map(largest, loss_gradient(X, A, B))) > 1e-10 * scale:
            exceptions += 1
        elif loss(X, A, B) - truncation_error(X, rank) > 1e-8 * scale:
            least.append(torch.linalg.eigvalsh(loss_hessian(X, A, B))[0].item())
    return exceptions + sum(value >= 0 for value in least), -max(least)
