"""
The direction turns by arctan s, and the first-order step misses by √(1+s²) − 1
===============================================================================

Gradient descent moves x along a straight line; what does its direction u = x/‖x‖ do? To first order
it takes a step of gradient descent with the rate η/‖x‖². The exact answer fits into one triangle.

The derivation is in :doc:`/solutions/3-scale-invariance/b-step`; this script is evidence for the
claims ``3b-step`` and ``3b-denominator``.
"""

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import FancyArrowPatch

from hw2lib import figures
from hw2lib.scale_invariance import batchnorm_loss, function_gradient, sphere_step

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# One step in the plane
# ---------------------
# The gradient is orthogonal to x, so x and the step are the legs of a right triangle. Divided by
# ‖x‖ they are u and a leg of length s. (For the picture any orthogonal gradient will do.)

x, gradient = torch.tensor([2.0, 0.0]), torch.tensor([0.0, -1.0])
step = sphere_step(x, gradient, 1.6)
u = x / x.norm()
first_order = u - step.angle.tan() * gradient
print(f"angle {torch.rad2deg(step.angle):.1f}°, remainder {step.remainder:.3f}")

# %%
# Many steps of a unit behind batch norm
# --------------------------------------
# Learning rates over six orders of magnitude: how far is the next direction from the first-order
# step?

f = batchnorm_loss(torch.randn(64, 10), torch.randn(64).tanh())
rates = torch.logspace(-2, 4, 61)
slopes, measured, angles = [], [], []
for seed in range(5):
    weight = torch.randn(10, generator=torch.Generator().manual_seed(seed))
    g = function_gradient(f, weight)
    for rate in rates.tolist():
        moved = weight - rate * g
        tangent = weight / weight.norm() - rate * g / weight.norm()
        slopes.append(rate * g.norm() / weight.norm())
        measured.append((moved / moved.norm() - tangent).norm())
        across = moved - (moved @ weight) / (weight @ weight) * weight
        angles.append(torch.atan2(across.norm(), moved @ weight / weight.norm()))
slopes, measured, angles = torch.stack(slopes), torch.stack(measured), torch.stack(angles)
exact = slopes.square() / (1 + (1 + slopes.square()).sqrt())  # = √(1+s²) − 1 without cancellation

# %%
# Verify
# ------

assert (first_order - step.x / x.norm()).abs().max() < 1e-15  # a point of the ray through x⁺
assert ((first_order - step.u).norm() - step.remainder).abs() < 1e-14
assert (angles / slopes.atan() - 1).abs().max() < 1e-9
assert ((measured - exact).abs() < 1e-14 * (1 + slopes)).all()
small = (slopes > 1e-4) & (slopes < 1e-2)
powers = torch.stack([slopes[small].log(), torch.ones(int(small.sum()))], 1)
order = torch.linalg.lstsq(powers, measured[small].log()[:, None]).solution[0]
print(f"order of the remainder for small s: {order.item():.3f}")
assert abs(order - 2) < 0.01
assert (measured[slopes > 100] / slopes[slopes > 100] - 1).abs().max() < 0.01

# %%
# Drawing the figures
# -------------------

figure, axes = plt.subplots(figsize=(5.2, 4.4))
arc = torch.linspace(-0.12, 1.0, 200)
axes.plot(arc.cos(), arc.sin(), color=figures.MUTED, lw=1)
axes.plot([0, 2], [0, 0], color=figures.BLUE, lw=1.6)
axes.plot([0, step.x[0]], [0, step.x[1]], color=figures.BLUE, lw=1.6, ls=(0, (5, 3)))
for end, start, width in ((step.x, x, 3.0), (first_order, u, 1.8)):
    axes.add_patch(
        FancyArrowPatch(
            tuple(start), tuple(end), arrowstyle="-|>", mutation_scale=15, lw=width,
            color=figures.ORANGE, shrinkA=0, shrinkB=0, zorder=3, alpha=1 if width > 2 else 0.6,
        )
    )  # fmt: skip
for corner in (2.0, 1.0):
    axes.plot([corner - 0.1] * 2 + [corner], [0, 0.1, 0.1], color=figures.MUTED, lw=1)
turn = torch.linspace(0, step.angle.item(), 50)
axes.plot(0.38 * turn.cos(), 0.38 * turn.sin(), color=figures.INK, lw=1.2)
axes.plot(*torch.stack([first_order, step.u]).T, color=figures.RED, lw=4.5, zorder=4)
for point, color in ((u, figures.BLUE), (x, figures.BLUE), (step.u, figures.GREEN)):
    axes.plot(*point, "o", color=color, ms=7, zorder=5)
for text, point, align, color in (
    ("θ", (0.43, 0.1), "left", figures.INK),
    ("u", (1.0, -0.21), "center", figures.BLUE),
    ("x", (2.0, -0.21), "center", figures.BLUE),
    ("x⁺", (2.05, 1.66), "left", figures.BLUE),
    ("−η∇f(x)", (2.07, 0.8), "left", figures.ORANGE),
    ("s", (1.05, 0.33), "left", figures.ORANGE),
    ("u⁺", (0.68, 0.62), "right", figures.GREEN),
    ("√(1+s²) − 1", (0.88, 0.93), "right", figures.RED),
):
    axes.text(*point, text, ha=align, color=color, fontsize=14)
axes.set(aspect="equal", xlim=(-0.05, 2.75), ylim=(-0.3, 1.85))
axes.axis("off")
figures.headline(figure, "A right angle, so tan θ = s, and x⁺ is longer than x")
figures.describe(
    figure,
    "A right triangle: x is one leg, the step −η∇f(x) the other, x⁺ the end of the hypotenuse; "
    "the angle θ at the origin has tangent s. Divided by the length of x, a small triangle at "
    "the unit circle: the first-order step ends outside of the circle, a short red gap of "
    "√(1+s²) − 1 beyond the exact next direction u⁺, on the same ray.",
)

figure, axes = plt.subplots(figsize=(5.2, 3.7))
line = torch.logspace(-5, 3, 200)
gap = line**2 / (1 + (1 + line**2).sqrt())
axes.loglog(line, line**2 / 2, color=figures.MUTED, lw=1.2, ls="--")
axes.loglog(line, gap, color=figures.RED, lw=2.6)
axes.loglog(slopes[::8], measured[::8], "o", color=figures.BLUE, mfc="none", ms=5.5, zorder=4)
for text, point, align, color in (
    ("√(1+s²) − 1", (1.5e-2, 2e-7), "left", figures.RED),
    ("s²/2", (1.2e1, 1.2e3), "right", figures.MUTED),
    ("measured", (4e-4, 1e-5), "right", figures.BLUE),
):
    axes.text(*point, text, ha=align, color=color, fontsize=12)
axes.set(xlim=(1e-5, 1e3), ylim=(1e-11, 1e4), xlabel="s = η‖∇f(u)‖/‖x‖²")
axes.set_xticks([1e-4, 1e-2, 1, 1e2])
figures.headline(figure, "The red gap: s²/2 for small s, about s for large")
figures.describe(
    figure,
    "The measured distance against s in logarithmic axes lies on √(1+s²) − 1, which follows "
    "s²/2 for small s and s for large s.",
)
plt.show()

# %%
# What to see
# -----------
# x (blue) and the step (orange) meet at a right angle, so the length can only grow and the angle is
# arctan s. The first-order step goes in the right direction and too far, by the red gap. In the
# second figure all measured gaps lie on the formula, over the whole range: of order two for small
# s, of order one for large.
