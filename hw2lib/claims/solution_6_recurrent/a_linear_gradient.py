"""Claims of Solution 6(a): the gradient of a linear RNN, and when it explodes or vanishes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import count, product
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.families import squares
from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_6_recurrent.shared import (
    Modes,
    Recurrence,
    as_integers,
    basis,
    by_autograd,
    diagonalisable,
    iterate,
    jordan,
    modes,
    norm,
    power,
    powers,
    rate_of,
    recurrences,
)
from hw2lib.claims.tools import (
    largest,
    normal,
    shortfall,
    size,
    slope,
    tensor,
    whole,
)
from hw2lib.recurrent import kreiss_constant, linear_rnn_gradient

SADDLE = tensor([[2.0, 0.0], [0.0, 0.5]])
FIRST, SECOND = tensor([1.0, 0.0]), tensor([0.0, 1.0])


# ---- the gradient


@claim(
    "6a-forward",
    kind="identity",
    verdict="conditional",
    printed=r"The forward propagation computes $z^{t+1}=(w_z)^tz_0$.",
    statement=r"With $z_{k+1}=w_zz_k$ this is true if the print's $z_0$ denotes the state $z_1$; started from $z_0$ it is "
    r"$z_{t+1}=(w_z)^{t+1}z_0$.",
    corrected=r"if $z_0$ means the state after one step",
    family=recurrences,
    exact=True,
)
def power_counts_the_steps(case: Recurrence) -> Trial:
    W, first, _, t = case
    states = [first]
    for _ in range(t + 1):
        states.append(W @ states[-1])

    def error(start: int, exponent: int) -> float:
        return largest(states[t + 1] - power(W, exponent) @ states[start])

    return Trial(
        max(error(1, t), error(0, t + 1)),
        {"exponent t from z₀": error(0, t), "exponent t + 1 from z₁": error(1, t + 1)},
    )


@counterexample("6a-forward", "$z_0$ means the state after one step")
def one_step_too_few() -> float:
    return largest(power(SADDLE, 4) @ FIRST - power(SADDLE, 3) @ FIRST)


def derivative(W: Tensor, direction: Tensor, steps: int) -> Tensor:
    """Return the derivative of Wᵗ in a direction: a block of the power of a block matrix."""
    p = len(W)
    both = torch.cat([torch.cat([W, direction], 1), torch.cat([torch.zeros_like(W), W], 1)])
    return power(both, steps)[:p, p:]


def sum_over_times(first: Tensor, second: Tensor, zbar: Tensor, z0: Tensor, steps: int) -> Tensor:
    """Return Σₖ firstᵗ⁻¹⁻ᵏ zbar (secondᵏ z₀)ᵀ."""
    states, adjoints = [z0], [zbar]
    for _ in range(steps - 1):
        states.append(second @ states[-1])
        adjoints.append(first @ adjoints[-1])
    return torch.stack(adjoints[::-1]).T @ torch.stack(states)


@claim(
    "6a-gradient",
    kind="identity",
    verdict="corrected",
    severity=3,
    printed=r"$\frac{d\ell}{dw_z}=\overline{w_z}=\dots=\overline{z^{t+1}}\,(t\,w_z^{t-1})\,z_0$.",
    statement=r"For a matrix $W=w_z$ and every number of steps it is $\sum_{k<t}(W^\top)^{t-1-k}\,\bar z\,(W^kz_0)^\top$. "
    r"The printed form is right for numbers and, as an outer product, for $t=1$. Else it is in general wrong as an outer product and as "
    r"one number in every entry; read as $\bar z^\top(t\,W^{t-1})z_0$ it is only the *trace* of the gradient. With it falls the printed "
    r"norm $\lVert\bar z\rVert\,t\,\lVert W^{t-1}z_0\rVert$, for matrices a bound from neither side (claim 6a-norm).",
    corrected=r"$\sum_{k<t}(W^\top)^{t-1-k}\,\bar z\,(W^kz_0)^\top$",
    family=recurrences,
    exact=True,
)
def gradient_is_a_sum_over_times(case: Recurrence) -> Trial:
    W, z0, zbar, t = case
    gradient = by_autograd(W, z0, zbar, t)
    trace = zbar @ (t * (power(W, t - 1) @ z0))
    direction = tensor(np.arange(1.0, W.numel() + 1)).reshape(W.shape) % 5 - 2
    change = zbar @ derivative(W, direction, t) @ z0

    def error(claimed: Tensor) -> float:
        return largest(claimed - gradient)

    printed = error(torch.outer(zbar, t * power(W, t - 1) @ z0))
    right = len(W) == 1 or t == 1
    wrong = {
        "as printed, an outer product": printed,
        "as printed, one number in every entry": error(trace),
        "W untransposed": error(sum_over_times(W, W, zbar, z0, t)),
    }
    return Trial(
        max(
            printed if right else 0.0,
            error(linear_rnn_gradient(*case)),
            error(sum_over_times(W.T, W, zbar, z0, t)),
            abs((gradient * direction).sum().item() - change.item()),
            abs(gradient.trace().item() - trace.item()),
        ),
        {} if right else wrong,
    )


def projectors(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Recurrence, Recurrence]]]:
    """Yield two diagonal recurrences of two entries each: one printed too small, one too large."""
    for index in count():
        p, half = 2 + index % 6, size(rng, 1, 8)
        i, j = rng.choice(p, 2, replace=False)
        e = torch.eye(p, dtype=torch.float64)
        z0, zbar = size(rng, 1, 9) * e[j], size(rng, 1, 9) * e[i]
        small = Recurrence(torch.outer(e[i], e[i]), z0, zbar, 2 * half)
        large = Recurrence(small.W - torch.outer(e[j], e[j]), z0, zbar, 2 * half)
        yield f"p = {p}, t = {2 * half}, on axes {j} and {i}", (small, large)


@claim(
    "6a-norm",
    kind="existence",
    verdict="corrected",
    severity=2,
    printed=r"The norm of the gradient on weights $w_z$ is $\|\overline{w_z}\|_2=\|\overline{z^{t+1}}\|_2\,t\,\|w_z^{t-1}z_0\|_2$.",
    statement=r"This follows from the printed gradient, and is right for numbers, as that is. For matrices it is a bound from neither side, already for diagonal ones: for every $p\ge2$ and every even $t$, with unit "
    r"vectors $z_0=e_2$, $\bar z=e_1$, it says 0 where the norm is 1 ($W=e_1e_1^\top$), and $t$ where the norm is 0 "
    r"($W=e_1e_1^\top-e_2e_2^\top$).",
    corrected=r"for numbers; for matrices no bound from either side",
    family=projectors,
    exact=True,
)
def printed_norm_is_no_bound(case: tuple[Recurrence, Recurrence]) -> Trial:
    def printed(each: Recurrence) -> float:
        W, z0, zbar, t = each
        return (zbar.norm() * t * (power(W, t - 1) @ z0).norm()).item()

    small, large = case
    unit, t = (small.z0.norm() * small.zbar.norm()).item(), small.steps
    gradients = [by_autograd(*each) for each in case]
    low, high = (gradient.norm().item() for gradient in gradients)
    ours = [linear_rnn_gradient(*each) for each in case]
    return Trial(
        max(
            abs(printed(small)),
            abs(low - unit),
            abs(high),
            abs(printed(large) - t * unit),
            *(largest(a - b) for a, b in zip(gradients, ours, strict=True)),
        ),
        {"an upper bound": low - printed(small), "a lower bound": printed(large) - high},
    )


@counterexample("6a-norm", r"$p\ge2$: for numbers it is the norm")
def printed_norm_is_right_for_numbers() -> float:
    W, z, t = tensor([[2.0]]), tensor([1.0]), 4
    gap = linear_rnn_gradient(W, z, z, t).norm() - t * (power(W, t - 1) @ z).norm()
    return 1.0 - abs(gap.item())


# ---- which modes decide


def saddles(rng: np.random.Generator) -> Iterator[tuple[str, Modes]]:
    """Yield matrices of dyadic numbers, the first eigenvalue outside, the second inside."""
    for description, real in (
        ("eigenvalues 2 and ½", [2.0, 0.5]),
        ("eigenvalues −2 and −½", [-2.0, -0.5]),
        ("eigenvalues 3 and 0", [3.0, 0.0]),
        ("eigenvalues 2, ½, −2: phases", [2.0, 0.5, -2.0]),
        ("eigenvalues 2, ½, 2, ½: ties", [2.0, 0.5, 2.0, 0.5]),
    ):
        yield description, modes(rng, real)
    while True:
        outside = rng.choice([1.5, 2.0, 3.0, -1.5, -2.0, -3.0])
        inside = rng.choice([0.5, -0.5, 0.25, 0.0])
        others = rng.choice([2.0, -1.0, 1.0, 0.5], size(rng, 0, 2)).tolist()
        real = [float(outside), float(inside), *others]
        yield f"eigenvalues {real}", modes(rng, real)


def pair_sum(a: float, b: float, t: int) -> float:
    """Return (aᵗ − bᵗ)/(a − b), or t aᵗ⁻¹ at a tie, in fractions."""
    left, right = Fraction(a), Fraction(b)
    return float(t * left ** (t - 1) if a == b else (left**t - right**t) / (left - right))


@claim(
    "6a-zbar",
    kind="identity",
    verdict="corrected",
    severity=3,
    printed=r"We do not need to worry about $\overline{z^T}=\frac{d\ell(z^T)}{dz^T}$ for the argument here.",
    statement=r"Its direction decides as much as that of $z_0$. For a right eigenvector $z_0=v_j$ and a left one $\bar z=w_i$ the gradient is "
    r"$S_{ij}\,w_iv_j^\top$ with $S_{ij}=(\lambda_i^t-\lambda_j^t)/(\lambda_i-\lambda_j)$, or $t\lambda_i^{t-1}$ where $\lambda_i=\lambda_j$: of the four "
    r"cases, each of the two on a stable mode ($|\lambda|<1$) or on one and the same unstable mode ($|\lambda|>1$), three explode, and it vanishes only if both are stable.",
    corrected=r"the gradient is unbounded if either of $z_0$ and $\bar z$ is on an unstable mode and the other is not 0",
    family=saddles,
    exact=True,
)
def either_vector_can_meet_the_unstable_mode(found: Modes) -> Trial:
    t, right, left, values = 8, found.T.real.T, found.inverse.real, found.values.real.tolist()
    pairs = list(product(range(2), repeat=2))
    exact = {(i, j): linear_rnn_gradient(found.W, right[j], left[i], t) for i, j in pairs}

    def error(factor: dict[tuple[int, int], float]) -> float:
        return max(
            largest(exact[i, j] - factor[i, j] * torch.outer(left[i], right[j])) for i, j in pairs
        )

    def by(which: Any) -> dict[tuple[int, int], float]:
        return {
            (i, j): t * values[which((i, j), key=lambda n: abs(values[n]))] ** (t - 1)
            for i, j in pairs
        }

    return Trial(
        error({(i, j): pair_sum(values[i], values[j], t) for i, j in pairs}),
        {
            "z₀ alone decides, as printed": error(by(lambda pair, key: pair[1])),
            "z̄ alone decides": error(by(lambda pair, key: pair[0])),
            "both have to meet the unstable mode": error(by(min)),
        },
    )


@claim(
    "6a-depends",
    kind="existence",
    verdict="holds",
    printed=r"This example demonstrates that depending upon the initial value of the hidden vector in an RNN, and the weights, we may "
    r"get exploding or vanishing gradients for the weights.",
    statement=r"For every diagonalisable matrix with real eigenvalues inside and outside the unit circle there are starts of both kinds: with a stable left eigenvector for $\bar z$, a stable "
    r"right one for $z_0$ makes the gradient vanish, an unstable one makes it explode. But it depends on $\bar z$ as well: with an unstable $\bar z$ it explodes "
    r"from the stable start too. For $W=\operatorname{diag}(2,\frac12)$, $z_0=e_2$, $\bar z=e_1$, $t=20$ the state has "
    r"shrunk to {value}`state`, and the gradient has norm {value}`gradient:.2f`.",
    family=saddles,
)
def start_decides_between_explosion_and_decay(found: Modes) -> Trial:
    right, left = found.T.real.T, found.inverse.real

    def growth(i: int, j: int) -> float:
        """Return the logarithm of the growth of the gradient's norm from 12 to 24 steps."""
        early, late = (
            sum_over_times(found.W.T, found.W, left[i], right[j], t).norm().item() for t in (12, 24)
        )
        return math.log(late / early) if late else -math.inf

    values = {}
    if found.values.real.tolist() == [2.0, 0.5]:
        values = {
            "gradient": linear_rnn_gradient(SADDLE, SECOND, FIRST, 20).norm().item(),
            "state": (power(SADDLE, 20) @ SECOND).norm().item(),
        }
    stable_adjoint, unstable_adjoint = growth(1, 0), growth(0, 1)
    return Trial(
        max(
            shortfall(stable_adjoint, math.log(20)),
            shortfall(-growth(1, 1), math.log(20)),
            shortfall(unstable_adjoint, math.log(20)),
        ),
        {"z₀ and the weights decide, whatever z̄": shortfall(-unstable_adjoint, math.log(20))},
        values,
    )


