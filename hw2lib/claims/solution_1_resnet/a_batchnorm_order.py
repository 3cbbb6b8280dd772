"""Claims of Solution 1(a): the order of batch norm and ReLU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hw2lib.architecture import batchnorm_destinations
from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_1_resnet.shared import (
    Channels,
    Layer,
    channels,
    experiments,
    one_network,
    reversed_order,
    seeded,
    skeleton,
)
from hw2lib.claims.tools import (
    largest,
    normal,
    relative,
    shortfall,
    size,
    spread,
    tensor,
)
from hw2lib.normalization import (
    batch_normalize,
    bias_offset_in_eval,
    measured_bias_offsets,
    relu_off_probability,
    saturation_probability,
)
from hw2lib.resnet import BasicBlock, ResNet


class WithoutLastReLU(BasicBlock):
    """A basic block that ends with its sum."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute what a basic block does but for the last ReLU."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + shortcut


def without_last_relus(model: ResNet) -> ResNet:
    """Return the network without the ReLUs that follow its residual sums."""
    model = skeleton(model)
    for module in model.modules():
        if isinstance(module, BasicBlock):
            module.__class__ = WithoutLastReLU
    return model


def by_position(name: str) -> str:
    """Say where a batch norm of ResNet-18 leads, by its place in the block."""
    if name.endswith("bn1"):
        return "relu"
    return "add" if name.endswith("bn2") else "shortcut"


@claim(
    "1a-order",
    kind="identity",
    verdict="holds",
    printed=r"The code uses ReLU after the batch-norm.",
    statement=r"It does. Of ResNet-18's {value}`all` batch norms, {value}`relu` go straight into a ReLU, "
    r"{value}`add` go through a residual sum into a ReLU, and {value}`shortcut`, on the shortcuts, go "
    r"into the same sums.",
    family=one_network,
    exact=True,
)
def every_batchnorm_leads_to_a_relu(model: ResNet) -> Trial:
    found = batchnorm_destinations(model)
    count = Counter(found.values())

    def wrong(other: nn.Module) -> int:
        return sum(
            place != by_position(name) for name, place in batchnorm_destinations(other).items()
        )

    return Trial(
        wrong(model),
        {
            "all go straight into a ReLU": sum(place != "relu" for place in found.values()),
            "the network with the reverse order": wrong(reversed_order(model)),
            "the network without the ReLUs after its sums": wrong(without_last_relus(model)),
        },
        {"all": len(found), **{place: count[place] for place in ("relu", "add", "shortcut")}},
        cases=len(found),
    )


# ---- what batch norm does to mean and variance


class Normalised(NamedTuple):
    """What enters a batch norm, and its parameters."""

    x: Tensor
    weight: Tensor
    bias: Tensor
    eps: float


def normalised(rng: np.random.Generator) -> Iterator[tuple[str, Normalised]]:
    """Yield inputs of batch norms: constant and nearly constant channels, far scales, negative γ."""

    def case(x: Tensor, eps: float = 1e-5) -> Normalised:
        return Normalised(x, normal(rng, x.shape[1]), normal(rng, x.shape[1]), eps)

    yield "two values", case(tensor([[0.0], [2.0]]))
    yield "a constant channel", case(torch.cat([torch.full((6, 1), 3.0), normal(rng, 6, 1)], 1))
    yield "all zeros", case(torch.zeros(4, 2, dtype=torch.float64))
    yield "γ = 0", case(normal(rng, 6, 3))._replace(weight=torch.zeros(3, dtype=torch.float64))
    for scale in (1e-6, 1e-3, 1e3, 1e6):
        yield f"scale {scale:g}", case(scale * normal(rng, 8, 3, 2))
    while True:
        shape = (
            size(rng, 2, 8),
            size(rng, 1, 4),
            *(size(rng, 1, 4) for _ in range(size(rng, 0, 3))),
        )
        scale, eps = 10.0 ** rng.uniform(-2, 1), 10.0 ** rng.uniform(-5, 0)
        x = scale * (normal(rng, *shape) + normal(rng, 1))
        yield f"{'×'.join(map(str, shape))}, scale {scale:.2g}, ε = {eps:.1g}", case(x, eps)


