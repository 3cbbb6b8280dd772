"""Scale-invariant functions, as properties over random points."""

import math
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hw2lib import scale_invariance
from hw2lib.claims.solution_3_scale_invariance.b_step import turns
from hw2lib.claims.solution_3_scale_invariance.c_dynamics import cosine_angles, fixed_functions
from hw2lib.scale_invariance import (
    batchnorm_loss,
    chain_rule_gradient,
    descend,
    equilibrium_angle,
    function_gradient,
    norms_after,
    sphere_step,
    tangent_projector,
)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss(eps=0.0):
    return batchnorm_loss(random(30, 5), random(30, seed=1).tanh(), eps)


seeds = st.integers(0, 10**6)
scales = st.floats(1e-3, 1e3)


@given(seeds, scales)
def test_gradient_times_length_depends_on_the_direction_alone(seed, scale):
    x = random(5, seed=seed)
    at_x, there = (function_gradient(loss(), point) for point in (x, scale * x))
    torch.testing.assert_close(scale * there, at_x, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(chain_rule_gradient(loss(), x), at_x, rtol=1e-9, atol=1e-12)
    assert abs(at_x @ x) < 1e-10 * at_x.norm() * x.norm() + 1e-14


@given(seeds, scales)
def test_network_with_hidden_units_is_invariant_too(seed, scale):
    X, y = random(20, 3, seed=seed), random(20, seed=seed + 1)
    f = batchnorm_loss(X, y, readout=random(4, seed=seed + 2))
    w = random(12, seed=seed + 3)
    torch.testing.assert_close(f(scale * w), f(w))
    hidden = X @ w.reshape(4, 3).T
    hidden = (hidden - hidden.mean(0)) / hidden.std(0, correction=0)
    expected = (hidden.tanh() @ random(4, seed=seed + 2) - y).square().mean()
    torch.testing.assert_close(f(w), expected)


def test_epsilon_breaks_the_invariance():
    x = random(5)
    f = loss(0.1)
    assert (f(x) - f(0.1 * x)).abs() > 1e-3
    with pytest.raises(ValueError, match="gradient must be orthogonal to x"):
        sphere_step(x, function_gradient(f, x), 0.1)


@given(seeds, st.floats(1e-6, 1e4))
def test_projected_step_keeps_unit_norm_and_turns_by_the_angle(seed, rate):
    x = random(5, seed=seed)
    step = sphere_step(x, function_gradient(loss(), x), rate)
    u = x / x.norm()
    assert step.u.norm().item() == pytest.approx(1, abs=1e-12)
    assert (u @ step.u).item() == pytest.approx(step.angle.cos().item(), abs=1e-12)
    first_order = u + (step.x - x) / x.norm()
    distance = (step.u - first_order).norm().item()
    assert step.remainder.item() == pytest.approx(distance, rel=1e-6, abs=1e-13)


def test_small_remainder_does_not_cancel():
    step = sphere_step(torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1e-9]).double(), 1.0)
    assert step.remainder.item() == pytest.approx(5e-19, rel=1e-9)


@given(seeds)
def test_projector_is_symmetric_idempotent_and_of_rank_one_less(seed):
    u = random(6, seed=seed)
    u = u / u.norm()
    P = tangent_projector(u)
    torch.testing.assert_close(P @ P, P)
    torch.testing.assert_close(P, P.T)
    assert torch.linalg.matrix_rank(P) == 5
    assert (P @ u).norm() < 1e-12


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_path_follows_the_exact_recursion(decay):
    rate = 0.2
    path = descend(loss(), random(5, seed=3), rate, 30, weight_decay=decay)
    norms = path.norms[:-1]
    predicted = ((1 - rate * decay) * norms) ** 2 + (rate * path.gradient_norms / norms) ** 2
    torch.testing.assert_close(path.norms[1:] ** 2, predicted, rtol=1e-12, atol=0)
    assert len(path.losses) == len(path.angles) == len(path.norms) - 1 == 30
    assert path.norms[-1].item() == pytest.approx(path.x.norm().item())


def test_length_grows_like_the_fourth_root():
    norms = norms_after(1.0, 2.0, 0.1, 100_000)
    assert norms[-1].item() ** 4 == pytest.approx(1 + 2 * 0.01 * 4 * 100_000, rel=1e-2)
    assert norms[-1].item() ** 4 > 1 + 2 * 0.01 * 4 * 100_000


