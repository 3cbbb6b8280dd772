"""Lengths of tensors, also where the squares of their entries over- or underflow."""

from __future__ import annotations

import torch
from torch import Tensor


def polar(x: Tensor) -> tuple[float, Tensor]:
    """Return length and direction of all entries together; zero is its own direction."""
    scale = x.detach().abs().max()  # a tensor: CUDA divides by a number through its reciprocal
    size = scale.item()
    if size == 0:
        return 0.0, x
    scaled = x / scale
    length = torch.linalg.vector_norm(scaled, dtype=torch.float64)  # of any number of entries
    return size * length.item(), scaled / length