def trained(case: Normalised) -> Tensor:
    """Return the output of torch's batch norm in training mode."""
    x, weight, bias, eps = case
    return functional.batch_norm(x, None, None, weight, bias, training=True, eps=eps)


@claim(
    "1a-moments",
    kind="identity",
    verdict="theorem",
    statement=r"**What batch norm fixes.** In training mode, whatever enters, the outputs of a channel have "
    r"mean $\beta$ and variance $\gamma^2\sigma^2/(\sigma^2+\varepsilon)$, $\sigma^2$ the variance of the "
    r"channel over batch and positions: $\gamma^2$ up to $\varepsilon$ if $\sigma^2\gg\varepsilon$, and 0 if "
    r"the channel is constant.",
    family=normalised,
    tolerance=1e-12,
)
def output_has_these_moments(case: Normalised) -> Trial:
    before, (variance, mean) = channels(case.x)[0], channels(trained(case))
    scale = 1 + case.weight.square()

    def error(expected_mean: Tensor, expected_variance: Tensor) -> float:
        errors = (variance - expected_variance).abs() + (mean - expected_mean).abs()
        return largest(errors / scale)

    right = case.weight.square() * before / (before + case.eps)
    count = case.x[:, 0].numel()
    unbiased = before * count / (count - 1)
    return Trial(
        max(error(case.bias, right), relative(batch_normalize(*case) - trained(case), scale)),
        {
            "variance γ², whatever enters": error(case.bias, case.weight.square()),
            "mean 0": error(torch.zeros_like(mean), right),
            "σ² unbiased": error(case.bias, case.weight.square() * before / (unbiased + case.eps)),
        },
    )


@counterexample("1a-moments", "in training mode")
def in_eval_mode() -> float:
    layer = nn.BatchNorm1d(1).double().eval()  # running mean 0, running variance 1
    variance, mean = channels(layer(tensor([[1.0], [5.0]])))
    return largest(variance - 1) + largest(mean)


LEAST_SUM = 1.2  # what the mean variance after a sum must exceed


@claim(
    "1a-normalised",
    kind="measured",
    verdict="conditional",
    printed=r"… having a batch-norm before the activation function ensures that the inputs to the "
    r"activation functions are normalized.",
    statement=r"In training mode with $\gamma=1$, $\beta=0$, the {value}`direct` ReLUs of ResNet-18 that a "
    r"batch norm feeds directly get channels of mean 0 and variance $\sigma^2/(\sigma^2+\varepsilon)$, "
    r"1 where $\sigma^2\gg\varepsilon$. The {value}`summed` ReLUs after a residual sum do not: in freshly initialised "
    r"networks on normal random images their channels have a mean variance of {value}`variance_least:.2f` "
    r"to {value}`variance_most:.2f`.",
    corrected=r"in training mode with $\gamma=1$, $\beta=0$, and only where no residual sum lies in between",
    tolerance=5e-6,
)
def relu_inputs_are_normalised(seed: int) -> Trial:
    runs = experiments(seed)
    direct = [[entry for entry in run.first[nn.ReLU] if entry.direct] for run in runs]
    summed = [[entry for entry in run.first[nn.ReLU] if not entry.direct] for run in runs]
    variances = [entry.variance.mean().item() for entries in summed for entry in entries]
    reverse = [entry for run in runs for entry in run.reverse[nn.ReLU]]

    def error(entry: Channels) -> float:
        return max(entry.error(), largest(entry.mean))

    wrong_counts = sum(len(entries) != 9 for entries in direct) + sum(len(e) != 8 for e in summed)
    return Trial(
        max(
            wrong_counts,
            *(error(entry) for entries in direct for entry in entries),
            *(shortfall(variance, LEAST_SUM) for variance in variances),
        ),
        {
            "after a residual sum too": min(abs(variance - 1) for variance in variances),
            "with the reverse order": min(map(error, reverse)),
        },
        {"direct": len(direct[0]), "summed": len(summed[0]), **spread("variance", variances)},
        cases=len(runs),
        worst=f"seeds {seed} to {seed + len(runs) - 1}, single precision",
    )


# ---- saturation

UNITS = 4001


