"""Batch norm, shifts and biases against independent references."""

import copy
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from hw2lib import normalization
from hw2lib.claims.solution_1_resnet.shared import exact_ridge, fractions, whole_numbers
from hw2lib.normalization import (
    absorb_shift,
    batch_normalize,
    bias_offset_in_eval,
    layer_inputs,
    measured_bias_offsets,
    pad_channels,
    padding_mask,
    relu_off_probability,
    ridge,
    running_statistics,
    saturation_probability,
)

DOUBLE = torch.float64


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5)])
def test_batch_normalize_is_torchs_training_mode(shape):
    x, weight, bias = random(*shape), random(3, seed=1), random(3, seed=2)
    expected = functional.batch_norm(x, None, None, weight, bias, training=True, eps=1e-3)
    torch.testing.assert_close(batch_normalize(x, weight, bias, eps=1e-3), expected)


@pytest.mark.parametrize("x", [torch.ones(3), torch.tensor(1.0)])
def test_input_without_channels_is_refused(x):
    with pytest.raises(ValueError, match=r"x must have shape \(N, C\).*got"):
        batch_normalize(x, eps=1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("power", [-0.9, -0.6, 0.6, 0.98])
def test_batch_normalize_where_squares_over_or_underflow(dtype, power):
    x = random(8, 3).to(dtype)
    moved = torch.finfo(dtype).max ** power * x
    torch.testing.assert_close(batch_normalize(moved), batch_normalize(x))
    if power < 0:  # eps is all that counts
        expected = (moved.double() - moved.double().mean(0)) / 0.1
        found = batch_normalize(moved, eps=0.01).double()
        assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("digits", [0.3, 0.6, 0.9])
def test_batch_normalize_where_a_channel_varies_little_beside_its_mean(dtype, digits):
    x = 1 + torch.finfo(dtype).eps ** digits * random(64, 3).to(dtype)
    moved = x - 1  # exactly
    torch.testing.assert_close(batch_normalize(x), batch_normalize(moved))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_neighbouring_numbers_become_minus_one_and_one(dtype):
    x = torch.tensor([[1.0], [1 + torch.finfo(dtype).eps]], dtype=dtype)
    torch.testing.assert_close(batch_normalize(x)[:, 0], torch.tensor([-1.0, 1.0], dtype=dtype))


def test_size_without_room_for_a_window_is_refused():
    with pytest.raises(ValueError, match="size must have room for a window, got"):
        padding_mask(nn.Conv2d(1, 1, 3), (2, 2))


def test_constant_channel_has_a_gradient_with_eps():
    x = torch.ones(4, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(batch_normalize(x, eps=1e-5)[0].sum(), x)
    assert gradient[0].tolist() == pytest.approx([0.75 / 1e-5**0.5] * 2)


def test_constant_channel_is_refused_without_eps():
    x = random(4, 2)
    x[:, 1] = 3
    with pytest.raises(ValueError, match="x must vary in every channel"):
        batch_normalize(x)
    assert batch_normalize(x, eps=1e-5)[:, 1].abs().max() == 0


@pytest.mark.parametrize("momentum", [0.1, 0.9, 1.0, None])
def test_running_statistics_are_torchs_buffers(momentum):
    batches = [random(4, 3, 2, seed=seed) + seed for seed in range(6)]
    layer = nn.BatchNorm1d(3, momentum=momentum, dtype=DOUBLE)
    for batch in batches:
        layer(batch)
    ours = running_statistics(batches, momentum)
    torch.testing.assert_close(ours.mean, layer.running_mean)
    torch.testing.assert_close(ours.variance, layer.running_var)


@pytest.mark.parametrize("momentum", [None, 0.1])
def test_running_statistics_of_one_batch(momentum):
    batch = random(4, 3, 2) + 5
    layer = nn.BatchNorm1d(3, momentum=momentum, dtype=DOUBLE)
    layer(batch)
    ours = running_statistics([batch], momentum)
    torch.testing.assert_close(ours.mean, layer.running_mean)
    torch.testing.assert_close(ours.variance, layer.running_var)
    if momentum is None:
        flat = batch.transpose(0, 1).flatten(1)
        torch.testing.assert_close(ours.mean, flat.mean(1))
        torch.testing.assert_close(ours.variance, flat.var(1))


@pytest.mark.parametrize("batch", [torch.ones(1, 3), torch.ones(4), torch.ones(1, 2, 1, 1)])
def test_batches_of_one_value_a_channel_are_refused(batch):
    with pytest.raises(
        ValueError, match=r"batches\[1\] must have shape \(N, C, …\) and two values"
    ):
        running_statistics([torch.ones(2, 3), batch], None)


@given(
    seed=st.integers(0, 10**6),
    groups=st.sampled_from([1, 2, 3]),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.integers(0, 3),
    bias=st.booleans(),
)
def test_shift_is_absorbed_where_no_padding_is_seen(seed, groups, stride, dilation, padding, bias):
    torch.manual_seed(seed)
    layer = nn.Conv2d(6, 6, 3, stride, padding, dilation, groups, bias, dtype=DOUBLE)
    x, shift = random(2, 6, 11, 9, seed=seed), random(6, seed=seed + 1)
    moved, absorbed = x - shift[:, None, None], absorb_shift(layer, shift)
    same = (absorbed(moved) - layer(x)).abs().amax((0, 1)) < 1e-10
    assert torch.equal(same, ~padding_mask(layer, (11, 9)))
    unpadded = copy.deepcopy(absorbed)
    unpadded.padding = (0, 0)
    everywhere = unpadded(pad_channels(moved, (padding, padding), -shift))
    torch.testing.assert_close(everywhere, layer(x))


@pytest.mark.parametrize("layer", [nn.Conv1d(2, 3, 4), nn.Conv3d(2, 3, 2, bias=False)])
def test_shift_is_absorbed_in_other_dimensions(layer):
    layer = layer.double()
    x, shift = random(2, 2, *(6,) * (layer.weight.ndim - 2)), random(2, seed=1)
    moved = x - shift.reshape(-1, *(1,) * (x.ndim - 2))
    torch.testing.assert_close(absorb_shift(layer, shift)(moved), layer(x))


def test_transposed_and_lazy_layers_are_refused():
    for layer in (nn.ConvTranspose2d(2, 2, 3), nn.LazyLinear(3), nn.ReLU()):
        with pytest.raises((TypeError, ValueError), match="layer"):
            absorb_shift(layer, [1.0, 2.0])


def test_layer_is_not_modified():
    layer = nn.Linear(3, 2)
    before = layer.bias.detach().clone()
    absorb_shift(layer, [1.0, 2.0, 3.0])
    assert torch.equal(layer.bias, before)


@given(
    seed=st.integers(0, 10**6),
    decay=st.floats(0.01, 100),
    penalize=st.booleans(),
)
def test_ridge_minimises_its_objective(seed, decay, penalize):
    x, y = random(12, 4, seed=seed), random(12, 2, seed=seed + 1)
    weight, intercept = (
        t.clone().requires_grad_() for t in ridge(x, y, decay, penalize_intercept=penalize)
    )
    loss = (x @ weight + intercept - y).square().sum() + decay * weight.square().sum()
    if penalize:
        loss = loss + decay * intercept.square().sum()
    for gradient in torch.autograd.grad(loss, (weight, intercept)):
        assert gradient.abs().max() < 1e-8


@given(seed=st.integers(0, 10**6), decay=st.floats(0.1, 10))
def test_ridge_moves_with_the_data(seed, decay):
    x, y, shift = random(12, 4, seed=seed), random(12, 2, seed=seed + 1), random(4, seed=seed + 2)
    plain, moved = ridge(x, y, decay), ridge(x - shift, y, decay)
    torch.testing.assert_close(moved.weight, plain.weight, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(
        moved.intercept, plain.intercept + shift @ plain.weight, rtol=1e-8, atol=1e-9
    )


@given(seed=st.integers(0, 10**6), penalize=st.booleans())
def test_ridge_is_the_exact_solution(seed, penalize):
    rng = np.random.default_rng(seed)
    x, y = whole_numbers(rng, 6, 3), whole_numbers(rng, 6, 2)
    exact = exact_ridge(x, y, Fraction(1, 2), penalize_intercept=penalize)
    found = ridge(x.astype(float), y.astype(float), 0.5, penalize_intercept=penalize)
    for ours, right in zip(found, exact, strict=True):
        torch.testing.assert_close(ours, torch.tensor(right.astype(float)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [2.5, -0.4])
@pytest.mark.parametrize("shift", [0.0, 0.7, -3.0])
def test_probabilities_do_not_depend_on_the_sign_of_the_scale(scale, shift):
    z = torch.special.ndtri((torch.arange(20001, dtype=DOUBLE) + 0.5) / 20001)
    off = (shift + scale * z <= 0).double().mean().item()
    assert relu_off_probability(shift, scale) == pytest.approx(off, abs=1e-4)
    outside = ((shift + scale * z).abs() > 2).double().mean().item()
    assert saturation_probability(scale, shift) == pytest.approx(outside, abs=1e-4)


@pytest.mark.parametrize(
    "probability", [lambda: relu_off_probability(1.0, 0.0), lambda: saturation_probability(0.0)]
)
def test_a_constant_unit_is_refused(probability):
    with pytest.raises(ValueError, match="scale must be a number other than 0"):
        probability()


def test_probabilities_are_torchs_normal():
    normal = torch.distributions.Normal(0.7, 2.5)
    off = normal.cdf(torch.tensor(0.0)).item()
    assert relu_off_probability(0.7, 2.5) == pytest.approx(off, abs=1e-6)
    outside = (normal.cdf(torch.tensor(-2.0)) + 1 - normal.cdf(torch.tensor(2.0))).item()
    assert saturation_probability(2.5, 0.7) == pytest.approx(outside, abs=1e-6)


def test_inputs_in_a_compiled_model_are_not_to_be_seen():
    compiled = torch.compile(nn.Sequential(nn.Linear(1, 1), nn.ReLU()), backend="eager")
    with pytest.raises(ValueError, match="model must not be compiled"):
        layer_inputs(compiled, torch.ones(1, 1))


def test_layer_inputs_come_in_order_and_leave_the_model_alone():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1)).eval()
    x = torch.randn(5, 2)
    first, second = layer_inputs(model, x, nn.Linear)
    assert torch.equal(first, x)
    assert second.min() >= 0
    assert not model.training
    assert model[1].num_batches_tracked == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1e2, 1e4, 1e7])
