"""Batch norm and shifted inputs: what they do to the biases of the layers around them."""

from __future__ import annotations

import copy
import functools
import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hw2lib._checks import (
    all_finite,
    as_dense,
    as_tensor,
    as_tensor_like,
    check_integer,
    check_kind,
    check_matching,
    check_model,
    check_not_compiled,
    check_number,
    check_ordinary,
    check_same_kind,
    check_visible,
    finite,
    run_model,
)

__all__ = [
    "RidgeSolution",
    "RunningStatistics",
    "absorb_shift",
    "batch_normalize",
    "bias_offset_in_eval",
    "layer_inputs",
    "measured_bias_offsets",
    "pad_channels",
    "padding_mask",
    "relu_off_probability",
    "ridge",
    "running_statistics",
    "saturation_probability",
]


ShiftableLayer = TypeVar("ShiftableLayer", nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
Model = TypeVar("Model", bound=nn.Module)


class RunningStatistics(NamedTuple):
    """Running mean and variance of a batch norm, each of shape (channels,)."""

    mean: Tensor
    variance: Tensor


class RidgeSolution(NamedTuple):
    """Weights (features, outputs) and intercept (outputs,) of a ridge regression."""

    weight: Tensor
    intercept: Tensor


def batch_normalize(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 0.0
) -> Tensor:
    r"""Normalise every channel by its mean and *biased* variance over the batch.

    :math:`y = \gamma\,(x-\mu)/\sqrt{\sigma^2+\varepsilon} + \beta`, the training mode of batch
    norm; unlike ``torch.nn.functional.batch_norm`` it accepts ε = 0, for which the mathematics is
    exact. Serves claims 1a-moments, 1a-saturation, 1a-relu-off, 1a-conv-bias and 1b-running.

    Parameters
    ----------
    x : Tensor
        Shape (N, C) or (N, C, …).
    weight, bias : Tensor, optional
        γ and β, shape (C,); 1 and 0 if left out.
    eps : float
        ε, in the units of the variance.

    Returns
    -------
    Tensor
        The shape and dtype of `x`.

    Raises
    ------
    TypeError, ValueError
        If a shape does not fit, a value is not finite, `eps` is negative, or a channel is
        constant while `eps` is 0.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015, algorithm 1.

    Examples
    --------
    >>> import torch
    >>> y = batch_normalize(torch.tensor([[1.0, 10.0], [3.0, 50.0]]))
    >>> y.tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    x = as_tensor("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must have shape (N, C) or (N, C, …), got {tuple(x.shape)}")
    eps = check_number("eps", eps, "a number of at least 0", lambda value: value >= 0)
    axes = [axis for axis in range(x.ndim) if axis != 1]
    if eps == 0 and (x.amax(axes) == x.amin(axes)).any():
        raise ValueError("x must vary in every channel where eps is 0, got a constant channel")
    # in a unit near the largest entry, for squares over- or underflow; a power of 2 rounds nothing
    smallest = x.new_tensor(max(math.sqrt(eps), torch.finfo(x.dtype).tiny))
    largest = torch.maximum(x.detach().abs().amax(axes, keepdim=True), smallest)
    unit = torch.ldexp(torch.ones_like(largest), torch.frexp(largest).exponent - 1)
    centred = x / unit - (x / unit).mean(axes, keepdim=True)
    # a rounded mean leaves something over, as large as all the rest if that varies little
    variance, mean = torch.var_mean(centred, axes, correction=0, keepdim=True)
    least = (math.sqrt(eps) / unit.double()).to(unit)
    least = torch.where(least > 0, least, torch.finfo(x.dtype).tiny)
    varied = variance > 0
    # apart where all entries are equal: the square of ε's root may underflow, and √0 has no slope
    deviation = (torch.where(varied, variance, 1) + least.square()).sqrt()
    y = (centred - mean) / torch.where(varied, deviation, least)
    column = (1, x.shape[1]) + (1,) * (x.ndim - 2)
    for name, parameter, scale in (("weight", weight, True), ("bias", bias, False)):
        if parameter is not None:
            values = as_tensor(name, parameter)
            check_same_kind(**{"x": x, name: values})
            check_matching(name, values, x.shape[1:2], "the channels of x")
            y = y * values.reshape(column) if scale else y + values.reshape(column)
    return finite("x, weight, bias and eps", y)


def running_statistics(
    batches: Sequence[Tensor], momentum: float | None = 0.1
) -> RunningStatistics:
    r"""Return the statistics that batch norm uses in eval mode after these training batches.

    With momentum m, after k batches :math:`\sum_i m(1-m)^{k-i}\mu_i` for the mean, and the same
    weights on the *unbiased* variances plus :math:`(1-m)^k` times the initial 1. With
    ``momentum=None``, the plain averages. Serves claim 1b-running.

    Parameters
    ----------
    batches : sequence of Tensor
        Each of shape (N, C) or (N, C, …), first to last.
    momentum : float or None
        Weight of the newest batch, in [0, 1], as in ``torch.nn.BatchNorm2d``.

    Returns
    -------
    RunningStatistics
        Mean and variance, each of shape (C,).

    Raises
    ------
    TypeError, ValueError
        If there is no batch, a batch has a single value a channel, or `momentum` is out of range.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015, algorithm 2 (a plain average of unbiased
    variances).

    Examples
    --------
    >>> import torch
    >>> batch = torch.tensor([[0.0], [2.0]])
    >>> running_statistics([batch], momentum=0.1)
    RunningStatistics(mean=tensor([0.1000]), variance=tensor([1.1000]))
    """
    inputs = check_batches(batches)
    check_same_kind(**{f"batches[{index}]": x for index, x in enumerate(inputs)})
    if momentum is not None:
        momentum = check_number("momentum", momentum, "in [0, 1] or None", lambda m: 0 <= m <= 1)
    means, variances = [], []
    for index, x in enumerate(inputs):
        if x.ndim < 2 or x[:, 0].numel() < 2 or x.shape[1] != inputs[0].shape[1]:
            raise ValueError(
                f"batches[{index}] must have shape (N, C, …) and two values a channel, C as in "
                f"batches[0], got {tuple(x.shape)}"
            )
        rows = x.transpose(0, 1).flatten(1)
        mean = rows.mean(1)
        # a rounded mean leaves something over, which the variance takes off as well
        variance = (rows - mean[:, None]).var(1)
        means.append(mean)
        variances.append(variance)
    count = len(means)
    if momentum is None:
        ages = means[0].new_full((count,), 1 / count)
        initial = 0.0
    else:
        powers = torch.arange(count - 1, -1, -1, dtype=torch.float64)
        ages = (momentum * (1 - momentum) ** powers).to(means[0])
        initial = (1 - momentum) ** count
    # a product of matrices would be rounded more inside an autocast
    mean, variance = ((ages[:, None] * torch.stack(each)).sum(0) for each in (means, variances))
    return finite("batches", RunningStatistics(mean, variance + initial))


def bias_offset_in_eval(
    shift: float | Tensor,
    steps: int,
    *,
    weight: float | Tensor = 1.0,
    running_variance: float | Tensor = 1.0,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    r"""Return what is left in eval mode of a convolution's bias shift, `steps` batches later.

    Shift the bias of the layer right before a batch norm by b, pass k batches in training mode,
    switch to eval mode: the output is off by :math:`\gamma b (1-m)^k/\sqrt{v+\varepsilon}`, v the
    running variance. In training mode it is off by nothing. Serves claim 1a-conv-bias.

    Parameters
    ----------
    shift : float or Tensor
        b.
    steps : int
        k, training batches after the shift.
    weight, running_variance : float or Tensor
        γ and v.
    momentum, eps : float
        m and ε of the batch norm.

    Returns
    -------
    Tensor
        The offset, of the broadcast shape of the inputs and the dtype of those that are no numbers.

    Raises
    ------
    TypeError, ValueError
        If a value is not finite or out of range.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015, section 3.2 (the bias can be ignored).

    Examples
    --------
    >>> import torch
    >>> one = torch.tensor(1.0, dtype=torch.float64)
    >>> [round(bias_offset_in_eval(one, k, eps=0).item(), 4) for k in (0, 1, 22)]
    [1.0, 0.9, 0.0985]
    """
    steps = check_integer("steps", steps, 0)
    momentum = check_number("momentum", momentum, "in [0, 1]", lambda m: 0 <= m <= 1)
    eps = check_number("eps", eps, "a number of at least 0", lambda value: value >= 0)
    given = {"shift": shift, "weight": weight, "running_variance": running_variance}
    arrays = {name: as_tensor(name, v) for name, v in given.items() if not is_number(v)}
    device = next((each.device for each in arrays.values()), None)
    factors = {  # numbers in double precision, for they belong to no dtype
        name: arrays[name]
        if name in arrays
        else torch.tensor(check_number(name, value), dtype=torch.float64, device=device)
        for name, value in given.items()
    }
    variance = factors["running_variance"]
    if (variance < 0).any() or (eps == 0 and (variance == 0).any()):
        raise ValueError("running_variance must be at least 0, and positive where eps is 0")
    try:
        b, gain, variance = torch.broadcast_tensors(*factors.values())
    except RuntimeError as error:
        raise ValueError(
            "shift, weight and running_variance must have shapes that broadcast, got "
            f"{', '.join(str(tuple(each.shape)) for each in factors.values())}"
        ) from error
    total = finite("running_variance and eps", variance.double() + eps)
    kept = math.exp(steps / 2 * math.log1p(-momentum)) if momentum < 1 else float(steps == 0)
    root = kept / total.sqrt().sqrt()  # twice, for the product of two of the factors may underflow
    left = (root * b.double()) * (root * gain.double())
    dtypes = [each.dtype for each in arrays.values()] or [torch.get_default_dtype()]
    dtype = functools.reduce(torch.promote_types, dtypes)
    return finite("shift, weight, running_variance and eps", left.to(dtype))


def is_number(value: Any) -> bool:
    """Tell whether a value is a number, and not a tensor or an array of them."""
    return isinstance(value, numbers.Real)


def measured_bias_offsets(
    layer: nn.Module, batchnorm: nn.Module, shift: Any, batches: Sequence[Tensor]
) -> Tensor:
    """Shift the bias of a layer before a batch norm, and measure the offset in eval mode.

    The experiment that :func:`bias_offset_in_eval` predicts: batches pass in training mode while
    all parameters stay; copies of the modules run. Serves claim 1a-conv-bias.

    Parameters
    ----------
    layer : nn.Module
        With a bias of shape (channels,).
    batchnorm : nn.Module
        Right after the layer.
    shift : Tensor or array
        What is added to the bias, shape (channels,).
    batches : sequence of Tensor
        Inputs of the layer; the first also serves as the input in eval mode.

    Returns
    -------
    Tensor
        Shape (len(batches) + 1, channels): the offset before any batch and after each.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, `shift` does not have the shape of the bias, or a
        linear layer is given sequences.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015, section 3.2.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> batches = [torch.randn(8, 3, generator=torch.Generator().manual_seed(0))] * 2
    >>> offsets = measured_bias_offsets(nn.Linear(3, 1), nn.BatchNorm1d(1), [2.0], batches)
    >>> (offsets[0] - 2).abs().item() < 1e-4
    True
    """
    check_model("layer", layer)
    check_kind("batchnorm", batchnorm, nn.modules.batchnorm._BatchNorm)
    inputs = check_batches(batches)
    bias = layer._parameters.get("bias")
    if bias is None:
        raise TypeError(f"layer must have a bias as a parameter of its own, got {layer}")
    as_tensor("layer.bias", bias)
    added = as_tensor_like("shift", shift, bias)
    check_matching("shift", added, bias.shape, "the shape of the layer's bias")
    if isinstance(layer, nn.Linear) and any(batch.ndim != 2 for batch in inputs):
        raise ValueError(
            "batches must be of rows where the layer is linear, for batch norm's channels are the "
            f"second dimension, got shape {tuple(inputs[0].shape)}"
        )
    plain = copied("layer and batchnorm", nn.Sequential(layer, batchnorm))
    shifted = copied("layer and batchnorm", plain)

    def offset_in_eval() -> Tensor:
        # of copies, for a layer may work in place
        gap = shifted.eval()(inputs[0].clone()) - plain.eval()(inputs[0].clone())
        return gap.transpose(0, 1).flatten(1).mean(1)

    try:
        with torch.no_grad():
            shifted[0].get_parameter("bias").add_(added)
            offsets = [offset_in_eval()]
            for batch in inputs:
                plain.train()(batch.clone())
                shifted.train()(batch.clone())
                offsets.append(offset_in_eval())
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"batches do not fit the layer: {error}") from error
    return finite("layer, batchnorm, shift and batches", torch.stack(offsets))


def layer_inputs(model: nn.Module, images: Tensor, kind: type[nn.Module] = nn.ReLU) -> list[Tensor]:
    """Run the model in training mode and return what enters each layer of a kind, in order.

    The model itself is not modified: a copy runs. Its dropout draws from torch's global generator.

    Parameters
    ----------
    model : nn.Module
        Any network; a layer that is called twice counts twice.
    images : Tensor
        A batch that the model accepts.
    kind : type
        The class of the layers, for example ``nn.ReLU`` or ``nn.Conv2d``.

    Returns
    -------
    list of Tensor
        One tensor a call, in order of execution.

    Raises
    ------
    TypeError, ValueError
        If `model` is not a module or one that is scripted, traced, exported or compiled, `kind` not
        a class, or `images` not a finite tensor.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015, section 3.2.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.BatchNorm1d(1), nn.ReLU())
    >>> (z,) = layer_inputs(model, torch.tensor([[0.0], [2.0]]))
    >>> [round(value, 3) for value in z.flatten().tolist()]
    [-1.0, 1.0]
    """
    check_model("model", model)
    check_visible("model", model)
    check_not_compiled("model", model)
    check_kind("kind", kind, type)
    images = as_tensor("images", images)
    model = copied("model", model).train()
    inputs: list[Any] = []

    def note(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        entering = next(iter((*given, *named.values())), None)
        inputs.append(entering.clone() if isinstance(entering, Tensor) else entering)

    for module in model.modules():
        if isinstance(module, kind):
            module.register_forward_pre_hook(note, with_kwargs=True)
    with torch.no_grad():
        run_model(model, images)
    if not all(isinstance(entering, Tensor) for entering in inputs):
        raise TypeError(f"kind must be one of layers that take a tensor first, got {kind.__name__}")
    return list(finite("model and images", tuple(inputs)))


def copied(name: str, module: Model) -> Model:
    """Return a copy of a module, or say that it cannot be copied."""
    try:
        return copy.deepcopy(module)
    except RuntimeError as error:  # of weights that are computed, as the old weight norm's are
        raise TypeError(f"{name} must be what copy.deepcopy can copy: {error}") from error


def check_batches(batches: Any) -> list[Tensor]:
    """Return batches as a non-empty list of finite tensors."""
    if isinstance(batches, str) or not isinstance(batches, Sequence) or not batches:
        raise TypeError(f"batches must be a non-empty sequence of tensors, got {batches!r:.80}")
    return [as_tensor(f"batches[{index}]", batch) for index, batch in enumerate(batches)]


def relu_off_probability(shift: float, scale: float = 1.0) -> float:
    r"""Return the share of a normal unit's inputs that ReLU sets to zero.

    :math:`\Phi(-\beta/|\gamma|)`, for batch norm's shift β and scale γ. Serves claim 1a-relu-off.

    Parameters
    ----------
    shift, scale : float
        β and γ of the batch norm before the ReLU; the input is β plus γ times a standard normal.
        γ may be negative, but not 0: the unit is then constant.

    Returns
    -------
    float
        A probability.

    Raises
    ------
    TypeError, ValueError
        If `scale` is 0, or a value is not finite.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015, algorithm 1 (γ and β).

    Examples
    --------
    >>> round(relu_off_probability(-1.0), 4), relu_off_probability(0.0)
    (0.8413, 0.5)
    """
    shift = check_number("shift", shift)
    scale = abs(check_number("scale", scale, "a number other than 0", lambda value: value != 0))
    return normal_cdf(-shift / scale)


def saturation_probability(scale: float, shift: float = 0.0, threshold: float = 2.0) -> float:
    r"""Return the share of a normal unit's inputs beyond ±threshold, where tanh is flat.

    :math:`P(|\gamma z+\beta|>c)=\Phi((-c-\beta)/|\gamma|)+\Phi((\beta-c)/|\gamma|)` for a standard
    normal z. Serves claim 1a-saturation.

    Parameters
    ----------
    scale, shift : float
        γ (not 0) and β of the batch norm.
    threshold : float
        c, positive; at 2, tanh′ is 0.07.

    Returns
    -------
    float
        A probability.

    Raises
    ------
    TypeError, ValueError
        If `scale` is 0, `threshold` is not positive, or a value is not finite.

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, section 3 (saturation).

    Examples
    --------
    >>> round(saturation_probability(1.0), 4), round(saturation_probability(10.0), 4)
    (0.0455, 0.8415)
    >>> round(saturation_probability(1.0, shift=3.0), 4)
    0.8413
    """
    scale = abs(check_number("scale", scale, "a number other than 0", lambda value: value != 0))
    shift = check_number("shift", shift)
    threshold = check_number("threshold", threshold, "positive", lambda value: value > 0)
    return normal_cdf((-threshold - shift) / scale) + normal_cdf((shift - threshold) / scale)


def normal_cdf(z: float) -> float:
    """Return Φ(z), accurate in the lower tail."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def absorb_shift(layer: ShiftableLayer, shift: Any) -> ShiftableLayer:
    r"""Return a copy of the layer whose bias absorbs a shift of the input.

    It satisfies layer′(x − b) = layer(x). The bias grows by W b: for a linear layer
    :math:`c' = c + Wb`, for a convolution
    :math:`c'_k = c_k + \sum_c b_c \sum_{uv} w_{kcuv}`. With zero padding the convolution agrees
    only where no window touches the padding (see :func:`padding_mask`); padding the shifted input
    with −b instead (:func:`pad_channels`) makes it agree everywhere. Serves claims 1d-shift and
    1d-absorb.

    Parameters
    ----------
    layer : nn.Linear or nn.Conv1d, nn.Conv2d, nn.Conv3d
        Groups, strides, dilations and a missing bias are fine; it is not modified.
    shift : Tensor or array
        b, one value an input feature or channel.

    Returns
    -------
    nn.Module
        Of the layer's class, with a bias.

    Raises
    ------
    TypeError
        If `layer` is of another class (a transposed one, say), has a ``forward`` of its own or
        hooks, or its weights are complex, not its own or hold no data.
    ValueError
        If `shift` has another length, it or a weight is not finite, or the layer is lazy.

    References
    ----------
    ESE 546, Fall 2020, homework 2, solution 1(d); the correction is claim 1d-shift.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(3, 2)
    >>> x, b = torch.ones(3), torch.tensor([0.5, -1.0, 2.0])
    >>> torch.allclose(absorb_shift(layer, b)(x - b), layer(x), atol=1e-6)
    True
    """
    check_kind("layer", layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))
    check_model("layer", layer)
    for name in ("weight", "bias"):
        if name not in layer._parameters:
            raise TypeError(
                f"layer must own its {name}, got one computed from others (spectral norm, say)"
            )
        if layer._parameters[name] is not None:
            values = as_dense(f"layer.{name}", layer._parameters[name])
            if values.is_complex():
                raise TypeError(f"layer must have a real {name}, got dtype {values.dtype}")
            if not all_finite(values):
                raise ValueError(f"layer must have a finite {name}, got NaN or Inf")
    check_ordinary("layer", layer)
    b = as_tensor_like("shift", shift, layer.weight)
    channels = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    check_matching("shift", b, (channels,), "one value an input channel of the layer")
    with torch.no_grad():
        if isinstance(layer, nn.Linear):
            increase = (layer.weight * b).sum(1)  # no autocast touches it
        else:
            taps = layer.weight.flatten(2).sum(2)  # (out, in / groups)
            by_group = b.reshape(layer.groups, 1, -1)
            increase = (taps.reshape(layer.groups, -1, taps.shape[1]) * by_group).sum(2).flatten()
        absorbed = copied("layer", layer)
        bias = increase if layer.bias is None else layer.bias + increase
        finite("layer and shift", bias)
        frozen = layer.bias is not None and not layer.bias.requires_grad
        absorbed.bias = nn.Parameter(bias.clone(), not frozen)
    return absorbed


