"""Gradients through time, against automatic differentiation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hw2lib import recurrent
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
    krylov,
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


@given(seeds, st.integers(1, 5), st.integers(1, 300))
def test_krylov_columns_are_powers(seed, p, count):
    W, z = random(p, p, seed=seed), random(p, seed=seed + 1)
    W = W / torch.linalg.matrix_norm(W, 2)
    columns = krylov(W, z, count)
    assert columns.shape == (p, count)
    for k in {0, count // 2, count - 1}:
        torch.testing.assert_close(
            columns[:, k], torch.linalg.matrix_power(W, k) @ z, rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("weight", [3.0, 10.0, 30.0])
def test_rnn_jacobian_where_one_minus_the_squared_state_cancels(weight):
    rnn = nn.RNN(1, 1, bias=False)
    nn.init.constant_(rnn.weight_hh_l0, weight)
    jacobian = rnn_jacobian(rnn, [[0.0]], [1.0]).jacobian.item()
    assert jacobian == pytest.approx(weight / math.cosh(weight) ** 2, rel=2e-5)


def test_rnn_jacobian_where_the_slope_underflows_beside_a_large_weight():
    rnn = nn.RNN(1, 1, bias=False)
    nn.init.constant_(rnn.weight_hh_l0, 1e30)
    nn.init.constant_(rnn.weight_ih_l0, 1.0)
    jacobian = rnn_jacobian(rnn, [[60.0]], [0.0]).jacobian.item()
    assert jacobian == pytest.approx(1e30 / math.cosh(60) ** 2, rel=2e-5)


def test_lstm_jacobian_in_single_precision_where_its_gates_are_flat():
    torch.manual_seed(0)
    lstm = nn.LSTM(2, 3)
    with torch.no_grad():
        lstm.weight_hh_l0 *= 3
        lstm.bias_ih_l0.copy_(torch.tensor([12.0, -9, 15, 18, 20, 17, 11, -14, 9, 16, 18, -12]))
    inputs, hidden, cell = random(2, 2), random(3, seed=1), 20 + random(3, seed=2)
    single = lstm_jacobian(lstm, inputs.float(), hidden.float(), cell.float()).jacobian
    double = lstm_jacobian(lstm.double(), inputs, hidden, cell).jacobian
    torch.testing.assert_close(single.double(), double, rtol=2e-4, atol=0)


def test_closed_form_of_a_number():
    assert eigenvalue_gradient([[0.0]], [1.0], [1.0], 1).item() == 1
    assert eigenvalue_gradient([[2.0]], [3.0], [5.0], 4).item() == pytest.approx(480)


@pytest.mark.parametrize("gap", [0.0, 1e-15, 1e-9])
def test_closed_form_of_eigenvalues_that_coincide_or_nearly(gap):
    turn = torch.linalg.qr(random(2, 2)).Q
    W = turn @ torch.diag(torch.tensor([1.0, 1.0 + gap]).double()) @ turn.T
    z0, zbar = random(2, seed=1), random(2, seed=2)
    expected = linear_rnn_gradient(W, z0, zbar, 9)
    torch.testing.assert_close(eigenvalue_gradient(W, z0, zbar, 9), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("gap", [0.0, 1e-9, 1e-5])
def test_eigenvectors_that_nearly_coincide_are_refused(gap):
    W = torch.tensor([[1.0, 1.0], [0.0, 1.0 + gap]]).double()
    with pytest.raises(ValueError, match="W must have independent eigenvectors"):
        eigenvalue_gradient(W, torch.ones(2).double(), torch.ones(2).double(), 5)


@given(seeds, st.sampled_from([torch.float32, torch.float64]), st.floats(0, 6))
def test_closed_form_is_right_or_refused_however_bad_the_eigenvectors(seed, dtype, power):
    scale = torch.logspace(0, -power, 4, dtype=torch.float64)
    T = torch.linalg.qr(random(4, 4, seed=seed)).Q * scale @ random(4, 4, seed=seed + 1)
    W = (T * (2 * random(4, seed=seed + 2).sigmoid() - 1) @ torch.linalg.inv(T)).to(dtype)
    z0, zbar = random(4, seed=seed + 3).to(dtype), random(4, seed=seed + 4).to(dtype)
    expected = linear_rnn_gradient(W.double(), z0.double(), zbar.double(), 9)
    try:
        found = eigenvalue_gradient(W, z0, zbar, 9)
    except ValueError:
        return
    assert (found - expected).norm() < 1e-5 * expected.norm()


def test_gradient_where_powers_underflow_and_states_do_not():
    W, z = 1e-30 * random(2, 2).float(), 1e30 * random(2, seed=1).float()
    expected = by_autograd(W.double(), z.double(), z.double(), 3).float()
    torch.testing.assert_close(linear_rnn_gradient(W, z, z, 3), expected, rtol=1e-5, atol=0)


def test_gradient_that_overflows_is_refused():
    for gradient in (linear_rnn_gradient, eigenvalue_gradient):
        with pytest.raises(ValueError, match=r"^W, z0, zbar and steps must be such that"):
            gradient([[2.0]], [1.0], [1.0], 500)


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
    assert 1 <= kreiss <= peak * (1 + 1e-9)
    assert peak <= math.e * 3 * kreiss


def kreiss_of_a_block(rho, c):
    """Return the constant of (ρ, c; 0, ρ), whose resolvent's norm is known at every radius."""
    above = torch.logspace(-14, 3, 400_001, dtype=torch.float64)
    x = c / (above + 1 - rho)
    return (above / (above + 1 - rho) * (x + (x.square() + 4).sqrt()) / 2).max().item()


