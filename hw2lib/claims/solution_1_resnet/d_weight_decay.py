"""Claims of Solution 1(d): weight decay and the biases."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hw2lib.claims.registry import Trial, claim, counterexample, outside
from hw2lib.claims.solution_1_resnet.shared import (
    Layer,
    differ,
    exact_ridge,
    fractions,
    network,
    rank,
    seeded,
    solve,
    squares,
    whole_numbers,
    with_ones,
)
from hw2lib.claims.tools import largest, normal, size, tensor, whole
from hw2lib.normalization import absorb_shift, pad_channels, padding_mask

DOUBLE = torch.float64


# ---- the shift, and the bias that undoes it


class Points(NamedTuple):
    """Two points, a shift, and a weight that need not lie between 0 and 1."""

    x: Tensor
    y: Tensor
    shift: Tensor
    weight: int


def points(rng: np.random.Generator) -> Iterator[tuple[str, Points]]:
    """Yield points of whole numbers: no shift, one dimension, then random ones."""
    yield "no shift", Points(whole(rng, 3), whole(rng, 3), torch.zeros(3, dtype=DOUBLE), 2)
    yield "one dimension", Points(tensor([1.0]), tensor([2.0]), tensor([5.0]), -1)
    while True:
        n, weight = size(rng, 1, 6), size(rng, -3, 3)
        shift = whole(rng, n)
        shift[0] = size(rng, 1, 3)
        yield (
            f"{n} dimensions, weight {weight}",
            Points(whole(rng, n), whole(rng, n), shift, weight),
        )


@claim(
    "1d-linear",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"Under linear transformations of the input $f(x)=x-b$ …",
    statement=r"For $b\ne0$ it is affine, a translation: it keeps weighted means, "
    r"$\alpha x+(1-\alpha)x'-b=\alpha(x-b)+(1-\alpha)(x'-b)$, but not sums.",
    corrected=r"affine",
    family=points,
    exact=True,
)
def shift_is_affine(case: Points) -> Trial:
    x, y, shift, weight = case

    def f(z: Tensor) -> Tensor:
        return z - shift

    return Trial(
        largest(f(weight * x + (1 - weight) * y) - (weight * f(x) + (1 - weight) * f(y))),
        {"linear: it keeps sums": largest(f(x + y) - (f(x) + f(y)))},
    )


class Shifted(NamedTuple):
    """A layer of whole numbers, its input and a shift of every feature or channel."""

    layer: Layer
    x: Tensor
    shift: Tensor


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def whole_layer(rng: np.random.Generator, build: Callable[[], Layer]) -> Layer:
    """Build a layer in double precision and fill it with whole numbers."""
    layer = seeded(build).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(whole(rng, *parameter.shape))
    return layer


def shifted_layers(rng: np.random.Generator) -> Iterator[tuple[str, Shifted]]:
    """Yield the geometry of ResNet-18's stem, then linear layers and convolutions of every sort."""
    stem = whole_layer(rng, partial(nn.Conv2d, 3, 2, 7, 2, 3, bias=False))
    yield (
        "7×7, stride 2, padding 3, on 224×224",
        Shifted(stem, whole(rng, 1, 3, 224, 224), tensor([1, 2, -1])),
    )
    one = whole_layer(rng, partial(nn.Linear, 1, 1))
    yield "one number to one number", Shifted(one, whole(rng, 3, 1), tensor([2.0]))
    yield "no shift", Shifted(one, whole(rng, 3, 1), tensor([0.0]))
    for index in itertools.count():
        if index % 4 == 0:
            incoming = size(rng, 1, 6)
            outgoing = incoming if rng.random() < 0.5 else size(rng, 1, 6)
            build = partial(nn.Linear, incoming, outgoing, bool(rng.integers(2)))
            layer = whole_layer(rng, build)
            x, name = whole(rng, 4, incoming), f"linear, {incoming} to {outgoing}"
        else:
            layer, name = random_convolution(rng, index % 4)
            sides = (size(rng, 5, 8 - index % 4) for _ in range(index % 4))
            x = whole(rng, 2, layer.in_channels, *sides)
            incoming = layer.in_channels
        shift = whole(rng, incoming)
        shift[0] = size(rng, 1, 3)
        yield name, Shifted(layer, x, shift)


