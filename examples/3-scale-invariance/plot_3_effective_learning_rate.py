"""
Without weight decay the effective learning rate only falls; with it the angle settles
======================================================================================

The weights in front of a batch norm are a direction with a length that does not matter, except that the step of the
direction is η/‖w‖². What happens to the length in training, with and without weight decay? The derivation is in
:doc:`/solutions/3-scale-invariance/c-dynamics`; this script is evidence for the claims ``3b-projector``, ``3b-T3``
and ``3b-mean-angle``.
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
# Ten inputs, eight hidden units with batch norm and tanh, a fixed readout; w is all weights before batch norm.
# A fresh random batch of 32 in each step, so the gradients never vanish. Three seeds for each weight decay.

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
        (gradient,) = torch.autograd.grad(
            batchnorm_loss(inputs, targets, readout=readout / 8**0.5)(weight), weight
        )
        weight = weight.detach()
        following = (1 - rate * decay) * weight - rate * gradient
        predicted.append(
            (1 - rate * decay) ** 2 * predicted[-1] + rate**2 * gradient.square().sum()
        )
        cosine = following @ weight / (following.norm() * weight.norm())
        angles.append(cosine.clamp(max=1).acos())
        weight = following
        squares.append(weight.square().sum())
    return torch.stack(squares), torch.stack(predicted), torch.stack(angles)


runs = {decay: [train(decay, seed) for seed in range(3)] for decay in decays}

# %%
# Verify
# ------
# The squared norm is predicted to rounding, and so is the mean of log cos θ: log(1 − ηλ), up to the change of the length.
# Without decay the norm only grows. With decay its mean square over the last 200 steps is within 20 per cent of that over
# the 200 before, and the root mean square of the last 300 angles is within 10 per cent of arccos(1 − ηλ).

for decay in decays:
    for squares, predicted, angles in runs[decay]:
        assert (squares / predicted - 1).abs().max() < 1e-10
        ends = (squares[-1] / squares[0]).log() / 2 / steps
        assert abs(angles.cos().log().mean() - (math.log(1 - rate * decay) - ends)) < 1e-12
        if decay == 0:
            assert squares.diff().min() > 0
            assert angles[-300:].mean() < 0.5 * angles[:20].mean()
        else:
            assert abs(squares[-200:].mean() / squares[-400:-200].mean() - 1) < 0.2
            late = angles[-300:].square().mean().sqrt().item()
            assert abs(late / equilibrium_angle(rate, decay) - 1) < 0.1

# %%
# The figure
# ----------

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.2, 6.6), sharex=True)
colors = (figures.BLUE, figures.ORANGE, figures.GREEN)
window = torch.ones(1, 1, 25) / 25
for decay, color in zip(decays, colors, strict=True):
    for seed, (squares, predicted, angles) in enumerate(runs[decay]):
        top.plot(
            rate / squares, color=color, lw=1.1, alpha=0.9, label=None if seed else f"λ = {decay:g}"
        )
        top.plot(range(0, steps, 100), rate / predicted[:-1:100], "o", color=color, ms=3)
        smooth = torch.nn.functional.conv1d(angles[None, None], window)[0, 0]
        bottom.plot(range(12, 12 + len(smooth)), smooth, color=color, lw=1.1, alpha=0.9)
    if decay:
        bottom.axhline(equilibrium_angle(rate, decay), color=color, ls="--", lw=1.4)
top.set(
    yscale="log",
    ylabel="rate η/‖w‖²",
    yticks=[0.03, 0.06, 0.1, 0.2, 0.4],
    yticklabels=["0.03", "0.06", "0.1", "0.2", "0.4"],
)
top.minorticks_off()
top.set_title("Without decay the rate only falls")
top.legend(ncols=1, loc="upper right")
bottom.set(yscale="log", xlabel="step", ylabel="angle a step, radians")
bottom.set_title("The angle settles around arccos(1 − ηλ)")
figures.describe(
    figure,
    "Top: effective learning rate over 800 steps for three weight decays, three seeds each; without decay it keeps falling, "
    "with decay it levels off, at a height that depends on the seed; dots from the formula lie on the measured curves. "
    "Bottom: the angle a step falls without decay and settles around the dashed prediction with decay, for every seed.",
)
plt.show()

# %%
# What to see
# -----------
# Every step adds η²‖∇‖² to the squared length, so without decay (blue) the direction turns more and more slowly although η
# is constant. With weight decay the length finds a balance, on average, from below or from above. Where the rate settles
# depends on the size of the gradients, and so on the seed; the typical angle a step depends on ηλ alone. Weight decay in
# front of a batch norm does not regularise the function; it sets the speed.
