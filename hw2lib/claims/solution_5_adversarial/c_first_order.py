"""Claims of Solution 5: why the sign, and how far the linear prediction carries."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hw2lib.adversarial import (
    first_switch,
    input_gradient,
    linear_prediction,
    locally_affine_loss,
    steepest_direction,
)
from hw2lib.claims.families import SCALES
from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_5_adversarial.shared import (
    COUNT,
    LARGE,
    SMALL,
    Problem,
    attacked,
    family,
    gradients,
    layered,
    member,
    parameter,
    relu_networks,
    seen,
    validation,
    whom,
)
from hw2lib.claims.tools import (
    largest,
    medians,
    normal,
    shortfall,
    size,
    spread,
    tensor,
    whole,
)

# ---- the best direction


def corners(n: int) -> Tensor:
    """Return all 2ⁿ sign patterns, one a row."""
    return grid((-1.0, 1.0), n)


def grid(values: Sequence[float], n: int) -> Tensor:
    """Return all vectors of n such values, one a row."""
    return tensor(list(itertools.product(values, repeat=n)))


def whole_gradients(rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    """Yield gradients of whole numbers: zeros, ties, one entry, tensors; then random ones."""
    yield "one pixel", tensor([3.0])
    yield "one pixel, zero", tensor([0.0])
    yield "all zeros", tensor(np.zeros((2, 2)))
    yield "one entry of six", tensor([[0.0, 0.0, -5.0], [0.0, 0.0, 0.0]])
    yield "all tied", tensor([2.0, -2.0, 2.0, 2.0, -2.0])
    yield "ties and zeros", tensor([[1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]])
    yield "far scales", tensor([1.0, -1e2, 1e4, -1e6])
    while True:
        shape = [(size(rng, 1, 9),), (2, size(rng, 1, 4)), (1, 2, size(rng, 1, 4))][size(rng, 0, 2)]
        yield f"{'×'.join(map(str, shape))} whole numbers", whole(rng, *shape, largest=9)


@claim(
    "5-first-order",
    kind="universal",
    verdict="theorem",
    statement=r"$d^\top g\le\sum_i|d_i||g_i|\le\|g\|_1$ if $\|d\|_\infty\le1$, with equality if and only if "
    r"$d_i=\operatorname{sign}(g_i)$ wherever $g_i\ne0$. So of the $2^n$ corners of the cube $2^{n_0}$ are best, "
    r"$n_0$ being the number of zeros in $g$; and $\operatorname{sign}(g)$, which is 0 where $g_i$ is, is as good as they.",
    family=whole_gradients,
    exact=True,
)
def signed_gradient_is_the_maximiser(g: Tensor) -> Trial:
    all_corners, flat = corners(g.numel()), g.flatten()
    inside, sign = grid((-1.0, 0.0, 1.0), min(g.numel(), 6)), flat[:6].sign()  # of the cube
    best, direction = (all_corners @ flat).max(), steepest_direction(g, math.inf)
    attained = inside @ flat[:6] == flat[:6].abs().sum()
    agree = (all_corners @ flat == best).sum().item()

    def characterised(by: Tensor) -> float:
        """Return at how many points of the cube, of six pixels at most, a condition is wrong."""
        return float((attained != by.all(1)).sum())

    def error(d: Tensor) -> float:
        return abs((d.flatten() @ flat - best).item())

    mutants = {}
    if flat.any():
        mutants["flipped sign"] = error(-direction)
        mutants["the gradient, scaled to the boundary"] = error(flat / flat.abs().max())
        mutants["the most sensitive pixel alone"] = error(steepest_direction(g, 1))
        mutants["$d_ig_i\\ge0$ is enough"] = characterised(inside * flat[:6] >= 0)
    return Trial(
        max(
            error(direction),
            abs((best - flat.abs().sum()).item()),
            characterised((inside == sign) | (sign == 0)),
            abs(agree - 2 ** int((flat == 0).sum())),
            largest(direction - g.sign()),
        ),
        mutants,
    )


@counterexample("5-first-order", r"$\|d\|_\infty\le1$: a little more in one pixel")
def a_little_more_in_one_pixel() -> float:
    g = tensor([1.0, -2.0])
    return shortfall(g.abs().sum().item(), (tensor([1.0, -1.5]) @ g).item())


DUAL = {1: math.inf, 2: 2, math.inf: 1}


class Direction(NamedTuple):
    """A gradient, the norm of the ball, and other directions in that ball, flattened, one a row."""

    gradient: Tensor
    norm: float
    rivals: Tensor


def directions(rng: np.random.Generator) -> Iterator[tuple[str, Direction]]:
    """Yield gradients of one to three dimensions, all scales and ties, for the three balls."""
    fixed = [
        ("one pixel", tensor([-2.0])),
        ("one entry of six", tensor([[0.0, 0.0, -5.0], [0.0, 0.0, 0.0]])),
        ("all tied", tensor([[[2.0, -2.0], [2.0, 2.0]]])),
        *((f"scale {scale:g}", scale * normal(rng, 2, 3)) for scale in SCALES),
    ]
    at_random = ((f"{shape}", normal(rng, *shape)) for shape in random_shapes(rng))
    for number, (name, g) in enumerate(itertools.chain(fixed, at_random)):
        for norm in (1, 2, math.inf) if number < len(fixed) else ((1, 2, math.inf)[number % 3],):
            rivals = normal(rng, 50, g.numel())
            rivals[0] = g.flatten()
            rivals = rivals / torch.linalg.vector_norm(rivals, norm, dim=1, keepdim=True)
            yield f"{name}, ℓ{norm}".replace("inf", "∞"), Direction(g, norm, rivals)


def random_shapes(rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    """Yield shapes of one to four dimensions."""
    while True:
        yield tuple(size(rng, 1, 4) for _ in range(size(rng, 1, 4)))


@claim(
    "5-dual-norms",
    kind="universal",
    verdict="theorem",
    statement=r"Which direction is steepest depends on what one calls small. In the $\ell_2$ ball $d^\top g$ is "
    r"largest at $g/\|g\|_2$, $g\ne0$, and is $\|g\|_2$ there; in the $\ell_1$ ball at a pixel with the largest "
    r"$|g_i|$ alone, with its sign, and is $\|g\|_\infty$. Each maximum is the dual norm of $g$.",
    family=directions,
    tolerance=1e-14,
)
def each_ball_has_its_steepest_direction(case: Direction) -> Trial:
    g, norm, rivals = case
    direction = steepest_direction(g, norm)
    flat, most = g.flatten(), torch.linalg.vector_norm(g, DUAL[norm]).item()

    def error(d: Tensor) -> float:
        """How far d is from the maximum, or outside of the ball, or of another shape."""
        beyond = shortfall(1.0, torch.linalg.vector_norm(d, norm).item())
        return max(
            abs((d.flatten() @ flat).item() - most) / most, beyond, float(d.shape != g.shape)
        )

    beaten = shortfall(most, (rivals @ flat).max().item()) / most
    mutants = {"opposite": error(-direction)}
    if g.count_nonzero() > 1:
        mutants["the sign of the gradient in every ball, scaled to fit"] = (
            error(g.sign() / torch.linalg.vector_norm(g.sign(), norm))
            if norm < math.inf
            else error(g / g.abs().max())
        )
    if g.ndim > 1:
        mutants["flattened"] = error(direction.flatten())
    return Trial(max(error(direction), beaten), mutants)


# ---- the linear prediction


class Step(NamedTuple):
    """A step along the gradient's signs to the first switch, and what the theorem says of it."""

    eps: Tensor
    signs: Tensor
    gradient: Tensor
    logits: Tensor
    slopes: Tensor
    clean: Tensor
    after: Tensor
    bound: Tensor
    scale: Tensor


