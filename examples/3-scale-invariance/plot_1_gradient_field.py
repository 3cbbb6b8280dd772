"""
Twice as far out, the gradient is half as long
==============================================

A function with f(λx) = f(x) is constant along rays. How long is its gradient at λx, compared with x? First
for y/x, where it can be seen, then for a network with batch norm, where the ε in the denominator spoils the
rule close to the origin. The derivation is in :doc:`/solutions/3-scale-invariance/a-gradient`; this script is
evidence for the claims ``3a-example``, ``3a-scaling`` and ``3a-euler``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.scale_invariance import batchnorm_loss, function_gradient

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# Along a ray the value stays and the gradient shrinks
# ----------------------------------------------------


def ratio(z):
    return z[1] / z[0]


start = torch.tensor([0.6, 0.45])
scales = (1.0, 2.0, 3.5)
arrows = [(scale * start, function_gradient(ratio, scale * start)) for scale in scales]
for point, gradient in arrows:
    print(f"value {ratio(point):.2f}, gradient {gradient.tolist()}, length {gradient.norm():.3f}")

# %%
# A network with batch norm
# -------------------------
# Ten inputs, eight hidden units with batch norm and tanh, a fixed readout; the argument is all weights before batch norm.
# The rule is a line of slope −1 in logarithmic axes. With ε > 0 the function is not scale invariant where
# the variance of a unit's input is not large against ε.

inputs, targets, readout = torch.randn(64, 10), torch.randn(64).tanh(), torch.randn(8) / 8**0.5
weight = torch.randn(80)
weight = weight / weight.norm()
lengths = torch.logspace(-3.5, 1.5, 41)
curves = {
    eps: torch.stack(
        [
            function_gradient(batchnorm_loss(inputs, targets, eps, readout), size * weight).norm()
            for size in lengths
        ]
    )
    for eps in (0.0, 1e-5, 1e-3)
}

# %%
# Verify
# ------

for (point, gradient), scale in zip(arrows, scales, strict=True):
    assert abs(ratio(point) - ratio(start)) < 1e-14
    assert abs(gradient @ point) < 1e-14
    assert (scale * gradient - arrows[0][1]).abs().max() < 1e-14
slopes = curves[0.0].log().diff() / lengths.log().diff()
assert (slopes + 1).abs().max() < 1e-9
assert curves[1e-3][0] < 0.02 * curves[0.0][0]
assert (curves[1e-3][-1] / curves[0.0][-1] - 1).abs() < 1e-3

# %%
# The figure
# ----------

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.6, 7.0), height_ratios=[1.15, 1])
for slope in (0.15, 0.4, 0.75, 1.2, 2.0, 4.0):
    top.plot([0, 3], [0, 3 * slope], color=figures.MUTED, lw=0.7)
top.plot([0, 3], [0, 2.25], color=figures.BLUE, lw=1.8)
for (point, gradient), scale in zip(arrows, scales, strict=True):
    top.plot(*point, "o", color=figures.BLUE)
    top.annotate(
        "",
        point + 0.45 * gradient,
        point,
        arrowprops={"arrowstyle": "-|>", "color": figures.ORANGE, "lw": 2},
    )
    label = "x" if scale == 1 else f"{scale:g}x"
    top.annotate(label, point, xytext=(7, -12), textcoords="offset points", color=figures.BLUE)
top.set(xlim=(0, 2.6), ylim=(0, 2.1), aspect="equal", xlabel="x", ylabel="y")
top.grid(False)
top.set_title("y/x: one value a ray, a gradient across it")
colors = (figures.BLUE, figures.ORANGE, figures.PURPLE)
for (eps, curve), color in zip(curves.items(), colors, strict=True):
    bottom.loglog(lengths, curve, color=color, label=f"ε = {eps:g}")
bottom.set(xlabel="length of the weight vector", ylabel="length of the gradient")
bottom.set_title("Slope −1, down to where ε takes over")
bottom.legend()
figures.describe(
    figure,
    "Top: level rays of y/x with the gradient, at 0.45 of its length, drawn at x, 2x and 3.5x: orthogonal to the ray, shorter further out. "
    "Bottom: gradient length against weight length for a network with batch norm in logarithmic axes, a line of slope "
    "minus one for ε = 0; for ε = 1e-5 and 1e-3 the curves bend down towards small weights.",
)
plt.show()

# %%
# What to see
# -----------
# Top: the arrows are orthogonal to the ray, because nothing changes along it, and their lengths fall like 1/λ.
# Bottom: the same over five orders of magnitude, for ε = 0. With PyTorch's ε = 1e-5 the rule holds as long as the
# unit's standard deviation is far above √ε ≈ 0.003.
