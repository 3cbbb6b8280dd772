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

# %%
# The figure
# ----------

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.2, 7.4), height_ratios=[1.6, 1])
picture = top.pcolormesh(
    w_axis.numpy(), b_axis.numpy(), surface.detach().T.numpy(), cmap="cividis", rasterized=True
)
figure.colorbar(picture, ax=top, label="loss", pad=0.02)
top.grid(False)
for name, color, width in (("free", figures.RED, 0.7), ("clipped", figures.BLUE, 1.3)):
    across, along = paths[name].numpy().T.swapaxes(1, 2)
    top.plot(across, along, color="#fffffe", lw=width + 1)
    top.plot(across, along, color=color, lw=width)[0].set_label(name)
top.plot(*zip(*starts, strict=True), "o", color="#fffffe", mec="black", ms=6, zorder=5)
top.set(xlim=(3.5, 7.5), ylim=(-3.6, -1.4), xlabel="w", ylabel="b")
top.set_title("Most red paths leave the picture at the wall")
top.legend(loc="lower left")
positions = torch.arange(len(starts))
bottom.semilogy(positions - 0.1, last["free"], "s", color=figures.RED, ms=7, label="free")
bottom.semilogy(positions + 0.1, last["clipped"], "o", color=figures.BLUE, ms=7, label="clipped")
bottom.set_xticks(range(len(starts)), [f"{w:g}\n{b:g}" for w, b in starts])
bottom.set(xlabel="start: w above b", ylabel="loss after 300 steps")
bottom.set_title("Clipped descent arrives from every start")
bottom.legend(loc="upper center", bbox_to_anchor=(0.5, -0.38), ncols=2)
figures.describe(
    figure,
    "Top: the loss of a one-unit recurrent network over w and b, flat on both sides of a steep wall, with seven paths of free and of clipped gradient descent; "
    f"{left.sum()} free paths jump out of the picture at the wall, the clipped ones stay in it. Bottom: the loss after 300 steps is below 0.01 for all clipped paths, and above 0.05 for "
    f"{lost.sum()} of the {len(starts)} free ones.",
)
plt.show()

# %%
# What to see
# -----------
# Left and right of the wall the loss is nearly flat, so the gradient says nothing of the wall until it is met. From most of
# these starts the free path then leaves the picture, and most of those that leave end far away, on ground so flat that 300
# steps do not bring them back. Clipping changes nothing where the gradient is shorter than the threshold, and bounds the step
# where it is not. Thresholds over three powers of ten, and many more starts, are in the claim ``6c-choice``.
