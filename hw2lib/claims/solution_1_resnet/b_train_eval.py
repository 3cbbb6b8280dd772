"""Claims of Solution 1(b): what train() and eval() do."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_1_resnet.shared import (
    Layer,
    Model,
    experiments,
    mode_gap,
    network,
    seeded,
    skeleton,
)
from hw2lib.claims.tools import largest, normal, relative, shortfall, size, spread, tensor
from hw2lib.dropout import dropout_outputs
from hw2lib.normalization import batch_normalize, running_statistics
from hw2lib.parameters import parameter_table
from hw2lib.resnet import ResNet

BATCHNORMS = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DOUBLE = torch.float64


def filled(rng: np.random.Generator, module: Model) -> Model:
    """Fill a module's parameters with normal numbers."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(normal(rng, *parameter.shape))
    return module


def batch(rng: np.random.Generator, features: int, dims: int, largest: int = 4) -> Tensor:
    """Return a random batch of at least two values a channel, of random scale and mean."""
    count = size(rng, 2, 6)
    shape = (count, features, *(size(rng, 1, largest) for _ in range(dims)))
    return 10 ** rng.uniform(-1, 1) * (normal(rng, *shape) + normal(rng, 1))


def shape_of(x: Tensor) -> str:
    """Return a tensor's shape in words."""
    return "×".join(map(str, x.shape))


# ---- batch norm in its two modes


def untracked(rng: np.random.Generator) -> Iterator[tuple[str, tuple[int, float, Tensor]]]:
    """Yield batches for batch norms of all dimensions: constant channels, two values, then random."""
    yield "a constant batch", (0, 0.1, torch.full((3, 2), 5.0, dtype=DOUBLE))
    yield "two values", (0, 0.1, tensor([[0.0], [2.0]]))
    while True:
        dims, momentum = size(rng, 0, 3), float(rng.uniform(0, 1))
        x = batch(rng, size(rng, 1, 4), dims, 3)
        yield f"{shape_of(x)}, momentum {momentum:.2f}", (dims, momentum, x)


@claim(
    "1b-modes",
    kind="identity",
    verdict="holds",
    printed=r"Batch-norm and dropout operate differently during the train and test phases.",
    statement=r"They do, unless they are set otherwise: dropout with $p=0$ drops nothing, and batch norm with "
    r"`track_running_stats=False` uses the batch in both modes.",
    family=untracked,
    tolerance=0.0,
)
def untracked_batchnorm_has_one_mode(case: tuple[int, float, Tensor]) -> Trial:
    dims, momentum, x = case

    def gap(tracked: bool) -> float:
        layer = BATCHNORMS[dims](
            x.shape[1], momentum=momentum, track_running_stats=tracked, dtype=DOUBLE
        )
        return mode_gap(layer, x)

    return Trial(
        max(gap(False), mode_gap(nn.Dropout(0.0), x)),
        {"batch norm that tracks": gap(True), "dropout": mode_gap(nn.Dropout(0.5), x)},
    )


class Passes(NamedTuple):
    """A batch norm of some dimension and momentum, and the training batches that it sees."""

    dims: int
    momentum: float | None
    batches: list[Tensor]


def passes(rng: np.random.Generator) -> Iterator[tuple[str, Passes]]:
    """Yield one and several batches of different sizes; momentum 0, 1, None, then random."""
    for momentum, count in itertools.product((None, 0.0, 0.1, 1.0), (1, 3)):
        average = "plain average" if momentum is None else f"momentum {momentum:g}"
        case = Passes(0, momentum, [batch(rng, 2, 0) for _ in range(count)])
        yield f"{average}, {count} batch(es)", case
    while True:
        dims, features, count = size(rng, 0, 3), size(rng, 1, 3), size(rng, 1, 6)
        momentum = None if rng.random() < 0.2 else float(rng.uniform(0.02, 0.98))
        batches = [batch(rng, features, dims, 3) for _ in range(count)]
        average = "plain average" if momentum is None else f"momentum {momentum:.2f}"
        yield f"{average}, {count} batch(es), {dims}-d", Passes(dims, momentum, batches)