class NormalUnit(NamedTuple):
    """A batch norm's γ and β, and the mean and scale of the normal numbers that enter it."""

    weight: float
    bias: float
    mean: float = 0.0
    scale: float = 1.0


def normal_units(rng: np.random.Generator) -> Iterator[tuple[str, NormalUnit]]:
    """Yield normal units: fresh, wide, shifted, flipped, then random ones."""
    named = [
        (1.0, 0.0),
        (10.0, 0.0),
        (1.0, 3.0),
        (1.0, -1.0),
        (-1.0, 0.5),
        (-10.0, 2.0),
        (0.1, 0.0),
    ]
    for weight, bias in named:
        yield f"γ = {weight:g}, β = {bias:g}", NormalUnit(weight, bias)
    while True:
        weight = float(rng.choice([-1, 1]) * 10 ** rng.uniform(-0.7, 1))
        bias = float(rng.choice([-1, 1]) * rng.uniform(0.2, 3))
        unit = NormalUnit(weight, bias, float(rng.uniform(-5, 5)), float(10 ** rng.uniform(-2, 2)))
        yield f"γ = {weight:.2f}, β = {bias:.2f}", unit


def after_batchnorm(unit: NormalUnit, entering: Tensor | None = None) -> Tensor:
    """Return what batch norm makes of as many quantiles of the normal distribution."""
    if entering is None:
        ranks = (torch.arange(UNITS, dtype=torch.float64) + 0.5) / UNITS
        entering = torch.special.ndtri(ranks)
    x = (unit.mean + unit.scale * entering)[:, None]
    return batch_normalize(x, tensor([unit.weight]), tensor([unit.bias]))


def saturated(y: Tensor) -> float:
    """Return the share of units at which tanh is flatter than at ±2."""
    return (1 - y.tanh().square() < 1 - np.tanh(2.0) ** 2).double().mean().item()


@claim(
    "1a-saturation",
    kind="identity",
    verdict="conditional",
    printed=r"This would imply that the outputs of the activations are unlikely to be saturated (happens "
    r"often for sigmoid and tanh).",
    statement=r"It depends on the learned $\gamma$ and $\beta$. If the normalised values are standard normal (as for normal "
    r"inputs and a large batch, in training mode), the share of units beyond $\pm2$, where tanh is flat, is "
    r"$\Phi\bigl(\frac{-2-\beta}{|\gamma|}\bigr)+\Phi\bigl(\frac{\beta-2}{|\gamma|}\bigr)$ for every "
    r"$\gamma\ne0$: {value}`fresh:.1%` at the initial $\gamma=1$, $\beta=0$, but "
    r"{value}`wide:.0%` at $\gamma=10$ and as much, {value}`shifted:.0%`, at $\beta=3$.",
    corrected=r"if $|\gamma|$ and $|\beta|$ stay moderate",
    family=normal_units,
    tolerance=1e-3,
)
def saturation_depends_on_scale_and_shift(unit: NormalUnit) -> Trial:
    share = saturated(after_batchnorm(unit))
    names = {(1.0, 0.0): "fresh", (10.0, 0.0): "wide", (1.0, 3.0): "shifted"}
    name = names.get(unit[:2])

    def error(weight: float, bias: float) -> float:
        return abs(share - saturation_probability(weight, bias))

    return Trial(
        error(unit.weight, unit.bias),
        {
            "whatever β": error(unit.weight, 0.0),
            "whatever γ": error(1.0, unit.bias),
        },
        {name: saturation_probability(unit.weight, unit.bias)} if name else {},
    )


@counterexample("1a-saturation", "normal: values of either sign and one size")
def two_values_never_saturate() -> float:
    y = after_batchnorm(NormalUnit(1.0, 0.0), torch.tensor([-1.0, 1.0]).double().repeat(2000))
    return abs(saturated(y) - saturation_probability(1.0))