def step(problem: Problem) -> Step:
    """Go as far as ε₀ from every image, or as far as 1 if that is nearer."""
    model, images, labels = problem
    gradient = input_gradient(model, images, labels)
    signs = gradient.sign()
    eps = ((1 - 1e-9) * first_switch(model, images, signs)).clamp(max=1.0)
    with torch.no_grad():
        logits, after = model(images), model(along(images, eps, signs))
    slopes = logit_slopes(model, images, signs)
    return Step(
        eps,
        signs,
        gradient.flatten(1),
        logits,
        slopes,
        image_losses(logits, labels),
        image_losses(after, labels),
        eps**2 / 8 * (slopes.amax(1) - slopes.amin(1)) ** 2,
        1 + logits.abs().amax(1) + after.abs().amax(1),
    )


def along(images: Tensor, eps: Tensor, signs: Tensor) -> Tensor:
    """Return the images moved, each by its own ε."""
    return images + eps.view(-1, *[1] * (images.ndim - 1)) * signs


def image_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each image's loss."""
    return cross_entropy(logits, labels, reduction="none")


def logit_slopes(model: nn.Module, images: Tensor, direction: Tensor) -> Tensor:
    """Return the derivative of every logit along a direction, shape (N, classes)."""
    x = images.clone().requires_grad_()
    logits = model(x)
    slopes = [
        torch.autograd.grad(logits[:, k].sum(), x, retain_graph=True)[0]
        for k in range(logits.shape[1])
    ]
    return torch.stack([(slope * direction).flatten(1).sum(1) for slope in slopes], 1)