def random_convolution(rng: np.random.Generator, dims: int) -> tuple[Layer, str]:
    """Return a convolution of whole numbers with random groups, stride, dilation and padding."""
    groups, kernel, stride = size(rng, 1, 2), size(rng, 1, 3), size(rng, 1, 2)
    dilation, padding = size(rng, 1, 2), size(rng, 0, 2)
    incoming, outgoing = (groups * size(rng, 1, 2) for _ in range(2))
    mode = str(rng.choice(["zeros", "zeros", "reflect", "circular", "replicate"]))
    if dims == 3 and mode == "reflect":
        mode = "zeros"
    make: Layer = CONVOLUTIONS[dims - 1]
    build = partial(
        make,
        incoming,
        outgoing,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        bias=bool(rng.integers(2)),
        padding_mode=mode,
    )
    geometry = f"kernel {kernel}, stride {stride}, dilation {dilation}, {groups} group(s)"
    return whole_layer(rng, build), f"{dims}-d convolution, {geometry}, padding {padding} ({mode})"


def as_column(values: Tensor, x: Tensor) -> Tensor:
    """Return one value a channel in a shape that broadcasts over a batch."""
    return values if x.ndim == 2 else values.reshape(-1, *(1,) * (x.ndim - 2))


@claim(
    "1d-shift",
    kind="identity",
    verdict="corrected",
    severity=2,
    printed=r"Under linear transformations of the input $f(x)=x-b$, the corresponding weights for the "
    r"transformed inputs would have the bias increased by $b$.",
    statement=r"The bias has to grow by $Wb$; in a convolution by $\sum_j b_j\sum_{m,n}w_{kjmn}$. Zero padding is not "
    r"shifted along: outputs that see it are off by the part of that sum that falls on the padding "
    r"({value}`seen` of {value}`positions` positions of ResNet-18's stem at 224×224 see it), unless one pads "
    r"with $-b$ instead. Padding that repeats the image (reflect, replicate, circular) is shifted along.",
    corrected=r"by $Wb$",
    family=shifted_layers,
    exact=True,
)
def bias_grows_by_weight_times_shift(case: Shifted) -> Trial:
    layer, x, shift = case
    with torch.no_grad():
        absorbed, moved = absorb_shift(layer, shift), x - as_column(shift, x)
        right, output = layer(x), layer(moved)
        gap = absorbed(moved) - right
        increase = absorbed.bias - (0 if layer.bias is None else layer.bias)
        zero_padded = not isinstance(layer, nn.Linear) and layer.padding_mode == "zeros"
        seen = (
            padding_mask(layer, x.shape[2:]) if zero_padded else torch.zeros(right.shape[2:]).bool()
        )
        error = largest(gap[..., ~seen]) if zero_padded else largest(gap)
        if zero_padded:
            error += wrong_at_the_border(layer, absorbed, case, gap)
            error += float((seen != sees_padding(layer, x.shape[2:])).any())

    def wrong(growth: Tensor) -> float:
        mistake = output + as_column(growth, right) - right
        return largest(mistake[..., ~seen]) if zero_padded else largest(mistake)

    mutants = {}
    if not seen.all() and (increase != 0).any():
        mutants["by −Wb"] = wrong(-increase)
    if not seen.all() and len(shift) == len(increase):
        mutants["by b"] = wrong(shift)
    if seen.any():
        mutants["zero padding at the border too"] = largest(gap[..., seen])
    stem = x.shape[-1] == 224
    values = {"seen": int(seen.sum()), "positions": seen.numel()} if stem else {}
    return Trial(error, mutants, values)


def sees_padding(layer: Layer, sizes: Sequence[int]) -> Tensor:
    """Say which output positions have a window that begins before the input or ends after it."""
    seen = torch.zeros((), dtype=torch.bool)
    for axis, length in enumerate(sizes):
        stride, padding = layer.stride[axis], layer.padding[axis]
        reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
        first = torch.arange(-padding, length + padding - reach, stride)
        seen = seen[..., None] | (first < 0) | (first + reach >= length)
    return seen


def wrong_at_the_border(layer: Layer, absorbed: Layer, case: Shifted, gap: Tensor) -> float:
    """Return how wrong two statements are: the error of zero padding, and none with padding by −b."""
    x, shift = case.x, case.shift
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[x.ndim - 3]
    geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
    inside = convolve(torch.ones_like(x) * as_column(shift, x), layer.weight, None, *geometry)
    outside_part = as_column(absorbed.bias - (0 if layer.bias is None else layer.bias), x) - inside
    padded = pad_channels(x - as_column(shift, x), layer.padding, -shift)
    geometry = (layer.stride, 0, layer.dilation, layer.groups)
    everywhere = convolve(padded, layer.weight, absorbed.bias, *geometry)
    return largest(gap - outside_part) + largest(everywhere - layer(x))


