"""What the checks of several parts of Solution 1 share: networks, one experiment, exact algebra."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hw2lib.claims.tools import largest
from hw2lib.resnet import BasicBlock, ResNet, resnet18

Model = TypeVar("Model", bound=nn.Module)
Layer = Any  # a module: torch declares its attributes as "Tensor | Module", whatever they are

SEEDS = 8
IMAGES = (8, 3, 32, 32)


def seeded(build: Callable[[], Model], seed: int = 0) -> Model:
    """Build something that draws from torch's global generator, and leave that as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return build()


@cache
def network() -> ResNet:
    """Return a freshly initialised ResNet-18."""
    return seeded(resnet18)


def reversed_order(model: ResNet) -> ResNet:
    """Return the network with the reverse order and the same parameters and buffers."""
    model = skeleton(model)
    for module in model.modules():
        if isinstance(module, ResNet | BasicBlock):
            module.batchnorm_first = False
    return model


def skeleton(model: Model) -> Model:
    """Return a copy of a module, and of those inside, with the same parameters and buffers."""
    bare = copy.copy(model)
    for name in ("_parameters", "_buffers", "_forward_hooks", "_forward_pre_hooks"):
        setattr(bare, name, copy.copy(getattr(model, name)))
    bare._modules = {
        name: None if child is None else skeleton(child) for name, child in model._modules.items()
    }
    return bare


def one_network(rng: np.random.Generator) -> Iterator[tuple[str, ResNet]]:
    """Yield ResNet-18: the finite object that a count is about."""
    yield "ResNet-18", network()


def mode_gap(model: nn.Module, x: Tensor) -> float:
    """Return the largest difference between a network's outputs in its two modes.

    The network's running statistics change.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return largest(model.train()(x) - model.eval()(x))


# ---- the experiment: fresh networks in both orders on random images


class Channels(NamedTuple):
    """What enters a layer: mean and variance of its channels, and what they should be.

    `expected` is σ²/(σ² + ε), σ² the variance that entered the batch norm whose output this is;
    None if this is no batch norm's output.
    """

    mean: Tensor
    variance: Tensor
    expected: Tensor | None

    @property
    def direct(self) -> bool:
        """Whether a batch norm feeds the layer with nothing in between."""
        return self.expected is not None

    def error(self) -> float:
        """Return the largest error of the variances against what is expected, else against 1."""
        expected = torch.ones_like(self.variance) if self.expected is None else self.expected
        return largest(self.variance - expected)


def channels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return biased variance and mean of every channel."""
    return torch.var_mean(x.transpose(0, 1).flatten(1), 1, correction=0)


def what_enters(model: nn.Module, images: Tensor) -> dict[type[nn.Module], list[Channels]]:
    """Run a network in training mode and look at what enters its ReLUs and convolutions."""
    entered: dict[type[nn.Module], list[Channels]] = {nn.ReLU: [], nn.Conv2d: []}
    normalised: list[tuple[Tensor, Tensor]] = []

    def after_batchnorm(module: nn.BatchNorm2d, inputs: tuple[Tensor], output: Tensor) -> None:
        variance = channels(inputs[0])[0]
        normalised.append((output, variance / (variance + module.eps)))

    def before(module: nn.Module, inputs: tuple[Tensor]) -> None:
        variance, mean = channels(inputs[0])
        expected = next((e for output, e in normalised if output is inputs[0]), None)
        entered[type(module)].append(Channels(mean, variance, expected))

    handles = [
        module.register_forward_hook(after_batchnorm)
        if isinstance(module, nn.BatchNorm2d)
        else module.register_forward_pre_hook(before)
        for module in model.modules()
        if isinstance(module, (nn.BatchNorm2d, *entered))
    ]
    with torch.no_grad():
        model.train()(images)
    for handle in handles:
        handle.remove()
    return entered


class Experiment(NamedTuple):
    """One seed: what enters the layers under both orders, and logits in both modes."""

    first: dict[type[nn.Module], list[Channels]]
    reverse: dict[type[nn.Module], list[Channels]]
    training: Tensor
    evaluation: Tensor