@given(st.floats(0.01, 0.9), st.floats(0.01, 1.0), st.floats(0.1, 10))
def test_equilibrium_does_not_depend_on_the_gradient(rate, decay, length):
    steps = 2000 + int(30 / (rate * decay))
    r = norms_after(1.0, length, rate, steps, decay)[-1].item()
    settled = math.atan(rate * length / ((1 - rate * decay) * r**2))
    assert settled == pytest.approx(equilibrium_angle(rate, decay), rel=1e-9)


@pytest.mark.parametrize("size", [1e-300, 5e-324])
def test_equilibrium_angle_where_the_product_of_the_rates_underflows(size):
    angle = equilibrium_angle(size, size)  # √(2ηλ)
    assert angle == pytest.approx(2**0.5 * size, rel=1e-9, abs=5e-324)
    assert angle > 0


def test_gradient_goes_to_zero_on_a_fixed_function():
    for description, (f, x, rate) in islice(fixed_functions(np.random.default_rng(0)), 30):
        for _ in range(2000):
            x = x - rate * f.gradient(x)
        length = np.linalg.norm(x) * np.linalg.norm(f.gradient(x))
        assert length <= 1e-3 * f.curvature, description


def test_angles_in_the_plane_are_those_of_gradient_descent():
    rate, decay = 0.1, 0.2
    angles = cosine_angles(3, rate, decay, burn_in=0)
    c, x = np.random.default_rng(3).standard_normal((2, 8, 4))
    for run in range(8):
        pull = torch.tensor(c[run])
        path = descend(lambda z, c=pull: -(c @ z) / z.norm(), x[run], rate, 20, weight_decay=decay)
        np.testing.assert_allclose(angles[:20, run], path.angles, rtol=1e-6, atol=1e-12)


def test_too_much_decay_is_refused():
    with pytest.raises(ValueError, match=r"learning_rate · weight_decay must be below 1, got 2"):
        equilibrium_angle(2.0, 1.0)


def test_step_agrees_with_rational_arithmetic():
    for description, case in islice(turns(np.random.default_rng(0)), 50):
        u, heading = (torch.tensor(v.astype(float)) for v in (case.u, case.heading))
        x, gradient = float(case.r) * u, float(case.length) * heading
        step = sphere_step(x, gradient, float(case.rate))
        secant = float(case.secant)
        expected = (u - float(case.s) * heading) / secant
        torch.testing.assert_close(step.u, expected, rtol=0, atol=1e-12, msg=description)
        assert step.angle.tan().item() == pytest.approx(float(case.s), rel=1e-9)
        assert step.remainder.item() == pytest.approx(float(case.secant - 1), rel=1e-9)
        assert step.x.norm().item() == pytest.approx(float(case.r) * secant, rel=1e-12)


def test_two_half_steps_turn_further_than_one():
    for s in (1e-3, 0.5, 1.0, 10.0):
        x = torch.tensor([1.0, 0.0], dtype=torch.float64)
        half = sphere_step(x, torch.tensor([0.0, s / 2], dtype=torch.float64), 1.0)
        n = torch.stack([-half.u[1], half.u[0]])
        again = sphere_step(half.x, s / 2 / half.x.norm() * n, 1.0)
        turned = (half.angle + again.angle).tan().item()
        assert turned == pytest.approx(s + s**3 / 8, rel=1e-9)


@given(seeds, st.floats(0.01, 0.5), st.floats(0.0, 1.0))
def test_mean_of_log_cosines_is_the_decay_up_to_the_ends(seed, rate, decay):
    path = descend(loss(), random(5, seed=seed), rate, 20, weight_decay=decay)
    ends = (path.norms[-1] / path.norms[0]).log().item() / 20
    expected = math.log(1 - rate * decay) - ends
    assert path.angles.cos().log().mean().item() == pytest.approx(expected, abs=1e-10)


def test_angle_is_accurate_for_hardly_any_decay():
    assert equilibrium_angle(1e-8, 1e-12) == pytest.approx(math.sqrt(2e-20), rel=1e-12)
    assert equilibrium_angle(0.5, 1.0) == pytest.approx(math.acos(0.5), rel=1e-15)


