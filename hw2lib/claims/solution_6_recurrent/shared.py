"""What claims of Solution 6 share: exact eigenbases, recurrences, orbits of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.tools import size, tensor, whole

SIGMA: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda z: z,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
}
SLOPE: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": torch.ones_like,
    "tanh": lambda z: 1 - z.tanh() ** 2,
    "sigmoid": lambda z: z.sigmoid() * (1 - z.sigmoid()),
    "relu": lambda z: (z > 0).to(z),
}
WARM_UP, STEPS = 40, 110
STEEPEST = {"identity": 1.0, "tanh": 1.0, "sigmoid": 0.25, "relu": 1.0}


class Recurrence(NamedTuple):
    """A linear recurrence: its matrix, first state, gradient at the last state, and steps."""

    W: Tensor
    z0: Tensor
    zbar: Tensor
    steps: int


class Modes(NamedTuple):
    """A real matrix of exact numbers with its eigenbasis: W = T diag(values) T⁻¹."""

    W: Tensor
    values: Tensor
    T: Tensor
    inverse: Tensor


def power(W: Tensor, k: int) -> Tensor:
    """Return a power of a matrix, by repeated squaring."""
    return torch.linalg.matrix_power(W, k)


def by_autograd(W: Tensor, z0: Tensor, zbar: Tensor, steps: int) -> Tensor:
    """Return the gradient of zbar·Wᵗz0 with respect to W, by automatic differentiation."""
    weight, z = W.clone().requires_grad_(), z0
    for _ in range(steps):
        z = weight @ z
    (gradient,) = torch.autograd.grad(z @ zbar, weight)
    return gradient


def unit_triangle(rng: np.random.Generator, p: int) -> tuple[Tensor, Tensor]:
    """Return a lower triangle of whole numbers with ones on the diagonal, and its inverse."""
    strict, identity = whole(rng, p, p, largest=1).tril(-1), torch.eye(p, dtype=torch.float64)
    inverse = identity
    for _ in range(p - 1):
        inverse = identity - strict @ inverse
    return identity + strict, inverse


def basis(rng: np.random.Generator, p: int) -> tuple[Tensor, Tensor]:
    """Return a matrix of whole numbers whose inverse, also returned, has whole numbers too."""
    (lower, lower_inverse), (upper, upper_inverse) = unit_triangle(rng, p), unit_triangle(rng, p)
    return lower @ upper.T, upper_inverse.T @ lower_inverse


def modes(rng: np.random.Generator, real: list[float], pairs: list[complex] | None = None) -> Modes:
    """Return a matrix with these real eigenvalues and these complex ones with their conjugates.

    With dyadic eigenvalues all numbers are dyadic, and short products of them are exact.
    """
    pairs = pairs or []
    p = len(real) + 2 * len(pairs)
    P, P_inverse = basis(rng, p)
    turns = [tensor([[z.real, -z.imag], [z.imag, z.real]]) for z in pairs]
    B = torch.block_diag(*(tensor([[value]]) for value in real), *turns)
    J = torch.tensor([[1, 1], [-1j, 1j]], dtype=torch.complex128)
    J_inverse = torch.tensor([[0.5, 0.5j], [0.5, -0.5j]], dtype=torch.complex128)
    ones = [torch.ones(1, 1, dtype=torch.complex128)] * len(real)
    T = P.to(J.dtype) @ torch.block_diag(*ones, *[J] * len(pairs))
    inverse = torch.block_diag(*ones, *[J_inverse] * len(pairs)) @ P_inverse.to(J.dtype)
    values = torch.tensor(
        [*real, *(each for z in pairs for each in (z, z.conjugate()))], dtype=J.dtype
    )
    return Modes(P @ B @ P_inverse, values, T, inverse)


class Orbit(NamedTuple):
    """States h₀ … h_T of a network, (T + 1, p), and its slopes σ′ at steps 1 … T, (T, p)."""

    states: Tensor
    slopes: Tensor


def orbit(name: str, W: Tensor, inputs: Tensor, start: Tensor) -> Orbit:
    """Run hₜ = σ(W hₜ₋₁ + uₜ) over the inputs u, (T, p)."""
    states, slopes = [start], []
    for u in inputs:
        z = W @ states[-1] + u
        states.append(SIGMA[name](z))
        slopes.append(SLOPE[name](z))
    return Orbit(torch.stack(states), torch.stack(slopes))


def jacobian(W: Tensor, slopes: Tensor) -> Tensor:
    """Return the product of the DₜW, the latest on the left."""
    product = torch.eye(len(W), dtype=W.dtype)
    for slope in slopes:
        product = slope[:, None] * (W @ product)
    return product


def exponents(
    name: str, W: Tensor, start: Tensor, inputs: Tensor | None = None, steps: int = STEPS
) -> Tensor:
    """Return the growth rates of a small change in a batch of networks, averaged over `steps`.

    Minus infinity where the change dies.

    W (…, p, p), start (…, p), inputs (WARM_UP + steps, …, p); the first WARM_UP steps are left out. Without
    inputs, ReLU and identity keep their state at length 1.
    """
    h, tangent, total = start[..., None], torch.ones_like(start)[..., None], 0.0
    tangent = tangent + 0.1 * h.sin()  # in no network's stable directions only
    for step in range(WARM_UP + steps):
        z = W @ h
        if inputs is not None:
            z = z + inputs[step][..., None]
        h, tangent = SIGMA[name](z), SLOPE[name](z) * (W @ tangent)
        growth = tangent.norm(dim=-2, keepdim=True)
        tangent = tangent / growth.where(growth > 0, 1.0)
        if inputs is None and name in ("relu", "identity"):
            length = h.norm(dim=-2, keepdim=True)
            h = h / length.where(length > 0, 1.0)
        if step >= WARM_UP:
            total = total + growth.log()
    return torch.as_tensor(total).flatten() / steps


def norm(W: Tensor) -> float:
    """Return the operator norm, the largest singular value."""
    return torch.linalg.matrix_norm(W, 2).item()


def recurrences(rng: np.random.Generator) -> Iterator[tuple[str, Recurrence]]:
    """Yield recurrences of small whole numbers, on which arithmetic is exact."""
    shift = tensor(np.diag([1.0, 1.0], 1))
    cycle, identity = tensor(np.eye(4)[[1, 2, 3, 0]]), tensor(np.eye(3))
    for description, W, steps in (
        ("1×1, one step", tensor([[2.0]]), 1),
        ("1×1", tensor([[-3.0]]), 7),
        ("zeros, 2×2", tensor(np.zeros((2, 2))), 2),
        ("nilpotent, 3×3", shift, 3),
        ("defective: Jordan block of size 3 at 2", 2 * identity + shift, 6),
        ("defective: Jordan block of size 3 at 1", identity + shift, 129),
        ("far from normal", tensor([[1.0, 100.0], [0.0, -1.0]]), 65),
        ("cyclic permutation", cycle, 200),
        ("quarter turn", tensor([[0.0, -1.0], [1.0, 0.0]]), 64),
    ):
        p = len(W)
        yield (
            f"{description}, {steps} steps",
            Recurrence(W, whole(rng, p), whole(rng, p), steps),
        )
    while True:
        p, steps = size(rng, 2, 4), size(rng, 2, 9)
        yield (
            f"{p}×{p} of whole numbers, {steps} steps",
            Recurrence(whole(rng, p, p, largest=2), whole(rng, p), whole(rng, p), steps),
        )


def diagonalisable(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Modes, Recurrence]]]:
    """Yield diagonalisable matrices of whole numbers with eigenbases, and starts for them."""
    for description, real, pairs in (
        ("1×1", [3.0], []),
        ("tied eigenvalues", [2.0, 2.0, -1.0], []),
        ("eigenvalues of equal magnitude", [2.0, -2.0], []),
        ("singular", [0.0, 0.0, 2.0], []),
        ("a complex pair", [], [1 + 2j]),
        ("a tied complex pair", [], [1 + 1j, 1 + 1j]),
        ("a complex pair and a real one of equal magnitude", [2.0], [2j]),
    ):
        yield description, with_starts(rng, modes(rng, real, pairs))
    while True:
        complex_ones = size(rng, 0, 1)
        real = whole(rng, size(rng, 2 - complex_ones, 4 - 2 * complex_ones)).tolist()
        pairs = [complex(size(rng, -2, 2), size(rng, 1, 2)) for _ in range(complex_ones)]
        yield f"eigenvalues {real + pairs}", with_starts(rng, modes(rng, real, pairs))


def with_starts(rng: np.random.Generator, found: Modes) -> tuple[Modes, Recurrence]:
    """Return modes with a random start, adjoint and number of steps."""
    p, steps = len(found.W), size(rng, 2, 8)
    return found, Recurrence(found.W, whole(rng, p), whole(rng, p), steps)


def jordan(value: complex, m: int) -> Tensor:
    """Return a real Jordan block of m eigenvalues of one value, and of its conjugate if complex."""
    if value.imag:
        turn = tensor([[value.real, -value.imag], [value.imag, value.real]])
        return torch.kron(torch.eye(m, dtype=torch.float64), turn) + torch.diag(
            torch.ones(2 * m - 2, dtype=torch.float64), 2
        )
    return value.real * torch.eye(m, dtype=torch.float64) + tensor(np.diag([1.0] * (m - 1), 1))


def powers(values: Tensor, k: int) -> Tensor:
    """Return powers of Gaussian integers, by products, which are exact."""
    return torch.stack([torch.ones_like(values), *[values] * k]).prod(0)


def as_integers(x: Tensor) -> np.ndarray:
    """Return whole numbers as Python's, which do not overflow."""
    return np.vectorize(int, otypes=[object])(x.numpy())


def iterate(A: np.ndarray, z: np.ndarray, steps: int) -> Iterator[np.ndarray]:
    """Yield z, Az, A²z, … in whole numbers."""
    for _ in range(steps):
        yield z
        z = A @ z


def rate_of(times: Sequence[int], logarithms: Sequence[float]) -> float:
    """Return the slope of logarithms over time, by least squares."""
    return float(np.polyfit(times, logarithms, 1)[0])
