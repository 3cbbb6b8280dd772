r"""Functions with :math:`f(\lambda x)=f(x)`, and what gradient descent does to their arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hw2lib._checks import (
    as_tensor,
    check_integer,
    check_matching,
    check_number,
    check_same_kind,
    finite,
)
from hw2lib._scale import polar
from hw2lib.normalization import batch_normalize

__all__ = [
    "Descent",
    "SphereStep",
    "batchnorm_loss",
    "chain_rule_gradient",
    "descend",
    "equilibrium_angle",
    "function_gradient",
    "norms_after",
    "sphere_step",
    "tangent_projector",
]

Function = Callable[[Tensor], Tensor]


class SphereStep(NamedTuple):
    r"""One step of gradient descent on a scale-invariant function, seen on the unit sphere.

    Attributes
    ----------
    x : Tensor
        The next point, :math:`x-\eta\nabla f(x)`.
    u : Tensor
        Its direction :math:`x/\|x\|`.
    angle : Tensor
        θ, the angle between the directions before and after, in radians.
    remainder : Tensor
        Distance of the next direction from the first-order step :math:`u-\tan\theta\,\hat g`.
    """

    x: Tensor
    u: Tensor
    angle: Tensor
    remainder: Tensor


class Descent(NamedTuple):
    r"""A path of gradient descent, one entry a step.

    Attributes
    ----------
    x : Tensor
        The last point.
    losses : Tensor
        f before each step.
    norms : Tensor
        :math:`\|x\|` before each step and after the last: one entry more.
    gradient_norms : Tensor
        :math:`\|x\|\,\|\nabla f(x)\|` before each step; for a scale-invariant f this is
        :math:`\|\nabla f(u)\|`.
    angles : Tensor
        Angle between the directions before and after each step, in radians.
    """

    x: Tensor
    losses: Tensor
    norms: Tensor
    gradient_norms: Tensor
    angles: Tensor


def function_gradient(function: Function, x: Any) -> Tensor:
    """Return the gradient of a function at a point, by automatic differentiation.

    Serves the claims of Solution 3.

    Parameters
    ----------
    function : callable
        Maps a tensor of the shape of `x` to a scalar.
    x : Tensor or array
        Any shape.

    Returns
    -------
    Tensor
        The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        If `function` is not callable or does not return one number, or `x` is not finite.

    References
    ----------
    Griewank and Walther, "Evaluating derivatives", SIAM 2008, section 3.2 (the reverse mode).

    Examples
    --------
    >>> function_gradient(lambda z: z[1] / z[0], [2.0, 3.0])
    tensor([-0.7500,  0.5000])
    """
    return finite("function and x", value_and_gradient(function, as_tensor("x", x))[1])


def tangent_projector(u: Any) -> Tensor:
    r"""Return :math:`P=I-uu^\top`, the orthogonal projector onto the hyperplane :math:`u^\perp`.

    Serves claim 3b-projector.

    Parameters
    ----------
    u : Tensor or array
        A unit vector, shape (n,).

    Returns
    -------
    Tensor
        Shape (n, n), symmetric, of rank n − 1.

    Raises
    ------
    TypeError, ValueError
        If `u` is not a finite vector of length 1.

    References
    ----------
    Absil, Mahony, Sepulchre, "Optimization algorithms on matrix manifolds", Princeton 2008,
    section 3.6.1 (the sphere).

    Examples
    --------
    >>> tangent_projector([1.0, 0.0]).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """
    u = as_tensor("u", u, ndim=1)
    length = u.norm().item()
    if abs(length - 1) > tolerance(u):
        raise ValueError(f"u must be a unit vector, got length {length:.6g}")
    u = polar(u)[1]
    return torch.eye(len(u), dtype=u.dtype, device=u.device) - torch.outer(u, u)


def chain_rule_gradient(function: Function, x: Any) -> Tensor:
    r"""Return :math:`P\nabla f(u)/\|x\|` with :math:`u=x/\|x\|`: the gradient of f∘u at x.

    It is the gradient of f itself if f(λx) = f(x) for all λ > 0, because then f = f∘u. Serves
    claims 3b-chain, 3b-chain-converse and 3b-chain-epsilon.

    Parameters
    ----------
    function : callable
        Maps a vector to a scalar.
    x : Tensor or array
        Shape (n,), not zero.

    Returns
    -------
    Tensor
        Shape (n,).

    Raises
    ------
    TypeError, ValueError
        If `function` is not callable or not scalar, or `x` is zero or not a finite vector.

    References
    ----------
    ESE 546, Fall 2020, homework 2, solution 3, last remark, which rejects it.

    Examples
    --------
    >>> f = lambda z: z[1] / z[0]
    >>> chain_rule_gradient(f, [2.0, 3.0]), function_gradient(f, [2.0, 3.0])
    (tensor([-0.7500,  0.5000]), tensor([-0.7500,  0.5000]))
    """
    x = check_direction(x)
    norm, u = polar(x)
    gradient = function_gradient(function, u)
    projected = gradient - u * (u @ gradient)
    # in double precision, where the norm of any vector in single precision is a normal number
    return finite("function and x", (projected.double() / norm).to(x))


def sphere_step(x: Any, gradient: Any, learning_rate: float) -> SphereStep:
    r"""Take one step of gradient descent on a scale-invariant function, exactly.

    Since the gradient is orthogonal to x, the step and x are the legs of a right triangle:
    :math:`\tan\theta=\eta\|\nabla f(x)\|/\|x\|=\eta\|\nabla f(u)\|/\|x\|^2`, the next direction is
    :math:`\cos\theta\,u-\sin\theta\,\hat g`, and it differs from the first-order step
    :math:`u-\tan\theta\,\hat g` by exactly :math:`\sqrt{1+\tan^2\theta}-1` in norm. This is the
    step of claims 3b-denominator, 3b-step and 3b-projector.

    Parameters
    ----------
    x : Tensor or array
        Shape (n,), not zero.
    gradient : Tensor or array
        :math:`\nabla f(x)`, shape (n,), orthogonal to x.
    learning_rate : float
        η, positive.

    Returns
    -------
    SphereStep
        The next point, its direction, the angle between both directions, and the remainder.

    Raises
    ------
    TypeError, ValueError
        If shapes differ, a value is not finite, x is zero, `learning_rate` is not positive, or
        the gradient is not orthogonal to x (then f is not scale invariant).

    References
    ----------
    Arora, Li, Lyu, "Theoretical analysis of auto rate-tuning by batch normalization", ICLR 2019,
    lemma 2.4 (the growth of the norm).

    Examples
    --------
    >>> step = sphere_step([1.0, 0.0], [0.0, -1.0], 1.0)
    >>> step.x.tolist(), round(step.angle.item(), 4), round(step.remainder.item(), 4)
    ([1.0, 1.0], 0.7854, 0.4142)
    """
    x = check_direction(x)
    gradient = as_tensor("gradient", gradient, ndim=1).detach()
    check_same_kind(x=x, gradient=gradient)
    check_matching("gradient", gradient, x.shape, "the shape of x")
    rate = check_number("learning_rate", learning_rate, "positive", lambda value: value > 0)
    (norm, u), (length, heading) = polar(x), polar(gradient)
    cosine = (heading @ u).item()
    if abs(cosine) > tolerance(x):
        raise ValueError(
            "gradient must be orthogonal to x, as that of a scale-invariant function is; got a "
            f"cosine of {cosine:.3g}"
        )
    following = (x - rate * gradient.double()).to(x)  # a tiny η is 0 in single precision
    root = math.sqrt(rate) * math.sqrt(length) / math.sqrt(norm)  # η‖∇f‖ alone may overflow
    slope = root * root
    remainder = slope * (slope / (math.hypot(1, slope) + 1))  # √(1 + s²) − 1 without cancellation
    angles = (x.new_tensor(value) for value in (math.atan(slope), remainder))
    step = SphereStep(following, polar(following)[1], *angles)
    return finite("x, gradient and learning_rate", step)


def norms_after(
    norm: float, gradient_norm: float, learning_rate: float, steps: int, weight_decay: float = 0.0
) -> Tensor:
    r"""Return :math:`\|x\|` along gradient descent if :math:`\|\nabla f(u)\|` stays constant.

    With G that constant, iterates :math:`r_{k+1}^2=(1-\eta\lambda)^2r_k^2+\eta^2G^2/r_k^2`.
    Without weight decay :math:`r_k^4\ge r_0^4+2\eta^2G^2k`, nearly with equality if ηG is small
    against :math:`r_0^2`; with it r settles where
    :math:`r^4=\eta G^2/(\lambda(2-\eta\lambda))`, from every start. Serves claims 3b-growth and
    3b-equilibrium.

    Parameters
    ----------
    norm, gradient_norm : float
        :math:`r_0` and G, positive.
    learning_rate, weight_decay : float
        η, positive, and λ, at least 0, with ηλ < 1.
    steps : int
        Number of steps.

    Returns
    -------
    Tensor
        Shape (steps + 1,), double precision.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.

    References
    ----------
    van Laarhoven, "L2 regularization versus batch and weight normalization", 2017.

    Examples
    --------
    >>> norms_after(1.0, 1.0, 0.5, 2).square()
    tensor([1.0000, 1.2500, 1.4500], dtype=torch.float64)
    """
    r = check_number("norm", norm, "positive", lambda value: value > 0)
    length = check_number("gradient_norm", gradient_norm, "positive", lambda value: value > 0)
    rate, decay = check_rates(learning_rate, weight_decay)
    norms, root = [r], math.sqrt(rate) * math.sqrt(length)
    for _ in range(check_integer("steps", steps, 0)):
        # ηG may over- or underflow where √(ηG)/r does not
        r = math.hypot((1 - rate * decay) * r, root * (root / r))
        if not 0 < r < math.inf:
            raise ValueError(
                "norm, gradient_norm and learning_rate must be of a size for which no length over- "
                f"or underflows, got {r}"
            )
        norms.append(r)
    return torch.tensor(norms, dtype=torch.float64)


def equilibrium_angle(learning_rate: float, weight_decay: float, momentum: float = 0.0) -> float:
    r"""Return the angle a step at which weight decay and the growth of the norm balance.

    At constant norm the decayed vector of length :math:`(1-\eta\lambda)r` is a leg, and the next
    vector, of length r, the hypotenuse of a right triangle: :math:`\cos\theta=1-\eta\lambda`
    exactly, so :math:`\theta\approx\sqrt{2\eta\lambda}`. With heavy-ball momentum β, at constant
    norm and angle, :math:`\cos\theta=1-\eta\lambda/(1+\beta)`. The gradient does not enter. Serves
    claims 3b-small-angle, 3b-momentum-angle and 3b-bursts.

    Parameters
    ----------
    learning_rate, weight_decay : float
        η and λ, positive, with ηλ < 1.
    momentum : float
        β, in [0, 1), with the decay inside the momentum, as in ``torch.optim.SGD``:
        :math:`v\leftarrow\beta v+\nabla f(x)+\lambda x`, :math:`x\leftarrow x-\eta v`.

    Returns
    -------
    float
        θ in radians.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.

    References
    ----------
    Wan, Zhu, Zhang, Sun, "Spherical motion dynamics", NeurIPS 2021 (the approximation
    :math:`\sqrt{2\eta\lambda}`).

    Examples
    --------
    >>> round(equilibrium_angle(0.1, 0.1), 6), round((2 * 0.1 * 0.1) ** 0.5, 6)
    (0.141539, 0.141421)
    >>> round(equilibrium_angle(0.1, 0.1, momentum=0.9), 6)
    0.102643
    """
    rate, decay = check_rates(learning_rate, weight_decay)
    check_number("weight_decay", weight_decay, "positive", lambda value: value > 0)
    beta = check_number("momentum", momentum, "in [0, 1)", lambda value: 0 <= value < 1)
    # arccos(1 − ε) = 2 arcsin √(ε/2), without cancellation
    return 2 * math.asin(math.sqrt(rate) * math.sqrt(decay) / math.sqrt(2 * (1 + beta)))


def descend(
    function: Function, x: Any, learning_rate: float, steps: int, *, weight_decay: float = 0.0
) -> Descent:
    r"""Run gradient descent with weight decay, and record its geometry.

    The step is :math:`x\leftarrow(1-\eta\lambda)x-\eta\nabla f(x)`. Serves claims 3b-growth
    and 3b-bursts.

    Parameters
    ----------
    function : callable
        Maps a vector to a scalar.
    x : Tensor or array
        The start, shape (n,), not zero.
    learning_rate, weight_decay : float
        η, positive, and λ, at least 0, with ηλ < 1.
    steps : int
        Number of steps, at least 1.

    Returns
    -------
    Descent
        The last point, and losses, norms, gradient norms and angles along the way.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, or a step ends at zero, which has no
        direction.

    References
    ----------
    Arora, Li, Lyu, "Theoretical analysis of auto rate-tuning by batch normalization", ICLR 2019.

    Examples
    --------
    >>> path = descend(lambda z: z[1] / z.norm(), [1.0, 1.0], 0.1, 50)
    >>> bool((path.norms.diff() >= 0).all()), round(path.losses[-1].item(), 2)
    (True, -0.9)
    """
    x = check_direction(x)
    rate, decay = check_rates(learning_rate, weight_decay)
    losses, norms, gradient_norms, angles = [], [polar(x)[0]], [], []
    for _ in range(check_integer("steps", steps, 1)):
        value, gradient = value_and_gradient(function, x)
        following = ((1 - rate * decay) * x - rate * gradient.double()).to(x)
        losses.append(value.item())
        gradient_norms.append(polar(gradient)[0] * norms[-1])
        norms.append(polar(following)[0])
        if norms[-1] == 0:
            raise ValueError(
                "function, x and learning_rate must keep x away from zero: it has no direction "
                f"there; got zero in step {len(losses)}"
            )
        angles.append(angle_between(x, following))
        x = following
    path = Descent(x, *map(x.new_tensor, (losses, norms, gradient_norms, angles)))
    return finite("function, x and learning_rate", path)


def angle_between(x: Tensor, y: Tensor) -> float:
    """Return the angle between two vectors in radians, accurate for small ones (Kahan)."""
    u, v = polar(x.double())[1], polar(y.double())[1]
    return 2 * math.atan2((u - v).norm().item(), (u + v).norm().item())


def batchnorm_loss(
    inputs: Any, targets: Any, eps: float = 0.0, readout: Any | None = None
) -> Function:
    r"""Return the loss of a network with batch norm, as a function of the weights before it.

    :math:`w\mapsto\frac1N\sum_i(a^\top\tanh\mathrm{bn}(XW^\top)_i-y_i)^2` with h hidden units, W
    the rows of w and a fixed readout :math:`a`, 1 for a single unit if it is left out. Scale
    invariant in w, and in each row of W by itself, for λ > 0 if ε = 0. Serves claims 3a-scaling,
    3b-projector, 3b-chain and 3b-chain-epsilon.

    Parameters
    ----------
    inputs : Tensor or array
        X, shape (N, n), one input a row.
    targets : Tensor or array
        y, shape (N,).
    eps : float
        Batch norm's ε.
    readout : Tensor or array, optional
        :math:`a`, shape (h,).

    Returns
    -------
    callable
        Maps a weight vector (h · n,) to a scalar.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a value is not finite, or `eps` is negative.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015, section 3.3 (invariance to scale).

    Examples
    --------
    >>> f = batchnorm_loss([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, 1.0, 0.5])
    >>> w = torch.tensor([1.0, 2.0])
    >>> abs(f(w) - f(10 * w)).item() < 1e-6
    True
    """
    X, y = as_tensor("inputs", inputs, ndim=2), as_tensor("targets", targets, ndim=1)
    a = X.new_ones(1) if readout is None else as_tensor("readout", readout, ndim=1)
    check_same_kind(inputs=X, targets=y, readout=a)
    check_matching("targets", y, X.shape[:1], "one target an input")
    eps = check_number("eps", eps, "a number of at least 0", lambda value: value >= 0)

    def loss(weight: Tensor) -> Tensor:
        weight = as_tensor("weight", weight, ndim=1)
        check_same_kind(inputs=X, weight=weight)
        check_matching("weight", weight, (len(a) * X.shape[1],), "hidden units times inputs")
        rows = weight.double().reshape(len(a), -1)  # a product may underflow in single precision
        if eps == 0 and not rows.any(1).all():
            raise ValueError("weight must not be zero in any unit where eps is 0")
        try:
            hidden = batch_normalize(X.double() @ rows.T, eps=eps).tanh()
        except ValueError as error:
            raise ValueError(
                f"inputs and weight must give what batch norm takes: {error}"
            ) from error
        value = (hidden @ a.double() - y).square().mean()
        return finite("inputs, targets, readout and weight", value.to(X.dtype))

    return loss


def value_and_gradient(function: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return value and gradient of a function that has to be scalar and to depend on `x`."""
    with torch.inference_mode(False), torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        value = call(function, point)
        (gradient,) = torch.autograd.grad(value, point, allow_unused=True)
    if gradient is None:
        raise ValueError("function must return a tensor that depends on its argument")
    return value.detach(), gradient


