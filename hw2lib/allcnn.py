"""The all-convolutional network of Springenberg et al. (2015), for images of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hw2lib._checks import check_integer, check_kind, check_number

__all__ = ["AllCNN"]


class PixelNormalization(nn.Module):
    """(x − mean)/std, channel by channel; inside the model, so that an attack speaks in pixels."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean.view(-1, 1, 1))
        self.register_buffer("std", std.view(-1, 1, 1))

    def extra_repr(self) -> str:
        """Return both numbers of every channel, if they are there."""
        if self.mean.is_meta:
            return ""
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (N, C, H, W)."""
        return (x - self.mean) / self.std


class ConvolutionBlock(nn.Sequential):
    """Convolution, batch norm, ReLU; without batch norm the convolution has a bias instead."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int, stride: int, batchnorm: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, channels, kernel, stride, padding=kernel // 2, bias=not batchnorm
        )
        if batchnorm:
            self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()


class AllCNN(nn.Module):
    r"""All-CNN-C with batch norm: only convolutions, two of them with stride 2, and one average.

    Three 3×3 convolutions with ``widths[0]`` channels, three with ``widths[1]``, the last of each
    three with stride 2; one more 3×3, one 1×1, and a 1×1 convolution to the classes, whose values
    are averaged over the image: the logits. Batch norm and ReLU follow each convolution but the
    last; dropout acts on the pixels and after each stride. Serves claim 5-parameters.

    Differs from the paper: it has biases and no batch norm (``batchnorm=False`` is that); it
    averages over 6×6 positions of a 32×32 image, where here are 8×8, for each 3×3 is padded; and
    its last convolution has a ReLU too, which would forbid negative logits.

    Parameters
    ----------
    in_channels, num_classes : int
        Channels of the images, and number of classes.
    image_size : int
        Height and width of the images, in pixels. The weights would fit any size; images of another
        one are refused, for the average would hide the mistake.
    widths : tuple of 2 int
        Channels before and after the first stride.
    batchnorm : bool
        Batch norm and no bias, or a bias and no batch norm.
    dropout : tuple of 2 float
        Probability to drop a number of a pixel (each channel's by itself), and to drop an
        activation after each stride.
    pixel_mean, pixel_std : float or sequence of float
        Subtracted from the pixels, and then divided by, one number for all channels or one each.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range; in `forward`, if the images are not
        of shape (N, in_channels, image_size, image_size).

    References
    ----------
    Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for simplicity: the all convolutional
    net", ICLR 2015 workshop, table 2 and section 3.

    Examples
    --------
    >>> model = AllCNN()
    >>> tuple(model(torch.rand(2, 3, 32, 32)).shape)
    (2, 10)
    >>> sum(p.numel() for p in AllCNN(batchnorm=False).parameters())
    1369738
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 10,
        image_size: int = 32,
        *,
        widths: tuple[int, int] = (96, 192),
        batchnorm: bool = True,
        dropout: tuple[float, float] = (0.2, 0.5),
        pixel_mean: float | Sequence[float] = 0.0,
        pixel_std: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__()
        in_channels = check_integer("in_channels", in_channels, 1)
        num_classes = check_integer("num_classes", num_classes, 1)
        check_kind("batchnorm", batchnorm, bool)
        narrow, wide = (
            check_integer(f"widths[{stage}]", width, 1)
            for stage, width in enumerate(pair("widths", widths))
        )
        drop_pixel, drop_activation = (
            check_number(f"dropout[{place}]", p, "a probability below 1", lambda p: 0 <= p < 1)
            for place, p in enumerate(pair("dropout", dropout))
        )
        self.in_channels = in_channels
        self.image_size = check_integer("image_size", image_size, 1)
        self.normalize = PixelNormalization(
            by_channel("pixel_mean", pixel_mean, in_channels),
            by_channel("pixel_std", pixel_std, in_channels, positive=True),
        )
        self.features = nn.Sequential(
            nn.Dropout(drop_pixel),
            ConvolutionBlock(in_channels, narrow, 3, 1, batchnorm),
            ConvolutionBlock(narrow, narrow, 3, 1, batchnorm),
            ConvolutionBlock(narrow, narrow, 3, 2, batchnorm),
            nn.Dropout(drop_activation),
            ConvolutionBlock(narrow, wide, 3, 1, batchnorm),
            ConvolutionBlock(wide, wide, 3, 1, batchnorm),
            ConvolutionBlock(wide, wide, 3, 2, batchnorm),
            nn.Dropout(drop_activation),
            ConvolutionBlock(wide, wide, 3, 1, batchnorm),
            ConvolutionBlock(wide, wide, 1, 1, batchnorm),
        )
        self.classes = nn.Conv2d(wide, num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def extra_repr(self) -> str:
        """Return the size of the images, which the layers do not show."""
        return f"image_size={self.image_size}"

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, image_size, image_size) to logits (N, num_classes)."""
        expected = (self.in_channels, self.image_size, self.image_size)
        if x.ndim != 4 or x.shape[1:] != expected:
            raise ValueError(f"images must have shape (N, *{expected}), got {tuple(x.shape)}")
        return self.classes(self.features(self.normalize(x))).mean((2, 3))


def pair(name: str, value: Any) -> tuple[Any, Any]:
    """Return a tuple of two."""
    check_kind(name, value, tuple)
    if len(value) != 2:
        raise ValueError(f"{name} must hold 2 numbers, got {value}")
    return value


def by_channel(name: str, value: Any, channels: int, positive: bool = False) -> Tensor:
    """Return one number a channel in single precision."""
    numbers = [value] * channels if not isinstance(value, Sequence) else list(value)
    if len(numbers) != channels:
        raise ValueError(
            f"{name} must be a number or {channels} numbers, one a channel, got {value}"
        )
    expected = "a number above 0" if positive else "a finite number"  # in single precision

    def accept(number: float) -> bool:
        rounded = torch.tensor(number).item()
        return math.isfinite(rounded) and (not positive or rounded > 0)

    return torch.tensor([check_number(name, v, expected, accept) for v in numbers])
