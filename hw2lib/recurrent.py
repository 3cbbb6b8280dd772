"""Gradients through time: linear RNNs, RNN and LSTM cells, and the clipping of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from hw2lib._checks import (
    as_tensor,
    as_tensor_like,
    check_independent,
    check_integer,
    check_kind,
    check_matching,
    check_number,
    check_ordinary,
    check_same_kind,
    finite,
)
from hw2lib._scale import polar

__all__ = [
    "LSTMJacobian",
    "RNNJacobian",
    "clip_by_norm",
    "clip_by_value",
    "eigenvalue_gradient",
    "kreiss_constant",
    "linear_rnn_gradient",
    "lstm_jacobian",
    "lyapunov_exponent",
    "rescale_to_norm",
    "rnn_jacobian",
]

BLOCK = 64
REFINEMENTS = 8
EXPONENTS = 900  # that numbers may be apart and have a product and a sum in double precision
NEAREST = 1e-9  # that an eigenvalue may be to the circle where the Kreiss constant is sought
NONLINEARITIES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "tanh": (
        torch.tanh,
        lambda z: math.log(4) + logsigmoid(2 * z) + logsigmoid(-2 * z),  # 1/cosh² = 4σ(2z)σ(−2z)
    ),
    "sigmoid": (torch.sigmoid, lambda z: logsigmoid(z) + logsigmoid(-z)),
    "relu": (torch.relu, lambda z: (z > 0).to(z).log()),
    "identity": (lambda z: z, torch.zeros_like),
}  # each with the logarithm of its slope: where σ is flat, 1 − σ(z)² would cancel


class RNNJacobian(NamedTuple):
    """Last state of an RNN (p,), and its Jacobian (p, p) with respect to the first."""

    state: Tensor
    jacobian: Tensor


class LSTMJacobian(NamedTuple):
    """What an LSTM's last state depends on.

    Attributes
    ----------
    hidden, cell : Tensor
        The last state h and c, each (p,).
    jacobian : Tensor
        Of (h, c) at the end with respect to (h, c) at the start, (2p, 2p).
    forget_product : Tensor
        The product of all forget gates, (p,): the direct path from cell to cell.
    """

    hidden: Tensor
    cell: Tensor
    jacobian: Tensor
    forget_product: Tensor


def linear_rnn_gradient(W: Any, z0: Any, zbar: Any, steps: int) -> Tensor:
    r"""Return the gradient of a loss of :math:`W^tz_0` with respect to W.

    :math:`\sum_{k<t}(W^\top)^{t-1-k}\bar z\,(W^kz_0)^\top`, the states forward and the adjoints
    backward, in O(t p² + p³). In double precision: an entry of a power of W, a state or an adjoint
    below 1e−308 counts as zero, also where the other factor is above 1e308; and rounding errors
    count beside the largest of the powers, so a gradient that is smaller by fifteen orders of
    magnitude has no digits (claim 6a-leak). Serves claims 6a-gradient, 6a-norm and 6a-zbar.

    Parameters
    ----------
    W : Tensor or array
        Shape (p, p).
    z0, zbar : Tensor or array
        The first state, and the gradient of the loss at the last one; shape (p,).
    steps : int
        t, at least 1.

    Returns
    -------
    Tensor
        Shape (p, p).

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a value is not finite, `steps` is below 1, or the gradient overflows.

    References
    ----------
    Werbos, "Backpropagation through time", Proceedings of the IEEE 1990.

    Examples
    --------
    >>> linear_rnn_gradient([[2.0]], [3.0], [5.0], steps=4)  # 5 · d(w⁴ · 3)/dw = 5 · 4 · 2³ · 3
    tensor([[480.]])
    """
    W, z0, zbar = check_recurrence(W, z0, zbar)
    steps = check_integer("steps", steps, 1)
    # in double precision: W² may underflow where W²z does not
    states, adjoints = (
        krylov(W.double(), z0.double(), steps),
        krylov(W.T.double(), zbar.double(), steps),
    )
    return finite("W, z0, zbar and steps", (adjoints.flip(1) @ states.T).to(W.dtype))


def krylov(W: Tensor, z: Tensor, count: int) -> Tensor:
    """Return the columns z, Wz, W²z, …, `count` of them.

    In blocks, which are a few matrix products instead of many by a vector. No power of W above
    the 64th is formed, so a mode that z does not meet cannot overflow unless that power does. But
    powers are rounded, and the rounding may let z meet such a mode, as it does for most W in any
    order of the products.
    """
    columns, power = z[:, None], W
    while columns.shape[1] < min(count, BLOCK):
        columns, power = torch.cat([columns, power @ columns], 1), power @ power
    blocks = [columns]
    while len(blocks) * BLOCK < count:
        blocks.append(power @ blocks[-1])
    return torch.cat(blocks, 1)[:, :count]


def eigenvalue_gradient(W: Any, z0: Any, zbar: Any, steps: int) -> Tensor:
    r"""Return the gradient of :func:`linear_rnn_gradient` in closed form, from the eigenvalues.

    With :math:`W=T\Lambda T^{-1}`, :math:`\alpha=T^{-1}z_0`, :math:`\beta=T^\top\bar z` it is
    :math:`T^{-\top}[(\beta\alpha^\top)\circ S]\,T^\top`, where
    :math:`S_{ij}=(\lambda_i^t-\lambda_j^t)/(\lambda_i-\lambda_j)` and
    :math:`S_{ii}=t\lambda_i^{t-1}`. Both are :math:`\sum_{k<t}\lambda_i^k\lambda_j^{t-1-k}`, a
    sum that close eigenvalues do not harm, of which all t powers are kept. In double precision:
    numbers below 1e−308 on the way count as zero, and rounding errors count beside the largest of
    the powers. Its own gradient is NaN where eigenvalues are equal. Serves claim 6e-closed.

    Parameters
    ----------
    W : Tensor or array
        Shape (p, p), diagonalisable; eigenvalues may be complex.
    z0, zbar : Tensor or array
        Shape (p,).
    steps : int
        t, at least 1.

    Returns
    -------
    Tensor
        Shape (p, p).

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a value is not finite, `steps` is below 1, eigenvectors are dependent
        or so nearly that most digits would be lost, or the gradient overflows.

    References
    ----------
    Daleckii and Krein, 1965: the derivative of a matrix function by divided differences; see
    Higham, "Functions of matrices", SIAM 2008, chapter 3.

    Examples
    --------
    >>> eigenvalue_gradient([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0], [1.0, 1.0], steps=3)
    tensor([[12.,  7.],
            [ 7.,  3.]])
    """
    W, z0, zbar = check_recurrence(W, z0, zbar)
    steps = check_integer("steps", steps, 1)
    values, T = torch.linalg.eig(W.double())
    check_independent("W must have independent eigenvectors", T, 0.25)  # T enters twice
    alpha = torch.linalg.solve(T, z0.to(T.dtype))
    beta = T.T @ zbar.to(T.dtype)
    powers = torch.linalg.vander(values, N=steps + 1)[:, :-1]  # for it refuses N = 1
    S = powers @ powers.flip(1).T
    gradient = torch.linalg.solve(T.T, torch.outer(beta, alpha) * S @ T.T).real.to(W.dtype)
    return finite("W, z0, zbar and steps", gradient)


def kreiss_constant(W: Any, points: int = 40) -> float:
    r"""Return :math:`K=\sup_{|z|>1}(|z|-1)\,\|(zI-W)^{-1}\|`, searched from below.

    By Kreiss' theorem :math:`K\le\sup_k\|W^k\|\le e\,p\,K`: how large powers become before they
    decay. A grid of radii from far inside the distance between spectrum and circle, and of angles
    that include the eigenvalues', is refined around its best point; K is never below its limit 1
    at infinity. Serves claim 6a-kreiss.

    Parameters
    ----------
    W : Tensor or array
        Shape (p, p), all eigenvalues inside the unit circle, by 1e−9 at least: nearer, rounding
        would decide.
    points : int
        Half the number of radii, and the number of angles beside the eigenvalues', at least 2.

    Returns
    -------
    float
        The largest value that was found: but for rounding, a lower bound of K.

    Raises
    ------
    TypeError, ValueError
        If `W` is not a finite square matrix or has an eigenvalue of magnitude above 1 − 1e−9.

    References
    ----------
    Trefethen and Embree, "Spectra and pseudospectra", Princeton 2005, theorem 18.1.

    Examples
    --------
    >>> kreiss_constant([[0.5, 0.0], [0.0, 0.1]])  # a normal matrix: its powers only decay
    1.0
    """
    W = check_square(W).double()
    points = check_integer("points", points, 2)
    values = torch.linalg.eigvals(W)
    gap = 1 - values.abs().max()
    if gap < NEAREST:
        raise ValueError(
            f"W must have all eigenvalues inside the unit circle, by {NEAREST} at least, got one "
            f"of magnitude {values.abs().max():.12g}"
        )
    kind: dict[str, Any] = {"dtype": W.dtype, "device": W.device}
    above = torch.logspace(gap.log10().item() - 2, 2, 2 * points, **kind)  # |z| − 1
    angles = torch.linspace(0, torch.pi, points, **kind)  # W is real: the rest is conjugate
    angles = torch.cat([angles, values.angle().abs()])
    factor, width, largest = above[1] / above[0], torch.pi / points, 1.0
    for _ in range(REFINEMENTS):
        found = resolvent_growth(W, above, angles)
        row, column = divmod(int(found.argmax()), len(angles))
        largest = max(largest, found[row, column].item())
        around = torch.linspace(-1, 1, 9, **kind)
        above, angles = above[row] * factor**around, angles[column] + width * around
        factor, width = factor**0.3, width * 0.3
    return largest


def resolvent_growth(W: Tensor, above: Tensor, angles: Tensor) -> Tensor:
    """Return (|z| − 1)‖(zI − W)⁻¹‖ at every z of a grid in |z| − 1 and in the angle."""
    above = (1 + above) - 1  # what is left of it in z
    z = torch.polar(*torch.meshgrid(1 + above, angles, indexing="ij"))
    resolvents = z[..., None, None] * torch.eye(len(W), dtype=W.dtype, device=W.device) - W
    # the inverse has the right order of size, for W of any scales; the least singular value not
    inverses = torch.linalg.inv_ex(resolvents).inverse
    return finite("W", above[:, None] * torch.linalg.matrix_norm(inverses, 2))


def rnn_jacobian(rnn: nn.RNN, inputs: Any, state: Any) -> RNNJacobian:
    r"""Run a PyTorch RNN and return its last state with the Jacobian through time.

    :math:`\partial h_T/\partial h_0=D_TW\cdots D_1W`, the latest factor on the left, with
    :math:`D_t=\operatorname{diag}\sigma'` at step t. Serves claims 6b-eigen, 6d-control and
    6d-decay-rnn.

    Parameters
    ----------
    rnn : nn.RNN
        One layer, one direction; tanh or ReLU.
    inputs : Tensor or array
        Shape (T, input_size), T at least 1.
    state : Tensor or array
        The first state, shape (p,).

    Returns
    -------
    RNNJacobian
        The last state, and its Jacobian with respect to the first.

    Raises
    ------
    TypeError, ValueError
        If `rnn` is not a simple RNN or has hooks or a ``forward`` of its own, or shapes do not fit.

    References
    ----------
    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", ICML
    2013, equation 5.

    Examples
    --------
    >>> rnn = nn.RNN(1, 1, bias=False)
    >>> _ = nn.init.constant_(rnn.weight_hh_l0, 0.5), nn.init.zeros_(rnn.weight_ih_l0)
    >>> rnn_jacobian(rnn, [[0.0], [0.0], [0.0]], [0.0]).jacobian  # 0.5³, tanh′(0) = 1
    tensor([[0.1250]])
    """
    check_cell("rnn", rnn, nn.RNN)
    weight, drives, h = drive(rnn, inputs, state, "state")
    function, log_slope = NONLINEARITIES[rnn.nonlinearity]
    jacobian = torch.eye(len(h), dtype=h.dtype, device=h.device)
    for each in drives:
        z = each + weight @ h
        root = (log_slope(z) / 2).exp()[:, None]  # of a slope that may underflow
        h, jacobian = function(z), root * (root * (weight @ jacobian))
    return finite("rnn, inputs and state", RNNJacobian(h, jacobian))


def lstm_jacobian(lstm: nn.LSTM, inputs: Any, hidden: Any, cell: Any) -> LSTMJacobian:
    r"""Run a PyTorch LSTM and return its last state with the Jacobian through time.

    With gates i, f, o and candidate g, :math:`c'=f\circ c+i\circ g` and
    :math:`h'=o\circ\tanh c'`. The direct path from c to c′ is diag(f); the rest passes through h
    and the weights. Serves claims 6d-control, 6d-no-weights and 6d-decay-lstm; theorem 6d-step has
    the blocks of the Jacobian.

    Parameters
    ----------
    lstm : nn.LSTM
        One layer, one direction, without projection.
    inputs : Tensor or array
        Shape (T, input_size), T at least 1.
    hidden, cell : Tensor or array
        The first state, each of shape (p,).

    Returns
    -------
    LSTMJacobian
        The last state, its Jacobian with respect to the first, and the product of forget gates.

    Raises
    ------
    TypeError, ValueError
        If `lstm` is not a simple LSTM or has hooks or a ``forward`` of its own, or shapes do not
        fit.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997; Gers,
    Schmidhuber, Cummins, "Learning to forget", Neural Computation 2000.

    Examples
    --------
    >>> lstm = nn.LSTM(1, 1)
    >>> for parameter in lstm.parameters():
    ...     _ = nn.init.zeros_(parameter)
    >>> run = lstm_jacobian(lstm, [[0.0], [0.0]], [0.0], [1.0])  # both forget gates are 1/2
    >>> run.forget_product, run.jacobian[1, 1]
    (tensor([0.2500]), tensor(0.2500))
    """
    check_cell("lstm", lstm, nn.LSTM)
    weight, drives, h = drive(lstm, inputs, hidden, "hidden")
    c = as_tensor_like("cell", cell, h)
    check_matching("cell", c, h.shape, "the hidden size of lstm")
    p = len(h)
    from_h, from_c = torch.eye(2 * p, dtype=h.dtype, device=h.device).split(p)
    forget_product = torch.ones_like(h)
    for each in drives:
        z = each + weight @ h
        i, f, _, o = z.sigmoid().chunk(4)
        not_i, not_f, _, not_o = (-z).sigmoid().chunk(4)  # 1 − i and so on, without cancellation
        g, flat_g = z[2 * p : 3 * p].tanh(), tanh_slope(z[2 * p : 3 * p])
        slopes = torch.cat([g * i * not_i, c * f * not_f, i * flat_g])
        c = f * c + i * g
        activated = c.tanh()
        gates = weight @ from_h
        from_c = f[:, None] * from_c + (slopes[:, None] * gates[: 3 * p]).reshape(3, p, -1).sum(0)
        output_slope = (activated * o * not_o)[:, None] * gates[3 * p :]
        from_h = output_slope + (o * tanh_slope(c))[:, None] * from_c
        h = o * activated
        forget_product = forget_product * f
    run = LSTMJacobian(h, c, torch.cat([from_h, from_c]), forget_product)
    return finite("lstm, inputs, hidden and cell", run)


def tanh_slope(z: Tensor) -> Tensor:
    """Return tanh′, from the input: 1 − tanh² would cancel."""
    return 4 * (2 * z).sigmoid() * (-2 * z).sigmoid()


def lyapunov_exponent(
    W: Any, nonlinearity: str, state: Any, steps: int, warm_up: int = 100
) -> float:
    r"""Return the largest Lyapunov exponent of :math:`h\mapsto\sigma(Wh)` along an orbit.

    The mean logarithm of the factor by which a small change, in a random direction, grows in a
    step: positive where gradients explode, negative where they vanish. :math:`-\infty` if the
    change dies. Slopes enter by their logarithms, and each entry of the change has an exponent of
    its own, so neither over- nor underflows; nor does the state of ReLU and identity, which is kept
    at length 1, since their slopes do not depend on its length; an entry of it below 1e−308 counts
    as zero. Serves claim 6b-saturate.

    Parameters
    ----------
    W : Tensor or array
        Shape (p, p).
    nonlinearity : {"tanh", "sigmoid", "relu", "identity"}
        σ.
    state : Tensor or array
        Start of the orbit, shape (p,).
    steps, warm_up : int
        Steps that are averaged, at least 1, and steps before that, at least 0.

    Returns
    -------
    float
        In natural logarithms a step.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, σ is unknown, or a number is out of range.

    References
    ----------
    Sompolinsky, Crisanti, Sommers, "Chaos in random neural networks", Physical Review Letters
    1988; Engelken, Wolf, Abbott, "Lyapunov spectra of chaotic recurrent neural networks", 2023.

    Examples
    --------
    >>> round(lyapunov_exponent([[0.5]], "identity", [1.0], steps=10), 4)  # log 0.5
    -0.6931
    """
    W = check_square(W)
    W, h = W.double(), check_vector("state", state, W).double()
    check_kind("nonlinearity", nonlinearity, str)
    if nonlinearity not in NONLINEARITIES:
        names = ", ".join(NONLINEARITIES)
        raise ValueError(f"nonlinearity must be one of {names}, got {nonlinearity!r}")
    function, log_slope = NONLINEARITIES[nonlinearity]
    steps, warm_up = check_integer("steps", steps, 1), check_integer("warm_up", warm_up, 0)
    random = torch.Generator().manual_seed(0)
    tangent = torch.randn(len(h), generator=random, dtype=torch.float64).to(h)
    homogeneous = nonlinearity in ("relu", "identity")
    (weights, weight_powers), (change, powers) = split(W), split(tangent)
    spread = weight_powers[weights != 0].abs().max().item() if W.any() else 0.0
    for step in range(warm_up + steps):
        if step == warm_up:
            before = log_length(change, powers)
        if homogeneous:
            h = polar(h)[1]
        z = finite("W and state", W @ h)
        h = function(z)
        there = powers[change != 0]
        if there.max() - there.min() < EXPONENTS - spread:  # nothing is lost in a plain product
            top = there.max()
            change = W @ (change * (powers - top).exp2())
        else:
            terms = weight_powers + powers
            top = terms.amax(1).clamp(min=-1e300)  # so that nothing is taken from −∞
            change = (weights * change * (terms - top[:, None]).exp2()).sum(1)
        slope = log_slope(z) / math.log(2)
        whole = slope.floor().clamp(min=-1e300)
        change, powers = split(change * (slope - whole).exp2())
        powers = powers + top + whole
        if not change.any():
            return -math.inf
    return (log_length(change, powers) - before) / steps


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return numbers as m · 2^e, which is exact: m below 1, and e whole, −∞ for a zero."""
    m, e = torch.frexp(x)
    return m, torch.where(m == 0, -math.inf, e.double())


