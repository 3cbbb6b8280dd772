"""Claims of Solution 2, gradient descent on ‖X − AB‖²: where it ends, and how fast."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.families import problems, with_singular_values
from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_2_factorization.shared import (
    after,
    flat,
    footprint,
    imbalance,
    proved_rate,
    size_bound,
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
    critical_point,
    descend,
    loss_gradient,
    low_rank_factors,
    random_factors,
    truncation_error,
)


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
    "2e-imbalance",
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


@counterexample("2e-imbalance", "gradient descent: $A$ first, then $B$ with the new $A$")
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
    R, squares, D, total = (1 - a * b).abs(), a**2 + b**2, (a**2 - b**2).abs(), a + b
    margins = (
        (1 - share * start.rate * squares[:-1]) * R[:-1] - R[1:],
        (D[:-1] - D[1:]) / start.bound,
        1 - squares / start.bound,
        total[1:] / torch.where(total[:-1] == 0, 1e-300, total[:-1]) - 0.5,
        1e-6 - R[-1:],
    )
    return shortfall(torch.cat(margins).min().item(), 0.0)


@claim(
    "2e-scalar",
    kind="universal",
    verdict="theorem",
    statement=r"**Three numbers.** Gradient descent on $(1-ab)^2$ from $(a_0,b_0)$ with $a_0+b_0\ne0$, "
    r"$T^2=(a_0^2-b_0^2)^2+4(1+\lvert1-a_0b_0\rvert)^2$ and any $0<\eta\le1/(2T)$ converges to a minimum. In every step "
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
    "2e-scalar", "$a_0+b_0\\ne0$: from $(\\frac12,-\\frac12)$ descent ends at the saddle"
)
def start_on_the_line_into_the_saddle() -> float:
    return scalar_violation(Pair(0.5, -0.5, 0.1))


@counterexample("2e-scalar", "$\\eta\\le1/(2T)$: with $\\eta=0.55$ from $(0.9,0.8)$ it cycles")
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
    "2e-convergence",
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


@counterexample("2e-convergence", "η small enough for the start: 1/(4σ₁) from a distant one")
def distant_start_with_a_rate_for_the_minimum() -> float:
    X, start = tensor([[1.0]]), Factors(tensor([[3.0]]), tensor([[3.0]]))
    return violation(X, start, 0.25, count=1)[0]


@counterexample("2e-convergence", "almost every start: $A$ and $B$ along $u_2$, $v_2$ only")
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
STEPS = 2000


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


WITHIN = 1e-12  # of the least loss, relatively


@claim(
    "2e-descent",
    kind="measured",
    verdict="measured",
    statement=r"Gradient descent from random starts, small, balanced or with $A$ ten times as large as $B$, comes within "
    r"{value}`within:.1g` of the least loss (relatively) in all of {value}`cases` runs of {value}`steps` steps, with "
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
            shortfall(WITHIN, most),
            shortfall(0.2, float(np.median(drifts))),
            too_small,
            *(shortfall(STEPS, float(np.median(counts))) for counts in needed.values()),
        ),
        {
            "some run is left at a saddle": shortfall(most, 0.1),
            "they all end balanced": shortfall(float(np.median(drifts)), 0.8),
        },
        {kind: float(np.median(counts)) for kind, counts in needed.items()}
        | {"within": WITHIN}
        | spread("drift", drifts)
        | {"steps": STEPS},
        cases=len(runs),
        worst=runs[int(np.argmax(excesses))],
    )


@counterexample("2e-descent", "random: along $u_2$, $v_2$ only")
def start_without_the_largest_singular_vector() -> float:
    return start_that_descends_to_a_saddle()


@counterexample("2e-descent", "η small enough for the start: 1/(4σ₁)")
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
    """Return the relative error of a predicted rate, in the median of the starts.

    A start nearly orthogonal to the leading mode has not come to its long run.
    """
    return abs(statistics.median(found) / predicted - 1)


@claim(
    "2e-rate",
    kind="limit",
    verdict="theorem",
    statement=r"**Local rate.** Let $\sigma_r>\sigma_{r+1}$ (counting $\sigma_{r+1}=0$ for $r=\min(m,n)$; with a tie $X_r$ is not unique or the factors lose rank). From almost every start close to a balanced minimiser the distance of "
    r"$AB$ to $X_r$ changes by the factor $\max(|1-\eta\lambda^+|,|1-4\eta\sigma_1|)$ a step, for $\eta<1/(2\sigma_1)$ in the long run, for larger $\eta$ until it has left, up to an error that "
    r"tends to 0 with the distances from the minimiser at the start and on leaving; here $\lambda^+=2(\sigma_r-\sigma_{r+1})$ ($4\sigma_r$ for $r=m=n$). "
    r"So gradient descent converges there for $\eta<1/(2\sigma_1)$, by $1-\eta\lambda^+$ a step if $\eta\le"
    r"2/(4\sigma_1+\lambda^+)$, and leaves for $\eta>1/(2\sigma_1)$. Measured at four learning rates, from a quarter to 1.05 times "
    r"the largest stable one, the logarithms of the factors agree within {value}`off:.1%`, each in the median of {value}`starts` starts.",
    tolerance=0.003,
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
        {"off": max(errors), "starts": RUNS},
        cases=len(runs) * RUNS,
        worst=runs[int(np.argmax(errors))],
    )


@counterexample("2e-rate", "balanced: at $(2A^*,B^*/2)$")
def rate_at_an_unbalanced_minimiser() -> float:
    rates = rates_near_minimum(np.random.default_rng(0), 6, 8, 3, 0.25, basis=2.0)
    return off(rates.found, rates.predicted)
