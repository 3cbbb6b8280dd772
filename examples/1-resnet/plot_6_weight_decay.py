"""
A penalised bias ties the fit to the origin, and a free one moves by Wb
=======================================================================

Subtract a constant b from every input. Which bias undoes it, and what does weight decay do to that?
First the smallest network with weight decay, ridge regression on a line; then ResNet-18's stem.

The derivation is in :doc:`/solutions/1-resnet/d-weight-decay`; this script is evidence for the
claims ``1d-shift`` and ``1d-invariance``.
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
# Ridge regression on the same data, measured from other origins
# --------------------------------------------------------------
# The fit on x − b is evaluated at the original x, so that all lines can be compared.

x = torch.linspace(0, 2, 24)[:, None]
y = 1 + 2 * x + 0.25 * torch.randn(24, 1)
origins = (0, 1, 2, 4)


def fitted_line(origin, penalize_intercept):
    weight, intercept = ridge(x - origin, y, 3.0, penalize_intercept=penalize_intercept)
    return ((x - origin) @ weight + intercept)[:, 0]


free = torch.stack([fitted_line(origin, False) for origin in origins])
penalised = torch.stack([fitted_line(origin, True) for origin in origins])

# %%
# ResNet-18's stem on a shifted image
# -----------------------------------
# The bias Wb makes up for the shift everywhere except where the window reaches into the zero
# padding, which was not shifted along.

stem = resnet18().conv1
image, shift = torch.randn(1, 3, 224, 224), torch.tensor([0.485, 0.456, 0.406])
with torch.no_grad():
    gap = absorb_shift(stem, shift)(image - shift[:, None, None]) - stem(image)
difference = gap[0].abs().amax(0)
border = padding_mask(stem, (224, 224))

# %%
# Verify
# ------

slopes = (penalised[:, -1] - penalised[:, 0]) / 2
print("slopes with a penalised bias:", ", ".join(f"{slope:.2f}" for slope in slopes))
print(f"positions that differ: {int((difference > 1e-9).sum())} of {difference.numel()}")
assert (free - free[0]).abs().max() < 1e-10
assert (penalised[1:] - penalised[0]).abs().amax(1).min() > 0.1
assert difference[~border].max() < 1e-12
assert int((difference > 1e-9).sum()) == int(border.sum()) == 663
assert 0.1 < difference[border].max() < 1

# %%
# Ridge regression
# ----------------

figure, axes = plt.subplots(figsize=(5.2, 3.9))
axes.plot(x, y, "o", color=figures.MUTED, ms=4, alpha=0.6)
for origin, line in zip(origins, penalised, strict=True):
    axes.plot(x, line, color=figures.ORANGE, lw=1.4)
    axes.text(2.04, line[-1], f"b = {origin}", color=figures.ORANGE, va="center")
axes.plot(x, free[0], color=figures.BLUE, lw=3.5)
axes.text(0.02, 4.3, "bias free: one line for every b", color=figures.BLUE, weight="bold")
axes.text(0.02, 3.8, "bias penalised: a line for each", color=figures.ORANGE)
axes.set(xlabel="x, wherever its origin is put", ylabel="y", xlim=(-0.05, 2.4))
axes.set_xticks([0, 1, 2])
axes.grid(visible=False)
figures.headline(figure, "A penalised bias ties the fit to the origin")
figures.describe(
    figure,
    "Ridge regression on 24 points whose inputs are measured from four origins b. With a free "
    "bias all four fits are the same line through the points; with a penalised bias each "
    "origin gives another line.",
)
plt.show()

# %%
# The stem's top left corner
# --------------------------

corner = 10
rows, columns = torch.meshgrid(torch.arange(corner), torch.arange(corner), indexing="ij")
values = difference[:corner, :corner] / difference.max()
off = border[:corner, :corner]
figure, axes = plt.subplots(figsize=(5.2, 4.2))
axes.scatter(columns[~off], rows[~off], 6, color=figures.BLUE, lw=0)
axes.scatter(
    columns[off], rows[off], 420 * values[off] ** 2, marker="s", color=figures.ORANGE, lw=0
)
axes.text(9.7, 5.5, "inside,\nonly\nrounding", color=figures.BLUE, va="center")
axes.text(9.7, 0.5, "window\nsees\npadding", color=figures.ORANGE, va="center")
axes.set(xlim=(-0.7, 12), ylim=(9.7, -0.7), aspect="equal")
axes.set_xticks([0, 5], ["1", "6"])
axes.set_yticks([0, 5], ["1", "6"])
axes.set(xlabel="column of the output", ylabel="row")
axes.grid(visible=False)
figures.headline(figure, "Wb is exact, except where padding is seen")
figures.describe(
    figure,
    "Top left corner of the stem's output on a shifted image with the bias Wb, compared with "
    "the original output: only the two outermost rows and columns differ, drawn as squares "
    "whose side grows with the difference; inside there is rounding only.",
)
plt.show()

# %%
# What to see
# -----------
# First figure: the free bias follows every shift and the fit stays the same; the penalised one pays
# for following, so the same data measured from another origin are fitted differently. Second:
# inside, the difference is rounding; along two rows and columns the window sees zeros where the
# shifted image has −b.
