"""
Every critical point but the best has a direction of descent
============================================================

Why does descent find the minimum of a problem that is not convex? Because every other critical
point is a *strict* saddle: its Hessian has a negative eigenvalue. At the balanced critical points
all eigenvalues are known in closed form.

The derivation is in :doc:`/solutions/2-factorization/d-landscape`; this script is evidence for the
claims ``2d-landscape``, ``2d-spectrum`` and ``2d-least``.
"""

import itertools

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.factorization import (
    critical_hessian_eigenvalues,
    critical_point,
    loss,
    loss_gradient,
    loss_hessian,
)

plt.style.use("hw2lib.figures")
torch.manual_seed(1)
torch.set_default_dtype(torch.float64)

# %%
# All balanced critical points of a 5×4 problem at rank 2
# -------------------------------------------------------
# Choose at most two of the four singular values: eleven points (up to orthogonal Q), from "none"
# (the origin) to the two largest.

U, V = (torch.linalg.qr(torch.randn(n, 4)).Q for n in (5, 4))
names = ("σ₁", "σ₂", "σ₃", "σ₄")
X, rank = U @ torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0])) @ V.T, 2
choices = [J for k in range(rank + 1) for J in itertools.combinations(range(4), k)]
points = {J: critical_point(X, J, rank) for J in choices}
choices.sort(key=lambda J: loss(X, *points[J]).item(), reverse=True)
computed = {J: torch.linalg.eigvalsh(loss_hessian(X, *points[J])) for J in choices}
theory = {J: critical_hessian_eigenvalues(X, J, rank) for J in choices}
for J in choices:
    name = ", ".join(names[j] for j in J) or "none"
    print(f"{name:8} loss {loss(X, *points[J]):5.1f}   least eigenvalue {computed[J][0]:z6.2f}")

# %%
# Verify
# ------
# All are critical, theory and computation agree, and only the two largest have no negative
# eigenvalue.

for J in choices:
    assert max(g.abs().max() for g in loss_gradient(X, *points[J])) < 1e-12
    assert (computed[J] - theory[J]).abs().max() < 1e-12
    assert (computed[J][0] > -1e-12) == (J == (0, 1))
assert sum(values[0] < -1 for values in computed.values()) == 10
assert len(choices) == 11
assert abs(computed[0, 2][0] + 2) < 1e-12
assert abs(computed[0, 3][0] + 4) < 1e-12

# %%
# Drawing the figure
# ------------------

least = {J: computed[J][0].item() for J in choices}
figure, axes = plt.subplots(figsize=(5.2, 5.0))
for row, J in enumerate(choices):
    best = J == (0, 1)
    color = figures.BLUE if best else figures.RED
    axes.plot([least[J], 0], [row, row], color=color, lw=1.6)
    axes.plot(least[J], row, "o", color=color, ms=11 if best else 7, zorder=3)
last = len(choices) - 1
axes.text(-0.35, last, "the minimum", color=figures.BLUE, ha="right", va="center", weight="bold")
axes.text(-8.25, -0.75, "ten saddles", color=figures.RED, va="center", weight="bold")
axes.axvline(0, color=figures.INK, lw=1)
labels = [" ".join(f"$\\sigma_{j + 1}$" for j in J) or "none" for J in choices]
axes.set_yticks(range(len(choices)), labels, va="center")
axes.tick_params(axis="y", length=0)
for label in axes.get_yticklabels()[1:]:
    label.set_fontsize(15)
axes.grid(visible=False)
axes.set(xlabel="least eigenvalue of the Hessian", ylim=(last + 0.7, -1.3), xlim=(-8.6, 0.5))
axes.set_ylabel("kept, from highest loss to least", labelpad=10)
axes.set_xticks([-8, -6, -4, -2, 0], ["−8", "−6", "−4", "−2", "0"])
axes.spines["left"].set_visible(False)
figures.headline(figure, "Ten of the eleven critical points have a way down")
figures.describe(
    figure,
    "One row for each of eleven critical points, from highest to lowest loss, named by the "
    "singular values kept; a dot marks the least eigenvalue of its Hessian. Ten lie between −8 "
    "and −2; only that of the last row, the minimum, is zero.",
)
plt.show()

# %%
# What to see
# -----------
# The loss falls from top to bottom. The least eigenvalue rises only on the whole: it depends on the
# largest singular value that is missing, on whether all r places are used and, if they are, on the
# least value that is kept: {σ₁, σ₃} and {σ₁, σ₄} both miss σ₂, with −2 and −4. Only at the minimum
# is none negative. There the r² = 4 zeros are the directions along the orbit of minimisers; at
# these saddles, too, zeros are directions along which critical points of the same loss continue.
