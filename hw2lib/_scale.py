"""Lengths of tensors, also where the squares of their entries over- or underflow."""

from __future__ import annotations

from torch import Tensor


def polar(x: Tensor) -> tuple[float, Tensor]:
    """Return length and direction of all entries together; zero is its own direction."""
    scale = x.abs().max()
    if scale == 0:
        return 0.0, x
    scaled = x / scale
    length = scaled.norm()
    return scale.item() * length.item(), scaled / length
