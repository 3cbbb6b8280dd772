"""Cells that several claims of Solution 6(d) try: random ones, whole-number ones, many at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hw2lib.claims.tools import jacobian, normal, size, tensor, whole

CHANNELS = 8
SIZES = (8, 32, 64)
GATES = ("input gate", "forget gate", "candidate", "output gate")  # PyTorch's order


class Run(NamedTuple):
    """A cell of PyTorch's in double precision, its inputs (T, ·) and its first states (p,)."""

    cell: Any  # nn.RNN, nn.LSTM or nn.GRU
    inputs: Tensor
    hidden: Tensor
    memory: Tensor


def new_cell(kind: Callable[..., nn.RNNBase], channels: int, p: int, seed: int = 0) -> Any:
    """Return a cell as PyTorch initialises it, in double precision."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return kind(channels, p).double()


def random_run(
    rng: np.random.Generator,
    kind: Callable[..., nn.RNNBase],
    p: int,
    steps: int,
    scale: float = 1.0,
) -> Run:
    """Return a cell with normal weights and biases, on normal inputs, from normal states."""
    cell = new_cell(kind, 2, p)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(scale * normal(rng, *parameter.shape))
    return Run(cell, normal(rng, steps, 2), normal(rng, p), normal(rng, p))


def runs_of(
    rng: np.random.Generator, kind: type[nn.RNNBase], fewest_steps: int = 1
) -> Iterator[tuple[str, Run]]:
    """Yield runs of cells: one unit, small and large weights, zero states, then random ones."""
    yield "one unit, few steps", random_run(rng, kind, 1, fewest_steps)
    yield "one unit, 6 steps", random_run(rng, kind, 1, 6)
    yield "weights near zero", random_run(rng, kind, 3, 4, 1e-3)
    yield "large weights, gates near 0 and 1", random_run(rng, kind, 3, 4, 3.0)
    run = random_run(rng, kind, 4, 3)
    zero = torch.zeros_like(run.hidden)
    yield "from states of zero", run._replace(hidden=zero, memory=zero)
    yield "inputs of zero", run._replace(inputs=torch.zeros_like(run.inputs))
    while True:
        p, steps = size(rng, 1, 4), size(rng, fewest_steps, 4)
        yield f"{p} units, {steps} steps, random", random_run(rng, kind, p, steps)


def with_zeros(run: Run, gates: Sequence[int]) -> Run:
    """Return a run whose cell has no recurrent weights in these blocks."""
    p, cell = len(run.hidden), copy.deepcopy(run.cell)
    with torch.no_grad():
        for gate in gates:
            cell.get_parameter("weight_hh_l0")[gate * p : (gate + 1) * p] = 0
    return run._replace(cell=cell)


def memory_jacobian(run: Run) -> Tensor:
    """Return the Jacobian of an LSTM's last memory in its first, by autograd through PyTorch's."""

    def last(memories: Tensor) -> Tensor:
        inputs, hidden = (
            each.expand(len(memories), *each.shape) for each in (run.inputs, run.hidden)
        )
        return run.cell(inputs.transpose(0, 1), (hidden[None], memories[None]))[1][1][0]

    return jacobian(last, run.memory)


def hidden_jacobian(run: Run) -> Tensor:
    """Return the Jacobian of an RNN's or GRU's last state in its first, by autograd."""

    def last(states: Tensor) -> Tensor:
        inputs = run.inputs.expand(len(states), *run.inputs.shape)
        return run.cell(inputs.transpose(0, 1), states[None])[1][0]

    return jacobian(last, run.hidden)


class Valued(NamedTuple):
    """Values and slopes, free whole numbers, that a function takes at the points of a run."""

    value: Tensor
    slope: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return the value, with the slope as its derivative in x."""
        return self.value + self.slope * (x - x.detach())


