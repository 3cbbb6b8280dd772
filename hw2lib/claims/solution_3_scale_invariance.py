"""Claims of Solution 3: functions with f(λx) = f(x)."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from hw2lib.claims.registry import Evidence, claim
from hw2lib.claims.tools import largest, random
from hw2lib.scale_invariance import (
    Function,
    batchnorm_loss,
    chain_rule_gradient,
    descend,
    equilibrium_angle,
    function_gradient,
    norms_after,
    sphere_step,
    tangent_projector,
)

# ---- functions and points that several checks share


def ratio(x: Tensor) -> Tensor:
    """Return y/x, the example of the original."""
    return x[1] / x[0]


def cosine(x: Tensor) -> Tensor:
    """Return the cosine of the angle to a fixed vector: it flips its sign with x."""
    c = random(len(x), seed=7)
    return c @ x / x.norm()


def rayleigh(x: Tensor) -> Tensor:
    """Return a Rayleigh quotient, invariant to every scale but 0."""
    M = random(len(x), len(x), seed=8)
    return x @ (M + M.T) @ x / (x @ x)


def quadratic(x: Tensor) -> Tensor:
    """Return a loss without batch norm: not invariant."""
    return (x - random(len(x), seed=9)).square().sum()


@cache
def unit_behind_batchnorm(eps: float = 0.0) -> Function:
    """Return the loss of a unit behind batch norm."""
    return batchnorm_loss(random(30, 6), random(30, seed=1).tanh(), eps)


def invariant_functions() -> list[Function]:
    """Return three functions with f(λx) = f(x) for λ > 0."""
    return [cosine, rayleigh, unit_behind_batchnorm()]


def direction(x: Tensor) -> Tensor:
    """Return x/‖x‖."""
    return x / x.norm()


def next_direction(function: Function, x: Tensor, rate: float) -> Tensor:
    """Return the direction after one step of gradient descent."""
    return direction(x - rate * function_gradient(function, x))


POINT = random(6, seed=2) * 1.7


# ---- 3(a): the gradient at λx


@claim(
    "3a-example",
    verdict="holds",
    printed="$f(x,y)=y/x$ is scale invariant, with the gradient $(-y/x^2,1/x)$.",
    statement="For $x\\ne0$ and every $\\lambda\\ne0$: $f(\\lambda x,\\lambda y)=f(x,y)$, and the gradient "
    "is $(-y/x^2,\\,1/x)$.",
)
def ratio_is_invariant() -> Evidence:
    x, y = 2.0, 3.0
    point = torch.tensor([x, y], dtype=torch.float64)
    gradient = function_gradient(ratio, point)
    invariance = max(abs(ratio(scale * point) - ratio(point)).item() for scale in (-3.0, 0.2, 10.0))

    def error(*expected: float) -> float:
        return largest(gradient - torch.tensor(expected, dtype=torch.float64))

    return Evidence(
        max(invariance, error(-y / x**2, 1 / x)),
        1e-14,
        {"flipped sign": error(y / x**2, 1 / x), "swapped": error(1 / x, -y / x**2)},
        "gradient (−3/4, 1/2) at (2, 3)",
    )


def scaling_error(function: Function, scale: float, power: float = -1.0) -> float:
    """Return the relative error of ∇f(λx) = λ^power ∇f(x)."""
    at_x = function_gradient(function, POINT)
    there = function_gradient(function, scale * POINT)
    return ((there - scale**power * at_x).norm() / there.norm()).item()


@claim(
    "3a-scaling",
    verdict="conditional",
    printed="$\\nabla f(\\lambda x)=\\nabla f(x)/\\lambda$ for $\\lambda\\ne0$.",
    statement="True for every $\\lambda$ for which $f(\\lambda\\,\\cdot)=f$: for what batch norm gives, "
    "$\\lambda>0$, and exactly only with $\\varepsilon=0$. For $f(x)=c^\\top x/\\|x\\|$ a negative "
    "$\\lambda$ flips the sign of $f$, and of the rule.",
    corrected="for $\\lambda>0$ (all $\\lambda\\ne0$ if $f$ is even), and batch norm with $\\varepsilon=0$",
)
def gradient_scales_inversely() -> Evidence:
    functions = invariant_functions()
    return Evidence(
        max(
            *(scaling_error(f, scale) for f in functions for scale in (0.01, 0.5, 3.0, 100.0)),
            scaling_error(rayleigh, -2.0),
        ),
        1e-11,
        {
            "the same gradient": min(scaling_error(f, 3.0, 0) for f in functions),
            "λ times the gradient": min(scaling_error(f, 3.0, 1) for f in functions),
            "λ = −2 for cᵀx/‖x‖": scaling_error(cosine, -2.0),
            "batch norm with ε = 0.1": scaling_error(unit_behind_batchnorm(0.1), 3.0),
        },
        f"to {max(scaling_error(f, 3.0) for f in functions):.0e} for three functions",
    )


@claim(
    "3a-readings",
    verdict="holds",
    printed="The gradient at $\\lambda x$ can be read in two ways, which agree.",
    statement="Evaluating the gradient at the point $\\lambda x$, and perturbing the entries of $\\lambda x$ "
    "one by one, give the same. Differentiating $x\\mapsto f(\\lambda x)$ gives $\\lambda$ times that.",
)
def two_readings_agree() -> Evidence:
    scale, h = 3.0, 1e-5
    f = unit_behind_batchnorm()
    steps = h * torch.eye(6, dtype=torch.float64)
    perturbed = torch.stack(
        [(f(scale * POINT + e) - f(scale * POINT - e)) / (2 * h) for e in steps]
    )
    evaluated = function_gradient(f, scale * POINT)
    composed = function_gradient(lambda x: f(scale * x), POINT)
    return Evidence(
        largest(evaluated - perturbed),
        1e-9,
        {"the derivative of x ↦ f(λx)": largest(composed - perturbed)},
        f"to {largest(evaluated - perturbed):.0e}",
    )


def quotient(point: Tensor, step: float, index: int = 2) -> float:
    """Return the difference quotient of a fixed function in one coordinate."""
    f = unit_behind_batchnorm()
    moved = point.clone()
    moved[index] += step
    return ((f(moved) - f(point)) / step).item()


@claim(
    "3a-limit",
    verdict="holds",
    printed="In the limit, substitute $h=\\lambda\\alpha$.",
    statement="The difference quotient at $\\lambda x$ with step $\\lambda\\alpha$ is $1/\\lambda$ times that "
    "at $x$ with step $\\alpha$: not only in the limit, but for every $\\alpha$.",
)
def substitution_is_exact_before_the_limit() -> Evidence:
    scale, alpha = 3.0, 0.5
    right = quotient(POINT, alpha) / scale
    return Evidence(
        abs(quotient(scale * POINT, scale * alpha) - right),
        1e-13,
        {
            "step α instead of λα": abs(quotient(scale * POINT, alpha) - right),
            "without 1/λ": abs(quotient(scale * POINT, scale * alpha) - scale * right),
        },
        "equal at the finite step α = 1/2",
    )


@claim(
    "3a-reference",
    verdict="corrected",
    severity=1,
    printed='"(3) is equivalent to" the expression after the substitution.',
    statement="It is equivalent to the print's (1), the partial derivative; the print's (3) is the normalised step of "
    "part (b).",
    corrected="equivalent to the print's (1)",
)
def reference_is_to_the_partial_derivative() -> Evidence:
    scale, index = 3.0, 2
    f = unit_behind_batchnorm()
    substituted = quotient(POINT, 1e-6, index) / scale
    derivative = function_gradient(f, scale * POINT)[index].item()
    step = next_direction(f, scale * POINT, 0.1)[index].item()
    return Evidence(
        abs(substituted - derivative),
        1e-5,
        {"equivalent to (3)": abs(substituted - step)},
        f"(2) is {substituted:.5f}, (1) is {derivative:.5f}, the entry of (3) {step:.5f}",
    )


# ---- 3(b): one step of gradient descent


@claim(
    "3b-normalised",
    verdict="holds",
    printed="$u^{(k+1)}=(x-\\eta\\nabla f(x))/\\|x-\\eta\\nabla f(x)\\|$.",
    statement="The next direction is the next point over *its own* length.",
)
def next_direction_is_a_unit_vector() -> Evidence:
    f = unit_behind_batchnorm()
    g = function_gradient(f, POINT)
    u = sphere_step(POINT, g, 0.5).u

    def error(vector: Tensor) -> float:
        return abs(vector.norm().item() - 1)

    return Evidence(
        max(error(u), largest(u - next_direction(f, POINT, 0.5))),
        1e-14,
        {"over the old length": error((POINT - 0.5 * g) / POINT.norm())},
        "length 1",
    )


@claim(
    "3b-denominator",
    verdict="sharpened",
    severity=1,
    printed="For small $\\eta$ its denominator is not far from $\\|x\\|$.",
    statement="The denominator is exactly $\\|x\\|\\sqrt{1+s^2}$ with $s=\\eta\\|\\nabla f(u)\\|/\\|x\\|^2$, "
    "because the step is orthogonal to $x$.",
    corrected="exactly $\\|x\\|\\sqrt{1+s^2}$",
)
def denominator_is_a_hypotenuse() -> Evidence:
    f, rate = unit_behind_batchnorm(), 2.0
    g = function_gradient(f, POINT)
    norm = POINT.norm().item()
    at_u = function_gradient(f, direction(POINT)).norm().item()
    denominator = (POINT - rate * g).norm().item()
    s = rate * at_u / norm**2

    def error(value: float) -> float:
        return abs(denominator - value)

    return Evidence(
        error(norm * math.sqrt(1 + s**2)),
        1e-13,
        {
            "‖x‖": error(norm),
            "s over ‖x‖ instead of ‖x‖²": error(norm * math.sqrt(1 + (s * norm) ** 2)),
            "‖x‖(1 + s)": error(norm * (1 + s)),
        },
        f"s = {s:.3f}, to {error(norm * math.sqrt(1 + s**2)):.0e}",
    )


@claim(
    "3b-jacobian",
    verdict="corrected",
    severity=1,
    printed="$h(0)=u$, and $h'(0)=\\frac1{\\|x\\|}(I-uu^\\top)\\bigl(-\\frac1{\\|x\\|}\\nabla f(x)\\bigr)$ in the last "
    "intermediate line; the result after it has $\\nabla f(u)$.",
    corrected="$\\nabla f(u)$ in the intermediate line; the result is right",
    statement="The Jacobian of $g\\mapsto g/\\|g\\|$ is $(I-uu^\\top)/\\|g\\|$, and $\\nabla f(x)$ is "
    "$\\nabla f(u)/\\|x\\|$; together $h'(0)=-P\\nabla f(u)/\\|x\\|^2$.",
)
def derivative_of_the_direction() -> Evidence:
    f = unit_behind_batchnorm()
    g, norm = function_gradient(f, POINT), POINT.norm()
    zero = torch.zeros((), dtype=torch.float64)
    derivative = torch.autograd.functional.jacobian(lambda rate: direction(POINT - rate * g), zero)
    P = tangent_projector(direction(POINT))
    at_u = function_gradient(f, direction(POINT))
    return Evidence(
        largest(derivative + P @ at_u / norm**2),
        1e-13,
        {
            "the Jacobian without 1/‖x‖": largest(derivative + P @ at_u / norm),
            "as printed in between, ∇f(x)/‖x‖": largest(derivative + P @ g / norm**2),
            "without both factors 1/‖x‖": largest(derivative + P @ at_u),
        },
        f"to {largest(derivative + P @ at_u / norm**2):.0e}",
    )


@cache
def many_steps() -> Tensor:
    """Return s, the distance from the first-order step, and the formula's, for 300 steps."""
    rows = []
    for seed in range(100):
        x = random(6, seed=seed) + 0.1
        for function, rate in zip(invariant_functions(), (0.01, 0.3, 3.0), strict=True):
            g = function_gradient(function, x)
            step = sphere_step(x, g, rate)
            s = step.angle.tan()
            first_order = direction(x) - rate * g / x.norm()
            measured = (next_direction(function, x, rate) - first_order).norm()
            rows.append(torch.stack([s, measured, step.remainder]))
    return torch.stack(rows)


