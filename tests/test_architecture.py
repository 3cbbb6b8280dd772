"""What is read off a traced network."""

from collections import Counter

import pytest
from torch import nn

from hw2lib.architecture import batchnorm_destinations, residual_blocks
from hw2lib.parameters import parameter_table
from hw2lib.resnet import resnet18, resnet34


@pytest.mark.parametrize(("build", "count"), [(resnet18, 8), (resnet34, 16)])
def test_blocks_and_shortcuts_are_found(build, count):
    blocks = residual_blocks(build(), (3, 64, 64))
    assert len(blocks) == count
    assert [b.name for b in blocks if b.shortcut] == ["layer2.0", "layer3.0", "layer4.0"]


def test_parameters_of_the_blocks_leave_stem_and_head():
    model = resnet18()
    blocks = sum(block.parameters for block in residual_blocks(model, (3, 64, 64)))
    assert parameter_table(model).total - blocks == 9536 + 513000


def test_sizes_halve_where_channels_double():
    outputs = [block.output for block in residual_blocks(resnet18(), (3, 224, 224))]
    assert outputs[::2] == [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]


def test_destinations_do_not_depend_on_names():
    class Renamed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
            self.alpha, self.beta, self.gamma = (nn.BatchNorm2d(4) for _ in range(3))
            self.side, self.activation = nn.Conv2d(4, 4, 1), nn.ReLU()

        def forward(self, x):
            y = self.beta(self.two(self.activation(self.alpha(self.one(x)))))
            return self.activation(self.gamma(self.side(x)) + y)

    found = batchnorm_destinations(Renamed())
    assert found == {"alpha": "relu", "beta": "add", "gamma": "shortcut"}


def test_reverse_order_has_no_batchnorm_before_a_relu():
    found = Counter(batchnorm_destinations(resnet18(batchnorm_first=False)).values())
    assert found["relu"] == 0
