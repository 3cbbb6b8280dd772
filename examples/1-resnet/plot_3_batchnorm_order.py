"""
Straight from batch norm a fresh ReLU’s input has variance 1, after a residual sum more
=======================================================================================

The reference code puts batch norm before the ReLU. Are the ReLU's inputs normalised then? ResNet-18
calls its ReLU 17 times; let us look at what enters it, under both orders.

The derivation is in :doc:`/solutions/1-resnet/a-batchnorm-order`; this script is evidence for the
claims ``1a-normalised``, ``1a-relu-off`` and ``1a-reverse``.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from hw2lib import figures
from hw2lib.architecture import residual_blocks
from hw2lib.normalization import layer_inputs, relu_off_probability
from hw2lib.resnet import resnet18

plt.style.use("hw2lib.figures")

# %%
# Run both networks on three batches
# ----------------------------------
# Fresh weights (γ = 1, β = 0), training mode, random images; each seed draws both anew.


def relu_statistics(seed, batchnorm_first):
    """Return, for each of the 17 ReLUs, the variance (mean over channels) and the share off."""
    torch.manual_seed(seed)
    model = resnet18(batchnorm_first=batchnorm_first)
    rows = []
    for z in layer_inputs(model, torch.randn(12, 3, 64, 64)):
        variance = z.transpose(0, 1).flatten(1).var(1, correction=0).mean()
        rows.append(torch.stack([variance, (z <= 0).float().mean()]))
    return torch.stack(rows, dim=1)


seeds = range(3)
before = torch.stack([relu_statistics(seed, True) for seed in seeds])
after = torch.stack([relu_statistics(seed, False) for seed in seeds])

# %%
# Verify
# ------
# The stem and the first ReLU of each block follow a batch norm directly; the second ReLU of each
# block follows a residual sum.

direct = [0, *range(1, 17, 2)]
summed = list(range(2, 17, 2))
assert len(direct) == 9
assert len(summed) == 8
normed, added = before[:, 0, direct], before[:, 0, summed]
print(f"variance after batch norm: {normed.min():.4f} to {normed.max():.4f}")
print(f"variance after a residual sum: {added.min():.2f} to {added.max():.2f}")
print(f"reverse order, all 17: {after[:, 0].min():.2f} to {after[:, 0].max():.2f}")
assert (before[:, 0, direct] - 1).abs().max() < 1e-3
assert before[:, 0, summed].min() > 1.2
assert (before[:, 1, direct].mean() - relu_off_probability(0.0)).abs() < 0.02
shortcuts = [bool(block.shortcut) for block in residual_blocks(resnet18(), (3, 64, 64))]
identity = [number for number, shortcut in zip(summed, shortcuts, strict=True) if not shortcut]
assert len(identity) == 5
assert before[:, 1, identity].max() < 0.4
projected = [number for number in summed if number not in identity]
assert (before[:, 1, projected].mean() - 0.5).abs() < 0.02

# %%
# With the reverse order, the scale of what enters the convolutions is fixed instead: from the third
# on a batch norm feeds them directly. A channel has variance σ²/(σ² + ε) there: 1, unless its ReLU
# is off for nearly the whole batch.

torch.manual_seed(0)
entering = layer_inputs(resnet18(batchnorm_first=False), torch.randn(12, 3, 64, 64), nn.Conv2d)
variances = [x.transpose(0, 1).flatten(1).var(1, correction=0) for x in entering[2:]]
low = torch.cat(variances) < 0.99
print(f"channels of variance below 0.99: {int(low.sum())} of {len(low)}")
assert torch.cat(variances).max() < 1 + 1e-4
assert low.float().mean() < 0.01

# %%
# Drawing the figure
# ------------------

relus = torch.arange(1, 18)
means = before[:, 0].mean(0)
figure, axes = plt.subplots(figsize=(5.2, 3.7))
axes.axhline(1, color=figures.BLUE, lw=1, zorder=0)
axes.vlines(relus[summed], 1, means[summed], color=figures.ORANGE, lw=1.5)
axes.vlines(
    relus, before[:, 0].amin(0), before[:, 0].amax(0), color=figures.ORANGE, lw=5, alpha=0.35
)
axes.plot(relus[direct], means[direct], "o", color=figures.BLUE, ms=7)
axes.plot(relus[summed], means[summed], "o", color=figures.ORANGE, ms=7)
axes.set(
    ylim=(0, 2.65),
    yticks=[0, 1, 2],
    xticks=range(1, 18, 2),
    xlabel="ReLU, in the order of the network",
)
axes.set_ylabel("variance of its input")
axes.text(17.6, 0.86, "straight from batch norm", color=figures.BLUE, ha="right", va="top")
axes.text(17.6, 2.3, "after a residual sum", color=figures.ORANGE, ha="right", va="bottom")
axes.grid(visible=False)
figures.headline(figure, "Variance 1 after batch norm, more after a sum")
figures.describe(
    figure,
    "Variance of the input of ResNet-18's 17 ReLUs, mean over three seeds with range. It is 1 "
    "at the nine ReLUs that follow a batch norm directly and clearly larger at the eight that "
    "follow a residual sum.",
)
plt.show()

# %%
# What to see
# -----------
# At nine ReLUs the variance is 1, up to ε and rounding. At the eight others two branches have been
# added, and it is larger. At the five identity shortcuts fewer units are off too, since what is
# added is never negative; where the shortcut ends in a batch norm, half are off. With the reverse
# order nothing fixes the scale of what enters a ReLU (printed above); what is fixed is the scale of
# what enters the next convolution.