@pytest.mark.parametrize("gap", [0.5, 1e-2, 1e-5])
@pytest.mark.parametrize("points", [4, 40])
@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi])
def test_kreiss_constant_is_found_near_the_circle(gap, points, angle):
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    W = torch.kron((1 - gap) * torch.eye(2).double(), turn) + torch.kron(
        torch.tensor([[0.0, 3.0], [0.0, 0.0]]), torch.eye(2)
    )
    expected = kreiss_of_a_block(1 - gap, 3.0)
    assert kreiss_constant(W, points) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("points", [4, 40])
def test_kreiss_constant_of_a_large_block_is_found_inside_the_gap(points):
    W = 0.99 * torch.eye(5).double() + torch.diag(torch.ones(4).double(), 1)
    above = 0.01 * torch.logspace(-2, 2, 20_001, dtype=torch.float64)
    resolvents = (1 + above)[:, None, None] * torch.eye(5).double() - W
    expected = (above / torch.linalg.svdvals(resolvents)[:, -1]).max().item()
    assert above[(above / torch.linalg.svdvals(resolvents)[:, -1]).argmax()] < 0.003
    assert kreiss_constant(W, points) == pytest.approx(expected, rel=1e-5)


def test_kreiss_constant_of_a_normal_matrix_is_one():
    assert kreiss_constant([[0.0, -0.999], [0.999, 0.0]]) == pytest.approx(1, abs=1e-12)
    assert kreiss_constant([[0.0]]) == 1


def test_kreiss_constant_of_single_precision_is_searched_in_double():
    W = torch.tensor([[1 - 2**-20, 1.0], [0.0, 1 - 2**-20]])  # exact in both
    assert kreiss_constant(W) == pytest.approx(2**18, rel=1e-6)


def test_unstable_matrix_has_no_kreiss_constant():
    for nearest in (1.0, 1 - 2**-30):
        W = torch.tensor([[nearest, 1.0], [0.0, nearest]], dtype=torch.float64)
        with pytest.raises(ValueError, match="W must have all eigenvalues inside the unit circle"):
            kreiss_constant(W)


def test_kreiss_constant_near_the_circle_is_a_lower_bound():
    gap = 2.0**-29
    W = torch.tensor([[1 - gap, 1.0], [0.0, 1 - gap]], dtype=torch.float64)
    assert 1 - 1e-6 < 4 * gap * kreiss_constant(W) < 1 + 1e-8


def test_exponent_of_a_linear_map_is_its_spectral_radius():
    W = random(8, 8)
    rate = lyapunov_exponent(W, "identity", torch.ones(8).double(), steps=2000)
    assert rate == pytest.approx(torch.linalg.eigvals(W).abs().max().log().item(), abs=0.02)


@pytest.mark.parametrize("nonlinearity", ["relu", "identity"])
@pytest.mark.parametrize("gain", [1e-200, 0.01, 20.0, 1e150])
def test_exponent_of_a_homogeneous_network_shifts_with_the_gain(nonlinearity, gain):
    W, start = random(100, 100) / 10, random(100, seed=1)
    rates = [lyapunov_exponent(g * W, nonlinearity, start, steps=300) for g in (1.0, gain)]
    assert rates[1] == pytest.approx(rates[0] + math.log(gain), abs=0.02)


