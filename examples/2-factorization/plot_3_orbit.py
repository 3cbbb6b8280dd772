"""
Minimisers of equal loss differ in size, and those with orthogonal G are smallest
==================================================================================

From the minimiser (A, B) that the SVD gives, with AᵀA = BBᵀ, every invertible G makes another,
(AG, G⁻¹B). What changes along the orbit, and what does not?

The derivation is in :doc:`/solutions/2-factorization/c-orbit`; this script is evidence for the
claims ``2c-scale``, ``2c-orbit``, ``2c-balanced`` and ``2c-ties``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.factorization import change_basis, loss, low_rank_factors, truncation_error

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# Walk along the orbit
# --------------------
# 300 matrices G, from nearly orthogonal to badly conditioned ones; 20 orthogonal ones; and the
# rescalings (eA, B/e), G = eI.

X, rank = torch.randn(9, 6), 3
best = low_rank_factors(X, rank)
nuclear = torch.linalg.svdvals(X)[:rank].sum()


def size(A, B):
    return ((A.square().sum() + B.square().sum()) / (2 * nuclear)).item()


def rotation():
    return torch.linalg.qr(torch.randn(rank, rank)).Q


condition, sizes, losses = [], [], []
for _ in range(300):
    stretch = torch.exp(torch.rand(1) * 2.3 * (2 * torch.rand(rank) - 1))
    G = rotation() @ torch.diag(stretch) @ rotation()
    A, B = change_basis(*best, G)
    condition.append(torch.linalg.cond(G).item())
    sizes.append(size(A, B))
    losses.append(loss(X, A, B).item())
rotated = [size(*change_basis(*best, rotation())) for _ in range(20)]
scaled = [size(e * best.A, best.B / e) for e in torch.logspace(-0.7, 0.7, 41)]

# %%
# A tie: σ₂ = σ₃
# --------------
# With equal singular values at the cut even the product AB is not unique: any direction in the tied
# plane will do.

U, _, Vh = torch.linalg.svd(torch.randn(5, 5))
tied = U @ torch.diag(torch.tensor([3.0, 2.0, 2.0, 1.0, 0.5])) @ Vh
angles = torch.linspace(0, torch.pi / 2, 31)


def product(angle):
    u = torch.cos(angle) * U[:, 1] + torch.sin(angle) * U[:, 2]
    v = torch.cos(angle) * Vh[1] + torch.sin(angle) * Vh[2]
    return 3 * torch.outer(U[:, 0], Vh[0]) + 2 * torch.outer(u, v)


products = torch.stack([product(angle) for angle in angles])
tied_losses = (tied - products).square().sum((1, 2))
moved = torch.linalg.matrix_norm(products - products[0])

# %%
# Verify
# ------
# On the orbit the loss is the least one and the size at least that of the SVD's factors, which the
# orthogonal G keep. With the tie the product moves, by up to 2√2, and the loss does not.

least = truncation_error(X, rank).item()
print(f"loss of 300 minimisers: {min(losses):.6f} to {max(losses):.6f}, least {least:.6f}")
print(f"their size over the least: {min(sizes):.2f} to {max(sizes):.2f}")
assert max(abs(value - least) for value in losses) < 1e-10
assert min(sizes) > 1
assert max(abs(value - 1) for value in rotated) < 1e-12
assert min(scaled) > 1 - 1e-12
assert (tied_losses - truncation_error(tied, 2)).abs().max() < 1e-12
assert abs(moved[-1].item() - 2 * 2**0.5) < 1e-12

# %%
# The orbit
# ---------

figure, axes = plt.subplots(figsize=(5.2, 3.9))
axes.plot(condition, sizes, ".", color=figures.MUTED, ms=4, alpha=0.55)
axes.plot([1] * len(scaled), scaled, color=figures.GREEN, lw=2.6)
axes.plot([1] * len(rotated), rotated, "o", color=figures.ORANGE, ms=11)
axes.text(1.0, 0.72, "orthogonal G: smallest", color=figures.ORANGE, weight="bold", va="center")
axes.text(1.0, 14.5, "G = eI: scaled, not orthogonal", color=figures.GREEN, va="bottom")
axes.text(20, 2.6, "any invertible G", color=figures.MUTED, ha="center")
axes.set(
    xscale="log", yscale="log", xlim=(0.85, 110), ylim=(0.55, 62), xlabel="condition number of G"
)
axes.set_xticks([1, 10, 100], ["1", "10", "100"])
axes.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
axes.minorticks_off()
axes.text(0.9, 46, "size ‖A‖² + ‖B‖², least = 1", color=figures.INK, va="center")
figures.headline(figure, "All have the same loss; orthogonal G are smallest")
figures.describe(
    figure,
    "Size of both factors against the condition number of G for 300 minimisers of equal loss. "
    "It is least for orthogonal G; the rescalings run straight up at condition number 1.",
)
plt.show()

# %%
# The tie
# -------

figure, axes = plt.subplots(figsize=(5.2, 3.2))
degrees = torch.rad2deg(angles)
axes.plot(degrees, moved, color=figures.PURPLE, lw=2.8)
axes.plot(degrees, tied_losses, color=figures.MUTED)
axes.text(88, 1.4, "how far AB has moved", color=figures.PURPLE, ha="right")
axes.text(88, tied_losses[0] + 0.2, "loss: the same", color=figures.MUTED, ha="right")
axes.set(xlabel="direction chosen in the tied plane", ylim=(0, 6.4), xlim=(0, 90))
axes.set_xticks([0, 45, 90], ["0°", "45°", "90°"])
figures.headline(figure, "With a tie σ₂ = σ₃ the product moves, the loss stays")
figures.describe(
    figure,
    "With two equal singular values at the cut the distance between products grows with the "
    "direction chosen in the tied plane, while the loss stays the same.",
)
plt.show()

# %%
# What to see
# -----------
# Every dot has the same, least loss. Seen from the SVD's factors, orthogonal G give the least size.
# The green line is the rescaling: its G = eI has condition number 1 but is not orthogonal unless
# e = ±1, so neither family contains the other.
