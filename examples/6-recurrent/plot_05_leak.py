"""
Rounding finds the unstable mode
================================

A state that starts exactly on a stable eigenvector decays. What if its entries are no binary
fractions, so that a computer rounds them?

The derivation is in :doc:`/solutions/6-recurrent/a-linear-gradient`; this script is evidence for
the claim ``6a-leak``.
"""

import math
from fractions import Fraction

import matplotlib.pyplot as plt
import torch

from hw2lib import figures

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# The same start, in exact fractions and in double precision
# ----------------------------------------------------------
# W has the eigenvalues 2 and ½, and (−⅔, 1) is an eigenvector for ½.

W = torch.tensor([[2.0, 1.0], [0.0, 0.5]])
exact, floating = [Fraction(-2, 3), Fraction(1)], torch.tensor([-2 / 3, 1.0])
exact_norms, floating_norms = [], []
for _ in range(120):
    exact_norms.append(math.hypot(*map(float, exact)))
    floating_norms.append(floating.norm().item())
    exact = [2 * exact[0] + exact[1], exact[1] / 2]
    floating = W @ floating

# %%
# Verify
# ------

print(f"after 119 steps: exact {exact_norms[-1]:.0e}, double precision {floating_norms[-1]:.0e}")
assert exact_norms[-1] < 1e-30
assert floating_norms[-1] > 1e15

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 3.6))
axes.semilogy(exact_norms, color=figures.MUTED, lw=1.4)
axes.semilogy(floating_norms, color=figures.RED, lw=2.8)
axes.text(88, 1e13, "in double precision", color=figures.RED, ha="right")
axes.text(64, 1e-23, "in exact fractions", color=figures.MUTED, ha="right")
axes.set(xlabel="steps k", ylabel="norm of the state", xlim=(0, 120))
axes.set_yticks([1e-30, 1e-15, 1, 1e15])
figures.headline(figure, "Rounding the start excites the unstable mode")
figures.describe(
    figure,
    "Norm of the state against steps. From the start (−2/3, 1) on the stable eigenvector it decays "
    "for ever in exact arithmetic; in double precision it decays at first and then grows without "
    "bound.",
)
plt.show()

# %%
# What to see
# -----------
# The entry −2/3 is no binary fraction, so the rounded start has a small unstable component. It
# doubles in every step, and after some thirty steps it is all that is left. From (−2, 3),
# on the same line, nothing is rounded in the first thousand steps, and the state decays.