@cache
def experiment(seed: int) -> Experiment:
    """Initialise ResNet-18 anew and run it on normal random images, in both orders and modes.

    Its running statistics are those of one batch; the logits are another batch's.
    """
    models = scratch()
    generator = torch.Generator().manual_seed(seed)
    for module in models[0].modules():  # the two share their parameters
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_out = module.weight.shape[0] * module.weight[0, 0].numel()
            module.weight.data.normal_(0, (2 / fan_out) ** 0.5, generator=generator)
    batches = [torch.randn(IMAGES, generator=generator) for _ in range(2)]
    reverse = what_enters(models[1], batches[0])
    for module in models[0].modules():  # the buffers are shared too
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    first = what_enters(models[0], batches[0])
    with torch.no_grad():
        evaluation = models[0].eval()(batches[1])
        training = models[0].train()(batches[1])
    return Experiment(first, reverse, training, evaluation)


@cache
def scratch() -> tuple[ResNet, ResNet]:
    """Return two networks of opposite order with the same parameters, whose weights may change.

    Their batch norms average plainly: after one batch the running statistics are that batch's.
    """
    model = copy.deepcopy(network())
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    return model, reversed_order(model)


def experiments(seed: int) -> list[Experiment]:
    """Return the experiment for each of the seeds that a check tries."""
    return [experiment(each) for each in range(seed, seed + SEEDS)]


# ---- exact algebra


def fractions(values: Any) -> np.ndarray:
    """Return whole numbers as an array of fractions."""
    exact = np.frompyfunc(Fraction, 1, 1)(np.asarray(values, dtype=object))
    return np.asarray(exact, dtype=object)


def whole_numbers(rng: np.random.Generator, *shape: int, largest: int = 3) -> np.ndarray:
    """Return random whole numbers from -largest to largest, as fractions."""
    return fractions(rng.integers(-largest, largest, shape, endpoint=True).tolist())


def eliminate(matrix: np.ndarray, columns: int) -> tuple[np.ndarray, list[int]]:
    """Return a reduced row echelon form, pivots in the first columns only, and their columns."""
    rows = matrix.copy()
    pivots: list[int] = []
    for column in range(columns):
        found = [row for row in range(len(pivots), len(rows)) if rows[row, column] != 0]
        if not found:
            continue
        top = len(pivots)
        rows[[top, found[0]]] = rows[[found[0], top]]
        rows[top] = rows[top] / rows[top, column]
        for row in range(len(rows)):
            if row != top and rows[row, column] != 0:  # left of it the row on top is zero
                rows[row, column:] -= rows[row, column] * rows[top, column:]
        pivots.append(column)
    return rows, pivots


def rank(matrix: np.ndarray) -> int:
    """Return the rank of a matrix of fractions."""
    return len(eliminate(matrix, matrix.shape[1])[1])


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return a solution of a consistent system of fractions; free unknowns are 0."""
    columns = matrix.shape[1]
    rows, pivots = eliminate(np.concatenate([matrix, right], axis=1), columns)
    solution = fractions(np.zeros((columns, right.shape[1]), dtype=int).tolist())
    solution[pivots] = rows[: len(pivots), columns:]
    return solution


def exact_ridge(
    x: np.ndarray, y: np.ndarray, decay: Fraction, *, penalize_intercept: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and intercept of a ridge regression, exactly."""
    design = with_ones(x)
    penalty = fractions(np.eye(design.shape[1], dtype=int).tolist()) * decay
    if not penalize_intercept:
        penalty[-1, -1] = Fraction(0)
    solution = solve(design.T @ design + penalty, design.T @ y)
    return solution[:-1], solution[-1]


def with_ones(x: np.ndarray) -> np.ndarray:
    """Return a design matrix: the inputs and a column of ones."""
    return np.concatenate([x, fractions([[1]] * len(x))], axis=1)


def squares(values: np.ndarray) -> Fraction:
    """Return the sum of squares."""
    return sum((value * value for value in values.flat), Fraction(0))


def differ(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference between two arrays of fractions."""
    return max((float(abs(a - b)) for a, b in zip(one.flat, other.flat, strict=True)), default=0.0)


def count_wrong(found: Sequence[Any], expected: Sequence[Any]) -> int:
    """Count the places at which two sequences differ."""
    return sum(a != b for a, b in zip(found, expected, strict=True))