def averages(
    case: Passes, unbiased: bool = True, plain: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Return the statistics batch by batch, by the recursion, not the closed form."""
    plain = case.momentum is None if plain is None else plain
    mean, variance = torch.zeros(1, dtype=DOUBLE), torch.ones(1, dtype=DOUBLE)
    for index, x in enumerate(case.batches, start=1):
        share = 1 / index if plain else (0.1 if case.momentum is None else case.momentum)
        new = torch.var_mean(x.transpose(0, 1).flatten(1), 1, correction=int(unbiased))
        variance, mean = (
            (1 - share) * old + share * value
            for old, value in zip((variance, mean), new, strict=True)
        )
    return mean, variance


@claim(
    "1b-running",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"For batch-norm, the normalizing mean and variance during test time is not the batch-mean, but "
    r"rather the running average over multiple batches.",
    statement=r"It is an *exponential* average, started at mean 0 and variance 1: with momentum $m$ the batch "
    r"$j$ steps ago weighs $m(1-m)^j$. The running variance averages the *unbiased* variances of the "
    r"batches, while in training mode a batch is normalised by its *biased* one. With `momentum=None` it is "
    r"a plain average.",
    corrected=r"an exponential average; of the unbiased variance",
    family=passes,
    tolerance=1e-12,
)
def running_statistics_are_exponential_averages(case: Passes) -> Trial:
    layer: Layer = BATCHNORMS[case.dims](
        case.batches[0].shape[1], momentum=case.momentum, dtype=DOUBLE
    )
    outputs = [layer(x).detach() for x in case.batches]
    buffers = layer.running_mean, layer.running_var

    def error(statistics: Sequence[Tensor]) -> float:
        return max(relative(a - b, b) for a, b in zip(statistics, buffers, strict=True))

    x, y = case.batches[-1], outputs[-1]
    count = x[:, 0].numel()
    biased = batch_normalize(x, eps=layer.eps)
    column = (-1, *(1,) * (x.ndim - 2))
    mean, variance = (buffer.reshape(column) for buffer in buffers)
    in_eval = layer.eval()(x) - (x - mean) / (variance + layer.eps).sqrt()
    return Trial(
        max(
            error(running_statistics(case.batches, case.momentum)),
            error(averages(case)),
            largest(y - biased),
            relative(in_eval, x),
        ),
        {
            "the other sort of average": error(averages(case, plain=case.momentum is not None)),
            "average of the biased variances": error(averages(case, unbiased=False)),
            "batch normalised by the unbiased variance": largest(
                y - biased * ((count - 1) / count) ** 0.5
            ),
        },
    )


# ---- validation in training mode


class Validation(NamedTuple):
    """A batch norm after some training, and a validation batch."""

    layer: Layer
    images: Tensor


def validations(rng: np.random.Generator) -> Iterator[tuple[str, Validation]]:
    """Yield batch norms of all dimensions and momenta, with validation batches of other statistics."""
    momenta = iter([0.1, 1.0, 0.0])
    while True:
        dims, features = size(rng, 0, 3), size(rng, 1, 3)
        momentum = next(momenta, float(rng.uniform(0.02, 0.98)))
        layer = filled(rng, BATCHNORMS[dims](features, momentum=momentum, dtype=DOUBLE))
        for _ in range(size(rng, 0, 2)):
            layer(batch(rng, features, dims, 3))
        images = batch(rng, features, dims, 3)
        yield f"momentum {momentum:.2f}, images {shape_of(images)}", Validation(layer, images)


@claim(
    "1b-validation",
    kind="identity",
    verdict="theorem",
    statement=r"**Validating in training mode is training.** Under `torch.no_grad()` no parameter changes, but "
    r"in training mode every validation batch of other statistics moves the running ones if the momentum $m$ is a number other than 0, "
    r"$\hat\mu\leftarrow(1-m)\hat\mu+m\mu$, and likewise $v$. Where $\gamma\ne0$, later outputs in eval mode then change in general, and an "
    r"image's output depends on the other images of its batch. In eval mode, with running statistics, nothing "
    r"moves, and each image is on its own.",
    family=validations,
    tolerance=1e-12,
)
def validation_moves_the_statistics(case: Validation) -> Trial:
    layer, images = copy.deepcopy(case.layer), case.images
    alone, mean, variance = images[:1], layer.running_mean.clone(), layer.running_var.clone()
    m = layer.momentum
    new = torch.var_mean(images.transpose(0, 1).flatten(1), 1, correction=1)
    with torch.no_grad():
        together = layer.eval()(images)[:1]
        in_eval = largest(together - layer(alone))
        kept = largest(layer.running_mean - mean) + largest(layer.running_var - variance)
        before = layer.train()(images)[:1]
        others = torch.cat([alone, 2 * images[1:] + 1])
        dependence = largest(copy.deepcopy(layer)(others)[:1] - before)
        later = largest(copy.deepcopy(layer).eval()(images)[:1] - together)

    def error(share: float) -> float:
        moved = zip((layer.running_var, layer.running_mean), (variance, mean), new, strict=True)
        return max(
            relative(now - (1 - share) * old - share * value, value) for now, old, value in moved
        )

    return Trial(
        max(error(m), kept, in_eval / (1 + largest(together))),
        {
            "torch.no_grad() keeps the statistics": error(0.0),
            "an image's output in training mode is its own": dependence,
            "later outputs in eval mode stay": later,
        },
    )


@counterexample("1b-validation", "with running statistics: `track_running_stats=False`")
def without_running_statistics() -> float:
    layer: Layer = nn.BatchNorm1d(1, track_running_stats=False, dtype=DOUBLE).eval()
    outputs = [layer(tensor([[1.0], [other]]))[0] for other in (0.0, 3.0)]
    return largest(outputs[0] - outputs[1])


@counterexample(
    "1b-validation", r"$\gamma\ne0$: at 0, where some start training, outputs show no change"
)
def outputs_at_zero_weight() -> float:
    layer: Layer = nn.BatchNorm1d(1, dtype=DOUBLE)
    nn.init.zeros_(layer.weight)
    images = tensor([[1.0], [3.0]])
    before = layer.eval()(images)
    layer.train()(images)
    return float(largest(layer.running_mean) > 0 and torch.equal(layer.eval()(images), before))


@counterexample("1b-validation", "in eval mode nothing moves")
def a_training_pass_moves() -> float:
    layer: Layer = nn.BatchNorm1d(1, dtype=DOUBLE)
    layer(tensor([[1.0], [3.0]]))
    return largest(layer.running_mean)


class One(NamedTuple):
    """A model, and a batch of one image."""

    model: Layer
    image: Tensor


def ones(rng: np.random.Generator) -> Iterator[tuple[str, One]]:
    """Yield batches of one: ResNet-18 on small images, one value a channel, then random images."""
    model = copy.deepcopy(network())
    for side in (32, 33):
        yield f"ResNet-18, one image of {side}×{side}", One(model, torch.zeros(1, 3, side, side))
    yield "one value a channel", One(nn.BatchNorm1d(3, dtype=DOUBLE), normal(rng, 1, 3))
    yield "one position", One(nn.BatchNorm2d(2, dtype=DOUBLE), normal(rng, 1, 2, 1, 1))
    while True:
        dims, features = size(rng, 1, 3), size(rng, 1, 3)
        layer = filled(rng, BATCHNORMS[dims](features, dtype=DOUBLE))
        image = normal(rng, 1, features, *(size(rng, 1, 4) for _ in range(dims)))
        yield f"one image, {shape_of(image)}", One(layer, image)


def refuses(model: nn.Module, x: Tensor) -> bool:
    """Say whether a model refuses a batch in training mode."""
    try:
        with torch.no_grad():
            model.train()(x)
    except ValueError:
        return True
    return False


@claim(
    "1b-one",
    kind="identity",
    verdict="theorem",
    statement=r"**A batch of one** has only its own positions to normalise by: in training mode batch norm then "
    r"is instance norm, and PyTorch refuses a channel of a single value. So ResNet-18 in training mode "
    r"refuses one image of 32×32, whose last feature maps are 1×1, and takes one of 33×33, where they are 2×2. "
    r"In eval mode, with running statistics, any batch will do.",
    family=ones,
    tolerance=1e-12,
)
def one_image_is_normalised_by_itself(case: One) -> Trial:
    model, image = case
    with torch.no_grad():
        evaluation = model.eval()(image)
    if isinstance(model, ResNet):
        expected = image.shape[-1] == 32
        return Trial(float(refuses(model, image) != expected))
    alone = image[0, 0].numel() == 1
    if alone:
        return Trial(float(not refuses(model, image)))
    output = model.train()(image).detach()
    own = functional.instance_norm(image, None, None, model.weight, model.bias, eps=model.eps)
    scale = tensor([1 + largest(output)])
    return Trial(
        relative(output - own, scale), {"as in eval mode": relative(output - evaluation, scale)}
    )


# ---- dropout


class Dropped(NamedTuple):
    """Units, a dropout probability, an affine map, and a function c + a·max(x, 0) + b·min(x, 0)."""

    x: Tensor
    p: float
    weight: Tensor
    offset: Tensor
    slopes: tuple[float, float, float]


def dropped(rng: np.random.Generator) -> Iterator[tuple[str, Dropped]]:
    """Yield one unit, zeros, extreme probabilities, then random units."""

    def case(x: Tensor, p: float) -> Dropped:
        a, b, c = (float(value) for value in rng.standard_normal(3))
        return Dropped(x, p, normal(rng, 6, len(x)), normal(rng, 6), (a, b, c))

    yield "p = 0", case(normal(rng, 4), 0.0)
    yield "one unit", case(normal(rng, 1), 0.3)
    yield "zeros", case(torch.zeros(3, dtype=DOUBLE), 0.5)
    yield "p = 0.99", case(normal(rng, 4), 0.99)
    yield "units of scale 1000", case(1e3 * normal(rng, 4), 0.5)
    while True:
        count, p = size(rng, 2, 7), float(rng.uniform(0.05, 0.95))
        yield f"{count} units, p = {p:.2f}", case(normal(rng, count), p)


DRAWS = 2000


@claim(
    "1b-dropout",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"Similarly, dropout scales the activations by $1-p$, instead of sampling which activations to "
    r"zero out (like in train time).",
    statement=r"That is the original convention. PyTorch drops with probability $p$, divides what it keeps by "
    r"$1-p$ while training and leaves eval mode alone. Under either convention, for $p<1$, the training output averages to "
    r"the output in eval mode if what follows is affine, or a ReLU or leaky ReLU of each unit alone. "
    r"Already a tanh of each unit alone breaks this, and so does a ReLU of linear units that read several.",
    corrected=r"PyTorch: $1/(1-p)$ in training, nothing in eval mode",
    family=dropped,
    tolerance=1e-11,
)
def dropout_scales_in_training(case: Dropped) -> Trial:
    x, p, weight, offset, (a, b, c) = case
    module = nn.Dropout(p)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        draws = module(torch.ones(DRAWS, dtype=DOUBLE))
    in_eval = largest(module.eval()(x) - x) + largest(functional.dropout(x, p, False) - x)
    share, deviation = (draws == 0).double().mean().item(), math.sqrt(p * (1 - p) / DRAWS)
    kept = draws[draws != 0]
    scale = 1 + largest(x) / (1 - p)

    def gap(function: Callable[[Tensor], Tensor]) -> float:
        return max(
            largest(outputs.training_mean - outputs.evaluation) / scale
            for convention in ("original", "inverted")
            for outputs in [dropout_outputs(function, x, p, convention)]
        )

    return Trial(
        max(
            largest(kept * (1 - p) - 1),
            in_eval,
            shortfall(6 * deviation, abs(share - p)),
            gap(lambda z: z @ weight.T + offset),
            gap(lambda z: c + a * z.clamp(min=0) + b * z.clamp(max=0)),
        ),
        {
            "eval mode scales by 1 − p": largest(functional.dropout(x, p, False) - (1 - p) * x),
            "kept units times 1 − p": largest(kept - (1 - p)),
            "a tanh of each unit follows": gap(torch.tanh),
            "a ReLU of linear units follows": gap(lambda z: torch.relu(z @ weight.T)),
        },
    )


Point = tuple[Fraction, ...]


class Following(NamedTuple):
    """A function of some units, whether its mean survives dropout at every p, a point and a p."""

    function: Callable[[Point], Fraction]
    harmless: bool
    x: Point
    p: Fraction


def following(rng: np.random.Generator) -> Iterator[tuple[str, Following]]:
    """Yield functions of dropped units: harmless ones, then all sorts, at random points."""

    def numbers(count: int) -> Point:
        return tuple(Fraction(int(rng.choice([-1, 1])) * size(rng, 1, 5)) for _ in range(count))

    def leaky(n: int) -> Callable[[Point], Fraction]:
        a, b, c = numbers(n), numbers(n), Fraction(size(rng, -3, 3))
        return lambda x: (
            c
            + sum(
                s * max(z, Fraction(0)) + t * min(z, Fraction(0))
                for s, t, z in zip(a, b, x, strict=True)
            )
        )

    def relu_of_linear(n: int) -> Callable[[Point], Fraction]:
        w = [abs(value) * (-1) ** index for index, value in enumerate(numbers(n))]
        return lambda x: max(sum(map(lambda s, z: s * abs(z), w, x), Fraction(0)), Fraction(0))

    def polynomial(n: int) -> Callable[[Point], Fraction]:
        terms = [(size(rng, -3, 3), rng.integers(0, 3, n).tolist()) for _ in range(4)]
        return lambda x: Fraction(
            x[0] ** 2
            + sum(
                s * math.prod(z**k for z, k in zip(x, powers, strict=True)) for s, powers in terms
            )
        )

    named: list[tuple[str, int, bool, Callable[[Point], Fraction]]] = [
        ("a constant", 2, True, lambda x: Fraction(7)),
        ("the product of the units", 3, True, lambda x: Fraction(math.prod(x))),
        ("|xy|", 2, True, lambda x: abs(x[0] * x[1])),
        ("x²", 1, False, lambda x: x[0] ** 2),
        ("the larger of two units", 2, False, lambda x: max(x)),
        ("|x + y|", 2, False, lambda x: abs(x[0] + x[1])),
    ]
    for name, n, harmless, function in named:
        for p in (Fraction(0), Fraction(1, 2)):
            yield f"{name}, p = {p}", Following(function, harmless, numbers(n), p)
    kinds = [
        ("leaky ReLUs", leaky),
        ("a ReLU of a sum of |units|", relu_of_linear),
        ("a polynomial", polynomial),
    ]
    for index in itertools.count():
        name, build = kinds[index % 3]
        n, top = size(rng, 2, 3), size(rng, 2, 9)
        x, p = numbers(n), Fraction(size(rng, 1, top - 1), top)
        yield f"{name} of {n} units, p = {p}", Following(build(n), index % 3 == 0, x, p)


def on_subsets(function: Callable[[Point], Fraction], x: Point) -> dict[frozenset[int], Fraction]:
    """Return the function at the point with all units outside a subset dropped, for every subset."""
    units = range(len(x))
    subsets = [frozenset(s) for k in range(len(x) + 1) for s in itertools.combinations(units, k)]
    return {s: function(tuple(x[i] if i in s else Fraction(0) for i in units)) for s in subsets}


def parts(values: dict[frozenset[int], Fraction]) -> dict[frozenset[int], Fraction]:
    """Return each subset's own part: they vanish if one of its units is dropped, and add up."""
    return {
        s: sum(((-1) ** len(s - t) * value for t, value in values.items() if t <= s), Fraction(0))
        for s in values
    }


@claim(
    "1b-harmless",
    kind="identity",
    verdict="theorem",
    statement=r"**What dropout does to a mean.** Split a function of $n$ units into parts, "
    r"$f=\sum_Sf_S$, where $f_S$ depends on the units in $S$ and is 0 as soon as one of them is: "
    r"$f_S(x)=\sum_{T\subseteq S}(-1)^{|S\setminus T|}f(x_T)$, with $x_T$ the units in $T$, the others 0. With "
    r"$q=1-p$, for every $0\le p<1$, and units dropped independently of each other, "
    r"$\mathbb E\,f(M\circ x/q)-f(x)=\sum_S\bigl(q^{|S|}f_S(x/q)-f_S(x)\bigr)$. "
    r"So both modes agree at every $x$ and every $p$ if and only if every $f_S$ is positively homogeneous of "
    r"degree $|S|$. For a function of one unit: if and only if $f-f(0)$ is positively homogeneous, which makes "
    r"it $f(0)+a_+\max(x,0)+a_-\min(x,0)$.",
    family=following,
    exact=True,
)
def dropout_rescales_every_part(case: Following) -> Trial:
    function, harmless, x, p = case
    q, n = 1 - p, len(x)
    values, scaled = (on_subsets(function, point) for point in (x, tuple(z / q for z in x)))
    mean = sum(
        (q ** len(s) * p ** (n - len(s)) * value for s, value in scaled.items()), Fraction(0)
    )
    gap = mean - function(x)

    def predicted(degree: Callable[[int], int]) -> Fraction:
        own, kept = parts(values), parts(scaled)
        return sum((q ** degree(len(s)) * kept[s] - own[s] for s in own), Fraction(0))

    mutants = {} if harmless else {"no gap": gap}
    if any(part and len(s) > 1 for s, part in parts(values).items()):
        mutants["degree 1 also for units that interact"] = gap - predicted(lambda k: min(k, 1))
    wrong = abs(gap - predicted(lambda k: k)) + (abs(gap) if harmless else 0)
    return Trial(float(wrong), {name: float(abs(error)) for name, error in mutants.items()})


@counterexample("1b-harmless", "every $p$")
def harmless_at_one_half_only() -> float:
    def f(x: float) -> float:
        return x * (1 + 0.5 * math.sin(2 * math.pi * math.log2(x)))

    agree_at_one_half = abs(0.5 * f(2 * 1.3) - f(1.3)) < 1e-12
    return abs(f(1.5 * 1.3) - 1.5 * f(1.3)) if agree_at_one_half else 0.0


# ---- networks that do and do not need the two modes


class Plain(NamedTuple):
    """How to build a network without batch norm and dropout, with a layer put in, and its input."""

    build: Callable[..., nn.Module]
    width: int
    x: Tensor


def plain_networks(rng: np.random.Generator) -> Iterator[tuple[str, Plain]]:
    """Yield linear and convolutional networks with all sorts of nonlinearities."""
    activations = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.GELU, nn.Identity)

    def perceptron(n: int, width: int, act: type[nn.Module], *extra: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Linear(n, width), *extra, act(), nn.Linear(width, 3))

    def convolutional(n: int, width: int, act: type[nn.Module], *extra: nn.Module) -> nn.Module:
        stem = nn.Sequential(nn.Conv2d(n, width, 3), *extra, act(), nn.MaxPool2d(2))
        return nn.Sequential(stem, nn.Flatten(), nn.LayerNorm(width))

    for index in itertools.count():
        act, n, width = activations[index % 6], size(rng, 1, 5), size(rng, 2, 6)
        count = size(rng, 2, 6)
        if index % 2:
            build, x = convolutional, normal(rng, count, n, 4, 4).float()
        else:
            build, x = perceptron, normal(rng, count, n).float()
        yield (
            f"{build.__name__}, {act.__name__}",
            Plain(partial(build, n, width, act), width, x),
        )


