"""Gradients through time, against automatic differentiation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hw2lib.claims.solution_6_recurrent.cells import (
    CHANNELS,
    lstm_sizes,
    new_cell,
    noise,
    rnn_sizes,
)
from hw2lib.recurrent import (
    clip_by_norm,
    clip_by_value,
    eigenvalue_gradient,
    kreiss_constant,
    linear_rnn_gradient,
    lstm_jacobian,
    lyapunov_exponent,
    rescale_to_norm,
    rnn_jacobian,
)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_autograd(W, z0, zbar, steps):
    weight, z = W.clone().requires_grad_(), z0
    for _ in range(steps):
        z = weight @ z
    return torch.autograd.grad(z @ zbar, weight)[0]


seeds = st.integers(0, 10**6)


@given(seeds, st.integers(1, 6), st.sampled_from([1, 2, 3, 63, 64, 65, 128, 200]))
def test_gradient_is_autograds_at_any_length(seed, p, steps):
    W = random(p, p, seed=seed)
    W = W / torch.linalg.matrix_norm(W, 2)
    z0, zbar = random(p, seed=seed + 1), random(p, seed=seed + 2)
    expected = by_autograd(W, z0, zbar, steps)
    error = (linear_rnn_gradient(W, z0, zbar, steps) - expected).norm()
    assert error <= 1e-11 * max(expected.norm().item(), 1e-3)


@given(seeds)
def test_closed_form_is_the_recursion(seed):
    W = random(4, 4, seed=seed)
    values = torch.linalg.eigvals(W)
    gap = ((values[:, None] - values).abs() + 9 * torch.eye(4)).min()
    if gap < 0.05:  # the closed form loses digits where eigenvalues nearly coincide
        W = torch.diag(torch.tensor([1.0, 0.5, -0.5, 0.2]).double()) + 0.01 * W
    z0, zbar = random(4, seed=seed + 1), random(4, seed=seed + 2)
    expected = linear_rnn_gradient(W, z0, zbar, 9)
    assert (eigenvalue_gradient(W, z0, zbar, 9) - expected).norm() < 1e-8 * expected.norm()


def test_mode_that_is_not_met_does_not_overflow():
    W = torch.diag(torch.tensor([2.0, 0.5]).double())
    stable = torch.tensor([0.0, 1.0]).double()
    gradient = linear_rnn_gradient(W, stable, stable, 5000)
    assert gradient.isfinite().all()
    assert gradient.abs().max() < 1e-300


def test_closed_form_of_a_number():
    assert eigenvalue_gradient([[0.0]], [1.0], [1.0], 1).item() == 1
    assert eigenvalue_gradient([[2.0]], [3.0], [5.0], 4).item() == pytest.approx(480)


def test_coinciding_eigenvalues_are_refused():
    with pytest.raises(ValueError, match="W must have distinct eigenvalues"):
        eigenvalue_gradient(torch.eye(2), torch.ones(2), torch.ones(2), 3)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("bias", [True, False])
def test_rnn_jacobian_is_autograds(nonlinearity, bias):
    torch.manual_seed(0)
    rnn = nn.RNN(3, 6, nonlinearity=nonlinearity, bias=bias).double()
    inputs, start = random(7, 3), random(6, seed=1)
    run = rnn_jacobian(rnn, inputs, start)
    torch.testing.assert_close(run.state, rnn(inputs, start[None])[0][-1].detach())
    reference = torch.autograd.functional.jacobian(lambda h: rnn(inputs, h[None])[0][-1], start)
    torch.testing.assert_close(run.jacobian, reference, rtol=0, atol=1e-14)


@pytest.mark.parametrize("bias", [True, False])
def test_lstm_jacobian_is_autograds(bias):
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 5, bias=bias).double()
    inputs, start = random(6, 3), random(10, seed=1)

    def last(state):
        _, (h, c) = lstm(inputs, (state[None, :5], state[None, 5:]))
        return torch.cat([h[0], c[0]])

    run = lstm_jacobian(lstm, inputs, start[:5], start[5:])
    torch.testing.assert_close(torch.cat([run.hidden, run.cell]), last(start).detach())
    reference = torch.autograd.functional.jacobian(last, start)
    torch.testing.assert_close(run.jacobian, reference, rtol=0, atol=1e-14)


@pytest.mark.parametrize("forget_bias", [0.0, 2.0])
def test_batched_lstms_are_the_single_ones(forget_bias):
    seeds, p, steps = (3, 4), 6, 7
    sizes = lstm_sizes(seeds, p, (steps,), forget_bias)[steps]
    for k, seed in enumerate(seeds):
        lstm = new_cell(nn.LSTM, CHANNELS, p, seed)
        with torch.no_grad():
            lstm.bias_ih_l0[p : 2 * p] += forget_bias
        run = lstm_jacobian(lstm, noise([seed], steps)[:, 0], torch.zeros(p), torch.zeros(p))
        whole = torch.linalg.matrix_norm(run.jacobian[p:, p:], 2)
        torch.testing.assert_close(sizes.whole[k], whole)
        torch.testing.assert_close(sizes.direct[k], run.forget_product.max())


def test_batched_rnns_are_the_single_ones():
    sizes = rnn_sizes((3, 4), 6, 7)
    for k, seed in enumerate((3, 4)):
        rnn = new_cell(nn.RNN, CHANNELS, 6, seed)
        run = rnn_jacobian(rnn, noise([seed], 7)[:, 0], torch.zeros(6))
        torch.testing.assert_close(sizes[k], torch.linalg.matrix_norm(run.jacobian, 2))


def test_deep_or_bidirectional_cells_are_refused():
    for cell in (nn.RNN(2, 3, num_layers=2), nn.RNN(2, 3, bidirectional=True)):
        with pytest.raises(ValueError, match="rnn must have one layer, one direction"):
            rnn_jacobian(cell, torch.ones(2, 2), torch.ones(3))
    with pytest.raises(ValueError, match="no projection"):
        lstm_jacobian(nn.LSTM(2, 3, proj_size=2), torch.ones(2, 2), torch.ones(3), torch.ones(3))


@given(seeds, st.floats(0.1, 0.95))
def test_kreiss_constant_bounds_the_peak(seed, rho):
    W = random(3, 3, seed=seed)
    W = W * rho / torch.linalg.eigvals(W).abs().max()
    powers = [torch.linalg.matrix_power(W, k) for k in range(200)]
    peak = max(torch.linalg.matrix_norm(power, 2).item() for power in powers)
    kreiss = kreiss_constant(W)
    assert kreiss <= peak * (1 + 1e-9)
    assert peak <= 1.2 * math.e * 3 * kreiss  # the grid sees a little less than the supremum


def test_unstable_matrix_has_no_kreiss_constant():
    with pytest.raises(ValueError, match="W must have all eigenvalues inside the unit circle"):
        kreiss_constant(torch.eye(2))


def test_exponent_of_a_linear_map_is_its_spectral_radius():
    W = random(8, 8)
    rate = lyapunov_exponent(W, "identity", torch.ones(8).double(), steps=2000)
    assert rate == pytest.approx(torch.linalg.eigvals(W).abs().max().log().item(), abs=0.02)


def test_dead_relu_network_has_exponent_minus_infinity():
    W = -torch.eye(3)
    assert lyapunov_exponent(W, "relu", torch.ones(3), steps=5) == -math.inf


@given(seeds, st.integers(1, 40), st.floats(0.01, 10))
def test_clipping_by_norm_keeps_the_direction_and_by_value_bounds_the_angle(seed, n, bound):
    g = random(n, seed=seed) * random(n, seed=seed + 1).exp() ** 2
    short = clip_by_norm(g, bound)
    assert short.norm() <= bound * (1 + 1e-12)
    torch.testing.assert_close(short / short.norm(), g / g.norm())
    h = clip_by_value(g, bound)
    assert h.abs().max() <= bound
    assert (g @ h) / (g.norm() * h.norm()) >= n**-0.5 - 1e-12
    assert rescale_to_norm(g, bound).norm().item() == pytest.approx(bound)


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_value, rescale_to_norm])
@pytest.mark.parametrize("entries", [[0.375, 0.5], [3.0, 4.0]])
def test_clipping_returns_new_memory(clip, entries):
    for gradient in (torch.tensor(entries), np.array(entries)):
        clip(gradient, 1.0).zero_()
        assert gradient.tolist() == entries


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("power", [-0.9, -0.6, 0.6, 0.9])
def test_clipping_by_norm_where_squares_over_or_underflow(dtype, power):
    scale = torch.finfo(dtype).max ** power
    gradient = scale * torch.tensor([3.0, -4.0], dtype=dtype)
    expected = torch.tensor([0.6, -0.8], dtype=dtype)
    torch.testing.assert_close(rescale_to_norm(gradient, 1.0), expected)
    limit = scale / 8
    torch.testing.assert_close(clip_by_norm(gradient, limit) / limit, expected)
    assert (clip_by_norm(gradient, 8 * scale) == gradient).all()


def test_zero_has_no_direction_to_keep():
    assert clip_by_norm(torch.zeros(3), 1.0).abs().max() == 0
    with pytest.raises(ValueError, match="gradient must not be zero"):
        rescale_to_norm(torch.zeros(3), 1.0)
