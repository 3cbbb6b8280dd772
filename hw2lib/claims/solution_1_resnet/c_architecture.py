"""Claims of Solution 1(c): the architecture of ResNet-18, and its parameters."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

from torch import nn

from hw2lib.architecture import residual_blocks
from hw2lib.claims.registry import Trial, claim
from hw2lib.claims.solution_1_resnet.shared import count_wrong, network, one_network
from hw2lib.parameters import ParameterTable, parameter_table
from hw2lib.resnet import ResNet

IMAGE = (3, 224, 224)
PRINTED_TABLE = {
    "conv1": 9408,
    "layer1": 147968,
    "layer2": 525568,
    "layer3": 2099712,
    "layer4": 8393688,
    "fc": 513000,
}
PRINTED_TOTAL = 11698512
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
WIDTHS = {"layer1": (64, 64), "layer2": (64, 128), "layer3": (128, 256), "layer4": (256, 512)}
HEAD = 512 * 1000 + 1000


def table(model: nn.Module) -> ParameterTable:
    """Return the parameters and work of each convolution with its batch norm, and of the last layer."""
    return parameter_table(model, IMAGE).by_layer() if model is not network() else own_table()


@cache
def own_table() -> ParameterTable:
    """Return the table of ResNet-18."""
    return parameter_table(network(), IMAGE).by_layer()


def layers(model: nn.Module) -> dict[str, int]:
    """Return the parameters of each layer, batch norm included."""
    return {row.name: row.parameters for row in table(model).rows}


def stages(model: nn.Module) -> dict[str, int]:
    """Return the parameters of the stem, the four stages and the last layer."""
    return {row.name: row.parameters for row in table(model).by_block().rows}


def convolution(kernel: int, in_channels: int, channels: int) -> int:
    """Count the weights of a convolution without bias, by hand."""
    return kernel**2 * in_channels * channels


def with_batchnorm(kernel: int, in_channels: int, channels: int) -> int:
    """Count the parameters of a convolution with its batch norm, by hand."""
    return convolution(kernel, in_channels, channels) + 2 * channels


def by_hand(
    name: str, layer: Callable[[int, int, int], int] = with_batchnorm, shortcut: bool = True
) -> int:
    """Count the parameters of a stage of two basic blocks, by hand."""
    width, wide = WIDTHS[name]
    side = layer(1, width, wide) if shortcut and width != wide else 0
    return layer(3, width, wide) + 3 * layer(3, wide, wide) + side


def distance(count: int, right: int) -> float:
    """Return how far two counts lie apart."""
    return float(abs(count - right))


@claim(
    "1c-figure",
    kind="identity",
    verdict="outside",
    printed=r"A diagram of resnet18 is present in Figure 1.",
    statement=r"The figure is lost; ours is drawn from the traced network: {value}`blocks` basic blocks of two "
    r"3×3 convolutions, {value}`projections` of them, where the size changes, with a 1×1 convolution on the "
    r"shortcut.",
    family=one_network,
    exact=True,
)
def figure_is_rebuilt(model: ResNet) -> Trial:
    blocks = residual_blocks(model, IMAGE)
    sizes = [(64, 56, 56), *(block.output for block in blocks)]
    changes = [before != after for before, after in itertools.pairwise(sizes)]

    def kernel(name: str) -> tuple[int, ...]:
        convolution = model.get_submodule(name)
        return convolution.kernel_size if isinstance(convolution, nn.Conv2d) else ()

    def wrong(projected: list[bool], count: int = 8) -> float:
        kernels = {kernel(name) for block in blocks for name in block.branch} ^ {(3, 3)}
        sides = {kernel(name) for block in blocks for name in block.shortcut} ^ {(1, 1)}
        lengths = count_wrong([len(block.branch) for block in blocks], [2] * len(blocks))
        found = [bool(block.shortcut) for block in blocks]
        return float(
            abs(len(blocks) - count)
            + lengths
            + len(kernels)
            + len(sides)
            + count_wrong(found, projected)
        )

    return Trial(
        wrong(changes),
        {
            "a convolution on every shortcut": wrong([True] * 8),
            "as many blocks as ResNet-34": wrong(changes, 3 + 4 + 6 + 3),
        },
        {"blocks": len(blocks), "projections": sum(bool(block.shortcut) for block in blocks)},
        cases=len(blocks),
    )


@claim(
    "1c-stem",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"(Table 1, “Parameters in each block”) 7x7: 9408",
    statement=r"The 7×7 convolution has $7^2\cdot3\cdot64$, {value}`weights`, weights, as its column says. But "
    r"the columns of the four stages include their batch norms, and this one does not: with it, the stem has "
    r"{value}`parameters` parameters.",
    corrected=r"{value}`parameters` with batch norm, as in the other columns",
    family=one_network,
    exact=True,
)
def stem_parameters(model: ResNet) -> Trial:
    counted, weights = stages(model)["conv1"], model.conv1.weight.numel()
    right = with_batchnorm(7, 3, 64)
    stem_only = distance(weights, PRINTED_TABLE["conv1"])
    with_theirs = sum(distance(PRINTED_TABLE[f"layer{i}"], by_hand(f"layer{i}")) for i in (1, 2, 3))
    return Trial(
        distance(counted, right) + stem_only + with_theirs,
        {
            "the printed count with batch norm": distance(PRINTED_TABLE["conv1"], counted),
            "the other columns without batch norm": sum(
                distance(PRINTED_TABLE[f"layer{i}"], by_hand(f"layer{i}", convolution))
                for i in (1, 2, 3)
            ),
        },
        {"weights": weights, "parameters": counted},
    )


@claim(
    "1c-stage1..3",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"(Table 1) Basic Block 1: 147968, Basic Block 2: 525568, Basic Block 3: 2099712",
    statement=r"Stages 1, 2 and 3 have {value}`layer1`, {value}`layer2` and {value}`layer3` parameters, batch "
    r"norm and shortcut included. What the table calls a “basic block” is a stage of two basic blocks.",
    corrected="right, but of stages: two basic blocks each",
    family=one_network,
    exact=True,
)
def first_three_stages(model: ResNet) -> Trial:
    names = ("layer1", "layer2", "layer3")
    counted = stages(model)

    def error(counts: list[int]) -> float:
        return sum(
            distance(count, counted[name]) for count, name in zip(counts, names, strict=True)
        )

    return Trial(
        error([by_hand(name) for name in names]) + error([PRINTED_TABLE[name] for name in names]),
        {
            "without batch norm": error([by_hand(name, convolution) for name in names]),
            "without the shortcuts": error([by_hand(name, shortcut=False) for name in names]),
        },
        {name: counted[name] for name in names},
        cases=len(names),
    )


@claim(
    "1c-stage4",
    kind="identity",
    verdict="corrected",
    severity=2,
    printed=r"(Table 1) Basic Block 4: 8393688",
    statement=r"Stage 4 has {value}`parameters` parameters; the print is {value}`short` short.",
    corrected=r"{value}`parameters`",
    family=one_network,
    exact=True,
)
def fourth_stage(model: ResNet) -> Trial:
    counted = stages(model)["layer4"]
    return Trial(
        distance(counted, by_hand("layer4")),
        {
            "as printed": distance(PRINTED_TABLE["layer4"], counted),
            "without the shortcut": distance(by_hand("layer4", shortcut=False), counted),
        },
        {"parameters": counted, "short": counted - PRINTED_TABLE["layer4"]},
    )


@claim(
    "1c-fc",
    kind="identity",
    verdict="holds",
    printed=r"(fc: 513000)",
    statement=r"The last layer has $512\cdot1000$ weights and 1000 biases: {value}`parameters` parameters.",
    family=one_network,
    exact=True,
)
def last_layer(model: ResNet) -> Trial:
    counted = stages(model)["fc"]
    return Trial(
        distance(counted, HEAD) + distance(counted, PRINTED_TABLE["fc"]),
        {"without the biases": distance(counted, 512 * 1000)},
        {"parameters": counted},
    )


def swaps(one: int, other: int) -> int:
    """Return how many swaps of neighbouring digits lead from one number to the other; -1 if none do."""
    a, b = str(one), str(other)
    wrong = [i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y]
    neighbours = len(a) == len(b) and len(wrong) == 2 and wrong[1] - wrong[0] == 1
    return 1 if neighbours and sorted(a) == sorted(b) else -1


@claim(
    "1c-total",
    kind="identity",
    verdict="corrected",
    severity=2,
    printed=r"(Table 1) Total: 11698512",
    statement=r"In total {value}`parameters` parameters: two neighbouring digits are swapped in print, and the "
    r"printed row sums to {value}`row`, a third number.",
    corrected=r"{value}`parameters`",
    family=one_network,
    exact=True,
)
def total_parameters(model: ResNet) -> Trial:
    total = table(model).total
    right = with_batchnorm(7, 3, 64) + sum(map(by_hand, WIDTHS)) + HEAD
    row = sum(PRINTED_TABLE.values())
    return Trial(
        distance(total, right) + distance(swaps(total, PRINTED_TOTAL), 1),
        {
            "as printed": distance(PRINTED_TOTAL, total),
            "sum of the printed row": distance(row, total),
        },
        {"parameters": total, "row": row},
    )


@claim(
    "1c-eighteen",
    kind="identity",
    verdict="sharpened",
    severity=1,
    printed=r"The number of parameters in each of the 18 layers are: (conv1': 9536) … (fc: 513000)",
    statement=r"The list has {value}`listed` entries. The network has {value}`convolutions` convolutions and one "
    r"linear layer, {value}`layers` layers with weights; {value}`without` without the {value}`shortcuts` "
    r"convolutions on shortcuts, which is where its name comes from.",
    corrected=r"{value}`layers` layers, {value}`without` without those on shortcuts",
    family=one_network,
    exact=True,
)
def eighteen_layers(model: ResNet) -> Trial:
    shortcuts = sum(len(block.shortcut) for block in residual_blocks(model, IMAGE))
    kinds = [row.kind.split(" ")[0] for row in table(model).rows]
    count, convolutions = len(kinds), kinds.count("Conv2d")
    return Trial(
        abs(count - len(PRINTED_LAYERS))
        + abs(count - shortcuts - 18)
        + abs(count - convolutions - 1),
        {"18 with the shortcuts": abs(count - 18)},
        {
            "listed": len(PRINTED_LAYERS),
            "convolutions": convolutions,
            "layers": count,
            "shortcuts": shortcuts,
            "without": count - shortcuts,
        },
    )


def list_by_hand(layer: Callable[[int, int, int], int]) -> dict[str, int]:
    """Count every layer by hand, under its printed name."""
    counts = {"conv1": layer(7, 3, 64), "fc": HEAD}
    for name, (width, wide) in WIDTHS.items():
        counts |= {
            f"{name}-{place}": layer(3, wide, wide) for place in ("0-conv2", "1-conv1", "1-conv2")
        }
        counts[f"{name}-0-conv1"] = layer(3, width, wide)
        if width != wide:
            counts[f"{name}-0-downsample"] = layer(1, width, wide)
    return counts


def printed_name(name: str) -> str:
    """Return a layer's name as the print writes it."""
    return name.replace("downsample.0", "downsample").replace(".", "-")


