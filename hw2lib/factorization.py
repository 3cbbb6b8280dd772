r"""The problem of minimising :math:`\|X-AB\|_F^2`: optimum, orbit of solutions, landscape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from hw2lib._checks import (
    as_tensor,
    check_independent,
    check_integer,
    check_kind,
    check_matching,
    check_number,
    check_same_kind,
    finite,
)
from hw2lib._leading import SMALLEST, leading_rows
from hw2lib._scale import polar

__all__ = [
    "Factors",
    "Fit",
    "alternating_least_squares",
    "balance_factors",
    "change_basis",
    "connecting_matrix",
    "critical_hessian_eigenvalues",
    "critical_point",
    "gradient_descent",
    "loss",
    "loss_gradient",
    "loss_hessian",
    "low_rank_factors",
    "truncation_error",
    "weyl_gaps",
]


class Factors(NamedTuple):
    """Factors A of shape (m, r) and B of shape (r, n)."""

    A: Tensor
    B: Tensor


class Fit(NamedTuple):
    """Factors found by an iterative method, and the loss before each step and after the last."""

    A: Tensor
    B: Tensor
    losses: Tensor


def loss(X: Any, A: Any, B: Any) -> Tensor:
    r"""Return :math:`\|X-AB\|_F^2`.

    Serves claims 2a-bilinear and 2a-nonconvex.

    Parameters
    ----------
    X, A, B : Tensor or array
        Shapes (m, n), (m, r), (r, n).

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    TypeError, ValueError
        If a matrix is not finite, or shapes, dtypes or devices differ.

    References
    ----------
    Baldi and Hornik, "Neural networks and principal component analysis", Neural Networks 1989.

    Examples
    --------
    >>> loss([[3.0]], [[1.0]], [[1.0]]).item()
    4.0
    """
    X, A, B = check_factors(X, A, B)
    return finite("X, A and B", (X - A @ B).square().sum())


def loss_gradient(X: Any, A: Any, B: Any) -> Factors:
    r"""Return the gradient of :math:`\|X-AB\|_F^2` with respect to A and to B.

    With R = X − AB it is :math:`-2RB^\top` and :math:`-2A^\top R`. Serves claim 2d-landscape: a
    point is critical where both vanish.

    Parameters
    ----------
    X, A, B : Tensor or array
        Shapes (m, n), (m, r), (r, n).

    Returns
    -------
    Factors
        Gradients of the shapes of A and of B.

    Raises
    ------
    TypeError, ValueError
        If a matrix is not finite, or shapes, dtypes or devices differ.

    References
    ----------
    Baldi and Hornik, "Neural networks and principal component analysis", Neural Networks 1989,
    fact 4.

    Examples
    --------
    >>> loss_gradient([[3.0]], [[1.0]], [[2.0]])
    Factors(A=tensor([[-4.]]), B=tensor([[-2.]]))
    """
    X, A, B = check_factors(X, A, B)
    residual = X - A @ B
    return finite("X, A and B", Factors(-2 * residual @ B.T, -2 * A.T @ residual))


def loss_hessian(X: Any, A: Any, B: Any) -> Tensor:
    r"""Return the Hessian of :math:`\|X-AB\|_F^2` over the entries of A, then of B, row by row.

    With R = X − AB, the second-order term is
    :math:`\|dA\,B+A\,dB\|^2-2\langle R, dA\,dB\rangle`. Serves claim 2d-landscape.

    Parameters
    ----------
    X, A, B : Tensor or array
        Shapes (m, n), (m, r), (r, n).

    Returns
    -------
    Tensor
        Symmetric, shape (r(m + n), r(m + n)).

    Raises
    ------
    TypeError, ValueError
        If a matrix is not finite, or shapes, dtypes or devices differ.

    References
    ----------
    Baldi and Hornik, "Neural networks and principal component analysis", Neural Networks 1989.

    Examples
    --------
    >>> loss_hessian([[3.0]], [[1.0]], [[2.0]]).tolist()
    [[8.0, 2.0], [2.0, 2.0]]
    """
    X, A, B = check_factors(X, A, B)
    (m, r), n = A.shape, B.shape[1]
    rows, columns, inner = (torch.eye(size, dtype=X.dtype, device=X.device) for size in (m, n, r))
    jacobian = torch.cat(  # of the entries (i, l) of AB
        [
            torch.einsum("ij,cl->iljc", rows, B).reshape(m * n, m * r),
            torch.einsum("ic,kl->ilck", A, columns).reshape(m * n, r * n),
        ],
        dim=1,
    )
    # entry (i, c) of A meets entry (c, l) of B through -2 R_il
    curvature = torch.einsum("il,cd->icdl", X - A @ B, inner).reshape(m * r, r * n)
    hessian = 2 * jacobian.T @ jacobian
    hessian[: m * r, m * r :] -= 2 * curvature
    hessian[m * r :, : m * r] -= 2 * curvature.T
    return finite("X, A and B", hessian)


def low_rank_factors(X: Any, rank: int) -> Factors:
    r"""Return a balanced minimiser of :math:`\|X-AB\|_F^2`, by the singular value decomposition.

    :math:`A=U_r\sqrt{\Sigma_r}` and :math:`B=\sqrt{\Sigma_r}V_r^\top`. Balanced means
    :math:`A^\top A=BB^\top`; among all minimisers these have the least
    :math:`\|A\|_F^2+\|B\|_F^2`. Serves claims 2b-optimum and 2b-residual.

    Where m and n are at least 64 max(r, 8), on a CPU, only the leading singular vectors are
    computed, in double precision at last, if they are proved to attain the least loss to a relative
    1e-10 (before they are rounded to the dtype of `X`); otherwise, or if PyTorch may multiply in
    less than single precision, all of them. Torch's gradient in X is NaN where singular values are
    equal, or where one of the first r is 0.

    Parameters
    ----------
    X : Tensor or array
        Shape (m, n).
    rank : int
        r, in 1..min(m, n).

    Returns
    -------
    Factors
        A of shape (m, r) and B of shape (r, n); the largest entry of each column of A is
        positive.

    Raises
    ------
    TypeError, ValueError
        If `X` is not a finite matrix, or `rank` out of range.

    References
    ----------
    Eckart and Young, "The approximation of one matrix by another of lower rank", Psychometrika
    1936; Mirsky 1960. The proof for a large matrix: Beattie, "Harmonic Ritz and Lehmann bounds",
    Electronic Transactions on Numerical Analysis 1998.

    Examples
    --------
    >>> A, B = low_rank_factors([[3.0, 0.0], [0.0, 1.0]], rank=1)
    >>> (A @ B).round(decimals=4).tolist()
    [[3.0, 0.0], [0.0, 0.0]]
    """
    X = as_tensor("X", X, ndim=2)
    rank = check_rank(X, rank)
    return finite("X", signed(*(certified_factors(X, rank) or svd_factors(X, rank))))


def svd_factors(X: Tensor, rank: int) -> Factors:
    """Return the balanced minimiser, from the full decomposition."""
    U, S, Vh = torch.linalg.svd(X, full_matrices=False)
    root = S[:rank].sqrt()
    return Factors(U[:, :rank] * root, root[:, None] * Vh[:rank])


def signed(A: Tensor, B: Tensor) -> Factors:
    """Return factors of the same product, the largest entry of each column of A positive.

    LAPACK's signs can depend on rounding, and so on the processor.
    """
    signs = A.gather(0, A.abs().argmax(0, keepdim=True)).sign()
    return Factors(A * signs, signs.T * B)


def certified_factors(X: Tensor, rank: int) -> Factors | None:
    """Return the balanced minimiser from the leading singular vectors, if they are certified."""
    if len(X) < X.shape[1]:
        turned = certified_factors(X.T, rank)
        return turned and Factors(turned.B.T, turned.A.T)
    derived = X.requires_grad or forward_ad.unpack_dual(X).tangent is not None
    precision = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
    reduced = precision not in ("none", "ieee")
    if X.shape[1] < 64 * max(rank, SMALLEST) or derived or reduced or X.device.type != "cpu":
        return None
    scaled, unit = X.resolve_neg().double(), 1.0
    norm = length(scaled)
    if not 1e-9 < norm.item() < 1e9:  # squares would be out of the range of single precision
        unit = scaled.abs().max().item()
        if unit == 0:
            return None
        scaled = scaled / unit
        norm = length(scaled)
    with torch.autocast("cpu", enabled=False):
        found = leading_rows(scaled, rank, norm.item() ** 2)
    if found is None:
        return None
    images, rows = found
    U, S, Vh = torch.linalg.svd(images, full_matrices=False)
    root = math.sqrt(unit) * S.sqrt()
    return Factors((U * root).to(X.dtype), ((root[:, None] * Vh) @ rows).to(X.dtype))


def length(X: Tensor) -> Tensor:
    """Return ‖X‖, row by row: one sum over all entries would have larger errors than products."""
    return torch.linalg.vector_norm(torch.linalg.vector_norm(X, dim=1))


def truncation_error(X: Any, rank: int) -> Tensor:
    r"""Return the least :math:`\|X-AB\|_F^2` at this rank: :math:`\sum_{i>r}\sigma_i(X)^2`.

    Serves claim 2b-residual.

    Parameters
    ----------
    X : Tensor or array
        Shape (m, n).
    rank : int
        r, in 0..min(m, n).

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    TypeError, ValueError
        If `X` is not a finite matrix, or `rank` out of range.

    References
    ----------
    Eckart and Young, "The approximation of one matrix by another of lower rank", Psychometrika
    1936.

    Examples
    --------
    >>> truncation_error([[3.0, 0.0], [0.0, 1.0]], rank=1).item()
    1.0
    """
    X = as_tensor("X", X, ndim=2)
    rank = check_rank(X, rank, low=0)
    return finite("X", torch.linalg.svdvals(X)[rank:].square().sum())


def weyl_gaps(X: Any, A: Any, B: Any) -> Tensor:
    r"""Return :math:`\sigma_i(X-AB)-\sigma_{i+r}(X)` for every i: at least 0 but for rounding.

    It is Weyl's lower bound behind Eckart–Young: no factors of inner size r leave a residual whose
    i-th singular value is below the (i + r)-th of X. Serves claim 2b-optimum.

    Parameters
    ----------
    X, A, B : Tensor or array
        Shapes (m, n), (m, r), (r, n).

    Returns
    -------
    Tensor
        Shape (min(m, n),); σ beyond min(m, n) counts as 0.

    Raises
    ------
    TypeError, ValueError
        If a matrix is not finite, or shapes, dtypes or devices differ.

    References
    ----------
    Horn and Johnson, "Topics in matrix analysis", theorem 3.3.16.

    Examples
    --------
    >>> weyl_gaps([[3.0, 0.0], [0.0, 1.0]], [[0.0], [1.0]], [[0.0, 1.0]]).tolist()
    [2.0, 0.0]
    """
    X, A, B = check_factors(X, A, B)
    difference = finite("X, A and B", X - A @ B)
    residual, singular = torch.linalg.svdvals(difference), torch.linalg.svdvals(X)
    shifted = torch.zeros_like(singular)
    rest = singular[A.shape[1] :]
    shifted[: len(rest)] = rest
    return finite("X, A and B", residual - shifted)


def change_basis(A: Any, B: Any, G: Any) -> Factors:
    r"""Return :math:`(AG, G^{-1}B)`: other factors, the same product where no entry underflows.

    Serves claims 2c-scale and 2c-orbit.

    Parameters
    ----------
    A, B : Tensor or array
        Shapes (m, r), (r, n).
    G : Tensor or array
        Invertible, shape (r, r).

    Returns
    -------
    Factors
        The shapes of A and of B.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or `G` is singular, or so nearly that half of the digits would be
        lost.

    References
    ----------
    Baldi and Hornik, "Neural networks and principal component analysis", Neural Networks 1989,
    section 2.

    Examples
    --------
    >>> change_basis([[1.0]], [[3.0]], [[2.0]])
    Factors(A=tensor([[2.]]), B=tensor([[1.5000]]))
    """
    A, B = check_product(A, B)
    G = as_tensor("G", G, ndim=2)
    check_same_kind(A=A, G=G)
    check_matching("G", G, (A.shape[1], A.shape[1]), "the inner size of A and B")
    check_independent("G must be invertible", G)
    return finite("A, B and G", Factors(A @ G, torch.linalg.solve(G, B)))


def connecting_matrix(A: Any, A_other: Any) -> Tensor:
    r"""Return the G that takes A to another A′: the least-squares solution of :math:`AG=A'`.

    Serves claim 2c-orbit.

    Parameters
    ----------
    A, A_other : Tensor or array
        Shape (m, r), A of full column rank.

    Returns
    -------
    Tensor
        Shape (r, r).

    Raises
    ------
    TypeError, ValueError
        If shapes differ, or the columns of A are dependent, or so nearly that half of the digits
        would be lost.

    References
    ----------
    Baldi and Hornik, "Neural networks and principal component analysis", Neural Networks 1989,
    section 2.

    Examples
    --------
    >>> connecting_matrix([[1.0], [1.0]], [[3.0], [3.0]]).round(decimals=4).tolist()
    [[3.0]]
    """
    A, A_other = as_tensor("A", A, ndim=2), as_tensor("A_other", A_other, ndim=2)
    check_same_kind(A=A, A_other=A_other)
    check_matching("A_other", A_other, A.shape, "the shape of A")
    check_independent("A must have independent columns", A)
    # in double precision: in single, many rows would make lstsq drop columns that are independent
    solution = torch.linalg.lstsq(A.double(), A_other.double()).solution
    return finite("A and A_other", solution.to(A))


def balance_factors(A: Any, B: Any) -> Factors:
    r"""Return the balanced factors of the same product: :math:`A^\top A=BB^\top`, diagonal.

    Of all factors of AB with this inner size they have the least :math:`\|A\|_F^2+\|B\|_F^2`,
    twice the nuclear norm of AB. Torch's gradient is NaN where singular values of AB are equal, or
    where one of the first r is 0. Serves claim 2c-balanced.

    Parameters
    ----------
    A, B : Tensor or array
        Shapes (m, r), (r, n), r at most min(m, n).

    Returns
    -------
    Factors
        The shapes of A and of B; the signs are those of :func:`low_rank_factors`.

    Raises
    ------
    TypeError, ValueError
        If a matrix is not finite, shapes do not fit, or r exceeds min(m, n).

    References
    ----------
    Srebro, Rennie, Jaakkola, "Maximum-margin matrix factorization", NIPS 2004, lemma 1.

    Examples
    --------
    >>> A, B = balance_factors([[8.0]], [[2.0]])
    >>> round(A.item(), 4), round((A @ B).item(), 4)
    (4.0, 16.0)
    """
    A, B = check_product(A, B)
    if A.shape[1] > min(len(A), B.shape[1]):
        raise ValueError(
            f"A and B must have an inner size of at most {min(len(A), B.shape[1])}, the least size "
            f"of their product, got {A.shape[1]}"
        )
    # each summand of AB in units of the largest one, for they may over- or underflow
    a, b = A.detach().abs().amax(0), B.detach().abs().amax(1)
    sizes = (a.double().sqrt() * b.double().sqrt()).to(A)
    root = sizes.max()
    if root == 0:
        return Factors(0 * A, 0 * B)
    a, b = (torch.where(size > 0, size, 1) for size in (a, b))
    share = sizes / root
    balanced = signed(*svd_factors((A / a * share) @ (B.T / b * share).T, A.shape[1]))
    return finite("A and B", Factors(*(root * factor for factor in balanced)))


def critical_point(X: Any, indices: Sequence[int], rank: int) -> Factors:
    r"""Return the balanced critical point built from chosen singular values of X.

    :math:`A=[\sqrt{\sigma_j}u_j]_{j\in J}` and :math:`B=[\sqrt{\sigma_j}v_j^\top]_{j\in J}`, filled
    up with zeros to inner size r. J = the r largest gives the minimum, any other J a saddle
    (unless the loss is the same). Torch's gradient in X is NaN where singular values are equal, or
    where a chosen one is 0. Serves claims 2d-landscape and 2d-least.

    Parameters
    ----------
    X : Tensor or array
        Shape (m, n).
    indices : sequence of int
        J, distinct, counted from 0 in order of decreasing singular value; at most `rank` of them.
    rank : int
        r, in 1..min(m, n).

    Returns
    -------
    Factors
        A of shape (m, r) and B of shape (r, n); the signs are those of :func:`low_rank_factors`.

    Raises
    ------
    TypeError, ValueError
        If `X` is not a finite matrix, `rank` out of range, or `indices` repeated, too many or out
        of range.

    References
    ----------
    Baldi and Hornik, "Neural networks and principal component analysis", Neural Networks 1989,
    theorem 1.

    Examples
    --------
    >>> A, B = critical_point([[4.0, 0.0], [0.0, 1.0]], indices=[1], rank=1)
    >>> (A @ B).abs().tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """
    X = as_tensor("X", X, ndim=2)
    chosen = check_indices(X, indices, check_rank(X, rank))
    U, S, Vh = torch.linalg.svd(X, full_matrices=False)
    A, B = X.new_zeros(X.shape[0], rank), X.new_zeros(rank, X.shape[1])
    root = S[chosen].sqrt()
    A[:, : len(chosen)] = U[:, chosen] * root
    B[: len(chosen)] = root[:, None] * Vh[chosen]
    return finite("X", signed(A, B))


def critical_hessian_eigenvalues(X: Any, indices: Sequence[int], rank: int) -> Tensor:
    r"""Return all eigenvalues of the Hessian at a balanced critical point, in closed form.

    With J the chosen singular values, k = \|J\| and p = min(m, n), they are
    :math:`2(\sigma_i+\sigma_j)` for i, j in J; :math:`2(\sigma_j\pm\sigma_i)` for j in J and i of
    the other p − k; :math:`2\sigma_j`, \|m − n\| times for every j in J; :math:`\pm2\sigma_i`,
    r − k times for every other i; and 0 for the rest. The least is
    :math:`-2(\max_{i\notin J}\sigma_i-\min_{j\in J}\sigma_j)` for k = r and
    :math:`-2\max_{i\notin J}\sigma_i` for k < r, where that is negative. Serves claims
    2d-spectrum, 2d-least and 2d-minimum.

    Parameters
    ----------
    X : Tensor or array
        Shape (m, n).
    indices : sequence of int
        J, as in :func:`critical_point`.
    rank : int
        r, in 1..min(m, n).

    Returns
    -------
    Tensor
        Shape (r(m + n),), ascending.

    Raises
    ------
    TypeError, ValueError
        As :func:`critical_point`.

    References
    ----------
    Baldi and Hornik, "Neural networks and principal component analysis", Neural Networks 1989, show
    that they are saddles; the values follow from the block structure that the page derives.

    Examples
    --------
    >>> critical_hessian_eigenvalues([[4.0, 0.0], [0.0, 1.0]], indices=[1], rank=1).tolist()
    [-6.0, 0.0, 4.0, 10.0]
    """
    X = as_tensor("X", X, ndim=2)
    rank = check_rank(X, rank)
    chosen = check_indices(X, indices, rank)
    S = torch.linalg.svdvals(X)
    taken, missing = S[chosen], S[[i for i in range(len(S)) if i not in chosen]]
    empty_columns = rank - len(chosen)
    values = torch.cat(
        [
            2 * (taken[:, None] + taken).flatten(),
            2 * (taken[:, None] + missing).flatten(),
            2 * (taken[:, None] - missing).flatten(),
            2 * taken.repeat(abs(X.shape[0] - X.shape[1])),
            2 * missing.repeat(empty_columns),
            -2 * missing.repeat(empty_columns),
        ]
    )
    eigenvalues = X.new_zeros(rank * sum(X.shape))
    eigenvalues[: len(values)] = values
    return finite("X", eigenvalues.sort().values)


def alternating_least_squares(
    X: Any, rank: int, steps: int, *, generator: torch.Generator | None = None
) -> Fit:
    """Minimise over A and B in turn, each time exactly, from a random start.

    Each half of the problem is convex, an ordinary least-squares problem, and a sweep takes the
    column space of A to its image under XXᵀ. No gradient in X flows through the start. Serves
    claims 2a-alternating and 2c-orbit.

    Parameters
    ----------
    X : Tensor or array
        Shape (m, n).
    rank : int
        r, in 1..min(m, n).
    steps : int
        How often both factors are updated.
    generator : torch.Generator, optional
        Draws the start.

    Returns
    -------
    Fit
        A of shape (m, r), B of shape (r, n), and `steps` + 1 losses.

    Raises
    ------
    TypeError, ValueError
        If `X` is not a finite matrix, or `rank` or `steps` out of range.

    References
    ----------
    Golub and Van Loan, "Matrix computations", section 8.2.4 (the same as orthogonal iteration).

    Examples
    --------
    >>> import torch
    >>> X = torch.diag(torch.tensor([3.0, 1.0]))
    >>> fit = alternating_least_squares(X, 1, 20, generator=torch.Generator().manual_seed(0))
    >>> round(fit.losses[-1].item(), 4)
    1.0
    """
    X = as_tensor("X", X, ndim=2)
    rank, steps = check_rank(X, rank), check_integer("steps", steps, 1)
    A, B = random_factors(X, rank, generator)
    losses = [finite("X", (X - A @ B).square().sum())]
    # in double precision: in single, many columns would make lstsq drop small directions for ever
    precise = X.double()
    for _ in range(steps):
        right = torch.linalg.lstsq(A.double(), precise).solution
        left = torch.linalg.lstsq(right.T, precise.T).solution.T
        A, B = left.to(X), right.to(X)
        losses.append((X - A @ B).square().sum())
    return Fit(A, B, torch.stack(losses))


def gradient_descent(
    X: Any,
    rank: int,
    steps: int,
    *,
    learning_rate: float | None = None,
    start: tuple[Any, Any] | None = None,
    generator: torch.Generator | None = None,
) -> Fit:
    r"""Descend :math:`\|X-AB\|_F^2` with a fixed learning rate, from a small random start or any.

    The learning rate is 1/(4σ₁) unless one is given, half the largest stable one at a balanced
    minimiser, where the Hessian's largest eigenvalue is 4σ₁. From starts that are not small beside
    X smaller ones may be needed. No gradient in X flows through the default rate and the random
    start. Serves claims 2c-landing, 2e-convergence and 2e-descent.

    Parameters
    ----------
    X : Tensor or array
        Shape (m, n), not zero unless a learning rate is given.
    rank : int
        r, in 1..min(m, n).
    steps : int
        Number of steps.
    learning_rate : float, optional
        Positive. If it is too large, the losses grow and may end as inf or NaN.
    start : pair of Tensor or array, optional
        A and B of shapes (m, r) and (r, n); small random factors if there is none.
    generator : torch.Generator, optional
        Draws the start, if none is given.

    Returns
    -------
    Fit
        A of shape (m, r), B of shape (r, n), and `steps` + 1 losses.

    Raises
    ------
    TypeError, ValueError
        If `X` or `start` is not finite, `X` is zero, shapes differ, or a number is out of range.

    References
    ----------
    Lee, Simchowitz, Jordan, Recht, "Gradient descent only converges to minimizers", COLT 2016.

    Examples
    --------
    >>> import torch
    >>> X = torch.diag(torch.tensor([3.0, 1.0]))
    >>> fit = gradient_descent(X, 1, 200, generator=torch.Generator().manual_seed(0))
    >>> round(fit.losses[-1].item(), 4)
    1.0
    >>> gradient_descent([[1.0]], 1, 1, learning_rate=0.5, start=([[1.0]], [[0.0]]))
    Fit(A=tensor([[1.]]), B=tensor([[1.]]), losses=tensor([1., 0.]))
    """
    X = as_tensor("X", X, ndim=2)
    rank, steps = check_rank(X, rank), check_integer("steps", steps, 1)
    if start is None:
        A, B = random_factors(X, rank, generator)
    else:
        A, B = check_start(X, rank, start)
    if learning_rate is not None:
        rate = check_number("learning_rate", learning_rate, "a positive number", lambda x: x > 0)
        return descend(X, A, B, rate, steps)
    largest = torch.linalg.matrix_norm(X, 2).item()
    if largest == 0:
        raise ValueError("X must not be zero: the learning rate is 1/(4 times its largest σ)")
    return finite("X and start", descend(X, A, B, 1 / (4 * largest), steps))


def descend(X: Tensor, A: Tensor, B: Tensor, learning_rate: float | Tensor, steps: int) -> Fit:
    """Take steps of gradient descent; leading dimensions hold runs side by side."""
    losses = []
    for _ in range(steps):
        residual = X - A @ B
        losses.append(residual.square().sum((-2, -1)))
        step = (2 * learning_rate * residual.double()).to(X)  # a rate may be tiny
        A, B = A + step @ B.mT, B + A.mT @ step
    return Fit(A, B, torch.stack([*losses, (X - A @ B).square().sum((-2, -1))]))


def random_factors(X: Tensor, rank: int, generator: torch.Generator | None) -> Factors:
    """Draw normal factors whose product is small beside X."""
    if generator is not None:
        check_kind("generator", generator, torch.Generator)
    scale = 0.1 * math.sqrt(polar(X)[0] / sum(X.shape))
    A, B = (
        torch.randn(shape, generator=generator, dtype=X.dtype).to(X.device) * scale
        for shape in ((X.shape[0], rank), (rank, X.shape[1]))
    )
    return Factors(A, B)


def check_product(A: Any, B: Any) -> Factors:
    """Return A and B as matrices that can be multiplied."""
    A, B = as_tensor("A", A, ndim=2), as_tensor("B", B, ndim=2)
    check_same_kind(A=A, B=B)
    check_matching("B", B, (A.shape[1], B.shape[1]), "its rows are the columns of A")
    return Factors(A, B)


def check_start(X: Tensor, rank: int, start: Any) -> Factors:
    """Return a start as factors of this rank."""
    if not isinstance(start, tuple | list) or len(start) != 2:
        raise TypeError(f"start must be a pair (A, B), got {type(start).__name__}")
    try:
        _, A, B = check_factors(X, *start)
        check_matching("A", A, (X.shape[0], rank), "m and the rank")
    except (TypeError, ValueError) as error:
        raise type(error)(f"start: {error}") from error
    return Factors(A, B)


def check_factors(X: Any, A: Any, B: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return X, A and B as matrices such that X − AB exists."""
    A, B = check_product(A, B)
    X = as_tensor("X", X, ndim=2)
    check_same_kind(X=X, A=A)
    check_matching("X", X, (A.shape[0], B.shape[1]), "the shape of AB")
    return X, A, B


def check_rank(X: Tensor, rank: Any, low: int = 1) -> int:
    """Return a rank that X can have."""
    return check_integer("rank", rank, low, min(X.shape), f" (the shape of X is {tuple(X.shape)})")


def check_indices(X: Tensor, indices: Any, rank: int) -> list[int]:
    """Return distinct indices of singular values of X, at most `rank`."""
    if isinstance(indices, Tensor | np.ndarray):
        indices = indices.tolist()
    if not isinstance(indices, Sequence) or isinstance(indices, str):
        raise TypeError(f"indices must be a sequence of integers, got {indices!r}")
    last = min(X.shape) - 1
    chosen = [check_integer(f"indices[{k}]", j, 0, last) for k, j in enumerate(indices)]
    if len(set(chosen)) < len(chosen) or len(chosen) > rank:
        raise ValueError(f"indices must be at most rank={rank} distinct numbers, got {indices!r}")
    return chosen
