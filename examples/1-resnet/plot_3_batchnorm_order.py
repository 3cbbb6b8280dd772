"""
Batch norm normalises what enters a ReLU only if no residual sum lies between
=============================================================================

The reference code puts batch norm before the ReLU; the printed solution says that the ReLU's inputs
are then normalised. ResNet-18 calls its ReLU 17 times. What enters it, under both orders? The
derivation is in :doc:`/solutions/1-resnet/a-batchnorm-order`; this script is evidence for the claims
``1a-normalised``, ``1a-relu-off`` and ``1a-reverse``.
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


LEVELS = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])


def relu_statistics(seed, batchnorm_first):
    """Return, for each of the 17 ReLUs: variance (mean over channels), share off, five quantiles."""
    torch.manual_seed(seed)
    model = resnet18(batchnorm_first=batchnorm_first)
    rows = []
    for z in layer_inputs(model, torch.randn(12, 3, 64, 64)):
        variance = z.transpose(0, 1).flatten(1).var(1, correction=0).mean()
        values = z.flatten()[:: max(1, z.numel() // 20_000)]  # enough for quantiles
        rows.append(torch.stack([variance, (z <= 0).float().mean(), *values.quantile(LEVELS)]))
    return torch.stack(rows, dim=1)


seeds = range(3)
before = torch.stack([relu_statistics(seed, True) for seed in seeds])
after = torch.stack([relu_statistics(seed, False) for seed in seeds])

# %%
# Verify
# ------
# The stem and the first ReLU of each block follow a batch norm directly; the second ReLU of each block
# follows a residual sum.

direct = [0, *range(1, 17, 2)]
summed = list(range(2, 17, 2))
assert len(direct) == 9
assert len(summed) == 8
print(
    f"variance after batch norm: {before[:, 0, direct].min():.4f} to {before[:, 0, direct].max():.4f}"
)
print(
    f"variance after a residual sum: {before[:, 0, summed].min():.2f} to {before[:, 0, summed].max():.2f}"
)
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
# With the reverse order, the scale of what enters the convolutions is fixed instead: from the third on a batch
# norm feeds them directly. A channel has variance σ²/(σ² + ε) there: 1, unless its ReLU is off for nearly the
# whole batch.

torch.manual_seed(0)
entering = layer_inputs(resnet18(batchnorm_first=False), torch.randn(12, 3, 64, 64), nn.Conv2d)
variances = [x.transpose(0, 1).flatten(1).var(1, correction=0) for x in entering[2:]]
low = torch.cat(variances) < 0.99
print(f"channels of variance below 0.99: {int(low.sum())} of {len(low)}")
assert torch.cat(variances).max() < 1 + 1e-4
assert low.float().mean() < 0.01

# %%
# The figure
# ----------

relus = torch.arange(1, 18)
figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(5.2, 8.2), sharex=True)
for data, color, marker, label, shift in (
    (before, figures.BLUE, "o", "batch norm, then ReLU (reference)", -0.15),
    (after, figures.ORANGE, "s", "ReLU, then batch norm", 0.15),
):
    low, lower, median, upper, high = data[:, 2:].mean(0)
    top.vlines(relus + shift, low, high, color=color, lw=1.2)
    top.vlines(relus + shift, lower, upper, color=color, lw=4)
    top.plot(relus + shift, median, marker, color=figures.PAPER, mec=color, ms=4.5)
    for axes, values in ((middle, data[:, 0]), (bottom, 100 * data[:, 1])):
        axes.plot(relus, values.mean(0), color=color, marker=marker, lw=1.2, label=label)
        axes.fill_between(relus, values.amin(0), values.amax(0), color=color, alpha=0.25, lw=0)
for number in summed:
    for axes in (top, middle, bottom):
        axes.axvspan(number + 0.6, number + 1.4, color=figures.MUTED, alpha=0.13, lw=0)
top.set_title("What enters the ReLUs (5–95 %, quartiles, median)")
top.set_ylabel("value")
middle.set_title("Variance 1 after batch norm, more after a sum")
middle.set_ylabel("variance of the input")
middle.set_yscale("log")
middle.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
middle.set_ylim(0.03, 100)
middle.minorticks_off()
bottom.set_title("Half of the units off, fewer at identity sums")
bottom.set_ylabel("units off, %")
bottom.set_xlabel("ReLU in order (shaded: after a residual sum)")
bottom.set_xticks(range(1, 18, 2))
middle.legend(loc="upper right")
figures.describe(
    figure,
    "Quantiles and variance of the input and share of units off at the 17 ReLUs, for batch norm before and after the "
    "ReLU, mean and range over three seeds. With batch norm first the variance is 1 at nine ReLUs and "
    "clearly larger at the eight that follow a residual sum.",
)
plt.show()

# %%
# What to see
# -----------
# At the nine unshaded ReLUs the blue curve sits at 1, up to ε and rounding. At the eight shaded ones two
# branches have been added, and the variance is larger. At the five identity shortcuts fewer units are off too,
# since what is added is never negative; where the shortcut ends in a batch norm, half are off. With the reverse
# order nothing fixes the scale of what enters a ReLU; what it fixes is the scale of what enters the next
# convolution.
