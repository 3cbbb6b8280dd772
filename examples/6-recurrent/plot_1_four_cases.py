"""
The gradient explodes if the state *or* the adjoint meets an unstable mode
==========================================================================

The gradient of a linear RNN depends on the first state z₀ and on z̄, the gradient at the last one. The printed solution says that z̄
need not be considered. Four cases show what happens: each of the two vectors on the stable or on the unstable mode of
W = diag(1.25, 0.8).

The derivation is in :doc:`/solutions/6-recurrent/a-linear-gradient`; this script is evidence for the claims ``6a-gradient``,
``6a-norm``, ``6a-zbar`` and ``6a-depends``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.recurrent import linear_rnn_gradient

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# Four cases
# ----------

W = torch.diag(torch.tensor([1.25, 0.8]))
unstable, stable = torch.eye(2)
times = list(range(1, 61))
cases = {
    "z₀ unstable, z̄ unstable": (unstable, unstable),
    "z₀ unstable, z̄ stable": (unstable, stable),
    "z₀ stable, z̄ unstable": (stable, unstable),
    "z₀ stable, z̄ stable": (stable, stable),
}
exact, printed = {}, {}
for name, (z0, zbar) in cases.items():
    exact[name] = [linear_rnn_gradient(W, z0, zbar, t).norm().item() for t in times]
    printed[name] = [
        (t * torch.linalg.matrix_power(W, t - 1) @ z0).norm().item() * zbar.norm().item()
        for t in times
    ]
    print(f"{name}: exact {exact[name][-1]:.1e}, printed {printed[name][-1]:.1e} at t = 60")

# %%
# Verify
# ------
# Three of four explode, like 1.25ᵗ; the printed formula misses the third by many orders of magnitude.

for name, norms in exact.items():
    factor = norms[-1] / norms[-2]
    assert (factor > 1.2) == (name != "z₀ stable, z̄ stable")
hidden = "z₀ stable, z̄ unstable"
assert exact[hidden][-1] > 1e9 * printed[hidden][-1]
assert printed["z₀ unstable, z̄ stable"][-1] > 20 * exact["z₀ unstable, z̄ stable"][-1]

# %%
# The figure
# ----------

figure, grid = plt.subplots(2, 2, figsize=(5.4, 5.2), sharex=True, sharey=True)
for axes, name in zip(grid.flat, cases, strict=True):
    axes.semilogy(times, exact[name], color=figures.BLUE, lw=2.2, label="exact")
    axes.semilogy(times, printed[name], color=figures.ORANGE, ls="--", label="printed")
    axes.set_title(name.replace(", ", "\n"), fontsize=10.5)
    axes.set_yticks([1e-6, 1, 1e6])
grid[0, 0].legend(loc="lower right")
grid[1, 0].text(14, 3e-5, "printed: vanishes", color=figures.ORANGE)
for axes in grid[1]:
    axes.set_xlabel("steps t")
for axes in grid[:, 0]:
    axes.set_ylabel("size of the gradient")
figures.describe(
    figure,
    "Four panels, size of the gradient against the number of steps, exact and printed. It explodes if the first state or the adjoint is on "
    "the unstable mode, and vanishes only if neither is. The printed formula vanishes where only the adjoint is unstable.",
)
plt.show()

# %%
# What to see
# -----------
# Bottom left: the state shrinks in every step, and the gradient explodes all the same, because the *adjoint* grows on its way back. The
# printed formula sees the state only. Where both agree in growth rate, top right, it is still too large by a factor of order t.
