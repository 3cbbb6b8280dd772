r"""The leading right singular vectors of a large matrix, with a proof that none is missed.

Suppose that no more than r eigenvalues of :math:`G=X^\top X` exceed some s. Let V have r
orthonormal rows with :math:`VGV^\top=\Theta=\operatorname{diag}(\theta_1\ge\dots\ge\theta_r)`,
:math:`\theta_r>s`, and residual :math:`R=VG-\Theta V`. Then :math:`B=G-sI` has no more than r
positive eigenvalues, :math:`C=VBV^\top=\Theta-sI` has r, and the Schur complement
:math:`B-BV^\top C^{-1}VB` none, for the numbers add up (Haynsworth 1968). So the r largest
eigenvalues of B add up to no more than the trace

.. math::
    \operatorname{tr}BV^\top C^{-1}VB=\operatorname{tr}C^{-1}VB^2V^\top
    =\operatorname{tr}(C+C^{-1}RR^\top)=\sum_i\Bigl(\theta_i-s+\frac{\|R_i\|^2}{\theta_i-s}\Bigr),

and the loss :math:`\|X-XV^\top V\|_F^2=\|X\|_F^2-\sum_i\theta_i` is within
:math:`\sum_i\|R_i\|^2/(\theta_i-s)` of the optimum (Lehmann's bound of 1949, see Beattie 1998).
V and R are computed in double precision. That no more than r eigenvalues exceed s is proved in one
of two ways: :func:`trace_bound`, for which products with X suffice, even in single precision, and
:func:`cholesky_bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

TOLERANCE = 1e-10  # of the loss, relative to the optimum
SMALLEST = 8  # block
BLOCKS = 5  # in a Krylov space of products with X
LENGTH = 128  # of sums with few terms
PRECISIONS = (torch.float32, torch.float64)

Factors = tuple[Tensor, Tensor]
Map = Callable[[Tensor], Tensor]


class Task(NamedTuple):
    r"""The rank r, the total ‖X‖², and what rounding errors may do.

    `unit` is what they may add to :math:`\|Xq\|^2` for one row q of a basis; `skew` what they may
    hide of its overlap with another.
    """

    rank: int
    total: float
    unit: float
    skew: float

    def slack(self, count: int) -> float:
        """Return what they may add to the squares of so many rows together."""
        return self.unit * math.sqrt(count) + self.skew * count


class Rounded:
    r"""X in single precision, for products that are made of sums of few terms.

    A sum of l terms, of which c are then added, has an error of no more than l + c roundings of
    ε/2. So :math:`\sum\|Xq\|^2` over k orthonormal rows q, taken from their halves or images, is
    exact to (l + c)ε√k‖X‖²; without the largest eigenvalue too, for the others add up to the least
    such sum over one row fewer; and so is, from six rows on, the coupling that :func:`trace_bound`
    needs. Four terms more are allowed for the rounding of X and q.

    Attributes
    ----------
    matrix : Tensor
        Shape (m, n).
    unit : float
        What rounding errors may add to the square of one row, relative to ‖X‖².
    """

    def __init__(self, X: Tensor) -> None:
        self.matrix = X.float()
        self._length = max(LENGTH, math.isqrt(len(X)))
        terms = self._length + math.ceil(len(X) / self._length)
        self.unit = (terms + 4) * torch.finfo(torch.float32).eps

    def mixtures(self, count: int) -> Tensor:
        """Return an orthonormal basis of so many mixtures of rows, the same at every call.

        A row is in two of them: one holds every count-th row, the other whole runs of so many.
        Where the mixtures depend on each other, other rows fill the basis up.
        """
        rest = len(self.matrix) % count
        runs = self.matrix[rest:].reshape(-1, count, self.matrix.shape[1])
        generator = torch.Generator("cpu").manual_seed(0)
        weights = self.matrix.new_empty(2, *runs.shape[:2]).normal_(generator=generator)
        mixtures = torch.einsum("rc,rcn->cn", weights[0], runs)
        of_runs = torch.einsum("rc,rcn->rn", weights[1], runs)
        for more in (self.matrix[:rest], *of_runs.split(count)):
            mixtures[: len(more)] += more
        return orthonormal_basis(mixtures.double())

    def halves(self, rows: Tensor) -> Tensor:
        """Return X rowsᵀ."""
        return product(self.matrix, rows.float().T, self._length)

    def images(self, halves: Tensor) -> Tensor:
        """Return halvesᵀ X."""
        return product(halves.T, self.matrix, self._length)


class Ritz(NamedTuple):
    r"""Ritz pairs of G in the span of the k orthonormal rows of a basis Q.

    All values, decreasing, of shape (k,); some leading vectors as rows (c, n); their images (c, n);
    the norms of their residuals (c,); and the matrix (c, k) that makes them of Q.
    """

    values: Tensor
    rows: Tensor
    images: Tensor
    residuals: Tensor
    turn: Tensor


class Krylov:
    """The span of the first powers of a symmetric map on a block of rows, which grows by blocks.

    Parameters
    ----------
    start : Tensor
        Shape (b, n), with orthonormal rows.
    first, second : callable
        The two halves of the map: of rows, and of what the first gave.
    limit : int
        The most dimensions that it shall have.

    Attributes
    ----------
    size : int
        Its dimensions.
    rows : Tensor
        Orthonormal: a basis of it, and the rows that come next, once they are made.
    halves : list of Tensor
        What the first half of the map gave of the basis, block by block.
    """

    def __init__(self, start: Tensor, first: Map, second: Map, limit: int) -> None:
        self.size, self.limit, self.halves = 0, limit, list[Tensor]()
        self.rows = start[:0]
        self._last, self._ahead = slice(0), start[:0]
        self._start, self._first, self._second = start, first, second
        self._memory, self._images = start.new_empty(2, limit, start.shape[1])
        self._projected = start.new_zeros(limit, limit)  # its lower triangle

    def grow(self) -> bool:
        """Grow by a block, if one is left and allowed; tell so."""
        halves = self.ahead()
        new = slice(self.size, len(self.rows))
        if new.start == new.stop:
            return False
        self.size, self._last = new.stop, new
        self.halves.append(halves)
        self._images[new] = self._second(halves)
        self._projected[new, : self.size] = self._images[new] @ self.rows.T
        return True

    def ahead(self) -> Tensor:
        """Return what the first half of the map gives of the rows that come next."""
        if len(self.rows) == self.size:
            rows = self._next_rows()
            self.rows = self._memory[: self.size + len(rows)]
            self.rows[self.size :] = rows
            self._ahead = self._first(rows)
        return self._ahead

    def _next_rows(self) -> Tensor:
        if not self.size:
            return self._start
        images, projected = self._images[self._last], self._projected[self._last, : self.size]
        outside = images - projected @ self.rows
        rows = independent(outside, 1e-13 * outside.square().sum().item())
        outside = rows - rows @ self.rows.T @ self.rows  # rounding errors, which were enlarged
        return independent(outside, 1e-4)[: self.limit - self.size]

    def ritz_values(self) -> Tensor:
        """Return all Ritz values, decreasing."""
        return torch.linalg.eigvalsh(self._projected[: self.size, : self.size]).flip(0)

    def ritz_pairs(self, count: int) -> Ritz:
        """Return all Ritz values, and so many of the leading vectors."""
        values, turn = torch.linalg.eigh(self._projected[: self.size, : self.size])
        values, turn = values.flip(0), turn.T.flip(0)[:count]
        rows = turn @ self.rows[: self.size]
        images = turn @ self._images[: self.size]
        residuals = torch.linalg.vector_norm(images - values[:count, None] * rows, dim=1)
        return Ritz(values, rows, images, residuals, turn)

    def defect(self) -> float:
        r"""Return :math:`\|QG-QGQ^\top Q\|_F`, the norm of the residuals of all Ritz pairs."""
        lower = torch.tril(self._projected[: self.size, : self.size])
        difference = (lower + torch.tril(lower, -1).T) @ self.rows[: self.size]
        difference -= self._images[: self.size]
        return norm(difference)


def leading_rows(X: Tensor, rank: int, total: float) -> Factors | None:
    r"""Return XVᵀ and orthonormal rows V whose :math:`\|X-XV^\top V\|_F^2` is the least, to 1e-10.

    A block Krylov space of X from a fixed random start is made in single precision, another in
    double precision from what it gave. Where they prove nothing, one of the Gram matrix follows.

    In a space of k dimensions rounding errors of double precision count as (m + n)ε√k‖X‖²: that
    covers the worst case of a trace, a residual and an eigenvalue (Higham 2002, section 3.5). For
    single precision see :class:`Rounded`. That a basis is orthonormal to nε/4 is computed by sums
    of few terms, whose errors count too.

    Parameters
    ----------
    X : Tensor
        Shape (m, n), m ≥ n, in double precision, of a size whose squares are in range.
    rank : int
        r, much less than n.
    total : float
        ‖X‖².

    Returns
    -------
    tuple of two Tensors, or None
        Shapes (m, r) and (r, n); None where nothing was proved: because the gap to the next
        singular value or the optimum beside ‖X‖² is too small, or the space too.

    References
    ----------
    Musco and Musco, "Randomized block Krylov methods for stronger and faster approximate singular
    value decomposition", NeurIPS 2015; Haynsworth, "Determination of the inertia of a partitioned
    Hermitian matrix", Linear Algebra and its Applications 1968; Beattie, "Harmonic Ritz and Lehmann
    bounds", Electronic Transactions on Numerical Analysis 1998; Rump, "Verification of positive
    definiteness", BIT 2006; Higham, "Accuracy and Stability of Numerical Algorithms", 2002.

    Examples
    --------
    >>> import torch
    >>> X = torch.diag(0.5 ** torch.arange(512).double())
    >>> _, rows = leading_rows(X, 1, X.square().sum().item())
    >>> rows[0, :3].abs().round(decimals=6).tolist()
    [1.0, 0.0, 0.0]
    """
    error = torch.finfo(X.dtype).eps * total
    terms = LENGTH + math.ceil(X.shape[1] / LENGTH)
    task = Task(rank, total, unit=sum(X.shape) * error, skew=terms * error / 2)
    block = max(SMALLEST, 4 * (rank // 4 + 1))  # more than the rank
    found, ritz = from_products(X, task, block)
    if found is None and not in_doubt(ritz, task):
        found = from_gram(X, task, ritz.rows)
    return found


def from_products(X: Tensor, task: Task, block: int) -> tuple[Factors | None, Ritz]:
    """Return what products with X prove, if they do, and the Ritz pairs that they gave.

    In single precision first. Then in double precision: from the whole space until s is known, and
    from the images of the Ritz vectors, of which one more product has made better vectors.
    """
    count = -(-3 * block // 8) * 8  # products are fastest with a multiple of 8
    rounded = Rounded(X)
    single = task._replace(unit=rounded.unit * task.total)
    space = Krylov(rounded.mixtures(count), rounded.halves, rounded.images, BLOCKS * count)
    ritz, s = search(space, single, block, math.inf)
    if s == math.inf:
        return None, ritz
    for _ in range(2):
        known = s < ritz.values[task.rank - 1]
        start = orthonormal_basis(ritz.images) if known else space.rows
        space = Krylov(start, lambda rows: X @ rows.T, lambda halves: halves.T @ X, space.limit)
        ritz, s = search(space, task, block, s)
        if certified(ritz, task, s):
            images = torch.cat(space.halves, dim=1) @ ritz.turn[: task.rank].T
            return (images, ritz.rows[: task.rank]), ritz
        if known or s >= ritz.values[task.rank - 1]:
            break
    return None, ritz


def search(space: Krylov, task: Task, block: int, s: float) -> tuple[Ritz, float]:
    """Let a space of X grow until its Ritz pairs are certified, exact, or out of reach.

    Return them, with a block of vectors, and the least s that is known, given one.
    """
    while space.grow():
        values = space.ritz_values()
        last, following = values[task.rank - 1 : task.rank + 1].tolist()
        outside, slack = task.total - values.sum().item(), task.slack(space.size)
        hidden = outside < last and last - following <= 2 * slack  # by rounding errors
        if min(s, outside) >= last:
            if too_wide(values, task, space.limit):
                break
            halves = space.ahead().double()
            outside -= torch.linalg.eigvalsh(halves.T @ halves)[:-1].sum().item()  # see trace_bound
        if outside < last and orthonormal(space.rows):
            bound = trace_bound(following, outside, space.defect(), task.slack(len(space.rows)))
            s = min(s, bound)
        if not hidden and s >= last:
            continue
        ritz = space.ritz_pairs(block)
        exact = norm(ritz.residuals[: task.rank]) <= slack
        if hidden or exact or certified(ritz, task, s):
            return ritz, s
    return space.ritz_pairs(block), s


def too_wide(values: Tensor, task: Task, limit: int) -> bool:
    """Tell whether the trace outside will still be much too large in so many dimensions.

    It mostly falls faster than 1/k, at which it would end four times too large.
    """
    outside = task.total - values.sum().item()
    return outside * len(values) / limit > 4 * values[task.rank - 1].item()


def from_gram(X: Tensor, task: Task, start: Tensor) -> Factors | None:
    """Return what the Gram matrix proves, if it does: from single precision, or else from double.

    Ritz pairs are made exact, and a bound is tried, after ten steps each and the last.
    """
    gram = X.T @ X
    block = len(start)
    for dtype in PRECISIONS:
        space = gram_space(start, gram.to(dtype), min(60 * block, len(gram) // 2))
        steps, more = 0, True
        while more:
            steps, more = steps + 1, space.grow()
            if more and steps % 10:
                continue
            start = space.ritz_pairs(block).rows
            ritz = exact_pairs(start, gram)
            if in_doubt(ritz, task):
                return None
            last, following = ritz.values[task.rank - 1 : task.rank + 1].tolist()
            s = last - (last - following) / 4
            if certified(ritz, task, s) and cholesky_bounds(gram, ritz, task, s):
                rows = ritz.rows[: task.rank]
                return X @ rows.T, rows
            if last - following <= torch.finfo(dtype).eps * ritz.values[0].item():
                break  # this precision does not tell them apart
    return None


def gram_space(start: Tensor, gram: Tensor, limit: int) -> Krylov:
    """Return a Krylov space of a Gram matrix, with products in its precision."""
    return Krylov(start, lambda rows: rows.to(gram.dtype), lambda rows: rows @ gram, limit)


def exact_pairs(rows: Tensor, gram: Tensor) -> Ritz:
    """Return the Ritz pairs in the span of orthonormal rows, in double precision."""
    space = gram_space(rows, gram, len(rows))
    space.grow()
    return space.ritz_pairs(len(rows))


def in_doubt(ritz: Ritz, task: Task) -> bool:
    """Tell whether rounding errors alone are too large for a proof, as gap and optimum seem."""
    slack = task.slack(len(ritz.values))
    last, following = ritz.values[task.rank - 1 : task.rank + 1].tolist()
    gap = last - following
    optimum = task.total - ritz.values[: task.rank].sum().item() - slack
    return min(gap - slack, optimum) <= 0 or slack**2 > TOLERANCE * gap * optimum


def independent(rows: Tensor, least: float) -> Tensor:
    """Return an orthonormal basis of rows, less the directions whose square is no more than least.

    It is orthonormal but for rounding errors, which the division by a small square enlarges.
    """
    squares, turn = torch.linalg.eigh(rows @ rows.T)
    kept = squares > least
    return (turn[:, kept] / squares[kept].sqrt()).T @ rows


def orthonormal_basis(rows: Tensor) -> Tensor:
    """Return as many rows, orthonormal, whose span contains them."""
    basis = independent(independent(rows, 1e-13 * rows.square().sum().item()), 1e-4)
    return basis if len(basis) == len(rows) else torch.linalg.qr(rows.T)[0].T


def orthonormal(rows: Tensor) -> bool:
    """Tell whether rows are orthonormal up to rounding errors: by sums of few terms."""
    defect = product(rows, rows.T, LENGTH)
    defect.diagonal().sub_(1)
    return norm(defect) <= rows.shape[1] * torch.finfo(rows.dtype).eps / 4


def norm(values: Tensor) -> float:
    """Return the root of the sum of all squares."""
    return torch.linalg.vector_norm(values).item()


def product(left: Tensor, right: Tensor, length: int) -> Tensor:
    """Return the product of two matrices, made of sums of so many terms, which are then added."""
    total = left.new_zeros(len(left), right.shape[1])
    for first in range(0, len(right), length):
        part = slice(first, first + length)
        total.addmm_(left[:, part], right[part])
    return total


def certified(ritz: Ritz, task: Task, s: float) -> bool:
    """Tell whether the loss is proved to be the least, given s."""
    slack = task.slack(len(ritz.values))
    values, residuals = ritz.values[: task.rank], ritz.residuals[: task.rank]
    gaps = values - slack - s
    if not gaps[-1] > 0:
        return False
    excess = (norm(residuals / gaps.sqrt()) + slack / math.sqrt(gaps[-1])) ** 2
    optimum = task.total - values.sum().item() - slack - excess
    return excess <= TOLERANCE * optimum and orthonormal(ritz.rows)


def trace_bound(inside: float, outside: float, coupling: float, slack: float) -> float:
    r"""Return an s that no more than r eigenvalues exceed, as traces prove.

    Orthogonal to the r leading Ritz vectors are the other Ritz vectors, with no more than
    :math:`\theta_{r+1}`, and what is outside of the Krylov space, where no eigenvalue exceeds some
    t. The residuals couple the two; their norm is d. So s is the larger eigenvalue of
    :math:`\begin{pmatrix}\theta_{r+1}&d\\d&t\end{pmatrix}`.

    The trace outside, :math:`\|X\|_F^2-\sum_{i\le k}\theta_i`, is such a t. Where N are the rows
    that come next, so is the trace less all eigenvalues of :math:`NGN^\top` but the largest: a
    positive semidefinite matrix has no larger eigenvalue than the two blocks on its diagonal have
    together, and the other block has none larger than its trace.
    """
    inside, outside, coupling = inside + slack, outside + slack, coupling + slack
    return (inside + outside + math.hypot(inside - outside, 2 * coupling)) / 2


def cholesky_bounds(gram: Tensor, ritz: Ritz, task: Task, s: float) -> bool:
    r"""Tell whether :math:`sI-G+V^\top\operatorname{diag}(\theta)V` is positive definite.

    Then s bounds G on what is orthogonal to V. A Cholesky decomposition proves so once its rounding
    errors, nε times the trace, are taken off the diagonal (Rump 2006).
    """
    rows = ritz.rows[: task.rank]
    matrix = (rows.T * ritz.values[: task.rank]) @ rows
    matrix -= gram
    shift = s - task.unit * (1 + len(gram) * s / task.total)
    matrix.diagonal().add_(shift)
    try:
        torch.linalg.cholesky(matrix)
    except torch.linalg.LinAlgError:
        return False
    return True
