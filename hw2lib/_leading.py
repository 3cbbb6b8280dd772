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

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-10  # of the loss, relative to the optimum
SMALLEST = 8  # block
STEPS = 5  # of the first Krylov space

Matrix = NDArray[np.float64]


class Task(NamedTuple):
    """The rank r, the total ‖X‖², and what rounding errors may add to the square of one row."""

    rank: int
    total: float
    unit: float

    def slack(self, ritz: Ritz) -> float:
        """Return what they may add to the squares of all rows of a basis together."""
        return self.unit * math.sqrt(len(ritz.values))


class Ritz(NamedTuple):
    r"""Ritz pairs of G in the span of the k orthonormal rows of a basis Q.

    All values, decreasing, of shape (k,); some leading vectors as rows (c, n); and the norms of
    their residuals (c,).
    """

    values: Matrix
    rows: Matrix
    residuals: Matrix


class Krylov:
    """The span of the first powers of a symmetric map on a block of rows, which grows by blocks.

    Parameters
    ----------
    start : array
        Shape (b, n).
    steps : int
        The most blocks that it shall hold.
    """

    def __init__(self, start: Matrix, steps: int) -> None:
        block, n = start.shape
        self.size = 0
        self._start = start
        self._basis, self._images = np.empty((2, steps * block, n))
        self._projected = np.zeros((steps * block, steps * block))  # its lower triangle

    @property
    def basis(self) -> Matrix:
        """Orthonormal rows that span it."""
        return self._basis[: self.size]

    def next_rows(self) -> Matrix:
        """Return the orthonormal rows by which it grows."""
        if not self.size:
            return orthonormalized(self._start)
        last = slice(self.size - len(self._start), self.size)
        rows = self._images[last] - self._projected[last, : self.size] @ self.basis
        rows = orthonormalized(rows)  # a division, which enlarges the rounding errors
        return orthonormalized(rows - rows @ self.basis.T @ self.basis)

    def grow(self, rows: Matrix, images: Matrix) -> None:
        """Take in rows, given their images."""
        new = slice(self.size, self.size + len(rows))
        self.size = new.stop
        self._basis[new], self._images[new] = rows, images
        self._projected[new, : self.size] = images @ self.basis.T

    def ritz_pairs(self, count: int) -> Ritz:
        """Return all Ritz values, and so many of the leading vectors."""
        values, turn = np.linalg.eigh(self._projected[: self.size, : self.size])
        values, turn = values[::-1], np.ascontiguousarray(turn.T[::-1][:count])
        rows = turn @ self.basis
        residuals = turn @ self._images[: self.size] - values[:count, None] * rows
        return Ritz(values, rows, np.linalg.norm(residuals, axis=1))

    def defect(self) -> float:
        r"""Return :math:`\|QG-QGQ^\top Q\|_F`, the norm of the residuals of all Ritz pairs."""
        lower = np.tril(self._projected[: self.size, : self.size])
        inside = (lower + np.tril(lower, -1).T) @ self.basis
        return float(np.linalg.norm(self._images[: self.size] - inside))


def leading_rows(X: Matrix, rank: int, total: float) -> tuple[Matrix, Matrix] | None:
    r"""Return XVᵀ and orthonormal rows V whose :math:`\|X-XV^\top V\|_F^2` is the least, to 1e-10.

    A block Krylov space of X from a fixed random start comes first. Where it is not certified, one
    of the Gram matrix follows, from the vectors that were found. Rounding errors count as
    (m + n)ε√k‖X‖² in a space of k dimensions: that covers the worst case of a trace, a residual and
    an eigenvalue (Higham 2002, section 3.5), of a basis that is orthonormal to (m + n)ε/4.

    Parameters
    ----------
    X : array
        Shape (m, n), in double precision, of a size whose squares are in range.
    rank : int
        r, much less than n.
    total : float
        ‖X‖².

    Returns
    -------
    tuple of two arrays, or None
        Shapes (m, r) and (r, n); None where nothing was proved: because the gap to the next
        singular value or the optimum beside ‖X‖² is too small, or the space too.

    References
    ----------
    Musco and Musco, "Randomized block Krylov methods for stronger and faster approximate singular
    value decomposition", NeurIPS 2015; Mathias, "Quadratic residual bounds for the Hermitian
    eigenvalue problem", SIAM Journal on Matrix Analysis and Applications 1998; Rump, "Verification
    of positive definiteness", BIT 2006; Higham, "Accuracy and Stability of Numerical Algorithms",
    2002.

    Examples
    --------
    >>> X = np.diag(0.5 ** np.arange(512.0))
    >>> _, rows = leading_rows(X, 1, (X**2).sum())
    >>> np.abs(rows[0, :3]).round(6).tolist()
    [1.0, 0.0, 0.0]
    """
    task = Task(rank, total, sum(X.shape) * float(np.finfo(X.dtype).eps) * total)
    with np.errstate(under="ignore"):
        rows, ritz = from_products(X, task)
        if rows is None and not in_doubt(ritz, task):
            rows = from_gram(X, task, ritz.rows)
        return None if rows is None else (X @ rows.T, rows)


