"""Claims of Solution 3(b), its last remarks: the chain rule."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import torch

from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_3_scale_invariance.shared import (
    Case,
    Point,
    Vector,
    compare,
    defined_quotient,
    direction,
    fraction,
    identity,
    invariant,
    linear,
    not_invariant,
    orthonormal,
    projector,
    unit_vectors,
    vector,
    wrong,
)
from hw2lib.claims.tools import normal, shortfall, size, slope, spread, tensor
from hw2lib.scale_invariance import batchnorm_loss, chain_rule_gradient, function_gradient

# ---- primes

Coefficients = list[int]  # of a polynomial in one variable, the constant first


def evaluate(polynomial: Coefficients, x: Fraction) -> Fraction:
    """Return the value of a polynomial."""
    return sum((c * x**k for k, c in enumerate(polynomial)), Fraction(0))


def derived(polynomial: Coefficients) -> Coefficients:
    """Return the derivative of a polynomial."""
    return [k * c for k, c in enumerate(polynomial)][1:]


def composed(outer: Coefficients, inner: Coefficients) -> Coefficients:
    """Return the composition of two polynomials, multiplied out."""
    result = np.array([0], dtype=object)
    for coefficient in reversed(outer):  # Horner's scheme
        result = np.convolve(result, np.array(inner, dtype=object))
        result[0] += coefficient
    return list(result)


def compositions(
    rng: np.random.Generator,
) -> Iterator[tuple[str, tuple[Coefficients, Coefficients, Fraction]]]:
    """Yield two polynomials and a point: constants and the identity first."""
    yield "f constant", ([3], [0, 0, 1], Fraction(2))
    yield "g constant", ([0, 0, 1], [3], Fraction(2))
    yield "g(x) = x", ([1, 0, 2], [0, 1], Fraction(2))
    yield "g(x) = 1 + x, with g′ = 1", ([1, 0, 2], [1, 1], Fraction(2))
    yield "f = x², g = x³, at 0", ([0, 0, 1], [0, 0, 0, 1], Fraction(0))
    while True:
        f, g = ([*map(int, rng.integers(-4, 5, size(rng, low, 5)))] for low in (3, 2))
        yield f"f of degree {len(f) - 1}, g of degree {len(g) - 1}", (f, g, fraction(rng))


@claim(
    "3b-primes",
    kind="identity",
    verdict="holds",
    printed=r"Mind the difference between $f'(g(x))$ and $f(g(x))'=f'(g(x))g'(x)$.",
    statement=r"$(g\circ h)'(x)=g'(h(x))\,h'(x)$ for differentiable $g$ and $h$; the two differ by $g'(h(x))\,(h'(x)-1)$, so they are equal only where $h'(x)=1$ "
    r"or $g'(h(x))=0$.",
    family=compositions,
    exact=True,
)
def prime_at_a_point_is_not_the_prime_of_the_composite(
    case: tuple[Coefficients, Coefficients, Fraction],
) -> Trial:
    f, g, x = case
    of_composite = evaluate(derived(composed(f, g)), x)
    at_the_point, inner = evaluate(derived(f), evaluate(g, x)), evaluate(derived(g), x)
    agree = of_composite == at_the_point
    predicted = inner == 1 or at_the_point == 0
    return Trial(
        wrong(of_composite - at_the_point * inner) + (agree != predicted),
        {
            "the two are equal": wrong(of_composite - at_the_point),
            "f′(x) g′(x)": wrong(of_composite - evaluate(derived(f), x) * inner),
        },
    )


class Change(NamedTuple):
    """f′(x), u′(x), and at u(x) the derivatives of f∘u⁻¹ and of f: formulas in x, or fractions."""

    of_f: Any
    of_change: Any
    of_composite: Any
    at_the_point: Any


def changes(rng: np.random.Generator) -> Iterator[tuple[str, Change]]:
    """Yield changes of variable with a differentiable inverse, x > 0: formulas, then fractions."""
    import sympy

    x, u = sympy.symbols("x u", positive=True)
    for f, of_x, of_u in (
        (x**2, x, u),
        (x**2, x**3, sympy.cbrt(u)),
        (sympy.Integer(5), x**2, sympy.sqrt(u)),
        (x**3 + x, 2 * x - 3, (u + 3) / 2),
        (x**2 + 1 / x, sympy.log(x), sympy.exp(u)),
        (x**3, 1 / x, 1 / u),
        (x**2 - x, x / (1 + x), u / (1 - u)),
        (sympy.sin(x), x**2, sympy.sqrt(u)),
    ):
        composite = f.subs(x, of_u).diff(u).subs(u, of_x)
        change = Change(f.diff(x), of_x.diff(x), composite, f.diff(x).subs(x, of_x))
        yield f"f = {f}, u = {of_x}", change
    while True:
        a, b, c, d = (size(rng, 1, 5) for _ in range(4))
        if a * d != b * c:
            f, point = [*map(int, rng.integers(-4, 5, 4))], fraction(rng)
            description = f"f of degree 3, u = ({a}x + {b})/({c}x + {d}), x = {point}"
            yield description, fractional_linear(f, (a, b, c, d), point)


def fractional_linear(f: Coefficients, entries: tuple[int, int, int, int], x: Fraction) -> Change:
    """Return the derivatives for a polynomial and u = (ax + b)/(cx + d), with f∘u⁻¹ multiplied out.

    x = (b − du)/(cu − a), so f∘u⁻¹ = Σ fₖ (b − du)ᵏ (cu − a)ⁿ⁻ᵏ / (cu − a)ⁿ.
    """
    a, b, c, d = entries
    n = len(f) - 1

    def power(base: Coefficients, k: int) -> np.ndarray:
        return np.array(composed([0] * k + [1], base), dtype=object)

    terms = [f_k * np.convolve(power([b, -d], k), power([-a, c], n - k)) for k, f_k in enumerate(f)]
    u = (a * x + b) / (c * x + d)
    composite = derivative_of_quotient(list(np.sum(terms, axis=0)), list(power([-a, c], n)), u)
    return Change(
        evaluate(derived(f), x),
        derivative_of_quotient([b, a], [d, c], x),
        composite,
        evaluate(derived(f), u),
    )


def derivative_of_quotient(p: Coefficients, q: Coefficients, x: Fraction) -> Fraction:
    """Return the derivative of a quotient of polynomials."""
    above, below = evaluate(p, x), evaluate(q, x)
    return (evaluate(derived(p), x) * below - above * evaluate(derived(q), x)) / below**2


@claim(
    "3b-abuse",
    kind="identity",
    verdict="holds",
    printed=r"Staying in 1-D for simplicity, if $u=u(x)$ then … the term: $\frac{\partial f(u)}{\partial u}|_{u(x^*)}$ is actually "
    r"$\frac{\partial(f\circ u^{-1})(y)}{\partial y}|_{u(x^*)}$, the reparametrized version of $f$.",
    statement=r"So it is wherever the inner function has a differentiable inverse, as $u^{-1}$ implies: for $g=x^2$ and $h=x^3$ in the place of $f$ and $u$, $x\ne0$, it is $\frac23x^{-1}$ and not $g'(h)=2x^3$. (The map "
    r"$x\mapsto x/\|x\|$ has none, in 1-D as in any dimension: see claim 3b-chain.)",
    family=changes,
    exact=True,
)
def leibniz_notation_hides_a_reparametrisation(change: Change) -> Trial:
    import sympy

    def error(first_factor: Any) -> float:
        return float(sympy.cancel(first_factor * change.of_change - change.of_f) != 0)

    return Trial(
        error(change.of_composite),
        {"the derivative of f at the point u": error(change.at_the_point)},
    )


@counterexample("3b-abuse", "an inverse: u = x/‖x‖")
def two_points_in_one_direction() -> float:
    points = vector(1), vector(2)  # f∘u⁻¹ would need one value at their common direction
    directions = [point / abs(point[0]) for point in points]
    assert (directions[0] == directions[1]).all()
    return wrong(points[0] ** 2 - points[1] ** 2)


@claim(
    "3b-idempotent",
    kind="identity",
    verdict="holds",
    printed=r"$P=(I-u^ku^{kT})^2=I-u^ku^{kT}$",
    statement=r"$P^2=P$, because $u^\top u=1$.",
    family=unit_vectors,
    exact=True,
)
def projector_is_idempotent(u: Vector) -> Trial:
    def error(P: np.ndarray) -> float:
        return wrong(P @ P - P)

    reflected = identity(len(u)) - 2 * np.outer(u, u)
    halved = identity(len(u)) - np.outer(u, u) / 2
    return Trial(error(projector(u)), {"I − 2uuᵀ": error(reflected), "I − ½uuᵀ": error(halved)})


@counterexample("3b-idempotent", "uᵀu = 1")
def square_for_a_longer_vector() -> float:
    return projector_is_idempotent(vector(1, 2, 2)).error


# ---- the route


@claim(
    "3b-chain",
    kind="identity",
    verdict="sharpened",
    severity=2,
    printed=r"changing the variable inside the gradient, using chain rule and (not scale invariance) as follows: "
    r"$\nabla f(x^k)=J_x(u)\nabla f(u^k)=\frac1{\|x^k\|}(I-u^ku^{kT})\nabla f(u^k)$ … may appear to give the same result but it is not what we are "
    r"looking for, since the right-most gradient, is the reparametrized version of $f$ and not the gradient of $f$ evaluated at $u^k$.",
    statement=r"*Without* scale invariance, as the print takes it, the route proves nothing. *With* it the route is a proof, and its right-most gradient "
    r"is literally that of $f$ at $u$: invariance says $f=f\circ u$ with $u(x)=x/\|x\|$, and the chain rule for this composition is "
    r"$\nabla f(x)=\frac1{\|x\|}P\nabla f(u)$, for every $f$ with $f(\lambda x)=f(x)$ for all $\lambda>0$ wherever it has a gradient. "
    r"No other version of $f$ would give another result: $u$ has no inverse, and if $f=F\circ u$, then $F=f$ on the unit sphere, so $P\nabla F(u)=P\nabla f(u)$ where $F$ has a gradient.",
    corrected=r"with scale invariance, $f=f\circ u$, it is right: $\nabla f(x)=\frac1{\|x\|}P\nabla f(u)$, the literal gradient at $u$",
    family=invariant,
    tolerance=1e-12,
)
def chain_rule_route_is_right(case: Case) -> Trial:
    f, x = case
    g = function_gradient(f, x)

    def error(route: torch.Tensor) -> float:
        return compare(x.norm() * route, x.norm() * g)

    def another(z: torch.Tensor) -> torch.Tensor:
        """Return f on the unit sphere, and something else off it."""
        return f(z) + (z @ z - 1) * z.exp().sum()

    route, elsewhere = chain_rule_gradient(f, x), function_gradient(another, direction(x))
    return Trial(
        max(error(route), error(chain_rule_gradient(another, x))),
        {
            "without 1/‖x‖": error(route * x.norm()),
            "zero": error(0 * route),
            "another F without the projector": error(elsewhere / x.norm()),
        },
    )


@counterexample("3b-chain", "f is scale invariant: a linear function")
def route_of_a_linear_function() -> float:
    return chain_rule_route_is_right(Case(linear(tensor([1.0, 2.0])), tensor([3.0, 4.0]))).error


@counterexample("3b-chain", "f is scale invariant: batch norm with ε = 0.1")
def route_with_epsilon() -> float:
    X, y = tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), tensor([0.0, 1.0, 0.0])
    return chain_rule_route_is_right(Case(batchnorm_loss(X, y, 0.1), tensor([1.0, 2.0]))).error


def rational_directions(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Point, Vector]]]:
    """Yield quotients at points of rational length, with their directions."""
    while True:
        n, degree = size(rng, 2, 6), size(rng, 1, 3)
        u, length = orthonormal(rng, n)[0], Fraction(11, 10) * fraction(rng)
        f = defined_quotient(rng, u, degree)
        yield f"degree {degree}, {n} dimensions, ‖x‖ = {length}", (Point(f, length * u), u)


@claim(
    "3b-chain-exact",
    kind="identity",
    verdict="theorem",
    statement=r"For quotients of homogeneous polynomials of one degree, $\nabla f(x)=\frac1{\|x\|}P\nabla f(u)$ holds without rounding, and so does "
    r"$P\nabla f(u)=\nabla f(u)$.",
    family=rational_directions,
    exact=True,
)
def chain_rule_route_is_exact(case: tuple[Point, Vector]) -> Trial:
    (f, x), u = case
    length = (x @ u) / (u @ u)
    at_x, at_u = f.gradient(x), f.gradient(u)
    projected = at_u - (at_u @ u) * u
    return Trial(
        wrong(at_x - projected / length, projected - at_u), {"without 1/‖x‖": wrong(at_x - at_u)}
    )


@counterexample("3b-chain-exact", "one degree")
def route_of_degree_two_over_one() -> float:
    f = defined_quotient(np.random.default_rng(0), vector(1, 2), 1)
    other = f._replace(p={(2, 0): 1, (0, 2): 3})
    u = vector("3/5", "4/5")
    return chain_rule_route_is_exact((Point(other, 2 * u), u)).error


NODES = np.polynomial.legendre.leggauss(6)[0]


def rays(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Case, float]]]:
    """Yield functions that are not invariant, with a stretch of a ray from x to λx."""
    for description, case in not_invariant(rng):
        stretch = rng.uniform(1.5, 3)
        yield f"{description}, λ from 1 to {stretch:.2g}", (case, stretch)


@claim(
    "3b-chain-converse",
    kind="universal",
    verdict="theorem",
    statement=r"Conversely: if $\nabla f(x)=\frac1{\|x\|}P\nabla f(u)$ at every $x\ne0$, then $f$ is invariant for all $\lambda>0$. For the right-hand side is "
    r"orthogonal to $x$, so $\frac{\mathrm d}{\mathrm d\lambda}f(\lambda x)=\langle\nabla f(\lambda x),x\rangle=0$. In numbers: on the way from $x$ to "
    r"$\lambda x$ the error of the route is somewhere at least $|f(\lambda x)-f(x)|/((\lambda-1)\|x\|)$, for $\lambda>1$ and every $f$ that is differentiable on the way.",
    family=rays,
    tolerance=1e-6,
)
def route_fails_somewhere_on_every_ray_where_f_varies(case: tuple[Case, float]) -> Trial:
    (f, x), stretch = case
    scales = [float(scale) for scale in 1 + (stretch - 1) * (NODES + 1) / 2]
    route = chain_rule_gradient(f, x)  # at λx it is 1/λ of that at x
    errors = [(function_gradient(f, a * x) - route / a).norm().item() for a in scales]
    mean = abs((f(stretch * x) - f(x)).item()) / ((stretch - 1) * x.norm().item())
    return Trial(shortfall(max(errors), mean) / (mean or 1.0), {"the route is right": max(errors)})


@counterexample("3b-chain-converse", "differentiable: a jump")
def a_jump_on_the_ray() -> float:
    def jump(x: torch.Tensor) -> torch.Tensor:
        return 0 * x.sum() + float(x.norm() > 2)

    case = Case(jump, tensor([1.0, 0.0])), 3.0
    return route_fails_somewhere_on_every_ray_where_f_varies(case).error


EPSILONS = (1e-6, 1e-5, 1e-4, 1e-3)


@claim(
    "3b-chain-epsilon",
    kind="limit",
    verdict="measured",
    statement=r"With batch norm's $\varepsilon>0$ the route fails gradually: its relative error is proportional to $\varepsilon$, nearly, as long as $\varepsilon$ is small "
    r"against the variance of the unit's input. Fitted exponent {value}`exponent:.3f` ({value}`exponent_least:.3f` to {value}`exponent_most:.3f`), for "
    r"$\varepsilon$ from 10⁻⁶ to 10⁻³, units with 3, 10 and 30 inputs of variance 1, at $\|x\|=2$.",
)
def route_fails_in_proportion_to_epsilon(seed: int) -> Trial:
    exponents = {}
    for n in (3, 10, 30):
        for offset in range(4):
            rng = np.random.default_rng((seed, n, offset))
            X, y, x = normal(rng, 40, n), normal(rng, 40).tanh(), 2 * direction(normal(rng, n))
            errors = [route_error(X, y, x, eps) for eps in EPSILONS]
            exponents[f"{n} inputs, run {offset}"] = slope(EPSILONS, errors)
    found = [*exponents.values()]

    def error(expected: float, farthest: bool = True) -> float:
        """Return how far beyond 0.02 the farthest fitted exponent is, or else the nearest."""
        gaps = [abs(exponent - expected) for exponent in found]
        return max(0.0, (max(gaps) if farthest else min(gaps)) - 0.02)

    return Trial(
        error(1),
        {
            "proportional to √ε": error(0.5, farthest=False),
            "proportional to ε²": error(2, farthest=False),
        },
        spread("exponent", found),
        cases=len(found),
        worst=max(exponents, key=lambda name: abs(exponents[name] - 1)),
    )


def route_error(X: torch.Tensor, y: torch.Tensor, x: torch.Tensor, eps: float) -> float:
    """Return the relative error of the route for a unit behind batch norm."""
    f = batchnorm_loss(X, y, eps)
    g = function_gradient(f, x)
    return ((chain_rule_gradient(f, x) - g).norm() / g.norm()).item()
