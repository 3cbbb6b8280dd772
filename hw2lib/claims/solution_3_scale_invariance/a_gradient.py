"""Claims of Solution 3(a): the gradient at λx."""

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
    EVEN,
    POSITIVE,
    Case,
    Monomials,
    Point,
    Quotient,
    Vector,
    compare,
    cosine,
    critical,
    direction,
    fraction,
    invariant,
    not_invariant,
    polynomial,
    product,
    quotients,
    random_cases,
    scaled_gradient,
    unit_on_data,
    vector,
    whole_vector,
    wrong,
)
from hw2lib.claims.tools import largest, normal, size, tensor
from hw2lib.scale_invariance import Function, function_gradient


def everywhere(rng: np.random.Generator) -> Iterator[tuple[str, None]]:
    """Yield the one case of a symbolic check."""
    yield "all x ≠ 0, all y, all λ ≠ 0", None


@claim(
    "3a-example",
    kind="identity",
    verdict="holds",
    printed=r"$f(x,y)=\frac yx$ which is clearly a scale invariant function and calculate its gradient: "
    r"$\nabla f(x,y)=\begin{bmatrix}-y/x^2\\1/x\end{bmatrix}$",
    statement=r"For $f(x)=x_2/x_1$, all $x_1\ne0$, $x_2$ and $\lambda\ne0$: $f(\lambda x)=f(x)$, the gradient is "
    r"$(-x_2/x_1^2,\,1/x_1)$, and at $\lambda x$ it is $1/\lambda$ times that.",
    family=everywhere,
    exact=True,
)
def ratio_is_invariant(case: None) -> Trial:
    import sympy

    x, y, scale = sympy.symbols("x y λ", nonzero=True)
    f = y / x
    gradient = [sympy.diff(f, variable) for variable in (x, y)]
    there = [entry.subs({x: scale * x, y: scale * y}, simultaneous=True) for entry in gradient]

    def unequal(pairs: list[tuple[sympy.Expr, sympy.Expr]]) -> float:
        return float(sum(sympy.cancel(left - right) != 0 for left, right in pairs))

    right = [-y / x**2, 1 / x]
    return Trial(
        unequal(
            [
                (f.subs({x: scale * x, y: scale * y}, simultaneous=True), f),
                *zip(gradient, right, strict=True),
                *((scale * far, near) for far, near in zip(there, right, strict=True)),
            ]
        ),
        {
            "flipped sign": unequal([(gradient[0], y / x**2)]),
            "swapped": unequal(list(zip(gradient, right[::-1], strict=True))),
            "λ times the gradient": unequal([(there[0], scale * right[0])]),
        },
    )


# ---- the rule


class Scaled(NamedTuple):
    """A function, a point, and a λ for which f(λ·) = f."""

    f: Function
    x: Tensor
    scale: float


def log_periodic(c: Tensor) -> Function:
    """Return an odd function that changes its sign at 2x: f(−2x) = f(x), but f(−x) ≠ f(x)."""
    return lambda x: cosine(c)(x) * torch.cos(math.pi * x.norm().log2())


def scaled_cases(rng: np.random.Generator) -> Iterator[tuple[str, Scaled]]:
    """Yield functions with a λ for which they are invariant: positive, negative, a single one."""
    for description, case in critical(rng):
        yield f"{description}, λ = 3", Scaled(*case, 3.0)
    even, positive = random_cases(rng, EVEN), random_cases(rng, POSITIVE)
    while True:
        scale = 10 ** rng.uniform(-3, 3)
        description, case = next(positive)
        yield f"{description}, λ = {scale:.2g}", Scaled(*case, scale)
        description, case = next(even)
        yield f"{description}, λ = −{scale:.2g}", Scaled(*case, -scale)
        case = Case(log_periodic(normal(rng, 4)), normal(rng, 4))
        scale = float(rng.choice([-2.0, 4.0, -0.5, 0.25]))
        yield f"odd and log-periodic, λ = {scale:g}", Scaled(*case, scale)


def scaling_error(case: Scaled, power: int = -1) -> float:
    """Return the error of ∇f(λx) = λ^power ∇f(x), both gradients times ‖x‖."""
    f, x, scale = case
    there = scale * x.norm() * function_gradient(f, scale * x)
    return compare(there, scale ** (power + 1) * scaled_gradient(f, x))


