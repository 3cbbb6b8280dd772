"""The all-convolutional network: counts, shapes, and normalisation inside it."""

import pytest
import torch
from torch import nn

from hw2lib.allcnn import AllCNN
from hw2lib.parameters import parameter_groups, parameter_table


def test_layers_are_those_of_the_paper():
    rows = parameter_table(AllCNN(batchnorm=False), (3, 32, 32)).rows
    assert [row.output for row in rows] == [
        (96, 32, 32), (96, 32, 32), (96, 16, 16), (192, 16, 16), (192, 16, 16), (192, 8, 8),
        (192, 8, 8), (192, 8, 8), (10, 8, 8),
    ]  # fmt: skip
    assert sum(row.parameters for row in rows) == 1_369_738


def test_batchnorm_replaces_the_biases():
    plain, normalised = AllCNN(batchnorm=False), AllCNN()
    count = {model: sum(p.numel() for p in model.parameters()) for model in (plain, normalised)}
    channels = 3 * 96 + 5 * 192
    assert count[normalised] - count[plain] == 2 * channels - channels
    groups = {group["name"]: group["params"] for group in parameter_groups(normalised)}
    assert [len(groups[name]) for name in ("weights", "batchnorm", "bias")] == [9, 16, 1]


@pytest.mark.parametrize("size", [1, 7, 8, 33])
def test_any_image_size(size):
    model = AllCNN(2, 5, size, widths=(3, 4)).eval()
    assert model(torch.rand(2, 2, size, size)).shape == (2, 5)


def test_normalisation_is_inside_the_model():
    torch.manual_seed(0)
    plain = AllCNN(2, 3, 8, widths=(3, 4)).eval()
    inside = AllCNN(2, 3, 8, widths=(3, 4), pixel_mean=[0.1, 0.6], pixel_std=[0.5, 2.0]).eval()
    inside.load_state_dict(
        {k: v for k, v in plain.state_dict().items() if "normalize" not in k}, strict=False
    )
    images = torch.rand(4, 2, 8, 8)
    outside = torch.stack([(images[:, 0] - 0.1) / 0.5, (images[:, 1] - 0.6) / 2.0], 1)
    torch.testing.assert_close(inside(images), plain(outside))
    assert not torch.allclose(inside(images), plain(images), rtol=1e-2)


def test_dropout_rates_and_order_of_layers():
    model = AllCNN(dropout=(0.25, 0.75))
    rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.25, 0.75, 0.75]
    kinds = [type(module).__name__ for module in model.features[1]]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"num_classes": 1.5}, "num_classes must be an integer"),
        ({"image_size": (32, 32)}, "image_size must be an integer"),
        ({"widths": (96,)}, "widths must hold 2 numbers"),
        ({"widths": 96}, "widths must be of type tuple"),
        ({"dropout": (0.2, 1.0)}, r"dropout\[1\] must be a probability below 1, got 1.0"),
        ({"pixel_mean": [0.5]}, "pixel_mean must be a number or 3 numbers, one a channel"),
        ({"pixel_std": 0.0}, "pixel_std must be a number above 0, got 0.0"),
        ({"pixel_std": float("nan")}, "pixel_std must be a number above 0, got nan"),
        ({"batchnorm": 1}, "batchnorm must be of type bool"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        AllCNN(**arguments)


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (3, 32, 32), (2, 1, 32, 32)])
def test_images_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match=r"images must have shape \(N, \*\(3, 32, 32\)\), got"):
        AllCNN()(torch.zeros(shape))


@pytest.mark.parametrize("numbers", [{"pixel_std": 1e-50}, {"pixel_mean": 1e300}])
def test_pixel_statistics_beyond_single_precision_are_refused(numbers):
    (name,) = numbers
    with pytest.raises(ValueError, match=rf"{name} must be a"):
        AllCNN(**numbers)


def test_network_without_data_prints_itself():
    assert "mean=[0.5]" in repr(AllCNN(1, 10, 8, pixel_mean=0.5))
    assert "PixelNormalization()" in repr(AllCNN(1, 10, 8).to("meta"))
