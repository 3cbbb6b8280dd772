"""Dropout's two conventions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from hw2lib import dropout, scale_invariance
from hw2lib.dropout import dropout_outputs


@given(
    seed=st.integers(0, 10**6),
    p=st.floats(0, 0.95),
    convention=st.sampled_from(["original", "inverted"]),
)
def test_affine_layers_agree_in_expectation_and_convex_ones_exceed(seed, p, convention):
    generator = torch.Generator().manual_seed(seed)
    x, w = (torch.randn(6, generator=generator, dtype=torch.float64) for _ in range(2))
    mean, evaluation = dropout_outputs(lambda z: z @ w + 3, x, p, convention)
    torch.testing.assert_close(mean, evaluation)
    mean, evaluation = dropout_outputs(lambda z: (z @ w).square(), x, p, convention)
    assert mean >= evaluation - 1e-12


@given(
    x=st.floats(-5, 5),
    p=st.floats(0, 0.95),
    slopes=st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3)),
    convention=st.sampled_from(["original", "inverted"]),
)
def test_positively_homogeneous_functions_of_one_unit_are_harmless(x, p, slopes, convention):
    a, b, c = slopes

    def leaky(z):
        return c + a * z.clamp(min=0) + b * z.clamp(max=0)

    units = torch.tensor([x], dtype=torch.float64)
    mean, evaluation = dropout_outputs(leaky, units, p, convention)
    torch.testing.assert_close(mean, evaluation, rtol=1e-9, atol=1e-9)


def test_tanh_of_one_unit_is_not_harmless():
    mean, evaluation = dropout_outputs(torch.tanh, torch.tensor([1.2]), 0.3, "inverted")
    assert (mean - evaluation).abs() > 0.1


def test_inverted_convention_is_torchs():
    torch.manual_seed(0)
    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    draws = functional.dropout(x.expand(200_000, 3), 0.3)
    sampled = torch.relu(draws.sum(1)).mean()
    exact = dropout_outputs(lambda z: torch.relu(z.sum(1)), x, 0.3, "inverted").training_mean
    assert sampled == pytest.approx(exact.item(), rel=0.01)


def test_conventions_differ_by_the_scale_of_what_follows():
    x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    for convention, scale in (("original", 0.7), ("inverted", 1.0)):
        mean, evaluation = dropout_outputs(lambda z: z, x, 0.3, convention)
        torch.testing.assert_close(evaluation, scale * x)
        torch.testing.assert_close(mean, scale * x)


def test_too_many_masks_are_refused():
    with pytest.raises(ValueError, match=r"x must have at most 16 entries.*got 17"):
        dropout_outputs(torch.relu, torch.ones(17), 0.5, "inverted")


def test_the_most_masks_are_taken():
    mean, evaluation = dropout_outputs(lambda z: z.sum(-1), torch.ones(16), 0.5, "inverted")
    assert mean.item() == pytest.approx(16)
    assert evaluation.item() == 16


def test_truth_values_are_counted():
    found = dropout_outputs(lambda z: z.sum(1) > 1, torch.ones(3), 0.5, "inverted")
    assert (found.training_mean.item(), found.evaluation.item()) == (7 / 8, 1.0)


def test_without_drops_the_function_is_asked_at_x_alone():
    found = dropout_outputs(lambda z: z.log().sum(1), torch.ones(2), 0.0, "inverted")
    assert found == (0, 0)
    with pytest.raises(ValueError, match=r"function and x must be such that the result is finite"):
        dropout_outputs(lambda z: z.log().sum(1), torch.ones(2), 0.1, "inverted")


def test_function_that_drops_the_only_mask_is_refused():
    w = torch.ones(2)
    with pytest.raises(ValueError, match="function must return one row a mask, 1 here, got"):
        dropout_outputs(lambda z: (z @ w[:, None]).squeeze(), torch.ones(2), 0.5, "inverted")


def test_outputs_of_a_wrong_kind_or_number_are_refused():
    def outputs(function):
        return dropout.dropout_outputs(function, [1.0, 2.0], 0.5, "inverted")

    with pytest.raises(ValueError, match="function must return real numbers"):
        outputs(lambda z: z.sum(1) * 1j)
    with pytest.raises(ValueError, match="one row a mask, 4 here"):
        outputs(lambda z: z[:1].sum(1))
    assert outputs(lambda z: z.sum(1) > 0).evaluation.dtype == torch.float32
    loss = scale_invariance.batchnorm_loss([[1.0, 0.0], [0.0, 1.0]], [0.0, 1.0])
    with pytest.raises(ValueError, match="weight must have shape"):
        loss(torch.ones(3))