def test_ridge_does_not_lose_digits_where_inputs_lie_far_out(dtype, size):
    eps = torch.finfo(dtype).eps
    x = (random(50, 3) + size * 1e-7 / eps).to(dtype)  # rounding keeps some digits of each
    y = random(50, 2, seed=1).to(dtype)
    centred = x.double() - x[0].double()  # exactly
    centred -= centred.mean(0)
    gram = centred.T @ centred + torch.eye(3).double()
    weight = torch.linalg.solve(gram, centred.T @ y.double())
    found = ridge(x, y, 1.0)
    torch.testing.assert_close(found.weight.double(), weight, rtol=0, atol=100 * eps)
    residual = y.double() - x.double() @ found.weight.double() - found.intercept.double()
    assert residual.mean(0).abs().max() < 1e-6 * max(size, 1)


def test_ridge_of_dependent_columns_needs_weight_decay():
    x, y = random(9, 1).repeat(1, 2), random(9, 1, seed=1)
    weight = ridge(x, y, 1e-3).weight
    torch.testing.assert_close(weight[0], weight[1])
    with pytest.raises(
        ValueError, match=r"^inputs must have independent columns, .* or a larger weight_decay"
    ):
        ridge(x, y, 1e-30)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("penalize_intercept", [True, False])
@pytest.mark.parametrize("size", [1e-18, 1e-9, 1e9, 1e18])
@pytest.mark.parametrize("decay", [1e-30, 1.0, 1e30])
def test_ridge_at_any_size(dtype, penalize_intercept, size, decay):
    x, y = random(9, 2).to(dtype), random(9, 2, seed=1).to(dtype)
    x = size * x
    design = torch.cat([x.double(), torch.ones(9, 1, dtype=DOUBLE)], 1)
    if not penalize_intercept:
        design[:, :2] -= design[:, :2].mean(0)
    unit = design.abs().amax(0)
    gram = (design / unit).T @ (design / unit) + torch.diag(
        torch.tensor([decay, decay, decay * penalize_intercept], dtype=DOUBLE) / unit.square()
    )
    expected = torch.linalg.solve(gram, (design / unit).T @ y.double()) / unit[:, None]
    found = ridge(x, y, decay, penalize_intercept=penalize_intercept).weight.double()
    error, info = (found - expected[:2]).norm(), torch.finfo(dtype)
    assert error < 1e3 * info.eps * expected[:2].norm() + 10 * info.tiny