# ---- the penalty


class Penalised(NamedTuple):
    """Weights, bias and a shift of the input, as fractions; bias and shift are columns."""

    W: np.ndarray
    c: np.ndarray
    b: np.ndarray


def penalties(rng: np.random.Generator) -> Iterator[tuple[str, Penalised]]:
    """Yield layers: no weights, no bias, more and fewer outputs than inputs, lost rank."""

    def case(W: np.ndarray) -> Penalised:
        m, n = W.shape
        return Penalised(W, whole_numbers(rng, m, 1), whole_numbers(rng, n, 1))

    yield "1×1", Penalised(fractions([[2]]), fractions([[3]]), fractions([[1]]))
    yield "W = 0", case(fractions([[0, 0], [0, 0]]))
    yield "c = 0", case(whole_numbers(rng, 3, 2))._replace(c=fractions([[0], [0], [0]]))
    yield "identity", case(fractions([[1, 0], [0, 1]]))
    yield "rank 1, 4×3", case(whole_numbers(rng, 4, 1) @ whole_numbers(rng, 1, 3))
    yield "16 outputs, 3 inputs", case(whole_numbers(rng, 16, 3))
    while True:
        m, n = size(rng, 1, 8), size(rng, 1, 3)
        yield f"{m} outputs, {n} inputs", case(whole_numbers(rng, m, n))


@claim(
    "1d-penalty",
    kind="identity",
    verdict="conditional",
    printed=r"However, the weight decay will penalize this increase.",
    statement=r"The shift changes a penalty on the bias by $\|c+Wb\|^2-\|c\|^2=2c^\top Wb+\|Wb\|^2$: it is punished "
    r"only where that is positive. Some shift is rewarded unless $W^\top c=0$. The penalty favours the origins "
    r"that minimise $\|c+Wb\|$; what is left there is the part of $c$ orthogonal to the range of $W$, and it is 0 "
    r"only if $c$ lies in that range.",
    corrected=r"only if $\|c+Wb\|>\|c\|$",
    family=penalties,
    exact=True,
)
def penalty_may_fall(case: Penalised) -> Trial:
    W, c, b = case
    best = solve(W.T @ W, -W.T @ c)
    left = c + W @ best
    change = squares(c + W @ b) - squares(c)
    formula = 2 * (c.T @ W @ b)[0, 0] + squares(W @ b)
    least, plain = squares(left), squares(c)
    above_the_least = squares(c + W @ b) - least - squares(W @ (b - best))
    in_range = rank(np.concatenate([W, c], axis=1)) == rank(W)
    rewarded = any(value != 0 for value in (W.T @ c).flat)
    return Trial(
        float(abs(change - formula) + squares(W.T @ left) + abs(above_the_least))
        + float((least == 0) != in_range)
        + float((least < plain) != rewarded),
        {
            "always an increase": float(plain - least),
            "without the cross term": float(abs(change - squares(W @ b))),
            "some shift makes the bias 0": float(least),
        },
    )


outside(
    "1d-images",
    printed=r"This is common for domains like images where all pixels are of the same scale, but the right bias is "
    r"not known.",
    statement=r"A remark on data sets in general, which no computation here could refute.",
)


# ---- equivariance


class Regression(NamedTuple):
    """Whole numbers for a ridge regression, and a shift of the inputs."""

    x: np.ndarray
    y: np.ndarray
    shift: np.ndarray
    decay: Fraction