@claim(
    "6a-eigen",
    kind="identity",
    verdict="holds",
    printed=r"Let us assume that weights $A:=w_z\in\mathbb R^{p\times p}$ are diagonalizable, i.e., we can write $A=T\Lambda T^{-1}$ and get "
    r"$A^kz_0=T\Lambda^kT^{-1}z_0=\sum_{i=1}^p\alpha_i\lambda_i^kv_i$.",
    statement=r"True of every diagonalisable $W$, with tied eigenvalues too. Eigenvalues, $\alpha_i$ and $v_i$ may be complex; the sum is real. "
    r"(The print's letter for the matrix of eigenvectors is, a few lines before, that of the number of steps.)",
    family=diagonalisable,
    exact=True,
)
def powers_expand_in_eigenvectors(case: tuple[Modes, Recurrence]) -> Trial:
    found, (W, z0, _, k) = case
    exact = power(W, k) @ z0
    z = z0.to(found.T.dtype)
    alpha = found.inverse @ z

    def error(coefficients: Tensor, exponent: int) -> float:
        return largest(found.T @ (coefficients * powers(found.values, exponent)) - exact)

    return Trial(
        error(alpha, k),
        {"αᵢ = ⟨vᵢ, z₀⟩": error(found.T.mH @ z, k), "λᵢᵏ⁻¹": error(alpha, k - 1)},
    )