@pytest.mark.parametrize(("pixel", "border"), [(1e-10, 1.0), (1.0, 1e10), (1.0, -3e38)])
def test_padding_keeps_every_digit(pixel, border):
    x = torch.full((1, 1, 1, 1), pixel)
    padded = pad_channels(x, [1, 0], [border])
    assert padded.shape == (1, 1, 3, 1)
    assert padded.flatten().tolist() == torch.tensor([border, pixel, border]).tolist()


def test_batches_of_mixed_dtypes_are_refused():
    batch = random(4, 3)
    with pytest.raises(ValueError, match=r"batches\[0\], batches\[1\] must share dtype"):
        running_statistics([batch, batch.float()])


@pytest.mark.parametrize(("variance", "eps"), [(-1e-6, 1e-5), (-1.0, 0.0), (0.0, 0.0)])
def test_negative_variance_is_refused(variance, eps):
    with pytest.raises(ValueError, match="running_variance must be at least 0, and positive where"):
        bias_offset_in_eval(1.0, 1, running_variance=variance, eps=eps)


def test_bias_offset_of_any_eps():
    offset = bias_offset_in_eval(1.0, 0, eps=1e60)  # beyond single precision, its root is not
    torch.testing.assert_close(offset, torch.tensor(1e-30), rtol=1e-6, atol=0)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.filterwarnings("ignore:.*torch.nn.utils.spectral_norm")
