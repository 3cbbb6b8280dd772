"""Solution 2(d): the loss of three numbers and gradient descent on it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from hw2lib import factorization
from models import Comparison, Random


def place(random: Random) -> tuple[float, list[float]]:
    """Return x and a point: anywhere, on the line a = -b, at the saddle, or at a minimum."""
    x, a, b = random.uniform(0.5, 2), *random.uniform(-2, 2, 2)
    kind = random.integers(6)
    special = {0: [a, -a], 1: [0.0, 0.0], 2: [x, 1.0]}
    return x, special.get(kind, [a, b])


def run(random: Random) -> tuple[float, list[float], float, int]:
    """Return x, a start, a learning rate and a number of steps; now and then the loss overflows.

    Not more than 60 steps: on the line a = -b the library's rounding differs in a and b, and the
    saddle lets the difference grow.
    """
    x, start = place(random)
    if random.integers(8) == 0:
        return x, [2.0, 2.0], random.uniform(1, 1.5), 50
    return x, start, random.uniform(0.01, 0.06), int(random.integers(1, 61))


def numbers(x: float, point: Sequence[float]) -> tuple[Any, Any, Any]:
    """Return three 1x1 matrices."""
    return tuple(torch.tensor([[each]], dtype=torch.float64) for each in (x, *point))


def descend(x: float, start: Sequence[float], rate: float, steps: int) -> Any:
    """Return the path of the library's gradient descent, up to an overflow."""
    X, A, B = numbers(x, start)
    path = [start]
    for _ in range(steps):
        A, B, losses = factorization.gradient_descent(X, 1, 1, learning_rate=rate, start=(A, B))
        if not losses[-1].isfinite():
            break
        path.append([A.item(), B.item()])
    return path


def hyperbola(random: Random) -> tuple[float, float, int]:
    """Return a product, positive, negative or zero, how far it reaches, and a number of points."""
    return random.choice([0, 1, -1]) * random.uniform(0.01, 5), random.uniform(1, 5), 30


def branch(product: float, reach: float, count: int) -> Any:
    """Return points of a hyperbola, equally spaced in the logarithm of a."""
    if product == 0:
        return [[0, reach], [0, 0], [reach, 0]]
    a = np.geomspace(abs(product) / reach, reach, count) * np.sign(product)
    return np.stack([a, product / a], axis=1)


COMPARISONS = [
    Comparison(
        "valley",
        "loss",
        place,
        lambda x, point: factorization.loss(*numbers(x, point)),
        mutants=[("(x - a * b) ** 2", "(x + a * b) ** 2"), ("(x - a * b) ** 2", "x - a * b")],
    ),
    Comparison(
        "valley",
        "gradient",
        place,
        lambda x, point: list(factorization.loss_gradient(*numbers(x, point))),
        mutants=[
            ("-2 * residual * b, -2 * residual * a", "-2 * residual * a, -2 * residual * b"),
            ("[-2 * residual * b", "[2 * residual * b"),
        ],
    ),
    Comparison(
        "valley",
        "descend",
        run,
        descend,
        mutants=[
            ("b - rate * along", "b + rate * along"),
            ("gradient(x, [a, b])", "gradient(x, [b, a])"),
            ("k < steps", "k <= steps"),
        ],
    ),
    Comparison(
        "valley",
        "branch",
        hyperbola,
        branch,
        mutants=[("product / a]", "product * a]"), ("[-a, b]", "[a, -b]")],
    ),
]
