"""Claims of Solution 6(c): clipping, how to choose its threshold, and what it cannot do."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.tools import largest, normal, relative, shortfall, size, tensor, whole
from hw2lib.recurrent import clip_by_norm, clip_by_value, rescale_to_norm

SETTLED = 1e-9


class Descent(NamedTuple):
    """Gradient descent on ½(wⁿ − 1)²: n, the start, the learning rate, the threshold if any."""

    n: int
    start: float
    learning_rate: float
    threshold: float = math.inf


def slope_at(n: int, w: float) -> float:
    """Return the derivative of ½(wⁿ − 1)²."""
    return n * w ** (n - 1) * (w**n - 1)


def curvature_at(n: int, w: float) -> float:
    """Return the second derivative of ½(wⁿ − 1)²."""
    return n * ((2 * n - 1) * w ** (2 * n - 2) - (n - 1) * w ** (n - 2))


def path(descent: Descent, steps: int) -> Iterator[float]:
    """Yield the weight from the start on, until it is far outside or has settled at 1."""
    n, w, rate, threshold = descent
    far = max(100.0, 2 * w)
    yield w
    for _ in range(steps):
        w -= rate * min(max(slope_at(n, w), -threshold), threshold)
        yield w
        if abs(w) > far or abs(w - 1) <= SETTLED / 10:
            return


def steep_starts(rng: np.random.Generator) -> Iterator[tuple[str, Descent]]:
    """Yield descents whose first step more than reverses the weight."""
    yield "n = 20, from 1.3, learning rate 0.001", Descent(20, 1.3, 1e-3)
    for n in (1, 2, 3, 40):
        yield f"n = {n}, a little beyond the limit", beyond(n, 1.5, 2.01)
    yield "n = 7, from far", beyond(7, 9.0, 2.5)
    while True:
        n, start = size(rng, 1, 40), 1 + 10 ** rng.uniform(-2, 0.5)
        yield f"n = {n}, from {start:.3g}", beyond(n, start, 2 + 10 ** rng.uniform(-2, 2))


def beyond(n: int, start: float, ratio: float) -> Descent:
    """Return the descent whose first step is so many times the weight."""
    return Descent(n, start, ratio * start / slope_at(n, start))


@claim(
    "6c-sgd",
    kind="universal",
    verdict="sharpened",
    severity=1,
    printed=r"If gradient magnitude is large, since the gradient on a mini-batch is only a stochastic "
    r"estimate of the true gradient over the entire dataset, we are updating the weights by a large "
    r"value in potentially the wrong direction.",
    statement=r"Noise is not needed. The exact gradient of $\frac12(w^n-1)^2$, the loss of a linear RNN "
    r"of one unit over $n$ steps from 1 to the target 1, drives gradient descent to infinity, every step longer than the one "
    r"before, from each start $w>1$ where its first step is longer than $2w$, that is "
    r"$\eta n\,w^{n-2}(w^n-1)>2$. An example is $n=20$, $w=1.3$, $\eta=0.001$. A linear model of "
    r"the loss is trusted far beyond where it holds.",
    corrected="descent along the exact gradient diverges too",
    family=steep_starts,
)
def exact_gradient_diverges_too(descent: Descent) -> Trial:
    weights = np.array([*path(descent, 5000)])
    settles = float(abs(weights[-1] - 1) > SETTLED)
    return Trial(growing(weights), {"the exact gradient leads to the minimum": settles})


def growing(weights: np.ndarray) -> float:
    """Return 0 if weights and steps grow each time, to beyond 100; else 1."""
    steps = np.abs(np.diff(weights))
    larger = all((np.diff(each) > 0).all() for each in (np.abs(weights), steps))
    return float(not (larger and abs(weights[-1]) > 100))


@counterexample("6c-sgd", "a first step longer than $2w$")
def first_step_a_little_shorter() -> float:
    return growing(np.array([*path(beyond(20, 1.3, 1.9), 5000)]))


class Threshold(NamedTuple):
    """A clipped descent, and its learning rate as a share of what is certain to be small enough."""

    descent: Descent
    enough: float  # 2/κ
    with_less: float  # 2/κ of half the threshold
    limit: float  # 2/n²


def with_threshold(n: int, c: float, share: float, clipped_steps: float) -> Threshold:
    """Return a clipped descent that starts so many steps from where clipping ends.

    From -1 to 0 it is the share of the way back to the minimum, where nothing is clipped.
    """
    end = place_of_slope(n, c)
    enough, with_less = (2 / curvature_at(n, w) for w in (end, place_of_slope(n, c / 2)))
    rate = share * enough
    start = end + clipped_steps * (rate * c if clipped_steps > 0 else end - 1)
    return Threshold(Descent(n, start, rate, c), enough, with_less, 2 / n**2)


def place_of_slope(n: int, c: float) -> float:
    """Return the w > 1 at which the slope is c, by bisection."""
    low, high = 1.0, 2.0
    while slope_at(n, high) < c:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if slope_at(n, middle) < c else (low, middle)
    return high


def thresholds(rng: np.random.Generator) -> Iterator[tuple[str, Threshold]]:
    """Yield clipped descents: a convex loss, tiny and large thresholds, near and far starts."""
    yield "n = 20, threshold 1", with_threshold(20, 1.0, 0.9, 50)
    yield "n = 1: a parabola", with_threshold(1, 1.0, 0.9, 50)
    yield "n = 2, large threshold", with_threshold(2, 30.0, 0.99, 3)
    yield "threshold of a thousandth", with_threshold(20, 1e-3, 0.99, 500)
    yield "threshold of a thousand", with_threshold(20, 1e3, 0.99, 5)
    yield "start where clipping ends", with_threshold(5, 1.0, 0.5, 0)
    while True:
        n, c = size(rng, 1, 40), 10 ** rng.uniform(-2, 1.5)
        share, steps = rng.uniform(0.3, 0.99), rng.uniform(0, 100)
        if rng.integers(3) == 0:
            steps = -rng.uniform(0, 1)
        yield f"n = {n}, threshold {c:.2g}", with_threshold(n, c, share, steps)


def distance_at_the_end(descent: Descent, steps: int = 20_000) -> float:
    """Return how far from 1 a descent is at its end."""
    *_, last = path(descent, steps)
    return abs(last - 1)


@claim(
    "6c-threshold",
    kind="universal",
    verdict="theorem",
    statement=r"**How small a threshold.** On the same loss, gradient descent clipped to $c$ arrives at "
    r"$w=1$ from every start $w>1$ if $\eta<2/\kappa_c$, where $\kappa_c\ge n^2$ is the curvature of the loss "
    r"at the $w>1$ where its slope is $c$. The smaller $c$, the nearer $\kappa_c$ to $n^2$; but for $\eta>2/n^2$ "
    r"no $c$ makes it settle there, unless it hits 1 by chance. For $n=20$ and $c=1$: below "
    r"{value}`enough:.4g` it arrives, above $2/400=0.005$ it does not.",
    family=thresholds,
    tolerance=SETTLED,
)
def clipped_descent_arrives(case: Threshold) -> Trial:
    descent, enough, with_less, limit = case
    too_fast = distance_at_the_end(descent._replace(learning_rate=1.05 * limit), 2000)
    named = {"enough": enough} if (descent.n, descent.threshold) == (20, 1.0) else {}
    return Trial(
        max(
            distance_at_the_end(descent),
            shortfall(limit / with_less, 1 - SETTLED),
            shortfall(with_less / enough, 1 - SETTLED),
        ),
        {"it settles as well with $\\eta$ above $2/n^2$": too_fast},
        named,
    )


@counterexample("6c-threshold", "clipped")
def the_same_descent_without_clipping() -> float:
    descent = with_threshold(20, 1.0, 0.9, 50).descent
    return distance_at_the_end(descent._replace(threshold=math.inf))


@counterexample("6c-threshold", "$\\eta<2/\\kappa_c$")
def between_the_two_limits() -> float:
    case = with_threshold(20, 1000.0, 1.0, 5)
    return distance_at_the_end(case.descent._replace(learning_rate=0.99 * case.limit))


class Quartic(NamedTuple):
    """½uᵀQu + Σ aᵢuᵢ⁴/12 at u = w, and a clipped step with ηL = `share` within a radius."""

    Q: Tensor
    a: Tensor
    w: Tensor
    radius: float
    share: float

    def loss(self, w: Tensor) -> float:
        """Return the loss at w."""
        return (w @ self.Q @ w / 2 + (self.a * w**4).sum() / 12).item()

    def gradient(self) -> Tensor:
        """Return the gradient at w."""
        return self.Q @ self.w + self.a * self.w**3 / 3

    def curvature(self) -> float:
        """Return a bound on the largest curvature within the radius of w."""
        quadratic = torch.linalg.eigvalsh(self.Q)[-1].clamp(min=0).item()
        return quadratic + (self.a * (self.w.abs() + self.radius) ** 2).max().item()


def quartics(rng: np.random.Generator) -> Iterator[tuple[str, Quartic]]:
    """Yield losses and clipped steps: one weight, a critical point, saddles, far scales."""
    one = tensor([1.0])
    yield "one weight", Quartic(tensor([[1.0]]), one, tensor([30.0]), 0.5, 1.0)
    yield "at the minimum", Quartic(tensor([[1.0]]), one, tensor([0.0]), 1.0, 1.0)
    yield "a parabola, not clipped: equality", Quartic(tensor([[1.0]]), 0 * one, one, 10.0, 1.5)
    saddle = tensor(np.diag([1.0, -1.0]))
    yield "at a saddle", Quartic(saddle, tensor([1.0, 1.0]), tensor([0.0, 0.0]), 1.0, 1.0)
    yield "near a saddle", Quartic(saddle, tensor([0.0, 0.5]), tensor([0.1, 1e-3]), 2.0, 1.9)
    for scale in (1e-3, 1e3):
        w = scale * normal(rng, 4)
        yield f"scale {scale:g}", Quartic(tensor(np.eye(4)), tensor([1.0] * 4), w, 1.0, 1.0)
    while True:
        p = size(rng, 1, 8)
        Q, a = normal(rng, p, p), normal(rng, p).square() + 0.01
        w, radius = 10 ** rng.uniform(-1, 2) * normal(rng, p), 10 ** rng.uniform(-2, 1)
        yield f"{p} weights, random", Quartic((Q + Q.T) / 2, a, w, radius, rng.uniform(0.05, 1.95))


@claim(
    "6c-step",
    kind="universal",
    verdict="theorem",
    statement=r"**What clipping by norm guarantees.** A step of clipped gradient descent is at most $\eta c$ "
    r"long, whatever the gradient. So the curvature farther away does not matter: if the curvature within $\eta c$ of "
    r"the weights is at most $L$, $0<L<2/\eta$, the loss falls by at least "
    r"$(1-\frac12\eta L)\,\eta\lVert\operatorname{clip}g\rVert\lVert g\rVert$.",
    family=quartics,
    tolerance=1e-12,
)
def clipped_steps_are_short_and_lower_the_loss(case: Quartic) -> Trial:
    g, rate = case.gradient(), case.share / case.curvature()
    step = rate * clip_by_norm(g, case.radius / rate)
    promised = (1 - case.share / 2) * (step.norm() * g.norm()).item()
    scale = max(abs(case.loss(case.w)), promised) or 1.0
    clipped = (rate * g).norm().item() > case.radius
    mutants = {"as without clipping, $\\eta\\lVert g\\rVert$ long": relative(step - rate * g, step)}
    return Trial(
        max(
            shortfall(case.radius, step.norm().item()) / case.radius,
            shortfall(case.loss(case.w) - case.loss(case.w - step), promised) / scale,
        ),
        mutants if clipped else {},
    )


@counterexample("6c-step", "$L<2/\\eta$")
def a_step_over_the_wall() -> float:
    case = Quartic(tensor([[0.0]]), tensor([1.0]), tensor([1.0]), 3.0, 1.0)
    step = clip_by_norm(case.gradient(), 0.3) * 10  # ηc = 3, to the other wall
    return shortfall(case.loss(case.w) - case.loss(case.w - step), 0.0)


FACTORS = (1 / 10, 1.0, 10.0, 100.0)
SEEDS, STARTS = 8, 16


def cliff(w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the loss of plot_07_cliff's one-unit RNN, and its gradient in w and b."""
    x, x_w, x_b = np.full_like(w, 0.5), np.zeros_like(w), np.zeros_like(w)
    for _ in range(50):
        s = 1 / (1 + np.exp(-x))
        ws = w * s
        passed = ws * (1 - s)
        x, x_w, x_b = ws + b, s + passed * x_w, 1 + passed * x_b
    s = 1 / (1 + np.exp(-x))
    change = 2 * (s - 0.7) * s * (1 - s)
    return (s - 0.7) ** 2, change * x_w, change * x_b