@claim(
    "1c-layers",
    kind="identity",
    verdict="holds",
    printed=r"(conv1': 9536) (layer1-0-conv1: 36992), … (layer4-1-conv1: 2360320) … (fc: 513000)",
    statement=r"{value}`right` of the {value}`listed` entries are right: fc, and else convolutions with their batch "
    r"norms, $k^2\,c_\text{in}c_\text{out}+2c_\text{out}$. The exception is layer4-1-conv2.",
    family=one_network,
    exact=True,
)
def layer_by_layer(model: ResNet) -> Trial:
    counted = {printed_name(name): count for name, count in layers(model).items()}

    def wrong(expected: dict[str, int]) -> set[str]:
        names = PRINTED_LAYERS.keys() | expected.keys()
        return {name for name in names if PRINTED_LAYERS.get(name) != expected.get(name)}

    exception = {"layer4-1-conv2"}
    return Trial(
        len(wrong(counted) ^ exception) + float(counted != list_by_hand(with_batchnorm)),
        {
            "all entries are right": len(wrong(counted)),
            "without batch norm": len(wrong(list_by_hand(convolution)) ^ exception),
        },
        {"listed": len(PRINTED_LAYERS), "right": len(PRINTED_LAYERS) - len(wrong(counted))},
        cases=len(PRINTED_LAYERS),
    )


