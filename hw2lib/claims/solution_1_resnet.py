"""Claims of Solution 1: ResNet-18 as a piece of code."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hw2lib.architecture import batchnorm_destinations, residual_blocks
from hw2lib.claims.registry import Evidence, claim, outside
from hw2lib.claims.tools import largest, random
from hw2lib.dropout import dropout_outputs
from hw2lib.normalization import (
    absorb_shift,
    batch_normalize,
    bias_offset_in_eval,
    layer_inputs,
    measured_bias_offsets,
    pad_channels,
    padding_mask,
    relu_off_probability,
    ridge,
    running_statistics,
    saturation_probability,
)
from hw2lib.parameters import (
    name_rule,
    name_rule_errors,
    name_rule_examples,
    parameter_groups,
    parameter_table,
)
from hw2lib.resnet import ResNet, resnet18, resnet34

Model = TypeVar("Model", bound=nn.Module)

# ---- what several checks share


def seeded(build: Callable[[], Model], seed: int = 0) -> Model:
    """Build something that draws from torch's global generator, and leave that as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


@cache
def network(batchnorm_first: bool = True) -> ResNet:
    """Return a freshly initialised ResNet-18."""
    return seeded(lambda: resnet18(batchnorm_first=batchnorm_first))


@cache
def moments(batchnorm_first: bool, kind: type[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """Return variance and mean of every channel of what enters each layer of a kind."""
    images = random(16, 3, 64, 64).float()
    inputs = layer_inputs(network(batchnorm_first), images, kind)
    return [torch.var_mean(x.transpose(0, 1).flatten(1), 1, correction=0) for x in inputs]


def distance_from_normalised(channels: tuple[Tensor, Tensor]) -> float:
    """Return how far the channels of a layer's input are from mean 0 and variance 1, at worst."""
    variance, mean = channels
    return max(largest(variance - 1), largest(mean))


def mode_gap(model: nn.Module, x: Tensor) -> float:
    """Return the largest difference between a network's outputs in its two modes."""
    model = copy.deepcopy(model)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return largest(model.train()(x) - model.eval()(x))


@cache
def layers() -> dict[str, int]:
    """Return the parameters of each convolution with its batch norm, and of the last layer."""
    return {row.name: row.parameters for row in parameter_table(network()).by_layer().rows}


@cache
def stages() -> dict[str, int]:
    """Return the parameters of the stem, the four stages and the last layer."""
    table = parameter_table(network()).by_layer().by_block()
    return {row.name: row.parameters for row in table.rows}


def convolution(kernel: int, in_channels: int, channels: int) -> int:
    """Count the weights of a convolution without bias, by hand."""
    return kernel**2 * in_channels * channels


def with_batchnorm(kernel: int, in_channels: int, channels: int) -> int:
    """Count the parameters of a convolution with its batch norm, by hand."""
    return convolution(kernel, in_channels, channels) + 2 * channels


def stage(in_channels: int, channels: int) -> int:
    """Count the parameters of a stage of two basic blocks, by hand."""
    shortcut = with_batchnorm(1, in_channels, channels) if in_channels != channels else 0
    first = with_batchnorm(3, in_channels, channels)
    return first + 3 * with_batchnorm(3, channels, channels) + shortcut


def exact(computed: int, by_hand: int, **mutants: int) -> Evidence:
    """Return evidence for an integer that two ways of counting must give."""
    wrong = {name.replace("_", " "): float(abs(value - by_hand)) for name, value in mutants.items()}
    return Evidence(abs(computed - by_hand), 0.0, wrong, f"{computed:,}")


# ---- 1(a): the order of batch norm and ReLU


@claim(
    "1a-order",
    verdict="conditional",
    printed="The code applies the ReLU after the batch norm.",
    statement="Of ResNet-18's 20 batch norms, 9 go straight into a ReLU, 8 go into a residual sum "
    "and then into a ReLU, and 3, on the shortcuts, go into the sum with no ReLU of their own.",
    corrected="true of 9 of the 20 batch norms",
)
def batchnorms_by_destination() -> Evidence:
    def distance(model: nn.Module, relu: int, add: int, shortcut: int) -> int:
        counts = Counter(batchnorm_destinations(model).values())
        return (
            abs(counts["relu"] - relu)
            + abs(counts["add"] - add)
            + abs(counts["shortcut"] - shortcut)
        )

    return Evidence(
        distance(network(), 9, 8, 3),
        0.0,
        {
            "all 20 go straight into a ReLU": distance(network(), 20, 0, 0),
            "the network with the reverse order": distance(network(False), 9, 8, 3),
        },
        "9 into a ReLU, 8 into a sum, 3 on shortcuts",
    )


@claim(
    "1a-normalised",
    verdict="conditional",
    printed="Batch norm before the activation makes the inputs of the activation normalised.",
    statement="In training mode, with $\\gamma=1$ and $\\beta=0$, the 9 ReLUs fed by a batch norm "
    "see inputs of mean 0 and variance 1 (up to $\\varepsilon$). The 8 ReLUs after a residual sum "
    "see variances well above 1.",
    corrected="only where no residual sum lies in between",
)
def relu_inputs_are_normalised() -> Evidence:
    inputs, reverse = moments(True, nn.ReLU), moments(False, nn.ReLU)
    direct, summed = [0, *range(1, 17, 2)], range(2, 17, 2)
    variances = [inputs[index][0].mean().item() for index in summed]
    return Evidence(
        max(distance_from_normalised(inputs[index]) for index in direct),
        1e-3,
        {
            "after a residual sum too": min(distance_from_normalised(inputs[i]) for i in summed),
            "batch norm after the ReLU": min(distance_from_normalised(reverse[i]) for i in direct),
        },
        f"variance 1 directly, {min(variances):.1f} to {max(variances):.1f} after a sum",
    )


@claim(
    "1a-saturation",
    verdict="conditional",
    printed="With normalised inputs, sigmoid and tanh are unlikely to saturate.",
    statement="For moderate $\\gamma$ only: a normal input with scale $\\gamma$ lies beyond "
    "$\\pm2$ with probability $2\\Phi(-2/\\gamma)$, which is 0.0455 at $\\gamma=1$ and 0.84 at "
    "$\\gamma=10$; the learned $\\gamma$ decides.",
    corrected="if $\\gamma$ stays moderate",
)
def saturation_depends_on_scale() -> Evidence:
    z = random(1_000_000)

    def error(drawn: float, assumed: float) -> float:
        share = (z.abs() * drawn > 2).double().mean().item()
        return abs(share - saturation_probability(assumed))

    return Evidence(
        max(error(1.0, 1.0), error(10.0, 10.0)),
        2e-3,
        {"γ = 10 saturates no more than γ = 1": error(10.0, 1.0)},
        f"{saturation_probability(1.0):.4f} at γ = 1, {saturation_probability(10.0):.4f} at γ = 10",
    )


@claim(
    "1a-relu-off",
    verdict="sharpened",
    severity=1,
    printed="The remark on saturation names sigmoid and tanh, not the ReLU that the code uses.",
    statement="ReLU saturates on one side only: after a batch norm with shift $\\beta$ and scale "
    "$\\gamma>0$, a normal unit is off with probability $\\Phi(-\\beta/\\gamma)$.",
    corrected="$P(\\text{off})=\\Phi(-\\beta/\\gamma)$",
)
def relu_is_off_with_this_probability() -> Evidence:
    def off(shift: float, scale: float) -> float:
        weight, bias = (torch.tensor([value]).double() for value in (scale, shift))
        units = functional.relu(batch_normalize(random(500_000, 1), weight, bias))
        return (units == 0).double().mean().item()

    return Evidence(
        max(abs(off(-1.0, scale) - relu_off_probability(-1.0, scale)) for scale in (1.0, 2.0)),
        3e-3,
        {
            "half of the units, whatever β": abs(off(-1.0, 1.0) - 0.5),
            "Φ(−β), whatever γ": abs(off(-1.0, 2.0) - relu_off_probability(-1.0)),
        },
        f"{off(-1.0, 1.0):.3f} for β = −1, γ = 1",
    )


@claim(
    "1a-reverse",
    verdict="conditional",
    printed="The reverse order is reasonable too: the inputs of every layer have the same scale.",
    statement="In training mode with $\\gamma=1$, every convolution that a batch norm feeds directly "
    "gets inputs of variance 1. The first block does not: a max-pooling lies between.",
    corrected="in training mode, with $\\gamma=1$ and nothing between batch norm and layer",
)
def reverse_order_normalises_what_enters_the_layers() -> Evidence:
    def distances(batchnorm_first: bool) -> list[float]:
        return [abs(v.mean().item() - 1) for v, _ in moments(batchnorm_first, nn.Conv2d)]

    reverse, reference = distances(False), distances(True)
    others = range(2, len(reverse))  # 0 sees the image, 1 what leaves the max-pooling
    variances = [moments(True, nn.Conv2d)[index][0].mean().item() for index in others]
    return Evidence(
        max(reverse[index] for index in others),
        1e-3,
        {
            "batch norm before the ReLU": max(reference[index] for index in others),
            "after the max-pooling too": reverse[1],
        },
        f"variance 1, against {min(variances):.2f} to {max(variances):.2f}",
    )


@claim(
    "1a-conv-bias",
    verdict="sharpened",
    severity=1,
    printed="Batch norm before the ReLU makes the bias of the convolution irrelevant.",
    statement="The reason is a batch norm *directly after the convolution*, with no ReLU in between. In "
    "training mode the bias changes nothing, exactly, and its gradient is zero. In eval mode, $k$ "
    "training batches after the bias moved by $b$, the output is still off by "
    "$\\gamma b(1-m)^k/\\sqrt{v+\\varepsilon}$.",
    corrected="exactly in training mode; $\\gamma b(1-m)^k/\\sqrt{v+\\varepsilon}$ in eval mode",
)
def convolution_bias_is_cancelled() -> Evidence:
    layer = seeded(lambda: nn.Conv2d(3, 4, 3)).double()
    batchnorm = nn.BatchNorm2d(4).double()
    batches = [random(8, 3, 6, 6, seed=seed) for seed in range(23)]
    shift = random(4, seed=99)
    with torch.no_grad():
        batchnorm.weight.copy_(torch.tensor([0.5, 1.0, 2.0, 3.0]))
        for batch in batches:
            batchnorm(layer(batch))
    follower, variances = copy.deepcopy(batchnorm), [batchnorm.get_buffer("running_var").clone()]
    for batch in batches:
        follower(layer(batch))
        variances.append(follower.get_buffer("running_var").clone())
    measured = measured_bias_offsets(layer, batchnorm, shift, batches)

    def predicted(momentum: float = 0.1, later: int = 0) -> Tensor:
        return torch.stack(
            [
                bias_offset_in_eval(
                    shift,
                    k + later,
                    weight=batchnorm.weight.detach(),
                    running_variance=variances[k],
                    momentum=momentum,
                    eps=batchnorm.eps,
                )
                for k in range(len(measured))
            ]
        )

    normalized = batch_normalize(layer(batches[0]), eps=1e-5)
    (gradient,) = torch.autograd.grad((normalized**3).sum(), layer.get_parameter("bias"))
    output = layer(batches[0]).detach()
    moved = output + shift[:, None, None]

    def change(x: Tensor, y: Tensor) -> float:
        return largest(batch_normalize(x, eps=1e-5) - batch_normalize(y, eps=1e-5))

    in_training = change(moved, output)
    return Evidence(
        max(in_training, largest(gradient), largest(measured - predicted())),
        1e-9,
        {
            "no batch norm": largest(moved - output),
            "a ReLU in between": change(torch.relu(moved), torch.relu(output)),
            "no offset in eval mode": largest(measured),
            "(1 − m)^(k+1)": largest(measured - predicted(later=1)),
            "momentum 0.9": largest(measured - predicted(momentum=0.9)),
        },
        f"{in_training:.0e} in training mode; eval mode as predicted for k = 0 to 23",
    )


# ---- 1(b): the two modes


@claim(
    "1b-modes",
    verdict="conditional",
    printed="Batch norm and dropout operate differently in training and in testing.",
    statement="Dropout does, and batch norm does if it tracks running statistics; with "
    "`track_running_stats=False` it uses the batch in both modes.",
    corrected="not for `track_running_stats=False`",
)
def untracked_batchnorm_has_one_mode() -> Evidence:
    x = random(16, 4)
    return Evidence(
        mode_gap(nn.BatchNorm1d(4, track_running_stats=False).double(), x),
        1e-12,
        {
            "batch norm that tracks": mode_gap(nn.BatchNorm1d(4).double(), x),
            "dropout": mode_gap(nn.Dropout(0.5), x),
        },
        "no difference between the modes",
    )


@claim(
    "1b-running",
    verdict="sharpened",
    severity=1,
    printed="In testing, batch norm uses the running average of mean and variance over the batches.",
    statement="It is an *exponential* average: with momentum $m=0.1$ the batch $j$ steps ago weighs "
    "$m(1-m)^j$. The running variance averages the *unbiased* variance, while the batch itself is "
    "normalised by the *biased* one. With `momentum=None` it is a plain average.",
    corrected="an exponential average; of the unbiased variance",
)
def running_statistics_are_exponential_averages() -> Evidence:
    batches = [random(6, 3, seed=seed) * (1 + seed) + seed for seed in range(5)]
    batchnorm = nn.BatchNorm1d(3).double()
    for batch in batches:
        batchnorm(batch)

    plain = nn.BatchNorm1d(3, momentum=None).double()
    for batch in batches:
        plain(batch)

    def error(momentum: float | None, module: nn.Module = batchnorm, unbias: float = 1.0) -> float:
        mean, variance = running_statistics(batches, momentum)
        decay = 1 - momentum if momentum is not None else 0
        variance = (variance - decay**5) * unbias + decay**5
        return max(
            largest(module.get_buffer("running_mean") - mean),
            largest(module.get_buffer("running_var") - variance),
        )

    output = copy.deepcopy(batchnorm)(batches[0])
    biased = batch_normalize(batches[0], eps=batchnorm.eps)
    return Evidence(
        max(error(0.1), error(None, plain), largest(output - biased)),
        1e-12,
        {
            "plain average": error(None),
            "average of the biased variance": error(0.1, unbias=5 / 6),
            "batch normalised by the unbiased variance": largest(output - biased * (5 / 6) ** 0.5),
            "momentum 0.9": error(0.9),
        },
        f"closed form and torch.nn.BatchNorm1d agree to {error(0.1):.0e}",
    )


@claim(
    "1b-dropout",
    verdict="sharpened",
    severity=1,
    printed="In testing, dropout scales the activations by $1-p$.",
    statement="That is the original convention. PyTorch divides what it keeps by $1-p$ while "
    "training and leaves eval mode alone. Under either convention the training output averages to the "
    "output in eval mode if what follows is affine. A nonlinearity that mixes the dropped units, such as "
    "a ReLU of a linear unit, breaks this in general.",
    corrected="PyTorch: $1/(1-p)$ in training, nothing in eval mode",
)
def dropout_scales_in_training() -> Evidence:
    p, x, weight = 0.3, random(10), random(5, 10, seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kept = functional.dropout(torch.ones(100, dtype=torch.float64), p).max().item()

    def gap(function: Callable[[Tensor], Tensor]) -> float:
        return max(
            largest(outputs.training_mean - outputs.evaluation)
            for convention in ("original", "inverted")
            for outputs in [dropout_outputs(function, x, p, convention)]
        )

    return Evidence(
        max(abs(kept - 1 / (1 - p)), gap(lambda z: z @ weight.T + 1), gap(torch.relu)),
        1e-12,
        {
            "kept units times 1 − p": abs(kept - (1 - p)),
            "a ReLU of linear units follows": gap(lambda z: torch.relu(z @ weight.T)),
        },
        f"kept units are multiplied by {kept:.6f} at p = 0.3",
    )


@claim(
    "1b-hw1",
    verdict="holds",
    printed="A library without batch norm and dropout works identically in both modes.",
    statement="A network without such layers computes the same in both modes: nothing in it reads "
    "the flag `training`.",
)
def plain_network_ignores_the_mode() -> Evidence:
    def perceptron(*extra: nn.Module) -> nn.Module:
        return seeded(lambda: nn.Sequential(nn.Linear(8, 16), *extra, nn.ReLU(), nn.Linear(16, 4)))

    x = random(32, 8).float()
    return Evidence(
        mode_gap(perceptron(), x),
        0.0,
        {
            "with dropout": mode_gap(perceptron(nn.Dropout(0.5)), x),
            "with batch norm": mode_gap(perceptron(nn.BatchNorm1d(16)), x),
        },
        "difference 0",
    )


@claim(
    "1b-need",
    verdict="holds",
    printed="Other architectures have to switch between the two modes.",
    statement="ResNet-18 has to because of batch norm alone; it has no dropout. Gradients are "
    "recorded in both modes.",
)
def resnet_needs_the_modes() -> Evidence:
    x = random(4, 3, 32, 32).float()

    def without(kind: type[nn.Module]) -> nn.Module:
        model = copy.deepcopy(network())
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, kind):
                    setattr(module, name, nn.Identity())
        return model

    required = 1e-2  # logits must differ by more than this
    graph_is_lost = not copy.deepcopy(network()).eval()(x[:1]).requires_grad
    dropouts = sum(isinstance(module, nn.Dropout) for module in network().modules())
    gap = mode_gap(network(), x)
    return Evidence(
        max(0.0, required - gap) + dropouts + graph_is_lost,
        0.0,
        {"without batch norm": max(0.0, required - mode_gap(without(nn.BatchNorm2d), x))},
        f"logits differ by up to {gap:.1f}",
    )


# ---- 1(c): the architecture and its parameters

PRINTED_LAYERS = (
    {"conv1": 9536, "fc": 513000}
    | {f"layer1-{name}": 36992 for name in ("0-conv1", "0-conv2", "1-conv1", "1-conv2")}
    | {"layer2-0-conv1": 73984, "layer2-0-downsample": 8448}
    | {f"layer2-{name}": 147712 for name in ("0-conv2", "1-conv1", "1-conv2")}
    | {"layer3-0-conv1": 295424, "layer3-0-downsample": 33280}
    | {f"layer3-{name}": 590336 for name in ("0-conv2", "1-conv1", "1-conv2")}
    | {"layer4-0-conv1": 1180672, "layer4-0-downsample": 132096}
    | {"layer4-0-conv2": 2360320, "layer4-1-conv1": 2360320, "layer4-1-conv2": 236032}
)


@claim(
    "1c-figure",
    verdict="outside",
    printed="Figure 1 shows the architecture.",
    statement="The figure is lost; ours is drawn from the traced network: 8 basic blocks, 3 of them "
    "with a convolution on the shortcut.",
)
def figure_is_rebuilt() -> Evidence:
    def distance(model: nn.Module, shortcuts: int) -> int:
        blocks = residual_blocks(model, (3, 64, 64))
        return abs(len(blocks) - 8) + abs(sum(bool(b.shortcut) for b in blocks) - shortcuts)

    return Evidence(
        distance(network(), 3),
        0.0,
        {
            "a convolution on every shortcut": distance(network(), 8),
            "ResNet-34": distance(resnet34(), 3),
        },
        "8 basic blocks, 3 downsampling shortcuts",
    )


@claim(
    "1c-stem",
    verdict="corrected",
    severity=1,
    printed="The 7×7 convolution has 9408 parameters (in a table whose stages include batch norm).",
    statement="The convolution alone has $7^2\\cdot3\\cdot64=9408$ parameters; with its batch norm "
    "it has $9408+2\\cdot64=9536$, and the columns of the four stages include theirs.",
    corrected="9,536",
)
def stem_parameters() -> Evidence:
    return exact(stages()["conv1"], with_batchnorm(7, 3, 64), printed=9408)


@claim(
    "1c-stage1..3",
    verdict="holds",
    printed="Basic blocks 1, 2, 3 have 147968, 525568, 2099712 parameters.",
    statement="Stages 1, 2 and 3 have 147,968, 525,568 and 2,099,712 parameters, batch norm and "
    'shortcut included. What the table calls a "basic block" is a stage of two basic blocks.',
)
def first_three_stages() -> Evidence:
    printed = [147968, 525568, 2099712]
    shapes = [(64, 64), (64, 128), (128, 256)]
    computed = [stages()[f"layer{index}"] for index in (1, 2, 3)]
    bare = [
        sum(row.parameters for row in parameter_table(network()).rows if keep(row.name, index))
        for index in (1, 2, 3)
        for keep in [lambda name, i: name.startswith(f"layer{i}") and is_convolution(name)]
    ]
    by_hand = [stage(*shape) for shape in shapes]

    def error(counts: list[int]) -> float:
        return max(abs(count - right) for count, right in zip(counts, by_hand, strict=True))

    return Evidence(
        max(error(computed), error(printed)),
        0.0,
        {"without batch norm": error(bare)},
        ", ".join(f"{count:,}" for count in computed),
    )


def is_convolution(name: str) -> bool:
    """Say whether a module of ResNet-18 is a convolution."""
    return isinstance(network().get_submodule(name), nn.Conv2d)


@claim(
    "1c-stage4",
    verdict="corrected",
    severity=2,
    printed="Basic block 4 has 8393688 parameters.",
    statement="Stage 4 has 8,393,728 parameters; the print is 40 short.",
    corrected="8,393,728",
)
def fourth_stage() -> Evidence:
    return exact(stages()["layer4"], stage(256, 512), printed=8393688)


@claim(
    "1c-fc",
    verdict="holds",
    printed="The fully connected layer has 513000 parameters.",
    statement="The last layer has $512\\cdot1000$ weights and 1000 biases: 513,000 parameters.",
)
def last_layer() -> Evidence:
    return exact(stages()["fc"], 512 * 1000 + 1000, without_the_biases=512 * 1000)


@claim(
    "1c-total",
    verdict="corrected",
    severity=2,
    printed="ResNet-18 has 11698512 parameters in total.",
    statement="In total 11,689,512 parameters: two digits are swapped in print, and the printed row "
    "sums to 11,689,344, a third number.",
    corrected="11,689,512",
)
def total_parameters() -> Evidence:
    by_hand = (
        with_batchnorm(7, 3, 64)
        + stage(64, 64)
        + stage(64, 128)
        + stage(128, 256)
        + stage(256, 512)
        + 513000
    )
    row = 9408 + 147968 + 525568 + 2099712 + 8393688 + 513000
    total = parameter_table(network()).total
    return exact(total, by_hand, printed=11698512, sum_of_the_printed_row=row)


@claim(
    "1c-eighteen",
    verdict="sharpened",
    severity=1,
    printed="The parameters of each of the 18 layers: a list of 21 entries.",
    statement="The network has 20 convolutions and one fully connected layer, 21 layers with "
    'weights; the "18" leaves out the 3 convolutions on shortcuts.',
    corrected="21 layers, 18 without those on shortcuts",
)
def eighteen_layers() -> Evidence:
    shortcuts = sum(len(block.shortcut) for block in residual_blocks(network(), (3, 64, 64)))
    count = len(layers())
    return Evidence(
        abs(count - 21) + abs(count - shortcuts - 18),
        0.0,
        {"18 with the shortcuts": abs(count - 18)},
        f"{count} layers, {shortcuts} of them on shortcuts",
    )


@claim(
    "1c-layers",
    verdict="holds",
    printed="The list of parameters layer by layer.",
    statement="All entries but one are right, each a convolution with its batch norm: "
    "$k^2\\,c_\\text{in}c_\\text{out}+2c_\\text{out}$; the exception is layer4-1-conv2.",
)
def layer_by_layer() -> Evidence:
    def count(formula: Callable[[int, int, int], int]) -> dict[str, int]:
        expected = {"conv1": formula(7, 3, 64), "fc": 513000}
        for index, (width, wide) in enumerate([(64, 64), (64, 128), (128, 256), (256, 512)], 1):
            for name, incoming in [("0-conv1", width), ("0-conv2", wide)]:
                expected[f"layer{index}-{name}"] = formula(3, incoming, wide)
            for name in ("1-conv1", "1-conv2"):
                expected[f"layer{index}-{name}"] = formula(3, wide, wide)
            if width != wide:
                expected[f"layer{index}-0-downsample"] = formula(1, width, wide)
        return expected

    def wrong(expected: dict[str, int]) -> set[str]:
        names = PRINTED_LAYERS.keys() | expected.keys()
        return {name for name in names if PRINTED_LAYERS.get(name) != expected.get(name)}

    computed = {
        name.replace("downsample.0", "downsample").replace(".", "-"): parameters
        for name, parameters in layers().items()
    }
    exception = {"layer4-1-conv2"}
    return Evidence(
        len(wrong(computed) ^ exception) + (computed != count(with_batchnorm)),
        0.0,
        {
            "all entries are right": len(wrong(computed)),
            "without batch norm": len(wrong(count(convolution)) ^ exception),
        },
        f"{len(PRINTED_LAYERS) - len(wrong(computed))} of {len(PRINTED_LAYERS)} printed entries are right",
    )


@claim(
    "1c-layer4-1-conv2",
    verdict="corrected",
    severity=2,
    printed="layer4-1-conv2 has 236032 parameters.",
    statement="layer4-1-conv2 has $9\\cdot512^2+2\\cdot512=2{,}360{,}320$ parameters; a zero is "
    "missing in print.",
    corrected="2,360,320",
)
def last_convolution() -> Evidence:
    return exact(layers()["layer4.1.conv2"], with_batchnorm(3, 512, 512), printed=236032)


# ---- 1(d): weight decay and biases


@claim(
    "1d-linear",
    verdict="sharpened",
    severity=1,
    printed="$f(x)=x-b$ is a linear transformation.",
    statement="It is affine, a translation: it keeps weighted means, but not sums.",
    corrected="affine",
)
def shift_is_affine() -> Evidence:
    b, x, y = random(5, seed=0), random(5, seed=1), random(5, seed=2)

    def f(z: Tensor) -> Tensor:
        return z - b

    return Evidence(
        largest(f(0.3 * x + 0.7 * y) - (0.3 * f(x) + 0.7 * f(y))),
        1e-14,
        {"linear": largest(f(x + y) - (f(x) + f(y)))},
        "keeps weighted means",
    )


@claim(
    "1d-shift",
    verdict="corrected",
    severity=3,
    printed="For inputs shifted by $-b$, the bias has to grow by $b$.",
    statement="The bias has to grow by $Wb$; in a convolution by "
    "$\\sum_c b_c\\sum_{uv}w_{cuv}$. Zero padding is not shifted along, so outputs that see it "
    "differ (663 of 12,544 positions of ResNet-18's stem at 224²) unless one pads with $-b$ instead.",
    corrected="by $Wb$",
)
def bias_grows_by_weight_times_shift() -> Evidence:
    linear = seeded(lambda: nn.Linear(4, 4)).double()
    conv = seeded(lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2)).double()
    x, images, b = random(7, 4), random(2, 4, 9, 9), random(4, seed=5)

    def linear_error(increase: Tensor) -> float:
        layer = functional.linear(x - b, linear.weight, linear.bias + increase)
        return largest(layer - linear(x))

    absorbed = absorb_shift(conv, b)
    shifted = images - b[:, None, None]
    padded = copy.deepcopy(absorbed)
    padded.padding = (0, 0)
    everywhere = largest(padded(pad_channels(shifted, (1, 1), -b)) - conv(images))
    gap = (absorbed(shifted) - conv(images)).abs().amax((0, 1))
    border = padding_mask(conv, (9, 9))
    stem = padding_mask(network().conv1, (224, 224))
    return Evidence(
        max(
            largest(absorb_shift(linear, b)(x - b) - linear(x)),
            everywhere,
            gap[~border].max().item(),
            abs(int(stem.sum()) - 663),
        ),
        1e-13,
        {
            "by b": linear_error(b),
            "by −Wb": linear_error(-linear.weight @ b),
            "zero padding at the border": gap[border].max().item(),
        },
        f"{everywhere:.0e} with Wb; {int(stem.sum())} of {stem.numel():,} positions of the stem "
        "see the padding",
    )


@claim(
    "1d-penalty",
    verdict="conditional",
    printed="Weight decay penalises this increase of the bias.",
    statement="A penalty on the bias changes by $\\|c+Wb\\|^2-\\|c\\|^2=2c^\\top Wb+\\|Wb\\|^2$. It "
    "punishes the shift only where that is positive; the shift that makes $Wb=-c$ is rewarded.",
    corrected="only if $\\|c+Wb\\|>\\|c\\|$",
)
def penalty_may_fall() -> Evidence:
    layer = seeded(lambda: nn.Linear(4, 4)).double()
    weight, c = layer.weight.detach(), layer.bias.detach()
    b, opposite = random(4), -torch.linalg.solve(weight, c)

    def change(shift: Tensor) -> float:
        return (absorb_shift(layer, shift).bias.square().sum() - c.square().sum()).item()

    def formula(shift: Tensor) -> float:
        return (2 * c @ weight @ shift + (weight @ shift).square().sum()).item()

    return Evidence(
        max(abs(change(shift) - formula(shift)) for shift in (b, opposite)),
        1e-12,
        {
            "always an increase": max(0.0, -change(opposite)),
            "without the cross term": abs(change(b) - (weight @ b).square().sum().item()),
        },
        f"{change(opposite):+.2f} for the shift with Wb = −c",
    )


outside(
    "1d-images",
    printed="This is common for images: all pixels have the same scale, the right bias is unknown.",
    statement="A remark on data sets in general, which no computation here could refute.",
)


@claim(
    "1d-invariance",
    verdict="sharpened",
    severity=1,
    printed="Leaving the biases out of the penalty makes the network invariant to such shifts.",
    statement="What moves along is the penalised *problem*: shifting the inputs by $-b$ carries every "
    "minimiser $(W,c)$ to $(W,c+Wb)$, with the same predictions. Gradient descent takes another path.",
    corrected="the problem and its minimisers are equivariant, the path is not",
)
def minimisers_move_with_the_shift() -> Evidence:
    x, y, b = random(40, 5), random(40, 2, seed=1), random(5, seed=2) * 3

    def gap(penalize_intercept: bool) -> float:
        weight, intercept = ridge(x, y, 2.0, penalize_intercept=penalize_intercept)
        moved = ridge(x - b, y, 2.0, penalize_intercept=penalize_intercept)
        return max(
            largest(moved.weight - weight), largest(moved.intercept - (intercept + b @ weight))
        )

    def descend(inputs: Tensor) -> Tensor:
        weight, intercept = torch.zeros(5, 2).double(), torch.zeros(2).double()
        for _ in range(20):
            residual = inputs @ weight + intercept - y
            weight = weight - 1e-3 * (inputs.T @ residual + 2.0 * weight)
            intercept = intercept - 1e-3 * residual.sum(0)
        return inputs @ weight + intercept

    return Evidence(
        gap(False),
        1e-12,
        {
            "penalised bias": gap(True),
            "the path of gradient descent": largest(descend(x - b) - descend(x)),
        },
        f"ridge regression moves along to {gap(False):.0e}",
    )


@claim(
    "1d-T1",
    verdict="theorem",
    statement="**Shift equivariance.** Let the input enter a network only through an affine layer "
    "$Wx+c$ whose bias may take every value, and let the penalty not depend on $c$. Then $(W,c)\\mapsto(W,c+Wb)$, the other parameters fixed, "
    "carries the objective on the data $x_i$ to the objective on $x_i-b$ without changing its value; "
    "so it carries minimisers to minimisers.",
)
def objective_is_equivariant() -> Evidence:
    first, rest = seeded(lambda: nn.Linear(5, 8)).double(), seeded(lambda: nn.Linear(8, 1)).double()
    model = nn.Sequential(first, nn.Tanh(), rest)
    x, y, b = random(30, 5), random(30, 1, seed=1), random(5, seed=2)
    moved = nn.Sequential(absorb_shift(first, b), nn.Tanh(), rest)

    def objective(network: nn.Module, inputs: Tensor, biases: bool) -> float:
        penalised = [p for n, p in network.named_parameters() if biases or "bias" not in n]
        penalty = sum(p.square().sum() for p in penalised)
        return ((network(inputs) - y).square().sum() + 0.1 * penalty).item()

    def padded_gap() -> float:
        conv, images = seeded(lambda: nn.Conv1d(2, 3, 3, padding=1)).double(), random(4, 2, 6)
        shift = random(2, seed=3)
        there = absorb_shift(conv, shift)(images - shift[:, None])
        return abs((there.square().sum() - conv(images).square().sum()).item())

    def gap(biases: bool) -> float:
        return abs(objective(moved, x - b, biases) - objective(model, x, biases))

    return Evidence(
        gap(False),
        1e-11,
        {
            "penalised biases": gap(True),
            "parameters that stay": abs(
                objective(model, x - b, False) - objective(model, x, False)
            ),
            "a zero-padded convolution": padded_gap(),
        },
        f"same value to {gap(False):.0e}",
    )


# ---- 1(e): parameter groups


@claim(
    "1e-split",
    verdict="sharpened",
    severity=2,
    printed="The code splits the parameters into three groups.",
    statement="It collects pairs of name and count; an optimiser needs the parameters themselves, in "
    "groups with their own weight decay.",
    corrected="groups that `torch.optim` accepts",
)
def optimiser_accepts_the_groups() -> Evidence:
    model = network()

    def missing(groups: list) -> int:
        try:
            optimizer = torch.optim.SGD(groups, lr=0.1)
        except TypeError:
            held: set[Tensor] = set()
        else:
            held = {p for group in optimizer.param_groups for p in group["params"]}
        return len(set(model.parameters()) - held)

    printed: dict[str, list[tuple[str, int]]] = {"batchnorm": [], "bias": [], "weights": []}
    for name, parameter in model.named_parameters():
        printed[name_rule(name)].append((name, parameter.numel()))
    return Evidence(
        missing(parameter_groups(model)),
        0.0,
        {"pairs of name and count": missing([{"params": p} for p in printed.values()])},
        "all 62 tensors reach the optimiser",
    )


@claim(
    "1e-heuristic",
    verdict="conditional",
    printed='A parameter belongs to batch norm if its name has "bn" or "downsample.1" in it.',
    statement="Right for ResNet-18, by luck of naming. It fails for batch norm inside a Sequential, "
    'for a module called "subnet", and for ResNet-D, whose `downsample.1` is a convolution. Split by '
    "the type of the module.",
    corrected="right for ResNet-18, wrong for three other networks",
)
def name_rule_is_right_by_luck() -> Evidence:
    wrong = {title: len(name_rule_errors(model)) for title, model in name_rule_examples().items()}
    resnet = wrong.pop("ResNet-18")
    return Evidence(
        resnet,
        0.0,
        {f"right for {title}": count for title, count in wrong.items()},
        ", ".join(f"{count} wrong in {title}" for title, count in wrong.items()),
    )


@claim(
    "1e-counts",
    verdict="holds",
    printed="9600, 1000 and 11678912 parameters, 11689512 in total.",
    statement="Batch norm holds 9,600 parameters in 40 tensors, the biases 1,000 in one, the rest "
    "11,678,912 in 21; the total, 11,689,512, is right and contradicts the table of part (c).",
)
def group_sizes() -> Evidence:
    def error(model: nn.Module, total: int) -> float:
        groups = {group["name"]: group["params"] for group in parameter_groups(model)}
        sizes = {name: sum(p.numel() for p in params) for name, params in groups.items()}
        expected = {"weights": (11678912, 21), "batchnorm": (9600, 40), "bias": (1000, 1)}
        return abs(sum(sizes.values()) - total) + sum(
            abs(sizes[name] - size) + abs(len(groups[name]) - tensors)
            for name, (size, tensors) in expected.items()
        )

    return Evidence(
        error(network(), 11689512),
        0.0,
        {
            "the total of part (c)": error(network(), 11698512),
            "ResNet-34": error(resnet34(), 11689512),
        },
        "9,600 + 1,000 + 11,678,912 = 11,689,512",
    )