@claim(
    "3b-step",
    verdict="sharpened",
    severity=1,
    printed="$u^{(k+1)}=u-\\frac{\\eta}{\\|x\\|^2}(I-uu^\\top)\\nabla f(u)+O(\\eta^2)$.",
    statement="Exactly $u^{(k+1)}=\\cos\\theta\\,u-\\sin\\theta\\,\\hat g$ with "
    "$\\tan\\theta=s=\\eta\\|\\nabla f(u)\\|/\\|x\\|^2$. The remainder has exactly the norm "
    "$\\sqrt{1+s^2}-1\\le s^2/2$, so the order 2 is attained.",
    corrected="remainder exactly $\\sqrt{1+s^2}-1$",
)
def remainder_of_the_step_is_exact() -> Evidence:
    s, measured, formula = many_steps().T
    u, x = direction(POINT), POINT
    g = function_gradient(unit_behind_batchnorm(), x)
    step = sphere_step(x, g, 2.0)
    rotated = step.angle.cos() * u - step.angle.sin() * direction(g)
    visible = s > 1e-3
    return Evidence(
        max(largest(measured - formula), largest(rotated - step.u)),
        1e-13,
        {
            "first order: a remainder of size s": largest(measured - s),
            "s²/2 exactly": largest(measured - s.square() / 2),
            "tan θ for θ": largest(
                torch.cos(step.angle.tan()) * u
                - torch.sin(step.angle.tan()) * direction(g)
                - step.u
            ),
        },
        f"{len(s)} steps, s up to {s.max():.1f}; {int(visible.sum())} with s above 1/1000",
    )


