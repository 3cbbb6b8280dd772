"""Scale-invariant functions, and others, that the checks of Solution 3 try.

In double precision with automatic differentiation: all kinds. In rational arithmetic: quotients of
homogeneous polynomials of one degree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.families import SCALES
from hw2lib.claims.tools import largest, normal, size, tensor
from hw2lib.scale_invariance import Function, batchnorm_loss, function_gradient

# ---- in double precision


class Case(NamedTuple):
    """A function and a point other than 0."""

    f: Function
    x: Tensor


class Step(NamedTuple):
    """A function, a point other than 0, and a learning rate."""

    f: Function
    x: Tensor
    rate: float


def direction(x: Tensor) -> Tensor:
    """Return x/‖x‖."""
    return x / x.norm()


def scaled_gradient(f: Function, x: Tensor) -> Tensor:
    """Return ‖x‖∇f(x): for an invariant function it depends on the direction of x alone."""
    return x.norm() * function_gradient(f, x)


def compare(found: Tensor, expected: Tensor) -> float:
    """Return an error against numbers whose natural size is 1."""
    return largest(found - expected) / max(1.0, largest(expected))


def cosine(c: Tensor) -> Function:
    """Return the projection of the direction on a vector: it flips its sign with x."""
    return lambda x: c @ x / x.norm()


def relu_unit(c: Tensor) -> Function:
    """Return a ReLU unit on the direction: invariant for positive λ only."""
    return lambda x: (c @ x).relu() / x.norm()


def facing(c: Tensor, u: Tensor) -> Tensor:
    """Return the direction of c or −c, on the side of u: a unit that is on there."""
    return direction(c if c @ u > 0 else -c)


def rayleigh(M: Tensor) -> Function:
    """Return a Rayleigh quotient, invariant for every λ but 0."""
    return lambda x: x @ M @ x / (x @ x)


def ratio(a: Tensor, b: Tensor) -> Function:
    """Return a quotient of linear forms, invariant for every λ but 0."""
    return lambda x: a @ x / (b @ x)


def participation(x: Tensor) -> Tensor:
    """Return the inverse participation ratio, invariant for every λ but 0."""
    return x.pow(4).sum() / (x @ x).square()


def constant(x: Tensor) -> Tensor:
    """Return 1, as a function of x."""
    return (x @ x) / (x @ x)


def mixture(c: Tensor, M: Tensor) -> Function:
    """Return a composition of a cosine and a Rayleigh quotient."""
    return lambda x: (3 * cosine(c)(x)).sin() + cosine(c)(x) * rayleigh(M)(x)


def normalised_layer(X: Tensor, y: Tensor) -> Function:
    """Return the loss of a linear unit with weight normalisation."""
    return lambda w: (X @ w / w.norm() - y).square().mean()


def unit_on_data(rng: np.random.Generator, n: int, eps: float = 0.0) -> Function:
    """Return the loss of a unit behind batch norm, on random data."""
    return batchnorm_loss(normal(rng, 2 * n + 4, n), normal(rng, 2 * n + 4).tanh(), eps)


def layer_on_data(rng: np.random.Generator, n: int) -> Function:
    """Return the loss of a layer of n units with two inputs behind batch norm."""
    return batchnorm_loss(
        normal(rng, 10, 2), normal(rng, 10).tanh(), readout=normal(rng, n) / n**0.5
    )


Maker = Callable[[np.random.Generator, Tensor], Function]

EVEN: dict[str, Maker] = {
    "Rayleigh quotient": lambda rng, u: rayleigh(normal(rng, len(u), len(u)) / len(u) ** 0.5),
    "quotient of linear forms": lambda rng, u: ratio(
        normal(rng, len(u)), u + 0.3 * normal(rng, len(u)) / len(u) ** 0.5
    ),
    "inverse participation ratio": lambda rng, u: participation,
}
POSITIVE: dict[str, Maker] = {
    "cosine": lambda rng, u: cosine(direction(normal(rng, len(u)))),
    "unit behind batch norm": lambda rng, u: unit_on_data(rng, len(u)),
    "layer behind batch norm": lambda rng, u: layer_on_data(rng, len(u) // 2),
    "unit with weight normalisation": lambda rng, u: normalised_layer(
        normal(rng, 9, len(u)), normal(rng, 9)
    ),
    "cosine and Rayleigh quotient, composed": lambda rng, u: mixture(
        direction(normal(rng, len(u))), normal(rng, len(u), len(u)) / len(u) ** 0.5
    ),
    "ReLU unit on the direction": lambda rng, u: relu_unit(facing(normal(rng, len(u)), u)),
}


def random_cases(rng: np.random.Generator, makers: dict[str, Maker]) -> Iterator[tuple[str, Case]]:
    """Yield functions of each kind in turn, in 2 to 8 dimensions, at random points."""
    for kind, make in cycle(makers.items()):
        n = 2 * size(rng, 1, 4) if "layer" in kind else size(rng, 2, 8)
        u, length = direction(normal(rng, n)), 10 ** rng.uniform(-2, 2)
        yield f"{kind}, {n} dimensions, ‖x‖ = {length:.2g}", Case(make(rng, u), length * u)


def critical(rng: np.random.Generator) -> Iterator[tuple[str, Case]]:
    """Yield invariant functions at points where the gradient is zero."""
    c, M = direction(normal(rng, 4)), normal(rng, 4, 4)
    symmetric = M + M.T
    eigenvector = torch.linalg.eigh(symmetric).eigenvectors[:, 1]
    X, w = normal(rng, 12, 4), normal(rng, 4)
    hidden = X @ w - (X @ w).mean()
    fitted = (hidden / hidden.square().mean().sqrt()).tanh()
    yield "one dimension: the sign of x", Case(cosine(tensor([1.0])), tensor([-2.5]))
    yield "constant", Case(constant, tensor([1.0, 2.0, -1.0]))
    yield "cosine at its maximum", Case(cosine(c), 3 * c)
    yield "ReLU unit that is off", Case(relu_unit(c), -2 * c + 0.1 * normal(rng, 4))
    yield "Rayleigh quotient at an eigenvector", Case(rayleigh(symmetric), 2 * eigenvector)
    yield "Rayleigh quotient of the identity", Case(rayleigh(tensor(np.eye(4))), normal(rng, 4))
    yield "unit behind batch norm that fits its targets", Case(batchnorm_loss(X, fitted), w)


def invariant(rng: np.random.Generator) -> Iterator[tuple[str, Case]]:
    """Yield functions with f(λx) = f(x) for every λ > 0: critical points first, far scales."""
    yield "y/x at (2, 3)", Case(lambda z: z[1] / z[0], tensor([2.0, 3.0]))
    yield from critical(rng)
    for scale in SCALES:
        x = scale * direction(normal(rng, 5))
        yield f"cosine, ‖x‖ = {scale:g}", Case(cosine(direction(normal(rng, 5))), x)
        yield f"unit behind batch norm, ‖x‖ = {scale:g}", Case(unit_on_data(rng, 5), x)
    yield from random_cases(rng, EVEN | POSITIVE)


def steps(rng: np.random.Generator) -> Iterator[tuple[str, Step]]:
    """Yield steps of gradient descent on invariant functions, from tiny ones to huge ones.

    The size is s = η‖∇f(u)‖/‖x‖²; where the gradient is zero the learning rate is ‖x‖².
    """
    for description, (f, x) in invariant(rng):
        s = 10 ** rng.uniform(-2, 2)
        length = scaled_gradient(f, x).norm().item()
        rate = s * x.norm().item() ** 2 / (length if length > 1e-9 else 1.0)
        yield f"{description}, s = {s:.2g}", Step(f, x, rate)


def linear(c: Tensor) -> Function:
    """Return a linear function."""
    return lambda x: c @ x


def square(c: Tensor) -> Function:
    """Return the squared distance from a point."""
    return lambda x: (x - c).square().sum()


def spiral(c: Tensor) -> Function:
    """Return a cosine plus the logarithm of the length."""
    return lambda x: cosine(c)(x) + x.norm().log()


def plain_unit(X: Tensor, y: Tensor) -> Function:
    """Return the loss of a unit without batch norm."""
    return lambda w: ((X @ w).tanh() - y).square().mean()


NOT_INVARIANT: dict[str, Maker] = {
    "linear": lambda rng, u: linear(normal(rng, len(u)) + u),
    "square": lambda rng, u: square(normal(rng, len(u))),
    "length": lambda rng, u: torch.linalg.vector_norm,
    "cosine plus logarithm of the length": lambda rng, u: spiral(normal(rng, len(u))),
    "unit behind batch norm with ε = 0.1": lambda rng, u: unit_on_data(rng, len(u), 0.1),
    "unit without batch norm": lambda rng, u: plain_unit(normal(rng, 9, len(u)), normal(rng, 9)),
}


def not_invariant(rng: np.random.Generator) -> Iterator[tuple[str, Case]]:
    """Yield functions that are not scale invariant."""
    for kind, make in cycle(NOT_INVARIANT.items()):
        n = size(rng, 1, 8)
        u, length = direction(normal(rng, n)), 10 ** rng.uniform(-1, 0.5)
        yield f"{kind}, {n} dimensions, ‖x‖ = {length:.2g}", Case(make(rng, u), length * u)


# ---- in rational arithmetic

Vector = np.ndarray  # of fractions
Monomials = dict[tuple[int, ...], int | Fraction]  # exponents → coefficient


class Quotient(NamedTuple):
    """A quotient of homogeneous polynomials of one degree: invariant for every λ but 0."""

    p: Monomials
    q: Monomials

    def __call__(self, x: Vector) -> Fraction:
        """Return the value at a point of fractions."""
        return value(self.p, x) / value(self.q, x)

    def gradient(self, x: Vector) -> Vector:
        """Return the gradient at a point of fractions, by the quotient rule."""
        p, q = value(self.p, x), value(self.q, x)
        return (q * slopes(self.p, x) - p * slopes(self.q, x)) / q**2


class Point(NamedTuple):
    """A quotient and a point of fractions at which it is defined."""

    f: Quotient
    x: Vector


def value(polynomial: Monomials, x: Vector) -> Fraction:
    """Return the value of a polynomial."""
    return sum((c * product(x, exponents) for exponents, c in polynomial.items()), Fraction(0))


def slopes(polynomial: Monomials, x: Vector) -> Vector:
    """Return the gradient of a polynomial, monomial by monomial."""
    total = vector(*[0] * len(x))
    for exponents, coefficient in polynomial.items():
        for index, power in enumerate(exponents):
            if power:
                lowered = (*exponents[:index], power - 1, *exponents[index + 1 :])
                total[index] += coefficient * power * product(x, lowered)
    return total


def product(x: Vector, exponents: tuple[int, ...]) -> Fraction:
    """Return the value of a monomial."""
    return math.prod(entry**power for entry, power in zip(x, exponents, strict=True))


def vector(*entries: Any) -> Vector:
    """Return a vector of fractions."""
    return np.array([Fraction(entry) for entry in entries])


def whole_vector(rng: np.random.Generator, n: int, bound: int = 4) -> Vector:
    """Return a vector of whole numbers, as fractions, that is not 0."""
    while not (entries := rng.integers(-bound, bound, n, endpoint=True)).any():
        pass
    return vector(*map(int, entries))


def fraction(rng: np.random.Generator, bound: int = 9) -> Fraction:
    """Return a positive fraction."""
    return Fraction(size(rng, 1, bound), size(rng, 1, bound))


def polynomial(rng: np.random.Generator, n: int, degree: int, terms: int = 3) -> Monomials:
    """Return a homogeneous polynomial of a few monomials with whole coefficients."""
    chosen = rng.multinomial(degree, np.ones(n) / n, size=terms)
    signs = cycle((1, -1))
    return {tuple(map(int, exponents)): next(signs) * size(rng, 1, 4) for exponents in chosen}


def defined_quotient(rng: np.random.Generator, x: Vector, degree: int) -> Quotient:
    """Return a quotient of polynomials of this degree that is defined at a point."""
    while value(q := polynomial(rng, len(x), degree), x) == 0:
        pass
    return Quotient(polynomial(rng, len(x), degree), q)


def quotients(rng: np.random.Generator) -> Iterator[tuple[str, Point]]:
    """Yield quotients at points of fractions: constants and critical points first."""
    y_over_x = Quotient({(0, 1): 1}, {(1, 0): 1})
    rayleigh_quotient = Quotient({(2, 0): 3, (0, 2): 1}, {(2, 0): 1, (0, 2): 1})
    yield "y/x at (2, 3)", Point(y_over_x, vector(2, 3))
    yield "one dimension, a constant", Point(Quotient({(1,): 2}, {(1,): 3}), vector(-5))
    yield "constant, 3 dimensions", Point(Quotient({(0, 0, 0): 2}, {(0, 0, 0): 1}), vector(1, 0, 2))
    yield "Rayleigh quotient at an eigenvector", Point(rayleigh_quotient, vector(0, 2))
    yield "Rayleigh quotient", Point(rayleigh_quotient, vector(1, -2))
    for scale in (Fraction(1, 10**6), Fraction(10**6)):
        yield f"y/x at {float(scale):g} times (2, 3)", Point(y_over_x, scale * vector(2, 3))
    while True:
        n, degree = size(rng, 2, 8), size(rng, 1, 4)
        x = fraction(rng) * whole_vector(rng, n)
        f = defined_quotient(rng, x, degree)
        yield f"quotient of degree {degree}, {n} dimensions", Point(f, x)


def orthonormal(rng: np.random.Generator, n: int) -> tuple[Vector, Vector]:
    """Return two orthogonal unit vectors of fractions: coordinate axes, reflected twice."""
    mirrors = [whole_vector(rng, n, 3) for _ in range(2)]
    first, second = identity(n)[:2]
    for mirror in mirrors:
        first, second = reflect(first, mirror), reflect(second, mirror)
    return first, second


def reflect(x: Vector, mirror: Vector) -> Vector:
    """Return the reflection of a vector in the hyperplane orthogonal to another one."""
    return x - 2 * (mirror @ x) / (mirror @ mirror) * mirror


def identity(n: int) -> np.ndarray:
    """Return the identity, in fractions."""
    return np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)])


def unit_vectors(rng: np.random.Generator) -> Iterator[tuple[str, Vector]]:
    """Yield unit vectors of fractions in 1 to 5 dimensions."""
    yield "one dimension", vector(-1)
    yield "a coordinate axis", vector(0, 1, 0)
    yield "(3/5, −4/5)", vector("3/5", "-4/5")
    while True:
        n = size(rng, 2, 5)
        yield f"{n} dimensions", orthonormal(rng, n)[0]


def projector(u: Vector) -> np.ndarray:
    """Return I − uuᵀ, in fractions."""
    return identity(len(u)) - np.outer(u, u)


def wrong(*differences: Any) -> float:
    """Return the largest absolute difference, 0 only if all are exactly 0."""
    entries = [entry for each in differences for entry in np.ravel(np.array(each, dtype=object))]
    worst = max(map(abs, entries))
    return 0.0 if worst == 0 else max(float(worst), 5e-324)
