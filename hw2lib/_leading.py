r"""The leading right singular vectors of a large matrix, with a proof that none is missed.

Let :math:`G=X^\top X` and let V have r orthonormal rows with
:math:`VGV^\top=\Theta=\operatorname{diag}(\theta_1\ge\dots\ge\theta_r)`, residual
:math:`R=VG-\Theta V`, and :math:`z^\top Gz\le s\|z\|^2`, :math:`s<\theta_r`, for every z orthogonal
to its rows. Put :math:`g=\theta_r-s`. Then for every y

.. math::
    (V^\top y+z)^\top G(V^\top y+z)=y^\top\Theta y+2\langle R^\top y,z\rangle+z^\top Gz
    \le y^\top(\Theta+RR^\top/g)y+\theta_r\|z\|^2,

so the r largest eigenvalues of G add up to at most :math:`\sum\theta_i+\|R\|_F^2/g`, and the loss
:math:`\|X-XV^\top V\|_F^2=\|X\|_F^2-\sum\theta_i` is within :math:`\|R\|_F^2/g` of the optimum
(Mathias 1998 has such bounds for each eigenvalue). That s bounds the rest is proved in one of two
ways: :func:`trace_bound`, for which products with X suffice, and :func:`cholesky_bounds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

TOLERANCE = 1e-10  # of the loss, relative to the optimum
SMALLEST = 8  # block


class Ritz(NamedTuple):
    r"""Ritz pairs of G in the span of the k orthonormal rows of a basis Q.

    All values, decreasing, of shape (k,); some leading vectors as rows (c, n); the norms of their
    residuals (c,); the defect :math:`\|QG-QGQ^\top Q\|_F^2`, which is the sum of the squares of
    all k residuals; and Q.
    """

    values: Tensor
    rows: Tensor
    residuals: Tensor
    defect: Tensor
    basis: Tensor


def leading_rows(X: Tensor, rank: int, total: Tensor) -> Tensor | None:
    r"""Return orthonormal rows V for which :math:`\|X-XV^\top V\|_F^2` is the least, to 1e-10.

    A block Krylov space of X from a fixed random start comes first. Where it is not certified, one
    of the Gram matrix follows, from the vectors that were found. Rounding errors count as
    2(m + n)ε‖X‖², more than those of the products.

    Parameters
    ----------
    X : Tensor
        Shape (m, n), in double precision, of a size whose squares are in range.
    rank : int
        r, much less than n.
    total : Tensor
        A scalar, ‖X‖².

    Returns
    -------
    Tensor or None
        Shape (r, n); None where the gap to the next singular value, or the optimum beside ‖X‖², is
        too small for a proof.

    References
    ----------
    Musco and Musco, "Randomized block Krylov methods for stronger and faster approximate singular
    value decomposition", NeurIPS 2015; Mathias, "Quadratic residual bounds for the Hermitian
    eigenvalue problem", SIAM Journal on Matrix Analysis and Applications 1998; Rump, "Verification
    of positive definiteness", BIT 2006.

    Examples
    --------
    >>> X = torch.diag(0.5 ** torch.arange(512, dtype=torch.float64))
    >>> leading_rows(X, 1, X.square().sum()).abs()[0, :3].round(decimals=6).tolist()
    [1.0, 0.0, 0.0]
    """
    block = -(-max(rank, SMALLEST) // 4) * 4
    count = -(-3 * block // 8) * 8  # products are fastest with a multiple of 8
    slack = 2 * sum(X.shape) * torch.finfo(X.dtype).eps * total
    generator = torch.Generator().manual_seed(0)
    mixing = torch.rand(count, len(X), generator=generator, dtype=X.dtype) - 0.5
    start = product(mixing.to(X.device), X)
    for ritz in krylov(lambda rows: product(product(rows, X.T), X), start, (2, 3, 4, 5), block):
        s = trace_bound(ritz, rank, total, slack)
        if certified(ritz, rank, s, total, slack) and orthonormal(ritz.basis, slack / total):
            return ritz.rows[:rank]
        if s > 4 * ritz.values[rank - 1]:  # too much is left for the steps that are left
            break
    gap = ritz.values[rank - 1] - ritz.values[rank]
    if min(gap, total - ritz.values[:rank].sum()) <= slack:  # it would drown in rounding errors
        return None
    gram, steps = product(X.T, X), (30, 40, min(60, X.shape[1] // block))
    for ritz in krylov(lambda rows: product(rows, gram), ritz.rows, steps, block):
        s = ritz.values[rank - 1] - (ritz.values[rank - 1] - ritz.values[rank]) / 4
        if certified(ritz, rank, s, total, slack) and cholesky_bounds(gram, ritz, rank, s, slack):
            return ritz.rows[:rank]
    return None


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return a matrix product, on a CPU by NumPy: on some its BLAS takes half of PyTorch's time."""
    if left.device.type != "cpu":
        return left @ right
    return torch.from_numpy(left.numpy() @ right.numpy())


