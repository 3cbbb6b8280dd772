r"""
A cliff in the loss throws gradient descent far out; clipping keeps the step short
==================================================================================

Even one recurrent unit has a loss with a wall in it (Pascanu, Mikolov and Bengio 2013, figure 6):
from x = ½ the state becomes w σ(x) + b, 50 times, and the loss is (σ(x) − 0.7)². On the
wall the gradient is enormous. What do gradient descent and its clipped version make of it?

The derivation is in :doc:`/solutions/6-recurrent/c-clipping`; this script is evidence for the
claims ``6c-step`` and ``6c-choice``.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from hw2lib import figures
from hw2lib.recurrent import clip_by_norm

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)


def residual(w, b):
    x = torch.full_like(w, 0.5)
    for _ in range(50):
        x = w * x.sigmoid() + b
    return x.sigmoid() - 0.7


def loss(w, b):
    return residual(w, b).square()


# %%
# The surface, and how steep it is
# --------------------------------

w_axis, b_axis = torch.linspace(3.5, 7.5, 161), torch.linspace(-3.6, -1.4, 161)
w, b = torch.meshgrid(w_axis, b_axis, indexing="ij")
w.requires_grad_()
b.requires_grad_()
surface = loss(w, b)
slopes = torch.stack(torch.autograd.grad(surface.sum(), (w, b))).norm(dim=0)
print(f"gradient: median {slopes.median():.1e}, largest on the grid {slopes.max():.1e}")

# %%
# Descent with and without clipping
# ---------------------------------
# Seven starts on both sides of the wall, 300 steps with learning rate ½. The threshold 0.1 is about
# twice the median slope of the surface.

starts = [(6.6, -2.6), (5.5, -2.2), (4.6, -2.5), (5.0, -2.0), (4.6, -1.8), (6.0, -3.4), (5.0, -3.2)]


def descend(clip):
    """Return the paths, (301, 7, 2)."""
    paths = [torch.tensor(starts)]
    for _ in range(300):
        points = paths[-1].detach().requires_grad_()
        (gradients,) = torch.autograd.grad(loss(*points.T).sum(), points)
        paths.append((points - 0.5 * torch.stack([clip(g) for g in gradients])).detach())
    return torch.stack(paths)


paths = {
    "free": descend(lambda gradient: gradient),
    "clipped": descend(lambda gradient: clip_by_norm(gradient, 0.1)),
}
last = {name: loss(*path[-1].T) for name, path in paths.items()}
jumps = {name: path.diff(dim=0).norm(dim=2).max().item() for name, path in paths.items()}
for name, losses in last.items():
    print(f"{name}: longest step {jumps[name]:.3f}, last losses")
    print("   ", ", ".join(f"{value:.4f}" for value in losses))

# %%
# Verify
# ------
# The wall is steep. Free descent leaves the surroundings of the wall, w ≤ 7.5 and b ≤ −1.4, from
# most of these starts, clipped descent from none, and its steps are no longer than learning rate
# times threshold.

across, along = paths["free"].amax(0).T
left = (across > 7.5) | (along > -1.4)
lost = left & (last["free"] > 0.05)
print(f"of {len(starts)} free paths {left.sum()} leave the wall and {lost.sum()} do not return")
assert len(starts) / 2 < lost.sum() < left.sum()
assert (paths["clipped"].amax(0) < torch.tensor([7.5, -1.4])).all()
assert slopes.max() > 1e3 * slopes.median()
assert slopes.median() < 0.1 < 3 * slopes.median()
assert jumps["clipped"] <= 0.05 + 1e-12
assert last["clipped"].max() < 0.01
assert lost[2]  # the path that is drawn
assert jumps["free"] > 20 * jumps["clipped"]
assert abs(last["free"][2] - 0.09) < 0.001

# %%
# Drawing the figure
# ------------------

w_axis, b_axis = torch.linspace(3.4, 7.2, 96), torch.linspace(-3.6, 2.2, 301)
around = residual(*torch.meshgrid(w_axis, b_axis, indexing="xy")).numpy()
free, clipped = (paths[name][:, 2].numpy() for name in ("free", "clipped"))  # from (4.6, −2.5)
out = int((free[:, 1] > -1.4).argmax())
figure, axes = plt.subplots(figsize=(5.2, 5.0))
for level in np.linspace(0.02, 0.44, 15):
    shade = {"colors": [figures.MUTED], "levels": [level, 1.0], "alpha": 0.07}
    axes.contourf(w_axis, b_axis, around**2, **shade)
axes.contour(w_axis, b_axis, around, [0], colors=[figures.GREEN], linewidths=1.6)
axes.plot(*free[:out].T, color=figures.RED, lw=0.8)
axes.plot(*clipped.T, color=figures.BLUE, lw=3.2, solid_capstyle="round")
arrow = {"arrowstyle": "-|>", "color": figures.RED, "lw": 3, "mutation_scale": 20}
axes.annotate("", free[out], free[out - 1], arrowprops=arrow | {"shrinkA": 0, "shrinkB": 0})
axes.plot(*clipped[-1], "o", color=figures.BLUE, ms=10)
axes.plot(*clipped[0], "o", color=figures.INK, ms=8)
axes.text(4.66, -2.8, "start", va="center")
axes.text(
    5.95, 0.9, "not clipped:\none step, far out", color=figures.RED, ha="right", weight="bold"
)
axes.text(3.5, -2.6, "clipped:\narrives", color=figures.BLUE, va="center", weight="bold")
axes.text(3.5, -1.2, "loss 0: the minima", color=figures.GREEN, weight="bold")
axes.text(3.5, -3.3, "large loss")
axes.text(7.1, -0.6, "flat: loss 0.09", ha="right")
axes.grid(visible=False)
axes.set(xlabel="w", xticks=[4, 5, 6, 7], yticks=[-3, -2, -1, 0, 1, 2])
axes.set_ylabel("b", rotation=0, va="center")
figures.headline(figure, "The cliff throws the free path far out; the clipped one stays")
figures.describe(
    figure,
    "The loss of a one-unit recurrent network over w and b: a high and a low plain meet in a "
    "steep wall, along which the loss is 0. Two paths of gradient descent from one start reach "
    "the wall; the free one is thrown far out over the low plain in one step, the clipped one "
    "goes on along the wall and ends near loss 0.",
)
plt.show()

# %%
# What to see
# -----------
# The more ink, the larger the loss; the wall is where the shades lie close, and on the green line
# at its foot the loss is 0. Left and right of the wall the loss is nearly flat, so the gradient
# says nothing of it until it is met. From most of these starts the free paths are then thrown far
# above the wall, and most of the thrown ones end there, on ground so flat that 300 steps do not
# bring them back. Clipping changes nothing where the gradient is shorter than the threshold, and
# bounds the step where it is not. Thresholds over three powers of ten, and many more starts, are in
# the claim ``6c-choice``.