def on(model: nn.Module, images: Tensor) -> Tensor:
    """Return which ReLUs are on, one row an image."""
    inputs: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0].flatten(1)))
        for layer in model.modules()
        if isinstance(layer, nn.ReLU)
    ]
    with torch.no_grad():
        logits = model(images)
    for hook in hooks:
        hook.remove()
    return torch.cat([logits[:, :0], *inputs], 1) > 0


def switched(problem: Problem, moved: Tensor) -> Tensor:
    """Return in which images some unit is on that was off, or off that was on."""
    return (on(problem.model, moved) != on(problem.model, problem.images)).any(1)


def outside(rest: Tensor, found: Step) -> float:
    """Return by how much a remainder leaves 0 … bound, against the bound (or round-off)."""
    scale = torch.maximum(found.bound, 1e-8 * found.scale)
    return (torch.maximum(-rest, rest - found.bound) / scale).max().clamp(min=0).item()


@claim(
    "5-dual",
    kind="universal",
    verdict="theorem",
    statement=r"Let a network be affine but for its ReLUs, none of them at its kink at $x$, and let "
    r"$s=\operatorname{sign}\nabla\ell(x)$. On the way $x+ts$ the first unit switches at "
    r"$\varepsilon_0(x)>0$, the least $-a/\dot a$ over the units whose input $a$ moves "
    r"towards 0 (infinity if none does). For $0\le\varepsilon\le\varepsilon_0$ the network is affine, and the loss after the step (not cut off at the bounds "
    r"of the pixels) has $0\le\ell(x+\varepsilon s)-\ell-\varepsilon\|\nabla\ell\|_1\le\frac{\varepsilon^2}8"
    r"\max_{k,j}(s^\top\nabla(z_k-z_j))^2$.",
    family=relu_networks,
    tolerance=1e-6,
)
def linear_prediction_has_a_quadratic_remainder(problem: Problem) -> Trial:
    (model, images, labels), found = problem, step(problem)
    moved = along(images, found.eps, found.signs)
    held = locally_affine_loss(model, images, labels, moved)
    predicted = found.eps * found.gradient.abs().sum(1)
    same = linear_prediction(model, images, labels, eps=1.0) - found.clean
    mutants = {}
    if (found.gradient.count_nonzero(1) > 1).any():
        mutants["ε‖∇ℓ‖₂"] = outside(
            found.after - found.clean - found.eps * found.gradient.norm(dim=1), found
        )
    if found.gradient.any():
        mutants["the loss as it was"] = outside(found.after - found.clean, found)
        mutants["the prediction is too high"] = outside(
            found.clean + predicted - found.after, found
        )
    reached = found.eps < 1

    def late(factor: float) -> float:
        """Return 1 if in an image no unit has switched at a multiple of ε₀."""
        there = along(images, factor * found.eps, found.signs)
        return float((~switched(problem, there))[reached].any())

    if reached.any():
        mutants["switches at half of it"] = late(0.5)
    return Trial(
        max(
            outside(found.after - found.clean - predicted, found),
            largest((found.after - held) / found.scale),
            largest((same - found.gradient.abs().sum(1)) / found.scale),
            late(1 + 1e-6),
            float(switched(problem, moved).any()),
        ),
        mutants,
    )


