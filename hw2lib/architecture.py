"""What a residual network computes, read off its traced graph: no name is interpreted."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from hw2lib._checks import check_kind, check_visible
from hw2lib.parameters import EVERY_MODULES_OWN, NORMALIZATION, run_without_data, with_copies

__all__ = ["ResidualBlock", "batchnorm_destinations", "residual_blocks"]

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
RELUS = (torch.relu, torch.relu_, functional.relu, functional.relu_, "relu", "relu_")
CPU = torch.device("cpu")
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True)
class ResidualBlock:
    """One addition of a network with the two branches that meet in it.

    Attributes
    ----------
    name : str
        Name of the module in which the block lies.
    branch : tuple of str
        Names of the convolutions on the long branch, first to last; at least one. Of two branches
        of equal length, the first summand.
    shortcut : tuple of str
        Names of the convolutions on the other branch; empty for an identity shortcut.
    output : tuple of int
        Shape after the addition, without the batch dimension: channels, height, width.
    parameters : int
        Parameters of all that lies above one summand only, batch norm included; each once.
    """

    name: str
    branch: tuple[str, ...]
    shortcut: tuple[str, ...]
    output: tuple[int, ...]
    parameters: int


def batchnorm_destinations(model: nn.Module) -> dict[str, str]:
    """Say for every batch norm where its output goes.

    Serves claim 1a-order.

    Parameters
    ----------
    model : nn.Module
        A network that ``torch.fx`` can trace; it is not modified.

    Returns
    -------
    dict
        Name of the batch norm → "relu" (straight into a ReLU), "add" (last of a long branch, then
        the residual sum and a ReLU), "shortcut" (on a shortcut, then the residual sum and a
        ReLU), or "other" (several users, or a sum that no ReLU follows, say).

    Raises
    ------
    TypeError, ValueError
        If `model` is not a module, or one that ``torch.fx`` cannot trace.

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
    found: dict[str, str] = {}
    for node in graph.graph.nodes:
        if isinstance(graph.module(node), nn.modules.batchnorm._BatchNorm):
            name, place = str(node.target), graph.destination(node)
            found[name] = place if found.get(name, place) == place else "other"  # of several calls
    return found


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
        If ``torch.fx`` cannot trace the model, or it does not accept images of that shape.

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
    return [item for item in outline(model, input_shape) if isinstance(item, ResidualBlock)]


@dataclass(frozen=True)
class Layer:
    """A layer outside of all blocks; a normalisation's parameters count for the layer before it."""

    name: str
    output: tuple[int, ...]
    parameters: int


def outline(model: nn.Module, input_shape: Sequence[int]) -> list[Layer | ResidualBlock]:
    """Return what a network executes in order: its blocks, and outside them layers and poolings."""
    check_kind("model", model, nn.Module)
    graph = Graph(model)
    shapes = run_without_data(graph.shell, input_shape, graph.shapes)
    sums = {node: graph.apart(node) for node in graph.graph.nodes if graph.is_sum(node)}
    blocks = {node: branches for node, branches in sums.items() if branches[0] and shapes[node]}
    inside = set().union(*map(graph.between, blocks))
    items: list[Layer | ResidualBlock] = []
    for node in graph.graph.nodes:
        module, count = graph.module(node), graph.count({node})
        is_layer = bool(items) and isinstance(items[-1], Layer)
        if node in blocks:
            (branch, shortcut), size = blocks[node], graph.count(graph.between(node))
            name = branch[-1].rpartition(".")[0]
            items.append(ResidualBlock(name, branch, shortcut, shapes[node], size))
        elif node in inside or module is None:
            continue
        elif isinstance(module, NORMALIZATION) and is_layer and items[-1].parameters:
            items[-1] = replace(items[-1], parameters=items[-1].parameters + count)
        elif count or isinstance(module, POOLING):
            items.append(Layer(str(node.target), shapes[node], count))
    return items


