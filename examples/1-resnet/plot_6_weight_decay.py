"""
A shift of the input moves the bias by Wb, and a penalised bias does not follow
===============================================================================

Subtract a constant b from every input. Which bias undoes it, and what does weight decay do to that? The
printed solution says "by b". The derivation is in :doc:`/solutions/1-resnet/d-weight-decay`; this script
is evidence for the claims ``1d-shift`` and ``1d-invariance``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.normalization import absorb_shift, padding_mask, ridge
from hw2lib.resnet import resnet18

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# ResNet-18's stem on a shifted image
# -----------------------------------
# The bias Wb makes up for the shift everywhere except where the window reaches into the zero padding,
# which was not shifted along.

stem = resnet18().conv1
image, shift = torch.randn(1, 3, 224, 224), torch.tensor([0.485, 0.456, 0.406])
with torch.no_grad():
    gap = absorb_shift(stem, shift)(image - shift[:, None, None]) - stem(image)
difference = gap[0].abs().amax(0)
border = padding_mask(stem, (224, 224))

# %%
# Ridge regression: the smallest network with weight decay
# --------------------------------------------------------
# The same data, shifted further and further away; the loss of the fit on the training data.

x = torch.randn(60, 5)
y = x @ torch.randn(5, 1) + 2 + 0.3 * torch.randn(60, 1)
shifts = torch.linspace(0, 10, 41)


def training_loss(size, penalize_intercept):
    inputs = x - size
    weight, intercept = ridge(inputs, y, 5.0, penalize_intercept=penalize_intercept)
    return (inputs @ weight + intercept - y).square().mean().item()


free = torch.tensor([training_loss(size, False) for size in shifts])
penalised = torch.tensor([training_loss(size, True) for size in shifts])

# %%
# Verify
# ------

print(f"positions that differ: {int((difference > 1e-9).sum())} of {difference.numel()}")
print(f"error of the fit at shift 0 and 10, penalised: {penalised[0]:.3f}, {penalised[-1]:.3f}")
assert difference[~border].max() < 1e-12
assert int((difference > 1e-9).sum()) == int(border.sum()) == 663
assert (free - free[0]).abs().max() < 1e-10
assert 0.1 < difference[border].max() < 1
assert penalised.max() > 1.05 * penalised[0]

# %%
# The figure
# ----------

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.2, 6.6))
corner = 12
shown = (difference[:corner, :corner] + 1e-17).log10().clamp(min=-16)
picture = top.imshow(shown.numpy(), cmap="magma", vmin=-16, vmax=0)
figure.colorbar(picture, ax=top, pad=0.03, label="log₁₀ of the difference", ticks=[-15, -10, -5, 0])
top.grid(False)
top.spines[:].set_visible(True)
top.set_ylabel("row")
top.set_xlabel("column (top left corner of 112×112)")
top.set_title("Wb is exact, except at the border")
bottom.plot(shifts, penalised, color=figures.ORANGE, label="penalty on weights and bias")
bottom.plot(shifts, free, color=figures.BLUE, label="penalty on weights only")
bottom.set(xlabel="shift of every input", ylabel="mean squared error")
bottom.set_title("A penalised bias ties the fit to the origin")
bottom.legend()
figures.describe(
    figure,
    "Top: the stem's output on a shifted image with the bias Wb differs from the original by rounding inside "
    "and by a few tenths in the two outermost rows and columns of the corner shown. Bottom: the error of ridge "
    "regression against the shift is constant if the bias is free and changes if it is penalised.",
)
plt.show()

# %%
# What to see
# -----------
# Top: inside, the difference is rounding; along two rows and columns the window sees zeros where the
# shifted image has −b. Bottom: the free bias follows every shift and the fit stays the same, the penalised
# one pays for following, so the same data measured from another origin are fitted differently.
