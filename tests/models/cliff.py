"""Solution 6(c): the loss of one recurrent unit, its gradient, clipping, and descent."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from scipy.optimize import brentq
from torch import Tensor

from hw2lib import recurrent
from models import Comparison, Random

BIASES = (-4.6, 3.2)
CLIPS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "norm": recurrent.clip_by_norm,
    "value": recurrent.clip_by_value,
    "not": lambda gradient, _: gradient,
}


def double(numbers: Any) -> Tensor:
    """Return numbers in double precision."""
    return torch.tensor(numbers, dtype=torch.float64)


def residual(w: Tensor, b: Tensor | float) -> Tensor:
    """Return what is left of the target after 50 steps."""
    x = double(0.5)
    for _ in range(50):
        x = w * x.sigmoid() + b
    return x.sigmoid() - 0.7


def place(random: Random) -> list[list[float]]:
    """Return a point of the picture, far out, or w = 0, where no step knows the one before."""
    w, b = random.uniform(3.4, 7.2), random.uniform(-3.6, 2.2)
    return [{0: [100 * w, 100 * b], 1: [0.0, b]}.get(random.integers(8), [w, b])]


def gradient(point: Sequence[float]) -> Tensor:
    """Return the gradient of the loss by automatic differentiation."""
    place = double(point).requires_grad_()
    return torch.autograd.grad(residual(*place).square(), place)[0]


def vector(random: Random) -> tuple[list[float], float]:
    """Return a gradient, short, long, zero or with equal entries, and a limit."""
    entries = (random.standard_normal(2) * 10 ** random.uniform(-2, 4)).tolist()
    special = {0: [0.0, 0.0], 1: [entries[0], -entries[0]], 2: [0.0, entries[1]]}
    return special.get(random.integers(10), entries), 10 ** random.uniform(-3, 2)


def run(random: Random) -> tuple[list[float], float, str, float, int]:
    """Return a start, a learning rate, a way to clip, a limit, and a few steps."""
    (start,) = place(random)
    clip = random.choice(list(CLIPS)).item()
    return (
        start,
        random.uniform(0.05, 1),
        clip,
        10 ** random.uniform(-3, 2),
        random.integers(6).item(),
    )


def descend(start: Sequence[float], rate: float, clip: str, limit: float, steps: int) -> Tensor:
    """Return the path of gradient descent."""
    path = [double(start)]
    for _ in range(steps):
        path.append(path[-1] - rate * CLIPS[clip](gradient(path[-1].tolist()), limit))
    return torch.stack(path)


def allowed(random: Random) -> tuple[float, str, float]:
    """Return a learning rate, a way to clip, and a limit."""
    return (
        random.uniform(0.05, 1),
        random.choice(["norm", "value"]).item(),
        random.uniform(0.001, 9),
    )


def ceiling(rate: float, clip: str, limit: float) -> float:
    """Return the step that a far too large gradient with equal entries gives."""
    return rate * CLIPS[clip](double([1e9, 1e9]), limit).norm().item()


def points(random: Random) -> list[list[list[float]]]:
    """Return one point or more, now and then one that rests."""
    path = random.standard_normal((int(random.integers(1, 9)), 2)).tolist()
    return [[*path, path[-1]]] if random.integers(4) == 0 else [path]


def level(random: Random) -> tuple[float, float, Sequence[float], int]:
    """Return w, a value of the residual, also one that it does not take, a range of b, halvings."""
    return random.uniform(3.4, 7.2), random.uniform(-0.72, 0.32), BIASES, 50


def contour(w: float, value: float, limits: Sequence[float], halvings: int) -> float:
    """Return where the residual, which grows with b, has a value, or the end that is nearest."""

    def above(b: float) -> float:
        return residual(double(w), b).item() - value

    low, high = limits
    if above(low) >= 0 or above(high) <= 0:
        return low if above(low) >= 0 else high
    return float(brentq(above, low, high, xtol=1e-12, rtol=1e-12))


COMPARISONS = [
    Comparison(
        "cliff",
        "residual",
        place,
        lambda point: residual(*double(point)),
        mutants=[("w * sigmoid(x) + b;", "w * sigmoid(x) - b;"), ("STEPS = 50", "STEPS = 49")],
    ),
    Comparison(
        "cliff",
        "loss",
        place,
        lambda point: residual(*double(point)).square(),
        mutants=[("residual(point) ** 2", "residual(point)"), ("TARGET = 0.7", "TARGET = 0.3")],
    ),
    Comparison(
        "cliff",
        "gradient",
        place,
        gradient,
        mutants=[
            ("s + slope * alongW", "slope * alongW"),
            ("1 + slope * alongB", "slope * alongB"),
            ("[outer * alongW, outer * alongB]", "[outer * alongB, outer * alongW]"),
        ],
    ),
    Comparison(
        "cliff",
        "clipByNorm",
        vector,
        lambda vector, limit: recurrent.clip_by_norm(double(vector), limit),
        mutants=[("norm > limit", "norm < limit"), ("gradient[1]) / norm", "gradient[1]) * norm")],
    ),
    Comparison(
        "cliff",
        "clipByValue",
        vector,
        lambda vector, limit: recurrent.clip_by_value(double(vector), limit),
        mutants=[
            ("Math.max(entry, -limit)", "Math.max(entry, 0)"),
            ("[first!, second!]", "[second!, first!]"),
        ],
    ),
    Comparison(
        "cliff",
        "descend",
        run,
        descend,
        mutants=[
            ("b - rate * second", "b + rate * second"),
            ("CLIPS[clip](gradient([w, b])", "CLIPS[clip](gradient(start)"),
        ],
    ),
    Comparison(
        "cliff",
        "ceiling",
        allowed,
        ceiling,
        mutants=[("value: Math.SQRT2", "value: 1"), ("* rate * limit", "* limit")],
    ),
    Comparison(
        "cliff",
        "steps",
        points,
        lambda path: double(path).diff(dim=0).norm(dim=1),
        mutants=[("b - path[k]![1]", "b + path[k]![1]"), ("path.slice(1)", "path.slice(0)")],
    ),
    Comparison(
        "cliff",
        "contour",
        level,
        contour,
        mutants=[("< value ?", "> value ?"), ("(from + to) / 2;\n    [", "from;\n    [")],
    ),
]
