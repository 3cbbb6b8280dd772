"""
The direction turns by arctan s, and the first-order step misses by √(1+s²) − 1
===============================================================================

Gradient descent moves x along a straight line; what does its direction u = x/‖x‖ do? To first order it takes a
step of gradient descent with the rate η/‖x‖². The exact answer fits into one triangle. The derivation is in
:doc:`/solutions/3-scale-invariance/b-step`; this script is evidence for the claims ``3b-step`` and
``3b-denominator``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.scale_invariance import batchnorm_loss, function_gradient, sphere_step

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# One step in the plane
# ---------------------
# The gradient is orthogonal to x, so x and the step are the legs of a right triangle. (For the picture any
# orthogonal gradient will do.)

x, gradient = torch.tensor([1.3, 0.0]), torch.tensor([0.0, -1.0])
step = sphere_step(x, gradient, 0.9)
u = x / x.norm()
first_order = u - step.angle.tan() * gradient
print(f"angle {torch.rad2deg(step.angle):.1f}°, remainder {step.remainder:.3f}")

# %%
# Many steps of a unit behind batch norm
# --------------------------------------
# Learning rates over six orders of magnitude: how far is the next direction from the first-order step?

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
exact = slopes.square() / (1 + (1 + slopes.square()).sqrt())

# %%
# Verify
# ------

assert (angles / slopes.atan() - 1).abs().max() < 1e-9
assert ((measured - exact).abs() < 1e-14 * (1 + slopes)).all()
small = (slopes > 1e-4) & (slopes < 1e-2)
order = torch.linalg.lstsq(
    torch.stack([slopes[small].log(), torch.ones(int(small.sum()))], 1),
    measured[small].log()[:, None],
).solution[0]
print(f"order of the remainder for small s: {order.item():.3f}")
assert abs(order - 2) < 0.01

# %%
# The figure
# ----------

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.2, 7.0), height_ratios=[1.2, 1])
arc = torch.linspace(-0.15, 1.25, 200)
top.plot(arc.cos(), arc.sin(), color=figures.MUTED, lw=1)
top.plot([0, 1.3], [0, 0], color=figures.BLUE, lw=1.5)
top.plot([0, step.x[0]], [0, step.x[1]], color=figures.BLUE, lw=1.5, ls="--")
top.annotate("", step.x, x, arrowprops={"arrowstyle": "-|>", "color": figures.ORANGE, "lw": 2})
turn = torch.linspace(0, step.angle.item(), 50)
top.plot(0.35 * turn.cos(), 0.35 * turn.sin(), color=figures.INK, lw=1)
top.text(0.38, 0.1, "θ")
top.plot(*u, "o", color=figures.BLUE)
top.plot(*step.u, "o", color=figures.GREEN)
top.plot(*first_order, "s", color=figures.PURPLE)
top.plot([first_order[0], step.u[0]], [first_order[1], step.u[1]], color=figures.RED, lw=2)
for text, point, offset, color in (
    ("u", u, (-14, -14), figures.BLUE),
    ("u⁺ (exact)", step.u, (-64, 2), figures.GREEN),
    ("first order", first_order, (-66, 8), figures.PURPLE),
    ("x", x, (6, -14), figures.BLUE),
    ("x⁺", step.x, (6, 2), figures.BLUE),
):
    top.annotate(text, point, xytext=offset, textcoords="offset points", color=color)
top.set(aspect="equal", xlim=(-0.05, 1.55), ylim=(-0.2, 1.05))
top.axis("off")
top.set_title("tan θ = s; the red gap is √(1+s²) − 1")
bottom.loglog(
    slopes[::8],
    measured[::8],
    "o",
    mfc="none",
    mec=figures.BLUE,
    ms=5,
    zorder=4,
    label="measured, 5 seeds",
)
line = torch.logspace(-6, 3, 200)
bottom.loglog(
    line, line**2 / (1 + (1 + line**2).sqrt()), color=figures.RED, lw=1.3, label="√(1+s²) − 1"
)
bottom.loglog(line, line**2 / 2, color=figures.MUTED, lw=1, ls="--", label="s²/2")
bottom.set(
    xlim=(1e-5, 1e3), ylim=(1e-11, 1e4), xlabel="s = η‖∇f(u)‖/‖x‖²", ylabel="size of the remainder"
)
bottom.set_title("Order 2 for small s, order 1 for large")
bottom.legend()
figures.describe(
    figure,
    "Top: the circle with u, the straight step from x to x⁺, the exact next direction and the first-order step, joined by "
    "a short red gap. Bottom: the measured gap against s in logarithmic axes lies on √(1+s²) − 1, which follows s²/2 for "
    "small s and s for large s.",
)
plt.show()

# %%
# What to see
# -----------
# Top: x (blue) and the step (orange) meet at a right angle, so the length can only grow and the angle is arctan s.
# The first-order step (square) goes in the right direction and too far, by the red gap. Bottom: all measured gaps lie on the formula, over the
# whole range: small for small s, and as large as the step itself for large ones.