@claim(
    "1b-hw1",
    kind="universal",
    verdict="holds",
    printed=r"HW1 does not use these two operations and hence operates in an identical fashion, in both "
    r"training and testing regimes.",
    statement=r"A network computes the same in both modes, bit for bit, if none of its modules reads the flag "
    r"`training` and none draws at random: linear layers, convolutions, max-pooling over fixed windows, layer norm, ReLU, tanh and sigmoid "
    r"do neither. Among PyTorch's activations, `nn.RReLU` does both.",
    family=plain_networks,
    tolerance=0.0,
)
def plain_network_ignores_the_mode(case: Plain) -> Trial:
    def gap(*extra: nn.Module) -> float:
        return mode_gap(seeded(lambda: case.build(*extra)), case.x)

    norm = nn.BatchNorm2d if case.x.ndim == 4 else nn.BatchNorm1d
    extra = nn.Dropout(0.5) if case.width % 2 else norm(case.width)
    return Trial(
        gap(), {f"with {type(extra).__name__.removesuffix('1d').removesuffix('2d')}": gap(extra)}
    )


@counterexample("1b-hw1", "none of its modules reads the flag `training`: batch norm draws nothing")
def batchnorm_reads_the_flag() -> float:
    return mode_gap(nn.BatchNorm1d(1), torch.tensor([[1.0], [3.0]]))