def saturating(x: float, eps: float, weight: float) -> float:
    """Return the theorem's error for two logits, 0 and x − ReLU(x)·weight, at class 0."""
    layers = layered(np.random.default_rng(0), [1, 2, 2])
    with torch.no_grad():
        parameter(layers[1], "weight").copy_(tensor([[1.0], [1.0]]))
        parameter(layers[1], "bias").copy_(tensor([5.0, 0.0]))  # the first unit is on: x + 5
        parameter(layers[3], "weight").copy_(tensor([[0.0, 0.0], [1.0, -weight]]))
        parameter(layers[3], "bias").copy_(tensor([0.0, -5.0]))
    return outside_after(layers, x, eps)


def outside_after(model: nn.Module, x: float, eps: float) -> float:
    """Return the theorem's error after a step of ε from x, at class 0."""
    images, labels = tensor([[x]]), torch.tensor([0])
    signs = input_gradient(model, images, labels).sign()
    with torch.no_grad():
        after = cross_entropy(model(images + eps * signs), labels).item()
    predicted = linear_prediction(model, images, labels, eps=eps).item()
    slopes = logit_slopes(model, images, signs)
    bound = eps**2 / 8 * (slopes.max() - slopes.min()).item() ** 2
    return max(shortfall(after, predicted), shortfall(bound, after - predicted)) / bound


@counterexample("5-dual", r"$\varepsilon\le\varepsilon_0$: ten times that")
def beyond_the_first_switch() -> float:
    return saturating(x=-0.1, eps=1.0, weight=1.0)


@counterexample("5-dual", "affine but for its ReLUs")
def a_layer_that_saturates() -> float:
    model = nn.Sequential(nn.Linear(1, 2, dtype=torch.float64), nn.Tanh())
    with torch.no_grad():
        parameter(model[0], "weight").copy_(tensor([[0.0], [1.0]]))
        parameter(model[0], "bias").zero_()
    return outside_after(model, 0.1, 2.0)


@counterexample("5-dual", "none of them at its kink")
def at_the_kink() -> float:
    return saturating(x=0.0, eps=1e-3, weight=1.0)


# ---- on the digits


class Ranges(NamedTuple):
    """Shares of the rise of the mean loss, one row a size of the step, one column a network."""

    plain: Tensor
    bounded: Tensor
    sure: Tensor
    held: Tensor
    sure_images: Tensor


STEPS = {"1": 1 / 255, "8": SMALL, "32": LARGE}


@cache
def ranges(seed: int) -> Ranges:
    """Compare the linear prediction with the true rise; at all steps but the least the ReLUs too."""
    (images, labels), networks = validation(), family(seed)
    clean, gradient = seen(seed), gradients(seed).double()
    surely = clean.loss < -math.log(0.99)
    rows: list[list[Tensor]] = []
    held: list[Tensor] = []
    for name, eps in STEPS.items():
        after = attacked(seed, eps)
        rises = (seen(seed, eps).loss - clean.loss).double()
        rise = rises.mean(1)
        change = (after - images).flatten(1).view_as(gradient).double()
        rows.append(
            [
                eps * gradient.abs().sum(2).mean(1) / rise,
                (gradient * change).sum(2).mean(1) / rise,
                (rises * surely).sum(1) / rises.sum(1),
            ]
        )
        if name != "1":
            affine = locally_affine_loss(
                networks, images, labels, after, batch_size=len(images)
            ).view_as(clean.loss)
            held.append((affine.double().mean(1) - clean.mean) / rise)
    plain, bounded, sure = (torch.stack(column) for column in zip(*rows, strict=True))
    return Ranges(plain, bounded, sure, torch.stack(held), surely.double().mean(1))