def call(function: Function, x: Tensor) -> Tensor:
    """Evaluate a function that has to be scalar."""
    if not callable(function):
        raise TypeError(f"function must be callable, got {type(function).__name__}")
    value = function(x)
    if not isinstance(value, Tensor) or value.numel() != 1 or value.is_complex():
        raise ValueError(f"function must return one real number as a tensor, got {value!r:.60}")
    if not value.requires_grad:
        raise ValueError("function must return a tensor that depends on its argument")
    return value.reshape(())


def check_direction(x: Any) -> Tensor:
    """Return a vector that has a direction, without gradients."""
    x = as_tensor("x", x, ndim=1).detach()
    if not x.any():
        raise ValueError("x must not be zero: it has no direction there")
    if polar(x)[0] == math.inf:
        raise ValueError("x must have a finite length, got an overflow")
    return x


def check_rates(learning_rate: Any, weight_decay: Any) -> tuple[float, float]:
    """Return a learning rate and a weight decay that keep the direction of a decayed vector."""
    rate = check_number("learning_rate", learning_rate, "positive", lambda value: value > 0)
    decay = check_number("weight_decay", weight_decay, "at least 0", lambda value: value >= 0)
    if rate * decay >= 1:
        raise ValueError(f"learning_rate · weight_decay must be below 1, got {rate * decay}")
    return rate, decay


def tolerance(x: Tensor) -> float:
    """Return how far from exact a computed unit length or right angle may be."""
    return 4e3 * torch.finfo(x.dtype).eps