@given(st.floats(0.01, 0.9), st.floats(0.0, 0.99))
def test_momentum_makes_the_angle_smaller(share, momentum):
    cosine = math.cos(equilibrium_angle(1.0, share, momentum))
    assert cosine == pytest.approx(1 - share / (1 + momentum), abs=1e-12)


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\)"):
        equilibrium_angle(0.1, 0.1, momentum)


@pytest.mark.parametrize("size", [1e-42, 1e-25, 1e25, 1e38])
def test_step_of_any_size_sees_the_angle_of_its_gradient(size):
    x, across = torch.tensor([size, 0.0]), torch.tensor([0.0, size])
    with pytest.raises(ValueError, match="gradient must be orthogonal to x"):
        sphere_step(x, x, 1.0)
    step = sphere_step(x, across, 1.0)
    torch.testing.assert_close(step.u, 0.5**0.5 * torch.tensor([1.0, -1.0]))
    assert step.angle.item() == pytest.approx(math.pi / 4)
    assert step.remainder.item() == pytest.approx(2**0.5 - 1)


def test_radial_gradient_beside_a_small_one_is_refused():
    with pytest.raises(ValueError, match="got a cosine of 1"):
        sphere_step([1.0, 0.0], torch.tensor([1e-42, 0.0]), 0.1)


@pytest.mark.parametrize("norm", [1e-200, 1e-100, 1.0, 1e100, 1e200])
def test_lengths_of_any_size(norm):
    path = norms_after(norm, 3 * norm, 0.1 * norm, 20)  # rate·G/r² is the same for all
    torch.testing.assert_close(path / norm, norms_after(1.0, 3.0, 0.1, 20))


def test_lengths_that_overflow_are_refused():
    with pytest.raises(ValueError, match="norm, gradient_norm and learning_rate must be of a size"):
        norms_after(1e-200, 1e200, 1.0, 1)


@pytest.mark.parametrize("size", [1e-28, 1e-3, 1e28])
def test_path_of_any_size_turns_alike(size):
    def f(z):
        z = z / z.detach().abs().max()
        return z[0] / z.norm()

    x = torch.tensor([0.6, 0.8])
    path, moved = descend(f, x, 0.1, 5), descend(f, size * x, 0.1, 5)
    torch.testing.assert_close(moved.losses[0], path.losses[0])
    torch.testing.assert_close(moved.norms[0] / size, path.norms[0])
    torch.testing.assert_close(moved.gradient_norms[0], path.gradient_norms[0])


def test_function_without_slope_is_refused():
    with pytest.raises(ValueError, match=r"function must return a tensor that depends on its"):
        function_gradient(lambda x: torch.tensor(1.0), torch.ones(2))
    with pytest.raises(ValueError, match=r"^function and x must be such that"):
        function_gradient(lambda x: x.sqrt().sum(), torch.zeros(2))


def test_function_of_something_else_is_refused():
    other = torch.ones(2, requires_grad=True)
    for call in (
        lambda: function_gradient(lambda x: other.sum(), [1.0, 2.0]),
        lambda: descend(lambda x: other.sum(), [1.0, 2.0], 0.1, 3),
    ):
        with pytest.raises(ValueError, match="depends on its argument"):
            call()


def test_gradient_of_many_entries_and_without_gradients_on():
    with torch.no_grad():
        found = chain_rule_gradient(lambda x: x[0] / x.norm(), torch.ones(100_000))
    assert found.shape == (100_000,)


def test_tiny_rate_of_a_huge_gradient_in_single_precision():
    step = sphere_step(torch.tensor([1e-20, 0.0]), torch.tensor([0.0, 1e30]), 1e-50)
    torch.testing.assert_close(step.x, torch.tensor([1e-20, -1e-20]), rtol=1e-5, atol=0)


def test_length_that_is_not_one_is_refused_in_many_dimensions():
    u = torch.zeros(1000)
    u[0] = 1.0036
    with pytest.raises(ValueError, match="u must be a unit vector"):
        tangent_projector(u)


def test_descent_onto_zero_is_refused():
    with pytest.raises(ValueError, match=r"keep x away from zero.*got zero in step 1"):
        descend(lambda z: 0.5 * (z * z).sum(), [1.0, 0.0], 1.0, 3)