def regressions(rng: np.random.Generator) -> Iterator[tuple[str, Regression]]:
    """Yield data: one sample, constant and equal features, more features than samples, no shift."""

    def case(x: np.ndarray, decay: Fraction = Fraction(2)) -> Regression:
        shift = whole_numbers(rng, 1, x.shape[1])
        shift[0, 0] = Fraction(size(rng, 1, 9))
        return Regression(x, whole_numbers(rng, len(x), 2, largest=5), shift, decay)

    yield "one sample", case(whole_numbers(rng, 1, 2))
    yield (
        "a constant feature",
        case(np.concatenate([whole_numbers(rng, 4, 1), fractions([[3]] * 4)], 1)),
    )
    yield "two equal features", case(whole_numbers(rng, 4, 1) @ fractions([[1, 1]]))
    yield "3 samples, 4 features", case(whole_numbers(rng, 3, 4))
    yield "decay a millionth", case(whole_numbers(rng, 5, 2), Fraction(1, 10**6))
    yield "decay a million", case(whole_numbers(rng, 5, 2), Fraction(10**6))
    yield "no shift", case(whole_numbers(rng, 5, 2))._replace(shift=fractions([[0, 0]]))
    while True:
        n, d = size(rng, 2, 6), size(rng, 1, 3)
        decay = Fraction(size(rng, 1, 9), size(rng, 1, 9))
        yield f"{n} samples, {d} features, decay {decay}", case(whole_numbers(rng, n, d), decay)


def descend(case: Regression, inputs: np.ndarray) -> np.ndarray:
    """Return the predictions after a step of gradient descent from 0, the bias not penalised."""
    rate = Fraction(1, 64)
    return rate * (inputs @ (inputs.T @ case.y) + case.y.sum(0, keepdims=True))


@claim(
    "1d-invariance",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"In order to make our neural network invariant to these transforms, we do not penalize the bias terms.",
    statement=r"What moves along is the penalised *problem*: shifting the inputs by $-b$ carries every minimiser "
    r"$(W,c)$ to $(W,c+Wb)$, with the same predictions. Gradient descent, even from corresponding points, in general takes "
    r"another path. (Checked on ridge regression, $\lambda>0$, where the minimiser is unique and rational.)",
    corrected=r"the problem and its minimisers are equivariant, the path is not",
    family=regressions,
    exact=True,
)
def minimisers_move_with_the_shift(case: Regression) -> Trial:
    x, y, shift, decay = case

    def gap(penalize: bool) -> float:
        weight, intercept = exact_ridge(x, y, decay, penalize_intercept=penalize)
        moved = exact_ridge(x - shift, y, decay, penalize_intercept=penalize)
        return differ(moved[0], weight) + differ(moved[1], intercept + (shift @ weight)[0])

    return Trial(
        gap(False),
        {
            "penalised bias": gap(True),
            "the path of gradient descent too": differ(descend(case, x - shift), descend(case, x)),
        },
    )


class Entry(NamedTuple):
    """A network of whole numbers: what enters a layer, the layer, what follows, targets, a shift."""

    entering: Tensor
    layer: Layer
    after: Tensor
    target: Tensor
    shift: Tensor
    activation: Callable[[Tensor], Tensor]


ACTIVATIONS = {"ReLU": torch.relu, "square": torch.square, "absolute value": torch.abs}


def entries(rng: np.random.Generator) -> Iterator[tuple[str, Entry]]:
    """Yield networks whose input, or hidden activations, enter an affine layer."""

    def case(layer: Layer, entering: Tensor, name: str, shift: Tensor) -> Entry:
        features = layer(entering).flatten(1).shape[1]
        after = whole(rng, features, 2)
        return Entry(entering, layer, after, whole(rng, len(entering), 2), shift, ACTIVATIONS[name])

    zero = whole_layer(rng, partial(nn.Linear, 2, 3))
    nn.init.zeros_(zero.weight)
    yield "W = 0", case(zero, whole(rng, 4, 2), "ReLU", tensor([1.0, 2.0]))
    one = whole_layer(rng, partial(nn.Linear, 1, 1))
    yield "one number", case(one, whole(rng, 1, 1), "square", tensor([3.0]))
    yield "no shift", case(one, whole(rng, 2, 1), "ReLU", tensor([0.0]))
    for index in itertools.count():
        name = str(rng.choice(list(ACTIVATIONS)))
        incoming, outgoing, count = size(rng, 1, 5), size(rng, 1, 5), size(rng, 1, 6)
        x = whole(rng, count, incoming)
        build: Layer = partial(nn.Linear, incoming, outgoing)
        place = "a layer of the input"
        if index % 3 == 2:
            build, place = partial(nn.Conv2d, incoming, outgoing, 2), "an unpadded convolution"
            x = whole(rng, count, incoming, 3, 3)
        if index % 3 == 1:
            x, place = ACTIVATIONS[name](x @ whole(rng, incoming, incoming)), "a hidden layer"
        shift = whole(rng, incoming)
        shift[0] = size(rng, 1, 3)
        yield f"{place}, {name}", case(whole_layer(rng, build), x, name, shift)


