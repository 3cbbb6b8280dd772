"""Claims of Solution 3(b): one step of gradient descent, seen on the sphere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_3_scale_invariance.shared import (
    Case,
    Monomials,
    Quotient,
    Step,
    Vector,
    compare,
    direction,
    fraction,
    identity,
    invariant,
    linear,
    orthonormal,
    projector,
    scaled_gradient,
    square,
    steps,
    unit_vectors,
    vector,
    wrong,
)
from hw2lib.claims.tools import jacobian, size, tensor
from hw2lib.scale_invariance import function_gradient, tangent_projector


@claim(
    "3b-normalised",
    kind="identity",
    verdict="holds",
    printed=r"dividing the equation by $\|x^{(k+1)}\|$ we get: "
    r"$u^{(k+1)}=\frac{x^k-\eta\nabla f(x^k)}{\|x^k-\eta\nabla f(x^k)\|}$",
    statement=r"The next direction is the next point over *its own* length, not the old one.",
    family=steps,
    tolerance=1e-12,
)
def next_direction_is_a_unit_vector(step: Step) -> Trial:
    f, x, rate = step
    following = x - rate * function_gradient(f, x)

    def error(u: Tensor) -> float:
        return max(
            abs(u.norm().item() - 1), compare(u * following.norm() / x.norm(), following / x.norm())
        )

    return Trial(
        error(following / following.norm()), {"over the old length": error(following / x.norm())}
    )


@claim(
    "3b-denominator",
    kind="identity",
    verdict="holds",
    printed=r"Looking at the denominator, we sense that since $\eta$ is small, this is not far away from the norm of our "
    r"current position. We take the Maclaurin expansion of the right hand side w.r.t $\eta$, to quantify this intuition.",
    statement=r"The denominator is exactly $\|x\|\sqrt{1+s^2}$ with $s=\eta\|\nabla f(u)\|/\|x\|^2$, however large $\eta$ is, because "
    r"the step is orthogonal to $x$.",
    family=steps,
    tolerance=1e-12,
)
def denominator_is_a_hypotenuse(step: Step) -> Trial:
    f, x, rate = step
    denominator = (x - rate * function_gradient(f, x)).norm().item()
    norm = x.norm().item()
    s = rate * function_gradient(f, direction(x)).norm().item() / norm**2

    def error(secant: float) -> float:
        return abs(denominator / (norm * secant) - 1)

    return Trial(
        error(math.hypot(1, s)),
        {"‖x‖": error(1), "‖x‖(1 + s)": error(1 + s), "‖x‖(1 + s²/2)": error(1 + s**2 / 2)},
    )


@counterexample("3b-denominator", "f is scale invariant")
def denominator_of_a_linear_function() -> float:
    step = Step(linear(tensor([1.0, 2.0])), tensor([3.0, 4.0]), 0.5)
    return denominator_is_a_hypotenuse(step).error


# ---- first order


def entries(rng: np.random.Generator) -> Iterator[tuple[str, int]]:
    """Yield the two kinds of entries of a Jacobian: a symbolic check covers all dimensions."""
    yield "an entry of h′(0), and a diagonal entry of the Jacobian", 1
    yield "an entry of h′(0), and another entry of the Jacobian", 0


@claim(
    "3b-jacobian",
    kind="identity",
    verdict="corrected",
    severity=1,
    printed=r"$h(0)=\frac{x^k}{\|x^k\|}=u^k$ … $h'(0)=\dots=\left(\frac1{\|x^k\|}\left(I-\frac{x^kx^{kT}}{\|x^k\|^2}\right)\right)"
    r"\cdot\left(-\frac1{\|x^k\|}\nabla f(x^k)\right)$ where we changed the variable $x^k$ to its scaled version $u^k$",
    corrected=r"$\dots\cdot\left(-\frac1{\|x\|}\nabla f(u)\right)$",
    statement=r"The last gradient has to be $\nabla f(u)$, as it is in the result that the print draws from it: the Jacobian of "
    r"$z\mapsto z/\|z\|$ is $\frac1{\|z\|}\bigl(I-\frac{zz^\top}{\|z\|^2}\bigr)$ and $\nabla f(x)=\nabla f(u)/\|x\|$; together "
    r"$h'(0)=-P\nabla f(u)/\|x\|^2$.",
    family=entries,
    exact=True,
)
def derivative_of_the_direction(delta: int) -> Trial:
    import sympy

    t = sympy.Symbol("t", real=True)  # the learning rate, or a change of one entry of g
    x, at_u, inner, square = sympy.symbols("x_i γ_i xγ γγ", real=True)
    g_i, g_j = sympy.symbols("g_i g_j", real=True)
    r = sympy.Symbol("r", positive=True)  # ‖x‖, or ‖g‖

    def at_zero(numerator: sympy.Expr, length_squared: sympy.Expr) -> sympy.Expr:
        return (numerator / sympy.sqrt(length_squared)).diff(t).subs(t, 0)

    moved = r**2 - 2 * t * inner / r + t**2 * square / r**2  # ‖x − t∇f(u)/‖x‖‖²
    derivative = at_zero(x - t * at_u / r, moved)
    first, second = (g_i, g_i) if delta else (g_i, g_j)
    jacobian = at_zero(first + t * delta, r**2 + 2 * t * second + t**2)

    def differs(power: int, projected: int = 1, power_of_jacobian: int = 1) -> float:
        entry = -(at_u - projected * x * inner / r**2) / r**power
        of_jacobian = (delta - first * second / r**2) / r**power_of_jacobian
        pairs = [(derivative, entry), (jacobian, of_jacobian)]
        return float(sum(sympy.expand(left - right) != 0 for left, right in pairs))

    return Trial(
        differs(2),
        {
            "as printed, with ∇f(x) = ∇f(u)/‖x‖": differs(3),
            "the Jacobian without 1/‖x‖": differs(1, power_of_jacobian=0),
            "without the projector": differs(2, projected=0),
        },
    )


# ---- exactly


class Turn(NamedTuple):
    """A point x = r·u and a gradient γ·ĝ there, orthogonal to x, and a step of size s = tan θ.

    All are fractions, and so are all lengths: s = (p² − q²)/2pq, and then the secant √(1 + s²) is
    (p² + q²)/2pq.
    """

    u: Vector
    r: Fraction
    heading: Vector
    length: Fraction
    rate: Fraction
    s: Fraction
    secant: Fraction


def turn(u: Vector, heading: Vector, r: Fraction, length: Fraction, p: int, q: int) -> Turn:
    """Return the step with s = (p² − q²)/2pq; if the gradient is zero, with s = 0."""
    if length == 0:
        return Turn(u, r, heading, length, Fraction(1), Fraction(0), Fraction(1))
    s, secant = Fraction(p**2 - q**2, 2 * p * q), Fraction(p**2 + q**2, 2 * p * q)
    return Turn(u, r, heading, length, s * r / length, s, secant)


def turns(rng: np.random.Generator) -> Iterator[tuple[str, Turn]]:
    """Yield steps of all sizes in 2 to 8 dimensions, a critical point first."""
    e1, e2 = vector(1, 0), vector(0, 1)
    yield "critical point", turn(e1, e2, Fraction(2), Fraction(0), 2, 1)
    yield "the plane, s = 3/4", turn(e1, e2, Fraction(3), Fraction(4), 2, 1)
    yield "s of about a millionth", turn(e1, e2, Fraction(1), Fraction(1), 10**6 + 1, 10**6)
    yield "s of about a million", turn(e1, e2, Fraction(1), Fraction(1), 10**6, 1)
    yield "‖x‖ = 10⁻⁶, s = 3/4", turn(e1, e2, Fraction(1, 10**6), Fraction(1), 2, 1)
    while True:
        n, q = size(rng, 2, 8), size(rng, 1, 9)
        p = q + size(rng, 1, 9)
        case = turn(*orthonormal(rng, n), fraction(rng), fraction(rng), p, q)
        yield f"{n} dimensions, s = {case.s}", case


def linear_form(coefficients: Vector) -> Monomials:
    """Return a linear form as a polynomial."""
    return {
        tuple(map(int, row)): c
        for row, c in zip(identity(len(coefficients)), coefficients, strict=True)
    }


@claim(
    "3b-step",
    kind="identity",
    verdict="holds",
    printed=r"$u^{(k+1)}=h(\eta)=u^k-\frac\eta{\|x^k\|^2}(I-u^ku^{kT})\nabla f(u^k)+\mathcal O(\eta^2)$",
    statement=r"Exactly: $u^+=\cos\theta\,u-\sin\theta\,\hat g$, where $\hat g$ is the direction of $\nabla f(u)$ and "
    r"$\tan\theta=s=\eta\|\nabla f(u)\|/\|x\|^2$. (Where $\nabla f(u)=0$, $u^+=u$.) The remainder has exactly the norm "
    r"$\sqrt{1+s^2}-1\le\frac12s^2$. All that is used of $f$ is that $\nabla f(x)$ is orthogonal to $x$, and every vector $c$ orthogonal "
    r"to $x$ is the gradient there of an invariant function, $z\mapsto\|x\|^2\,c^\top z/x^\top z$.",
    family=turns,
    exact=True,
)
def remainder_of_the_step_is_exact(case: Turn) -> Trial:
    u, r, heading, length, rate, s, secant = case
    x, c = r * u, length * heading
    f = Quotient(linear_form((x @ x) * c), linear_form(x))
    following = x - rate * c
    cosine, sine = 1 / secant, s / secant
    next_direction = following / (r * secant)
    gap = next_direction - (u - s * heading)
    remainder = secant - 1

    def error(c: Fraction, t: Fraction, gap_length: Fraction) -> float:
        return wrong(
            next_direction @ next_direction - 1,
            next_direction - (c * u - t * heading),
            gap @ gap - gap_length**2,
        )

    bound = max(0.0, float(remainder - s**2 / 2))
    return Trial(
        max(error(cosine, sine, remainder), bound, wrong(f.gradient(x) - c)),
        {
            "a remainder of first order, s": error(cosine, sine, s),
            "a remainder of s²/2 exactly": error(cosine, sine, s**2 / 2),
            "sin θ = s": error(cosine, s, remainder),
            "turned the other way": error(cosine, -sine, remainder),
        },
    )


@counterexample("3b-step", "orthogonal to x")
def step_along_the_point() -> float:
    u, oblique = vector(1, 0), vector("3/5", "4/5")
    return remainder_of_the_step_is_exact(turn(u, oblique, Fraction(1), Fraction(1), 2, 1)).error


@claim(
    "3b-projector",
    kind="identity",
    verdict="holds",
    printed=r"$(I-u^ku^{kT})\nabla f(u^k)$",
    statement=r"In the step of claim 3b-step the projector does nothing: $\langle\nabla f(u),u\rangle=0$, so $P\nabla f(u)=\nabla f(u)$. "
    r"The same fact gives $\|x^+\|^2=\|x\|^2+\eta^2\|\nabla f(x)\|^2$ exactly, so no step of plain gradient descent shortens $x$ "
    r"or raises the effective learning rate $\eta/\|x\|^2$.",
    family=steps,
    tolerance=1e-12,
)
def projector_is_redundant_and_the_norm_grows(step: Step) -> Trial:
    f, x, rate = step
    u, at_u = direction(x), function_gradient(f, direction(x))
    before, after = x.square().sum(), (x - rate * function_gradient(f, x)).square().sum()
    added = (rate * at_u.norm() / x.norm()).square()

    def error(grown: Tensor) -> float:
        return (after / grown - 1).abs().item()

    return Trial(
        max(compare(tangent_projector(u) @ at_u, at_u), error(before + added)),
        {
            "the norm stays": error(before),
            "the norm falls": error((before - added).abs()),
            "without the square": error(before + added.sqrt()),
        },
    )


@counterexample("3b-projector", "f is scale invariant")
def a_function_with_a_minimum() -> float:
    step = Step(square(tensor([0.0, 0.0])), tensor([3.0, 4.0]), 0.1)
    return projector_is_redundant_and_the_norm_grows(step).error


@claim(
    "3b-expand-x",
    kind="identity",
    verdict="holds",
    printed=r"you can alternatively consider the right hand side of (3) as a function of $x$ and expand it around $x^k$.",
    statement=r"It gives the same first-order step, since the same Jacobian $P/\|x\|$ appears.",
    family=invariant,
    tolerance=1e-12,
)
def expansion_in_x_is_the_same(case: Case) -> Trial:
    f, x = case
    g = function_gradient(f, x)
    moved = jacobian(lambda rows: rows / rows.norm(dim=1, keepdim=True), x) @ g * x.norm().square()
    at_u = function_gradient(f, direction(x))
    return Trial(
        compare(moved, at_u), {"the identity as Jacobian": compare(g * x.norm().square(), at_u)}
    )


# ---- the projector


def rank(matrix: np.ndarray) -> int:
    """Return the rank of a matrix of fractions, by elimination."""
    rows, found = [list(row) for row in matrix], 0
    for column in range(len(matrix)):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        top = rows[found]
        for row in rows[found + 1 :]:
            factor = row[column] / top[column]
            row[:] = [a - factor * b for a, b in zip(row, top, strict=True)]
        found += 1
    return found


@claim(
    "3b-direction",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"$P=I-uu^T$ is a projection matrix in the direction orthogonal to $u$",
    statement=r"Except in two dimensions there is no single such direction: for $\|u\|=1$, $P$ is the orthogonal projector onto the hyperplane "
    r"$u^\perp$, of rank $n-1$.",
    corrected=r"onto the hyperplane $u^\perp$",
    family=unit_vectors,
    exact=True,
)
def projector_has_rank_one_less(u: Vector) -> Trial:
    n, P = len(u), projector(u)
    across = vector(*range(1, n + 1))
    across = across - (across @ u) / (u @ u) * u
    exactly = wrong(P @ u, P @ across - across, P - P.T)
    mutants = {"of rank n": abs(rank(P) - n) + 0.0}
    if n != 2:
        mutants["onto one direction: rank 1"] = abs(rank(P) - 1) + 0.0
    return Trial(exactly + abs(rank(P) - (n - 1)), mutants)


@counterexample("3b-direction", "‖u‖ = 1")
def projector_of_a_longer_vector() -> float:
    return projector_has_rank_one_less(vector(1, 2, 2)).error


# ---- λ may depend on x

SCALES_OF_X: dict[str, Callable[[Tensor], Tensor]] = {
    "1/‖x‖": lambda x: 1 / x.norm(),
    "‖x‖": torch.linalg.vector_norm,
    "1 + 1/(1 + x₁²)": lambda x: 1 + 1 / (1 + x[0].square()),
    "1/Σ|xᵢ|": lambda x: 1 / x.abs().sum(),
    "2 or 3, by the sign of x₁": lambda x: 2.0 + (x[0] > 0),
}


def scales_of_x(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Case, Any]]]:
    """Yield invariant functions with positive scales that depend on the point."""
    cases = invariant(rng)
    while True:
        for name, scale in SCALES_OF_X.items():
            description, case = next(cases)
            yield f"{description}, λ = {name}", (case, scale)


@claim(
    "3b-lambda-x",
    kind="identity",
    verdict="holds",
    printed=r"the scale invariant property holds for any $x$ and for any $\lambda$ (even if you calculated your $\lambda$ afterwards, based on "
    r"your $x$). … we *first* take the gradient and *then* evaluate it at the point $\lambda(x)x$.",
    statement=r"So $\lambda(x)\,\nabla f(\lambda(x)x)=\nabla f(x)$ for every function $\lambda(x)>0$, with the gradient taken before the point is "
    r"put in. This $\nabla f(\lambda(x)x)$ is not, but for $\lambda(x)=1$ or $\nabla f(x)=0$, the gradient of the function $x\mapsto f(\lambda(x)x)$, which is $f$ again and has the gradient "
    r"$\nabla f(x)$.",
    family=scales_of_x,
    tolerance=1e-12,
)
def scale_may_depend_on_the_point(case: tuple[Case, Callable[[Tensor], Tensor]]) -> Trial:
    (f, x), scale = case
    at_x, chosen = scaled_gradient(f, x), scale(x)
    there = x.norm() * function_gradient(f, chosen * x)
    total = scaled_gradient(lambda z: f(scale(z) * z), x)
    return Trial(
        max(compare(chosen * there, at_x), compare(total, at_x)),
        {"∇f(λ(x)x) is the gradient of x ↦ f(λ(x)x)": compare(chosen * there, chosen * total)},
    )


@counterexample("3b-lambda-x", "f is scale invariant")
def scale_of_a_linear_function() -> float:
    case = Case(linear(tensor([1.0, 2.0])), tensor([3.0, 4.0]))
    return scale_may_depend_on_the_point((case, SCALES_OF_X["1/‖x‖"])).error
