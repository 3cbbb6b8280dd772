"""
All eigenvalues are below 1, and yet the powers first grow
==========================================================

If the spectral radius of W is below 1, its powers vanish in the end. When does the end begin? For a
matrix far from normal the answer can be late.

The derivation is in :doc:`/solutions/6-recurrent/a-linear-gradient`; this script is evidence for
the claims ``6a-vanish`` and ``6a-kreiss``.
"""

import math

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.recurrent import kreiss_constant

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# Powers of a matrix with one eigenvalue, nine tenths
# ---------------------------------------------------
# Its two eigenvectors have collapsed into one. The Kreiss constant K bounds the peak from below,
# e·p·K from above, with p = 2, the size of W.

W, count = torch.tensor([[0.9, 10.0], [0.0, 0.9]]), 120
norms = [torch.linalg.matrix_norm(torch.linalg.matrix_power(W, k), 2).item() for k in range(count)]
kreiss = kreiss_constant(W, points=200)

# %%
# Verify
# ------
# The peak comes after nine steps, between the two bounds.

peak = max(norms)
print(f"peak {peak:.2f} at {norms.index(peak)}; bounds {kreiss:.1f}, {2 * math.e * kreiss:.0f}")
assert norms.index(peak) == 9
assert norms[62] > 1 > norms[63]
assert kreiss < peak < 2 * math.e * kreiss

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 3.7))
axes.semilogy(norms, color=figures.BLUE, lw=2.8)
axes.semilogy([0.9**k for k in range(count)], color=figures.MUTED, lw=1.3)
peaks = (
    (kreiss, "peak at least: K", "top"),
    (2 * math.e * kreiss, "peak at most: e·p·K", "bottom"),
)
for height, text, side in peaks:
    axes.axhline(height, color=figures.ORANGE, ls="--", lw=1.2)
    place = height * (1.25 if side == "bottom" else 0.8)
    axes.text(119, place, text, color=figures.ORANGE, ha="right", va=side)
axes.text(66, 2, "‖Wᵏ‖", color=figures.BLUE, fontsize=12)
axes.text(25, 5e-3, "ρ(W)ᵏ", color=figures.MUTED, ha="right", fontsize=12)
axes.axhline(1, color=figures.MUTED, lw=0.8)
axes.set(xlabel="steps k", xlim=(0, 120), ylim=(1e-4, 1e3))
figures.headline(figure, "ρ(W) < 1, and yet a hump first")
figures.describe(
    figure,
    f"Norm of the powers of a matrix with spectral radius 0.9. They rise to {peak:.0f} after "
    "nine steps and exceed 1 until step 62, while the powers of the spectral radius fall from "
    "the start. The peak lies between the two bounds by the Kreiss constant.",
)
plt.show()

# %%
# What to see
# -----------
# The spectral radius is a statement about the far end only. For the first sixty-two steps the
# powers exceed 1: over such a time a network sees growth, not decay.