def from_products(X: Matrix, task: Task) -> tuple[Matrix | None, Ritz]:
    """Return what products with X prove, if they do, and the Ritz pairs that they gave."""
    block = -(-max(task.rank, SMALLEST) // 4) * 4
    count = -(-3 * block // 8) * 8  # products are fastest with a multiple of 8
    mixing = np.random.default_rng(0).uniform(-0.5, 0.5, (count, len(X)))
    space = Krylov(mixing @ X, STEPS)
    for step in range(1, STEPS + 1):
        rows = space.next_rows()
        space.grow(rows, rows @ X.T @ X)
        ritz = space.ritz_pairs(block)
        rest, least = task.total - ritz.values.sum(), ritz.values[task.rank - 1]
        if (
            rest < least  # or there is nothing to prove
            and certified(ritz, task, trace_bound(ritz, task, space.defect()))
            and orthonormal(space.basis, task)
        ):
            return ritz.rows[: task.rank], ritz
        if rest * step > 4 * STEPS * least:  # more than the other steps would take
            break
    return None, ritz


def from_gram(X: Matrix, task: Task, start: Matrix) -> Matrix | None:
    """Return what the Gram matrix proves, if it does."""
    gram, most = X.T @ X, min(60, X.shape[1] // (2 * len(start)))
    space = Krylov(start, most)
    for step in range(1, most + 1):
        rows = space.next_rows()
        space.grow(rows, rows @ gram)
        if step in {10, 20, 30, 40, most}:
            ritz = space.ritz_pairs(len(start))
            if in_doubt(ritz, task):
                return None
            last, following = ritz.values[task.rank - 1 : task.rank + 1]
            s = last - (last - following) / 4
            if certified(ritz, task, s) and cholesky_bounds(gram, ritz, task, s):
                return ritz.rows[: task.rank]
    return None


def in_doubt(ritz: Ritz, task: Task) -> bool:
    """Tell whether rounding errors alone are too large for a proof, as gap and optimum seem."""
    slack = task.slack(ritz)
    gap = ritz.values[task.rank - 1] - ritz.values[task.rank]
    optimum = task.total - ritz.values[: task.rank].sum()
    return bool(gap <= slack or slack**2 > TOLERANCE * gap * optimum)


def orthonormalized(rows: Matrix) -> Matrix:
    """Return an orthonormal basis of rows."""
    return np.linalg.qr(rows.T)[0].T


def orthonormal(rows: Matrix, task: Task) -> bool:
    """Tell whether rows are orthonormal up to rounding errors."""
    overlap = rows @ rows.T
    np.fill_diagonal(overlap, overlap.diagonal() - 1)
    return bool(np.linalg.norm(overlap) <= task.unit / (4 * task.total))


def certified(ritz: Ritz, task: Task, s: float) -> bool:
    """Tell whether the loss is proved to be the least, provided that s bounds the rest."""
    rank, slack = task.rank, task.slack(ritz)
    gap = ritz.values[rank - 1] - slack - s
    if not gap > 0:
        return False
    excess = (np.linalg.norm(ritz.residuals[:rank]) + slack) ** 2 / gap
    optimum = task.total - ritz.values[:rank].sum() - slack - excess
    return bool(excess <= TOLERANCE * optimum) and orthonormal(ritz.rows, task)


def trace_bound(ritz: Ritz, task: Task, defect: float) -> float:
    r"""Return an s that bounds the rest, as traces prove.

    Outside of the Krylov space no eigenvalue exceeds the trace,
    :math:`t=\|X\|_F^2-\sum_{i\le k}\theta_i`. With the other k − r Ritz vectors, of residuals
    :math:`\rho_i`, none exceeds an :math:`s>\theta_{r+1}` for which
    :math:`t+\sum_{i>r}\rho_i^2/(s-\theta_i)\le s` (Schur complement), the more so if
    :math:`t+\sum_i\rho_i^2/(s-\theta_{r+1})\le s`: from the larger root of a quadratic on.
    """
    slack, inside = task.slack(ritz), float(ritz.values[task.rank])
    rest = task.total - float(ritz.values.sum()) + slack
    return (rest + inside + math.hypot(rest - inside, 2 * (defect + slack))) / 2


def cholesky_bounds(gram: Matrix, ritz: Ritz, task: Task, s: float) -> bool:
    r"""Tell whether :math:`sI-G+V^\top\operatorname{diag}(\theta)V` is positive definite.

    Then s bounds G on what is orthogonal to V. A Cholesky decomposition proves so once its rounding
    errors, nε times the trace, are taken off the diagonal (Rump 2006).
    """
    rows = ritz.rows[: task.rank]
    matrix = (rows.T * ritz.values[: task.rank]) @ rows
    matrix -= gram
    shift = s - task.unit * (1 + len(gram) * s / task.total)
    np.fill_diagonal(matrix, matrix.diagonal() + shift)
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
