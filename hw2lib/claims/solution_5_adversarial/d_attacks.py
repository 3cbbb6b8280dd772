"""Claims of Solution 5: attacks, how good they are, and what can be done against them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from hw2lib.adversarial import (
    random_sign_perturbation,
    signed_gradient_attack,
    worst_linear_margins,
)
from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_5_adversarial.c_first_order import corners
from hw2lib.claims.solution_5_adversarial.shared import (
    COUNT,
    LARGE,
    SMALL,
    attack,
    attacked,
    family,
    layered,
    look,
    seen,
    seen_at_random,
    two_layers,
    validation,
    whom,
)
from hw2lib.claims.tools import eager, largest, shortfall, size, spread, tensor, whole
from hw2lib.datasets import digits_data

# ---- one step


@claim(
    "5-attack",
    kind="measured",
    verdict="measured",
    statement=r"One signed step of $\varepsilon=8/255$ multiplies the mean loss of eight networks on the digits by "
    r"{value}`ratio:.1f` (from {value}`ratio_least:.1f` to {value}`ratio_most:.1f`); a step against the gradient "
    r"by {value}`down:.2f`, and signs at random, of the same size, multiply it by {value}`noise:.2f` (from {value}`noise_least:.2f` to {value}`noise_most:.2f`). "
    r"Errors rise in each, in the median from {value}`clean:.1%` to {value}`wrong:.1%`.",
)
def one_step_raises_the_loss(seed: int) -> Trial:
    clean, attacked = seen(seed), seen(seed, SMALL)
    up, down, noise = (
        found.mean / clean.mean
        for found in (attacked, seen(seed, SMALL, 1, True), seen_at_random(seed, SMALL))
    )
    more = (attacked.error - clean.error).min().item()

    def error(up: Tensor, noise: Tensor, down: Tensor) -> float:
        """By how much a network misses 1.4 times, a change of a quarter by noise, or a fall."""
        return max(
            shortfall(up.min().item(), 1.4),
            shortfall(0.25, (noise - 1).abs().max().item()),
            shortfall(0.9, down.max().item()),
        )

    return Trial(
        max(error(up, noise, down), shortfall(more, 0.01)),
        {
            "signs at random": error(noise, noise, down),
            "down instead of up": error(down, noise, down),
            "noise does as much": error(up, up, down),
        },
        spread("ratio", up.tolist())
        | spread("noise", noise.tolist())
        | spread("down", down.tolist())
        | spread("clean", clean.error.tolist())
        | spread("wrong", attacked.error.tolist())
        | spread("right", (1 - clean.error).tolist())
        | spread("left", (1 - attacked.error).tolist()),
        cases=COUNT,
        worst=whom(up, -up, "ratio"),
    )


@claim(
    "5-five-steps",
    kind="measured",
    verdict="measured",
    statement=r"On 100 digits one signed step of $\varepsilon=8/255$ raises the mean loss of eight networks from {value}`clean:.2f` nats "
    r"to {value}`one:.2f` (medians), five such steps to {value}`five:.1f` (from {value}`five_least:.1f` to {value}`five_most:.1f`). If no pixel may move "
    r"by more than $\varepsilon$ in all, five reach {value}`projected:.2f` (from {value}`projected_least:.2f` to {value}`projected_most:.2f`), and the "
    r"first makes {value}`share:.0%` of the rise (at least {value}`share_least:.0%`).",
)
def the_first_projected_step_does_most(seed: int) -> Trial:
    model = family(seed)
    images, labels = (
        each.unflatten(0, (COUNT, -1))[:, :100].flatten(0, 1) for each in validation()
    )

    def mean(steps: int, project: bool = True) -> Tensor:
        """Return each network's mean loss after so many steps."""
        after = attack(model, images, labels, eps=SMALL, steps=steps, project=project)
        return look(model, after, labels).mean

    clean, one, projected = look(model, images, labels).mean, mean(1), mean(5)
    five = mean(5, project=False)

    def error(projected: Tensor, five: Tensor) -> float:
        """By how much the first step makes less than 0.6 of the rise, or five less than 8 times it."""
        return max(
            shortfall(((one - clean) / (projected - clean)).min().item(), 0.6),
            shortfall((projected - one).min().item(), 0.0),
            shortfall(((five - clean) / (one - clean)).min().item(), 8.0),
        )

    share = (one - clean) / (projected - clean)
    return Trial(
        error(projected, five),
        {
            "projection changes nothing": error(five, five),
            "five projected steps do as much": error(projected, projected),
            "the first step does nothing more": error(clean, five),
        },
        spread("clean", clean.tolist())
        | spread("one", one.tolist())
        | spread("five", five.tolist())
        | spread("projected", projected.tolist())
        | spread("share", share.tolist()),
        cases=COUNT,
        worst=whom(share, -share, "share"),
    )