@counterexample("6a-eigen", "diagonalizable")
def jordan_block_has_too_few_eigenvectors() -> float:
    A, z0 = tensor([[2.0, 1.0], [0.0, 2.0]]), SECOND
    eigenvector = FIRST[:, None]
    alpha = torch.linalg.lstsq(eigenvector, z0[:, None]).solution
    return largest(eigenvector @ alpha * 2.0**5 - (power(A, 5) @ z0)[:, None])


@claim(
    "6a-alpha",
    kind="identity",
    verdict="holds",
    printed=r"$\alpha_i$ are the rows of the matrix $T^{-1}z_0$",
    statement=r"$V^{-1}z_0$ is a column, its rows are numbers: $\alpha_i=w_i^\top z_0$, where $w_i^\top$ is the $i$-th row of $V^{-1}$, a *left* eigenvector, "
    r"$w_i^\top W=\lambda_iw_i^\top$.",
    family=diagonalisable,
    exact=True,
)
def coefficients_are_products_with_left_eigenvectors(case: tuple[Modes, Recurrence]) -> Trial:
    found, (W, z0, _, _) = case
    z, A = z0.to(found.T.dtype), W.to(found.T.dtype)

    def error(rows: Tensor) -> float:
        coefficients = torch.stack([row @ z for row in rows])
        return max(
            largest(found.T @ coefficients - z), largest(rows @ A - found.values[:, None] * rows)
        )

    return Trial(
        error(found.inverse),
        {"the rows of T": error(found.T), "its columns, the right eigenvectors": error(found.T.T)},
    )


