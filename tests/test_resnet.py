"""ResNet-18 and ResNet-34 agree with torchvision's, by name, order and shape."""

import pytest
import torch
from torch import nn

from hw2lib.resnet import BasicBlock, ResNet, resnet18, resnet34


def torchvision_state(blocks):
    """Spell out torchvision's state_dict of a basic-block ResNet: name → shape, in order."""

    def batchnorm(name, width):
        for key in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.{key}", (width,)
        yield f"{name}.num_batches_tracked", ()

    yield "conv1.weight", (64, 3, 7, 7)
    yield from batchnorm("bn1", 64)
    incoming = 64
    for stage, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), 1):
        for index in range(count):
            name = f"layer{stage}.{index}"
            yield f"{name}.conv1.weight", (width, incoming, 3, 3)
            yield from batchnorm(f"{name}.bn1", width)
            yield f"{name}.conv2.weight", (width, width, 3, 3)
            yield from batchnorm(f"{name}.bn2", width)
            if incoming != width:
                yield f"{name}.downsample.0.weight", (width, incoming, 1, 1)
                yield from batchnorm(f"{name}.downsample.1", width)
            incoming = width
    yield "fc.weight", (1000, 512)
    yield "fc.bias", (1000,)


@pytest.mark.parametrize(("build", "blocks"), [(resnet18, (2, 2, 2, 2)), (resnet34, (3, 4, 6, 3))])
def test_state_dict_is_torchvisions(build, blocks):
    ours = [(name, tuple(tensor.shape)) for name, tensor in build().state_dict().items()]
    assert ours == list(torchvision_state(blocks))


def test_block_is_the_formula_of_both_orders():
    x = torch.randn(4, 6, 8, 8, dtype=torch.float64)
    for first in (True, False):
        block = BasicBlock(6, 6, batchnorm_first=first).double()
        if first:
            inner = torch.relu(block.bn1(block.conv1(x)))
            expected = torch.relu(block.bn2(block.conv2(inner)) + x)
        else:
            inner = block.bn1(torch.relu(block.conv1(x)))
            expected = block.bn2(torch.relu(block.conv2(inner) + x))
        torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_orders_differ_but_have_the_same_parameters():
    torch.manual_seed(0)
    reference, reverse = resnet18(), resnet18(batchnorm_first=False)
    reverse.load_state_dict(reference.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert (reference(images) - reverse(images)).abs().max() > 0.1


def test_convolutions_start_with_he_initialisation():
    torch.manual_seed(0)
    for module in resnet18().modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.06)


def test_four_stages_are_asked_for():
    with pytest.raises(ValueError, match=r"blocks must hold 4 numbers.*got \(2, 2\)"):
        ResNet((2, 2))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, 8, 1), "in_channels"),
        ((8, 0, 1), "channels"),
        ((8, 8, 0), "stride"),
    ],
)
def test_wrong_argument_of_a_block_is_named(arguments, name):
    with pytest.raises((TypeError, ValueError), match=rf"^{name} must"):
        BasicBlock(*arguments)


def test_wrong_order_of_a_block_is_named():
    with pytest.raises(TypeError, match=r"^batchnorm_first must"):
        BasicBlock(8, 8, batchnorm_first="yes")