def log_length(m: Tensor, e: Tensor) -> float:
    """Return the logarithm of the length of a vector m · 2^e."""
    return (torch.logsumexp(2 * (m.abs().log() + math.log(2) * e), 0) / 2).item()


def clip_by_norm(gradient: Any, max_norm: float) -> Tensor:
    r"""Shorten a gradient to at most `max_norm`; shorter ones stay as they are.

    :math:`g\min(1,c/\|g\|)`. It keeps the direction, also where squares of entries overflow.
    ``torch.nn.utils.clip_grad_norm_`` divides by :math:`\|g\|+10^{-6}` instead, and returns zeros
    where they overflow. Serves claims 6c-norm, 6c-step and 6c-rotation.

    Parameters
    ----------
    gradient : Tensor or array
        Any shape.
    max_norm : float
        c, positive.

    Returns
    -------
    Tensor
        The shape and dtype of `gradient`.

    Raises
    ------
    TypeError, ValueError
        If `gradient` is not finite or `max_norm` not positive, or so small that a gradient of that
        length would lose its direction.

    References
    ----------
    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", ICML
    2013, algorithm 1.

    Examples
    --------
    >>> clip_by_norm([3.0, 4.0], 1.0), clip_by_norm([0.3, 0.4], 1.0)
    (tensor([0.6000, 0.8000]), tensor([0.3000, 0.4000]))
    """
    gradient = as_tensor("gradient", gradient)
    limit = check_number("max_norm", max_norm, "positive", lambda value: value > 0)
    # in double precision, where no length of a vector in single precision overflows
    norm, direction = polar(gradient.double())
    if norm <= limit:
        return gradient.clone()
    check_normal("max_norm", limit, gradient)
    return (limit * direction).to(gradient)