def wilson(wrong: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ends of the 95 % confidence intervals (Wilson's) of shares, one row a network."""
    count, z = wrong.shape[1], 1.959963984540054
    share = wrong.double().mean(1)
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = (share * (1 - share) / count + (z / (2 * count)) ** 2).sqrt() * z / (1 + z**2 / count)
    return middle - reach, middle + reach


@claim(
    "5-accuracy",
    kind="measured",
    verdict="measured",
    statement=r"At $\varepsilon=32/255$ one signed step raises the error of each of eight networks far beyond doubt, from a median of "
    r"{value}`clean:.1%` to {value}`wrong:.0%` (from {value}`wrong_least:.0%` to {value}`wrong_most:.0%`): the 95 % confidence "
    r"intervals, clean and attacked, do not meet in any. Five projected steps of $\varepsilon/2$ reach {value}`five:.0%` "
    r"(from {value}`five_least:.0%` to {value}`five_most:.0%`), signs at random of the same size {value}`noise:.1%` (up to {value}`noise_most:.1%`).",
)
def one_step_lowers_the_accuracy(seed: int) -> Trial:
    clean, one = seen(seed), seen(seed, LARGE)
    five, noise = seen(seed, LARGE, 5), seen_at_random(seed, LARGE)
    top = wilson(clean.wrong)[1]

    def error(one: Tensor, five: Tensor, noise: Tensor) -> float:
        """By how much intervals meet, five steps are no better, or noise does too much."""
        return max(
            shortfall((wilson(one)[0] - top).min().item(), 0.1),
            shortfall((five.double().mean(1) - one.double().mean(1)).min().item(), 0.05),
            shortfall(0.15, noise.double().mean(1).max().item()),
        )

    return Trial(
        error(one.wrong, five.wrong, noise.wrong),
        {
            "signs at random": error(noise.wrong, five.wrong, noise.wrong),
            "five steps are one": error(one.wrong, one.wrong, noise.wrong),
        },
        spread("clean", clean.error.tolist())
        | spread("wrong", one.error.tolist())
        | spread("five", five.error.tolist())
        | spread("noise", noise.error.tolist())
        | spread("left", (1 - one.error).tolist()),
        cases=COUNT,
        worst=whom(one.error, -one.error, "error"),
    )


@claim(
    "5-transfer",
    kind="measured",
    verdict="measured",
    statement=r"Images made against one network fool another, trained from another seed: at $\varepsilon=32/255$, in all "
    r"{value}`pairs:d` pairs of eight networks, they raise its error to {value}`times:.1f` times that under random "
    r"signs (at least {value}`times_least:.1f`), though only to {value}`share:.0%` of what its own attack reaches (at most {value}`share_most:.0%`).",
)
def attacks_transfer(seed: int) -> Trial:
    images = attacked(seed, LARGE).unflatten(0, (COUNT, -1))
    labels, networks = validation()[1], family(seed)
    own, noise = seen(seed, LARGE).error, seen_at_random(seed, LARGE).error
    others = torch.stack(
        [look(networks, images.roll(shift, 0).flatten(0, 1), labels).error for shift in range(1, 8)]
    )

    def error(transferred: Tensor) -> float:
        """By how much a pair misses 1.5 times the noise, or exceeds 0.9 of its own attack."""
        return max(
            shortfall((transferred / noise).min().item(), 1.5),
            shortfall(0.9, (transferred / own).max().item()),
        )

    times, share = others / noise, others / own
    return Trial(
        error(others),
        {"signs at random": error(noise), "its own attack": error(own)},
        {"pairs": others.numel()}
        | spread("times", times.flatten().tolist())
        | spread("share", share.flatten().tolist())
        | spread("error_after", others.flatten().tolist())
        | spread("own", own.tolist())
        | spread("noise", noise.tolist()),
        cases=others.numel(),
    )


# ---- projection


class Walk(NamedTuple):
    """A network, images in its precision, and how large a change may be."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    eps: float


def walks(rng: np.random.Generator) -> Iterator[tuple[str, Walk]]:
    """Yield images in both precisions: black, white, tiny pixels, no step, all sizes of it."""
    for number in itertools.count():
        dtype = (torch.float32, torch.float64)[number % 2]
        pixels = size(rng, 4, 9)
        model = layered(rng, [pixels, 5, 3]).to(dtype)
        images = torch.as_tensor(rng.uniform(0, 1, (2, pixels)), dtype=dtype)
        images[0, :4] = torch.tensor([0.0, 1.0, 1e-9, 1 - 1e-7])
        images[1] = torch.as_tensor(10 ** rng.uniform(-12, 0, pixels))
        eps = (0.0, 8 / 255, 32 / 255, 1e-6, 2.0, 1 / 3)[number // 2 % 6]
        if number >= 24:
            eps = float(rng.choice([8 / 255, rng.uniform(0, 0.2)]))
        labels = torch.as_tensor(rng.integers(0, 3, 2))
        yield f"{dtype}, ε = {eps:.3g}".replace("torch.", ""), Walk(model, images, labels, eps)


def excess(perturbed: Tensor, images: Tensor, eps: float) -> float:
    """Return by how much a pixel moves further than ε, in exact arithmetic."""
    pairs = zip(perturbed.flatten().tolist(), images.flatten().tolist(), strict=True)
    return float(
        max(Fraction(0), *(abs(Fraction(a) - Fraction(b)) - Fraction(eps) for a, b in pairs))
    )


@claim(
    "5-projection",
    kind="universal",
    verdict="theorem",
    statement=r"Five steps of $\varepsilon$ with projection stay within $\varepsilon$ of the image and within the bounds of the pixels, "
    r"in single and in double precision and rounding included. Without projection they move pixels by up to "
    r"$5\varepsilon$, and no further: another attack. Adding a clipped perturbation to the image can overshoot by a rounding error.",
    family=walks,
    exact=True,
)
def projection_keeps_the_ball(walk: Walk) -> Trial:
    model, images, labels, eps = walk
    near, far = (
        signed_gradient_attack(model, images, labels, eps=eps, steps=5, project=project)
        for project in (True, False)
    )
    mutants = {"without projection": excess(far, images, eps)} if 0 < eps < 1 else {}
    return Trial(
        max(
            excess(near, images, eps),
            excess(far, images, 5 * eps),
            shortfall(near.min().item(), 0.0),
            shortfall(1.0, near.max().item()),
        ),
        mutants,
    )


@counterexample("5-projection", "projection of the pixels: the change clipped, then added")
def change_clipped_then_added() -> float:
    images = torch.linspace(0.1, 0.9, 100, dtype=torch.float32)
    return excess(images + torch.full_like(images, 5 * SMALL).clamp(max=SMALL), images, SMALL)


# ---- linear classifiers: the worst case


class Linear(NamedTuple):
    """A linear classifier, an image, its label, and ε; all whole numbers, pixels from 0 to top."""

    weight: Tensor
    bias: Tensor
    image: Tensor
    label: int
    eps: float
    top: float


def linear_cases(rng: np.random.Generator) -> Iterator[tuple[str, Linear]]:
    """Yield one pixel, no weights, tied classes, images at their bounds; then random ones."""
    one = tensor([[1.0], [-2.0]])
    yield "one pixel, black", Linear(one, tensor([0.0, 1.0]), tensor([0.0]), 0, 2, 8)
    yield "no weights", Linear(0 * one, tensor([1.0, 0.0]), tensor([3.0]), 0, 2, 8)
    tied = whole(rng, 1, 4).expand(3, 4)
    yield "all classes tied", Linear(tied, tensor([0.0] * 3), tensor([0.0, 8.0, 4.0, 1.0]), 1, 3, 8)
    w = whole(rng, 4, 5)
    yield "black", Linear(w, whole(rng, 4), tensor([0.0] * 5), 2, 3, 8)
    yield "white", Linear(w, whole(rng, 4), tensor([8.0] * 5), 2, 3, 8)
    yield "no change allowed", Linear(w, whole(rng, 4), tensor([0.0, 8.0, 4.0, 1.0, 2.0]), 2, 0, 8)
    yield (
        "ε beyond the range",
        Linear(w, whole(rng, 4), tensor([0.0, 8.0, 4.0, 1.0, 2.0]), 0, 20, 8),
    )
    while True:
        n, classes, top = size(rng, 1, 8), size(rng, 2, 5), size(rng, 2, 16)
        image = tensor(rng.integers(0, top, n, endpoint=True))
        case = Linear(
            whole(rng, classes, n, largest=5),
            whole(rng, classes, largest=5),
            image,
            size(rng, 0, classes - 1),
            size(rng, 1, top // 2),
            top,
        )
        yield f"{classes} classes, {n} pixels", case


@claim(
    "5-worst-case",
    kind="identity",
    verdict="theorem",
    statement=r"For a linear classifier $z=Wx+c$ the worst case is in closed form, for every $\varepsilon$ and with the bounds of the "
    r"pixels: the largest $z_k-z_y$ over all allowed changes is found pixel by pixel, with pixel $i$ as high as it may go where "
    r"$W_{ki}>W_{yi}$ and as low where $W_{ki}<W_{yi}$. Some allowed change makes $y$ lose to another class if and only if one of these "
    r"is positive. For two classes the signed step reaches it.",
    family=linear_cases,
    exact=True,
)
def worst_case_of_a_linear_classifier(case: Linear) -> Trial:
    W, c, x, y, eps, top = case
    box = (x + eps * corners(len(x))).clamp(0, top)  # its corners, with the bounds
    scores = box @ W.T + c
    margins = scores - scores[:, y : y + 1]
    worst = margins.amax(0)
    eps, bounds = float(eps), (0.0, float(top))
    found = worst_linear_margins(W, c, x[None], [y], eps=eps, bounds=bounds)[0]
    wrong = [k for k in range(len(c)) if k != y]
    fooled = bool((margins[:, wrong] > 0).any())

    def error(found: Tensor) -> float:
        return largest(found - worst)

    errors = [error(found), float(bool((found[wrong] > 0).any()) != fooled)]
    if len(c) == 2:
        model = nn.Linear(len(x), 2, dtype=W.dtype)
        with torch.no_grad():
            model.weight.copy_(W / 64)  # so that no probability is exactly 0 or 1
            model.bias.copy_(c / 64)
        stepped = signed_gradient_attack(model, x[None], [y], eps=eps, bounds=bounds)[0]
        reached = W @ stepped + c
        errors.append(error(reached - reached[y]))
    mutants = {}
    differences = W - W[y]
    clean = W @ x + c
    free = clean - clean[y] + eps * differences.abs().sum(1)
    if eps and differences.any():
        mutants["the clean margins"] = error(clean - clean[y])
        mutants[r"$\varepsilon\lVert W_k-W_y\rVert_2$ instead of $\lVert\cdot\rVert_1$"] = error(
            clean - clean[y] + eps * differences.norm(dim=1)
        )
    if (free != worst).any():
        mutants["the bounds left out"] = error(free)
    return Trial(max(errors), mutants)


@counterexample("5-worst-case", "linear")
def a_relu_in_between() -> float:
    """Two pixels and a unit |x₁ − x₂|: its worst corner is not found pixel by pixel."""
    x = tensor([2.0, 2.0])
    box = x + corners(2)
    worst = (box[:, 0] - box[:, 1]).abs().max().item()
    slope = torch.zeros(2, dtype=x.dtype)  # of the unit at the image
    return abs((slope.abs().sum()).item() - worst)


def two_classes(
    rng: np.random.Generator,
) -> Iterator[tuple[str, tuple[Tensor, Tensor, int, float]]]:
    """Yield weights, an image, its class ±1 and ε."""
    yield "one pixel", (tensor([2.0]), tensor([0.4]), 1, 0.3)
    yield "no weights", (tensor([0.0, 0.0]), tensor([0.4, 1.0]), -1, 0.3)
    yield "no step", (tensor([2.0, -1.0]), tensor([0.4, 1.0]), -1, 0.0)
    for scale in (1e-3, 30.0):
        w = tensor(scale * rng.standard_normal(6))
        yield f"scale {scale:g}", (w, tensor(rng.standard_normal(6)), 1, 0.5)
    while True:
        n = size(rng, 1, 9)
        w, x = tensor(rng.standard_normal(n)), tensor(rng.standard_normal(n))
        yield f"{n} pixels", (w, x, int(rng.choice([-1, 1])), float(rng.uniform(0, 2)))


@claim(
    "5-linear-loss",
    kind="identity",
    verdict="theorem",
    statement=r"For two classes $y=\pm1$ with the score $w^\top x$, $\ell=\log(1+e^{-m})$ and the margin $m=yw^\top x$, the largest "
    r"loss over all changes of at most $\varepsilon$ a pixel, no pixel stopped by its bounds, is exactly "
    r"$\log(1+e^{-m+\varepsilon\|w\|_1})$, for every $\varepsilon\ge0$: the signed step is the best of all.",
    family=two_classes,
    tolerance=1e-13,
)
def signed_step_is_the_worst_case_for_two_classes(case: tuple[Tensor, Tensor, int, float]) -> Trial:
    w, x, y, eps = case
    margin = y * (w @ x)
    worst = softplus(-y * ((x + eps * corners(len(x))) @ w)).max().item()

    def error(norm: float) -> float:
        form = softplus(-margin + eps * torch.linalg.vector_norm(w, norm)).item()
        return abs(form - worst) / max(1.0, worst)

    stepped = softplus(-y * (w @ (x - y * eps * w.sign()))).item()
    mutants = {}
    if eps and w.count_nonzero() > 1:
        mutants = {"‖w‖₂": error(2), "‖w‖∞": error(math.inf)}
    return Trial(max(error(1), abs(stepped - worst) / max(1.0, worst)), mutants)


@counterexample("5-linear-loss", "no pixel stopped by its bounds")
def a_black_pixel() -> float:
    w, eps = tensor([1.0, -1.0]), 0.25
    after = (tensor([0.0, 0.5]) + eps * corners(2)).clamp(0, 1)
    worst = softplus(-(after @ w)).max().item()
    return abs(softplus(tensor(0.5 + eps * 2)).item() - worst)


class Heads(nn.Module):
    """Linear classifiers side by side, each with the images that belong to it."""

    def __init__(self, count: int, pixels: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count, classes, pixels, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(count, classes, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (count · N, …), the first N for the first, to logits (count · N, classes)."""
        beside = images.flatten(1).unflatten(0, (len(self.weight), -1))
        return torch.baddbmm(self.bias[:, None], beside, self.weight.mT).flatten(0, 1)


def a_fifth(labels: Tensor, rng: np.random.Generator) -> Tensor:
    """Return a mask that holds a random fifth of all images."""
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[torch.as_tensor(rng.permutation(len(labels))[: len(labels) // 5])] = True
    return chosen


@cache
def logistic_regressions(seed: int) -> tuple[Heads, Tensor, Tensor]:
    """Fit eight logistic regressions, each on its own random split; return what they validate on.

    The objective is scikit-learn's default: the sum of the losses and ‖W‖²/2.
    """
    data, rng = digits_data(), np.random.default_rng([7, seed])
    images = torch.cat([data.training_images, data.validation_images]).double()
    labels = torch.cat([data.training_labels, data.validation_labels])
    masks = [a_fifth(labels, rng) for _ in range(COUNT)]
    model = Heads(COUNT, 64, 10)
    x, y = (torch.cat([part[~mask] for mask in masks]) for part in (images, labels))
    optimizer = eager(torch.optim.LBFGS)(
        model.parameters(), max_iter=60, history_size=20, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        total = cross_entropy(model(x), y, reduction="sum") + model.weight.square().sum() / 2
        total.backward()
        return total

    optimizer.step(objective)
    x, y = (torch.cat([part[mask] for mask in masks]) for part in (images, labels))
    return model.eval(), x, y


@claim(
    "5-linear-classifier",
    kind="measured",
    verdict="measured",
    statement=r"It takes no depth: logistic regressions (sum of the losses and $\|W\|_F^2/2$, 60 steps of L-BFGS) on the same digits, eight random splits, err on {value}`clean:.1%`, under random "
    r"signs of $\varepsilon=32/255$ on {value}`noise:.1%` (up to {value}`noise_most:.1%`), and after one signed step on {value}`one:.0%` (from "
    r"{value}`one_least:.0%` to {value}`one_most:.0%`). In the worst case, which is known exactly, they err on {value}`exact:.0%` (from "
    r"{value}`exact_least:.0%` to {value}`exact_most:.0%`): for ten classes one step of the sign falls short.",
)
def linear_classifiers_are_vulnerable(seed: int) -> Trial:
    model, images, labels = logistic_regressions(seed)
    clean = look(model, images, labels).error
    noise = look(model, random_sign_perturbation(images, eps=LARGE, seed=seed), labels).error
    after = attack(model, images, labels, eps=LARGE)
    one = look(model, after, labels).error
    parts = zip(
        model.weight.detach(),
        model.bias.detach(),
        images.chunk(COUNT),
        labels.chunk(COUNT),
        strict=True,
    )
    exact = torch.stack(
        [
            (worst_linear_margins(W, c, x, y, eps=LARGE) > 0).any(1).double().mean()
            for W, c, x, y in parts
        ]
    )

    def error(noise: Tensor, one: Tensor, exact: Tensor) -> float:
        return max(
            shortfall(0.1, noise.max().item()),
            shortfall(one.min().item(), 0.3),
            shortfall((exact - one).min().item(), 0.01),
        )

    return Trial(
        error(noise, one, exact),
        {
            "signs at random": error(noise, noise, exact),
            "noise taken for it": error(one, one, exact),
            "one step is the worst case": error(noise, one, one),
        },
        spread("clean", clean.tolist())
        | spread("noise", noise.tolist())
        | spread("one", one.tolist())
        | spread("exact", exact.tolist()),
        cases=COUNT,
        worst=whom(one, -one, "error"),
    )


# ---- adversarial training


class Robustness(NamedTuple):
    """Errors of networks: clean, one step, many steps, and the worst of random restarts."""

    clean: Tensor
    one: Tensor
    many: Tensor
    restarts: Tensor


@cache
def robustness(seed: int, eps: float) -> Robustness:
    """Train on images changed by up to ε, and attack at 32/255."""
    model, (images, labels) = two_layers(seed, eps), validation()
    draw = torch.Generator().manual_seed(seed)

    def wrong(**options: object) -> Tensor:
        after = attack(model, images, labels, eps=LARGE, **options)
        return look(model, after, labels).wrong

    many = {"steps": 10, "step_size": LARGE / 4}
    starts = (images + LARGE * (2 * torch.rand(images.shape, generator=draw) - 1) for _ in range(4))
    found = [wrong(**many), *(wrong(**many, start=start) for start in starts)]
    worst = torch.stack(found).any(0)
    shares = (look(model, images, labels).wrong, wrong(), found[0], worst)
    return Robustness(*(each.double().mean(1) for each in shares))


@claim(
    "5-restarts",
    kind="measured",
    verdict="measured",
    statement=r"An attack shows only some of the errors. Eight networks of one hidden layer err at $32/255$ on {value}`one:.1%` "
    r"after one signed step, on {value}`many:.1%` after ten projected steps of $\varepsilon/4$, and on {value}`restarts:.1%` if the "
    r"worst of five such attacks counts, four of them from random points in the box. In every network the second is more than the first; the third, "
    r"never less than the second, is more on average.",
)
def restarts_find_more(seed: int) -> Trial:
    found = robustness(seed, 0.0)

    def error(one: Tensor, many: Tensor, restarts: Tensor) -> float:
        return max(
            shortfall((many - one).min().item(), 0.01),
            shortfall((restarts - many).min().item(), 0.0),
            shortfall((restarts - many).mean().item(), 1e-3),
        )

    _, one, many, restarts = found
    return Trial(
        error(one, many, restarts),
        {
            "one step is as good": error(many, many, restarts),
            "restarts find nothing": error(one, many, many),
        },
        spread("one", one.tolist())
        | spread("many", many.tolist())
        | spread("restarts", restarts.tolist()),
        cases=COUNT,
        worst=whom(restarts, many - restarts, "error"),
    )


@claim(
    "5-adversarial-training",
    kind="measured",
    verdict="measured",
    statement=r"Adversarial training, $\min_\theta\sum\max_{\|d\|_\infty\le\varepsilon}\ell(\theta,x+d)$ with two projected steps for the inner "
    r"maximum at $\varepsilon=32/255$: eight networks of one hidden layer err on {value}`robust_restarts:.0%` (from "
    r"{value}`robust_restarts_least:.0%` to {value}`robust_restarts_most:.0%`) under ten steps with four random restarts, "
    r"instead of {value}`plain_restarts:.0%` (from {value}`plain_restarts_least:.0%` to {value}`plain_restarts_most:.0%`). One signed step alone reaches "
    r"{value}`robust_one:.0%`. The price, on average, is clean accuracy: {value}`robust_clean:.1%` (from {value}`robust_clean_least:.1%` to "
    r"{value}`robust_clean_most:.1%`) of the clean digits are wrong instead of {value}`plain_clean:.1%` (from {value}`plain_clean_least:.1%` to {value}`plain_clean_most:.1%`).",
)
def adversarial_training_helps_and_costs(seed: int) -> Trial:
    plain, robust = robustness(seed, 0.0), robustness(seed, LARGE)

    def error(plain: Robustness, robust: Robustness) -> float:
        return max(
            shortfall((plain.restarts - robust.restarts).min().item(), 0.2),
            shortfall((robust.clean - plain.clean).mean().item(), 0.005),
            shortfall((robust.one / robust.restarts).min().item(), 0.5),
        )

    return Trial(
        error(plain, robust),
        {
            "for nothing": error(plain, robust._replace(clean=plain.clean)),
            "no help": error(robust, robust),
            "masked gradients": error(plain, robust._replace(one=robust.clean)),
        },
        {
            name: value
            for title, found in (("plain", plain), ("robust", robust))
            for kind, errors in found._asdict().items()
            for name, value in spread(f"{title}_{kind}", errors.tolist()).items()
        },
        cases=COUNT,
        worst=whom(robust.restarts, robust.restarts, "error"),
    )