def descend_the_cliff(
    w: np.ndarray, b: np.ndarray, threshold: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Return which descents arrive within 300 steps, and the norms of the gradients they met."""
    w, b, _ = np.broadcast_arrays(w, b, threshold)
    norms = []
    with np.errstate(over="ignore"):  # of the exponential, where sig is 0
        for _ in range(300):
            _, g_w, g_b = cliff(w, b)
            norms.append(np.hypot(g_w, g_b))
            rate = 0.5 * np.minimum(1, threshold / np.maximum(norms[-1], 1e-300))
            w, b = w - rate * g_w, b - rate * g_b
        return cliff(w, b)[0] < 0.01, np.array(norms)


@claim(
    "6c-choice",
    kind="measured",
    verdict="measured",
    statement=r"**A high percentile of the norms as the threshold.** On the cliff of one recurrent unit, 300 steps with "
    r"$\eta=\frac12$ from random starts, fewer than {value}`half:.0%` arrive (loss below 0.01) without clipping. With the "
    r"90th percentile of the norms that were met without clipping as $c$, more than {value}`nearly_all:.0%` arrive, and with ten times "
    r"that; with a hundred times that, as good as no clipping, and with a tenth, which is too slow, it is again fewer than {value}`half:.0%`. "
    r"The mean norm moves more, as one gradient on the wall can move it: from one seed's "
    r"{value}`starts` starts to another's it varies by a factor of more than {value}`mean_ratio`, the percentile by one of less than {value}`percentile_ratio:.1f`. "
    r"With the mean as the threshold more than {value}`by_mean:.0%` arrive.",
)
def percentile_of_the_norms_is_a_good_threshold(seed: int) -> Trial:
    w, b = starts_on_the_cliff(seed)
    free, norms = descend_the_cliff(w, b, math.inf)
    percentile, mean = np.percentile(norms, 90, (0, 2)), norms.mean((0, 2))
    thresholds = np.stack([*(factor * percentile for factor in FACTORS), mean])[:, :, None]
    shares = [*descend_the_cliff(w, b, thresholds)[0].mean((1, 2)).tolist(), float(free.mean())]
    tenth, one, ten, hundred, by_mean, unclipped = shares
    spreads = [(each.max() / each.min()).item() for each in (mean, percentile)]
    # zigzags at the wall end elsewhere if sums are rounded otherwise: bounds are quoted, no shares
    bounds = {"half": 0.5, "nearly_all": 0.95, "by_mean": 0.85}
    bounds |= {"mean_ratio": 3, "percentile_ratio": 1.2}
    return Trial(
        max(
            shortfall(min(one, ten), bounds["nearly_all"]),
            shortfall(by_mean, bounds["by_mean"]),
            shortfall(bounds["half"], max(unclipped, hundred, tenth)),
            shortfall(0.05, abs(hundred - unclipped)),
            shortfall(spreads[0], bounds["mean_ratio"]),
            shortfall(bounds["percentile_ratio"], spreads[1]),
        ),
        {
            "a tenth of it does as well": shortfall(tenth, 0.9),
            "a hundred times as much does as well": shortfall(hundred, 0.9),
            "the mean moves as little": shortfall(bounds["percentile_ratio"], spreads[0]),
        },
        {**bounds, "starts": STARTS},
        cases=SEEDS * STARTS * len(shares),
        worst="the share that is farthest from what it should be",
    )


def starts_on_the_cliff(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random starts on both sides of the wall, one row a seed."""
    generators = [np.random.default_rng(each) for each in range(seed, seed + SEEDS)]
    w = np.stack([rng.uniform(4.5, 7.0, STARTS) for rng in generators])
    b = np.stack([rng.uniform(-3.5, -1.8, STARTS) for rng in generators])
    return w, b


class Optimiser:
    """Adam as PyTorch computes it, from weights of zero."""

    def __init__(self, entries: int, beta2: float = 0.999) -> None:
        self.weights, self.mean, self.square = torch.zeros(3, entries, dtype=torch.float64)
        self.beta2, self.taken = beta2, torch.tensor(0.0)

    def step(self, gradient: Tensor) -> Tensor:
        """Take a step with learning rate 1, and return it."""
        before = self.weights.clone()
        adam(
            [self.weights],
            [gradient],
            [self.mean],
            [self.square],
            [],
            [self.taken],
            foreach=False,
            amsgrad=False,
            beta1=0.9,
            beta2=self.beta2,
            lr=1.0,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
        return self.weights - before


EPSILON = 1e-8


def steady_gradients(rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    """Yield gradients over many scales: zero, tiny and large ones."""
    yield "zero", tensor([0.0])
    yield "Adam's ε", tensor([1e-8])
    yield "far below Adam's ε", tensor([1e-15])
    yield "large", tensor([1e6])
    yield "zero beside others", tensor([0.0, 1e-5, -3.0])
    while True:
        n = size(rng, 1, 8)
        yield f"{n} entries, random", normal(rng, n) * 10 ** (4 * normal(rng, n) - 3)


@claim(
    "6c-frozen",
    kind="identity",
    verdict="holds",
    printed=r"… using SGD. … If the gradient magnitude is very small, the weights are essentially frozen and "
    r"training is stalled.",
    statement=r"The step of SGD is $-\eta g$, as small as the gradient. That is so of SGD and not of every method: "
    r"while the gradient is steady, Adam moves each weight by $-\eta\,g/(|g|+\varepsilon)$, nearly $\pm\eta$ as long "
    r"as $|g|$ is far above its $\varepsilon=10^{-8}$.",
    family=steady_gradients,
    tolerance=1e-10,
)
def steps_of_sgd_and_adam(g: Tensor) -> Trial:
    adams, expected = Optimiser(len(g)), -g / (g.abs() + EPSILON)
    steps = torch.stack([adams.step(g) for _ in range(5)])
    plain = torch.zeros_like(g)
    sgd(
        [plain],
        [g],
        [None],
        weight_decay=0.0,
        momentum=0.0,
        lr=1e-3,
        dampening=0.0,
        nesterov=False,
        maximize=False,
    )
    return Trial(
        max(relative_entries(steps - expected, expected), relative_entries(plain + 1e-3 * g, g)),
        {
            "Adam's step is as small as the gradient": relative_entries(steps + g, g),
            "SGD's step does not depend on its size": relative_entries(1e3 * plain - expected, g),
        },
    )


def relative_entries(error: Tensor, scale: Tensor) -> float:
    """Return the largest entry of an error, each relative to its scale; absolute where that is 0."""
    return largest(error / torch.where(scale == 0, torch.ones_like(scale), scale))


@counterexample("6c-frozen", "while the gradient is steady")
def adam_soon_after_a_drop() -> float:
    adams, small = Optimiser(1), tensor([1e-5])
    for g in [tensor([1.0])] * 100 + [small] * 100:
        step = adams.step(g)
    return abs(step.item() + 1)


DROPS = 10.0 ** np.arange(1.0, 5.1, 0.5)


def steps_until_half(beta2: float) -> list[int]:
    """Return how many steps after each drop Adam's step is half of its steady size again."""
    horizon = int(2.5 * math.log(DROPS[-1]) / (1 - beta2))
    k = np.arange(1, horizon)[:, None]
    mean = 1 + (DROPS - 1) * 0.9**k
    square = 1 + (DROPS**2 - 1) * beta2**k
    enough = mean / np.sqrt(square) >= 0.5
    return [int(k[-1, 0] - np.argmin(each[::-1]) + 1) for each in enough.T]


def steps_until_half_by_torch(beta2: float) -> list[int]:
    """Return the same from PyTorch's Adam, which first sees the large gradient for long."""
    adams, large = Optimiser(len(DROPS), beta2), tensor(DROPS)
    warm_up = int(20 / (1 - beta2))
    adams.mean[:], adams.square[:], adams.taken[()] = large, large.square(), float(warm_up)
    horizon = int(2.5 * math.log(DROPS[-1]) / (1 - beta2))
    steps = torch.stack([adams.step(torch.ones_like(large)) for _ in range(horizon)])
    small = steps.abs() < 0.5
    return [int(each.nonzero().max()) + 2 for each in small.T]


class Parts(NamedTuple):
    """A gradient's parts from early and from late times, entry by entry."""

    early: Tensor
    late: Tensor


def parts_of_gradients(rng: np.random.Generator) -> Iterator[tuple[str, Parts]]:
    """Yield sums over times whose early part is small, and in the last entry alone."""
    for index in count():
        p, share = size(rng, 2, 12), 10.0 ** -(index % 9) if index % 9 else 0.9
        late = (1 + normal(rng, p).abs()) * tensor(rng.choice([-1.0, 1.0], p))
        early = share * tensor(rng.uniform(0.5, 1, p)) * tensor(rng.choice([-1.0, 1.0], p))
        late[-1] = 0.0
        yield f"{p} entries, early times {share:.0e} of late ones", Parts(early, late)


@claim(
    "6c-cure",
    kind="universal",
    verdict="sharpened",
    severity=1,
    printed=r"Exploding/vanishing gradients are problematic if we update the weights … using SGD. … If the gradient magnitude is very small, the weights are "
    r"essentially frozen and training is stalled. A common solution to this problem is to modify the gradient $\frac{d\ell}{dw_z}$ before updating the weights.",
    statement=r"Of the length of the update, as the print means it, yes: rescaling mends both. But a gradient that vanishes is a sum over times, and small in its early terms: scaling it to a norm multiplies early and late "
    r"terms by one number, clipping leaves it as it is, and Adam's first step in an entry whose early terms are together smaller than the late ones is the same, "
    r"up to its $\varepsilon$, if all early terms change sign. Such an update does not see what they say.",
    corrected="cures exploding; of a vanishing one only the length of the step",
    family=parts_of_gradients,
    tolerance=1e-12,
)
def no_modification_restores_the_early_terms(parts: Parts) -> Trial:
    early, late = parts
    g, reversed_early = late + early, late - early
    steps = [Optimiser(len(g)).step(each) for each in (g, reversed_early)]
    gap = (steps[0] - steps[1]).abs() - EPSILON * (1 / g.abs() + 1 / reversed_early.abs())
    drowned = early.abs() < late.abs()
    scaled, norm = rescale_to_norm(g, 3.0), g.norm()
    expected = 3 / norm * late + 3 / norm * early
    clipped = clip_by_norm(g, 2 * norm.item())
    return Trial(
        max(
            largest(gap[drowned].clamp(min=0)),
            relative(scaled - expected, expected),
            relative(clipped - g, g),
        ),
        {
            "Adam's step is the same in every entry": largest(gap.clamp(min=0)),
            "clipping lengthens what is short": relative(clipped - 2 * g, g),
        },
    )


@counterexample("6c-cure", "smaller than the late ones")
def early_terms_that_are_larger() -> float:
    one, other = (Optimiser(1).step(tensor([1 + early])) for early in (2.0, -2.0))
    return largest(one - other)


@claim(
    "6c-drop",
    kind="limit",
    verdict="theorem",
    statement=r"After a steady gradient has fallen at once to a $1/R$ of its size (still far above $\varepsilon$), Adam's steps are small "
    r"for a while, until its running square has forgotten the large gradient: for $R\ge10$ and $\beta_2$ near 1 it takes about "
    r"$(2\ln R-\ln3)/(1-\beta_2)$ steps until they are half of their steady size again. With the default $\beta_2=0.999$ and "
    r"$R=10^5$ it takes {value}`long`.",
    tolerance=0.008,
)
def adam_remembers_a_drop(seed: int) -> Trial:
    logarithms = [math.log(drop) for drop in DROPS]
    betas = (0.995, 0.999, 0.9999)
    found = {beta2: steps_until_half(beta2) for beta2 in betas}
    rates = [
        (1 - beta2) * statistics.linear_regression(logarithms, found[beta2]).slope
        for beta2 in betas
    ]

    def error(expected: float) -> float:
        return max(abs(rate / expected - 1) for rate in rates)

    pairs = zip(steps_until_half(0.95), steps_until_half_by_torch(0.95), strict=True)
    off = max(abs(ours / theirs - 1) for ours, theirs in pairs)
    formula = max(
        abs(steps * (1 - beta2) / (2 * logarithm - math.log(3)) - 1)
        for beta2 in betas
        for steps, logarithm in zip(found[beta2], logarithms, strict=True)
    )
    return Trial(
        max(error(2.0), off, formula),
        {"the same whatever the drop": max(rates), "half as long": error(1.0)},
        {"long": found[0.999][-1]},
        cases=len(betas) * len(DROPS),
        worst="the drop that is farthest from the formula",
    )


class Clipping(NamedTuple):
    """A gradient and a threshold."""

    gradient: Tensor
    threshold: float


def gradients(rng: np.random.Generator) -> Iterator[tuple[str, Clipping]]:
    """Yield gradients and thresholds: one entry, zeros, ties, one huge entry, far scales."""
    yield "one entry", Clipping(tensor([-3.0]), 1.0)
    yield "zero", Clipping(tensor([0.0, 0.0]), 1.0)
    yield "exactly as long as the threshold", Clipping(tensor([3.0, 4.0]), 5.0)
    yield "ties", Clipping(tensor([2.0, -2.0, 2.0]), 1.0)
    yield "one huge entry", Clipping(tensor([1e12, 1.0, 1.0, 0.0]), 1.0)
    yield "a matrix", Clipping(normal(rng, 3, 4), 0.1)
    for scale in (1e-100, 1e-6, 1e6, 1e100):
        yield f"scale {scale:g}, threshold 1", Clipping(scale * normal(rng, 5), 1.0)
        yield f"scale {scale:g}, threshold as small", Clipping(scale * normal(rng, 5), scale / 10)
    while True:
        n, c = size(rng, 1, 40), 10 ** rng.uniform(-2, 2)
        heavy = normal(rng, n) * (2 * normal(rng, n)).exp()
        yield f"{n} entries, threshold {c:.2g}", Clipping(heavy, c)


def by_torch(gradient: Tensor, threshold: float) -> Tensor:
    """Return what PyTorch's `clip_grad_norm_` makes of a gradient."""
    w = nn.Parameter(torch.zeros_like(gradient))
    w.grad = gradient.clone()
    nn.utils.clip_grad_norm_([w], threshold)
    return w.grad


@claim(
    "6c-norm",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"we can scale the gradient to have a fixed $\ell_2$ norm $c$",
    statement=r"That keeps the direction and *lengthens* short gradients too, so that vanishing ones do not freeze the weights either; "
    r"of a zero gradient it can make nothing, and near a minimum its steps stay $\eta c$ long. What is used under the name of "
    r"clipping by norm, $g\min(1,c/\lVert g\rVert)$, only shortens; PyTorch's `clip_grad_norm_` divides by "
    r"$\lVert g\rVert+10^{-6}$.",
    corrected="lengthens too; undefined at 0; clipping only shortens",
    family=gradients,
    tolerance=1e-12,
)
def scaling_and_clipping_keep_the_direction(case: Clipping) -> Trial:
    g, c = case
    clipped, norm = clip_by_norm(g, c), g.norm()
    theirs = by_torch(g, c)
    short = norm <= c
    errors = [relative(theirs - g * min(1.0, c / (norm.item() + 1e-6)), theirs)]
    errors.append(largest(clipped - (g if short else c * g / norm)) / c)
    errors.append(refusal(g, c) if norm == 0 else largest(rescale_to_norm(g, c) - c * g / norm) / c)
    mutants = {}
    if short:
        mutants["PyTorch's clipping lengthens too"] = abs(theirs.norm().item() / c - 1)
        if norm > 0:
            scaled = rescale_to_norm(g, c)
            mutants["scaling leaves short ones as they are"] = largest(scaled - g) / c
    else:
        mutants["PyTorch divides by the norm alone"] = largest(theirs - clipped) / c
    return Trial(max(errors), mutants)


def refusal(gradient: Tensor, threshold: float) -> float:
    """Return 0 if scaling refuses a gradient, 1 if it does not."""
    try:
        rescale_to_norm(gradient, threshold)
    except ValueError:
        return 0.0
    return 1.0


def rotations(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Clipping, Tensor]]]:
    """Yield gradients, long enough to be clipped, with orthogonal matrices."""
    yield "one entry, its sign", (Clipping(tensor([3.0]), 1.0), tensor([[-1.0]]))
    turn = tensor([[0.6, -0.8], [0.8, 0.6]])
    yield "a turn", (Clipping(tensor([3.0, 4.0]), 1.0), turn)
    yield "zero", (Clipping(tensor([0.0, 0.0]), 1.0), turn)
    yield "a permutation", (Clipping(tensor([3.0, 4.0]), 1.0), tensor([[0.0, 1.0], [1.0, 0.0]]))
    while True:
        n = size(rng, 2, 9)
        g, Q = normal(rng, n), torch.linalg.qr(normal(rng, n, n)).Q
        c = rng.uniform(0.05, 0.5) * largest(g)
        yield f"{n} entries, random", (Clipping(g, c), Q)


@claim(
    "6c-rotation",
    kind="identity",
    verdict="theorem",
    statement=r"Clipping by norm does not depend on the choice of orthonormal coordinates: it commutes with every orthogonal "
    r"$Q$, $\operatorname{clip}(Qg)=Q\operatorname{clip}(g)$. Clipping by value does not, for two entries or more.",
    family=rotations,
    tolerance=1e-13,
)
def clipping_by_norm_commutes_with_rotations(case: tuple[Clipping, Tensor]) -> Trial:
    (g, c), Q = case

    def error(by_value: bool) -> float:
        clip = clip_by_value if by_value else clip_by_norm
        return largest(clip(Q @ g, c) - Q @ clip(g, c)) / c

    return Trial(error(False), {"clipping by value does as well": error(True)})


@counterexample("6c-rotation", "orthogonal")
def stretched_coordinates() -> float:
    g, A = tensor([3.0, 4.0]), tensor([[2.0, 0.0], [0.0, 1.0]])
    return largest(clip_by_norm(A @ g, 1.0) - A @ clip_by_norm(g, 1.0))


def opposed(rng: np.random.Generator) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield numbers of small gradients and thresholds."""
    for k in (2, 3, 10, 100):
        for c in (1, 4):
            yield f"{k} gradients of −{c}, one of {2 * k * c}", (k, c)


@claim(
    "6c-biased",
    kind="existence",
    verdict="theorem",
    statement=r"The mean of clipped mini-batch gradients can point against the mean gradient: "
    r"$N\ge2$ gradients $-c$ and one of $2Nc$ have a mean above 0, but clipped to $c$ a mean below 0.",
    family=opposed,
    exact=True,
)
def clipping_can_reverse_the_mean(case: tuple[int, int]) -> Trial:
    k, c = case
    batch = [tensor([-float(c)])] * k + [tensor([2.0 * k * c])]
    clipped = [clip_by_norm(g, c) for g in batch]
    mean, clipped_mean = (sum(g.item() for g in each) for each in (batch, clipped))
    return Trial(
        float(not mean > 0 > clipped_mean),
        {"clipping keeps the direction of the mean": float(mean * clipped_mean <= 0)},
    )


def whole_gradients(rng: np.random.Generator) -> Iterator[tuple[str, Clipping]]:
    """Yield gradients of whole numbers, not zero: one entry, ties, zeros, one huge entry."""
    yield "one entry", Clipping(tensor([-7.0]), 2)
    yield "no entry above the threshold", Clipping(tensor([1.0, -2.0]), 3)
    yield "ties above the threshold", Clipping(tensor([4.0, -4.0, 4.0]), 1)
    yield "ties at the threshold", Clipping(tensor([2.0, 2.0]), 2)
    yield "one entry beside zeros", Clipping(tensor([0.0, 9.0, 0.0]), 1)
    yield "one huge entry", Clipping(tensor([1e15, 1.0, 1.0, -1.0]), 1)
    yield "a huge entry beside zeros and others", Clipping(tensor([1e15, 0.0, 3.0, -1.0]), 3)
    for n in count(2):
        entries = (2 * normal(rng, 2 + n % 39)).exp().mul(3).ceil() * whole(
            rng, 2 + n % 39, largest=1
        )
        entries[0] = entries[0] or 5.0
        yield f"{len(entries)} whole numbers", Clipping(entries, size(rng, 1, 9))


def products(g: list[int], h: list[int]) -> tuple[int, int]:
    """Return (g·h)² and ‖g‖²‖h‖², as whole numbers of any size."""
    inner = sum(x * y for x, y in zip(g, h, strict=True))
    return inner**2, sum(x * x for x in g) * sum(y * y for y in h)


def as_whole(g: Tensor) -> list[int]:
    """Return a tensor's whole numbers."""
    return [int(entry) for entry in g.tolist()]


@claim(
    "6c-clip",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"clip various entries of the gradient vector to lie between $[-c,c]$ for some constant $c$",
    statement=r"That changes the direction of a gradient (claim 6c-angle says by how much): clipping turns $g\ne0$ exactly if an entry is "
    r"larger than $c$ in magnitude and the entries that are not zero are not all of one magnitude. It never lengthens: a gradient that "
    r"vanishes stays as it is.",
    corrected="changes the direction; does nothing against vanishing",
    family=whole_gradients,
    exact=True,
)
def clipping_by_value_turns_the_gradient(case: Clipping) -> Trial:
    g, c = as_whole(case.gradient), int(case.threshold)
    squared, bound = products(g, as_whole(clip_by_value(case.gradient, c)))
    turned = squared < bound
    sizes = {abs(entry) for entry in g} - {0}
    vanishing = case.gradient / max(sizes) * c / 1024
    kept = clip_by_value(vanishing, c)
    return Trial(
        max(
            float(turned != (max(sizes) > c and len(sizes) > 1)),
            float(not torch.equal(kept, vanishing)),
        ),
        {"the direction stays": float(turned), "short ones grow": float(kept.norm() < c)},
    )


@claim(
    "6c-angle",
    kind="universal",
    verdict="theorem",
    statement=r"**Angle after clipping.** Let $m$ entries of $g\in\mathbb R^p$ be different from zero, $m\ge1$. For every "
    r"bound $c>0$, $\cos\angle(g,\operatorname{clip}_cg)\ge1/\sqrt m\ge1/\sqrt p$. For $m\ge2$ it is larger than $1/\sqrt m$, but "
    r"comes as near as one likes: one entry $M\ge mc$ beside $m-1$ of size $c$ has $1<m\cos^2\angle\le1+3mc/M$.",
    family=whole_gradients,
    exact=True,
)
def angle_after_clipping_is_bounded(case: Clipping) -> Trial:
    g, c = as_whole(case.gradient), int(case.threshold)
    m = sum(entry != 0 for entry in g)
    squared, bound = products(g, as_whole(clip_by_value(case.gradient, c)))
    spikes = {Fraction(1, k): spike_ratio(m, c, k * m * c) for k in (1, 10, 10**6)}  # mc/M: ratio
    ratio = spikes[Fraction(1, 10**6)]
    mutants = {"at least $1.01/\\sqrt m$": float(ratio < Fraction(101, 100) ** 2)}
    if m > 1:
        mutants["the bound is attained"] = float(ratio > 1)
    if m < len(g):
        mutants["it comes near $1/\\sqrt p$ in spite of zeros"] = float(ratio * len(g) > 1.01 * m)
    return Trial(
        float(
            not m * squared >= bound
            or (m > 1 and m * squared == bound)
            or any((m > 1 and each <= 1) or each > 1 + 3 * share for share, each in spikes.items())
        ),
        mutants,
    )


def spike_ratio(m: int, c: int, M: int) -> Fraction:
    """Return m cos² of the angle by which one entry M beside m − 1 entries c is turned."""
    spike = [M] + [c] * (m - 1)
    clipped = as_whole(clip_by_value(tensor([float(entry) for entry in spike]), c))
    inner, lengths = products(spike, clipped)
    return Fraction(m * inner, lengths)


@counterexample("6c-angle", "entries different from zero, instead of entries above $c$")
def counting_the_entries_that_are_clipped() -> float:
    squared, bound = products([10**6, 1, 1, 1], [1, 1, 1, 1])
    return float(squared < bound)
