"""
A cliff in the loss throws gradient descent far out; clipping keeps the step short
==================================================================================

Even one recurrent unit has a loss with a wall in it (Pascanu, Mikolov and Bengio 2013, figure 6): xₜ = w σ(xₜ₋₁) + b from x₀ = ½, and after 50 steps the loss
(σ(x₅₀) − 0.7)². On the wall the gradient is enormous. What do gradient descent and its clipped version make of it?

The derivation is in :doc:`/solutions/6-recurrent/c-clipping`; this script is evidence for the claims ``6c-sgd``, ``6c-step`` and ``6c-choice``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.recurrent import clip_by_norm

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)


def loss(w, b):
    x = torch.full_like(w, 0.5)
    for _ in range(50):
        x = w * x.sigmoid() + b
    return (x.sigmoid() - 0.7).square()


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

starts = [(6.6, -2.6), (5.5, -2.2), (6.0, -2.4), (5.0, -2.0), (4.6, -1.8), (6.0, -3.4), (5.0, -3.2)]


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
for name in last:
    print(
        f"{name:8} longest step {jumps[name]:8.3f}, last losses",
        [f"{value:.4f}" for value in last[name].tolist()],
    )

# %%
# Verify
# ------
# The wall is steep. Free descent leaves the picture from most of these starts, clipped descent from none,
# and its steps are no longer than learning rate times threshold.

across, along = paths["free"].amax(0).T
left = (across > 7.5) | (along > -1.4)
lost = left & (last["free"] > 0.05)
print(f"of {len(starts)} free paths {left.sum()} leave the picture and {lost.sum()} do not return")
assert len(starts) / 2 < lost.sum() < left.sum()
assert (paths["clipped"].amax(0) < torch.tensor([7.5, -1.4])).all()
assert slopes.max() > 1e3 * slopes.median()
assert slopes.median() < 0.1 < 3 * slopes.median()
assert jumps["clipped"] <= 0.05 + 1e-12
assert last["clipped"].max() < 0.01
assert lost[2]  # the path that is drawn

# %%
# The figure
# ----------

start = 2  # (6, −2.4), whose free path stays away
figure, axes = plt.subplots(figsize=(5.2, 4.3))
for level in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
    shade = {"colors": [figures.MUTED], "levels": [level, 1.0], "alpha": 0.1}
    axes.contourf(w_axis.numpy(), b_axis.numpy(), surface.detach().T.numpy(), **shade)
axes.grid(False)
free, clipped = (paths[name][:, start].numpy() for name in ("free", "clipped"))
out = int((free[:, 0] > 7.5).argmax() or (free[:, 1] > -1.4).argmax())
axes.plot(*free[: out + 1].T, "-", color=figures.RED, lw=1.2)
axes.plot(*clipped.T, "-", color=figures.BLUE, lw=3)
axes.plot(*clipped[-1], "o", color=figures.BLUE, ms=9)
axes.plot(*free[0], "o", color=figures.INK, ms=7, zorder=5)
axes.set(xlim=(3.5, 7.5), ylim=(-3.6, -1.4), xlabel="w", ylabel="b")
axes.yaxis.label.set_rotation(0)
axes.text(4.75, -1.6, "free: one long step out", color=figures.RED)
axes.text(6.1, -2.4, "start", color=figures.INK, va="center")
axes.text(5.65, -2.95, "clipped: along\nthe wall, arrives", color=figures.BLUE, va="top")
axes.text(3.6, -3.5, "large loss", color=figures.INK)
axes.set_title("One wall: the free path is thrown out, the clipped is not")
figures.describe(
    figure,
    "The loss of a one-unit recurrent network over w and b, flat on both sides of a steep wall, with two paths of gradient descent from one start. The free one "
    "jumps across the wall until a step takes it out of the picture; the clipped one goes on along the wall to the minimum.",
)
plt.show()

# %%
# What to see
# -----------
# Dark is a large loss; the wall is where the shades lie close. Left and right of it the loss is nearly flat, so the gradient says nothing of the wall until it is met. From most of
# these starts the free path then leaves the picture, and most of those that leave end far away, on ground so flat that 300
# steps do not bring them back. Clipping changes nothing where the gradient is shorter than the threshold, and bounds the step
# where it is not. Thresholds over three powers of ten, and many more starts, are in the claim ``6c-choice``.