@counterexample("1b-hw1", "reads the flag or draws at random: `nn.RReLU` does both")
def randomised_relu_does_both() -> float:
    return mode_gap(nn.RReLU(), torch.full((8,), -1.0))


@counterexample("1b-hw1", "none draws at random: `nn.FractionalMaxPool2d` reads no flag")
def random_pooling_draws_anew() -> float:
    image = torch.arange(1024.0).reshape(1, 1, 32, 32)
    return mode_gap(nn.FractionalMaxPool2d(2, output_ratio=0.7), image)


NEEDED = 0.1  # the modes must differ by more than this, relative to the logits' spread


def without_batchnorms(model: Model) -> Model:
    """Return the network with an identity in the place of every batch norm."""
    bare = skeleton(model)
    for module in list(bare.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    return bare


@claim(
    "1b-need",
    kind="measured",
    verdict="holds",
    printed=r"However, other architectures have to switch between these two modes, and hence require "
    r"`model.train()` and `model.eval()`.",
    statement=r"ResNet-18 has to because of its {value}`batchnorms` batch norms alone; it has "
    r"{value}`dropouts` dropout layers. Between the modes the logits of fresh networks for eight random images of 32×32 "
    r"differ by {value}`gap_least:.1f` to {value}`gap_most:.1f` standard deviations at worst, although the running "
    r"statistics are those of a batch just like this one. Gradients are recorded in both modes.",
    tolerance=0.0,
)
def resnet_needs_the_modes(seed: int) -> Trial:
    runs = experiments(seed)
    gaps = [largest(run.training - run.evaluation) / run.training.std().item() for run in runs]
    kinds = [row.kind for row in parameter_table(network()).rows]
    modules = list(network().modules())
    dropouts = sum(isinstance(module, nn.modules.dropout._DropoutNd) for module in modules)
    image = torch.ones(2, 3, 32, 32)
    in_eval = skeleton(network()).eval()(image)
    bare = without_batchnorms(network())
    return Trial(
        max(
            *(shortfall(gap, NEEDED) for gap in gaps),
            float(dropouts),
            float(not in_eval.requires_grad),
        ),
        {"without batch norm": shortfall(mode_gap(bare, image), NEEDED)},
        {
            "batchnorms": kinds.count("BatchNorm2d"),
            "dropouts": dropouts,
            **spread("gap", gaps),
        },
        cases=len(runs),
        worst=f"seeds {seed} to {seed + len(runs) - 1}",
    )
