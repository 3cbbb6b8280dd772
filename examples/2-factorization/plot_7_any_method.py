"""
Descent that computes no singular vector ends close to the truncated SVD
========================================================================

The problem is not convex, so a method that goes downhill might end anywhere. Does it? Two such methods, three random
starts each, on 1797 handwritten digits. The derivation of the least loss is in
:doc:`/solutions/2-factorization/b-optimum`; this script is evidence for the claim ``2b-residual``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.datasets import digits
from hw2lib.factorization import alternating_least_squares, gradient_descent, truncation_error

plt.style.use("hw2lib.figures")

# %%
# The least loss at every rank, and what descent finds
# ----------------------------------------------------
# Alternating least squares and gradient descent, three seeds each, at three ranks.

images, _ = digits()
X = images - images.mean(0)
scale = X.square().sum()
ranks = range(1, 65)
least = torch.stack([truncation_error(X, r) for r in ranks]) / scale
tried = (3, 8, 20)
found = {
    (method, r): torch.stack(
        [
            method(X, r, steps, generator=torch.Generator().manual_seed(seed)).losses[-1] / scale
            for seed in range(3)
        ]
    )
    for method, steps in ((alternating_least_squares, 60), (gradient_descent, 200))
    for r in tried
}

# %%
# Verify
# ------
# Descent is never below the minimum, and close above it.

for (method, r), losses in found.items():
    excess = losses / least[r - 1] - 1
    print(f"rank {r:2}  {method.__name__:26} above by {excess.min():.0e} to {excess.max():.0e}")
    assert -1e-9 < excess.min() <= excess.max() < 0.005

# %%
# The figure
# ----------

figure, axes = plt.subplots(figsize=(5.2, 3.7))
axes.plot(ranks, 100 * least, color=figures.BLUE, lw=2.6)
axes.annotate("least loss", (28, 100 * least[27]), xytext=(29, 12), color=figures.BLUE)
marks = {alternating_least_squares: ("s", figures.ORANGE), gradient_descent: ("D", figures.GREEN)}
for (method, r), losses in found.items():
    mark, color = marks[method]
    axes.plot([r] * 3, 100 * losses, mark, color=color, ms=9, mfc="none", mew=1.8)
axes.text(10.5, 44, "□ alternating least squares", color=figures.ORANGE)
axes.text(10.5, 37, "◇ gradient descent", color=figures.GREEN)
axes.set(xlabel="rank r", xlim=(0, 65), ylim=(0, 100), xticks=[1, 16, 32, 48, 64])
axes.set_yticks([0, 50, 100], ["0", "50", "100 %"])
axes.set_title("From random starts, down to the least loss")
figures.describe(
    figure,
    "Least loss in per cent of the squared norm, a falling curve against the rank from 1 to 64; alternating least "
    "squares and gradient descent from random starts lie on it at ranks 3, 8 and 20.",
)
plt.show()

# %%
# What to see
# -----------
# Squares and diamonds are three runs each, on top of one another to the eye. Three seeds prove nothing; that the
# problem has no bad local minimum is a theorem of :doc:`/solutions/2-factorization/d-landscape`.
