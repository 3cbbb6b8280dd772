"""
Two valleys and a saddle between them: (x − ab)² is not convex
==============================================================

The smallest instance of the problem has three numbers: given x, minimise (x − ab)² over a and b. It shows
the whole proof. The derivation is in :doc:`/solutions/2-factorization/a-nonconvex`; this script is evidence
for the claim ``2a-nonconvex``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.factorization import loss, loss_hessian, low_rank_factors

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# Two minimisers and the segment between them
# -------------------------------------------
# If (a, b) is a minimiser, so is (−a, −b). On a convex function the segment between them could not rise.

x = [[1.0]]
a, b = (factor.item() for factor in low_rank_factors(x, 1))
segment = torch.linspace(-1, 1, 201)
along = torch.stack([loss(x, [[t * a]], [[t * b]]) for t in segment])
curvatures = torch.linalg.eigvalsh(loss_hessian(x, [[0.0]], [[0.0]]))
print("loss at the ends", along[0].item(), along[-1].item(), "in the middle", along[100].item())
print("curvatures in the middle", curvatures.tolist())

# %%
# Verify
# ------
# The middle is worse than the ends, so the function is not convex; it is a saddle.

assert max(along[0], along[-1]) < 1e-15 < along[100]
assert curvatures[0] < -1.9
assert curvatures[1] > 1.9

# %%
# The figure
# ----------

grid = torch.linspace(-2, 2, 161)
height = (1 - grid[:, None] * grid[None, :]) ** 2
figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.0, 6.6), height_ratios=[2.1, 1])
levels = [0.02, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16]
top.contour(grid, grid, height, levels=levels, colors=figures.MUTED, linewidths=0.7)
branch = torch.linspace(0.5, 2, 100)
for sign in (1, -1):
    top.plot(sign * branch, sign / branch, color=figures.BLUE, lw=2.6)
top.plot([-a, a], [-b, b], color=figures.ORANGE, lw=1.8)
top.plot([-a, a], [-b, b], "o", color=figures.BLUE, ms=7)
top.plot(0, 0, "X", color=figures.RED, ms=9)
label = {"fc": figures.PAPER, "ec": "none", "pad": 2}
top.text(0.12, -0.34, "saddle", color=figures.RED, bbox=label)
top.annotate(
    "minimisers:\nab = 1",
    (0.62, 1 / 0.62),
    xytext=(-1.6, 1.25),
    color=figures.BLUE,
    bbox=label,
    arrowprops={"arrowstyle": "-", "color": figures.BLUE},
)
top.set(xlabel="a", ylabel="b", aspect="equal", xlim=(-2, 2), ylim=(-2, 2))
top.grid(False)
top.set_title("Two valleys; the segment crosses a saddle")
bottom.plot(segment, along, color=figures.ORANGE)
bottom.plot([-1, 1], [0, 0], "o", color=figures.BLUE, ms=7, clip_on=False)
bottom.plot(0, 1, "X", color=figures.RED, ms=9, clip_on=False)
bottom.set(xlabel="position on the segment", ylabel="loss", ylim=(0, 1.12), xticks=[-1, 0, 1])
figures.describe(
    figure,
    "Contours of (1 − ab)²: two hyperbola-shaped valleys of minimisers and a saddle at the origin. Below, the "
    "loss along the segment between two opposite minimisers rises from 0 to 1 in the middle.",
)
plt.show()

# %%
# What to see
# -----------
# The blue curves are all minimisers. The orange segment joins two of them and climbs to the saddle at the
# origin, where the loss is x². In any dimension, for X ≠ 0, the same segment, from (A, B) to (−A, −B), proves that the
# problem is not convex.
