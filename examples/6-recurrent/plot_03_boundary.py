"""
At magnitude 1 the gradient can grow like a power of t
======================================================

A mode with an eigenvalue above 1 in magnitude explodes, one below it, say 0.9, decays. What
happens exactly at 1, where neither word fits?

The derivation is in :doc:`/solutions/6-recurrent/a-linear-gradient`; this script is evidence for
the claim ``6a-boundary``.
"""

import math

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.recurrent import linear_rnn_gradient

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# A rotation, and Jordan blocks
# -----------------------------
# All eigenvalues have magnitude 1. The rotation has two simple ones; the Jordan blocks have one
# eigenvalue, 1, and a single eigenvector.

cosine, sine = math.cos(0.3), math.sin(0.3)
matrices = {"rotation": torch.tensor([[cosine, -sine], [sine, cosine]])}
for m in (2, 3):
    matrices[f"Jordan block of {m}"] = torch.eye(m) + torch.diag(torch.ones(m - 1), 1)
times = [2**k for k in range(1, 14)]
growth = {}
for name, W in matrices.items():
    z0, zbar = torch.randn(len(W)), torch.randn(len(W))
    growth[name] = torch.tensor([linear_rnn_gradient(W, z0, zbar, t).norm() for t in times])

# %%
# Verify
# ------
# The exponent is twice the size of the block, less 1: 1, 3 and 5.

for name, slope in zip(matrices, (1, 3, 5), strict=True):
    measured = math.log2(growth[name][-1] / growth[name][-2])
    print(f"{name}: exponent {measured:.3f}")
    assert abs(measured - slope) < 0.02

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 3.8))
looks = ((figures.BLUE, 2.8, "t"), (figures.MUTED, 1.4, "t³"), (figures.MUTED, 1.4, "t⁵"))
for (name, values), (color, width, power) in zip(growth.items(), looks, strict=True):
    axes.loglog(times, values, color=color, lw=width)
    end = (times[-1] * 1.15, values[-1].item())
    axes.text(*end, f"{name}\nlike {power}", color=color, va="center")
axes.set(xlabel="steps t", xlim=(2, times[-1]), ylim=(0.3, 3e20))
axes.set_xticks([10, 100, 1000, 10000])
figures.headline(figure, "At |λ| = 1 the gradient can grow like a power of t")
figures.describe(
    figure,
    "Size of the gradient against the number of steps, both axes logarithmic. For a rotation "
    "it grows like t, for Jordan blocks of size 2 and 3 like the third and the fifth power of "
    "t.",
)
plt.show()

# %%
# What to see
# -----------
# No eigenvalue exceeds 1, and gradients grow without bound all the same; but slowly, compared with
# an explosion: straight lines in these axes, where an exponential would bend upwards.