def padding_mask(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, size: Sequence[int]) -> Tensor:
    """Say which output positions of a convolution see its padding.

    Serves claim 1d-shift.

    Parameters
    ----------
    layer : nn.Conv1d, nn.Conv2d or nn.Conv3d
        With any stride, dilation and padding.
    size : sequence of int
        Spatial size of the input, for example (224, 224).

    Returns
    -------
    Tensor
        Boolean, of the output's spatial size; True where a window reaches outside the input.

    Raises
    ------
    TypeError
        If `layer` is not a convolution, or `size` not a sequence of integers.
    ValueError
        If `size` has the wrong length, an entry below 1, or no room for a window.

    References
    ----------
    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, section 2.

    Examples
    --------
    >>> import torch
    >>> stem = torch.nn.Conv2d(3, 64, 7, stride=2, padding=3)
    >>> mask = padding_mask(stem, (224, 224))
    >>> int(mask.sum()), mask.numel()
    (663, 12544)
    """
    check_kind("layer", layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
    check_kind("size", size, Sequence)
    dims = len(layer.kernel_size)
    if len(size) != dims:
        raise ValueError(f"size must have {dims} entries for {type(layer).__name__}, got {size!r}")
    sizes = [check_integer(f"size[{axis}]", n, 1) for axis, n in enumerate(size)]
    inside = torch.ones(1, 1, *sizes, dtype=torch.float64)  # which no autocast touches
    window = torch.ones(1, 1, *layer.kernel_size, dtype=torch.float64)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[dims - 1]
    try:
        with warnings.catch_warnings(action="ignore"):  # of a copy that an even kernel needs
            seen = convolve(inside, window, None, layer.stride, layer.padding, layer.dilation)
    except RuntimeError as error:
        raise ValueError(f"size must have room for a window, got {tuple(sizes)}: {error}") from None
    return seen[0, 0] < window.numel()


def pad_channels(x: Tensor, padding: Sequence[int], values: Any) -> Tensor:
    """Pad every channel of images with a constant of its own.

    Serves claim 1d-shift.

    Parameters
    ----------
    x : Tensor
        Shape (N, C, …).
    padding : sequence of int
        Width on both sides of each spatial axis, in the order of the axes, as in
        ``nn.Conv2d.padding``.
    values : Tensor or array
        Shape (C,).

    Returns
    -------
    Tensor
        Each spatial axis longer by twice its width.

    Raises
    ------
    TypeError, ValueError
        If lengths do not fit, or a width is negative.

    References
    ----------
    ESE 546, Fall 2020, homework 2, solution 1(d); the border effect is part of claim 1d-shift.

    Examples
    --------
    >>> import torch
    >>> pad_channels(torch.zeros(1, 2, 1), [1], [3.0, 4.0]).tolist()
    [[[3.0, 0.0, 3.0], [4.0, 0.0, 4.0]]]
    """
    x = as_tensor("x", x)
    constants = as_tensor_like("values", values, x)
    check_matching("values", constants, x.shape[1:2], "one value a channel of x")
    check_kind("padding", padding, Sequence)
    if len(padding) != x.ndim - 2:
        raise ValueError(
            f"padding must have {x.ndim - 2} entries for x of shape {tuple(x.shape)}, "
            f"got {padding!r}"
        )
    widths = [check_integer(f"padding[{axis}]", width, 0) for axis, width in enumerate(padding)]
    sizes = [size + 2 * width for size, width in zip(x.shape[2:], widths, strict=True)]
    padded = constants.reshape(-1, *(1,) * len(sizes)).repeat(len(x), 1, *sizes)
    inside = [slice(w, w + size) for size, w in zip(x.shape[2:], widths, strict=True)]
    padded[:, :, *inside] = x
    return padded


def ridge(
    inputs: Any, targets: Any, weight_decay: float, *, penalize_intercept: bool = False
) -> RidgeSolution:
    r"""Minimise :math:`\|XW + 1c^\top - Y\|_F^2 + \lambda\|W\|_F^2`, exactly.

    The smallest network with weight decay. With `penalize_intercept` the penalty has
    :math:`\lambda\|c\|^2` too, and the solution is no longer equivariant to a shift of the inputs.
    Claim 1d-invariance is about it.

    Parameters
    ----------
    inputs : Tensor or array
        X, shape (samples, features).
    targets : Tensor or array
        Y, shape (samples, outputs).
    weight_decay : float
        λ, positive.
    penalize_intercept : bool
        Whether weight decay touches the bias.

    Returns
    -------
    RidgeSolution
        W, shape (features, outputs), and c, shape (outputs,); c is as accurate as the predictions
        XW + c are, so a penalised c that is small beside XW has fewer digits.

    Raises
    ------
    TypeError, ValueError
        If shapes or dtypes do not fit, a value is not finite, or `weight_decay` is not positive, or
        too small for inputs with dependent columns; with a penalised intercept, for columns that
        hardly vary beside their means.

    Notes
    -----
    Torch's gradient in the inputs is NaN where two of their singular values are equal.

    References
    ----------
    Hastie, Tibshirani, Friedman, "The elements of statistical learning", section 3.4.1 (the
    intercept is left out of the penalty, or the origin of y would matter).

    Examples
    --------
    >>> import torch
    >>> x, y = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [3.0]])
    >>> ridge(x, y, 2.0)
    RidgeSolution(weight=tensor([[0.5000]]), intercept=tensor([1.5000]))
    >>> ridge(x - 10, y, 2.0).weight
    tensor([[0.5000]])
    """
    x, y = as_tensor("inputs", inputs, ndim=2), as_tensor("targets", targets, ndim=2)
    check_same_kind(inputs=x, targets=y)
    check_matching("targets", y, (x.shape[0], y.shape[1]), "one row an input")
    decay = check_number("weight_decay", weight_decay, "positive", lambda value: value > 0)
    check_kind("penalize_intercept", penalize_intercept, bool)
    # the best intercept takes all of a mean residual, or what λ leaves to it: kept² is the rest
    count, penalty = len(x), decay if penalize_intercept else 0.0
    kept = math.sqrt(penalty / (count + penalty))
    dtype, precise = x.dtype, torch.float64 if penalize_intercept else x.dtype
    x, y = x.to(precise), y.to(precise)  # a small intercept is a difference of large numbers
    x_mean, y_mean = x.mean(0), y.mean(0)
    x = x - x_mean
    rest = x.mean(0)  # what the first mean was rounded by
    design = finite("inputs", x - rest + kept * (x_mean + rest))
    # a penalised intercept leaves columns that hardly vary to the rounding errors of their means
    size = count**0.5 * x_mean if penalize_intercept else torch.zeros_like(x_mean)
    weight = shrunken(design, y - y_mean + kept * y_mean, decay, size)
    intercept = count / (count + penalty) * (y_mean - x_mean @ weight - rest @ weight)
    return finite("inputs and targets", RidgeSolution(weight.to(dtype), intercept.to(dtype)))


def shrunken(x: Tensor, y: Tensor, decay: float, size: Tensor) -> Tensor:
    """Minimise ‖XW − Y‖² + λ‖W‖² by the singular values of X: XᵀX would square them.

    The columns of X are differences of columns of the sizes `size`.
    """
    U, S, Vh = torch.linalg.svd(x, full_matrices=False)
    S = S.double()  # of a λ whose root single precision does not have
    sizes = torch.hypot(S, S.new_tensor(math.sqrt(decay)))  # √(σ² + λ)
    needed = torch.maximum(sizes.max(), (Vh @ size).abs().double())  # in each direction
    if not (sizes >= torch.finfo(x.dtype).eps ** 0.5 * needed).all():
        raise ValueError(
            "inputs must have independent columns, not only by a rounding error, or a larger "
            f"weight_decay; got singular values from {S[0]:.3g} to {S[-1]:.3g}"
        )
    shrunk = (U.T @ y).double() / sizes[:, None] * S[:, None] / sizes[:, None]
    weight = Vh.T @ shrunk.to(x.dtype)
    return finite("inputs, targets and weight_decay", weight)
