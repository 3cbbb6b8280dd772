"""
Gradient descent slows down at a saddle, then leaves it
=======================================================

What does a saddle do to gradient descent? Take (1 − ab)² and start close to the line a = −b, which
leads into the saddle at the origin.

The derivation is in :doc:`/solutions/2-factorization/e-descent`; this script is evidence for the
claims ``2d-landscape`` and ``2d-least`` in their smallest case.
"""

import itertools
import math

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.factorization import critical_hessian_eigenvalues, gradient_descent

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# Four starts, each ten times closer to the line
# ----------------------------------------------
# At the saddle the Hessian has the eigenvalues 2, along a = −b, and −2, along a = b. So close to it
# a step with the learning rate η multiplies a − b by 1 − 2η and a + b by 1 + 2η: the first shrinks
# fast, the second must grow from almost nothing.

X, rate, steps = [[1.0]], 0.05, 160
offsets = (1e-1, 1e-2, 1e-3, 1e-4)


def path(offset, steps=steps):
    """Return the points (a, b), one row a step, and the losses."""
    points, losses = [torch.tensor([-1.2 + offset, 1.2])], []
    for _ in range(steps):
        a, b = points[-1]
        fit = gradient_descent(X, 1, 1, learning_rate=rate, start=([[a]], [[b]]))
        points.append(torch.stack([fit.A.squeeze(), fit.B.squeeze()]))
        losses.append(fit.losses[0])
    return torch.stack(points), torch.stack(losses)


paths = {offset: path(offset) for offset in offsets}
halfway = {offset: int((losses > 0.5).sum()) for offset, (_, losses) in paths.items()}
extra = math.log(10) / math.log(1 + 2 * rate)
print("steps until the loss is ½:", ", ".join(map(str, halfway.values())))
print(f"predicted difference: {extra:.1f}")

# %%
# Verify
# ------
# The eigenvalues are −2 and 2. All four runs leave the saddle and end at a minimum; ten times
# closer to the line takes log 10 / log(1 + 2η) steps more. On the line itself the run never leaves.

assert critical_hessian_eigenvalues(X, [], 1).tolist() == [-2.0, 2.0]
assert all(losses[-1] < 1e-9 for _, losses in paths.values())
waits = list(halfway.values())
assert all(abs(b - a - extra) < 1.5 for a, b in itertools.pairwise(waits))
assert path(0.0)[0][-1].abs().max() < 1e-6

# %%
# The path
# --------

figure, axes = plt.subplots(figsize=(5.2, 4.6))
grid = torch.arange(-70, 71) / 40
height = (1 - grid[:, None] * grid[None, :]) ** 2
levels = [0.03, 0.12, 0.3, 0.6, 1, 1.6, 2.6, 4.2, 7]
axes.contour(grid, grid, height, levels=levels, colors=figures.MUTED, linewidths=0.6, alpha=0.6)
branch = torch.linspace(1 / 1.75, 1.75, 60)
for sign in (1, -1):
    axes.plot(sign * branch, sign / branch, color=figures.BLUE, lw=3)
points = paths[1e-3][0]
axes.plot(*points.T, color=figures.ORANGE, lw=1.4)
axes.plot(*points.T, "o", color=figures.ORANGE, ms=4)
axes.plot(0, 0, "o", color=figures.RED, ms=9)
axes.annotate("start", points[0], xytext=(8, 4), textcoords="offset points", color=figures.ORANGE)
axes.text(-0.13, -0.12, "saddle: slow", color=figures.RED, ha="right", va="top", weight="bold")
axes.text(1.1, 1.06, "end", color=figures.BLUE, weight="bold")
axes.text(-0.42, -1.65, "minima", color=figures.BLUE)
axes.set(
    xlabel="a",
    ylabel="b",
    aspect="equal",
    xlim=(-1.75, 1.75),
    ylim=(-1.75, 1.75),
    xticks=[-1, 0, 1],
)
axes.set_yticks([-1, 0, 1], ["−1", "0", "1"])
axes.set_xticks([-1, 0, 1], ["−1", "0", "1"])
axes.grid(visible=False)
figures.headline(figure, "Into the saddle, and out of it")
figures.describe(
    figure,
    "Contours of (1 − ab)² with two valleys of minima. Dots, one a step, run from the upper "
    "left down to the saddle at the origin, crowd there, turn, and end in the upper right "
    "valley.",
)
plt.show()

# %%
# The wait
# --------

figure, axes = plt.subplots(figsize=(5.2, 3.4))
names = ("1/10", "1/100", "1/1000", "1/10000")
for (offset, (_, losses)), name in zip(paths.items(), names, strict=True):
    main = offset == 1e-3
    color = figures.ORANGE if main else figures.MUTED
    axes.plot(losses, color=color, lw=2.8 if main else 1.4, zorder=3 if main else 2)
    axes.text(
        halfway[offset] + 2, 0.5, name, color=color, va="center", weight="bold" if main else None
    )
axes.text(36, 1.12, "plateau: at the saddle", color=figures.RED)
axes.text(2, 0.5, "a + b at\nthe start:", color=figures.MUTED, va="center")
axes.set(xlabel="steps", ylim=(0, 2), xlim=(0, 130), yticks=[0, 1, 2])
figures.headline(figure, "Loss: ten times closer costs a fixed number of steps more")
figures.describe(
    figure,
    "Loss against steps for four starts at distances from the line a = −b that fall by a "
    "factor of ten: each stays on the plateau of height 1 by the same number of steps longer, "
    "then falls to 0.",
)
plt.show()

# %%
# What to see
# -----------
# A saddle is not a trap but a delay. The delay is the logarithm of how little the start has of the
# way down, so with a learning rate that is small enough for the start, only starts exactly on the
# line, a set of measure zero, stay for ever.
