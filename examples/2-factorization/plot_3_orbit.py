"""
The minimisers are an orbit of all invertible matrices; balance picks the orthogonal
====================================================================================

From one minimiser (A, B) every invertible G makes another, (AG, G⁻¹B). What changes along the orbit, and what
does not? The derivation is in :doc:`/solutions/2-factorization/c-orbit`; this script is evidence for the claims
``2c-scale``, ``2c-orbit``, ``2c-balanced`` and ``2c-ties``.
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
# 300 matrices G, from orthogonal to badly conditioned ones, and the rescalings (eA, B/e), G = eI.

X, rank = torch.randn(9, 6), 3
best = low_rank_factors(X, rank)
nuclear = torch.linalg.svdvals(X)[:rank].sum()


def size(A, B):
    return ((A.square().sum() + B.square().sum()) / (2 * nuclear)).item()


condition, sizes, losses = [], [], []
for _ in range(300):
    left, right = (torch.linalg.qr(torch.randn(rank, rank)).Q for _ in range(2))
    spread = torch.rand(1) * 2.3
    G = left @ torch.diag(torch.exp(spread * (2 * torch.rand(rank) - 1))) @ right
    A, B = change_basis(*best, G)
    condition.append(torch.linalg.cond(G).item())
    sizes.append(size(A, B))
    losses.append(loss(X, A, B).item())
rotations = [
    size(*change_basis(*best, torch.linalg.qr(torch.randn(rank, rank)).Q)) for _ in range(20)
]
scales = torch.logspace(-0.7, 0.7, 41)
scaled = [size(e * best.A, best.B / e) for e in scales]

# %%
# A tie: σ₂ = σ₃
# --------------
# With equal singular values at the cut even the product AB is not unique: any direction in the tied plane
# will do.

U, _, Vh = torch.linalg.svd(torch.randn(5, 5))
tied = U @ torch.diag(torch.tensor([3.0, 2.0, 2.0, 1.0, 0.5])) @ Vh
angles = torch.linspace(0, torch.pi / 2, 31)


def product(angle):
    u = torch.cos(angle) * U[:, 1] + torch.sin(angle) * U[:, 2]
    v = torch.cos(angle) * Vh[1] + torch.sin(angle) * Vh[2]
    return 3 * torch.outer(U[:, 0], Vh[0]) + 2 * torch.outer(u, v)


tied_losses = torch.stack([(tied - product(angle)).square().sum() for angle in angles])
distances = torch.stack(
    [torch.linalg.matrix_norm(product(angle) - product(angles[0])) for angle in angles]
)

# %%
# Verify
# ------

least = truncation_error(X, rank).item()
print(f"loss of 300 minimisers: {min(losses):.6f} to {max(losses):.6f}, least {least:.6f}")
print(f"their size over the least: {min(sizes):.2f} to {max(sizes):.2f}")
assert max(abs(value - least) for value in losses) < 1e-10
assert min(sizes) > 1
assert max(abs(value - 1) for value in rotations) < 1e-12
assert min(scaled) > 1 - 1e-12
assert (tied_losses - truncation_error(tied, 2)).abs().max() < 1e-12
assert abs(distances[-1].item() - 2 * 2**0.5) < 1e-12

# %%
# The figure
# ----------

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.2, 7.2))
top.plot(condition, sizes, ".", color=figures.BLUE, ms=4, alpha=0.7, label="random invertible G")
top.plot(
    [1] * len(rotations),
    rotations,
    "o",
    color=figures.ORANGE,
    ms=8,
    label="orthogonal G (balanced)",
)
top.plot([1] * len(scaled), scaled, "-", color=figures.GREEN, lw=2.2, label="rescaling (eA, B/e)")
top.set(xscale="log", yscale="log", xlabel="condition number of G", ylabel="(‖A‖² + ‖B‖²) / least")
top.set_title("Same loss; least size at orthogonal G")
top.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=1)
bottom.plot(
    torch.rad2deg(angles), distances, color=figures.PURPLE, label="distance of the products AB"
)
bottom.plot(torch.rad2deg(angles), tied_losses, color=figures.BLUE, ls="--", label="loss")
bottom.set(
    xlabel="direction chosen in the tied plane, degrees", ylabel="distance, loss", ylim=(0, 6.8)
)
bottom.set_title("With a tie σ₂ = σ₃ even the product changes")
bottom.legend(loc="upper left")
figures.describe(
    figure,
    "Top: the size of both factors against the condition number of G for 300 minimisers of equal loss; it is "
    "least for orthogonal G, and the rescaling by e runs up at condition number 1. Bottom: with a tie the "
    "distance between products grows with the chosen direction while the loss stays the same.",
)
plt.show()

# %%
# What to see
# -----------
# Every dot has the same, least loss. Orthogonal G keep the factors as small as possible. The green line is the
# rescaling: its G = eI has condition number 1 but is not orthogonal unless e = ±1, so neither family contains the
# other. With a tie the loss (dashed) stays while the product moves.