@pytest.mark.parametrize(
    "norm", [nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm], ids=["old", "new"]
)
def test_shift_of_a_layer_whose_weight_is_computed_is_refused(norm):
    layer = norm(nn.Linear(3, 2))
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(TypeError, match="layer must own its weight"):
        absorb_shift(layer, torch.ones(3))
    torch.testing.assert_close(dict(layer.state_dict()), dict(before), rtol=0, atol=0)


@pytest.mark.parametrize(("mean", "target"), [(1e3, 1e3), (1e4, 1e6)])
def test_penalised_intercept_of_data_far_from_zero(mean, target):
    x, y = mean + random(30, 3), target + random(30, 1, seed=1)
    x, y = x.float(), y.float()
    found = ridge(x, y, 0.1, penalize_intercept=True)
    extended = torch.cat([x, torch.ones(30, 1)], 1).double()
    gram = extended.T @ extended + 0.1 * torch.eye(4).double()
    exact = torch.linalg.solve(gram, extended.T @ y.double())
    torch.testing.assert_close(found.intercept, exact[3].float(), rtol=1e-3, atol=0)
    torch.testing.assert_close(found.weight, exact[:3].float(), rtol=1e-3, atol=0)


def test_running_variance_beside_a_large_mean():
    x = 1e12 + torch.arange(50, dtype=DOUBLE) / 8  # exact numbers
    expected = (torch.arange(50, dtype=DOUBLE) / 8).var()
    torch.testing.assert_close(running_statistics([x[:, None]], None).variance[0], expected)


def test_layer_that_works_in_place_is_seen_before_it_does():
    model = nn.Sequential(nn.BatchNorm1d(1), nn.ReLU(inplace=True))
    (seen,) = layer_inputs(model, torch.tensor([[0.0], [2.0]]))
    torch.testing.assert_close(seen, torch.tensor([[-1.0], [1.0]]), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("shift", "steps", "options", "expected"),
    [
        (1e-23, 0, {"weight": torch.tensor(1e-23), "running_variance": torch.tensor(1e-38)}, 1e-27),
        (1e30, 50, {"momentum": 0.9}, 1e-20),
        (1.0, 10**17, {"momentum": 1e-17}, math.exp(-1)),
    ],
)
def test_offset_whose_factors_underflow(shift, steps, options, expected):
    found = bias_offset_in_eval(torch.tensor(shift), steps, eps=0.0, **options)
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=0)


def test_negated_view_is_taken():
    x = torch.complex(torch.zeros(4, 2), random(4, 2).float()).conj().imag
    assert x.is_neg()
    torch.testing.assert_close(batch_normalize(x), batch_normalize(x.resolve_neg()))


def test_running_mean_of_many_batches_in_single_precision():
    batches = [torch.ones(2, 1)] * 20_000
    found = running_statistics(batches, 1e-5).mean.item()
    assert math.isclose(found, -math.expm1(20_000 * math.log1p(-1e-5)), rel_tol=1e-5)