@claim(
    "1a-relu-off",
    kind="identity",
    verdict="theorem",
    statement=r"The code uses ReLU, which is flat on one side only: after a batch norm with shift $\beta$ "
    r"and scale $\gamma\ne0$, a unit whose normalised value is standard normal is off with probability $\Phi(-\beta/|\gamma|)$: "
    r"{value}`fresh:.0%` at $\beta=0$, and {value}`low:.0%` at $\beta=-1$, $\gamma=1$.",
    family=normal_units,
    tolerance=1e-3,
)
def relu_is_off_with_this_probability(unit: NormalUnit) -> Trial:
    share = (functional.relu(after_batchnorm(unit)) == 0).double().mean().item()
    name = {(1.0, 0.0): "fresh", (1.0, -1.0): "low"}.get(unit[:2])

    def error(probability: float) -> float:
        return abs(share - probability)

    return Trial(
        error(relu_off_probability(unit.bias, unit.weight)),
        {
            "half of the units, whatever β": error(0.5),
            "Φ(−β), whatever γ": error(relu_off_probability(unit.bias)),
        },
        {name: relu_off_probability(unit.bias, unit.weight)} if name else {},
    )


@counterexample("1a-relu-off", "normal: a value in four is larger than the others")
def skewed_units() -> float:
    values = torch.tensor([0.0, 0.0, 0.0, 1.0]).double().repeat(1000)
    y = after_batchnorm(NormalUnit(1.0, 0.0), values)
    return abs((functional.relu(y) == 0).double().mean().item() - relu_off_probability(0.0))


# ---- the reverse order


@claim(
    "1a-reverse",
    kind="measured",
    verdict="conditional",
    printed=r"However, the other order will also be a reasonable choice since this would imply that the "
    r"input to any layer would be of the the same scale.",
    statement=r"In training mode with $\gamma=1$, every convolution that a batch norm feeds directly gets "
    r"channels of variance $\sigma^2/(\sigma^2+\varepsilon)$: 1 where $\sigma^2\gg\varepsilon$, less where "
    r"what leaves the ReLU varies little, and 0 for *dead* channels, where it is always off. In ResNet-18 that is {value}`direct` of "
    r"{value}`convolutions` convolutions; the first sees the image, the second what the max-pooling leaves. "
    r"In the reference order the variances there lie between {value}`reference_least:.2g` and "
    r"{value}`reference_most:.2g` (means over channels; fresh networks, normal random images).",
    corrected=r"in training mode, with $\gamma=1$, nothing between batch norm and layer, no dead channel",
    tolerance=5e-6,
)
def reverse_order_normalises_what_enters_the_layers(seed: int) -> Trial:
    runs = experiments(seed)
    entries = [run.reverse[nn.Conv2d] for run in runs]
    direct = [[entry for entry in each if entry.direct] for each in entries]
    reference = [
        entry.variance.mean().item()
        for run, each in zip(runs, entries, strict=True)
        for entry, reverse in zip(run.first[nn.Conv2d], each, strict=True)
        if reverse.direct
    ]
    dead = [sum(int((entry.variance == 0).sum()) for entry in each) for each in direct]
    return Trial(
        max(
            sum([entry.direct for entry in each] != [False] * 2 + [True] * 18 for each in entries),
            *(entry.error() for each in direct for entry in each),
        ),
        {
            "batch norm before the ReLU": min(abs(variance - 1) for variance in reference),
            "after the max-pooling too": min(each[1].error() for each in entries),
            "variance 1 of dead channels too": max(
                largest(entry.variance - 1) for each in direct for entry in each
            ),
        },
        {
            "direct": len(direct[0]),
            "convolutions": len(entries[0]),
            **spread("reference", reference),
            **spread("dead", dead),
        },
        cases=len(runs),
        worst=f"seeds {seed} to {seed + len(runs) - 1}, single precision",
    )


class DeadOrAlive(NamedTuple):
    """What enters ReLU and batch norm, in either order, one channel; β ≥ 0."""

    z: Tensor
    weight: float
    bias: float
    eps: float