def rescale_to_norm(gradient: Any, norm: float) -> Tensor:
    r"""Give a gradient exactly this norm: shorten long ones, lengthen short ones.

    :math:`c\,g/\|g\|`, the printed proposal. Serves claim 6c-norm.

    Parameters
    ----------
    gradient : Tensor or array
        Any shape, not zero.
    norm : float
        c, positive.

    Returns
    -------
    Tensor
        The shape and dtype of `gradient`.

    Raises
    ------
    TypeError, ValueError
        If `gradient` is zero (it has no direction) or not finite, or `norm` is not positive, or so
        small that a gradient of that length would lose its direction.

    References
    ----------
    ESE 546, Fall 2020, homework 2, solution 6(c).

    Examples
    --------
    >>> rescale_to_norm([0.3, 0.4], 1.0)
    tensor([0.6000, 0.8000])
    """
    gradient = as_tensor("gradient", gradient)
    target = check_number("norm", norm, "positive", lambda value: value > 0)
    norm, direction = polar(gradient.double())
    if norm == 0:
        raise ValueError("gradient must not be zero: it has no direction to keep")
    check_normal("norm", target, gradient)
    return finite("norm", (target * direction).to(gradient))


def clip_by_value(gradient: Any, bound: float) -> Tensor:
    r"""Clip every entry of a gradient to [−bound, bound].

    It can change the direction, for n entries by at most :math:`\arccos(1/\sqrt n)`. No smaller
    bound holds; for n ≥ 2 it is approached and not attained. Serves claims 6c-clip and 6c-angle.

    Parameters
    ----------
    gradient : Tensor or array
        Any shape.
    bound : float
        c, positive.

    Returns
    -------
    Tensor
        The shape and dtype of `gradient`.

    Raises
    ------
    TypeError, ValueError
        If `gradient` is not finite or `bound` not positive.

    References
    ----------
    Mikolov, "Statistical language models based on neural networks", PhD thesis, Brno 2012,
    section 3.2.2.

    Examples
    --------
    >>> clip_by_value([3.0, -0.4], 1.0)
    tensor([ 1.0000, -0.4000])
    """
    gradient = as_tensor("gradient", gradient)
    limit = check_number("bound", bound, "positive", lambda value: value > 0)
    limit = min(limit, torch.finfo(gradient.dtype).max)  # else clamp refuses it
    return gradient.clamp(-limit, limit)