@claim(
    "3b-projector",
    verdict="sharpened",
    severity=2,
    printed="The first-order step contains the projector $I-uu^\\top$.",
    statement="It does nothing there: by Euler $\\langle\\nabla f(x),x\\rangle=0$, so $P\\nabla f=\\nabla f$. "
    "The consequence that the print misses: $\\|x^{(k+1)}\\|^2=\\|x\\|^2+\\eta^2\\|\\nabla f(x)\\|^2$ "
    "exactly, so no step shortens $x$ or raises the effective learning rate $\\eta/\\|x\\|^2$.",
    corrected="$P\\nabla f=\\nabla f$, and the norm only grows",
)
def projector_is_redundant_and_the_norm_grows() -> Evidence:
    def radial(function: Function) -> float:
        u = direction(POINT)
        g = function_gradient(function, u)
        return largest(tangent_projector(u) @ g - g)

    def growth(function: Function) -> float:
        path = descend(function, POINT, 0.05, 40)
        gradients = path.gradient_norms / path.norms[:-1]
        predicted = path.norms[:-1].square() + 0.05**2 * gradients.square()
        return largest(path.norms[1:].square() - predicted)

    functions = invariant_functions()
    return Evidence(
        max(*map(radial, functions), *map(growth, functions)),
        1e-12,
        {
            "a loss without batch norm: P changes it": radial(quadratic),
            "a loss without batch norm: the norm": growth(quadratic),
        },
        f"to {max(map(growth, functions)):.0e} over 40 steps of three functions",
    )


