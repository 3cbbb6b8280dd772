r"""
On fresh batches the turning slows down without weight decay; with it the angle settles
=======================================================================================

The weights in front of a batch norm are a direction with a length that does not matter, except that
the direction's learning rate is η/‖w‖². How far does a step turn the direction,
and what does the length do, with and without weight decay?

The derivation is in :doc:`/solutions/3-scale-invariance/c-dynamics`; this script is evidence for
the claims ``3b-projector``, ``3b-length`` and ``3b-mean-angle``.
"""

import math

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.scale_invariance import batchnorm_loss, equilibrium_angle

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# Stochastic gradient descent on a network with batch norm
# --------------------------------------------------------
# Ten inputs, eight hidden units with batch norm and tanh, a fixed readout; w holds the weights
# before batch norm. A fresh random batch of 32 in each step, so the gradients never vanish. Three
# seeds for each weight decay.

rate, steps = 0.5, 800
decays = (0.0, 2e-3, 1e-2)


def train(decay, seed):
    """Return squared norms (predicted and measured) and the angle of every step."""
    generator = torch.Generator().manual_seed(seed)
    weight, teacher, readout = (torch.randn(n, generator=generator) for n in (80, 10, 8))
    weight = weight / weight.norm()
    squares, predicted, angles = [weight.square().sum()], [weight.square().sum()], []
    for _ in range(steps):
        inputs = torch.randn(32, 10, generator=generator)
        targets = (inputs @ teacher).tanh() + 0.5 * torch.randn(32, generator=generator)
        weight.requires_grad_()
        f = batchnorm_loss(inputs, targets, readout=readout / 8**0.5)
        (gradient,) = torch.autograd.grad(f(weight), weight)
        weight = weight.detach()
        following = (1 - rate * decay) * weight - rate * gradient
        shrunk = (1 - rate * decay) ** 2 * predicted[-1]
        predicted.append(shrunk + rate**2 * gradient.square().sum())
        cosine = following @ weight / (following.norm() * weight.norm())
        angles.append(cosine.clamp(max=1).acos())
        weight = following
        squares.append(weight.square().sum())
    return torch.stack(squares), torch.stack(predicted), torch.stack(angles)


runs = {decay: [train(decay, seed) for seed in range(3)] for decay in decays}

# %%
# Verify
# ------
# The squared norm is predicted to rounding, and so is the mean of log cos θ: log(1 − ηλ), up to the
# change of the length. Without decay the norm only grows. With decay its mean square over the last
# 200 steps is within 20 per cent of that over the 200 before, and the root mean square of the last
# 300 angles is within 10 per cent of arccos(1 − ηλ).

for decay in decays:
    for squares, predicted, angles in runs[decay]:
        assert (squares / predicted - 1).abs().max() < 1e-10
        ends = (squares[-1] / squares[0]).log() / 2 / steps
        assert abs(angles.cos().log().mean() - (math.log(1 - rate * decay) - ends)) < 1e-12
        if decay == 0:
            assert squares.diff().min() > 0
            assert angles[-300:].mean() < 0.5 * angles[:20].mean()
        else:
            assert squares.diff().min() < 0
            assert abs(squares[-200:].mean() / squares[-400:-200].mean() - 1) < 0.2
            late = angles[-300:].square().mean().sqrt().item()
            assert abs(late / equilibrium_angle(rate, decay) - 1) < 0.1

# %%
# Drawing the figures
# -------------------
# One run of each weight decay is bold, from a start whose first step is long; two more are faint.
# The angles are averaged over 25 steps. The dots of the second figure are lengths predicted from
# the measured gradients.

BOLD = 1  # its first step takes it far out, so one sees where the length comes back
colors = (figures.BLUE, figures.ORANGE, figures.GREEN)
window = torch.ones(1, 1, 25) / 25
turning, angle_axes = plt.subplots(figsize=(5.2, 3.9))
growing, length_axes = plt.subplots(figsize=(5.2, 3.6))
for decay, color in zip(decays, colors, strict=True):
    for seed, (squares, predicted, angles) in enumerate(runs[decay]):
        is_bold = seed == BOLD
        look = {"lw": 2.4, "zorder": 3} if is_bold else {"lw": 1, "alpha": 0.5}
        smooth = torch.nn.functional.conv1d(angles[None, None], window)[0, 0].rad2deg()
        angle_axes.plot(range(12, 12 + len(smooth), 4), smooth[::4], color=color, **look)
        length_axes.plot(range(0, steps + 1, 4), squares[::4].sqrt(), color=color, **look)
        if is_bold:
            last = smooth[-1]
            dots = predicted[50::100].sqrt()
            length_axes.plot(range(50, steps, 100), dots, "o", color=color, ms=6, zorder=4)
            end = (815, squares[-1].sqrt())
            length_axes.text(
                *end,
                f"λ = {decay:g}" if decay else "no decay",
                color=color,
                va="center",
                fontsize=12,
            )
    if decay:
        height = math.degrees(equilibrium_angle(rate, decay))
        angle_axes.plot([0, 800], [height] * 2, color=figures.INK, ls=(0, (4, 3)), lw=1, zorder=4)
        angle_axes.text(815, height, f"λ = {decay:g}", color=color, va="center", fontsize=12)
    else:
        angle_axes.text(815, last, "no decay", color=color, va="center", fontsize=12)
angle_axes.set(yscale="log", xlabel="step", xlim=(0, 1000), ylim=(0.9, 12))
angle_axes.set_yticks([1, 2, 5, 10], ["1°", "2°", "5°", "10°"])
angle_axes.minorticks_off()
figures.headline(turning, "With decay the angle settles around arccos(1 − ηλ)")
figures.describe(
    turning,
    "The angle of a step over 800 steps for three weight decays, three seeds each, one bold: "
    "without decay it keeps falling, with decay it settles around the dashed prediction, for "
    "every seed.",
)
length_axes.set(xlabel="step", xlim=(0, 1000), ylim=(0, None))
figures.headline(growing, "The length: only with decay can it fall")
figures.describe(
    growing,
    "The length of the weights over 800 steps for the same runs: without decay it keeps "
    "growing, with decay it levels off; dots from the recursion lie on the measured curves.",
)
for axes in (angle_axes, length_axes):
    axes.set_xticks(range(0, 801, 200))
plt.show()

# %%
# What to see
# -----------
# Every step adds :math:`\eta^2\lVert\nabla f\rVert^2` to the squared length, so without decay
# (blue) the direction turns more and more slowly although η is constant. With weight decay the
# length finds a balance, on average, from below or from above. Where the length settles depends on
# the size of the gradients, and so on the seed; the typical angle a step depends on ηλ alone.
# Weight decay in front of a batch norm does not regularise the function; it sets the speed.