class Graph:
    """The graph that ``torch.fx`` traces, with the questions that this module asks of it."""

    def __init__(self, model: nn.Module) -> None:
        check_visible("model", model)
        self.modules = dict(model.named_modules())
        self.direct = dict(model.named_parameters(remove_duplicate=False))
        self.shell = object.__new__(type(model))  # on it the tracer leaves the constants it meets
        vars(self.shell).update(vars(model))
        kept = [(module, dict(vars(module))) for module in model.modules()]
        shared = (*model.modules(), *model.parameters(), *model.buffers())
        copies: dict[int, Any] = {id(each): each for each in shared}
        try:
            for module in (self.shell, *model.modules()):  # which may put proxies into their lists
                for name in vars(module).keys() - EVERY_MODULES_OWN:
                    vars(module)[name] = with_copies(vars(module)[name], CPU, copies)
            with torch.random.fork_rng(devices=[]):
                self.graph = fx.Tracer().trace(self.shell)
        except Exception as error:  # of the model's own code, which may raise anything
            raise ValueError(f"model must be one that torch.fx can trace: {error}") from error
        finally:
            for module, own in kept:  # which may have stored what it computed: proxies
                vars(module).clear()
                vars(module).update(own)
        self.above: dict[fx.Node, set[fx.Node]] = {}  # all that a node comes from, and itself
        self.convolutions: dict[fx.Node, tuple[fx.Node, ...]] = {}  # those on the longest path
        for node in self.graph.nodes:  # in the order of execution
            inputs = node.all_input_nodes
            self.above[node] = {node}.union(*map(self.above.__getitem__, inputs))
            longest = max(map(self.convolutions.__getitem__, inputs), key=len, default=())
            is_convolution = isinstance(self.module(node), nn.modules.conv._ConvNd)
            self.convolutions[node] = (*longest, node) if is_convolution else longest

    def module(self, node: fx.Node) -> nn.Module | None:
        """Return the module that a node calls."""
        return self.modules[str(node.target)] if node.op == "call_module" else None

    def shapes(self, model: nn.Module, images: Tensor) -> dict[fx.Node, tuple[int, ...]]:
        """Run a model and return the shape of every node's value, without the batch dimension.

        Of several tensors, that of the first.
        """
        found: dict[fx.Node, tuple[int, ...]] = {}

        class Run(fx.Interpreter):
            def run_node(self, node: fx.Node) -> Any:
                value = super().run_node(node)
                first = value[0] if isinstance(value, tuple) and value else value
                found[node] = tuple(first.shape[1:]) if isinstance(first, Tensor) else ()
                return value

        Run(model, graph=self.graph).run(images)
        return found

    def between(self, node: fx.Node) -> set[fx.Node]:
        """Return what lies above one summand of a sum, but not above both."""
        one, other = self.branches(node)
        return self.above[one] ^ self.above[other]

    def apart(self, node: fx.Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the convolutions on both branches of a sum; none if they are one."""
        paths = [self.convolutions[summand] for summand in self.branches(node)]
        pairs = enumerate(zip(*paths, strict=False))
        parted = next((i for i, (a, b) in pairs if a is not b), min(map(len, paths)))
        first, second = (tuple(str(node.target) for node in path[parted:]) for path in paths)
        return first, second

    def count(self, nodes: Iterable[fx.Node]) -> int:
        """Return how many parameters nodes use, each counted once."""
        found: set[nn.Parameter] = set()
        for node in nodes:
            module = self.module(node)
            if module is not None:
                found.update(module.parameters())
            elif node.op == "get_attr" and str(node.target) in self.direct:
                found.add(self.direct[str(node.target)])
        return sum(parameter.numel() for parameter in found)

    def is_sum(self, node: fx.Node) -> bool:
        """Say whether a node adds two other nodes, neither of them a parameter such as a bias."""
        calls = node.op in ("call_function", "call_method")
        return calls and node.target in ADDITIONS and len(self.summands(node)) == 2

    def summands(self, node: fx.Node) -> list[fx.Node]:
        """Return what enters a node and depends on the image."""
        return [each for each in node.all_input_nodes if each.op != "get_attr"]

    def is_relu(self, node: fx.Node) -> bool:
        """Say whether a node is a ReLU: a module, a function or a method."""
        calls = node.op in ("call_function", "call_method")
        return isinstance(self.module(node), nn.ReLU) or (calls and node.target in RELUS)

    def branches(self, node: fx.Node) -> tuple[fx.Node, fx.Node]:
        """Return the summands of a sum, the one with more convolutions above it first."""
        one, other = self.summands(node)
        longer = len(self.convolutions[other]) > len(self.convolutions[one])
        return (other, one) if longer else (one, other)

    def destination(self, batchnorm: fx.Node) -> str:
        """Say where the output of a batch norm goes."""
        if len(batchnorm.users) != 1:
            return "other"
        (user,) = batchnorm.users
        if self.is_relu(user):
            return "relu"
        if not self.is_sum(user) or not user.users or not all(map(self.is_relu, user.users)):
            return "other"
        return "add" if batchnorm is self.branches(user)[0] else "shortcut"
