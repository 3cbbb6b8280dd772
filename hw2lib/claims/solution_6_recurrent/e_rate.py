"""Claims of the page on the rate: pairs of modes in closed form, and the rate of the gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_6_recurrent.shared import (
    Modes,
    Recurrence,
    as_integers,
    basis,
    by_autograd,
    diagonalisable,
    iterate,
    jordan,
    powers,
    rate_of,
)
from hw2lib.claims.tools import largest, whole


@claim(
    "6e-closed",
    kind="identity",
    verdict="theorem",
    statement=r"**Closed form.** For diagonalisable $W=V\Lambda V^{-1}$, $\alpha=V^{-1}z_0$, $\beta=V^\top\bar z$, the gradient is "
    r"$V^{-\top}\bigl[(\beta\alpha^\top)\circ S\bigr]V^\top$ with $S_{ij}=(\lambda_i^t-\lambda_j^t)/(\lambda_i-\lambda_j)$, and "
    r"$S_{ij}=t\lambda_i^{t-1}$ where $\lambda_i=\lambda_j$: on the diagonal, and at ties.",
    family=diagonalisable,
    exact=True,
)
def closed_form_of_the_gradient(case: tuple[Modes, Recurrence]) -> Trial:
    found, recurrence = case
    _, z0, zbar, t = recurrence
    exact = by_autograd(*recurrence)
    alpha = found.inverse @ z0.to(found.T.dtype)
    beta = found.T.T @ zbar.to(found.T.dtype)
    S = pair_sums(found.values, t)

    def error(alpha: Tensor, beta: Tensor, S: Tensor) -> float:
        return largest(found.inverse.T @ (torch.outer(beta, alpha) * S) @ found.T.T - exact)

    wrong = {"α and β exchanged": error(beta, alpha, S)}
    if len(S) > 1:
        wrong["each mode by itself"] = error(alpha, beta, torch.diag(S.diag()))
        wrong["V where its inverse belongs"] = largest(
            found.T @ (torch.outer(beta, alpha) * S) @ found.inverse - exact
        )
    tied = (found.values[:, None] == found.values) & ~torch.eye(len(S), dtype=torch.bool)
    if tied.any() and largest(exact):
        wrong["0 at ties"] = error(alpha, beta, S.masked_fill(tied, 0))
    return Trial(error(alpha, beta, S), wrong)


def pair_sums(values: Tensor, t: int) -> Tensor:
    """Return S for eigenvalues that are Gaussian integers, so that S consists of these as well."""
    gaps, ends = values[:, None] - values, powers(values, t)
    tied = gaps == 0
    quotients = (ends[:, None] - ends) / gaps.masked_fill(tied, 1)
    S = torch.complex(quotients.real.round(), quotients.imag.round())
    assert largest(S * gaps - (ends[:, None] - ends)) == 0
    return torch.where(tied, t * powers(values, t - 1), S)


class Spectrum(NamedTuple):
    """An invariant block of 2W in whole numbers, and the magnitude of its eigenvalues of W."""

    block: Tensor
    magnitude: float


UNSTABLE = (
    Spectrum(jordan(3.0 + 0j, 1), 1.5),
    Spectrum(jordan(-3.0 + 0j, 2), 1.5),
    Spectrum(jordan(2.0 + 2.0j, 1), 2**0.5),
    Spectrum(jordan(-4.0 + 0j, 1), 2.0),
)
STABLE = (
    Spectrum(jordan(1.0 + 0j, 1), 0.5),
    Spectrum(jordan(-1.0 + 0j, 2), 0.5),
    Spectrum(jordan(1.0 + 1.0j, 1), 0.5**0.5),
    Spectrum(jordan(1.0 + 0j, 3), 0.5),
)


NILPOTENT = Spectrum(jordan(0j, 2), 0.0)
CIRCLE = tuple(Spectrum(jordan(value, 1), 1.0) for value in (2.0 + 0j, -2.0 + 0j, 2j))


def gradient_sizes(
    M: np.ndarray, z0: np.ndarray, zbar: np.ndarray, times: Sequence[int]
) -> list[float]:
    """Return the logarithm of the gradient's norm for (M/2)ᵗ, computed in whole numbers.

    At each time the larger of two successive ones counts, for phases may cancel in one. Without
    any gradient it is −∞.
    """
    last = max(times) + 1
    states, adjoints = list(iterate(M, z0, last)), list(iterate(M.T, zbar, last))

    def at(t: int) -> float:
        return logarithm(np.array(adjoints[:t][::-1]).T @ np.array(states[:t]), t)

    return [max(at(t), at(t + 1)) for t in times]


def logarithm(gradient: np.ndarray, t: int) -> float:
    """Return the logarithm of the norm of a gradient in whole numbers, over 2ᵗ⁻¹."""
    square = int((gradient * gradient).sum())
    return math.log(square) / 2 - (t - 1) * math.log(2) if square else -math.inf


def gradient_rate(M: np.ndarray, z0: np.ndarray, zbar: np.ndarray) -> float:
    """Return the growth rate of the gradient of (M/2)ᵗ, from 1024 to 2048 steps.

    After s + t steps it is the gradient after s times (Mᵀ)ᵗ, and (Mᵀ)ˢ times the one after t.
    """
    first, sizes = np.outer(zbar, z0), []
    power, gradient = M.T, first
    for t in (2**k for k in range(1, 12)):
        gradient, power = gradient @ power + power @ gradient, power @ power
        if t >= 1024:
            after = gradient @ M.T + power @ first
            sizes.append(max(logarithm(gradient, t), logarithm(after, t + 1)))
    return (sizes[1] - sizes[0]) / 1024 if math.isfinite(sizes[1]) else -math.inf


@claim(
    "6e-rate",
    kind="limit",
    verdict="theorem",
    statement=r"**The rate.** Let $r(z_0)$ be the largest magnitude of an eigenvalue in whose generalised eigenspace $z_0$ has a part, and $r(\bar z)$ likewise for $W^\top$. "
    r"For every real $W$ and $z_0,\bar z\ne0$ that do not depend on $t$: $\limsup_t\|\overline W\|^{1/t}=\max\bigl(r(z_0),r(\bar z)\bigr)$. So the gradient is unbounded if "
    r"*either* meets an unstable mode. It vanishes if and only if neither meets a mode of magnitude 1 or more.",
    tolerance=0.005,
)
def gradient_grows_at_the_larger_rate(seed: int) -> Trial:
    rng = np.random.default_rng(seed)
    errors: dict[str, float] = {}
    wrong = {"z₀ alone decides": 0.0, "z̄ alone decides": 0.0, "both have to meet it": 0.0}

    def problem(
        spectra: Sequence[Spectrum], state: str, adjoint: str
    ) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], float, float]:
        """Return M, z₀ and z̄ in whole numbers, and the largest magnitudes that the two meet."""
        blocks = [spectrum.block for spectrum in spectra]
        P, inverse = basis(rng, sum(map(len, blocks)))
        (z, r), (y, s) = start_on(rng, spectra, state), start_on(rng, spectra, adjoint)
        M = as_integers(P @ torch.block_diag(*blocks) @ inverse)
        return (M, as_integers(P @ z), as_integers(inverse.T @ y)), r, s

    for sizes, state, adjoint in product((1, 2, 3), ("every", "stable"), ("every", "stable")):
        spectra = [SPECTRA[i % 2][rng.integers(4)] for i in range(2 * sizes)]
        spectra += [NILPOTENT] * (sizes - 1)
        given, r, s = problem(spectra, state, adjoint)
        rate = gradient_rate(*given)
        name = f"{len(given[0])}×{len(given[0])}, z₀ {state}, z̄ {adjoint}"
        errors[name] = abs(rate - math.log(max(r, s)))
        for mutant, claimed in zip(wrong, (r, s, min(r, s)), strict=True):
            wrong[mutant] = max(wrong[mutant], abs(rate - math.log(claimed)))
    vanishing = []
    for on_circle, (state, adjoint) in product(CIRCLE, product(("every", "stable"), repeat=2)):
        given, r, s = problem([on_circle, STABLE[rng.integers(4)]], state, adjoint)
        (size,) = gradient_sizes(*given, [400])
        vanishing.append(size < math.log(1e-9))
        name = f"eigenvalue {on_circle.block.numpy().tolist()}/2, z₀ {state}, z̄ {adjoint}"
        errors[name] = float(vanishing[-1] != (max(r, s) < 1))
    worst = max(errors, key=errors.__getitem__)
    mutants = wrong | {"it vanishes on the circle, too": 1 - float(np.mean(vanishing))}
    return Trial(errors[worst], mutants, cases=len(errors), worst=worst)


SPECTRA = (UNSTABLE, STABLE)


def start_on(
    rng: np.random.Generator, spectra: Sequence[Spectrum], where: str
) -> tuple[Tensor, float]:
    """Return coordinates on every mode, or on the stable ones only, and the largest magnitude met."""
    parts, met = [], []
    for spectrum in spectra:
        taken = where == "every" or spectrum.magnitude < 1
        part = (
            2 * whole(rng, len(spectrum.block)) + 1 if taken else torch.zeros(len(spectrum.block))
        )
        parts.append(part.double())
        met.append(spectrum.magnitude if taken else 0.0)
    return torch.cat(parts), max(met)


@counterexample("6e-rate", "do not depend on $t$")
def gradient_of_half_the_last_state_squared() -> float:
    """W = 3/2 from 1, and z̄ = zₜ = (3/2)ᵗ."""
    times, M, one = [4, 13, 40, 127, 400], np.array([[3]], object), np.array([1], object)
    sizes = [
        gradient_sizes(M, one, np.array([3**t], object), [t])[0] - t * math.log(2) for t in times
    ]
    return abs(rate_of(times, sizes) - math.log(1.5))


@counterexample("6e-rate", r"$\bar z\ne0$")
def gradient_without_an_adjoint() -> float:
    M, z0, nothing = (np.array(x, dtype=object) for x in ([[4, 0], [0, 1]], [1, 0], [0, 0]))
    return abs(math.exp(gradient_rate(M, z0, nothing)) - 2)