def valued(rng: np.random.Generator, p: int, largest: int = 2) -> Valued:
    """Return random whole values and slopes, one a unit."""
    return Valued(whole(rng, p, largest=largest), whole(rng, p, largest=largest))


# ---- many cells at once, as PyTorch initialises them


class Sizes(NamedTuple):
    """Norms of Jacobians through time, one a seed, and of the direct path alone."""

    whole: Tensor
    direct: Tensor


def stacked(kind: type[nn.RNNBase], seeds: Sequence[int], p: int) -> tuple[Tensor, ...]:
    """Return input weights, recurrent weights and the sum of both biases, stacked over seeds."""
    cells = [new_cell(kind, CHANNELS, p, seed) for seed in seeds]
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    incoming, weight, *biases = (
        torch.stack([cell.get_parameter(name).detach() for cell in cells]) for name in names
    )
    return incoming, weight, biases[0] + biases[1]


def noise(seeds: Sequence[int], steps: int) -> Tensor:
    """Return normal inputs (steps, seeds, channels)."""
    draws = [np.random.default_rng(seed).standard_normal((steps, CHANNELS)) for seed in seeds]
    return tensor(np.stack(draws, 1))


def entering(incoming: Tensor, bias: Tensor, inputs: Tensor) -> Tensor:
    """Return what the inputs and the bias add to the gates at each step, as columns."""
    return incoming @ inputs[..., None] + bias[..., None]


def norms(J: Tensor) -> Tensor:
    """Return spectral norms."""
    return torch.linalg.matrix_norm(J, 2)


@cache
def lstm_sizes(
    seeds: tuple[int, ...],
    p: int,
    lengths: tuple[int, ...],
    forget_bias: float = 0.0,
    weight_scale: float = 1.0,
) -> dict[int, Sizes]:
    """Return the sizes of ∂c_T/∂c_0 and of its direct path at each length T.

    A number is added to PyTorch's forget biases, and its recurrent weights are multiplied by one.
    """
    incoming, weight, bias = stacked(nn.LSTM, seeds, p)
    weight = weight_scale * weight
    bias[:, p : 2 * p] += forget_bias
    h = c = torch.zeros(len(seeds), p, 1, dtype=torch.float64)
    from_h = torch.zeros(len(seeds), p, p, dtype=torch.float64)
    from_c = from_h + torch.eye(p, dtype=torch.float64)
    of_i, of_f, of_g, of_o = weight.chunk(4, 1)
    direct, found = torch.ones_like(c), {}
    for step, z in enumerate(entering(incoming, bias, noise(seeds, max(lengths))), 1):
        i, f, g, o = (z + weight @ h).chunk(4, 1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        through_h = g * i * (1 - i) * of_i + c * f * (1 - f) * of_f + i * (1 - g * g) * of_g
        c = f * c + i * g
        read = c.tanh()
        output = of_o @ from_h
        from_c = f * from_c + through_h @ from_h
        from_h = read * o * (1 - o) * output + o * (1 - read * read) * from_c
        h, direct = o * read, direct * f
        if step in lengths:
            found[step] = Sizes(norms(from_c), direct.amax((1, 2)))
    return found


@cache
def rnn_sizes(seeds: tuple[int, ...], p: int, steps: int, orthogonal: bool = False) -> Tensor:
    """Return the norms of ∂h_T/∂h_0 for tanh RNNs; with orthogonal recurrent weights if wanted."""
    incoming, weight, bias = stacked(nn.RNN, seeds, p)
    if orthogonal:
        draws = [normal(np.random.default_rng(seed), p, p) for seed in seeds]
        weight = torch.linalg.qr(torch.stack(draws)).Q
    h = torch.zeros(len(seeds), p, 1, dtype=torch.float64)
    J = torch.eye(p, dtype=torch.float64).expand(len(seeds), p, p)
    for z in entering(incoming, bias, noise(seeds, steps)):
        h = (z + weight @ h).tanh()
        J = (1 - h * h) * (weight @ J)
    return norms(J)
