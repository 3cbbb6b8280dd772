"""
The least loss is the tail of the spectrum
==========================================

How well can 1797 handwritten digits of 64 pixels be described by r numbers each? Square the
singular values and draw them in a row. The truncated SVD keeps the first r; what it discards, the
tail, is its loss, and no other factors of that size lose less.

The derivation is in :doc:`/solutions/2-factorization/b-optimum`; this script is evidence for the
claims ``2b-optimum`` and ``2b-residual``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.datasets import digits
from hw2lib.factorization import loss, low_rank_factors, truncation_error, weyl_gaps

plt.style.use("hw2lib.figures")

# %%
# The spectrum
# ------------
# The mean image is taken away first; what remains is principal component analysis. Here a *row* is
# an image, so A holds the codes and B the atoms.

images, _ = digits()
mean = images.mean(0)
X = images - mean
squares = torch.linalg.svdvals(X).square()
share = 100 * squares / squares.sum()
rank = 8
tail = share[rank:].sum().item()
print(f"rank {rank} leaves {tail:.1f} % of the squared norm")

# %%
# Verify
# ------
# At every rank the tail is the loss of the truncated SVD; and the singular values that a fit from a
# random A leaves do not fall below Weyl's bound, which shows why nothing is better.

for r in range(1, 65):
    attained = loss(X, *low_rank_factors(X, r))
    assert abs(attained - truncation_error(X, r)) < 1e-12 * squares.sum()
    assert abs(squares[r:].sum() - attained) < 1e-12 * squares.sum()
generator = torch.Generator().manual_seed(0)
A = torch.randn(len(X), rank, generator=generator, dtype=X.dtype)
assert weyl_gaps(X, A, torch.linalg.lstsq(A, X).solution).min() > -1e-9

# %%
# Kept and discarded
# ------------------

shown = 30
places = torch.arange(1, shown + 1)
figure, axes = plt.subplots(figsize=(5.2, 3.7))
axes.bar(places[:rank].numpy(), share[:rank].numpy(), width=0.8, color=figures.BLUE, alpha=0.35)
axes.bar(places[rank:].numpy(), share[rank:shown].numpy(), width=0.8, color=figures.ORANGE)
axes.axvline(rank + 0.5, color=figures.INK, lw=1)
axes.text(rank + 0.8, 14.6, f"cut at r = {rank}", color=figures.INK, va="top")
axes.text(3.6, 11.3, "kept", color=figures.BLUE, size=12)
axes.text(
    rank + 2.4, 5.6, f"discarded: {tail:.0f}\u202f%", color=figures.ORANGE, size=13, weight="bold"
)
axes.text(rank + 2.4, 4.4, "this tail is the loss", color=figures.ORANGE, size=12)
axes.text(shown + 0.6, 1.0, f"… to {len(share)}", color=figures.MUTED, ha="right", size=12)
axes.set(
    xlabel="number of the singular value",
    ylabel="square, share of ‖X‖²",
    ylim=(0, 15.5),
    xlim=(0.2, shown + 0.8),
    xticks=[1, 8, 16, 24, 30],
)
axes.set_yticks([0, 5, 10, 15], ["0", "5", "10", "15\u202f%"])
axes.grid(visible=False)
figures.headline(figure, "The tail of the squared singular values is the loss")
figures.describe(
    figure,
    "Squared singular values of the handwritten digits as falling bars, in per cent of their "
    "sum. The first eight are kept; the bars after the cut are discarded, and their sum is the "
    "least loss at rank 8.",
)
plt.show()

# %%
# What the ranks look like
# ------------------------
# At rank 16 each of these three digits is nearest to its own image, of all images; at rank 1 none
# of the three is.

shown_ranks, rows = (1, 4, 8, 16, 32), (10, 12, 13)
fits = [mean + A @ B for A, B in (low_rank_factors(X, r) for r in shown_ranks)]
nearest = [torch.cdist(fit, images).argmin(1)[list(rows)].tolist() for fit in fits]
assert not set(nearest[0]) & set(rows)
assert nearest[3] == list(rows)
names = [*(f"r = {r}" for r in shown_ranks), "original"]
figure, panels = plt.subplots(3, 6, figsize=(5.2, 3.2))
for name, pictures, column in zip(names, [*fits, images], panels.T, strict=True):
    column[0].set_title(name, fontsize=12, fontweight="normal")
    for axes, number in zip(column, rows, strict=True):
        figures.draw_pixels(axes, (pictures[number] / 16).clamp(0, 1).view(8, 8))
figures.headline(figure, "At rank 1 a blur, at rank 16 a digit")
figures.describe(
    figure,
    "Three handwritten digits reconstructed at rank 1, 4, 8, 16 and 32 beside the originals: "
    "at rank 1 most are blurs, at rank 16 all can be read.",
)
plt.show()

# %%
# What to see
# -----------
# Move the cut to the right, and the orange area shrinks by one bar: that is what one more column of
# A and row of B can gain at most. Rank 16 describes a digit of 64 pixels by a quarter of the
# numbers.