def dead_or_alive(rng: np.random.Generator) -> Iterator[tuple[str, DeadOrAlive]]:
    """Yield channels that vary: with no, one, or many positive values."""

    def case(z: Tensor, weight: float = 1.0, bias: float = 0.0, eps: float = 1e-5) -> DeadOrAlive:
        return DeadOrAlive(z, weight, bias, eps)

    yield "two negative values", case(tensor([-1.0, -2.0]))
    yield "zero and a negative value", case(tensor([0.0, -1.0]))
    yield "one value barely positive", case(tensor([1e-3, -1.0, -1.0]))
    yield "far below zero", case(normal(rng, 20) - 1e3)
    yield "all positive", case(normal(rng, 20).abs() + 1)
    yield "γ negative, dead", case(tensor([-1.0, -2.0, -4.0]), weight=-2.0, bias=1.0)
    while True:
        count, dead = size(rng, 2, 20), bool(rng.integers(2))
        z = normal(rng, count)
        weight, bias = (
            float(rng.choice([-1, 1]) * 10 ** rng.uniform(-1, 1)),
            float(rng.uniform(0, 2)),
        )
        eps = float(10 ** rng.uniform(-5, -1))
        kind = "dead" if dead else "random"
        yield f"{count} values, {kind}", case(-z.abs() if dead else z, weight, bias, eps)


@claim(
    "1a-dead",
    kind="universal",
    verdict="theorem",
    statement=r"**Dead channels.** Let a channel vary over the batch, $\beta\ge0$, $\gamma\ne0$, in training "
    r"mode. *ReLU, then batch norm:* if the ReLU is off for the whole batch, batch norm gets variance 0 and "
    r"returns the constant $\beta$, not a channel of variance $\gamma^2$, and no gradient reaches the "
    r"channel. *Batch norm, then ReLU:* some of the outputs are positive, whatever enters, so the ReLU is not "
    r"off for the whole batch.",
    family=dead_or_alive,
    tolerance=0.0,
)
def only_the_reverse_order_has_dead_channels(case: DeadOrAlive) -> Trial:
    z, weight, bias, eps = case
    z = z[:, None].clone().requires_grad_()

    def batchnorm(x: Tensor) -> Tensor:
        return trained(Normalised(x, tensor([weight]), tensor([bias]), eps))

    off = bool((z <= 0).all())
    output = batchnorm(functional.relu(z))
    (gradient,) = torch.autograd.grad((output**3).sum(), z)
    lifeless = largest(output - bias) + largest(gradient)
    reference = functional.relu(batchnorm(z)).max().item()
    mutants = {}
    if off:
        mutants["a dead channel is normalised too"] = abs(channels(output)[0].item() - weight**2)
        mutants["batch norm first lets it die too"] = reference
    return Trial((lifeless if off else float(lifeless == 0)) + float(reference <= 0), mutants)


@counterexample("1a-dead", r"$\beta\ge0$")
def a_low_shift_kills_in_either_order() -> float:
    case = Normalised(tensor([[-1.0], [1.0]]), tensor([1.0]), tensor([-3.0]), 1e-5)
    return float(functional.relu(trained(case)).max().item() <= 0)


@counterexample("1a-dead", r"$\gamma\ne0$")
def a_batchnorm_of_scale_zero() -> float:
    case = Normalised(tensor([[-1.0], [1.0]]), tensor([0.0]), tensor([0.0]), 1e-5)
    return float(functional.relu(trained(case)).max().item() <= 0)


@counterexample("1a-dead", "in training mode")
def below_the_running_mean_in_eval_mode() -> float:
    layer = nn.BatchNorm1d(1).double().eval()  # running mean 0
    return float(functional.relu(layer(tensor([[-1.0], [-2.0]]))).max().item() <= 0)


@counterexample("1a-dead", "the channel varies")
def a_constant_channel_is_off_in_either_order() -> float:
    case = Normalised(tensor([[2.0], [2.0]]), tensor([1.0]), tensor([0.0]), 1e-5)
    return float(functional.relu(trained(case)).max().item() <= 0)


# ---- the bias of the convolution


class BiasShift(NamedTuple):
    """A layer with bias, the batch norm after it, a shift of the bias, and training batches."""

    layer: Layer
    batchnorm: Layer
    shift: Tensor
    batches: list[Tensor]


