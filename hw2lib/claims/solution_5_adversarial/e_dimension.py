"""Claims of Solution 5: noise against an adversary, and what dimension has to do with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_5_adversarial.c_first_order import corners, whole_gradients
from hw2lib.claims.solution_5_adversarial.shared import (
    COUNT,
    LARGE,
    SMALL,
    gradients,
    seen,
    seen_at_random,
    validation,
    whom,
)
from hw2lib.claims.tools import largest, shortfall, size, spread, tensor, whole

# ---- random signs


@claim(
    "5-random",
    kind="identity",
    verdict="theorem",
    statement=r"For random signs $r$, independent and fair, the first-order change $\varepsilon\,r^\top g$ has mean 0 "
    r"and standard deviation $\varepsilon\|g\|_2$; the signed gradient's is $\varepsilon\|g\|_1$. If $g\ne0$ their ratio has "
    r"$1\le\|g\|_1/\|g\|_2\le\sqrt n$: the left side is attained if and only if one pixel alone counts, the right "
    r"side if and only if all count alike. (No pixel is stopped by its bounds.)",
    family=whole_gradients,
    exact=True,
)
def random_signs_change_by_the_two_norm(g: Tensor) -> Trial:
    flat = g.flatten()
    changes = corners(len(flat)) @ flat
    mean, variance = changes.sum(), changes.square().sum() / len(changes)
    square, n = flat.abs().sum() ** 2, len(flat)
    norm = flat.square().sum()
    one, alike = int(flat.count_nonzero()) == 1, len(flat.abs().unique()) == 1
    attained = [bool(square == norm) == one, bool(square == n * norm) == alike] if norm else [True]
    mutants = {}
    if flat.count_nonzero() > 1:
        mutants = {
            "the ℓ1 norm": abs((variance - square).item()),
            "the ℓ∞ norm": abs((variance - largest(flat) ** 2).item()),
        }
        if not alike:
            mutants["√n at every gradient"] = abs((square - n * norm).item())
    return Trial(
        max(
            abs(mean.item()),
            abs((variance - norm).item()),
            shortfall(square.item(), norm.item()),
            shortfall((n * norm).item(), square.item()),
            float(not all(attained)),
        ),
        mutants,
    )


@counterexample("5-random", "fair")
def mostly_up() -> float:
    """Each sign is 1 three times in four, independently: the mean."""
    return abs((tensor([3.0, 4.0]) * (0.75 - 0.25)).sum().item())


@counterexample("5-random", "independent")
def all_signs_alike() -> float:
    g = tensor([3.0, 4.0])
    return abs((tensor([g.sum() ** 2, g.sum() ** 2]).mean() - g.square().sum()).item())


class Clipped(NamedTuple):
    """A gradient, an image, ε and the greatest value of a pixel, all whole numbers."""

    gradient: Tensor
    image: Tensor
    eps: int
    top: int


def clipped_cases(rng: np.random.Generator) -> Iterator[tuple[str, Clipped]]:
    """Yield images at their bounds, black and white, far from them, and then random ones."""
    zeros, ones = tensor(np.zeros(4)), tensor(np.ones(4))
    g = tensor([2.0, -3.0, 1.0, 4.0])
    yield "one pixel, black", Clipped(tensor([5.0]), tensor([0.0]), 2, 16)
    yield "black", Clipped(g, zeros, 3, 16)
    yield "white", Clipped(g, 16 * ones, 3, 16)
    yield "grey, out of reach of the bounds", Clipped(g, 8 * ones, 3, 16)
    yield "grey, just at them", Clipped(g, 3 * ones, 3, 6)
    yield "a step larger than the range", Clipped(g, tensor([0.0, 1.0, 2.0, 3.0]), 9, 3)
    yield "no gradient", Clipped(zeros, ones, 1, 16)
    while True:
        n, top = size(rng, 1, 9), size(rng, 2, 16)
        image = tensor(rng.integers(0, top, n, endpoint=True))
        yield (
            f"{n} pixels from 0 to {top}",
            Clipped(whole(rng, n, largest=9), image, size(rng, 1, top), top),
        )


@claim(
    "5-clipped-noise",
    kind="identity",
    verdict="theorem",
    statement=r"Cut off at the bounds of the pixels, $0\le x_i\le1$, random signs, independent and fair, change pixel $i$ by $u_i=\min(\varepsilon,1-x_i)$ or by "
    r"$-v_i=-\min(\varepsilon,x_i)$. The first-order change then has mean $\frac12\sum_ig_i(u_i-v_i)$, which is not 0 in general, "
    r"and standard deviation $\frac12\sqrt{\sum_ig_i^2(u_i+v_i)^2}\le\varepsilon\|g\|_2$.",
    family=clipped_cases,
    exact=True,
)
def clipped_random_signs_have_a_mean(case: Clipped) -> Trial:
    g, x, eps, top = case
    changes = ((x + eps * corners(len(g))).clamp(0, top) - x) @ g
    up, down = (top - x).clamp(max=eps), x.clamp(max=eps)
    total, count = changes.sum(), len(changes)
    mean = (g * (up - down)).sum()  # twice it
    square = (g * (up + down)).square().sum()  # four times the variance
    spread_out = (2 * changes * count - 2 * total).square().sum() / count**3

    def error(mean: Tensor, square: Tensor) -> float:
        return max(abs((2 * total - count * mean).item()), abs((spread_out - square).item()))

    free = 4 * eps**2 * g.square().sum()
    mutants = {}
    if (g * (up - down)).any():
        mutants["mean 0"] = error(0 * mean, square)
    if (g * (2 * eps - up - down)).any():
        mutants["the spread without bounds"] = error(mean, free)
    return Trial(max(error(mean, square), shortfall(free.item(), square.item())), mutants)


@claim(
    "5-noise",
    kind="measured",
    verdict="measured",
    statement=r"On the digits random signs of $\varepsilon=8/255$ multiply the mean loss of eight networks by "
    r"{value}`ratio_8:.3g` (from {value}`ratio_8_least:.3g` to {value}`ratio_8_most:.3g`), of $32/255$ by {value}`ratio_32:.2f` "
    r"(from {value}`ratio_32_least:.2f` to {value}`ratio_32_most:.2f`). The mean first-order change of the clipped "
    r"signs need not cancel: at $8/255$ it is {value}`first_8:.1%` of the clean loss (from {value}`first_8_least:.2%` to {value}`first_8_most:.2%`), at "
    r"$32/255$ {value}`first_32:.1%` (from {value}`first_32_least:.1%` to {value}`first_32_most:.1%`), there on average less than half of the rise: the rest is of second order and beyond, "
    r"or chance, for each network meets one draw of the signs.",
)
def noise_has_a_first_order_at_the_bounds(seed: int) -> Trial:
    images = validation()[0].flatten(1).view(COUNT, -1, 64).double()
    gradient, clean = gradients(seed).double(), seen(seed).mean
    values: dict[str, float] = {}
    rises, firsts = [], []
    for name, eps in (("8", SMALL), ("32", LARGE)):
        rise = seen_at_random(seed, eps).mean / clean - 1
        up, down = (1 - images).clamp(max=eps), images.clamp(max=eps)
        first = (gradient * (up - down)).sum(2).mean(1) / 2 / clean
        values |= spread(f"ratio_{name}", (1 + rise).tolist())
        values |= spread(f"first_{name}", first.tolist())
        rises.append(rise)
        firsts.append(first)

    def error(rises: list[Tensor], firsts: list[Tensor]) -> float:
        """By how much noise does more than stated, or its first order less or more."""
        small, large = rises
        return max(
            shortfall(0.25, small.abs().max().item()),
            shortfall(large.min().item(), 0.05),
            shortfall(2.0, large.max().item()),
            shortfall(firsts[0].abs().max().item(), 0.005),
            shortfall(0.5, (firsts[1].mean() / large.mean()).abs().item()),
        )

    adversary = [seen(seed, eps).mean / clean - 1 for eps in (SMALL, LARGE)]
    return Trial(
        error(rises, firsts),
        {
            "the first order cancels": error(rises, [0 * first for first in firsts]),
            "as much as the adversary": error(adversary, firsts),
        },
        values,
        cases=COUNT,
        worst=whom(1 + rises[0], rises[0].abs(), "ratio at 8/255"),
    )


# ---- more pixels


class Enlarged(NamedTuple):
    """Weights of whole numbers, k, and numbers whose sum over every block of k×k is 0."""

    weights: Tensor
    k: int
    other: Tensor


def enlarge(x: Tensor, k: int) -> Tensor:
    """Return an image with every pixel repeated k×k times."""
    return x.repeat_interleave(k, -1).repeat_interleave(k, -2)


def block_sums(x: Tensor, k: int) -> Tensor:
    """Return the sum of every block of k×k pixels."""
    return x.unflatten(1, (-1, k)).unflatten(0, (-1, k)).sum((1, 3))


def balanced(rng: np.random.Generator, height: int, width: int, k: int) -> Tensor:
    """Return whole numbers whose sum over every block of k×k is 0."""
    numbers = whole(rng, k * height, k * width)
    numbers[::k, ::k] -= block_sums(numbers, k)
    return numbers


def enlargements(rng: np.random.Generator) -> Iterator[tuple[str, Enlarged]]:
    """Yield one weight, weights that are zero, no enlargement, no rival, then random cases."""
    one, w = tensor([[3.0]]), tensor([[1.0, -2.0], [0.0, 4.0]])
    yield "one pixel", Enlarged(one, 2, balanced(rng, 1, 1, 2))
    yield "no weight", Enlarged(0 * w, 3, balanced(rng, 2, 2, 3))
    yield "k = 1", Enlarged(w, 1, 0 * w)
    yield "the same weights again", Enlarged(w, 2, 0 * enlarge(w, 2))
    concentrated = 0 * enlarge(w, 2)
    concentrated[::2, ::2] = 4 * w
    yield "all weight on one copy", Enlarged(w, 2, concentrated - enlarge(w, 2))
    while True:
        height, width, k = size(rng, 1, 4), size(rng, 1, 4), size(rng, 2, 4)
        weights = whole(rng, height, width, largest=5)
        yield f"{height}×{width}, k = {k}", Enlarged(weights, k, balanced(rng, height, width, k))


@claim(
    "5-dimension",
    kind="universal",
    verdict="theorem",
    statement=r"Show a linear classifier every image enlarged, each pixel repeated $q\times q$ times. Among the "
    r"weights $w'$ that give all images the same scores as $w$, the one of least $\ell_2$ norm has each weight "
    r"divided by $q^2$: $\|w'\|_1=\|w\|_1$ and $\|w'\|_2=\|w\|_2/q$. With $q^2$ times as many inputs it is as "
    r"vulnerable as before, and random signs do $q$ times less. None of the others is less vulnerable: $\|w'\|_1\ge\|w\|_1$. "
    r"(The bounds of the pixels are left aside.)",
    family=enlargements,
    exact=True,
)
def more_pixels_alone_do_no_harm(case: Enlarged) -> Trial:
    w, k, other = case
    # k² times every weight of the large image, so that all numbers are whole
    least = enlarge(w, k)
    rival = least + other
    basis = torch.eye(w.numel(), dtype=w.dtype).view(-1, *w.shape)  # enough for every image
    scores = k**2 * w.flatten()

    def same_scores(weights: Tensor) -> float:
        return largest(torch.stack([(enlarge(x, k) * weights).sum() for x in basis]) - scores)

    one, two = w.abs().sum().item(), w.square().sum().item()

    def error(weights: Tensor) -> float:
        """How far weights, times k², are from the norms of the theorem."""
        return max(
            abs(weights.abs().sum().item() - k**2 * one),
            abs(weights.square().sum().item() - k**2 * two),
        )

    mutants = {}
    if k > 1 and w.any():
        mutants = {
            "the worst case grows with the pixels": abs(least.abs().sum().item() - k**4 * one),
            "random signs do as before": abs(least.square().sum().item() - k**4 * two),
        }
        if other.any():
            mutants["every w′ with the same scores"] = error(rival)
    return Trial(
        max(
            same_scores(least),
            same_scores(rival),
            error(least),
            shortfall(rival.square().sum().item(), least.square().sum().item()),
            shortfall(rival.abs().sum().item(), least.abs().sum().item()),
        ),
        mutants,
    )


@counterexample("5-dimension", "all images")
def fewer_images_than_pixels() -> float:
    w, x = tensor([[1.0, 1.0]]), tensor([[1.0, 0.0]])
    smaller = enlarge(tensor([[1.0, 0.0]]), 2)  # the same score on x alone
    assert (enlarge(x, 2) * smaller).sum() == 4 * (x * w).sum()
    return shortfall(smaller.abs().sum().item(), 4 * w.abs().sum().item())


@counterexample("5-dimension", "least norm")
def all_weight_on_one_copy() -> float:
    w, concentrated = tensor([[1.0]]), tensor([[4.0, 0.0], [0.0, 0.0]])
    return abs((concentrated.square().sum() - 4 * w.square().sum()).item())