def test_exponent_of_a_large_relu_network():
    W, start = 20 * random(100, 100) / 10, random(100, seed=1)
    assert lyapunov_exponent(W, "relu", start, steps=300) == pytest.approx(2.61, abs=0.1)


def test_exponent_of_a_sigmoid_network_at_rest():
    W = 8 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double()  # rests at ½, where the slope is ¼
    start = torch.tensor([0.5, 0.5]).double()
    assert lyapunov_exponent(W, "sigmoid", start, 5) == pytest.approx(math.log(4))


def test_exponent_sees_a_direction_orthogonal_to_ones():
    W = torch.tensor([[1.5, -0.5], [-0.5, 1.5]]).double()  # 2 along (1, −1), 1 along (1, 1)
    assert lyapunov_exponent(W, "identity", torch.ones(2).double(), 50) == pytest.approx(
        math.log(2), abs=1e-12
    )


def test_small_exponents_do_not_underflow():
    rate = lyapunov_exponent(1e-200 * torch.eye(3).double(), "tanh", torch.ones(3).double(), 5)
    assert rate == pytest.approx(math.log(1e-200))


@given(seeds, st.integers(1, 6), st.sampled_from(["tanh", "relu"]))
def test_exponent_is_the_growth_that_the_jacobian_gives(seed, p, nonlinearity):
    rnn = nn.RNN(1, p, nonlinearity=nonlinearity, bias=False).double()
    W, start = 1.5 * random(p, p, seed=seed), random(p, seed=seed + 1)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(W)
    v = torch.randn(p, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    growth = (rnn_jacobian(rnn, torch.zeros(7, 1), start).jacobian @ v).norm() / v.norm()
    rate = lyapunov_exponent(W, nonlinearity, start, steps=7, warm_up=0)
    assert rate == pytest.approx(growth.log().item() / 7, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight", [3.0, 10.0, 40.0, 1000.0])
def test_exponent_of_a_saturated_unit(dtype, weight):
    W, start = torch.tensor([[weight]], dtype=dtype), torch.ones(1, dtype=dtype)
    z = weight
    for _ in range(100):
        z = weight * math.tanh(z)
    flat = math.log(4) - 2 * z - 2 * math.log1p(math.exp(-2 * z))  # log tanh′(z)
    assert lyapunov_exponent(W, "tanh", start, 20) == pytest.approx(math.log(weight) + flat)
    z = weight
    for _ in range(100):
        z = weight / (1 + math.exp(-z))
    flat = -z - 2 * math.log1p(math.exp(-z))
    assert lyapunov_exponent(W, "sigmoid", start, 20) == pytest.approx(math.log(weight) + flat)


def test_exponent_does_not_depend_on_a_start_at_an_eigenvector():
    rate = lyapunov_exponent([[2.0, -1.0], [-1.0, 2.0]], "identity", [1.0, 0.9], 500)
    assert rate == pytest.approx(math.log(3), rel=1e-6)
    assert lyapunov_exponent([[0.3]], "relu", [1.0], 10) == pytest.approx(math.log(0.3), rel=1e-6)


def test_exponent_whose_state_overflows_is_refused():
    W = torch.tensor([[1.7e308, 1.7e308], [-1.7e308, 1.7e308]], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"^W and state must be such that"):
        lyapunov_exponent(W, "tanh", torch.ones(2).double(), 3)


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


def test_norm_beyond_the_numbers_of_single_precision_is_kept():
    gradient = torch.full((100,), 3e38)
    for change in (clip_by_norm, rescale_to_norm):
        torch.testing.assert_close(change(gradient, 1e39), torch.full((100,), 1e38))


def test_bound_beyond_the_numbers_of_the_dtype_clips_nothing():
    assert clip_by_value([3.0, -4.0], 1e300).tolist() == [3.0, -4.0]
    assert clip_by_norm([3.0, -4.0], 1e300).tolist() == [3.0, -4.0]
    with pytest.raises(ValueError, match="norm must be such that"):
        rescale_to_norm([3.0, -4.0], 1e300)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_kreiss_constant_of_a_badly_scaled_matrix(order):
    M = torch.tensor([[0.5, 0.3, -0.2], [0.4, -0.3, 0.5], [0.1, 0.6, 0.2]], dtype=torch.float64)
    scaled = []
    for c in (1e5, 1e8):
        d = torch.tensor([1.0, c, c * c], dtype=torch.float64)[list(order)]
        scaled.append(kreiss_constant(d[:, None] * M / d) / c**2)
    assert scaled[0] == pytest.approx(scaled[1], rel=1e-4)


@pytest.mark.parametrize("clip", [clip_by_norm, rescale_to_norm])
def test_small_entries_beside_a_huge_one_survive_clipping(clip):
    large, small = clip(torch.tensor([2e38, 1e-10]), 1e38).tolist()
    assert (large, small) == (pytest.approx(1e38), pytest.approx(5e-11))


def test_rnn_slope_that_underflows_times_a_large_weight():
    rnn = nn.RNN(1, 1, bias=False)
    nn.init.constant_(rnn.weight_hh_l0, 1e30)
    nn.init.ones_(rnn.weight_ih_l0)
    found = recurrent.rnn_jacobian(rnn, [[60.0]], [0.0]).jacobian.item()
    assert math.isclose(found, 4e30 * math.exp(-120), rel_tol=1e-3)


@pytest.mark.parametrize(
    ("nonlinearity", "weight", "expected"), [("tanh", 400.0, -792.6222), ("sigmoid", 800.0, -793.3)]
)
def test_exponent_where_parts_of_the_change_are_far_apart(nonlinearity, weight, expected):
    # the first unit's part of the change is e^790 times the second's, and dies in the next step
    rate = lyapunov_exponent([[0.0, 1.0], [0.0, weight]], nonlinearity, [0.0, 1.0], 50)
    assert rate == pytest.approx(expected, rel=1e-4)


def test_norm_whose_gradient_would_lose_its_direction_is_refused():
    with pytest.raises(ValueError, match=r"^norm must be at least 1.18e-38"):
        rescale_to_norm([3.0, 4.0], 2e-45)
    with pytest.raises(ValueError, match=r"^max_norm must be at least 1.18e-38"):
        clip_by_norm([3.0, 4.0], 2e-45)
    double = torch.tensor([3.0, 4.0]).double()
    torch.testing.assert_close(rescale_to_norm(double, 5e-45), 1e-45 * double, rtol=1e-12, atol=0.0)
    assert clip_by_norm(torch.zeros(2), 2e-45).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "cell",
    [
        nn.RNN(1, 1, device="meta"),
        nn.LSTM(1, 1, device="meta"),
        nn.RNN(1, 1, dtype=torch.complex64),
        nn.LSTM(1, 1, dtype=torch.bfloat16),
    ],
    ids=["RNN without data", "LSTM without data", "complex RNN", "half LSTM"],
)
def test_cell_of_odd_weights_is_refused_by_name(cell):
    name = "lstm" if isinstance(cell, nn.LSTM) else "rnn"
    state = [[0.0]] * (2 if name == "lstm" else 1)
    run = lstm_jacobian if name == "lstm" else rnn_jacobian
    with pytest.raises(TypeError, match=rf"^{name}\.weight_ih_l0 must be"):
        run(cell, [[1.0]], *state)


@pytest.mark.parametrize("g", [1, 2, 3, 7, 59])
@pytest.mark.parametrize("h", [1, 2, 3])
def test_exponent_of_a_nilpotent_matrix_is_minus_infinity(g, h):
    # 2a + b cancels exactly, whatever a is: no rounding error is taken for a change
    W = torch.tensor([[g * h, h], [-g * g * h, -g * h]], dtype=torch.float64)
    assert lyapunov_exponent(W, "identity", torch.ones(2).double(), 20) == -math.inf


class Doubling(nn.RNN):
    """Doubles its inputs."""

    def forward(self, x, h):
        """Run."""
        return super().forward(2 * x, h)


def test_cells_that_compute_something_else_are_refused():
    hooked = nn.LSTM(1, 2)
    hooked.register_forward_hook(lambda *given: None)
    with pytest.raises(TypeError, match=r"must compute what its class in torch\.nn does"):
        rnn_jacobian(Doubling(1, 2), torch.ones(3, 1), torch.zeros(2))
    with pytest.raises(TypeError, match=r"must compute what its class in torch\.nn does"):
        lstm_jacobian(hooked, torch.ones(3, 1), torch.zeros(2), torch.zeros(2))
