"""
Batch norm cancels the bias at once in training mode, and slowly in eval mode
=============================================================================

A convolution that feeds a batch norm needs no bias. In training mode that is exact: the batch mean
takes the bias away. In eval mode the *running* mean has to catch up first. How long does it take?

The derivation is in :doc:`/solutions/1-resnet/a-batchnorm-order`; this script is evidence for the
claim ``1a-conv-bias``.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from hw2lib import figures
from hw2lib.normalization import batch_normalize, bias_offset_in_eval, measured_bias_offsets

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# Training mode: exactly nothing
# ------------------------------
# The output with a bias of 5 equals the output without, and the bias's gradient vanishes.

convolution, images = nn.Conv2d(3, 1, 3), torch.randn(16, 3, 8, 8)
output = convolution(images)
difference = (batch_normalize(output + 5) - batch_normalize(output)).abs().max().item()
print("the outputs differ by less than 1e-12:", difference < 1e-12)
(batch_normalize(output) ** 3).sum().backward()
of_bias, of_weight = convolution.bias.grad.abs().max(), convolution.weight.grad.abs().max()
print(f"gradient of the bias below 1e-12: {of_bias.item() < 1e-12}, of a weight: {of_weight:.2g}")

# %%
# Eval mode: shift the bias by 1, pass more batches, and measure
# --------------------------------------------------------------
# The batch norm has seen 200 batches before the shift. After :math:`k` more batches the output is
# off by :math:`\gamma b(1-m)^k/\sqrt{v+\varepsilon}`.

steps, momenta = 40, (0.1, 0.03, 0.3)
measured, predicted = {}, {}
for momentum in momenta:
    batchnorm = nn.BatchNorm2d(1, momentum=momentum)
    batches = [torch.randn(16, 3, 8, 8) for _ in range(steps)]
    with torch.no_grad():
        for _ in range(200):
            batchnorm(convolution(torch.randn(16, 3, 8, 8)))
        measured[momentum] = measured_bias_offsets(convolution, batchnorm, [1.0], batches)[:, 0]
        variances = [batchnorm.running_var.clone()]
        for batch in batches:
            batchnorm(convolution(batch))
            variances.append(batchnorm.running_var.clone())
    predicted[momentum] = torch.cat(
        [
            bias_offset_in_eval(1.0, k, running_variance=variance, momentum=momentum)
            for k, variance in enumerate(variances)
        ]
    )

# %%
# Verify
# ------

for momentum in momenta:
    assert (measured[momentum] - predicted[momentum]).abs().max() < 1e-9
assert difference < 1e-12
assert convolution.bias.grad.abs().max() < 1e-9 < convolution.weight.grad.abs().max()
left = measured[0.1] / measured[0.1][0]
assert left[22] < 0.1 < left[21]

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 3.9))
for momentum, color in zip(momenta, (figures.BLUE, figures.ORANGE, figures.GREEN), strict=True):
    axes.plot(predicted[momentum], color=color, lw=3 if momentum == 0.1 else 1.2)
    axes.plot(measured[momentum][::4], "o", color=color, ms=7 if momentum == 0.1 else 4)
    axes.lines[-1].set_xdata(range(0, steps + 1, 4))
    end = {0.03: 40, 0.1: 40, 0.3: 24}[momentum]
    axes.annotate(
        f"momentum {momentum}",
        (end, predicted[momentum][end]),
        xytext=(8, 0) if end == 40 else (6, 2),
        textcoords="offset points",
        va="center" if end == 40 else "bottom",
        color=color,
        weight="bold" if momentum == 0.1 else "normal",
    )
axes.text(
    0.02,
    0.03,
    "training mode: 0, far below ↓",
    transform=axes.transAxes,
    color=figures.RED,
)
axes.set_yscale("log")
axes.set_ylim(2e-6, 4)
axes.set_xlim(0, 62)
axes.set_xticks([0, 10, 20, 30, 40])
axes.set_xlabel("training batches since the bias moved by 1")
axes.set_ylabel("offset in eval mode")
figures.headline(figure, "The running mean catches up: the offset falls like (1 − m)ᵏ")
figures.describe(
    figure,
    "Offset of the output in eval mode against the number of training batches since the bias "
    "moved, on a logarithmic axis: three straight falling lines for momentum 0.03, 0.1 and "
    "0.3; measured points lie on the predicted lines. In training mode the offset is zero.",
)
plt.show()

# %%
# What to see
# -----------
# The dots (measured) lie on the lines (formula). With PyTorch's momentum of 0.1 a tenth of the
# offset goes with every batch: after 22 batches less than a tenth is left. What counts is that
# batch norm stands right behind the convolution, so that the bias shifts all its inputs alike; of
# the two orders, only batch norm first has that.