@claim(
    "3b-expand-x",
    verdict="holds",
    printed="One can also expand $x/\\|x\\|$ around the current point.",
    statement="Expanding the direction in $x$ instead of in $\\eta$ gives the same first-order step, "
    "since the same Jacobian $P/\\|x\\|$ appears.",
)
def expansion_in_x_is_the_same() -> Evidence:
    f, rate = unit_behind_batchnorm(), 0.3
    g = function_gradient(f, POINT)
    jacobian = torch.autograd.functional.jacobian(direction, POINT)
    in_x = direction(POINT) - rate * jacobian @ g
    in_rate = direction(POINT) - rate * function_gradient(f, direction(POINT)) / POINT.norm() ** 2
    return Evidence(
        largest(in_x - in_rate),
        1e-13,
        {"the identity as Jacobian": largest(direction(POINT) - rate * g - in_rate)},
        f"to {largest(in_x - in_rate):.0e}",
    )


@claim(
    "3b-direction",
    verdict="sharpened",
    severity=1,
    printed='$I-uu^\\top$ projects "in the direction orthogonal to $u$".',
    statement="There is no single such direction: it projects onto the hyperplane $u^\\perp$, and has "
    "rank $n-1$.",
    corrected="onto the hyperplane $u^\\perp$",
)
def projector_has_rank_one_less() -> Evidence:
    u = direction(POINT)
    P = tangent_projector(u)
    v = random(6, seed=3)
    v = v - (v @ u) * u

    def error(trace: float) -> float:
        return abs(P.trace().item() - trace)

    return Evidence(
        max(error(5), largest(P @ u), largest(P @ v - v)),
        1e-14,
        {"onto one direction: trace 1": error(1), "trace n": error(6)},
        "rank 5 in 6 dimensions",
    )