def pairs_of_eigenvectors(
    rng: np.random.Generator,
) -> Iterator[tuple[str, tuple[Tensor, float, Tensor, Tensor]]]:
    """Yield A, an eigenvalue outside the circle, its right and left eigenvector, not parallel."""
    for description, found in saddles(rng):
        right, left = found.T.real[:, 0], found.inverse.real[0]
        if (right @ right) * (left @ left) > (left @ right) ** 2:
            yield description, (found.W, found.values.real[0].item(), right, left)


@claim(
    "6a-inner",
    kind="universal",
    verdict="sharpened",
    severity=1,
    printed=r"This shows that if the inner product between $\alpha_i$ and $v_i$ corresponding to an eigenvalue with magnitude greater than 1 is "
    r"non-zero, the norm $\|A^kz_0\|_2\to\infty$.",
    statement=r"Read as $\alpha_iv_i\ne0$, as the next sentence has it, this is right: $\alpha_i=\langle w_i,z_0\rangle$ with the *left* "
    r"eigenvector decides, since $\langle w_i,W^kz_0\rangle=\lambda_i^k\langle w_i,z_0\rangle$. An inner product with $v_i$ does not: "
    r"for a simple real $\lambda_i$, unless $v_i$ and $w_i$ are parallel, some start orthogonal to $v_i$ meets the mode, and some start that is not orthogonal to it does not.",
    corrected=r"if $\alpha_i=\langle w_i,z_0\rangle\ne0$, $w_i$ the left eigenvector",
    family=pairs_of_eigenvectors,
    exact=True,
)
def left_eigenvector_decides(case: tuple[Tensor, float, Tensor, Tensor]) -> Trial:
    A, value, right, left = case
    meets, avoids = starts_against_the_right_eigenvector(right, left)
    k = 5

    def part(z0: Tensor) -> float:
        return (left @ (power(A, k) @ z0)).item()

    def error(vector: Tensor, z0: Tensor) -> float:
        return abs(part(z0) - value**k * (vector @ z0).item())

    return Trial(
        max(
            error(left, meets),
            error(left, avoids),
            abs((right @ meets).item()),
            abs((left @ avoids).item()),
            float((left @ meets).item() <= 0),
            float((right @ avoids).item() <= 0),
        ),
        {
            "a start orthogonal to vᵢ does not meet the mode": error(right, meets),
            "a start that is not orthogonal to vᵢ does": error(right, avoids),
        },
    )