@pytest.mark.parametrize("level", [1.0, 1e21, 1e36])
def test_constant_channel_of_any_size_is_zero_where_epsilon_is_not(level):
    x = torch.full((4, 1), level, requires_grad=True)
    y = batch_normalize(x, eps=1e-5)
    assert not y.any()
    (slope,) = torch.autograd.grad(y[0, 0], x)
    expected = torch.tensor([[0.75], [-0.25], [-0.25], [-0.25]]) / math.sqrt(1e-5)
    torch.testing.assert_close(slope, expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("shift", "steps", "weight", "variance", "expected"),
    [(1e-200, 4500, 1e200, 1.0, 0.9**4500), (1e200, 0, 1e-200, 1e-300, 1e150)],
)
def test_offset_of_factors_of_any_size(shift, steps, weight, variance, expected):
    doubles = (torch.tensor(value, dtype=torch.float64) for value in (shift, weight, variance))
    shift, weight, variance = doubles
    found = bias_offset_in_eval(shift, steps, weight=weight, running_variance=variance, eps=0)
    assert found.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("size", "decay"), [(1e25, 1.2e77), (1e38, 1.1e77)])
def test_ridge_in_single_precision_with_a_decay_beyond_it(size, decay):
    x = size * torch.tensor([[-1.0], [1.0]])
    weight = ridge(x, x, decay).weight.item()
    assert weight == pytest.approx(2 * size**2 / (2 * size**2 + decay), rel=1e-5)


def test_inputs_of_layers_that_are_called_by_name():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(input=x)

    x = torch.tensor([[1.0, -2.0]])
    assert torch.equal(*layer_inputs(Named(), x), x)


def test_layers_that_take_no_tensor_are_refused():
    class Pair(nn.Module):
        def forward(self, pair):
            return pair[0] + pair[1]

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = Pair()

        def forward(self, x):
            return self.pair((x, x))

    with pytest.raises(TypeError, match="kind must be one of layers that take a tensor first"):
        layer_inputs(Sum(), torch.ones(1, 2), Pair)


def test_even_kernel_with_padding_on_both_sides_warns_of_nothing(recwarn):
    assert padding_mask(nn.Conv1d(1, 1, 4, padding="same"), (6,)).tolist() == [1, 0, 0, 0, 1, 1]
    assert not recwarn


def test_all_of_a_shift_is_left_before_any_batch():
    assert normalization.bias_offset_in_eval(1.0, 0, momentum=1.0, eps=0.0).item() == 1


def test_numbers_of_a_bias_offset_are_not_rounded_to_single_precision():
    one, large = torch.tensor([1.0, 1e60], dtype=torch.float64)
    assert bias_offset_in_eval(one, 0, weight=0.1, eps=0).item() == 0.1
    assert bias_offset_in_eval(1e-60, 1, weight=large).item() == pytest.approx(0.9, rel=1e-4)
    offset = bias_offset_in_eval(1e-32, 0, running_variance=1e-60, eps=1e-70)
    assert offset.dtype == torch.float32
    assert offset.item() == pytest.approx(0.01)
    with pytest.raises(ValueError, match=r"got NaN or Inf in torch\.float32"):
        bias_offset_in_eval(1e300, 0)


def test_gradient_of_a_bias_offset_at_variance_zero():
    variance = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(bias_offset_in_eval(1.0, 0, running_variance=variance), variance)
    assert slope.item() == pytest.approx(-0.5 * 1e-5**-1.5)


def test_layer_that_works_in_place_leaves_the_batches():
    class Shift(nn.Module):
        def __init__(self, in_place):
            super().__init__()
            self.bias, self.in_place = nn.Parameter(torch.ones(2)), in_place

        def forward(self, x):
            return x.add_(self.bias) if self.in_place else x + self.bias

    batches = [torch.randn(8, 2, generator=torch.Generator().manual_seed(0))]
    kept = batches[0].clone()
    found, expected = (
        measured_bias_offsets(Shift(in_place), nn.BatchNorm1d(2), [1.0, 2.0], batches)
        for in_place in (True, False)
    )
    assert torch.equal(found, expected)
    assert torch.equal(batches[0], kept)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_padding_mask_counts_exactly_whatever_the_default_precision(dtype):
    layer = nn.Conv1d(1, 1, 261, padding=130)
    torch.set_default_dtype(dtype)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            assert int(padding_mask(layer, (522,)).sum()) == 260
    finally:
        torch.set_default_dtype(torch.float32)


def test_layer_whose_bias_is_computed_cannot_absorb_a_shift():
    layer = nn.Linear(2, 2)
    nn.utils.parametrize.register_parametrization(layer, "bias", nn.Tanh())
    with pytest.raises(TypeError, match="layer must own its bias"):
        absorb_shift(layer, [1.0, 2.0])
    with pytest.raises(ValueError, match="layer must have parameters of known shape"):
        absorb_shift(nn.LazyLinear(2), [1.0, 2.0])
    with pytest.raises(TypeError, match=r"^layer\.weight must be dense and hold data"):
        absorb_shift(nn.Linear(2, 2, device="meta"), [1.0, 2.0])
    half = nn.Linear(2, 2).bfloat16()
    assert absorb_shift(half, [1.0, 2.0]).bias.dtype == torch.bfloat16
    half.bias.data[0] = math.nan
    with pytest.raises(ValueError, match=r"^layer must have a finite bias"):
        absorb_shift(half, [1.0, 2.0])