def objective(case: Entry, layer: Layer, entering: Tensor, biases: bool = False) -> float:
    """Return squared loss plus penalty, of the weights alone or of weights and biases."""
    output = case.activation(layer(entering)).flatten(1) @ case.after
    penalty = layer.weight.square().sum() + case.after.square().sum()
    if biases:
        penalty = penalty + layer.bias.square().sum()
    return ((output - case.target).square().sum() + 2 * penalty).item()


@claim(
    "1d-absorb",
    kind="identity",
    verdict="theorem",
    statement=r"**Shift equivariance.** Let $u$, the input or hidden activations, enter the rest of a network only "
    r"through an affine layer $Wu+c$ whose bias may grow by $Wb$, and let the penalty not depend on $c$. Then "
    r"$(W,c)\mapsto(W,c+Wb)$, the other parameters fixed, carries the objective with $u$ to the objective with "
    r"$u-b$ without changing its value; so it carries minimisers to minimisers.",
    family=entries,
    exact=True,
)
def objective_is_equivariant(case: Entry) -> Trial:
    moved = case.entering - as_column(case.shift, case.entering)
    absorbed = absorb_shift(case.layer, case.shift)

    def gap(layer: Layer, biases: bool = False) -> float:
        there, here = (
            objective(case, layer, moved, biases),
            objective(case, case.layer, case.entering, biases),
        )
        return abs(there - here)

    with torch.no_grad():
        return Trial(
            gap(absorbed),
            {"penalised bias": gap(absorbed, biases=True), "parameters that stay": gap(case.layer)},
        )


@counterexample("1d-absorb", "affine: the square of each entry, times W, plus c")
def a_layer_of_squares() -> float:
    x, shift, weight = tensor([1.0, 2.0]), 1.0, 2.0
    here, there = weight * x**2, weight * (x - shift) ** 2 + weight * shift
    return abs((there.square().sum() - here.square().sum()).item())


@counterexample(
    "1d-absorb", "whose bias may grow by Wb: a zero-padded convolution, a bias a channel"
)
def a_zero_padded_convolution() -> float:
    layer = nn.Conv1d(1, 1, 3, padding=1).double()
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    x, shift = tensor([[[1.0, 2.0, 3.0]]]), tensor([1.0])
    there, here = absorb_shift(layer, shift)(x - 1).detach(), layer(x).detach()
    return abs((there.square().sum() - here.square().sum()).item())


@counterexample("1d-absorb", "only through")
def a_shortcut_from_the_input() -> float:
    x, shift, weight = tensor([1.0, 2.0]), 1.0, 2.0
    here, there = weight * x + x, weight * (x - shift) + weight * shift + (x - shift)
    return abs((there.square().sum() - here.square().sum()).item())


@counterexample("1d-absorb", "whose bias may grow by Wb: no bias")
def a_layer_without_a_bias() -> float:
    def least(x: Tensor, y: Tensor) -> float:  # of ‖xw − y‖² + w²
        w = x @ y / (x @ x + 1)
        return ((x * w - y).square().sum() + w**2).item()

    x, y = tensor([1.0, 2.0]), tensor([1.0, 2.0])
    return abs(least(x - 1, y) - least(x, y))


# ---- ResNet-18: the first layers have no bias


@cache
def stem() -> nn.Conv2d:
    """Return ResNet-18's first convolution in double precision."""
    return copy.deepcopy(network().conv1).double()


@cache
def layers_with_bias() -> list[str]:
    """Return the names of ResNet-18's layers that have a bias, batch norm's shifts aside."""
    return [
        name
        for name, module in network().named_modules()
        if not isinstance(module, nn.BatchNorm2d) and getattr(module, "bias", None) is not None
    ]