@cache
def switches(seed: int) -> Tensor:
    """Return ε₀ of the first twenty digits: one row a network."""
    few, networks = validation()[0][:20], family(seed)
    signs = gradients(seed)[:, :20].sign().unflatten(2, few.shape[1:])
    return torch.stack(
        [first_switch(member(networks, number), few, signs[number]) for number in range(COUNT)]
    )


@claim(
    "5-linear-range",
    kind="measured",
    verdict="measured",
    statement=r"In eight networks on the digits, $\varepsilon\|\nabla\ell\|_1$ is {value}`plain_1:.0%` of the rise of the "
    r"mean loss at $\varepsilon=1/255$: it counts changes that the bounds of the pixels forbid. With "
    r"these left out the linear prediction explains {value}`bounded_1:.0%` of the rise at $1/255$, {value}`bounded_8:.0%` "
    r"(from {value}`bounded_8_least:.0%` to {value}`bounded_8_most:.0%`) at $8/255$, and {value}`bounded_32:.0%` (from "
    r"{value}`bounded_32_least:.0%` to {value}`bounded_32_most:.0%`) at $32/255$. Most of what it lacks at the latter two is the "
    r"curvature of the loss: with all ReLUs held as they are at the image the rise comes out as {value}`held_8:.0%` of the true "
    r"one at $8/255$ (from {value}`held_8_least:.0%` to {value}`held_8_most:.0%`) and {value}`held_32:.0%` at $32/255$ (from "
    r"{value}`held_32_least:.0%` to {value}`held_32_most:.0%`). This estimate misses less than half of what the linear prediction misses, "
    r"in the median network at $8/255$ and in each at $32/255$. Yet a first unit switches already at {value}`switch:.2g`/255 (the median of twenty digits, then of the networks). Images of which the "
    r"network is sure, $p_y>0.99$, are {value}`sure_images:.0%` of all; they carry {value}`sure_8:.1%` of the rise at $8/255$ and {value}`sure_32:.0%` "
    r"(from {value}`sure_32_least:.0%` to {value}`sure_32_most:.0%`) at $32/255$.",
)
def linear_prediction_explains_small_steps(seed: int) -> Trial:
    plain, bounded, sure, held, sure_images = ranges(seed)
    switch = tensor(medians(255 * switches(seed)))
    values = spread("switch", switch.tolist()) | spread("sure_images", sure_images.tolist())
    for quantity, rows in (("plain", plain), ("bounded", bounded), ("sure", sure)):
        for name, row in zip(STEPS, rows, strict=True):
            values |= spread(f"{quantity}_{name}", row.tolist())
    for name, row in zip(("8", "32"), held, strict=True):
        values |= spread(f"held_{name}", row.tolist())

    def error(bounded: Tensor, held: Tensor) -> float:
        """By how much the networks leave the ranges that the statement rests on."""
        missed = ((1 - held) / (1 - bounded[1:])).abs()  # against what the prediction misses
        return max(
            misses(plain[0], 1.1, 1.5),
            misses(bounded[0], 0.85, 1.0),
            misses(bounded[1], 0.45, 0.85),
            misses(bounded[2], 0.05, 0.45),
            misses(held[0], 0.8, 1.25),
            shortfall(0.5, statistics.median(missed[0].tolist())),
            shortfall(0.5, missed[1].max().item()),
        )

    return Trial(
        max(
            error(bounded, held),
            shortfall(1.0, switch.max().item()),
            misses(sure[1], 0.0, 0.1),
            shortfall((sure[2] - sure[1]).min().item(), 0.0),
            shortfall(0.25, (sure[1] / sure_images).max().item()),
        ),
        {
            "bounds not counted": error(plain, held),
            "small and large exchanged": error(bounded.flip(0), held),
            "no curvature": error(bounded, bounded[1:]),
        },
        values,
        cases=COUNT,
        worst=whom(bounded[1], (bounded[1] - bounded[1].median()).abs(), "share at 8/255"),
    )


def misses(values: Tensor, low: float, high: float) -> float:
    """Return by how much values leave a range."""
    return max(shortfall(values.min().item(), low), shortfall(high, values.max().item()))