@claim(
    "3a-scaling",
    kind="identity",
    verdict="holds",
    printed=r"applying a perturbation $h$ at the point $\lambda x$ ($\lambda\ne0$) … from scale invariance "
    r"of $f$, $=\frac1\lambda\lim_{\alpha\to0}\frac{f((\mathbf x_{-i},x_i+\alpha))-f((\mathbf x_{-i},x_i))}"
    r"{\alpha}=\frac1\lambda\frac{\partial f(x)}{\partial x_i}$",
    statement=r"$\nabla f(\lambda x)=\frac1\lambda\nabla f(x)$ wherever $f$ has a gradient, for every "
    r"$\lambda\ne0$ with $f(\lambda\,\cdot)=f$. Which $\lambda$ these are depends on $f$: all of them for $x_2/x_1$ and a "
    r"Rayleigh quotient, the positive ones for a unit behind batch norm ($\varepsilon=0$) and for $c^\top x/\|x\|$, "
    r"only the powers of one number in other cases.",
    family=scaled_cases,
    tolerance=1e-12,
)
def gradient_scales_inversely(case: Scaled) -> Trial:
    return Trial(
        scaling_error(case),
        {
            "the same gradient": scaling_error(case, 0),
            "λ times the gradient": scaling_error(case, 1),
        },
    )


@counterexample("3a-scaling", "f(λ·) = f: λ = −2 for c·x/‖x‖")
def negative_scale_of_an_odd_function() -> float:
    return scaling_error(Scaled(cosine(tensor([1.0, 2.0])), tensor([3.0, 1.0]), -2.0))


@counterexample("3a-scaling", "f(λ·) = f: λ = −2 for a unit behind batch norm")
def negative_scale_of_a_normalised_unit() -> float:
    f = unit_on_data(np.random.default_rng(0), 3)
    return scaling_error(Scaled(f, tensor([1.0, -0.5, 0.5]), -2.0))


@counterexample("3a-scaling", "f(λ·) = f: batch norm with ε = 0.1")
def batch_norm_with_epsilon() -> float:
    f = unit_on_data(np.random.default_rng(0), 3, 0.1)
    return scaling_error(Scaled(f, tensor([1.0, -0.5, 0.5]), 3.0))


@counterexample("3a-scaling", "f(λ·) = f for this λ: λ = 2 where only f(−2x) = f(x)")
def another_scale_of_a_log_periodic_function() -> float:
    return scaling_error(Scaled(log_periodic(tensor([1.0, 2.0])), tensor([3.0, 1.0]), 2.0))


def radial(f: Function, x: Tensor) -> float:
    """Return the component of ‖x‖∇f(x) along x."""
    return abs((scaled_gradient(f, x) @ direction(x)).item())


@claim(
    "3a-euler",
    kind="identity",
    verdict="theorem",
    statement=r"$\langle\nabla f(x),x\rangle=0$ wherever $f$ has a gradient, if $f(\lambda x)=f(x)$ for all $\lambda>0$.",
    family=invariant,
    tolerance=1e-12,
)
def gradient_is_orthogonal_to_the_point(case: Case) -> Trial:
    f, x = case
    g = scaled_gradient(f, x)
    return Trial(
        radial(f, x),
        {"the gradient is zero": largest(g), "it points along x": compare(g, direction(x))},
    )


@counterexample("3a-euler", "all λ > 0: a function with f(−2x) = f(x)")
def one_scale_is_not_enough() -> float:
    return radial(log_periodic(tensor([1.0, 2.0])), tensor([3.0, 1.0]))


def forms(rng: np.random.Generator) -> Iterator[tuple[str, Quotient]]:
    """Yield quotients of homogeneous polynomials of one degree."""
    yield "y/x", Quotient({(0, 1): 1}, {(1, 0): 1})
    yield "constant", Quotient({(1, 1): 2}, {(1, 1): 1})
    yield "Rayleigh quotient", Quotient({(2, 0): 3, (1, 1): 2}, {(2, 0): 1, (0, 2): 1})
    for degree in (1, 1, 2, 2, 3, 3, 4):
        n = size(rng, 2, 5)
        p, q = (polynomial(rng, n, degree) for _ in range(2))
        yield f"degree {degree}, {n} variables", Quotient(p, q)