def drive(cell: nn.RNNBase, inputs: Any, state: Any, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return recurrent weights, what inputs and both biases add at each step, and first state."""
    weight = cell.get_parameter("weight_hh_l0").detach()
    incoming = cell.get_parameter("weight_ih_l0").detach()
    x = as_tensor_like("inputs", inputs, weight, ndim=2)
    check_matching("inputs", x, (len(x), cell.input_size), "the input size of the cell")
    h = as_tensor_like(name, state, weight)
    check_matching(name, h, (cell.hidden_size,), "the hidden size of the cell")
    drives = x @ incoming.T
    if cell.bias:
        for bias in ("bias_ih_l0", "bias_hh_l0"):
            drives = drives + cell.get_parameter(bias).detach()
    return weight, drives, h


def check_cell(name: str, cell: Any, kind: type) -> None:
    """Refuse a network of several layers, directions or with a projection."""
    check_kind(name, cell, kind)
    if cell.num_layers != 1 or cell.bidirectional or cell.proj_size:
        raise ValueError(f"{name} must have one layer, one direction and no projection, got {cell}")
    for each in cell._flat_weights_names:
        if each not in cell._parameters:
            raise TypeError(f"{name} must have its weights as parameters of its own, got {cell}")
    check_ordinary(name, cell)
    for each in cell._flat_weights_names:
        as_tensor(f"{name}.{each}", cell._parameters[each])


def check_normal(name: str, norm: float, gradient: Tensor) -> None:
    """Refuse a norm that only vectors of subnormal numbers have, which lack digits."""
    least = torch.finfo(gradient.dtype).tiny
    if norm < least:
        raise ValueError(f"{name} must be at least {least:.3g} in {gradient.dtype}, got {norm}")


def check_square(W: Any) -> Tensor:
    """Return W as a square matrix."""
    W = as_tensor("W", W, ndim=2)
    check_matching("W", W, (len(W), len(W)), "it must be square")
    return W


def check_vector(name: str, z: Any, W: Tensor) -> Tensor:
    """Return a vector that W can be multiplied with."""
    z = as_tensor(name, z, ndim=1)
    check_same_kind(W=W, **{name: z})
    check_matching(name, z, (len(W),), "the size of W")
    return z


def check_recurrence(W: Any, z0: Any, zbar: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return W, z0 and zbar with shapes that fit."""
    W = check_square(W)
    return W, check_vector("z0", z0, W), check_vector("zbar", zbar, W)
