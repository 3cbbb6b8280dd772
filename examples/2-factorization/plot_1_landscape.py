"""
Between two opposite minimisers the loss climbs over a saddle
=============================================================

The smallest instance of the problem has three numbers: given x, minimise (x − ab)² over a and b. It
shows the whole proof that the problem is not convex.

The derivation is in :doc:`/solutions/2-factorization/a-nonconvex`; this script is evidence for the
claim ``2a-nonconvex``.
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
# If (a, b) is a minimiser, so is (−a, −b). On a convex function the segment between them could not
# rise.

x = [[1.0]]
a, b = (factor.item() for factor in low_rank_factors(x, 1))
segment = torch.linspace(-1, 1, 201)
along = torch.stack([loss(x, [[t * a]], [[t * b]]) for t in segment])
curvatures = torch.linalg.eigvalsh(loss_hessian(x, [[0.0]], [[0.0]]))
print(f"loss at the ends: {along[0]:.0f} and {along[-1]:.0f}, in the middle: {along[100]:.0f}")
print(f"curvatures in the middle: {curvatures[0]:.0f} and {curvatures[1]:.0f}")

# %%
# Verify
# ------
# The middle is worse than the ends, so the function is not convex. In the middle one curvature is
# negative and one positive: a saddle.

assert max(along[0], along[-1]) < 1e-15 < along[100]
assert curvatures[0] < -1.9
assert curvatures[1] > 1.9

# %%
# Drawing the figure
# ------------------
# The surface over the diagonal directions: s runs along a = b, from one minimiser to the other, and
# t across it. There a = s + t and b = s − t, so ab = s² − t².

s, t = torch.meshgrid(torch.linspace(-1.38, 1.38, 33), torch.linspace(-0.5, 0.5, 11), indexing="ij")
height = (1 - (s + t) * (s - t)) ** 2
figure = plt.figure(figsize=(5.2, 3.2), layout="none")
axes = figure.add_axes((-0.17, -0.34, 1.34, 1.62), projection="3d", computed_zorder=False)
axes.plot_surface(
    *(values.numpy() for values in (s, t, height)),
    rstride=1, cstride=1, color=figures.BLUE, alpha=0.2, edgecolor=figures.BLUE, lw=0.6,
    shade=False,
)  # fmt: skip
axes.plot(segment, 0 * segment, along, color=figures.ORANGE, lw=3)
axes.plot([-1, 1], [0, 0], [0, 0], "o", color=figures.BLUE, ms=9)
axes.plot([0], [0], [1], "o", color=figures.RED, ms=9)
axes.text(0, 0, 1.17, "saddle, loss 1", color=figures.RED, ha="center", weight="bold")
axes.text(-1, -0.5, 0.1, "(−1, −1): loss 0", color=figures.BLUE, ha="center", va="top")
axes.text(1, -0.5, 0.1, "(1, 1): loss 0", color=figures.BLUE, ha="center", va="top")
axes.set(xlim=(-1.4, 1.4), ylim=(-0.8, 0.8), zlim=(-0.2, 1.8))
axes.set_box_aspect((1.7, 1.0, 0.85))
axes.view_init(elev=30, azim=-76)
axes.set_axis_off()
figures.headline(figure, "Halfway between two minimisers: a saddle")
figures.describe(
    figure,
    "The surface (1 − ab)² seen from the side: two valleys, and between them a saddle. The "
    "segment from the minimiser (−1, −1) to the minimiser (1, 1) climbs from 0 to 1 and falls "
    "to 0 again.",
)
plt.show()

# %%
# What to see
# -----------
# The orange curve is the loss over the segment from one minimiser to the other. It climbs to the
# saddle at the origin, where the loss is x². In any dimension, for X ≠ 0, the same segment, from
# (A, B) to (−A, −B), proves that the problem is not convex.