def bias_shifts(rng: np.random.Generator) -> Iterator[tuple[str, BiasShift]]:
    """Yield linear and convolutional layers before batch norms of all momenta and scales."""
    momenta = iter([0.0, 1.0, 0.1, 0.9])
    shifts = iter([0.0, 1e-3, 1e3])
    while True:
        dims, incoming, outgoing = size(rng, 0, 2), size(rng, 1, 3), size(rng, 1, 4)
        momentum = next(momenta, float(rng.uniform(0.02, 0.98)))
        scale = next(shifts, float(10 ** rng.uniform(-1, 1)))
        make: Layer = (nn.Linear, nn.Conv1d, nn.Conv2d)[dims]
        norm = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)[dims]
        kernel = [2] if dims else []
        layer = seeded(partial(make, incoming, outgoing, *kernel, dtype=torch.float64))
        batchnorm = norm(outgoing, momentum=momentum, dtype=torch.float64)
        with torch.no_grad():
            for parameter in (*layer.parameters(), *batchnorm.parameters()):
                parameter.copy_(normal(rng, *parameter.shape))
        count = size(rng, 1, 2)
        batches = [normal(rng, 4, incoming, *(4,) * dims) + 1 for _ in range(count)]
        batchnorm(layer(batches[0]))
        yield (
            f"{make.__name__}, momentum {momentum:.2g}, shift {scale:.2g}, {count} batches",
            BiasShift(layer, batchnorm, scale * normal(rng, outgoing), batches),
        )


@claim(
    "1a-conv-bias",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"Furthermore, batch norm before ReLU would imply that any bias term from the convolution layer "
    r"has no effect.",
    statement=r"The reason is a batch norm *directly after the convolution*, with no ReLU in between. In "
    r"training mode the output does not depend on the bias, whose gradient is zero. In eval mode, $k$ training batches "
    r"after the bias moved by $b$, and nothing else, the output is still off by "
    r"$\gamma b(1-m)^k/\sqrt{v+\varepsilon}$, with momentum $m$ and running variance $v$.",
    corrected=r"exactly in training mode; $\gamma b(1-m)^k/\sqrt{v+\varepsilon}$ in eval mode",
    family=bias_shifts,
    tolerance=1e-9,
)
def convolution_bias_is_cancelled(case: BiasShift) -> Trial:
    layer, batchnorm, shift, batches = case
    offsets = measured_bias_offsets(layer, batchnorm, shift, batches)
    m, variances = batchnorm.momentum, [batchnorm.running_var]
    with torch.no_grad():
        for batch in batches:
            z = layer(batch).transpose(0, 1).flatten(1)
            variances.append((1 - m) * variances[-1] + m * z.var(1))
    scale = 1 + largest(offsets[0])

    weight, eps = batchnorm.weight.detach(), batchnorm.eps
    right = torch.stack(
        [
            bias_offset_in_eval(
                shift, k, weight=weight, running_variance=variance, momentum=m, eps=eps
            )
            for k, variance in enumerate(variances)
        ]
    )
    at_once = weight * shift / (torch.stack(variances) + eps).sqrt()
    powers = tensor([[m**k] for k in range(len(variances))])

    def error(predicted: Tensor) -> float:
        return largest(offsets - predicted) / scale

    z = layer(batches[0])
    column = shift.reshape(-1, *(1,) * (z.ndim - 2))
    plain, moved = (batch_normalize(each, eps=1e-5) for each in (z, z + column))
    gradients = torch.autograd.grad((plain**3).sum(), [layer.weight, layer.bias])
    in_training = largest(moved - plain) / (1 + largest(shift))
    return Trial(
        max(
            error(right),
            in_training,
            largest(gradients[1]) / (1 + largest(gradients[0])),
        ),
        {
            "no offset in eval mode": largest(offsets) / scale,
            "$(1-m)^{k+1}$": error(right * (1 - m)),
            "mᵏ": error(at_once * powers),
        },
    )


def change_behind(between: nn.Module) -> float:
    """Return by how much a bias of 1 changes batch norm's output behind another module."""
    z = tensor([[-2.0], [-0.5], [1.0]])
    plain, moved = (batch_normalize(between(each), eps=1e-5) for each in (z, z + 1))
    return largest(moved - plain)


@counterexample("1a-conv-bias", "no ReLU in between")
def a_relu_in_between() -> float:
    return change_behind(nn.ReLU())


@counterexample("1a-conv-bias", "a batch norm")
def no_batchnorm() -> float:
    z = tensor([[-2.0], [-0.5], [1.0]])
    return largest(z + 1 - z)
