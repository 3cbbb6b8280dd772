"""Solutions 1(a) and 1(b): batch norm of one channel in both modes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from hw2lib.normalization import (
    batch_normalize,
    bias_offset_in_eval,
    relu_off_probability,
    running_statistics,
)
from models import Comparison, Random

EPSILON = 1e-5


def channel(random: Random) -> list[float]:
    """Return the values of a channel; now and then all the same."""
    values = random.normal(random.uniform(-5, 5), random.choice([0.3, 3]), random.integers(2, 40))
    return (values if random.integers(8) else 0 * values + values[0]).tolist()


def column(values: Sequence[float]) -> torch.Tensor:
    """Return a batch of one channel."""
    return torch.tensor(values, dtype=torch.float64)[:, None]


def scale_and_shift(random: Random) -> list[float]:
    """Return γ and β, of either sign."""
    return random.uniform(-3, 3, 2).tolist()


def batch_normalized(z: Any, gamma: float, beta: float) -> Any:
    """Return the channel after batch norm in training mode."""
    weight, bias = (torch.tensor([each], dtype=torch.float64) for each in (gamma, beta))
    return batch_normalize(column(z), weight, bias, EPSILON)


def normalized(z: Any, statistics: dict[str, float], gamma: float, beta: float) -> Any:
    """Return what PyTorch's batch norm makes of the channel in eval mode."""
    mean, variance, weight, bias = (
        torch.tensor([each], dtype=torch.float64) for each in (*statistics.values(), gamma, beta)
    )
    return functional.batch_norm(column(z), mean, variance, weight, bias, eps=EPSILON)


def running(random: Random) -> dict[str, float]:
    """Return a running mean and a running variance."""
    return {"mean": random.normal(), "variance": random.uniform(0, 4)}


def batches(random: Random) -> Sequence[Any]:
    """Return batches of different sizes, and a momentum, 0 and 1 among them."""
    momentum = random.choice([0, 1, 0.1, random.uniform()])
    return [channel(random) for _ in range(random.integers(1, 9))], float(momentum)


def shift(random: Random) -> Sequence[Any]:
    """Return a shift, a number of batches, γ, the running variance and the momentum."""
    b, gamma = random.uniform(-4, 4, 2).tolist()
    momentum = float(random.choice([0, 1, 0.1, random.uniform()]))
    return b, int(random.integers(60)), gamma, random.uniform(0, 4), momentum


def offset(b: float, steps: int, gamma: float, variance: float, momentum: float) -> Any:
    """Return by what the output in eval mode is off."""
    b, gamma, variance = (torch.tensor(x, dtype=torch.float64) for x in (b, gamma, variance))
    return bias_offset_in_eval(
        b, steps, weight=gamma, running_variance=variance, momentum=momentum, eps=EPSILON
    )


def normal_unit(random: Random) -> Sequence[Any]:
    """Return β and γ, of either sign; the share lies in the middle or far out in a tail."""
    gamma = random.uniform(0.2, 3) * random.choice([-1, 1])
    ratio = random.choice([0, random.uniform(-3, 3), random.uniform(-30, 30)])
    return float(ratio * gamma), float(gamma)


COMPARISONS = [
    Comparison(
        "batchnorm-bench",
        "normaliseInTraining",
        lambda random: [channel(random), *scale_and_shift(random)],
        batch_normalized,
        mutants=[
            ("/ z.length }, gamma", "/ (z.length - 1) }, gamma"),
            ("(value - middle) ** 2", "value ** 2"),
        ],
    ),
    Comparison(
        "batchnorm-bench",
        "normalise",
        lambda random: [channel(random), running(random), *scale_and_shift(random)],
        normalized,
        mutants=[
            ("(value - mean)", "(value + mean)"),
            ("EPSILON);\n  return z", "0);\n  return z"),
        ],
    ),
    Comparison(
        "batchnorm-bench",
        "runningStatistics",
        batches,
        lambda data, momentum: running_statistics([column(z) for z in data], momentum),
        mutants=[
            ("(z.length - 1),", "z.length,"),
            ("(1 - momentum) * running.mean", "momentum * running.mean"),
        ],
    ),
    Comparison(
        "batchnorm-bench",
        "offsetInEval",
        shift,
        offset,
        mutants=[
            ("(1 - momentum) ** batches", "momentum ** batches"),
            ("(gamma * shift", "(shift"),
        ],
    ),
    Comparison(
        "batchnorm-bench",
        "shareOff",
        normal_unit,
        relu_off_probability,
        mutants=[
            ("normalCdf(-beta", "normalCdf(beta"),
            ("Math.abs(gamma)", "gamma"),
            ("tail = k / tail - z", "tail = k / tail + z"),
        ],
    ),
]
