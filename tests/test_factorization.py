"""The algebra of ‖X − AB‖², as properties over random problems."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import pad
from torch.overrides import TorchFunctionMode

from hw2lib import _leading, factorization
from hw2lib.factorization import (
    alternating_least_squares,
    balance_factors,
    change_basis,
    connecting_matrix,
    critical_hessian_eigenvalues,
    critical_point,
    gradient_descent,
    loss,
    loss_gradient,
    loss_hessian,
    low_rank_factors,
    random_factors,
    truncation_error,
    weyl_gaps,
)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@st.composite
def problems(draw):
    """Draw a matrix and a rank that it can have."""
    m, n = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    return random(m, n, seed=draw(st.integers(0, 10**6))), draw(st.integers(1, min(m, n)))


@given(problems())
def test_factors_attain_the_formula_and_are_balanced(problem):
    X, rank = problem
    A, B = low_rank_factors(X, rank)
    assert A.shape == (len(X), rank)
    torch.testing.assert_close(loss(X, A, B), truncation_error(X, rank), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(A.T @ A, B @ B.T, rtol=0, atol=1e-12)
    assert all(column[column.abs().argmax()] > 0 for column in A.T)


def with_spectrum(m, n, squares):
    left, right = (torch.linalg.qr(random(k, min(m, n), seed=k)).Q for k in (m, n))
    return left * squares.sqrt() @ right.T


def decompositions(monkeypatch):
    """Return the list of the shapes of large matrices that are going to be decomposed in full."""
    shapes, svd = [], torch.linalg.svd

    def recorded(X, **options):
        if min(X.shape) > 9:
            shapes.append(tuple(X.shape))
        return svd(X, **options)

    monkeypatch.setattr(torch.linalg, "svd", recorded)
    return shapes


LEVELS = torch.arange(1, 561, dtype=torch.float64)
LARGE = {
    "decaying": lambda: with_spectrum(640, 560, 0.8**LEVELS),
    "slowly decaying": lambda: with_spectrum(560, 640, 1 / LEVELS),
    "flat": lambda: random(640, 560),
    "diagonal": lambda: torch.diag(0.5**LEVELS),
    "of low rank": lambda: with_spectrum(640, 560, torch.where(LEVELS < 30, 1 / LEVELS, 0)),
}


@pytest.mark.parametrize("name", LARGE)
def test_few_factors_of_a_large_matrix_without_the_full_decomposition(name, monkeypatch):
    X = LARGE[name]()
    U, S, Vh = torch.linalg.svd(X, full_matrices=False)
    shapes = decompositions(monkeypatch)
    for size, rank in itertools.product((1, 1e-30, 1e-150, 1e150), (1, 3, 8)):
        A, B = (factor / size**0.5 for factor in low_rank_factors(size * X, rank))
        torch.testing.assert_close(loss(X, A, B), S[rank:].square().sum(), rtol=1e-10, atol=0)
        assert (A.T @ A - B @ B.T).norm() < 1e-12 * (A.T @ A).norm()
        assert (A @ B - U[:, :rank] * S[:rank] @ Vh[:rank]).norm() < 1e-4 * S[:rank].sum()
    assert not shapes


def test_close_singular_values_need_double_precision_throughout(monkeypatch):
    X = with_spectrum(640, 560, (1 - 1e-6 * LEVELS) ** 2)
    shapes = decompositions(monkeypatch)
    torch.testing.assert_close(
        loss(X, *low_rank_factors(X, 3)), truncation_error(X, 3), rtol=1e-10, atol=0
    )
    assert not shapes
    monkeypatch.setattr(_leading, "PRECISIONS", (torch.float32,))
    low_rank_factors(X, 3)
    assert shapes == [(640, 560)]


@pytest.mark.parametrize(
    "squares",
    [
        torch.where(LEVELS < 3, 2.0, 0.8**LEVELS),  # sigma_1 = sigma_2
        torch.where(LEVELS < 3, 2.0 - 1e-13 * LEVELS, 0.8**LEVELS),
        torch.ones(560).double(),
        torch.zeros(560).double(),
        torch.where(LEVELS == 1, 1.0, 0.0),
        torch.where(LEVELS == 1, 1.0, 1e-16 / LEVELS),  # squares that drown in rounding errors
    ],
)
def test_full_decomposition_where_nothing_is_certified(squares, monkeypatch):
    X = with_spectrum(640, 560, squares.double())
    shapes = decompositions(monkeypatch)
    A, B = low_rank_factors(X, 1)
    assert shapes == [(640, 560)]
    assert loss(X, A, B) <= truncation_error(X, 1) * (1 + 1e-10) + 1e-28


def ritz_pairs(values, rows, residuals):
    """Return Ritz pairs in a space whose basis they are."""
    values, residuals = torch.as_tensor(values).double(), torch.as_tensor(residuals).double()
    return _leading.Ritz(
        values, rows, values[: len(rows), None] * rows, residuals, torch.eye(len(rows)).double()
    )


def trace_bound(space, task):
    """Return the bound that the Ritz values of a Krylov space prove."""
    values = space.ritz_values()
    inside, outside = values[task.rank].item(), task.total - values.sum().item()
    return _leading.trace_bound(inside, outside, space.defect(), task.slack(space.size))


def basis(rows):
    """Return orthonormal rows of the same span."""
    return torch.linalg.qr(rows.T).Q.T


def middle(ritz, rank):
    """Return the bound that Cholesky decompositions are asked to prove."""
    last, following = ritz.values[rank - 1 : rank + 1].tolist()
    return last - (last - following) / 4


@pytest.mark.parametrize("proof", ["trace_bound", "cholesky_bounds"])
def test_each_proof_is_needed_for_some_matrix_and_refuses_a_missed_vector(proof, monkeypatch):
    X = LARGE["decaying" if proof == "trace_bound" else "flat"]()
    shapes = decompositions(monkeypatch)
    fails = {"trace_bound": math.inf, "cholesky_bounds": False}
    monkeypatch.setattr(_leading, proof, lambda *_: fails[proof])
    low_rank_factors(X, 3)
    assert shapes == ([] if proof == "trace_bound" else [(640, 560)])
    G = X.T @ X
    values, vectors = torch.linalg.eigh(G)
    values, rows, total = values.flip(0), vectors.T.flip(0), G.trace().item()
    task = _leading.Task(3, total, 1e-12 * total, 0.0)
    monkeypatch.undo()
    for start, proved in ((0, True), (1, False)):  # the first vector is in the space, or missed
        space = ritz_pairs(values[start:200], rows[start : start + 3], torch.zeros(3))
        outside = task.total - space.values.sum().item()
        s = _leading.trace_bound(space.values[3].item(), outside, 0.0, task.slack(200))
        assert s > values[0 if start else 3] * (1 - 1e-14)
        assert (s < space.values[2]) == (proved and proof == "trace_bound")
        s = middle(space, 3)
        assert _leading.cholesky_bounds(G, space, task, s) == proved


@pytest.mark.parametrize(
    ("rest", "slack", "proved"), [(3.24, 0, True), (3.26, 0, False), (3.24, 0.02, False)]
)
def test_proofs_reach_to_the_bound_itself(rest, slack, proved):
    G = torch.diag(torch.tensor([4.0, 1.0, 1.0]).double())
    G[1, 2] = G[2, 1] = rest - 1  # so the eigenvalue after 4 is `rest`
    ritz = ritz_pairs(G.diagonal()[:2], torch.eye(3).double()[:2], [0.0, rest - 1])
    s = middle(ritz, 1)
    assert s == 3.25
    task = _leading.Task(1, G.trace().item(), slack, 0.0)
    assert (_leading.trace_bound(1.0, 1.0, rest - 1, task.slack(2)) <= s) == proved
    assert _leading.cholesky_bounds(G, ritz, task, s) == proved


def test_trace_bound_is_the_larger_eigenvalue_with_rounding_errors_at_their_worst():
    slack = _leading.Task(1, 10.0, 0.03, 0.01).slack(4)
    assert slack == pytest.approx(0.1)  # 2 · 0.03 + 4 · 0.01
    worst = torch.tensor([[2.1, 0.4], [0.4, 1.6]], dtype=torch.float64)
    s = _leading.trace_bound(2.0, 1.5, 0.3, slack)
    assert s == pytest.approx(torch.linalg.eigvalsh(worst)[1].item(), rel=1e-14)


def test_rows_ahead_lower_the_trace_by_all_but_their_largest_square(monkeypatch):
    G = torch.diag(torch.tensor([5.0, 1.0, 0.5, 3.0, 0.9, 0.8, 0.7], dtype=torch.float64))
    G[1, 3] = G[3, 1] = G[2, 4] = G[4, 2] = 0.1  # so rows 3 and 4 come after 0, 1, 2
    X, trace = torch.linalg.cholesky(G).T, G.trace().item()
    arguments = torch.eye(7).double()[:3], lambda rows: X @ rows.T, lambda halves: halves.T @ X, 5
    space = _leading.Krylov(*arguments)
    task, checked = _leading.Task(1, trace, 1e-3, 1e-4), []
    monkeypatch.setattr(_leading, "orthonormal", lambda rows: checked.append(len(rows)) or True)
    _, s = _leading.search(space, task, 2, math.inf)
    assert (space.size, len(space.rows), checked) == (3, 5, [5])
    outside, slack = trace - 6.5 - 0.9, task.slack(5)
    assert s == pytest.approx(_leading.trace_bound(1.0, outside, space.defect(), slack), rel=1e-12)
    assert torch.linalg.eigvalsh(G)[-2] < s < 5 < outside + 0.9
    monkeypatch.setattr(_leading, "orthonormal", lambda _: False)
    assert _leading.search(_leading.Krylov(*arguments), task, 2, math.inf)[1] == math.inf


def test_lehmann_bound_can_be_attained():
    theta, s, residual = 3.0, 1.0, 1e-3
    G = torch.tensor(
        [[theta, residual], [residual, s + residual**2 / (theta - s)]], dtype=torch.float64
    )
    values = torch.linalg.eigvalsh(G).tolist()
    assert values[0] == pytest.approx(s, rel=1e-12)  # no more than one eigenvalue exceeds s
    assert values[1] - theta == pytest.approx(residual**2 / (theta - s), rel=1e-8)


@pytest.mark.parametrize("proved", [True, False])
@pytest.mark.parametrize("slack", [0, 0.1])
def test_certified_up_to_the_tolerance_with_rounding_errors_at_their_worst(
    slack, proved, monkeypatch
):
    monkeypatch.setattr(_leading, "TOLERANCE", 0.5)
    gaps = [5.0 - slack - 1.0, 3.0 - slack - 1.0]
    excess = (math.hypot(0.4 / gaps[0] ** 0.5, 0.2 / gaps[1] ** 0.5) + slack / gaps[1] ** 0.5) ** 2
    optimum = excess / 0.5 * (1.001 if proved else 0.999)
    task = _leading.Task(2, 8.0 + slack + excess + optimum, slack / 8**0.5, slack / 4)
    ritz = ritz_pairs([5.0, 3.0], torch.eye(3).double()[:2], [0.4, 0.2])
    assert _leading.certified(ritz, task, 1.0) == proved


@pytest.mark.parametrize("shape", [(640, 560), (40000, 16)])
def test_products_in_single_precision_sum_as_few_terms_as_their_bound_counts(shape):
    lengths = []

    class Recorded(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is Tensor.addmm_:
                lengths.append(len(args[2]))
            else:
                assert "mul" not in function.__name__
            return function(*args, **(kwargs or {}))

    X, rows = random(*shape), random(4, shape[1])
    rounded = _leading.Rounded(X)
    with Recorded():
        images = rounded.images(rounded.halves(rows))
    assert images.dtype == torch.float32
    exact = rows @ X.T @ X
    torch.testing.assert_close(images.double(), exact, rtol=0, atol=1e-5 * exact.abs().max().item())
    first = list(itertools.accumulate(lengths)).index(shape[1]) + 1
    for part, count in ((lengths[:first], shape[1]), (lengths[first:], shape[0])):
        assert sum(part) == count
        terms = rounded.unit / torch.finfo(torch.float32).eps
        assert max(part) + len(part) + 4 <= terms < max(150, 2.05 * shape[0] ** 0.5)


@pytest.mark.parametrize("rows", [[0], [15], [16], [639], [16, 40, 64], [16, 17, 18]])
def test_every_row_has_a_part_of_its_own_in_the_first_block(rows):
    X = torch.zeros(640, 560).double()  # 640 = 16 + 26 · 24
    X[rows] = random(len(rows), 560)
    mixtures = _leading.Rounded(X).mixtures(24)
    torch.testing.assert_close(mixtures @ mixtures.T, torch.eye(24).double(), rtol=0, atol=1e-13)
    torch.testing.assert_close((mixtures @ X.T).norm(), X.norm(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("gap", "optimum", "doubt"),
    [(0.2, 0.5, False), (0.09, 0.5, True), (0.5, 0.09, True), (0.5, 0.12, True)],
)
def test_in_doubt_where_gap_or_optimum_are_as_small_as_rounding_errors(
    gap, optimum, doubt, monkeypatch
):
    monkeypatch.setattr(_leading, "TOLERANCE", 0.5)
    ritz = ritz_pairs([3.0, 3.0 - gap], torch.eye(3).double()[:2], [0.0, 0.0])
    task = _leading.Task(1, 3.0 + optimum, 0.1 / 2**0.5, 0.0)
    assert _leading.in_doubt(ritz, task) == doubt


@pytest.mark.parametrize(
    ("rank", "matrix"),
    [
        (5, LARGE["decaying"]),
        (5, lambda: with_spectrum(640, 560, LEVELS**-2)),
        (1, lambda: torch.full((640, 560), 0.1).double() + 1e-3 * random(640, 560)),
    ],
)
def test_bounds_from_single_precision_are_true_and_prove_a_gap(rank, matrix):
    X = matrix()
    squares = torch.linalg.svdvals(X) ** 2
    rounded, total = _leading.Rounded(X), squares.sum().item()
    task = _leading.Task(rank, total, rounded.unit * total, 0.0)
    space = _leading.Krylov(rounded.mixtures(24), rounded.halves, rounded.images, 120)
    ritz, s = _leading.search(space, task, 8, math.inf)
    slack = task.slack(space.size)
    assert (ritz.values[:rank] - squares[:rank]).abs().max() < slack
    assert squares[rank] < s < ritz.values[rank - 1]


def test_the_loss_is_certified_by_the_quadratic_bound_and_s_is_a_true_bound():
    X = LARGE["decaying"]()
    squares = torch.linalg.svdvals(X) ** 2
    task, seen = _leading.Task(3, squares.sum().item(), 1e-13, 0.0), set()
    space = _leading.gram_space(basis(random(8, 560)), X.T @ X, 48)
    for _ in range(6):
        space.grow()
        ritz = space.ritz_pairs(8)
        excess = squares[:3].sum() - ritz.values[:3].sum()
        s = trace_bound(space, task)
        assert s > squares[3]
        gap = ritz.values[2] - s
        bound = (ritz.residuals[:3] ** 2 / (ritz.values[:3] - s)).sum()
        assert excess > -1e-14
        assert gap < 0 or excess <= bound + 1e-14
        proved = bool(gap > 0 and bound < _leading.TOLERANCE * squares[3:].sum())
        assert _leading.certified(ritz, task, s) == proved
        seen.add((bool(gap > 0), proved))
    assert seen == {(False, False), (True, False), (True, True)}


@pytest.mark.parametrize(
    ("matrix", "size"),
    [
        (LARGE["decaying"], 48),
        (LARGE["of low rank"], 48),  # new rows of the later steps are rounding errors
        (lambda: pad(random(640, 29), (0, 531)), 29),  # and these lie in the space
    ],
)
def test_ritz_pairs_of_a_krylov_space(matrix, size):
    X = matrix()
    X = X / X.norm()
    G, start = X.T @ X, basis(random(6, 640) @ X)
    space = _leading.gram_space(start, G, 48)
    norm, near = torch.linalg.vector_norm, functools.partial(torch.testing.assert_close, rtol=0)
    steps, more = 0, True
    while more:
        steps, more = steps + 1, space.grow()
        ritz, Q = space.ritz_pairs(4), space.rows
        assert norm(Q @ Q.T - torch.eye(len(Q))) < 1e-13
        powers = [start @ torch.linalg.matrix_power(G, power) for power in range(min(steps, 3))]
        powers = torch.cat(powers)
        assert norm(powers - powers @ Q.T @ Q) < 1e-12 * norm(powers)
        T = Q @ G @ Q.T
        near(ritz.values, torch.linalg.eigvalsh(T).flip(0), atol=1e-13)
        near(ritz.images, ritz.rows @ G, atol=1e-13)
        residuals = ritz.images - ritz.values[:4, None] * ritz.rows
        assert norm(residuals @ Q.T) < 1e-13
        near(ritz.residuals, norm(residuals, dim=1), rtol=1e-6, atol=1e-14)
        assert space.defect() == pytest.approx(norm(Q @ G - T @ Q).item(), rel=1e-6, abs=1e-13)
    assert space.size == len(Q) == size


def test_where_the_space_is_full_its_bound_serves_another_from_its_ritz_vectors(monkeypatch):
    X = with_spectrum(640, 560, LEVELS**-4)
    shapes = decompositions(monkeypatch)
    monkeypatch.setattr(_leading, "BLOCKS", 2)
    monkeypatch.setattr(_leading, "cholesky_bounds", lambda *_: False)
    A, B = low_rank_factors(X, 8)
    torch.testing.assert_close(loss(X, A, B), truncation_error(X, 8), rtol=1e-10, atol=0)
    assert not shapes


def test_krylov_space_takes_half_of_the_dimensions_at_most(monkeypatch):
    X = with_spectrum(576, 576, (1 - 1e-7 * torch.arange(576).double() ** 2) ** 2)
    pairs, sizes = _leading.Krylov.ritz_pairs, []

    def recorded(space, count):
        sizes.append(space.size)
        return pairs(space, count)

    monkeypatch.setattr(_leading.Krylov, "ritz_pairs", recorded)
    A, B = low_rank_factors(X, 9)
    assert max(sizes) == 288
    torch.testing.assert_close(loss(X, A, B), truncation_error(X, 9), rtol=1e-12, atol=0)


@pytest.mark.parametrize("skew", [1e-14, 1e-13])
def test_nothing_is_certified_in_a_skew_basis(skew, monkeypatch):
    X = LARGE["decaying"]()
    G = X.T @ X
    task = _leading.Task(3, G.trace().item(), 1e-12 * G.trace().item(), 0.0)
    space = _leading.gram_space(basis(random(8, 560)), G, 48)
    while space.grow():
        pass
    ritz = space.ritz_pairs(8)
    s = trace_bound(space, task)
    assert _leading.certified(ritz, task, s)
    ritz.rows[0] += skew * ritz.rows[1]
    assert _leading.certified(ritz, task, s) == (skew == 1e-14)
    assert _leading.orthonormal(space.rows)
    space.rows[41] += skew * space.rows[40]
    assert _leading.orthonormal(space.rows) == (skew == 1e-14)
    shapes = decompositions(monkeypatch)
    monkeypatch.setattr(_leading, "cholesky_bounds", lambda *_: False)
    monkeypatch.setattr(_leading, "orthonormal", lambda rows: len(rows) < 24 or skew == 1e-14)
    low_rank_factors(X, 3)
    assert shapes == ([] if skew == 1e-14 else [(640, 560)])


def test_large_matrix_leaves_the_global_generator_and_gives_the_same_bits():
    X, state = LARGE["flat"](), torch.get_rng_state()
    first = low_rank_factors(X, 3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    assert all(map(torch.equal, first, low_rank_factors(X, 3)))


def test_length_is_as_exact_as_the_proofs_count_on(monkeypatch):
    X = torch.full((1500, 1500), 0.1).double()
    exact = 1500 * 1500 * float(X[0, 0]) ** 2
    allowed = 3000 * torch.finfo(X.dtype).eps / 2
    assert allowed < abs(X.norm().item() ** 2 / exact - 1)  # one sum over all entries
    totals = []
    monkeypatch.setattr(factorization, "leading_rows", lambda X, rank, total: totals.append(total))
    assert factorization.certified_factors(X, 1) is None
    assert totals == [pytest.approx(exact, rel=allowed)]


def test_large_matrix_of_any_make():
    X = random(600, 560)
    low = low_rank_factors(X, 3)
    largest = torch.finfo(X.dtype).max / X.abs().max().item()
    rows_of_0 = torch.cat([X[:12], 1e-310 * X[12:]])
    for Y, size in ((LARGE["diagonal"](), 1), (rows_of_0, 1), (X, largest), (X, 1e-310)):
        A, B = (factor / size**0.5 for factor in low_rank_factors(size * Y, 3))
        torch.testing.assert_close(loss(Y, A, B), truncation_error(Y, 3), rtol=1e-9, atol=0)
    mirrored = torch.complex(X, -X).conj().imag  # its memory holds the negatives
    assert mirrored.is_neg()
    torch.testing.assert_close(low_rank_factors(mirrored, 3), low)
    every = low_rank_factors(torch.stack([X, X], dim=2)[..., 0], 3)
    torch.testing.assert_close(every, low)


def test_large_matrix_under_autocast_and_other_defaults():
    X = LARGE["flat"]()
    factors = low_rank_factors(X, 3)
    with torch.autocast("cpu"):
        assert all(map(torch.equal, factors, low_rank_factors(X, 3)))
    torch.set_default_dtype(torch.bfloat16)
    torch.set_default_device("meta")
    try:
        assert all(map(torch.equal, factors, low_rank_factors(X, 3)))
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("precision", ["medium", "high"])
def test_nothing_is_proved_by_products_of_less_than_single_precision(precision, monkeypatch):
    X, shapes = LARGE["decaying"](), decompositions(monkeypatch)
    torch.set_float32_matmul_precision(precision)
    try:
        A, B = low_rank_factors(X, 3)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert shapes == [(640, 560)]
    torch.testing.assert_close(loss(X, A, B), truncation_error(X, 3), rtol=1e-10, atol=0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")  # PyTorch's own use
def test_derivative_forwards_through_a_large_matrix():
    X, direction = random(600, 560), random(600, 560, seed=1)

    def best(X):
        U, S, Vh = torch.linalg.svd(X, full_matrices=False)
        return U[:, :3] * S[:3] @ Vh[:3]

    with forward_ad.dual_level():
        A, B = low_rank_factors(forward_ad.make_dual(X, direction), 3)
        slope = forward_ad.unpack_dual(A @ B).tangent
    step = 1e-5
    difference = (best(X + step * direction) - best(X - step * direction)) / (2 * step)
    assert (slope - difference).norm() < 1e-6 * slope.norm()


def test_single_precision_and_gradients_of_a_large_matrix():
    X = LARGE["decaying"]()
    A, B = low_rank_factors(X.float(), 3)
    assert A.dtype == B.dtype == torch.float32
    torch.testing.assert_close(
        loss(X, A.double(), B.double()), truncation_error(X, 3), rtol=1e-6, atol=0
    )
    X = LARGE["flat"]().requires_grad_()
    A, B = low_rank_factors(X, 3)
    slope = torch.autograd.grad(loss(X, A, B), X)[0]
    torch.testing.assert_close(slope, 2 * (X - A @ B))


@given(problems(), st.integers(0, 10**6))
def test_no_factors_pass_below_weyls_bound(problem, seed):
    X, rank = problem
    A, B = random(len(X), rank, seed=seed), random(rank, X.shape[1], seed=seed + 1)
    assert weyl_gaps(X, A, B).min() > -1e-12
    assert loss(X, A, B) >= truncation_error(X, rank) - 1e-12


def test_weyls_bound_is_attained():
    X = random(6, 5)
    assert weyl_gaps(X, *low_rank_factors(X, 2)).abs().max() < 1e-12


@given(problems(), st.integers(0, 10**6))
def test_gradient_and_hessian_are_autograds(problem, seed):
    X, rank = problem
    A, B = random(len(X), rank, seed=seed), random(rank, X.shape[1], seed=seed + 1)

    def flat(theta):
        a, b = theta[: A.numel()].reshape(A.shape), theta[A.numel() :].reshape(B.shape)
        return (X - a @ b).square().sum()

    theta = torch.cat([A.flatten(), B.flatten()])
    gradient = torch.autograd.functional.jacobian(flat, theta)
    ours = torch.cat([part.flatten() for part in loss_gradient(X, A, B)])
    torch.testing.assert_close(ours, gradient)
    torch.testing.assert_close(
        loss_hessian(X, A, B), torch.autograd.functional.hessian(flat, theta)
    )


@given(problems(), st.integers(0, 10**6))
def test_change_of_basis_keeps_the_product(problem, seed):
    X, rank = problem
    A, B = low_rank_factors(X, rank)
    G = random(rank, rank, seed=seed) + 3 * torch.eye(rank, dtype=torch.float64)
    moved = change_basis(A, B, G)
    torch.testing.assert_close(moved.A @ moved.B, A @ B, rtol=1e-8, atol=1e-9)
    if torch.linalg.cond(A) < 1e6:
        torch.testing.assert_close(connecting_matrix(A, moved.A), G, rtol=1e-6, atol=1e-6)
    balanced = balance_factors(*moved)
    assert sum(M.square().sum() for M in balanced) <= sum(M.square().sum() for M in moved) + 1e-9


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_hessian_spectrum_at_every_balanced_critical_point(shape, rank):
    X = random(*shape, seed=rank)
    for size in range(rank + 1):
        for J in itertools.combinations(range(min(shape)), size):
            A, B = critical_point(X, J, rank)
            assert max(part.abs().max() for part in loss_gradient(X, A, B)) < 1e-12
            measured = torch.linalg.eigvalsh(loss_hessian(X, A, B))
            theory = critical_hessian_eigenvalues(X, J, rank)
            torch.testing.assert_close(measured, theory, rtol=0, atol=1e-11)


def test_unbalanced_saddle_is_strict_along_the_proofs_direction():
    X = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    A, B = change_basis(*critical_point(X, [1, 2], 2), random(2, 2, seed=4))
    assert max(part.abs().max() for part in loss_gradient(X, A, B)) < 1e-12
    u, p = (
        torch.eye(3, dtype=torch.float64)[0],
        torch.linalg.lstsq(A, torch.eye(3).double()[:, 2]).solution,
    )
    q = torch.linalg.lstsq(B.T, torch.eye(3).double()[:, 2]).solution
    step = torch.cat([torch.outer(u, q).flatten(), torch.outer(p, u).flatten()])
    curvature = step @ loss_hessian(X, A, B) @ step / 2
    assert curvature.item() == pytest.approx(2 - 2 * 3 / 1)


@pytest.mark.parametrize("method", [alternating_least_squares, gradient_descent])
def test_descent_reaches_the_minimum_and_is_reproducible(method):
    X = random(8, 6)
    fits = [method(X, 2, 800, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    torch.testing.assert_close(fits[0].losses, fits[1].losses, rtol=1e-10, atol=0)
    assert len(fits[0].losses) == 801
    torch.testing.assert_close(fits[0].losses[-1], truncation_error(X, 2), rtol=1e-6, atol=0)
    torch.testing.assert_close(fits[0].losses[-1], loss(X, fits[0].A, fits[0].B))


def test_default_step_follows_the_gradient_of_both_factors_over_four_sigma():
    X = random(5, 4)
    start = random_factors(X, 2, torch.Generator().manual_seed(1))
    found = gradient_descent(X, 2, 1, generator=torch.Generator().manual_seed(1))
    slopes, rate = loss_gradient(X, *start), 1 / (4 * torch.linalg.matrix_norm(X, 2))
    torch.testing.assert_close(found.A, start.A - rate * slopes.A)
    torch.testing.assert_close(found.B, start.B - rate * slopes.B)


def test_descent_takes_a_start_and_a_learning_rate():
    X, A, B = random(5, 4), random(5, 2, seed=1), random(2, 4, seed=2)
    kept = A.clone(), B.clone()
    found = gradient_descent(X, 2, 1, learning_rate=0.01, start=(A, B))
    slopes = loss_gradient(X, A, B)
    torch.testing.assert_close(found.A, A - 0.01 * slopes.A)
    torch.testing.assert_close(found.B, B - 0.01 * slopes.B)
    torch.testing.assert_close((A, B), kept)
    torch.testing.assert_close(found.losses[0], loss(X, A, B))


@pytest.mark.parametrize("rate", [1e-40, 1e-46])
def test_a_learning_rate_that_single_precision_lacks_keeps_its_digits(rate):
    start = (torch.tensor([[0.0]]), torch.tensor([[1e18]]))
    found = gradient_descent(torch.tensor([[1e18]]), 1, 1, learning_rate=rate, start=start)
    assert found.A.item() == pytest.approx(2 * rate * 1e36, rel=1e-6)


def test_descent_with_a_given_rate_takes_any_x_and_may_run_off():
    zero = gradient_descent(torch.zeros(3, 2), 1, 1, learning_rate=0.1)
    assert zero.losses[1] <= zero.losses[0]
    far = gradient_descent([[1.0]], 1, 30, learning_rate=1.0, start=([[9.0]], [[9.0]]))
    assert not far.losses[-1].isfinite()


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, r"learning_rate must be a positive number, got 0", {"learning_rate": 0.0}),
        (TypeError, r"learning_rate must be a positive number", {"learning_rate": "fast"}),
        (TypeError, r"start must be a pair \(A, B\), got Tensor", {"start": torch.ones(3, 2)}),
        (TypeError, r"start must be a pair \(A, B\)", {"start": (torch.ones(3, 2),)}),
        (
            ValueError,
            r"A must have shape \(3, 2\) \(m and the rank\), got \(3, 1\)",
            {"start": (torch.ones(3, 1), torch.ones(1, 4))},
        ),
        (
            ValueError,
            r"share dtype.*float32.*float64",
            {"start": (torch.ones(3, 2).double(), torch.ones(2, 4).double())},
        ),
    ],
)
def test_bad_starts_and_learning_rates_are_refused(error, message, arguments):
    with pytest.raises(error, match=message):
        gradient_descent(torch.ones(3, 4), 2, 1, **arguments)


def test_zero_has_no_default_learning_rate():
    with pytest.raises(ValueError, match="X must not be zero"):
        gradient_descent(torch.zeros(3, 2), 1, 1)


def test_dtype_is_kept_and_arrays_are_accepted():
    assert low_rank_factors(torch.ones(3, 2, dtype=torch.float32), 1).A.dtype == torch.float32
    assert low_rank_factors(random(3, 2).numpy(), 1).A.dtype == torch.float64
    assert low_rank_factors([[1, 2], [3, 4]], 1).A.dtype == torch.get_default_dtype()


def test_singular_change_of_basis_is_refused():
    with pytest.raises(ValueError, match="G must be invertible"):
        change_basis(torch.ones(3, 2), torch.ones(2, 3), torch.ones(2, 2))


@pytest.mark.parametrize("odd", ["A", "B", "G"])
def test_change_of_basis_refuses_mixed_dtypes(odd):
    matrices = {"A": random(3, 2), "B": random(2, 4), "G": random(2, 2)}
    matrices[odd] = matrices[odd].float()
    with pytest.raises(ValueError, match=r"share dtype.*float"):
        change_basis(**matrices)


def test_mixed_dtypes_are_refused_with_both_named():
    with pytest.raises(ValueError, match=r"share dtype.*float64.*float32"):
        loss(random(3, 3), torch.ones(3, 1).double(), torch.ones(1, 3))


@given(st.integers(0, 10**6), st.sampled_from([torch.float32, torch.float64]), st.floats(0, 10))
def test_change_of_basis_is_right_or_refused_however_bad_the_basis(seed, dtype, power):
    A, B = random(4, 3, seed=seed).to(dtype), random(3, 4, seed=seed + 1).to(dtype)
    turn = torch.linalg.qr(random(3, 3, seed=seed + 2)).Q
    G = (turn * torch.logspace(0, -power, 3, dtype=torch.float64) @ turn.T).to(dtype)
    try:
        moved = change_basis(A, B, G)
    except ValueError:
        assert torch.linalg.cond(G) > 1e3
        return
    error = (moved.A.double() @ moved.B.double() - A.double() @ B.double()).norm()
    assert error < 2 * torch.finfo(dtype).eps ** 0.5 * A.double().norm() * B.double().norm()


def test_nearly_singular_change_of_basis_is_refused():
    G = torch.tensor([[1.0, 1.0], [1.0, 1.0 + 1e-6]])
    with pytest.raises(ValueError, match="G must be invertible, not only by a rounding error"):
        change_basis(torch.ones(3, 2), torch.ones(2, 3), G)


def test_nearly_dependent_columns_are_refused():
    A = torch.tensor([[1.0, 1.0], [1.0, 1.0 + 1e-6], [1.0, 1.0]])
    for columns in (A, torch.ones(1, 2)):
        with pytest.raises(ValueError, match="A must have independent columns"):
            connecting_matrix(columns, 2 * columns)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("power", [-0.8, -0.6, 0.6, 0.8])
def test_factors_of_any_size(dtype, power):
    size = torch.finfo(dtype).max ** power
    A, B = random(4, 2).to(dtype), random(2, 3, seed=1).to(dtype)
    plain, moved = balance_factors(A, B), balance_factors(size * A, size * B)
    torch.testing.assert_close(moved.A / size, plain.A)
    torch.testing.assert_close(moved.B / size, plain.B)
    left, right = (factor / size**0.5 for factor in low_rank_factors(size * (A @ B), 2))
    torch.testing.assert_close(left @ right, A @ B)


@pytest.mark.parametrize("size", [1e-30, 1e-10])
def test_descent_from_its_own_start_does_not_vanish_with_x(size):
    X = random(5, 4).float()
    for method, steps in ((gradient_descent, 400), (alternating_least_squares, 60)):
        plain, moved = (
            method(scale * X, 2, steps, generator=torch.Generator().manual_seed(0))
            for scale in (1, size)
        )
        product = (moved.A / size**0.5) @ (moved.B / size**0.5)
        torch.testing.assert_close(product, plain.A @ plain.B, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (loss, (torch.ones(2, 2), 1e30 * torch.ones(2, 1), 1e30 * torch.ones(1, 2))),
        (loss_gradient, (1e30 * torch.ones(2, 2), 1e30 * torch.ones(2, 1), torch.zeros(1, 2))),
        (loss_hessian, (torch.ones(2, 2), 1e30 * torch.ones(2, 1), torch.ones(1, 2))),
        (truncation_error, (1e30 * torch.ones(2, 2), 0)),
        (weyl_gaps, (torch.ones(2, 2), 1e30 * torch.ones(2, 1), 1e30 * torch.ones(1, 2))),
        (alternating_least_squares, (1e30 * torch.ones(2, 2), 1, 2)),
        (gradient_descent, (1e30 * torch.ones(2, 2), 1, 2)),
    ],
)
def test_result_that_overflows_is_refused(function, arguments):
    with pytest.raises(ValueError, match=r"^X.* must be such that the result is finite"):
        function(*arguments)


def test_matrix_that_connects_tall_factors_in_single_precision():
    A = torch.ones(100_000, 2)
    A[50_000:, 1] = 1.03
    G = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    torch.testing.assert_close(connecting_matrix(A, A @ G), G, rtol=1e-3, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1.0, 1e19, 1e25])
def test_balance_where_the_summands_of_the_product_are_of_mixed_sizes(size, dtype):
    sizes = torch.tensor([size, 1 / size, 1.0], dtype=torch.float64) ** (8 if size == 1e25 else 1)
    sizes = sizes.clamp(1e-36, 1e36) if dtype == torch.float32 else sizes
    A, B = torch.diag(sizes).to(dtype), torch.diag(1 / sizes).to(dtype)
    A[2, 2] = 0.0
    product = torch.matmul(*balance_factors(A, B))
    torch.testing.assert_close(product, torch.diag(torch.tensor([1.0, 1.0, 0.0])).to(dtype))


def test_balance_of_nothing():
    A, B = balance_factors([[0.0, 1.0], [0.0, 2.0]], [[3.0, 4.0], [0.0, 0.0]])
    assert not A.any()
    assert not B.any()
    assert A.shape == B.shape == (2, 2)


def test_gradient_through_balanced_factors():
    a, b = (torch.tensor([[x]], dtype=torch.float64, requires_grad=True) for x in (8.0, 2.0))
    gradients = torch.autograd.grad(balance_factors(a, b).A.sum(), (a, b))
    assert [g.item() for g in gradients] == pytest.approx([0.25, 1.0])  # of √(ab)


@pytest.mark.parametrize("seed", range(4))
def test_least_squares_keep_small_directions_in_single_precision(seed):
    X = torch.stack([torch.ones(20000), 0.03 * (-1.0) ** torch.arange(20000)])
    generator = torch.Generator().manual_seed(seed)
    fit = alternating_least_squares(X, 2, 20, generator=generator)
    assert fit.losses[-1] < 1e-3  # the second singular value leaves 18


def test_loss_refuses_numbers_whose_gradient_would_be_lost():
    with pytest.raises(TypeError, match="X must be a tensor"):
        factorization.loss([[torch.tensor(3.0, requires_grad=True)]], [[1.0]], [[1.0]])
    nested = [[np.ones(2), np.zeros(2)]]
    with pytest.raises(ValueError, match=r"X must have 2 dimension\(s\), got shape \(1, 2, 2\)"):
        factorization.loss(nested, [[1.0]], [[1.0]])


def test_no_gradient_flows_through_the_default_rate():
    X = torch.diag(torch.tensor([3.0, 1.0])).requires_grad_()

    def slope(**options):
        generator = torch.Generator().manual_seed(0)
        fitted = factorization.gradient_descent(X, 1, 1, generator=generator, **options)
        return torch.autograd.grad(fitted.losses[-1], X)[0]

    torch.testing.assert_close(slope(), slope(learning_rate=1 / 12))


def test_pairs_may_be_lists_and_indices_arrays():
    start = [[[1.0]], [[0.0]]]
    fit = factorization.gradient_descent([[1.0]], 1, 1, learning_rate=0.5, start=start)
    assert fit.losses.tolist() == [1.0, 0.0]
    X = [[4.0, 0.0], [0.0, 1.0]]
    found = factorization.critical_point(X, np.array([1]), 1)
    for one, other in zip(found, factorization.critical_point(X, [1], 1), strict=True):
        assert torch.equal(one, other)