class Standardized(nn.Conv2d):
    """Standardises its weights first."""

    def forward(self, x):
        """Convolve."""
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


class Doubled(nn.Conv2d):
    """Doubles its weights where PyTorch's convolutions convolve."""

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, 2 * weight, bias)


def test_layers_that_compute_something_else_absorb_no_shift():
    hooked, patched = nn.Linear(2, 2), nn.Linear(2, 2)
    hooked.register_forward_pre_hook(lambda _, given: (2 * given[0],))
    patched.forward = lambda x: 2 * x
    for layer in (Standardized(2, 1, 3), Doubled(2, 1, 3), hooked, patched):
        with pytest.raises(TypeError, match=r"must compute what its class in torch\.nn does"):
            absorb_shift(layer, [1.0, 2.0])
    with pytest.raises(TypeError, match="layer must have a real weight, got dtype"):
        absorb_shift(nn.Linear(2, 2, dtype=torch.complex64), [1.0, 2.0])


def test_absorbed_bias_is_frozen_if_the_layers_is():
    layer = nn.Linear(2, 3).requires_grad_(False)
    assert not absorb_shift(layer, [1.0, 2.0]).bias.requires_grad
    assert absorb_shift(nn.Linear(2, 3, bias=False), [1.0, 2.0]).bias.requires_grad


def test_autocast_changes_neither_the_dtype_nor_the_digits():
    layer, batch = nn.Linear(3, 2), torch.tensor([[0.0], [257.0]])
    plain = absorb_shift(layer, [0.1, 0.2, 0.3]).bias, *running_statistics([batch])
    with torch.autocast("cpu", torch.bfloat16):
        inside = absorb_shift(layer, [0.1, 0.2, 0.3]).bias, *running_statistics([batch])
    for one, other in zip(plain, inside, strict=True):
        assert torch.equal(one, other)
        assert other.dtype == torch.float32


def test_linear_layers_on_sequences_have_their_bias_on_another_axis():
    with pytest.raises(ValueError, match="batches must be of rows where the layer is linear"):
        measured_bias_offsets(
            nn.Linear(2, 3), nn.BatchNorm1d(3), [1.0, 2.0, 3.0], [torch.randn(5, 3, 2)]
        )


def test_penalised_intercept_beside_a_constant_column_needs_digits():
    x, y = torch.full((8, 1), 0.1, dtype=torch.float64), torch.arange(8.0).double()[:, None]
    exact = Fraction(0.1) * 28 / (8 * (Fraction(0.1) ** 2 + 1) + Fraction(1e-4))
    weight = ridge(x, y, 1e-4, penalize_intercept=True).weight.item()
    assert abs(weight / float(exact) - 1) < 1e-8
    for decay in (1e-20, 1e-28):
        with pytest.raises(ValueError, match="inputs must have independent columns"):
            ridge(x, y, decay, penalize_intercept=True)


@pytest.mark.parametrize("scales", [(300.0, 1e-3), (1e3, 1e-5)])
def test_penalised_intercept_beside_columns_of_very_different_sizes(scales):
    rng = np.random.default_rng(0)
    x, y = np.array([101325.0, 0]) + scales * rng.standard_normal((20, 2)), rng.normal(size=(20, 1))
    found = ridge(x, y, 1e-6, penalize_intercept=True)
    parts = (fractions(each.tolist()) for each in (x, y))
    weight, _ = exact_ridge(*parts, Fraction(1e-6), penalize_intercept=True)
    torch.testing.assert_close(found.weight, torch.tensor(weight.astype(float)), rtol=1e-9, atol=0)


def test_tiny_epsilon_in_single_precision():
    x = [[1e-44], [3e-44], [0.0]]
    found = batch_normalize(torch.tensor(x), eps=1e-90).double()
    exact = batch_normalize(torch.tensor(torch.tensor(x).tolist(), dtype=torch.float64), eps=1e-90)
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=0)
    assert batch_normalize(torch.ones(2, 1), eps=1e-300).tolist() == [[0.0], [0.0]]