@claim(
    "3b-lambda-x",
    verdict="holds",
    printed="The rule may be used with $\\lambda=1/\\|x\\|$, although it depends on $x$.",
    statement="The gradient is taken before the point is put in: $\\nabla f(u)=\\|x\\|\\,\\nabla f(x)$ at $u=x/\\|x\\|$. It "
    "is not the derivative of $x\\mapsto f(\\lambda(x)x)$, which is that of $f$ again.",
)
def scale_may_depend_on_the_point() -> Evidence:
    def error(function: Function) -> float:
        at_u = function_gradient(function, direction(POINT))
        return largest(at_u - POINT.norm() * function_gradient(function, POINT))

    def total_derivative_error(function: Function) -> float:
        total = function_gradient(lambda x: function(direction(x)), POINT)
        return largest(function_gradient(function, direction(POINT)) - total)

    worst = max(map(error, invariant_functions()))
    return Evidence(
        worst,
        1e-13,
        {"the total derivative": min(map(total_derivative_error, invariant_functions()))},
        f"to {worst:.0e}",
    )


def derivative(function: Function, x: float) -> float:
    """Return the derivative of a function of one number."""
    return function_gradient(function, torch.tensor(x, dtype=torch.float64)).item()


@claim(
    "3b-primes",
    verdict="holds",
    printed="$f'(g(x))$ is not $(f(g(x)))'$.",
    statement="$(f\\circ g)'(x)=f'(g(x))\\,g'(x)$; the two differ unless $g'(x)=1$ or $f'(g(x))=0$.",
)
def prime_at_a_point_is_not_the_prime_of_the_composite() -> Evidence:
    x = 0.7
    composite = derivative(lambda z: torch.sin(z**2), x)
    at_the_point = derivative(torch.sin, x**2)
    return Evidence(
        abs(composite - at_the_point * 2 * x),
        1e-14,
        {"the two are equal": abs(composite - at_the_point)},
        f"f′(g(x)) = {at_the_point:.4f}, (f∘g)′(x) = {composite:.4f} for f = sin, g = x²",
    )


@claim(
    "3b-abuse",
    verdict="conditional",
    printed="In $\\frac{\\partial f}{\\partial x}=\\frac{\\partial f}{\\partial u}\\frac{\\partial u}{\\partial x}$ "
    "the first factor is the derivative of $f\\circ u^{-1}$.",
    statement="So it is wherever $u$ has a differentiable inverse: for $f=x^2$, $u=x^3$, $x\\ne0$ it is $\\frac23x^{-1}$ and not "
    "$f'(u)=2x^3$. The map $x\\mapsto x/\\|x\\|$ is not invertible, so the remark does not apply to it.",
    corrected="for changes of variable with a differentiable inverse, unlike $x/\\|x\\|$",
)
def leibniz_notation_hides_a_reparametrisation() -> Evidence:
    x = 1.3
    reparametrised = derivative(lambda y: y ** (2 / 3), x**3)  # f∘u⁻¹ at y = u(x)
    literal = derivative(lambda z: z**2, x**3)
    u = direction(POINT)
    same_image = largest(direction(2 * POINT) - u)  # two points, one direction: no inverse
    return Evidence(
        max(abs(reparametrised * 3 * x**2 - 2 * x), abs(reparametrised - 2 / (3 * x)), same_image),
        1e-14,
        {"the literal derivative of f at u": abs(literal * 3 * x**2 - 2 * x)},
        f"2/(3x) = {reparametrised:.4f}, not 2x³ = {literal:.4f}, at x = {x}",
    )


@claim(
    "3b-idempotent",
    verdict="holds",
    printed="$(I-uu^\\top)^2=I-uu^\\top$.",
    statement="$P^2=P$, because $u^\\top u=1$.",
)
def projector_is_idempotent() -> Evidence:
    u = direction(POINT)

    def error(P: Tensor) -> float:
        return largest(P @ P - P)

    identity = torch.eye(6, dtype=torch.float64)
    return Evidence(
        error(tangent_projector(u)),
        1e-14,
        {
            "x in place of u": error(identity - torch.outer(POINT, POINT)),
            "half the correction": error(identity - torch.outer(u, u) / 2),
        },
        f"to {error(tangent_projector(u)):.0e}",
    )


