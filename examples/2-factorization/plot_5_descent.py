"""
Near a balanced minimum two eigenvalues set the speed of gradient descent
=========================================================================

How should the learning rate be chosen, and how fast is descent? Near a balanced minimiser the least
positive eigenvalue of the Hessian, :math:`2(σ_r-σ_{r+1})`, and the largest, :math:`4σ_1`, predict
the factor per step.

The derivation is in :doc:`/solutions/2-factorization/e-descent`; this script is evidence for the
claims ``2e-rate`` and ``2e-descent``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.factorization import gradient_descent, low_rank_factors, truncation_error

plt.style.use("hw2lib.figures")
torch.manual_seed(1)
torch.set_default_dtype(torch.float64)

# %%
# Beside the minimum
# ------------------
# Start a little beside the balanced minimiser of a 6×5 problem and count how the distance of AB
# from its limit changes.

U, V = (torch.linalg.qr(torch.randn(n, 5)).Q for n in (6, 5))
X, rank = U @ torch.diag(torch.tensor([3.0, 2.4, 1.4, 0.9, 0.3])) @ V.T, 2
best = low_rank_factors(X, rank)
target = best.A @ best.B
start = [factor + 1e-4 * torch.randn(factor.shape) for factor in best]
largest, least = 4 * 3.0, 2 * (2.4 - 1.4)
stable = 2 / largest


def distances(learning_rate, steps=80):
    found, factors = [], start
    for _ in range(steps):
        A, B, _ = gradient_descent(X, rank, 1, learning_rate=learning_rate, start=factors)
        factors = (A, B)
        found.append(torch.linalg.matrix_norm(A @ B - target).item())
    return torch.tensor(found)


fractions = (0.25, 0.5, 0.95, 1.05)
paths = {fraction: distances(fraction * stable) for fraction in fractions}
predicted = {  # of the eigenvalues 4σ₁ and 2(σ₂ − σ₃)
    f: max(abs(1 - f * stable * least), abs(1 - f * stable * largest)) for f in fractions
}

# %%
# From far away
# -------------
# One start each: small; balanced; and one factor ten times as large as the other. The larger the
# start, the smaller the learning rate.


def descend(A, B, steps=1000):
    learning_rate = 1 / (4 * 3.0 + 2 * (A.square().sum() + B.square().sum()).item())
    return gradient_descent(X, rank, steps, learning_rate=learning_rate, start=(A, B))


def imbalance(A, B):
    return (torch.dist(A.T @ A, B @ B.T) / torch.linalg.matrix_norm(A.T @ A)).item()


A, B = torch.randn(6, rank), torch.randn(rank, 5)
fits = {
    "small": descend(0.05 * A, 0.05 * B),
    "balanced": descend(*low_rank_factors(A @ B, rank)),
    "unbalanced": descend(A, B / 10),
}
far = {name: fit.losses / truncation_error(X, rank) - 1 for name, fit in fits.items()}
needed = {name: int((excess > 1e-6).sum()) for name, excess in far.items()}

# %%
# Verify
# ------
# The measured factors are the predicted ones, the largest stable learning rate is 1/(2σ₁), and all
# three starts reach the minimum, the unbalanced one last and at unbalanced factors.

for fraction, path in paths.items():
    measured = (path[-1] / path[54]) ** (1 / 25)
    print(f"{fraction} of 1/(2σ₁): factor {measured:.4f}, predicted {predicted[fraction]:.4f}")
    assert abs(measured.log() / torch.tensor(predicted[fraction]).log() - 1) < 0.02
    assert (path[-1] < path[54]) == (fraction < 1)
for excess in far.values():
    assert excess[-1] < 1e-6
assert needed["unbalanced"] > max(needed["small"], needed["balanced"])
assert imbalance(*fits["unbalanced"][:2]) > 0.5 > imbalance(*fits["balanced"][:2])

# %%
# Drawing the figures
# -------------------

figure, axes = plt.subplots(figsize=(5.2, 4.0))
words = ("a quarter", "half", "just below 1", "just above 1")
colors = (figures.BLUE, figures.GREEN, figures.PURPLE, figures.RED)
for (fraction, path), word, color in zip(paths.items(), words, colors, strict=True):
    axes.plot(range(1, 81), path, color=color, lw=6, alpha=0.4, solid_capstyle="round")
    line = path[-1] * predicted[fraction] ** torch.arange(-79.0, 1)
    axes.plot(range(1, 81), line, color=figures.INK, ls=(0, (1, 2)), lw=1.8)
    axes.text(83, path[-1], word, color=color, va="center")
axes.text(42, 5e-2, "it leaves", color=figures.RED, weight="bold", ha="center")
axes.text(
    2, 3e-11, "learning rate over 1/(2σ₁)\nbands: measured, dotted: predicted", color=figures.MUTED
)
axes.set(yscale="log", xlim=(0, 110), ylim=(1e-11, 3), xlabel="steps", xticks=[0, 20, 40, 60, 80])
axes.set_yticks([1e-9, 1e-6, 1e-3, 1], ["10⁻⁹", "10⁻⁶", "10⁻³", "1"])
axes.minorticks_off()
figures.headline(figure, "Distance from the minimum: two eigenvalues set the slope")
figures.describe(
    figure,
    "The distance from the minimum against the steps on a logarithmic scale at four learning "
    "rates; three fall and one rises, in the end parallel to the dotted lines that two "
    "eigenvalues predict.",
)
plt.show()

# %%

figure, axes = plt.subplots(figsize=(5.2, 3.6))
colors = (figures.BLUE, figures.GREEN, figures.ORANGE)
shown = range(0, 801, 8)  # so few that Matplotlib leaves none out: which, rounding would decide
for (name, excess), color in zip(far.items(), colors, strict=True):
    width = 2.4 if name == "unbalanced" else 1.6
    axes.plot(shown, excess[shown].clamp(min=1e-12), color=color, lw=width)
    axes.text(min(needed[name] + 12, 430), 1.5e-6, name, color=color)
axes.set(yscale="log", ylim=(1e-8, 1e3), xlim=(0, 800), xlabel="steps")
axes.set_yticks([1e-6, 1e-3, 1, 1e3], ["10⁻⁶", "10⁻³", "1", "10³"])
axes.minorticks_off()
figures.headline(figure, "Loss above the least: all three arrive, unbalanced last")
figures.describe(
    figure,
    "The loss above its least value, relative to it, falls to zero from a small, a balanced "
    "and an unbalanced start; the unbalanced one takes longest.",
)
plt.show()

# %%
# What to see
# -----------
# At a quarter and a half of the largest stable learning rate the gap :math:`σ_r-σ_{r+1}` decides,
# close to it the largest singular value, and above it descent leaves even a start beside the
# minimum. From far away there is no such formula: a large start needs a smaller learning rate, and
# this unbalanced one ends at an unbalanced minimiser, more slowly.