def test_functions_work_in_inference_mode_and_carry_no_gradient():
    with torch.inference_mode():
        assert function_gradient(lambda z: z[1] / z[0], [2.0, 3.0]).tolist() == [-0.75, 0.5]
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    path = descend(lambda z: z[1] / z.norm(), x, 0.1, 1)
    step = sphere_step(x, torch.tensor([-2.0, 1.0]), 0.1)
    chain = chain_rule_gradient(lambda z: z[1] / z.norm(), x)
    assert not any(each.requires_grad for each in (*path, *step, chain))


def test_batchnorm_loss_names_its_weight():
    f = batchnorm_loss(torch.eye(3, 2, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    assert f(np.array([1.0, 2.0])) == f(torch.tensor([1.0, 2.0], dtype=torch.float64))
    with pytest.raises(ValueError, match="inputs, weight must share dtype"):
        f([1.0, 2.0])


def test_small_steps_do_not_cancel():
    remainder = scale_invariance.sphere_step([1.0, 0.0], [0.0, -1.0], 1e-10).remainder
    assert math.isclose(remainder.item(), 5e-21, rel_tol=1e-5)
    angles = scale_invariance.descend(lambda z: z[1], [1.0, 0.0], 1e-5, 1).angles
    assert math.isclose(angles.item(), 1e-5, rel_tol=1e-5)
    x = scale_invariance.descend(lambda z: 1e30 * z[1], [1.0, 1e-20], 1e-50, 1).x
    assert abs(x[1]) < 1e-26


def test_gradient_that_is_not_quite_orthogonal_is_refused():
    with pytest.raises(ValueError, match="gradient must be orthogonal to x"):
        scale_invariance.sphere_step([1.0, 0.0], [0.01, 1.0], 0.1)


@pytest.mark.parametrize("length", [2e38, 1.4e-45])
def test_route_by_the_chain_rule_at_any_length_in_single_precision(length):
    x = torch.full((4,), length)
    slope = 1e20 if length > 1 else 1e-30

    def function(z):
        return slope * z[0] / z.norm()

    expected = slope / (2 * x[0].item()) * torch.tensor([0.75, -0.25, -0.25, -0.25])
    torch.testing.assert_close(chain_rule_gradient(function, x), expected, rtol=1e-5, atol=0.0)


def test_length_of_many_entries_in_single_precision():
    x = torch.rand(2 * 10**6, generator=torch.Generator().manual_seed(0))
    path = descend(lambda z: (z / z.norm())[0], x, 1e-3, 1)
    assert path.norms[0].item() == pytest.approx(x.double().norm().item(), rel=1e-7)


def test_small_angle_of_a_descent_is_that_between_its_points():
    def function(z):
        return (z[0] * z[1] + z[2] ** 2) / z.norm() ** 2

    x = torch.tensor([1.1, 0.7, 0.4])
    path = descend(function, x, 1e-6, 1)
    x, y = x.double(), path.x.double()
    expected = torch.linalg.cross(x, y).norm() / (x.norm() * y.norm())
    assert path.angles[0].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("size", [1.4e-45, 1.0, 3e38])
def test_batchnorm_loss_is_scale_invariant_at_any_size(size):
    inputs = [[1.0, 0.5], [0.3, 0.7], [0.2, 0.9], [0.5, 0.1]]
    loss = batchnorm_loss(inputs, [0.0, 1.0, 0.5, 0.2])
    torch.testing.assert_close(loss(torch.full((2,), size)), loss(torch.ones(2)))
    with pytest.raises(ValueError, match="weight must not be zero in any unit"):
        loss(torch.zeros(2))


def test_projector_of_a_nearly_unit_vector_is_one():
    P = tangent_projector([1.0004, 0.0])
    assert torch.equal(P, torch.tensor([[0.0, 0.0], [0.0, 1.0]]))


def test_push_much_longer_than_the_norm():
    assert norms_after(1e-100, 1e100, 1e100, 1)[1].item() == pytest.approx(1e300)


def test_unit_that_does_not_vary_is_told_in_the_arguments_of_the_loss():
    with pytest.raises(ValueError, match="inputs and weight must give what batch norm takes"):
        batchnorm_loss([[1.0, 0.0], [1.0, 2.0]], [0.0, 1.0])(torch.tensor([1.0, 0.0]))