@claim(
    "3b-chain",
    verdict="corrected",
    severity=3,
    printed="The chain-rule route $\\nabla f(x)=\\frac1{\\|x\\|}(I-uu^\\top)\\nabla f(u)$ may look right but is "
    "not, because its last gradient belongs to a reparametrised function.",
    statement="The route is right, with the *literal* gradient of $f$ at the point $u$: scale invariance says "
    "$f=f\\circ u$ with $u(x)=x/\\|x\\|$, and the chain rule for this composition is exactly that formula. "
    "It holds at every $x\\ne0$ exactly for invariant $f$.",
    corrected="right: $f=f\\circ u$, so $\\nabla f(x)=\\frac1{\\|x\\|}P\\nabla f(u)$",
)
def chain_rule_route_is_right() -> Evidence:
    def error(function: Function) -> float:
        return largest(chain_rule_gradient(function, POINT) - function_gradient(function, POINT))

    errors = [error(f) for f in invariant_functions()]
    return Evidence(
        max(errors),
        1e-13,
        {"a loss without batch norm": error(quadratic)},
        f"to {max(errors):.0e} for three invariant functions",
    )


@claim(
    "3b-T3",
    verdict="theorem",
    statement="**Exact dynamics on the sphere.** Along $x\\leftarrow(1-\\eta\\lambda)x-\\eta\\nabla f(x)$, with "
    "$r=\\|x\\|$ and $G=\\|\\nabla f(u)\\|$: $\\tan\\theta=\\eta G/((1-\\eta\\lambda)r^2)$ and "
    "$r_{k+1}^2=(1-\\eta\\lambda)^2r_k^2+\\eta^2G^2/r_k^2$. Without decay and with constant $G$, "
    "$r_k^4\\ge r_0^4+2\\eta^2G^2k$. With decay, at constant norm and $G>0$, $\\cos\\theta=1-\\eta\\lambda$ exactly, so "
    "$\\theta\\approx\\sqrt{2\\eta\\lambda}$, whatever the function.",
)
def dynamics_on_the_sphere_are_exact() -> Evidence:
    rate, decay = 0.1, 0.2
    path = descend(cosine, POINT, rate, 30, weight_decay=decay)
    norms, lengths = path.norms[:-1], path.gradient_norms
    shrink = 1 - rate * decay
    predicted = (shrink * norms).square() + (rate * lengths / norms).square()
    angle = torch.atan(rate * lengths / (shrink * norms.square()))
    G, r0, steps = 1.5, 1.0, 5000
    free = norms_after(r0, G, rate, steps)[-1].item() ** 4
    bound = r0**4 + 2 * rate**2 * G**2 * steps
    settled = norms_after(r0, G, rate, 2000, decay)[-1].item()
    settled_angle = math.atan(rate * G / (shrink * settled**2))
    exact = equilibrium_angle(rate, decay)
    at_rest = descend(unit_behind_batchnorm(), POINT / 10, rate, 3000, weight_decay=decay).angles[
        -100:
    ]
    return Evidence(
        max(
            largest(path.norms[1:].square() - predicted),
            largest(path.angles - angle),
            max(0.0, bound - free),
            abs(settled_angle - exact),
            largest(at_rest - exact),
        ),
        1e-12,
        {
            "tan θ without the decay": largest(
                path.angles - torch.atan(rate * lengths / norms.square())
            ),
            "r⁴ = r₀⁴ + η²G²k": abs(free - (r0**4 + rate**2 * G**2 * steps)) / free,
            "θ = √(2ηλ) exactly": abs(settled_angle - math.sqrt(2 * rate * decay)),
            "θ = √(ηλ)": abs(settled_angle - math.sqrt(rate * decay)),
        },
        f"equilibrium angle {exact:.6f}, √(2ηλ) = {math.sqrt(2 * rate * decay):.6f}; "
        f"r⁴ is {free / bound:.4f} times its bound after {steps:,} steps",
    )
