"""Small perturbations of images that raise the loss of a classifier, and what theory predicts.

As a program, ``python -m hw2lib.adversarial --help``: it attacks a network that was trained by
``python -m hw2lib.training``, and draws the question's figures beside its checkpoint.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from hw2lib._checks import (
    as_batch,
    as_images,
    as_labels,
    as_tensor,
    check_integer,
    check_kind,
    check_matching,
    check_not_compiled,
    check_number,
    check_same_kind,
    check_visible,
    finite,
    run_model,
)
from hw2lib._scale import polar
from hw2lib.training import (
    History,
    check_classes,
    check_independent_of_batch,
    data_parser,
    evaluate,
    evaluation_mode,
    full_network,
    load_data,
    logits_of,
    predict,
    read_checkpoint,
    size_of_batches,
)

__all__ = [
    "first_switch",
    "input_gradient",
    "linear_prediction",
    "locally_affine_loss",
    "random_sign_perturbation",
    "signed_gradient_attack",
    "steepest_direction",
    "worst_linear_margins",
]


@torch.inference_mode(mode=False)
def input_gradient(
    model: nn.Module, images: Any, labels: Any, *, batch_size: int | None = None
) -> Tensor:
    """Return the gradient of each image's own loss with respect to its pixels.

    In evaluation mode: otherwise dropout would make it random, and batch norm would make every
    image's loss depend on the others. A model that still mixes the images of a batch
    (beside another image one's logits differ by more than about √ε of their range) is refused,
    unless `batch_size` is given: then it is the gradient of the sum of all log-odds, times each
    image's :math:`1-p_y`. Right for an image of which the model is sure, too: the derivative in the
    label's logit, :math:`p_y-1`, is taken as minus the sum of the other probabilities, so nothing
    cancels; the result is 0 by rounding only where it is itself too small for its dtype. Serves
    claims 5-gradient-size and 5-sure.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits; its mode is restored, and its parameters' gradients stay untouched.
    images : Tensor
        Shape (N, …), of the model's dtype and device.
    labels : Tensor
        Shape (N,), integers from 0.
    batch_size : int, optional
        Images at a time, as in :func:`hw2lib.training.predict`.

    Returns
    -------
    Tensor
        Shape of `images`; the loss is cross-entropy, in nats.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, the images do not fit the model, or a number
        overflows.

    References
    ----------
    Simonyan, Vedaldi, Zisserman, "Deep inside convolutional networks", ICLR 2014 workshop,
    section 3 (the same of a score instead of the loss).

    Examples
    --------
    >>> model = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(model.weight)
    >>> input_gradient(model, torch.zeros(1, 2), torch.tensor([0]))  # softmax − one-hot
    tensor([[-0.5000,  0.5000]])
    """
    images = as_images("images", images, model)
    labels = as_labels("labels", labels, len(images)).to(images.device)
    with evaluation_mode(model):
        size = size_of_batches(batch_size, model, images, mixed=False)
        odds, gradient = log_odds_and_gradient(model, images, labels, size)
    return times_doubt(gradient, odds.view(-1, *[1] * (images.ndim - 1)))


def log_odds_and_gradient(
    model: nn.Module, images: Tensor, labels: Tensor, batch_size: int
) -> tuple[Tensor, Tensor]:
    r"""Return the log-odds m = log Σ_{k≠y} exp(z_k − z_y) against the label, and their gradient.

    The loss is log(1 + eᵐ), so its gradient is that of m times 1 − p_y = eᵐ/(1 + eᵐ). Softmax minus
    one-hot is the same on paper. But where the model is sure, p_y rounds to 1 and p_y − 1 to 0: the
    label's own term is lost, and with it the signs. Nothing cancels here.

    Shapes (N,) and that of `images`; for a model in evaluation mode.
    """
    batches = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    found = [odds_and_gradient_of_batch(model, *batch) for batch in batches]
    odds, gradient = map(torch.cat, zip(*found, strict=True))
    return odds, finite("model and images", gradient)


def times_doubt(values: Tensor, odds: Tensor) -> Tensor:
    """Return values times 1 − p_y, in two steps: 1 − p_y alone may underflow."""
    root = (logsigmoid(odds) / 2).exp()
    return root * (root * values)


def odds_and_gradient_of_batch(
    model: nn.Module, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the log-odds of the images of a batch, and the gradient of each."""
    with torch.enable_grad():
        images = images.detach().clone().requires_grad_()
        odds = log_odds(classified(model, images, labels), labels)
        # where there is no other class the odds are −∞ whatever the image
        (gradient,) = gradients([odds[odds > -math.inf].sum()], images)
    return odds.detach(), gradient


def gradients(*arguments: Any, **options: Any) -> tuple[Tensor, ...]:
    """Return what torch.autograd.grad does, or say that the model has no such derivative."""
    try:
        return torch.autograd.grad(*arguments, **options)
    except RuntimeError as error:  # of attention, for example, whose fast form has one only
        raise ValueError(f"model must have the derivatives that are asked for: {error}") from error


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log Σ_{k≠y} exp(z_k − z_y), shape (N,)."""
    label = labels[:, None]
    # before the exponentials, for an offset of all logits would round their sum
    margins = logits - logits.gather(1, label)
    return margins.scatter(1, label, -math.inf).logsumexp(1)


def classified(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the logits, shape (N, classes), of images whose gradient is to be taken.

    Refused are labels beyond the classes, and logits whose difference overflows.
    """
    logits = logits_of(model, images)
    if not logits.requires_grad:
        raise ValueError("model must map images to logits that depend on them")
    check_classes("labels", labels, logits)
    finite("model and images", logits.amax(1) - logits.amin(1))
    return logits


def steepest_direction(gradient: Any, norm: float) -> Tensor:
    r"""Return the d with ‖d‖ ≤ 1 that maximises the inner product with a gradient.

    For the ℓ∞ norm it is sign(∇), for ℓ2 ∇/‖∇‖₂, for ℓ1 the largest entry's sign alone; the
    maximum is the dual norm of the gradient: ‖∇‖₁, ‖∇‖₂, ‖∇‖∞. Serves claims 5-first-order and
    5-dual-norms.

    Parameters
    ----------
    gradient : Tensor
        Of any shape, flattened for the norms; not zero for ℓ2.
    norm : float
        Of d: 1, 2 or infinity.

    Returns
    -------
    Tensor
        Shape of `gradient`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or ℓ2 is asked for at a zero gradient.

    References
    ----------
    Boyd and Vandenberghe, "Convex optimization", Cambridge 2004, section 9.4 (steepest descent in a
    norm) and appendix A.1.6 (dual norms).

    Examples
    --------
    >>> g = torch.tensor([3.0, -4.0])
    >>> for norm in (float("inf"), 2, 1):
    ...     d = steepest_direction(g, norm)
    ...     print(d.tolist(), (d @ g).item())
    [1.0, -1.0] 7.0
    [0.6000000238418579, -0.800000011920929] 5.0
    [0.0, -1.0] 4.0
    """
    gradient = as_tensor("gradient", gradient)
    if isinstance(norm, bool) or not isinstance(norm, int | float):
        raise TypeError(f"norm must be 1, 2 or infinity, got {type(norm).__name__}: {norm!r}")
    if norm == float("inf"):
        return gradient.sign()
    if norm == 2:
        length, direction = polar(gradient)
        if length == 0:
            raise ValueError("gradient must not be zero: it has no ℓ2 direction")
        return direction
    if norm == 1:
        flat = gradient.flatten()
        largest = flat.abs().argmax()
        direction = torch.zeros_like(flat)
        direction[largest] = flat[largest].sign()
        return direction.view_as(gradient)
    raise ValueError(f"norm must be 1, 2 or infinity, got {norm!r}")


@torch.inference_mode(mode=False)
def linear_prediction(
    model: nn.Module, images: Any, labels: Any, *, eps: float, batch_size: int | None = None
) -> Tensor:
    """Return each image's loss after a signed step of size ε, to first order: ℓ + ε‖∇ℓ‖₁.

    As long as no unit of a piecewise linear network switches, the loss after the step itself, not
    cut off at the bounds of the pixels, is at least this. Serves claims 5-dual and 5-linear-range.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits; its mode is restored.
    images : Tensor
        Shape (N, …), of the model's dtype and device.
    labels : Tensor
        Shape (N,), integers from 0.
    eps : float
        Size of the step, in the pixels' unit.
    batch_size : int, optional
        Images at a time, as in :func:`hw2lib.training.predict`.

    Returns
    -------
    Tensor
        Shape (N,), in nats.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, the images do not fit the model, `eps` is
        negative, or a number overflows.

    References
    ----------
    Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015,
    section 3.

    Examples
    --------
    >>> model = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(model.weight)
    >>> linear_prediction(model, torch.zeros(1, 2), torch.tensor([0]), eps=0.1)  # log 2 + 0.1
    tensor([0.7931])
    """
    images = as_images("images", images, model)
    labels = as_labels("labels", labels, len(images)).to(images.device)
    eps = check_eps(eps)
    with evaluation_mode(model):
        size = size_of_batches(batch_size, model, images, mixed=False)
        odds, gradient = log_odds_and_gradient(model, images, labels, size)
    rise = times_doubt(eps * gradient.abs().flatten(1).sum(1), odds)
    return finite("model, images and eps", rise - logsigmoid(-odds))


@torch.inference_mode(mode=False)
def locally_affine_loss(
    model: nn.Module,
    images: Any,
    labels: Any,
    perturbed: Any,
    *,
    batch_size: int | None = None,
) -> Tensor:
    """Return each perturbed image's loss if all ReLUs stayed as they are at the image itself.

    Near an image a piecewise linear network is affine, z + J(x′ − x); here that function is
    continued as far as x′, with its true loss. It has the curvature of the loss, which
    :func:`linear_prediction` lacks; neither has the units that switch. Serves claims 5-dual and
    5-linear-range.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits, each by itself; its mode is restored.
    images, perturbed : Tensor
        Shape (N, …), of the model's dtype and device.
    labels : Tensor
        Shape (N,), integers from 0.
    batch_size : int, optional
        Images at a time, as in :func:`input_gradient`.

    Returns
    -------
    Tensor
        Shape (N,), in nats.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, the images do not fit the model or mix, or a
        number overflows.

    References
    ----------
    Montúfar, Pascanu, Cho, Bengio, "On the number of linear regions of deep neural networks",
    NeurIPS 2014.

    Examples
    --------
    >>> model = nn.Linear(2, 2, bias=False)  # affine everywhere: nothing is lost
    >>> _ = nn.init.eye_(model.weight)
    >>> locally_affine_loss(model, torch.zeros(1, 2), torch.tensor([1]), torch.ones(1, 2))
    tensor([0.6931])
    """
    images = as_images("images", images, model).detach()
    perturbed = as_images("perturbed", perturbed, model).detach()
    check_matching("perturbed", perturbed, images.shape, "that of images")
    labels = as_labels("labels", labels, len(images)).to(images.device)
    with evaluation_mode(model), torch.enable_grad():
        size = size_of_batches(batch_size, model, images, mixed=False)
        batches = zip(*(each.split(size) for each in (images, labels, perturbed)), strict=True)
        predicted = torch.cat([affine_logits(model, *batch) for batch in batches])
    finite("model, images and perturbed", predicted)
    return finite("model, images and perturbed", -logsigmoid(-log_odds(predicted, labels)))


def affine_logits(model: nn.Module, images: Tensor, labels: Tensor, perturbed: Tensor) -> Tensor:
    """Return z + J(x′ − x), the logits that the affine function at each image has further on."""
    start = images.detach().clone().requires_grad_()
    logits = classified(model, start, labels)
    (change,) = derivatives([logits], start, perturbed - images)
    return logits.detach() + change


@torch.inference_mode(mode=False)
def first_switch(model: nn.Module, images: Any, direction: Any) -> Tensor:
    r"""Return how far each image can go along a direction before the first ReLU switches.

    Up to there a network whose other layers are affine is affine itself, and so is every input
    :math:`a` of a ReLU: it meets zero at −a/a′, with a′ its derivative along the direction, if the
    two have opposite signs. The least of these is ε₀. Serves claim 5-dual.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits, each by itself; of its nonlinearities only
        :class:`torch.nn.ReLU` modules are watched, whose inputs have the batch as their first
        dimension. Its mode is restored.
    images, direction : Tensor
        Shape (N, …), of the model's dtype and device.

    Returns
    -------
    Tensor
        ε₀, shape (N,): 0 for an image that leaves a kink, infinite where no unit ever switches.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, the images do not fit the model or mix, or a
        number overflows.

    References
    ----------
    Montúfar, Pascanu, Cho, Bengio, "On the number of linear regions of deep neural networks",
    NeurIPS 2014.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    >>> _ = nn.init.ones_(model[0].weight), nn.init.constant_(model[0].bias, -2.0)
    >>> first_switch(model, torch.tensor([[0.5], [3.0]]), torch.ones(2, 1))  # x = 2 is the kink
    tensor([1.5000,    inf])
    """
    images = as_images("images", images, model).detach().clone()
    direction = as_images("direction", direction, model).detach().clone()
    check_matching("direction", direction, images.shape, "that of images")
    entered: list[Tensor] = []
    check_visible("model", model)
    check_not_compiled("model", model)

    def note(module: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        (entering,) = (*given, *named.values())
        entered.append(entering.clone())  # a copy, for a ReLU may work in place

    with evaluation_mode(model):
        check_independent_of_batch(model, images)
    hooks = [
        module.register_forward_pre_hook(note, with_kwargs=True)
        for module in model.modules()
        if isinstance(module, nn.ReLU)
    ]
    try:
        with evaluation_mode(model), torch.enable_grad():
            images.requires_grad_()
            run_model(model, images)
            values = tuple(entered)  # what checkpointing computes again enters again
            slopes = derivatives(values, images, direction)
    finally:
        for hook in hooks:
            hook.remove()
    nearest = images.new_full((len(images),), math.inf).detach()
    for value, slope in zip(values, slopes, strict=True):
        finite("model, images and direction", (value, slope))
        if value.shape[:1] != images.shape[:1]:
            raise ValueError(
                f"model must give each ReLU an input of shape (N, …), got {tuple(value.shape)}"
            )
        meets = (slope != 0) & (value.sign() != slope.sign())
        away = (value.detach() / slope).abs()
        finite("model, images and direction", away[meets])
        distance = torch.where(meets, away, math.inf)
        nearest = torch.minimum(nearest, distance.reshape(len(images), -1).amin(1))
    return nearest


def derivatives(values: Sequence[Tensor], x: Tensor, direction: Tensor) -> Sequence[Tensor]:
    """Return the derivatives of values along a direction of x: J d, without J.

    The gradient Jᵀu is linear in u, and d its own cotangent.
    """
    if not values:
        return []
    u = [torch.zeros_like(value, requires_grad=True) for value in values]
    # sums of products, for grad_outputs would load sympy, most of a second
    pairing = torch.stack([(value * each).sum() for value, each in zip(values, u, strict=True)])
    (pulled_back,) = gradients(pairing.sum(), x, create_graph=True, materialize_grads=True)
    if not pulled_back.requires_grad:
        return u
    return gradients((pulled_back * direction).sum(), u, materialize_grads=True)


def worst_linear_margins(
    weight: Any,
    bias: Any,
    images: Any,
    labels: Any,
    *,
    eps: float,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Tensor:
    r"""Return how far a linear classifier can be brought to prefer every other class: exactly.

    With scores :math:`z=Wx+c` the margin :math:`z_k-z_y` is linear in the image, so its largest
    value over all changes of at most ε that keep every pixel within its bounds is found pixel by
    pixel: up where :math:`W_k-W_y` is positive, down where it is negative. Some change gives
    another class a larger score than y if and only if one of the margins can become positive.
    Serves claims 5-worst-case and 5-linear-classifier.

    Parameters
    ----------
    weight, bias : Tensor
        W, shape (classes, n), and c, shape (classes,).
    images : Tensor
        Shape (N, …), flattened to n pixels, within `bounds`.
    labels : Tensor
        Shape (N,), integers from 0.
    eps : float
        Largest change of a pixel, in the pixels' unit.
    bounds : tuple of 2 float
        Least and greatest value of a pixel, rounded to the images' dtype.

    Returns
    -------
    Tensor
        Shape (N, classes): the largest :math:`z_k-z_y`; 0 for the image's own class.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range, a pixel is out of `bounds`, or a number
        overflows.

    References
    ----------
    Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015,
    section 5 (two classes, no bounds).

    Examples
    --------
    >>> W, c = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2)
    >>> worst_linear_margins(W, c, [[0.9, 0.25]], [0], eps=0.25)  # 2·0.5 − 0.65
    tensor([[0.0000, 0.3500]])
    """
    weight, bias = as_tensor("weight", weight, 2), as_tensor("bias", bias, 1)
    check_matching("bias", bias, weight.shape[:1], "one number a row of weight")
    images = as_batch("images", images)
    check_same_kind(weight=weight, bias=bias, images=images)
    labels = as_labels("labels", labels, len(images)).to(images.device)
    eps = check_eps(eps)
    low, high = box(images, eps, check_bounds(bounds, images))
    low, high = low.flatten(1), high.flatten(1)
    check_matching("images", low, (len(low), weight.shape[1]), "flattened: one pixel a column")
    check_classes("labels", labels, weight.T)
    difference = weight - weight[labels][:, None]  # N, classes, n
    reached = torch.where(difference > 0, high[:, None], low[:, None])
    margins = (difference * reached).sum(2) + (bias - bias[labels][:, None])
    return finite("weight, bias, images and bounds", margins)


@torch.inference_mode(mode=False)
def signed_gradient_attack(
    model: nn.Module,
    images: Any,
    labels: Any,
    *,
    eps: float,
    steps: int = 1,
    step_size: float | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    project: bool = True,
    targeted: bool = False,
    start: Any = None,
    batch_size: int | None = None,
) -> Tensor:
    """Raise the loss of every image by steps along the sign of its gradient, within ±ε of it.

    One step is the fast gradient sign method, several with projection are projected gradient
    ascent in the ℓ∞ ball, without a random start unless `start` is one. No pixel moves by more
    than ε (with `project`): exactly, rounding included. The signs are right however sure the model
    is, also where the gradient itself underflows. The model runs in evaluation mode; its modes are
    restored and its parameters' gradients stay untouched. Serves claims 5-projection, 5-accuracy,
    5-worst-case and 5-sure.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits; normalisation of pixels belongs inside.
    images : Tensor
        Shape (N, …), of the model's dtype and device, pixels within `bounds`.
    labels : Tensor
        Shape (N,), integers from 0: the true classes, or those to be taken for if `targeted`.
    eps : float
        Largest change of a pixel, in the pixels' unit; 0 gives the images back.
    steps : int
        Number of steps.
    step_size : float, optional
        Change of a pixel in a step; by default `eps`.
    bounds : tuple of 2 float
        Least and greatest value of a pixel, rounded to the images' dtype.
    project : bool
        Whether to keep the sum of the steps within ±ε; without it, it can reach
        ``steps * step_size``.
    targeted : bool
        Lower the loss of `labels` instead of raising it.
    start : Tensor, optional
        Where to begin, of the shape of `images` and moved into the box if it lies outside; by
        default at the images themselves.
    batch_size : int, optional
        Images at a time, as in :func:`hw2lib.training.predict`.

    Returns
    -------
    Tensor
        Shape and dtype of `images`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, a pixel is out of `bounds`, the images
        do not fit the model, or a number overflows.

    References
    ----------
    Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015,
    section 4; Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
    2018, section 2.1.

    Examples
    --------
    >>> model = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(model.weight)
    >>> images = torch.tensor([[0.5, 0.5]])
    >>> signed_gradient_attack(model, images, torch.tensor([0]), eps=0.25)
    tensor([[0.2500, 0.7500]])
    """
    images = as_images("images", images, model).detach()
    labels = as_labels("labels", labels, len(images)).to(images.device)
    eps = check_eps(eps)
    steps = check_integer("steps", steps, 1)
    size = eps if step_size is None else check_eps(step_size, "step_size")
    check_kind("project", project, bool)
    check_kind("targeted", targeted, bool)
    low, high = box(images, eps if project else size * steps, check_bounds(bounds, images))
    largest = torch.finfo(images.dtype).max  # add_ refuses a larger step, which meets the bounds
    step = min(size, largest) * (-1 if targeted else 1)
    adversarial = images.clone()
    if start is not None:
        begin = as_images("start", start, model).detach()
        check_matching("start", begin, images.shape, "that of images")
        adversarial = begin.clamp(low, high)
    with evaluation_mode(model):
        at_a_time = size_of_batches(batch_size, model, images, mixed=False)
        for _ in range(steps):
            # of the log-odds: the sign of the loss's own, which can underflow
            _, gradient = log_odds_and_gradient(model, adversarial, labels, at_a_time)
            adversarial.add_(gradient.sign_(), alpha=step).clamp_(low, high)
    return adversarial


def random_sign_perturbation(
    images: Any, *, eps: float, seed: int = 0, bounds: tuple[float, float] = (0.0, 1.0)
) -> Tensor:
    """Change every pixel by +ε or −ε at random, within the bounds: an attack that knows nothing.

    Parameters
    ----------
    images : Tensor
        Shape (N, …), pixels within `bounds`.
    eps : float
        Change of a pixel, in the pixels' unit.
    seed : int
        Of the signs.
    bounds : tuple of 2 float
        Least and greatest value of a pixel, rounded to the images' dtype.

    Returns
    -------
    Tensor
        Shape and dtype of `images`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, or a pixel out of `bounds`.

    References
    ----------
    Fawzi, Moosavi-Dezfooli, Frossard, "Robustness of classifiers: from adversarial to random
    noise", NeurIPS 2016.

    Examples
    --------
    >>> random_sign_perturbation(torch.full((1, 4), 0.5), eps=0.25).unique().tolist()
    [0.25, 0.75]
    """
    images = as_tensor("images", images)
    eps = check_eps(eps)
    generator = torch.Generator().manual_seed(check_integer("seed", seed, 0))
    low, high = box(images, eps, check_bounds(bounds, images))
    signs = 2 * torch.randint(0, 2, images.shape, generator=generator).to(images) - 1
    return torch.clamp(images + eps * signs, low, high)


def check_eps(value: float, name: str = "eps") -> float:
    """Return a size of a perturbation as a float."""
    return check_number(name, value, "a number of at least 0", lambda v: v >= 0)


def check_bounds(bounds: Any, images: Tensor) -> tuple[float, float]:
    """Return the bounds of a pixel in the images' dtype; all images lie within them."""
    check_kind("bounds", bounds, tuple)
    if len(bounds) != 2:
        raise ValueError(f"bounds must hold 2 numbers, got {bounds}")
    numbers = (check_number(f"bounds[{i}]", bound) for i, bound in enumerate(bounds))
    largest = torch.finfo(images.dtype).max  # a bound beyond it is none
    low, high = (
        torch.tensor(min(max(number, -largest), largest), dtype=images.dtype).item()
        for number in numbers
    )
    least, greatest = images.min().item(), images.max().item()
    if not low <= least <= greatest <= high:
        raise ValueError(
            f"images must lie within bounds {bounds}, got pixels from {least:.9g} to {greatest:.9g}"
        )
    return low, high


def box(images: Tensor, eps: float, bounds: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Return the least and greatest value of each pixel: within ±ε of it, and within the bounds.

    x + ε rounds to the nearest number, which may lie further than ε from x: then the one before it
    is taken, so that no pixel moves by more than ε.
    """
    reach = torch.tensor(eps, dtype=images.dtype)
    if reach.item() > eps:
        reach = reach.nextafter(torch.zeros_like(reach))
    low, high = (no_further(images, change) for change in (-reach, reach))
    return low.clamp_(min=bounds[0]), high.clamp_(max=bounds[1])


def no_further(x: Tensor, change: Tensor) -> Tensor:
    """Return x + change, rounded towards x."""
    total = x + change
    added = total - x  # the rounding error of the sum is found exactly (Knuth's two-sum)
    error = (x - (total - added)) + (change - added)
    return torch.where(error.sign() == -change.sign(), total.nextafter(x), total)


# ---- as a program


def main(arguments: Sequence[str] | None = None) -> None:
    """Answer the question's last parts for a network in full width, from its checkpoint."""
    parser = data_parser("adversarial", "Attack the trained network of Solution 5, and draw it.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="of hw2lib.training")
    given = parser.parse_args(arguments)
    try:
        data = load_data(given)
        model = full_network(data)
        state = read_checkpoint(given.checkpoint)
        model.load_state_dict(state["model"])
    except (ValueError, OSError, RuntimeError) as error:
        parser.error(str(error))
    print(f"a network after {len(state['rows'])} of {state['settings']['epochs']} epochs")
    model.to(given.device).eval()
    images = data.validation_images.to(given.device)
    labels = data.validation_labels.to(given.device)
    print("mean loss of 100 images by the step, steps of 8/255")
    losses = losses_by_the_step(model, images[:100], labels[:100])
    for title, values in losses.items():
        print(f"  {title:20}", *(f"{loss:8.4f}" for loss in values))
    for title, seen in after_one_step(model, images, labels).items():
        print(f"{title:13} {1 - evaluate(model, seen, labels).error:.2%} of {len(labels)} right")
    from hw2lib import _report  # it loads Matplotlib

    answers = predict(model, images).argmax(1)
    first = [found.nonzero()[:3, 0] for found in (answers == labels, answers != labels)]
    few = torch.cat(first)
    gradients = input_gradient(model, images[few], labels[few])
    shown = _report.Shown(images[few], gradients, labels[few], answers[few], data.classes)
    history = History(*state["rows"].T)
    try:
        for file in _report.write_figures(given.checkpoint, history, shown, losses):
            print(f"drawn: {file}")
    except OSError as error:
        parser.error(str(error))


def losses_by_the_step(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """Return the mean loss before and after each of five steps of 8/255, projected and not."""
    losses = {}
    for title, project in (("projected to 8/255", True), ("not projected", False)):
        attack = functools.partial(
            signed_gradient_attack, model, images, labels, eps=8 / 255, project=project
        )
        after = [images, *(attack(steps=steps) for steps in range(1, 6))]
        losses[title] = [evaluate(model, each, labels).loss for each in after]
    return losses


def after_one_step(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the images, and what a step of 8/255 and random signs of that size make of them."""
    pieces = zip(images.split(500), labels.split(500), strict=True)
    attacked = [signed_gradient_attack(model, *piece, eps=8 / 255) for piece in pieces]
    at_random = random_sign_perturbation(images, eps=8 / 255)
    return {"clean": images, "one step": torch.cat(attacked), "random signs": at_random}


if __name__ == "__main__":
    main()