def krylov(
    apply: Callable[[Tensor], Tensor], start: Tensor, steps: tuple[int, ...], count: int
) -> Iterator[Ritz]:
    """Yield Ritz pairs of a symmetric map in the span of its first powers on a block."""
    block, n = start.shape
    size = max(steps) * block
    basis, images = start.new_empty(2, size, n)
    projected = start.new_zeros(size, size)  # QGQᵀ, its lower triangle
    rows = start
    for step in range(1, max(steps) + 1):
        done, new = (step - 1) * block, step * block
        rows = torch.linalg.qr(rows.T).Q.T
        if done:  # the difference left rounding errors, which the division has enlarged
            overlap = product(rows, basis[:done].T)
            rows = orthonormalized(rows - product(overlap, basis[:done]))
        basis[done:new], images[done:new] = rows, (rows := apply(rows))
        projected[done:new, :new] = overlap = product(rows, basis[:new].T)
        if step in steps:
            yield ritz_pairs(basis[:new], images[:new], projected[:new, :new], count)
        rows = rows - product(overlap, basis[:new])


def orthonormalized(rows: Tensor) -> Tensor:
    """Return an orthonormal basis of rows that are nearly one, by Cholesky: it is fast."""
    factor, failed = torch.linalg.cholesky_ex(product(rows, rows.T))
    if failed or factor.diagonal().min() < 0.5:  # they were not
        return torch.linalg.qr(rows.T).Q.T
    return torch.linalg.solve_triangular(factor, rows, upper=False)


def ritz_pairs(basis: Tensor, images: Tensor, projected: Tensor, count: int) -> Ritz:
    """Return Ritz pairs in the span of orthonormal rows, given their images: some vectors."""
    values, turn = torch.linalg.eigh(projected)
    values, turn = values.flip(0), turn.T.flip(0)[:count]
    rows = product(turn, basis)
    residuals = (product(turn, images) - values[:count, None] * rows).norm(dim=1)
    return Ritz(values, rows, residuals, images.norm() ** 2 - values.norm() ** 2, basis)


def orthonormal(rows: Tensor, tolerance: Tensor) -> bool:
    """Tell whether rows are orthonormal up to rounding errors."""
    overlap = product(rows, rows.T)
    overlap.diagonal().sub_(1)
    return bool(overlap.norm() <= tolerance)


def certified(ritz: Ritz, rank: int, s: Tensor, total: Tensor, slack: Tensor) -> bool:
    """Tell whether the loss is proved to be the least, provided that s bounds the rest."""
    gap = ritz.values[rank - 1] - slack - s
    excess = (ritz.residuals[:rank].norm() + slack).square() / gap
    optimum = total - ritz.values[:rank].sum() - slack - excess
    close = bool(gap > 0) and bool(excess <= TOLERANCE * optimum)
    return close and orthonormal(ritz.rows, slack / total)


def trace_bound(ritz: Ritz, rank: int, total: Tensor, slack: Tensor) -> Tensor:
    r"""Return the least s of which traces prove that it bounds the rest.

    Outside of the Krylov space no eigenvalue exceeds the trace,
    :math:`t=\|X\|_F^2-\sum_{i\le k}\theta_i`. With the other k − r Ritz vectors, of residuals
    :math:`\rho_i`, none exceeds s if :math:`t+\sum_{i>r}\rho_i^2/(s-\theta_i)\le s` (Schur
    complement), the more so if :math:`t+\sum_i\rho_i^2/(s-\theta_{r+1})\le s`, a quadratic
    inequality.
    """
    rest = total - ritz.values.sum() + slack
    inside = ritz.values[rank]
    defect = ritz.defect + slack * ritz.values[0]
    return (rest + inside + torch.hypot(rest - inside, 2 * defect.sqrt())) / 2


def cholesky_bounds(gram: Tensor, ritz: Ritz, rank: int, s: Tensor, slack: Tensor) -> bool:
    r"""Tell whether :math:`sI-G+V^\top\operatorname{diag}(\theta)V` is positive definite.

    Then s bounds G on what is orthogonal to V. A Cholesky decomposition proves so once its rounding
    errors, nε times the trace, are taken off the diagonal (Rump 2006).
    """
    rows = ritz.rows[:rank]
    matrix = torch.addmm(gram, rows.T * ritz.values[:rank], rows, beta=-1)
    matrix.diagonal().add_(s - slack * (1 + len(gram) * s / gram.trace()))
    return int(torch.linalg.cholesky_ex(matrix).info) == 0