def shifted_images(rng: np.random.Generator) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield images and a shift of every channel: constant images, far shifts, then random ones."""
    yield "a constant image", (torch.ones(1, 3, 9, 9, dtype=DOUBLE), tensor([0.5, 0.5, 0.5]))
    yield "shift 1000", (normal(rng, 2, 3, 9, 9), 1e3 * normal(rng, 3))
    while True:
        count, side = size(rng, 1, 2), size(rng, 7, 10)
        images = normal(rng, count, 3, side, side)
        yield f"{count} image(s) of {side}×{side}", (images, normal(rng, 3))


@claim(
    "1d-resnet",
    kind="identity",
    verdict="theorem",
    statement=r"**ResNet-18 needs no bias for this.** Batch norm's $\beta$ aside, it has a bias in {value}`layers` "
    r"layer, the last. Its stem has none: in training mode the batch norm behind it subtracts the shift $-Wb$ with the batch's mean, and what "
    r"leaves it is the same for images shifted by $-b$, if they are padded with $-b$.",
    family=shifted_images,
    tolerance=1e-9,
)
def batchnorm_absorbs_the_shift(case: tuple[Tensor, Tensor]) -> Trial:
    images, shift = case
    convolution, moved = stem(), images - as_column(shift, images)

    def normalised(padded: Tensor, training: bool = True) -> Tensor:
        z = functional.conv2d(padded, convolution.weight, None, stride=2)
        layer = nn.BatchNorm2d(64, dtype=DOUBLE).train(training)
        return layer(z).detach()

    zeros = torch.zeros(3, dtype=DOUBLE)
    padded = pad_channels(images, (3, 3), zeros)
    shifted = pad_channels(moved, (3, 3), -shift)
    right, scale = normalised(padded), 1 + largest(shift)
    return Trial(
        largest(normalised(shifted) - right) / scale + float(layers_with_bias() != ["fc"]),
        {
            "padded with zeros": largest(normalised(pad_channels(moved, (3, 3), zeros)) - right),
            "in eval mode too": largest(normalised(shifted, False) - normalised(padded, False)),
        },
        {"layers": len(layers_with_bias())},
    )


# ---- the last bias, ResNet-18's only one


class LastBias(NamedTuple):
    """Outputs before the last bias, the bias, targets or labels, a shift of the outputs."""

    outputs: Tensor
    bias: Tensor
    targets: Tensor
    labels: Tensor
    shift: Tensor
    penalty: float


def last_biases(rng: np.random.Generator) -> Iterator[tuple[str, LastBias]]:
    """Yield outputs: one class, one example, no shift, a class that never occurs, then random ones."""

    def case(count: int, classes: int) -> LastBias:
        labels = torch.as_tensor(rng.integers(0, classes, count))
        shift, bias = whole(rng, classes), whole(rng, classes)
        shift[0], bias[0] = size(rng, 1, 3), size(rng, 1, 3)
        outputs, targets = whole(rng, count, classes), whole(rng, count, classes)
        return LastBias(outputs, bias, targets, labels, shift, float(size(rng, 1, 3)))

    yield "one class", case(4, 1)
    yield "one example", case(1, 3)
    yield "no shift", case(5, 3)._replace(shift=torch.zeros(3, dtype=DOUBLE))
    yield "one class occurs", case(5, 3)._replace(labels=torch.ones(5, dtype=torch.long))
    while True:
        count, classes = size(rng, 1, 8), size(rng, 2, 5)
        yield f"{count} examples, {classes} classes", case(count, classes)


def losses(case: LastBias, outputs: Tensor) -> Tensor:
    """Return the squared loss, the cross-entropy and a multi-class hinge loss, summed."""
    margins = 1 + outputs - outputs.gather(1, case.labels[:, None])
    margins = margins.scatter(1, case.labels[:, None], 0.0)
    return torch.stack(
        [
            (outputs - case.targets).square().sum(),
            functional.cross_entropy(outputs, case.labels, reduction="sum"),
            margins.clamp(min=0).sum(),
        ]
    )


@claim(
    "1d-last",
    kind="identity",
    verdict="theorem",
    statement=r"**The last bias.** Let the outputs be $z=g_\theta(x)+d$, let $d$ take every value, and let the "
    r"penalty not depend on $d$. If the loss counts $z+a$ in the place of $z$, then $d\mapsto d-a$, the other "
    r"parameters fixed, keeps the objective's value, for every loss. For the squared loss that is a shift of the "
    r"targets by $-a$; for cross-entropy, the odds of class $k$ against class $l$ are multiplied by $e^{a_k-a_l}$.",
    family=last_biases,
    tolerance=0.0,
)
def last_bias_undoes_a_shift_of_the_outputs(case: LastBias) -> Trial:
    outputs, bias, shift = case.outputs, case.bias, case.shift
    right = losses(case, outputs + bias)

    def gap(moved: Tensor, penalty: float = 0.0) -> float:
        added = penalty * (moved.square().sum() - bias.square().sum())
        return largest(losses(case, outputs + moved + shift) + added - right)

    targets = losses(case._replace(targets=case.targets - shift), outputs + bias - shift)[0]
    odds = (outputs + shift).softmax(1) / outputs.softmax(1)
    factors = odds / odds[:, :1] - (shift - shift[0]).exp()
    return Trial(
        gap(bias - shift) + abs((targets - right[0]).item()) + float(largest(factors) > 1e-9),
        {
            "penalised bias": gap(bias - shift, case.penalty),
            "by +a": gap(bias + shift),
            "a bias that stays": gap(bias),
        },
    )


@claim(
    "1d-mean",
    kind="identity",
    verdict="theorem",
    statement=r"**Right on average.** Wherever the derivative in a free last bias $d$ vanishes, the squared loss has "
    r"residuals of mean 0, and cross-entropy predicts every class on average as often as it occurs. Adding "
    r"$\lambda\|d\|^2$ to the losses, summed over $N$ examples, spoils this: the mean prediction is then off by "
    r"$-\lambda d/N$ and $-2\lambda d/N$.",
    family=last_biases,
    tolerance=1e-12,
)
def free_last_bias_is_right_on_average(case: LastBias) -> Trial:
    count, classes = case.outputs.shape
    bias = case.bias.clone().requires_grad_()
    squared, entropy, _ = losses(case, case.outputs + bias)
    gradients = [
        torch.autograd.grad(loss, bias, retain_graph=True)[0] for loss in (squared, entropy)
    ]
    (decay,) = torch.autograd.grad(case.penalty * bias.square().sum(), bias)
    predicted = case.outputs + case.bias
    frequency = functional.one_hot(case.labels, classes).double().mean(0)
    off = (
        (predicted - case.targets).mean(0),
        predicted.softmax(1).mean(0) - frequency,
    )
    scales = 2 * count, count

    def error(penalised: bool, expected: float) -> float:
        # The derivative over N vanishes where the mean prediction is off by what `expected` says.
        worst = 0.0
        for gradient, mean, scale in zip(gradients, off, scales, strict=True):
            total = gradient + decay if penalised else gradient
            right = mean + expected * 2 * case.penalty * case.bias / scale
            worst = max(worst, largest(total / scale - right) / (1 + largest(mean)))
        return worst

    return Trial(
        max(error(False, 0.0), error(True, 1.0)),
        {"right on average with a penalty too": error(True, 0.0)},
    )


@claim(
    "1d-variance",
    kind="identity",
    verdict="theorem",
    statement=r"**A bias costs one degree of freedom.** In ridge regression with a free intercept, independent noise of "
    r"variance $\sigma^2$ in the targets gives the fitted values the total variance "
    r"$\sigma^2\bigl(1+\sum_i\bigl(\tfrac{s_i^2}{s_i^2+\lambda}\bigr)^2\bigr)$, $s_i>0$ the singular values of "
    r"the centred inputs: 1 for the intercept, whatever the number of inputs, and up to 1 for every direction "
    r"of the weights ($1+\operatorname{rank}$ at $\lambda=0$).",
    family=regressions,
    tolerance=0.0,
)
def intercept_costs_one_degree_of_freedom(case: Regression) -> Trial:
    x, decay = case.x, case.decay
    centred = x - x.sum(0, keepdims=True) / len(x)

    def total(inputs: np.ndarray, decay: Fraction, intercept: bool) -> Fraction:
        design = with_ones(inputs) if intercept else inputs
        penalty = fractions(np.eye(design.shape[1], dtype=int).tolist()) * decay
        if intercept:
            penalty[-1, -1] = Fraction(0)
        return squares(design @ solve(design.T @ design + penalty, design.T))

    found = total(x, decay, intercept=True)
    at_zero = total(x, Fraction(0), intercept=True) - 1 - rank(centred)
    s = torch.linalg.svdvals(tensor(centred.astype(float))).square()
    sum_of_squares = (s / (s + float(decay))).square().sum().item()
    own = total(centred, decay, intercept=False)
    return Trial(
        float(abs(found - 1 - own) + abs(at_zero)) + float(abs(float(own) - sum_of_squares) > 1e-6),
        {
            "the intercept costs nothing": float(abs(found - own)),
            "of inputs that are not centred": float(
                abs(found - 1 - total(x, decay, intercept=False))
            ),
        },
    )
