"""
Twice as far out, the gradient is half as long
==============================================

A function with f(λx) = f(x) is constant along rays. How long is its gradient at λx, compared with
x? First for a function of two variables, where it can be seen, then for a network with batch norm,
where the ε in the denominator spoils the rule close to the origin.

The derivation is in :doc:`/solutions/3-scale-invariance/a-gradient`; this script is evidence for
the claims ``3a-example``, ``3a-scaling`` and ``3a-euler``.
"""

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import FancyArrowPatch

from hw2lib import figures
from hw2lib.scale_invariance import batchnorm_loss, function_gradient

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# A function of the direction alone
# ---------------------------------
# x₂/x₁ is the slope of the ray through x = (x₁, x₂). We take its gradient on three circles, of
# radius 1, 2 and 3, in four directions.


def slope(z):
    return z[1] / z[0]


directions = torch.tensor([-30, -10, 10, 30]).deg2rad()
directions = torch.stack([directions.cos(), directions.sin()], 1)
radii = (1.0, 2.0, 3.0)
field = torch.stack(
    [torch.stack([function_gradient(slope, radius * u) for u in directions]) for radius in radii]
)
bold = 3  # the ray at 30°
print("lengths on the bold ray:", ", ".join(f"{x:.3f}" for x in field[:, bold].norm(dim=1)))

# %%
# A network with batch norm
# -------------------------
# Ten inputs, eight hidden units with batch norm and tanh, a fixed readout; the argument is all
# weights before batch norm. In logarithmic axes the rule is a line of slope −1. With ε > 0 the
# function is not scale invariant where the variance of a unit's input is not large against ε.

inputs, targets, readout = torch.randn(64, 10), torch.randn(64).tanh(), torch.randn(8) / 8**0.5
weight = torch.randn(80)
weight = weight / weight.norm()
lengths = torch.logspace(-3.5, 1.5, 41)
curves = {}
for eps in (0.0, 1e-5, 1e-3):
    f = batchnorm_loss(inputs, targets, eps, readout)
    curves[eps] = torch.stack([function_gradient(f, size * weight).norm() for size in lengths])

# %%
# Verify
# ------
# The gradient is tangent to the circle, and λ times as far out it is 1/λ as long; so it is for the
# network with ε = 0.

for radius, gradients in zip(radii, field, strict=True):
    assert (gradients * directions).sum(1).abs().max() < 1e-14
    assert (radius * gradients - field[0]).abs().max() < 1e-14
slopes = curves[0.0].log().diff() / lengths.log().diff()
assert (slopes + 1).abs().max() < 1e-9
assert curves[1e-3][0] < 0.02 * curves[0.0][0]
assert (curves[1e-3][-1] / curves[0.0][-1] - 1).abs() < 1e-3

# %%
# Drawing the figures
# -------------------
# All arrows of the first are drawn at 45 hundredths of their length.

figure, axes = plt.subplots(figsize=(5.2, 4.7))
fine = torch.linspace(-37, 37, 200).deg2rad()
for radius in radii:
    axes.plot(radius * fine.cos(), radius * fine.sin(), color=figures.MUTED, lw=0.8, ls=(0, (4, 3)))
for index, (u, gradients) in enumerate(zip(directions, field.transpose(0, 1), strict=True)):
    main = index == bold
    color, width = (figures.BLUE, 2.0) if main else (figures.GRID, 1.0)
    axes.plot([0, 3.5 * u[0]], [0, 3.5 * u[1]], color=color, lw=width, zorder=2)
    for radius, gradient in zip(radii, gradients, strict=True):
        axes.add_patch(
            FancyArrowPatch(
                tuple(radius * u), tuple(radius * u + 0.45 * gradient), arrowstyle="-|>", shrinkA=0,
                shrinkB=0, color=figures.ORANGE, alpha=1 if main else 0.55, lw=3 if main else 1.4,
                mutation_scale=14 if main else 9, zorder=4,
            )
        )  # fmt: skip
for number, (text, size) in enumerate((("x", "∇f(x)"), ("2x", "½"), ("3x", "⅓"))):
    point = (number + 1) * directions[bold]
    tip = point + 0.45 * field[number, bold]
    axes.plot(*point, "o", color=figures.BLUE, ms=7, zorder=5)
    style = {"textcoords": "offset points", "fontsize": 14}
    axes.annotate(text, point, (-3, -20), color=figures.BLUE, ha="center", **style)
    axes.annotate(size, tip, (-9, -3), color=figures.ORANGE, ha="right", **style)
axes.plot(0, 0, "o", color=figures.INK, ms=4)
axes.set(xlim=(-0.1, 3.4), ylim=(-1.9, 1.95), aspect="equal")
axes.axis("off")
figures.headline(figure, "Twice as far out, half as long")
figures.describe(
    figure,
    "Rays from the origin and circles of radius 1, 2 and 3, with the gradient of x₂/x₁ where "
    "they meet: always tangent to the circle. On the bold ray it has its full length at x, "
    "half of it at 2x, a third at 3x.",
)

figure, axes = plt.subplots(figsize=(5.2, 3.7))
for (eps, curve), color in zip(
    curves.items(), (figures.BLUE, figures.ORANGE, figures.PURPLE), strict=True
):
    axes.loglog(lengths, curve, color=color, lw=1.6 if eps else 2.8, zorder=2 if eps else 3)
for text, at, offset, color in (
    ("ε = 0", (2e-3, curves[0.0][7]), (10, 6), figures.BLUE),
    ("ε = 10⁻⁵", (lengths[0], curves[1e-5][0]), (8, 8), figures.ORANGE),
    ("ε = 10⁻³", (lengths[0], curves[1e-3][0]), (8, 8), figures.PURPLE),
):
    axes.annotate(text, at, xytext=offset, textcoords="offset points", color=color, fontsize=12)
axes.set_xlabel("length of the weight vector")
figures.headline(figure, "Length of the gradient: slope −1 for ε = 0")
figures.describe(
    figure,
    "Gradient length against weight length for a network with batch norm in logarithmic axes: "
    "a line of slope minus one for ε = 0; for ε = 10⁻⁵ and 10⁻³ the curves join it at large "
    "weights and bend down towards small ones.",
)
plt.show()

# %%
# What to see
# -----------
# Nothing changes along a ray, so the arrows are orthogonal to it; and their lengths fall like 1/λ.
# For the network the same holds over five orders of magnitude if ε = 0. With PyTorch's ε = 10⁻⁵
# it holds as long as the standard deviation of a unit's input is far above √ε ≈ 0.003.