def starts_against_the_right_eigenvector(right: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    """Return one start orthogonal to the right eigenvector, and one to the left."""
    inner = right @ left
    return (right @ right) * left - inner * right, (left @ left) * right - inner * left


@counterexample("6a-inner", "$v_i$ and $w_i$ are not parallel")
def normal_matrix_has_one_direction() -> float:
    meets, _ = starts_against_the_right_eigenvector(FIRST, FIRST)
    return float((FIRST @ meets).item() <= 0)


@counterexample("6a-inner", "simple")
def start_without_a_part_along_the_left_eigenvector_grows() -> float:
    """Start a Jordan block at e₁, orthogonal to its only left eigenvector: it meets the mode."""
    block = np.array([[2, 1], [0, 2]], dtype=object)
    return float(grown(block, np.array([1, 0], dtype=object)) > 100)


@counterexample("6a-inner", r"real $\lambda_i$")
def only_zero_is_orthogonal_to_a_complex_eigenvector() -> float:
    _, T = torch.linalg.eig(tensor([[0.0, -1.0], [8.0, 2.0]]))
    v, w = T[:, 0], torch.linalg.inv(T)[0].conj()
    parallel = abs((v.conj() @ w).item()) / (v.norm() * w.norm()).item() > 0.9
    orthogonal_starts = 2 - int(torch.linalg.matrix_rank(torch.stack([v.real, v.imag])))
    return float(orthogonal_starts == 0 and not parallel)


class Growth(NamedTuple):
    """A matrix of whole numbers, an eigenvalue beyond 1, its eigenvectors, and a start.

    Eigenvectors are complex: rows of their real and of their imaginary parts.
    """

    A: Tensor
    value: complex
    left: Tensor
    right: Tensor
    z0: Tensor
    dominant: bool = False


def starts_that_meet(rng: np.random.Generator) -> Iterator[tuple[str, Growth]]:
    """Yield matrices with an eigenvalue beyond 1 and starts that meet it; defective ones first."""
    for p, eigenvalue in ((2, 2), (3, -3), (4, 2)):
        P, inverse = basis(rng, p)
        block = tensor(np.diag([eigenvalue] * p) + np.diag([1] * (p - 1), 1))
        yield (
            f"Jordan block of size {p} at {eigenvalue}",
            Growth(P @ block @ inverse, eigenvalue, inverse[-1:], P[:, :1].T, P.sum(1)),
        )
    for description, (found, recurrence) in diagonalisable(rng):
        i = int(found.values.abs().argmax())
        value = complex(found.values[i].item())
        left, right = (torch.view_as_real(2 * v).T for v in (found.inverse[i], found.T[:, i]))
        if abs(value) > 1 and (left @ recurrence.z0).any():
            real = value.imag == 0
            others = found.values.abs().sort().values[:-1]
            dominant = real and bool((others < abs(value)).all())
            yield (
                description,
                Growth(found.W, value, left, right, recurrence.z0, dominant),
            )


@claim(
    "6a-explode",
    kind="universal",
    verdict="holds",
    printed=r"This shows that if the inner product between $\alpha_i$ and $v_i$ corresponding to an eigenvalue with magnitude greater than 1 is "
    r"non-zero, the norm $\|A^kz_0\|_2\to\infty$.",
    statement=r"With the condition read as in claim 6a-inner, $\langle w_i,z_0\rangle\ne0$, and $|\lambda_i|>1$ it does, since by Cauchy–Schwarz "
    r"$\|W^kz_0\|\ge|\lambda_i|^k\,|\langle w_i,z_0\rangle|/\|w_i\|$ for every left eigenvector $w_i$, whether $W$ is diagonalisable or not.",
    family=starts_that_meet,
    exact=True,
)
def growth_has_a_lower_bound(case: Growth) -> Trial:
    A, left, right, z0 = map(as_integers, (case.A, case.left, case.right, case.z0))
    avoiding = as_integers(starts_against_the_right_eigenvector(case.right[0], case.left[0])[1])
    wrong = {}
    if any(avoiding) and case.dominant:  # else other modes may make the state grow
        wrong["with the right eigenvector"] = too_small(A, right, case.value, avoiding)
    return Trial(max(too_small(A, left, case.value, z0), float(grown(A, z0) < 100)), wrong)


def too_small(A: np.ndarray, vector: np.ndarray, value: complex, z0: np.ndarray) -> float:
    """Say whether some state of 40 is below the bound, its square compared in whole numbers."""
    parts = vector @ z0
    inner, length = int(parts @ parts), int((vector * vector).sum())
    square = int(value.real) ** 2 + int(value.imag) ** 2
    states = enumerate(iterate(A, z0, 40))
    return float(any(int(z @ z) * length < square**k * inner for k, z in states))


def grown(A: np.ndarray, z0: np.ndarray) -> float:
    """Return the growth of the state from 30 to 60 steps, at most 10⁹."""
    states = [int(z @ z) for z in iterate(A, z0, 61)]
    return math.sqrt(min(10**18, states[60] // max(1, states[30])))


@counterexample("6a-explode", r"$|\lambda_i|>1$")
def state_stays_on_the_circle() -> float:
    return float(grown(np.array([[0, -1], [1, 0]], dtype=object), np.array([1, 0], object)) < 100)


@counterexample("6a-explode", r"$\langle w_i,z_0\rangle\ne0$")
def state_avoids_the_mode() -> float:
    return float(grown(np.array([[2, 1], [0, 0]], dtype=object), np.array([-1, 2], object)) < 100)


# ---- decay


def contractions(rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    """Yield matrices with all eigenvalues inside the circle: normal, defective, nearly unstable."""
    shift = tensor(np.diag([1.0, 1.0], 1))
    yield "1×1", tensor([[0.9]])
    yield "nilpotent, 3×3", 5 * shift
    yield "Jordan block of size 2 at 0.9, superdiagonal 10", tensor([[0.9, 10.0], [0.0, 0.9]])
    yield "Jordan block of size 3 at −0.9", -0.9 * tensor(np.eye(3)) + shift
    yield "far from normal, 2×2", tensor([[0.9, 100.0], [0.0, 0.8]])
    yield "spectral radius 0.999", tensor([[0.999, 1.0], [0.0, 0.9]])
    yield "rotation and shrinking", 0.95 * tensor([[0.6, -0.8], [0.8, 0.6]])
    for description, W in squares(rng):
        radius = torch.linalg.eigvals(W).abs().max().item()
        if len(W) > 1 and radius > 1e-3:
            shear = normal(rng, *W.shape).triu(1) * 3
            W = W + shear if index_of(description) else W
            radius = torch.linalg.eigvals(W).abs().max().item()
            yield f"{description}, scaled", W * rng.uniform(0.5, 0.95) / radius


def index_of(description: str) -> bool:
    """Say whether a description is that of a random matrix."""
    return description.endswith("random")


def decay_rates(W: Tensor, lengths: Sequence[int]) -> list[float]:
    """Return the logarithms of ‖Wᵏ‖, scaled so that they do not underflow."""
    scale = torch.linalg.eigvals(W).abs().max()
    return [math.log(norm(power(W / scale, k))) + k * math.log(scale) for k in lengths]


LENGTHS = [2000, 6000, 20_000, 60_000]


def final_decay(W: Tensor) -> float:
    """Return how far the powers are from vanishing like ρᵏ: in their rate, or in the last norm."""
    logarithms = decay_rates(W, LENGTHS)
    rho = torch.linalg.eigvals(W).abs().max().log().item()
    return max(abs(rate_of(LENGTHS, logarithms) - rho), math.exp(logarithms[-1]))


@claim(
    "6a-vanish",
    kind="limit",
    verdict="holds",
    printed=r"On the other hand if the largest magnitude of eigenvalues of $A$ is smaller than 1 … then the norm $\|A^kz_0\|_2\to0$.",
    statement=r"True for every $W$, diagonalisable or not, and every $z_0$: up to a power of $k$, $\|W^k\|$ falls like $\rho(W)^k$ in the end. Only in the end: the powers "
    r"of $\bigl[\begin{smallmatrix}0.9&10\\0&0.9\end{smallmatrix}\bigr]$ first grow, to the norm {value}`peak:.2f` after {value}`at` steps.",
    tolerance=0.002,
)
def stable_powers_decay_in_the_end(seed: int) -> Trial:
    rng = np.random.default_rng(seed)
    matrices = {
        f"{name}, {p}×{p}": make(normal(rng, p, p))
        for p in (1, 2, 5, 12)
        for name, make in (
            ("Gaussian", lambda G: G),
            ("triangular", torch.triu),
            ("defective", lambda G: torch.eye(len(G), dtype=G.dtype) + G.triu(1) / len(G)),
        )
    }
    for name, W in matrices.items():
        matrices[name] = W * rng.uniform(0.7, 0.95) / torch.linalg.eigvals(W).abs().max()
    errors = {name: final_decay(W) for name, W in matrices.items()}
    worst = max(errors, key=errors.__getitem__)
    hump = [norm(power(tensor([[0.9, 10.0], [0.0, 0.9]]), k)) for k in range(60)]
    peak = max(hump)
    by_norm = [
        abs(rate_of(LENGTHS, decay_rates(W, LENGTHS)) - math.log(norm(W)))
        for W in matrices.values()
    ]
    return Trial(
        errors[worst],
        {"it decays from the start": peak - 1, "it falls like ‖A‖ᵏ": max(by_norm)},
        {"peak": peak, "at": hump.index(peak)},
        cases=len(matrices),
        worst=worst,
    )


@counterexample("6a-vanish", "smaller than 1")
def powers_of_a_jordan_block_at_one() -> float:
    return final_decay(tensor([[1.0, 1.0], [0.0, 1.0]]))


def peak_of_powers(W: Tensor) -> float:
    """Return the largest norm of a power, over all until they surely decay."""
    rest = 1 - torch.linalg.eigvals(W).abs().max().item()
    block = [torch.eye(len(W), dtype=W.dtype)]
    for _ in range(31):
        block.append(W @ block[-1])
    powers, leap, largest_norm = torch.stack(block), W @ block[-1], 0.0
    for _ in range(max(1, math.ceil(10 / rest / 32))):
        largest_norm = max(largest_norm, torch.linalg.matrix_norm(powers, 2).max().item())
        powers = powers @ leap
    return largest_norm


@claim(
    "6a-kreiss",
    kind="universal",
    verdict="theorem",
    statement=r"**How high is the hump?** If $\rho(W)<1$, then $K\le\sup_{k\ge0}\|W^k\|\le e\,p\,K$ with the Kreiss constant "
    r"$K=\sup_{|\zeta|>1}(|\zeta|-1)\,\|(\zeta I-W)^{-1}\|$ (Kreiss; the constant $ep$ is due to Spijker). For $\bigl[\begin{smallmatrix}0.9&10\\0&0.9\end{smallmatrix}\bigr]$ $K$ is "
    r"{value}`kreiss:.1f`, $epK$ is {value}`bound:.0f`, and the peak {value}`peak:.2f`.",
    family=contractions,
    tolerance=1e-9,
)
def kreiss_constant_bounds_the_hump(W: Tensor) -> Trial:
    kreiss, peak = kreiss_constant(W, points=4), peak_of_powers(W)

    def error(lower: float, upper: float) -> float:
        return max(0.0, lower / peak - 1, 1 - upper / peak)

    upper = math.e * len(W) * kreiss
    wrong = {"the peak is at least 3K": error(3 * kreiss, upper)}
    if peak > 1:
        wrong["the peak is at most K"] = error(kreiss, kreiss)
    values = {}
    if W.tolist() == [[0.9, 10.0], [0.0, 0.9]]:
        values = {"kreiss": kreiss, "bound": upper, "peak": peak}
    return Trial(error(kreiss, upper), wrong, values)


def with_a_neutral_mode(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Modes, Tensor]]]:
    """Yield matrices with eigenvalues inside, on and outside the circle, and stable coordinates."""
    for index in count():
        neutral, outside = (-1.0) ** index, float(rng.choice([2.0, -2.0, 1.5, -3.0]))
        inside = rng.choice([0.5, -0.5, 0.25, 0.0], size(rng, 1, 3)).tolist()
        real, pairs = [neutral, outside, *inside], [0.5 + 0.5j, 1j][: index % 3]
        found = modes(rng, real, pairs)
        start = whole(rng, len(found.W))
        start = found.inverse @ (start + (start == 0)).to(found.T.dtype)  # real, on every mode
        yield f"eigenvalues {[*real, *pairs]}", (found, start * (found.values.abs() < 1))


@claim(
    "6a-stable-start",
    kind="universal",
    verdict="holds",
    printed=r"…or if the vector $z_0$ is such that the $\alpha_iv_i=0$ for all eigenvalues $|\lambda_i|\ge1$ then the norm $\|A^kz_0\|_2\to0$.",
    statement=r"For diagonalisable $W$, as assumed: what is left is a sum of $\alpha_i\lambda_i^kv_i$ with $|\lambda_i|<1$. This is a "
    r"theorem on real numbers; what rounding may do to the start is another matter.",
    family=with_a_neutral_mode,
    exact=True,
)
def stable_starts_decay(case: tuple[Modes, Tensor]) -> Trial:
    found, coordinates = case
    size_of = found.values.abs()
    wrong = {}
    for name, also in (("|λ| = 1", size_of == 1), ("|λ| > 1", size_of > 1)):
        wrong[f"a part at {name} does no harm"] = not_decayed(found, coordinates + also)
    return Trial(not_decayed(found, coordinates), wrong)


def not_decayed(found: Modes, coordinates: Tensor, k: int = 20) -> float:
    """Return by how much a state fails to be the sum of its modes, or to fall like 2^(−k/2)."""
    T = found.T
    state = power_by_steps(found.W, (T @ coordinates).real, k)
    modes_left = T @ (coordinates * powers(found.values, k))
    bound = 1.001 * 0.5 ** (k / 2) * (T.abs().square().sum(0).sqrt() * coordinates.abs()).sum()
    return max(largest(state - modes_left), float((state.norm() > bound).item()))


def power_by_steps(W: Tensor, z: Tensor, k: int) -> Tensor:
    """Return Wᵏz, one product by a vector a step."""
    for _ in range(k):
        z = W @ z
    return z


def stable_lines(rng: np.random.Generator) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield whole c and a: the matrix (2, c; 0, ½) and the start (−2ca/3, a) on its stable line."""
    large = 2**26 - 1  # divisible by 3
    for c, a in ((1, 1), (1, 3), (3, 1), (1, -2), (7, 5), (2, 6), (large, -large), (-4, 2**49 + 1)):
        yield f"c = {c}, a = {a}", (c, a)
    while True:
        c, a = (int(rng.choice([-1, 1])) * size(rng, 1, largest) for largest in (99, 999))
        yield f"c = {c}, a = {a}", (c, a)


@claim(
    "6a-leak",
    kind="universal",
    verdict="theorem",
    statement=r"**Rounding finds the unstable mode.** The stable line of $\bigl[\begin{smallmatrix}2&c\\0&1/2\end{smallmatrix}\bigr]$ is that of $(-\frac23c,1)$. For whole $c,n\ne0$ with $\lvert cn\rvert<2^{52}$ a start "
    r"$(-\frac23cn,n)$ in double precision is halved exactly in each of the first 1000 steps if 3 divides $cn$; else its first entry is rounded, and the rounding error doubles with "
    r"every step. (Later the halves underflow, and even $(-2,3)$, with $c=1$, leaks: it has norm {value}`underflown:.1g` after 2500 steps.) For $c=n=1$ the rounding error is {value}`leak:.2g`, and the state after 200 steps has norm {value}`after:.1g`.",
    family=stable_lines,
    tolerance=1e-12,
)
def rounding_leaks_into_the_unstable_mode(case: tuple[int, int]) -> Trial:
    c, a = case
    start = (-2 * c * a / 3, float(a))
    leak = Fraction(start[0]) + Fraction(2 * c * a, 3)
    n = 200 if leak else 1000
    state = saddle_orbit(c, start, n)
    left = Fraction(state[0]) + Fraction(2 * c, 3) * Fraction(state[1])
    wrong = abs(left / (2**n * leak) - 1) if leak else abs(left)
    length = math.hypot(*state)
    values = {}
    if (c, a) == (1, 1):
        values = {"leak": abs(float(leak)), "after": length}
    if (c, a) == (1, 3):
        values = {"underflown": math.hypot(*saddle_orbit(c, start, 2500))}
    return Trial(
        max(
            float(wrong),
            abs(state[1] * 2.0**n / a - 1),
            float((leak == 0) != (c * a % 3 == 0)),
            shortfall(values.get("underflown", math.inf), 1.0),
        ),
        {"no start leaks": length} if leak else {"every start leaks": float(length < 1)},
        values,
    )


def saddle_orbit(c: int, start: tuple[float, float], steps: int) -> tuple[float, float]:
    """Return the state of (2, c; 0, ½) after some steps in double precision."""
    x, y = start
    for _ in range(steps):
        x, y = 2 * x + c * y, y / 2
    return x, y


# ---- on the circle


def growth_exponent(W: Tensor, z0: Tensor, zbar: Tensor) -> float:
    """Return the exponent of t with which the gradient's norm grows, from t = 100 to 10 000."""
    times = [100, 316, 1000, 3162, 10000]
    return slope(times, [linear_rnn_gradient(W, z0, zbar, t).norm().item() for t in times])


@claim(
    "6a-boundary",
    kind="limit",
    verdict="holds",
    printed=r"…an eigenvalue with magnitude greater than 1 … $\to\infty$. On the other hand if the largest magnitude of eigenvalues of $A$ is smaller "
    r"than 1, or … $\alpha_iv_i=0$ for all eigenvalues $|\lambda_i|\ge1$ … $\to0$.",
    statement=r"Both are right; what lies between them, a largest magnitude of exactly 1 among the modes that $z_0$ meets, is left open. If the largest of all is 1, then for $z_0$ and $\bar z$ outside a set of measure zero, the "
    r"gradient grows like $t^{2m-1}$, with $m$ the size of the largest Jordan block at an eigenvalue of magnitude 1: linearly if these are simple.",
    tolerance=0.15,
)
def boundary_grows_polynomially(seed: int) -> Trial:
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[int, float]] = {}
    for m, value in product((1, 2, 3), (1.0, -1.0, 0.6 + 0.8j)):
        small = [jordan(-value, m - 1)] if m > 1 else []
        block = torch.block_diag(jordan(complex(value), m), *small, 0.5 * normal(rng, 2, 2) / 2)
        P = torch.linalg.qr(normal(rng, *block.shape)).Q
        starts = normal(rng, 2, len(block)).sign() * tensor(rng.uniform(0.5, 1.5, len(block)))
        exponent = growth_exponent(P @ block @ P.T, *starts @ P.T)
        found[f"block of size {m} at {value}"] = (m, exponent)

    def error(expected: Any) -> float:
        return max(abs(exponent - expected(m)) for m, exponent in found.values())

    worst = max(found, key=lambda name: abs(found[name][1] - 2 * found[name][0] + 1))
    return Trial(
        error(lambda m: 2 * m - 1),
        {
            "it stays bounded": error(lambda m: 0),
            "like tᵐ": error(lambda m: m),
            "like t²ᵐ": error(lambda m: 2 * m),
        },
        {f"exponent_{m}": max(x for k, x in found.values() if k == m) for m in (1, 2, 3)},
        cases=len(found),
        worst=worst,
    )


@counterexample("6a-boundary", "$z_0$ outside a set of measure zero: an eigenvector")
def eigenvector_of_a_block_grows_more_slowly() -> float:
    return abs(
        growth_exponent(jordan(1.0 + 0j, 3), tensor([1.0, 0.0, 0.0]), torch.ones(3).double()) - 5
    )
