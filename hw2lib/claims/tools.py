"""What the checks of several solutions share."""

from __future__ import annotations

import torch
from torch import Tensor


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return standard normal numbers in double precision."""
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    """Return a seeded generator."""
    return torch.Generator().manual_seed(seed)


def largest(x: Tensor) -> float:
    """Return the largest absolute value."""
    return x.abs().max().item()