@claim(
    "3a-rational",
    kind="identity",
    verdict="theorem",
    statement=r"For quotients of homogeneous polynomials of one degree, $\lambda\nabla f(\lambda x)=\nabla f(x)$ and "
    r"$\langle\nabla f(x),x\rangle=0$ are identities of rational functions: they hold for all $x$ at which $f$ is defined and "
    r"all $\lambda\ne0$ at once.",
    family=forms,
    exact=True,
)
def rational_functions_obey_both(form: Quotient) -> Trial:
    from sympy import QQ
    from sympy.polys.fields import field

    n = len(next(iter(form.p)))
    K, *variables, scale = field([*(f"x{i}" for i in range(n)), "λ"], QQ)
    x = variables

    def written(monomials: Monomials) -> Any:
        return sum((c * product(x, exponents) for exponents, c in monomials.items()), K.zero)

    def far(f: Any) -> Any:
        """Return a rational function at λx."""
        moved = [(v.numer, (scale * v).numer) for v in x]
        return K(f.numer.compose(moved)) / K(f.denom.compose(moved))

    f = written(form.p) / written(form.q)
    gradient = [f.diff(variable) for variable in x]
    euler = sum((a * b for a, b in zip(gradient, x, strict=True)), K.zero)
    there = [far(entry) for entry in gradient]

    def unequal(left: list, right: list) -> float:
        return float(sum(a != b for a, b in zip(left, right, strict=True)))

    return Trial(
        unequal([scale * entry for entry in there], gradient) + unequal([euler], [K.zero]),
        {
            "the same gradient": unequal(there, gradient),
            "homogeneous of degree 1": unequal([euler], [f]),
        },
    )


@counterexample("3a-rational", "one degree")
def degrees_two_over_one() -> float:
    f, x, scale = Quotient({(2, 0): 1, (0, 2): 1}, {(1, 0): 1}), vector(1, 2), Fraction(3)
    return wrong(scale * f.gradient(scale * x) - f.gradient(x), f.gradient(x) @ x)


# ---- the two readings and the limit


class Reading(NamedTuple):
    """A function, a point and a scale."""

    f: Function
    x: Tensor
    scale: float


def readings(rng: np.random.Generator) -> Iterator[tuple[str, Reading]]:
    """Yield all sorts of differentiable functions, invariant or not, with positive and negative λ."""
    for description, case in critical(rng):
        yield f"{description}, λ = 3", Reading(*case, 3.0)
    sources = random_cases(rng, EVEN | POSITIVE), not_invariant(rng)
    while True:
        for source in sources:
            description, case = next(source)
            scale = 10 ** rng.uniform(-1, 1) * rng.choice([-1, 1])
            yield f"{description}, λ = {scale:.2g}", Reading(*case, float(scale))


def perturbed(f: Function, point: Tensor) -> Tensor:
    """Return the derivatives by perturbing the entries one by one, to fourth order."""
    h = 1e-3 * point.norm()
    moves = h * torch.eye(len(point), dtype=torch.float64)

    def central(multiple: int) -> Tensor:
        both = [[f(point + sign * multiple * move) for move in moves] for sign in (1, -1)]
        return (torch.stack(both[0]) - torch.stack(both[1])) / (2 * multiple * h)

    return (4 * central(1) - central(2)) / 3


@claim(
    "3a-readings",
    kind="identity",
    verdict="holds",
    printed=r"We can think the notation $\nabla_{\lambda x}f(\lambda x)$ in 2 ways. Firstly, as calculating the gradient "
    r"of $f(x)$ and then evaluating that gradient at the point $\lambda x$ … Secondly … applying a perturbation $h$ at the "
    r"point $\lambda x$",
    statement=r"The two give the same for every $f$ with a gradient at $\lambda x$, invariant or not, and every "
    r"$\lambda\ne0$. Differentiating $x\mapsto f(\lambda x)$ gives $\lambda$ times that. (To {value}`error:.1g` here, because "
    r"the limit of the perturbations is taken numerically.)",
    family=readings,
    tolerance=1e-5,
)
def two_readings_agree(case: Reading) -> Trial:
    f, x, scale = case
    point = scale * x
    by_perturbation = point.norm() * perturbed(f, point)

    def error(gradient: Tensor) -> float:
        return compare(point.norm() * gradient, by_perturbation)

    return Trial(
        error(function_gradient(f, point)),
        {"the derivative of x ↦ f(λx)": error(function_gradient(lambda z: f(scale * z), x))},
    )


class Perturbation(NamedTuple):
    """An invariant function of fractions, a point, an entry of it, a scale, and a step."""

    f: Callable[[Vector], Fraction]
    x: Vector
    entry: int
    scale: Fraction
    alpha: Fraction


ROUGH: dict[str, Callable[[Vector], Fraction]] = {
    "largest entry over the sum": lambda x: max(map(abs, x)) / sum(map(abs, x)),
    "ReLU of an entry over the sum, λ > 0 only": lambda x: (
        max(x[0], Fraction(0)) / sum(map(abs, x))
    ),
}


