"""ResNet-18 and ResNet-34 (He et al., 2016) with torchvision's parameter names."""

from __future__ import annotations

from torch import Tensor, nn

from hw2lib._checks import check_integer, check_kind

__all__ = ["BasicBlock", "ResNet", "resnet18", "resnet34"]


def conv3x3(in_channels: int, channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3×3 convolution without bias that keeps the image size divided by the stride."""
    return nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions, each with batch norm, around which a shortcut passes.

    With ``batchnorm_first`` (the reference code) the block computes::

        y = relu(bn1(conv1(x)))
        relu(bn2(conv2(y)) + shortcut(x))

    Without it every pair *batch norm, ReLU* is swapped::

        y = bn1(relu(conv1(x)))
        bn2(relu(conv2(y) + shortcut(x)))

    Parameters
    ----------
    in_channels, channels : int
        Channels that come in and go out.
    stride : int
        Stride of the first convolution; a stride or a change of channels puts a 1×1 convolution
        with batch norm on the shortcut.
    batchnorm_first : bool
        Batch norm before the ReLU (True) or after it (False).

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer.

    References
    ----------
    He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, figure 5.

    Examples
    --------
    >>> import torch
    >>> block = BasicBlock(64, 128, stride=2)
    >>> tuple(block(torch.zeros(1, 64, 56, 56)).shape)
    (1, 128, 28, 28)
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, *, batchnorm_first: bool = True
    ) -> None:
        super().__init__()
        in_channels = check_integer("in_channels", in_channels, 1)
        channels = check_integer("channels", channels, 1)
        stride = check_integer("stride", stride, 1)
        check_kind("batchnorm_first", batchnorm_first, bool)
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.batchnorm_first = batchnorm_first

    def extra_repr(self) -> str:
        """Return the order, which the layers do not show."""
        return f"batchnorm_first={self.batchnorm_first}"

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H/stride, W/stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        if self.batchnorm_first:
            y = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(y)) + shortcut)
        y = self.bn1(self.relu(self.conv1(x)))
        return self.bn2(self.relu(self.conv2(y) + shortcut))


class ResNet(nn.Module):
    """A residual network of basic blocks, with torchvision's names, order and shapes.

    Parameters
    ----------
    blocks : tuple of 4 int
        Basic blocks in each of the four stages: (2, 2, 2, 2) is ResNet-18.
    num_classes : int
        Width of the last layer.
    batchnorm_first : bool
        Batch norm before the ReLU, as in the reference code, or after it.

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer.

    References
    ----------
    He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1.

    Examples
    --------
    >>> import torch
    >>> model = ResNet((1, 1, 1, 1), num_classes=10).eval()
    >>> tuple(model(torch.zeros(2, 3, 32, 32)).shape)
    (2, 10)
    """

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        num_classes: int = 1000,
        *,
        batchnorm_first: bool = True,
    ) -> None:
        super().__init__()
        check_kind("blocks", blocks, tuple)
        if len(blocks) != 4:
            raise ValueError(f"blocks must hold 4 numbers, one a stage, got {blocks}")
        depths = [check_integer(f"blocks[{stage}]", n, 1) for stage, n in enumerate(blocks)]
        num_classes = check_integer("num_classes", num_classes, 1)
        check_kind("batchnorm_first", batchnorm_first, bool)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = make_stage(64, 64, depths[0], 1, batchnorm_first)
        self.layer2 = make_stage(64, 128, depths[1], 2, batchnorm_first)
        self.layer3 = make_stage(128, 256, depths[2], 2, batchnorm_first)
        self.layer4 = make_stage(256, 512, depths[3], 2, batchnorm_first)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, num_classes)
        self.batchnorm_first = batchnorm_first
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def extra_repr(self) -> str:
        """Return the order, which the layers do not show."""
        return f"batchnorm_first={self.batchnorm_first}"

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, num_classes)."""
        x = self.conv1(x)
        x = self.relu(self.bn1(x)) if self.batchnorm_first else self.bn1(self.relu(x))
        x = self.maxpool(x)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def make_stage(
    in_channels: int, channels: int, blocks: int, stride: int, batchnorm_first: bool
) -> nn.Sequential:
    """Return a stage: the first block changes channels and size, the others keep them."""
    first = BasicBlock(in_channels, channels, stride, batchnorm_first=batchnorm_first)
    rest = [
        BasicBlock(channels, channels, batchnorm_first=batchnorm_first) for _ in range(blocks - 1)
    ]
    return nn.Sequential(first, *rest)


def resnet18(num_classes: int = 1000, *, batchnorm_first: bool = True) -> ResNet:
    """Return ResNet-18, freshly initialised, with torchvision's state_dict keys, order and shapes.

    Serves claims 1a-order, 1c-total and 1c-eighteen.

    Parameters
    ----------
    num_classes : int
        Width of the last layer.
    batchnorm_first : bool
        Batch norm before the ReLU, as in the reference code, or after it.

    Returns
    -------
    ResNet
        In training mode; images (N, 3, H, W) in, logits (N, num_classes) out.

    Raises
    ------
    TypeError, ValueError
        If `num_classes` is not a positive integer or `batchnorm_first` not a bool.

    References
    ----------
    He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1.

    Examples
    --------
    >>> model = resnet18()
    >>> sum(parameter.numel() for parameter in model.parameters())
    11689512
    """
    return ResNet((2, 2, 2, 2), num_classes, batchnorm_first=batchnorm_first)


def resnet34(num_classes: int = 1000, *, batchnorm_first: bool = True) -> ResNet:
    """Return ResNet-34, freshly initialised, with torchvision's state_dict keys, order and shapes.

    Parameters
    ----------
    num_classes : int
        Width of the last layer.
    batchnorm_first : bool
        Batch norm before the ReLU, as in the reference code, or after it.

    Returns
    -------
    ResNet
        In training mode; images (N, 3, H, W) in, logits (N, num_classes) out.

    Raises
    ------
    TypeError, ValueError
        If `num_classes` is not a positive integer or `batchnorm_first` not a bool.

    References
    ----------
    He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1.

    Examples
    --------
    >>> model = resnet34()
    >>> sum(parameter.numel() for parameter in model.parameters())
    21797672
    """
    return ResNet((3, 4, 6, 3), num_classes, batchnorm_first=batchnorm_first)