@claim(
    "1c-layer4-1-conv2",
    kind="identity",
    verdict="corrected",
    severity=2,
    printed=r"(layer4-1-conv2: 236032)",
    statement=r"layer4-1-conv2 has $9\cdot512^2+2\cdot512$, that is {value}`parameters`, parameters; a zero is "
    r"missing in print.",
    corrected=r"{value}`parameters`",
    family=one_network,
    exact=True,
)
def last_convolution(model: ResNet) -> Trial:
    counted, printed = layers(model)["layer4.1.conv2"], PRINTED_LAYERS["layer4-1-conv2"]
    text = str(counted)
    shortened = {text[:i] + text[i + 1 :] for i, digit in enumerate(text) if digit == "0"}
    return Trial(
        distance(counted, with_batchnorm(3, 512, 512)) + float(str(printed) not in shortened),
        {"as printed": distance(printed, counted)},
        {"parameters": counted},
    )


@claim(
    "1c-work",
    kind="identity",
    verdict="theorem",
    statement=r"**Work is not where the parameters are.** The {value}`layers` convolutions of ResNet-18 with 3×3 kernels that "
    r"keep their input's size cost the same, {value}`each` multiply–accumulates for a 224×224 image, though the "
    r"last have {value}`times` times the weights of the first: with a quarter of the positions and twice the "
    r"channels, $\frac{HW}4\cdot9\,(2c)^2=HW\cdot9\,c^2$. {value}`share:.0%` of the parameters lie in the last "
    r"stage, and {value}`work:.0%` of the {value}`total` multiply–accumulates.",
    family=one_network,
    exact=True,
)
def convolutions_that_keep_their_size_cost_the_same(model: ResNet) -> Trial:
    rows = {row.name: row for row in table(model).rows}
    keeping = [
        name
        for name in rows
        for module in [model.get_submodule(name)]
        if isinstance(module, nn.Conv2d)
        and module.kernel_size == (3, 3)
        and module.stride == (1, 1)
    ]
    costs = {rows[name].macs or 0 for name in keeping}
    weights = [model.get_parameter(f"{name}.weight").numel() for name in keeping]
    times = max(weights) // min(weights)
    total = table(model)
    last = next(row for row in total.by_block().rows if row.name == "layer4")
    every = {row.macs for row in rows.values() if row.name != "fc"}
    return Trial(
        float(len(costs) - 1) + distance(min(costs), 56 * 56 * 9 * 64 * 64),
        {
            "all layers cost the same": float(len(every) - 1),
            "work grows with the weights": distance(max(costs), times * min(costs)),
        },
        {
            "layers": len(keeping),
            "each": min(costs),
            "times": max(weights) // min(weights),
            "total": total.macs,
            "share": last.parameters / total.total,
            "work": (last.macs or 0) / total.macs,
        },
        cases=len(keeping),
    )
