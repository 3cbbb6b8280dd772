"""Solution 3(b): steps on scale-invariant losses of two weights, with decay and momentum."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hw2lib import scale_invariance
from models import Comparison, Random

Rates = dict[str, float]


def double(numbers: Any) -> Tensor:
    """Return numbers in double precision."""
    return torch.tensor(numbers, dtype=torch.float64)


def vector(random: Random) -> list[float]:
    """Return a vector of two numbers, short or long, now and then on an axis."""
    x = random.standard_normal(2) * 10 ** random.uniform(-1, 1)
    x[random.integers(2)] *= random.integers(4) > 0
    return x.tolist()


def turning(x: Tensor, push: float) -> Tensor:
    """Return a scale-invariant loss: the angle of x, turned back."""
    return -push * torch.atan2(x[1], x[0])


def gradient(x: Sequence[float], push: float) -> Tensor:
    """Return its gradient by automatic differentiation."""
    return scale_invariance.function_gradient(lambda z: turning(z, push), double(x))


def coin(kind: str, steps: int) -> list[int]:
    """Return the pushes: the coin is the first bit of a linear congruential generator."""
    state, found = 546, []
    for _ in range(steps):
        state = (1664525 * state + 1013904223) % 2**32
        found.append(-1 if kind == "by a coin" and state >> 31 else 1)
    return found


def rates(random: Random, momentum: bool = True) -> Rates:
    """Return a learning rate, a weight decay and a momentum, each of the last two possibly 0."""
    decay = random.uniform(0.05, 0.3) * (random.integers(4) > 0)
    beta = random.uniform(0, 0.6) * (random.integers(4) > 0) * momentum
    return {"rate": random.uniform(0.1, 0.6), "decay": decay, "momentum": beta}


def balanced(random: Random) -> list[Rates]:
    """Return rates with a decay, so that there is a balance."""
    return [rates(random) | {"decay": random.uniform(0.05, 0.3)}]


def trip(random: Random) -> tuple[list[float], Rates, list[float]]:
    """Return a start, rates, and pushes of all sizes and both signs."""
    pushes = random.standard_normal(int(random.integers(0, 40))).tolist()
    return random.normal([2, 0]).tolist(), rates(random), pushes


def walk(start: Sequence[float], rates: Rates, pushes: Sequence[float]) -> Tensor:
    """Return the points of PyTorch's optimiser, which keeps the decay inside the momentum."""
    x = double(start).requires_grad_()
    optimizer = torch.optim.SGD(
        [x], lr=rates["rate"], weight_decay=rates["decay"], momentum=rates["momentum"]
    )
    points = [double(start)]
    for push in pushes:
        optimizer.zero_grad()
        turning(x, push).backward()
        optimizer.step()
        points.append(x.detach().clone())
    return torch.stack(points)


def plain(random: Random) -> tuple[list[float], Rates, list[float]]:
    """Return a start, rates without decay or momentum, and one push."""
    return vector(random), rates(random) | {"decay": 0.0, "momentum": 0.0}, [random.uniform(-2, 2)]


def one_step(start: Sequence[float], rates: Rates, pushes: Sequence[float]) -> list[Tensor]:
    """Return a start and the library's next point."""
    step = scale_invariance.sphere_step(double(start), gradient(start, pushes[0]), rates["rate"])
    return [double(start), step.x]


def steady(random: Random) -> tuple[list[float], Rates, list[float]]:
    """Return a start, rates without momentum, and pushes of one size."""
    signs = random.choice([-1, 1], int(random.integers(1, 60)))
    start = random.normal([2, 0]).tolist()
    return start, rates(random, momentum=False), (signs * random.uniform(0.5, 2)).tolist()


def lengths(start: Sequence[float], rates: Rates, pushes: Sequence[float]) -> Tensor:
    """Return the lengths that the library predicts from the size of the pushes."""
    norm = double(start).norm().item()
    return scale_invariance.norms_after(
        norm, abs(pushes[0]), rates["rate"], len(pushes), rates["decay"]
    )


def path(random: Random) -> list[list[list[float]]]:
    """Return points, now and then one that rests, turns back, or goes straight on."""
    points = [vector(random) for _ in range(int(random.integers(2, 9)))]
    x, y = points[-1]
    if x * y:
        more = {0: [x, y], 1: [-y, x], 2: [2 * x, 2 * y]}.get(random.integers(4), [-x, -y])
        points.append(more)
    return [[point for point in points if any(point)]]


def angles(points: Sequence[Sequence[float]]) -> list[Tensor]:
    """Return the library's angles between neighbours."""
    each = list(map(double, points))
    return [scale_invariance.angle_between(a, b) for a, b in pairwise(each)]


def balance(rates: Rates) -> float:
    """Return the length after very many steps that all push to the left."""
    x, velocity = 1 + 0j, 0j
    for _ in range(6000):
        velocity = rates["momentum"] * velocity - 1j * x / abs(x) ** 2 + rates["decay"] * x
        x -= rates["rate"] * velocity
    return abs(x)


COMPARISONS = [
    Comparison(
        "sphere-walker",
        "gradient",
        lambda random: (vector(random), random.standard_normal()),
        gradient,
        mutants=[
            ("(-g * x) / square", "(g * x) / square"),
            ("(g * y) / square", "(g * x) / square"),
            ("x * x + y * y;", "Math.hypot(x, y);"),
        ],
    ),
    Comparison(
        "sphere-walker",
        "pushes",
        lambda random: (random.choice(["one way", "by a coin"]).item(), int(random.integers(100))),
        coin,
        mutants=[("< 2 ** 31 ? 1 : -1", "< 2 ** 31 ? -1 : 1"), ("1664525", "1664523")],
    ),
    Comparison(
        "sphere-walker",
        "walk",
        trip,
        walk,
        mutants=[
            ("along + decay * y]", "along - decay * y]"),
            ("momentum * velocity[1]", "momentum * velocity[0]"),
            ("y - rate * velocity[1]", "y + rate * velocity[1]"),
        ],
    ),
    Comparison(
        "sphere-walker",
        "walk",
        plain,
        one_step,
        mutants=[("x - rate * velocity[0]", "x - velocity[0]")],
    ),
    Comparison(
        "sphere-walker",
        "walk",
        steady,
        lengths,
        mutants=[("down + decay * x,", "down,")],
        read=lambda points: np.linalg.norm(points, axis=1),
    ),
    Comparison(
        "sphere-walker",
        "angles",
        path,
        angles,
        mutants=[("a * y - b * x", "a * y + b * x"), ("a * x + b * y)", "a * x - b * y)")],
    ),
    Comparison(
        "sphere-walker",
        "equilibriumAngle",
        balanced,
        lambda rates: scale_invariance.equilibrium_angle(*rates.values()),
        mutants=[("(1 + momentum) / 2)", "(1 - momentum) / 2)"), ("2 * Math.asin", "Math.asin")],
    ),
    Comparison(
        "sphere-walker",
        "equilibriumLength",
        balanced,
        balance,
        mutants=[
            ("(1 + momentum) - rate * decay", "(1 + momentum) + rate * decay"),
            ("0.25", "0.5"),
        ],
    ),
]
