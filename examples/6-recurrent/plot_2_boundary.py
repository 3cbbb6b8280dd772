"""
Between explosion and decay: polynomial growth, a hump, and a leak
==================================================================

Modes with eigenvalues above 1 in magnitude explode, those below 1 decay. Three things happen in between that the two words do not cover: growth like a power of t for
eigenvalues of magnitude 1, a transient hump although all eigenvalues are below 1, and rounding errors that find the unstable mode.

The derivation is in :doc:`/solutions/6-recurrent/a-linear-gradient`; this script is evidence for the claims ``6a-boundary``,
``6a-vanish``, ``6a-kreiss`` and ``6a-leak``.
"""

import math
from fractions import Fraction

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.recurrent import kreiss_constant, linear_rnn_gradient

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# Magnitude 1: a rotation, and Jordan blocks
# ------------------------------------------

c, s = math.cos(0.3), math.sin(0.3)
matrices = {"rotation": torch.tensor([[c, -s], [s, c]])}
for m in (2, 3):
    matrices[f"Jordan block of {m}"] = torch.eye(m) + torch.diag(torch.ones(m - 1), 1)
times = [2**k for k in range(1, 14)]
growth = {}
for name, W in matrices.items():
    z0, zbar = torch.randn(len(W)), torch.randn(len(W))
    growth[name] = torch.tensor([linear_rnn_gradient(W, z0, zbar, t).norm() for t in times])

# %%
# Far from normal: ρ(W) = 0.9, and yet a hump
# -------------------------------------------

W = torch.tensor([[0.9, 10.0], [0.0, 0.9]])
norms = [torch.linalg.matrix_norm(torch.linalg.matrix_power(W, k), 2).item() for k in range(120)]
kreiss = kreiss_constant(W, points=200)

# %%
# A start on the stable eigenvector, in exact fractions and in floating point
# ---------------------------------------------------------------------------

exact, floating = [Fraction(-2, 3), Fraction(1)], torch.tensor([-2 / 3, 1.0])
exact_norms, floating_norms = [], []
for _ in range(120):
    exact_norms.append(math.hypot(*map(float, exact)))
    floating_norms.append(floating.norm().item())
    exact = [2 * exact[0] + exact[1], exact[1] / 2]
    floating = torch.tensor([[2.0, 1.0], [0.0, 0.5]]) @ floating

# %%
# Verify
# ------

for name, slope in zip(matrices, (1, 3, 5), strict=True):
    measured = math.log2(growth[name][-1] / growth[name][-2])
    print(f"{name}: exponent {measured:.3f}")
    assert abs(measured - slope) < 0.02
peak = max(norms)
print(
    f"hump {peak:.2f} at k = {norms.index(peak)}, Kreiss bounds {kreiss:.1f} to {2 * math.e * kreiss:.0f}"
)
assert norms.index(peak) == 9
assert norms[62] > 1 > norms[63]
assert kreiss < peak < 2 * math.e * kreiss
assert exact_norms[-1] < 1e-30
assert floating_norms[-1] > 1e15

# %%
# The figure
# ----------

figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(5.2, 8.4))
colors = (figures.BLUE, figures.ORANGE, figures.GREEN)
for (name, values), color, slope in zip(growth.items(), colors, (1, 3, 5), strict=True):
    top.loglog(times, values, "o-", color=color, ms=3.5, label=f"{name}: slope {slope}")
top.set(xlabel="steps t", ylabel="size of the gradient")
top.set_title("At |λ| = 1 the gradient grows like a power of t")
top.legend(loc="upper left")
middle.semilogy(norms, color=figures.BLUE, label="‖Wᵏ‖")
middle.semilogy([0.9**k for k in range(120)], color=figures.MUTED, ls="--", label="ρᵏ")
middle.axhspan(
    kreiss,
    2 * math.e * kreiss,
    color=figures.ORANGE,
    alpha=0.25,
    lw=0,
    label="Kreiss bounds of the peak",
)
middle.set(xlabel="steps k", ylabel="norm")
middle.set_title("ρ(W) = 0.9: first a hump, then decay")
middle.legend(loc="lower left")
bottom.semilogy(exact_norms, color=figures.BLUE, label="exact fractions")
bottom.semilogy(floating_norms, color=figures.RED, label="double precision")
bottom.set(xlabel="steps k", ylabel="norm of the state")
bottom.set_title("Rounding the start excites the unstable mode")
bottom.legend(loc="upper left")
figures.describe(
    figure,
    "Top: in logarithmic axes the gradient grows with slopes 1, 3 and 5 for a rotation and Jordan blocks of size 2 and 3. Middle: powers of a matrix with "
    f"spectral radius 0.9 rise to {peak:.0f} before they decay, inside the Kreiss band. Bottom: a start on the stable eigenvector decays in exact arithmetic and "
    "turns to growth in double precision.",
)
plt.show()

# %%
# What to see
# -----------
# Top: no eigenvalue exceeds 1, and gradients grow without bound. Middle: the spectral radius is a statement about the far end only; for the first sixty-two
# steps its powers exceed 1. Bottom: −⅔ is no binary fraction, so the rounded start has a small unstable component, which doubles in every step.
