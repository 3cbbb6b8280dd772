"""
The sign of the gradient gets all there is to get
=================================================

A perturbation d may change every pixel by at most ε. To first order it changes the loss by dᵀ∇ℓ;
which d is best? In two dimensions one sees the answer; on a trained network one can count how much
of it other directions get.

The derivation is in :doc:`/solutions/5-adversarial`, for ``5-random`` in
:doc:`/solutions/5-beyond`; this script is evidence for the claims ``5-first-order``,
``5-dual-norms`` and ``5-random``. (A reduced network: 16 and 32 channels, ten epochs on the
handwritten digits.)
"""

import math

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.adversarial import input_gradient, steepest_direction
from hw2lib.datasets import digits_data
from hw2lib.training import digits_network

plt.style.use("hw2lib.figures")

# %%
# On the network
# --------------
# The gradient of every validation image's loss, and what directions with ‖d‖∞ ≤ 1 get of the
# maximum, ‖∇ℓ‖₁: the signs, the gradient itself scaled until its largest entry is 1, signs at
# random, and the one most sensitive pixel.

data = digits_data()
model, _ = digits_network(data)
gradients = input_gradient(model, data.validation_images, data.validation_labels).flatten(1)
most = gradients.abs().sum(1, keepdim=True)

signs = torch.randint(0, 2, gradients.shape, generator=torch.Generator().manual_seed(0))
directions = {
    "signs of\nthe gradient": gradients.sign(),
    "the gradient,\nscaled": gradients / gradients.abs().amax(1, keepdim=True),
    "the most sensitive\npixel alone": torch.stack(
        [steepest_direction(gradient, 1) for gradient in gradients]
    ),
    "signs\nat random": 2.0 * signs - 1,
}
shares = {
    name: (direction * gradients).sum(1) / most[:, 0] for name, direction in directions.items()
}
for name, share in shares.items():
    print(f"{name.replace(chr(10), ' '):32} median {share.median():6.1%}")

# %%
# Verify
# ------
# The signs get all of it, for every image; the scaled gradient less than half and one pixel less
# than a tenth, for the median image; random signs between −‖g‖₂/‖g‖₁ and +‖g‖₂/‖g‖₁ for about two
# images in three, which is one standard deviation.

assert (shares["signs of\nthe gradient"] - 1).abs().max() < 1e-5
assert shares["the gradient,\nscaled"].median() < 0.5
assert shares["the most sensitive\npixel alone"].median() < 0.1
assert all(share.max() <= 1 + 1e-5 for share in shares.values())
deviation = gradients.norm(dim=1) / most[:, 0]
within = (shares["signs\nat random"].abs() < deviation).float().mean()
assert 0.6 < within < 0.77

# %%
# Drawing the figure
# ------------------

figure, plane = plt.subplots(figsize=(5.2, 4.3))
g = torch.tensor([2.0, 1.0])
x = torch.linspace(-2.3, 2.3, 60)
X, Y = torch.meshgrid(x, x, indexing="xy")
plane.contour(
    X.numpy(), Y.numpy(), (g[0] * X + g[1] * Y).numpy(), levels=torch.arange(-5, 7).tolist(),
    colors=figures.GRID, linestyles="solid", linewidths=1,
)  # fmt: skip
angle = torch.linspace(0, 2 * math.pi, 200)
balls = {
    math.inf: (r"square, $\ell_\infty$", figures.BLUE, [-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]),
    2: (r"disc, $\ell_2$", figures.ORANGE, angle.cos(), angle.sin()),
    1: (r"diamond, $\ell_1$", figures.GREEN, [1, 0, -1, 0, 1], [0, 1, 0, -1, 0]),
}
for norm, (name, color, horizontal, vertical) in balls.items():
    bold = norm == math.inf
    plane.plot(horizontal, vertical, color=color, lw=2.6 if bold else 1.4)
    best = steepest_direction(g, norm)
    plane.plot(*best.tolist(), "o", color=color, ms=10 if bold else 7)
    plane.annotate(
        f"{name}: {float(g @ best):.3g}", best.tolist(), xytext=(26 if norm == 2 else 10, -3),
        textcoords="offset points", color=color, fontweight="bold" if bold else "normal",
        fontsize=13 if bold else 12, bbox={"fc": figures.PAPER, "lw": 0, "pad": 1},
    )  # fmt: skip
plane.annotate(
    "", (g / 3.2).tolist(), (0, 0), arrowprops={"arrowstyle": "-|>", "color": figures.INK}
)
plane.text(0.2, 0.36, "∇ℓ", color=figures.INK, fontsize=12)
plane.set(xlim=(-1.1, 2.1), ylim=(-1.1, 1.25), aspect="equal", xticks=[], yticks=[])
plane.set_xlabel("first pixel")
plane.set_ylabel("second pixel")
plane.spines[:].set_visible(False)
figures.headline(figure, "If each pixel has its own limit, a corner is best")
plane.grid(False)
figures.describe(
    figure,
    "In the plane, the points of a square, a disc and a diamond where a linear function is "
    "largest: a corner of the square, where it is 3, the point of the disc along the gradient, "
    "a tip of the diamond, where it is 2.",
)

strip_figure, strip = plt.subplots(figsize=(5.2, 3.6))
generator = torch.Generator().manual_seed(1)
colors = (figures.BLUE, figures.ORANGE, figures.GREEN, figures.MUTED)
for row, ((name, share), color) in enumerate(zip(shares.items(), colors, strict=True)):
    height = row + 0.34 * (torch.rand(len(share), generator=generator) - 0.5)
    strip.plot(100 * share, height, ".", color=color, ms=3, alpha=0.35)
    median = 100 * float(share.median())
    strip.plot([median] * 2, [row - 0.24, row + 0.24], color=figures.INK, lw=3)
    strip.text(
        -68, row - 0.3, name.replace("\n", " "), color=color, fontweight="normal" if row else "bold"
    )
strip.set(yticks=[], ylim=(3.4, -0.6), xlim=(-70, 104), xticks=[-50, 0, 50, 100])
strip.spines["left"].set_visible(False)
strip.set_xlabel("share of ‖∇ℓ‖₁ that the direction gets, %")
figures.headline(strip_figure, "Only the signs get all of it")
figures.describe(
    strip_figure,
    "Share of the largest possible first-order change that four directions get on the "
    "validation digits: the signs of the gradient all of it, the scaled gradient less than "
    "half, one pixel less than a tenth in the median, random signs around zero.",
)
plt.show()

# %%
# What to see
# -----------
# Each direction in the second figure changes no pixel by more than 1. The signs use every pixel in
# full, however little it matters; the scaled gradient uses only the most sensitive pixel in full.
# Dots are the validation digits, upright bars medians.
