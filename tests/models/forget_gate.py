"""Solution 6(d): the states of an LSTM and of an RNN, and what they owe to their first state."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from hw2lib.recurrent import lstm_jacobian, rnn_jacobian
from models import Comparison, Random


def uniforms(seed: int, count: int) -> list[float]:
    """Return the numbers of mulberry32, a published generator of 32 bits."""
    numbers, state, mask = [], seed, 2**32 - 1
    for _ in range(count):
        state = (state + 0x6D2B79F5) & mask
        t = ((state ^ state >> 15) * (state | 1)) & mask
        t ^= (t + (t ^ t >> 7) * (t | 61)) & mask
        numbers.append((t ^ t >> 14) / 2**32)
    return numbers


def sizes(random: Random) -> Sequence[Any]:
    """Return a seed, and numbers of blocks, units and steps."""
    blocks, units, steps = random.choice([1, 4]), random.integers(1, 6), random.integers(1, 6)
    return int(random.integers(2**31)), int(blocks), int(units), int(steps)


def network(seed: int, blocks: int, units: int, steps: int) -> Any:
    """Return the weights within ±1/√units, and what a linear layer makes of noise."""
    rows, bound = blocks * units, 1 / math.sqrt(units)
    shapes = [(rows, units), (rows, units), (rows, 2), (steps, units)]
    numbers = 2 * np.array(uniforms(seed, sum(map(math.prod, shapes)))) - 1
    parts = []
    for shape, scale in zip(shapes, [bound, bound, bound, math.sqrt(3)], strict=True):
        taken, numbers = np.split(numbers, [math.prod(shape)])
        parts.append(scale * taken.reshape(shape))
    W, V, biases, inputs = parts
    return [W, inputs @ V.T + biases.sum(1)]


def drawn(random: Random, blocks: int) -> tuple[dict[str, Any], Any]:
    """Return a network of any size and scale, without weights now and then, and a first state."""
    units, steps = random.integers(1, 6), random.integers(1, 9)
    W = random.standard_normal((blocks * units, units)) * random.choice([0, 0.3, 1, 3])
    drives = random.standard_normal((steps, blocks * units)) * random.choice([0, 1, 3])
    return {"W": W.tolist(), "drives": drives.tolist()}, random.standard_normal(units)


def lstm(random: Random) -> Sequence[Any]:
    """Return an LSTM, what is added to its forget bias, and the first state; 0 now and then."""
    drawn_network, hidden = drawn(random, 4)
    scale = random.choice([0, 1])
    cell = scale * random.standard_normal(len(hidden))
    return drawn_network, random.uniform(-1, 7), (scale * hidden).tolist(), cell.tolist()


def rnn(random: Random) -> Sequence[Any]:
    """Return an RNN and its first state."""
    drawn_network, hidden = drawn(random, 1)
    return drawn_network, hidden.tolist()


def double(values: Any) -> torch.Tensor:
    """Return a tensor in double precision."""
    return torch.tensor(values, dtype=torch.float64)


def cell_of(kind: type[nn.RNNBase], W: Any) -> Any:
    """Return PyTorch's network with recurrent weights; its inputs are what it is driven by."""
    weight = double(W)
    built = kind(len(weight), weight.shape[1], bias=False, dtype=torch.float64)
    with torch.no_grad():
        built.weight_hh_l0.copy_(weight)
        built.weight_ih_l0.copy_(torch.eye(len(weight), dtype=torch.float64))
    return built


def lstm_memories(net: dict[str, Any], forget_bias: float, hidden: Any, cell: Any) -> Any:
    """Return states, their derivatives in the first cell, and forget products."""
    p = len(hidden)
    drives, h, c = (double(each) for each in (net["drives"], hidden, cell))
    drives[:, p : 2 * p] += forget_bias
    built, answer = cell_of(nn.LSTM, net["W"]), []
    for t in range(1, len(drives) + 1):
        run = lstm_jacobian(built, drives[:t], h, c)
        answer += [run.hidden, run.cell, run.jacobian[:p, p:], run.jacobian[p:, p:]]
        answer.append(run.forget_product)
    return [each.tolist() for each in answer]


def rnn_jacobians(net: dict[str, Any], hidden: Any) -> Any:
    """Return the derivatives of the states in the first."""
    drives, h, built = double(net["drives"]), double(hidden), cell_of(nn.RNN, net["W"])
    steps = range(1, len(drives) + 1)
    return [rnn_jacobian(built, drives[:t], h).jacobian.tolist() for t in steps]


def matrix(random: Random) -> Sequence[Any]:
    """Return a matrix of any shape: of full rank, of rank 1, with a zero column, 0, orthogonal."""
    rows, columns = random.integers(1, 9, 2)
    J = random.standard_normal((rows, columns)) * 10.0 ** random.uniform(-40, 3)
    kind = random.integers(5)
    if kind == 1:
        J = np.outer(J[:, 0], J[0])
    elif kind == 2:
        J[:, 0] = 0
    elif kind == 3:
        J = 0 * J
    elif kind == 4:
        J = np.linalg.qr(random.standard_normal((rows, rows)))[0]
    return (J.tolist(),)


COMPARISONS = [
    Comparison(
        "forget-gate",
        "network",
        sizes,
        network,
        mutants=[
            ("[0]! + biases", "[0]! - biases"),
            ("Math.sqrt(3)", "3"),
            ("* each - 1", "* each"),
        ],
    ),
    Comparison(
        "forget-gate",
        "lstmMemories",
        lstm,
        lstm_memories,
        mutants=[
            ("byF * sum(1, j)", "byF * sum(2, j)"),
            ("i * (1 - g * g)", "i * (1 + g * g)"),
            ("+ forgetBias", "- forgetBias"),
        ],
    ),
    Comparison(
        "forget-gate",
        "rnnJacobians",
        rnn,
        rnn_jacobians,
        mutants=[
            ("Math.cosh(sum) ** -2", "Math.cosh(sum) ** 2"),
            ("B.map((row) => row[j]!)", "[...B[j]!]"),
        ],
    ),
    Comparison(
        "forget-gate",
        "norm",
        matrix,
        lambda J: np.linalg.norm(J, 2),
        mutants=[("(u - tangent * v)", "(u + tangent * v)"), ("(yy - xx)", "(xx - yy)")],
    ),
]
