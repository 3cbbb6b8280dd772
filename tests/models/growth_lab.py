"""Solution 6(a): eigenvalues, states and gradients of a linear recurrence of two units."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from hw2lib.recurrent import linear_rnn_gradient
from models import Comparison, Random


def eigenvalues(random: Random) -> tuple[list[float], list[float]]:
    """Return a conjugate pair, two real numbers, or one twice."""
    re, im, other = random.uniform(-1.5, 1.5, 3)
    kind = random.integers(3)
    if kind == 0:
        return [re, im], [re, -im]
    return [re, 0], [re if kind == 1 else other, 0]


def recurrence(random: Random) -> Sequence[Any]:
    """Return W, z0, zbar and a number of steps."""
    W, z0, zbar = (random.standard_normal(size) for size in ((2, 2), 2, 2))
    return W.tolist(), z0.tolist(), zbar.tolist(), int(random.integers(1, 61))


def gradients(W: Any, z0: Any, zbar: Any, steps: int) -> Any:
    """Return the gradients after 1, 2, … steps."""
    W, z0, zbar = (torch.tensor(each, dtype=torch.float64) for each in (W, z0, zbar))
    return torch.stack([linear_rnn_gradient(W, z0, zbar, t) for t in range(1, steps + 1)])


def sizes_as_for_numbers(W: Any, z0: Any, zbar: Any, steps: int) -> Any:
    """Return t times the norms of z̄ and of the state after t − 1 steps."""
    W, z0, zbar = (np.array(each) for each in (W, z0, zbar))
    return [
        t * np.linalg.norm(zbar) * np.linalg.norm(np.linalg.matrix_power(W, t - 1) @ z0)
        for t in range(1, steps + 1)
    ]


def coefficients(first: Sequence[float], second: Sequence[float]) -> Any:
    """Return trace and determinant of a matrix with these eigenvalues."""
    sum_and_product = complex(*first) + complex(*second), complex(*first) * complex(*second)
    return [value.real for value in sum_and_product]


def states(W: Any, z0: Any, steps: int) -> Any:
    """Return the start and the states after it."""
    return [np.linalg.matrix_power(np.array(W), t) @ z0 for t in range(steps + 1)]


def on_stable_modes(random: Random) -> Sequence[Any]:
    """Return W with an unstable and a stable mode, z0 and zbar on the latter, and many steps."""
    unstable, stable = random.uniform(1.2, 1.5), random.uniform(0.3, 0.7)
    W = [[unstable, 1.0], [0.0, stable]]
    size, other = random.uniform(0.2, 1.5, 2)
    return W, [size, size * (stable - unstable)], [0.0, other], int(random.integers(40, 61))


def decayed_gradient(W: Any, z0: Any, zbar: Any, steps: int) -> Any:
    """Return the last gradient: t λᵗ⁻¹ z̄ z₀ᵀ, for all terms are equal."""
    return steps * W[1][1] ** (steps - 1) * np.outer(zbar, z0)


def on_opposite_modes(random: Random) -> Sequence[Any]:
    """Return W with the eigenvalues λ and −λ, z0 on the first mode and zbar on the second."""
    value, size, other = random.uniform(0.5, 1.5, 3)
    return [[value, 1.0], [0.0, -value]], [size, 0.0], [0.0, other], int(random.integers(2, 61))


def cancelling_sizes(W: Any, z0: Any, zbar: Any, steps: int) -> Any:
    """Return whether it is 0, and λᵗ⁻¹ ‖z̄‖ ‖z₀‖ for odd t, 0 for even: terms cancel in pairs."""
    size = np.linalg.norm(z0) * np.linalg.norm(zbar)
    return [[t % 2, t % 2 * W[0][0] ** (t - 1) * size] for t in range(1, steps + 1)]


def real_pair(random: Random) -> Sequence[Any]:
    """Return two real eigenvalues, or one twice."""
    first, second = random.uniform(-1.5, 1.5, 2)
    return [first, 0], [first if random.integers(2) else second, 0]


def projectors(first: Sequence[float], second: Sequence[float]) -> Any:
    """Return the projectors on the right eigenvectors, then on the left ones."""
    W, values = np.array([[first[0], 1], [0, second[0]]]), (first[0], second[0])
    kernels = [
        np.linalg.svd(matrix - value * np.eye(2))[2][1] for matrix in (W, W.T) for value in values
    ]
    return [np.outer(v, v) for v in kernels]


def directions(answer: Any) -> Any:
    """Return the projectors on a model's modes."""
    vectors = np.array([*answer["state"], *answer["adjoint"]])
    return [np.outer(v, v) / (v @ v) for v in vectors]


COMPARISONS = [
    Comparison(
        "growth-lab",
        "gradients",
        on_stable_modes,
        decayed_gradient,
        mutants=[
            ("1e-9 * Math.sqrt(square)", "0"),
            ("? ([a, b]) => [value * a", "? ([a, b]) => [a"),
        ],
        read=lambda all: all[-1],
    ),
    Comparison(
        "growth-lab",
        "states",
        lambda random: (*recurrence(random)[:2], int(random.integers(0, 41))),
        states,
        mutants=[("k < steps", "k <= steps"), ("[a * x + b * y, c", "[a * x - b * y, c")],
    ),
    Comparison(
        "growth-lab",
        "modes",
        real_pair,
        projectors,
        mutants=[("[1, gap]", "[gap, 1]"), ("[-gap, 1]", "[gap, 1]")],
        read=directions,
    ),
    Comparison(
        "growth-lab",
        "gradients",
        recurrence,
        gradients,
        mutants=[
            ("[[a, c], [b, d]]", "[[a, b], [c, d]]"),
            ("zbar[0] * y", "zbar[1] * x"),
            ("steps - 1)) {", "steps)) {"),
        ],
    ),
    Comparison(
        "growth-lab",
        "sizes",
        recurrence,
        lambda *given: gradients(*given).norm(dim=(1, 2)),
        mutants=[
            ("norm(gradient);", "terms;"),
            ("Math.hypot(...W[0], ...W[1])", "Math.hypot(...W[0])"),
        ],
    ),
    Comparison(
        "growth-lab",
        "sizes",
        on_opposite_modes,
        cancelling_sizes,
        mutants=[("1e-13 * terms", "1e3 * terms"), ("sum + each *", "sum - each *")],
        read=lambda all: [[size > 0, size] for size in all],
    ),
    Comparison(
        "growth-lab",
        "sizesAsForNumbers",
        recurrence,
        sizes_as_for_numbers,
        mutants=[
            ("(k + 1) *", "k *"),
            ("[a * x + b * y, c * x + d * y]", "[a * x + c * y, b * x + d * y]"),
        ],
    ),
    Comparison(
        "growth-lab",
        "matrixWith",
        eigenvalues,
        coefficients,
        mutants=[("[-b * b, a]", "[b * b, a]"), ("[0, second[0]]", "[0, a]")],
        read=lambda W: [np.trace(W), np.linalg.det(W)],
    ),
]
