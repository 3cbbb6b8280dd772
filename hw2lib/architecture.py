"""What a residual network computes, read off its traced graph: no name is interpreted."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import fx, nn

from hw2lib._checks import check_image_shape, check_kind
from hw2lib.parameters import parameter_table

__all__ = ["ResidualBlock", "batchnorm_destinations", "residual_blocks"]

ADDITIONS = (operator.add, operator.iadd, torch.add)


@dataclass(frozen=True)
class ResidualBlock:
    """One addition of a network with the two branches that meet in it.

    Attributes
    ----------
    name : str
        Name of the module in which the block lies.
    branch : tuple of str
        Names of the convolutions on the long branch, first to last.
    shortcut : tuple of str
        Names of the convolutions on the short branch; empty for an identity shortcut.
    output : tuple of int
        Shape after the addition, without the batch dimension: channels, height, width.
    parameters : int
        Parameters of both branches, batch norm included.
    """

    name: str
    branch: tuple[str, ...]
    shortcut: tuple[str, ...]
    output: tuple[int, ...]
    parameters: int


def batchnorm_destinations(model: nn.Module) -> dict[str, str]:
    """Say for every batch norm where its output goes.

    Serves claims 1a-order and 1a-normalised.

    Parameters
    ----------
    model : nn.Module
        A network that ``torch.fx`` can trace; it is not modified.

    Returns
    -------
    dict
        Name of the batch norm → "relu" (straight into a ReLU), "add" (last of a long branch, then
        the residual sum), "shortcut" (on a shortcut, then the residual sum), or "other" (several
        users, say).

    Raises
    ------
    TypeError
        If `model` is not a module.

    References
    ----------
    He, Zhang, Ren, Sun, "Identity mappings in deep residual networks", ECCV 2016, figure 4.

    Examples
    --------
    >>> from collections import Counter
    >>> from hw2lib.resnet import resnet18
    >>> Counter(batchnorm_destinations(resnet18()).values())
    Counter({'relu': 9, 'add': 8, 'shortcut': 3})
    """
    check_kind("model", model, nn.Module)
    graph = Graph(model)
    return {
        node.target: graph.destination(node)
        for node in graph.nodes
        if isinstance(graph.module(node), nn.modules.batchnorm._BatchNorm)
    }


def residual_blocks(model: nn.Module, input_shape: Sequence[int]) -> list[ResidualBlock]:
    """Find the residual blocks of a network: its additions and the branches that meet there.

    Serves claim 1c-figure.

    Parameters
    ----------
    model : nn.Module
        A network that ``torch.fx`` can trace; it is not modified.
    input_shape : sequence of int
        Shape of one image, for example (3, 224, 224).

    Returns
    -------
    list of ResidualBlock
        In the order of execution.

    Raises
    ------
    TypeError
        If `model` is not a module or `input_shape` not a sequence of integers.
    ValueError
        If the model does not accept images of that shape.

    References
    ----------
    He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, figure 2.

    Examples
    --------
    >>> from hw2lib.resnet import resnet18
    >>> blocks = residual_blocks(resnet18(), (3, 224, 224))
    >>> len(blocks), sum(len(block.shortcut) for block in blocks)
    (8, 3)
    >>> blocks[2].name, blocks[2].output, blocks[2].shortcut
    ('layer2.0', (128, 28, 28), ('layer2.0.downsample.0',))
    """
    check_kind("model", model, nn.Module)
    graph = Graph(model)
    table = parameter_table(model, check_image_shape("input_shape", input_shape)).by_layer()
    rows = {row.name: row for row in table.rows}
    blocks = []
    for node in graph.nodes:
        if node.op == "call_function" and node.target in ADDITIONS:
            short, long = sorted(map(graph.convolutions, node.all_input_nodes), key=len)
            branch, shortcut = long[shared(long, short) :], short[shared(long, short) :]
            last = rows[branch[-1]]
            blocks.append(
                ResidualBlock(
                    name=branch[-1].rpartition(".")[0],
                    branch=branch,
                    shortcut=shortcut,
                    output=last.output or (),
                    parameters=sum(rows[name].parameters for name in branch + shortcut),
                )
            )
    return blocks


def shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common beginning."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


class Graph:
    """The graph that ``torch.fx`` traces, with the questions that this module asks of it."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = dict(model.named_modules())
        self.nodes = fx.Tracer().trace(model).nodes
        self.convolutions = cache(self._convolutions)

    def module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls."""
        return self.modules[str(node.target)] if node.op == "call_module" else None

    def _convolutions(self, node: fx.Node) -> tuple[str, ...]:
        """Return the names of the convolutions on the longest path from the input to a node."""
        above = max((self.convolutions(each) for each in node.all_input_nodes), key=len, default=())
        is_convolution = isinstance(self.module(node), nn.modules.conv._ConvNd)
        return (*above, str(node.target)) if is_convolution else above

    def destination(self, batchnorm: fx.Node) -> str:
        """Say where the output of a batch norm goes."""
        if len(batchnorm.users) != 1:
            return "other"
        (user,) = batchnorm.users
        if isinstance(self.module(user), nn.ReLU):
            return "relu"
        if user.target not in ADDITIONS:
            return "other"
        longest = max(user.all_input_nodes, key=lambda node: len(self.convolutions(node)))
        return "add" if batchnorm is longest else "shortcut"