def sign(x: Vector) -> Fraction:
    """Return the sign of the first entry: invariant for λ > 0 only, and not continuous."""
    return Fraction((x[0] > 0) - (x[0] < 0))


def perturbations(rng: np.random.Generator) -> Iterator[tuple[str, Perturbation]]:
    """Yield invariant functions, smooth or not, with steps that need not be small."""
    smooth = quotients(rng)
    while True:
        scale = Fraction(11, 10) * fraction(rng)
        alpha = fraction(rng) * Fraction(1, 10 ** size(rng, 0, 6))
        x = fraction(rng) * whole_vector(rng, size(rng, 2, 6))
        x[0], x[1] = fraction(rng), fraction(rng)
        for kind, f in ROUGH.items():
            case = Perturbation(f, x, 0, scale, alpha)
            yield f"{kind}, λ = {scale}, α = {float(alpha):.2g}", case
        case = Perturbation(sign, x, 0, scale, -x[0] - alpha)
        yield f"sign of the first entry, across 0, λ = {scale}", case
        description, (smooth_f, x) = next(smooth)
        scale *= (-1) ** size(rng, 0, 1)
        case = Perturbation(smooth_f.__call__, x, size(rng, 0, len(x) - 1), scale, alpha)
        if defined(case):
            yield f"{description}, λ = {scale}, α = {float(alpha):.2g}", case


def defined(case: Perturbation) -> bool:
    """Say whether a quotient is defined at the perturbed points too."""
    try:
        quotient(case.f, case.x, case.entry, case.alpha)
        quotient(case.f, case.scale * case.x, case.entry, case.alpha)
    except ZeroDivisionError:
        return False
    return True


def quotient(f: Callable[[Vector], Fraction], x: Vector, index: int, step: Fraction) -> Fraction:
    """Return the difference quotient of a function in one entry."""
    moved = x.copy()
    moved[index] += step
    return (f(moved) - f(x)) / step


@claim(
    "3a-limit",
    kind="identity",
    verdict="holds",
    printed=r"To exploit the scale invariance, we will change the variable in the limit and set $\alpha=h/\lambda$. It is "
    r"clear that when $h\to0$, also $\alpha\to0$.",
    statement=r"The difference quotient at $\lambda x$ with step $\lambda\alpha$ is exactly $1/\lambda$ times that at $x$ with "
    r"step $\alpha$: not only in the limit, but for every $\alpha\ne0$ for which it is defined, smooth $f$ or not, as long as $f(\lambda\,\cdot)=f$.",
    family=perturbations,
    exact=True,
)
def substitution_is_exact_before_the_limit(case: Perturbation) -> Trial:
    f, x, index, scale, alpha = case
    near = quotient(f, x, index, alpha)
    far = quotient(f, scale * x, index, scale * alpha)
    return Trial(
        wrong(far - near / scale),
        {
            "without 1/λ": wrong(far - near),
            "step α instead of λα": wrong(quotient(f, scale * x, index, alpha) - near / scale),
        },
    )


@counterexample("3a-limit", "f(λ·) = f")
def quotient_of_a_linear_function() -> float:
    def total(x: Vector) -> Fraction:
        return sum(x, Fraction(0))

    x, scale = vector(1, 2), Fraction(3)
    return wrong(quotient(total, scale * x, 0, scale) - quotient(total, x, 0, Fraction(1)) / scale)


@claim(
    "3a-reference",
    kind="identity",
    verdict="corrected",
    severity=1,
    printed=r"So, (3) is equivalent to: $=\lim_{\alpha\to0}\frac{f(\lambda\mathbf x_{-i},\lambda x_i+\lambda\alpha)-"
    r"f(\lambda\mathbf x_{-i},\lambda x_i)}{\lambda\alpha}=\dots$",
    statement=r"A slip in the number: it is the print's (1), the partial derivative at $\lambda x$, that is rewritten there. Its (3) "
    r"is the normalised step of part (b).",
    corrected="the print's (1) is equivalent to",
    family=quotients,
    exact=True,
)
def reference_is_to_the_partial_derivative(case: Point) -> Trial:
    f, x = case
    scale, rate = Fraction(3, 2), Fraction(1, 10)
    gradient = f.gradient(scale * x)
    rewritten = f.gradient(x) / scale
    step = scale * x - rate * gradient
    squares = step**2 / (step @ step)  # of the entries of (3), whose length need not be rational
    return Trial(wrong(gradient - rewritten), {"equivalent to (3)": wrong(squares - rewritten**2)})
