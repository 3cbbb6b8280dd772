"""
The gradient explodes if the state *or* the adjoint meets an unstable mode
==========================================================================

The gradient of a linear RNN depends on the first state z₀ and on z̄, the gradient at the last one. May one leave z̄ out, as a mere factor, and judge by the size of
the state? Four cases show what happens: each of the two vectors on the stable or on the unstable mode of W = diag(1.25, 0.8).

The derivation is in :doc:`/solutions/6-recurrent/a-linear-gradient`; this script is evidence for the claims ``6a-gradient``,
``6a-norm``, ``6a-zbar``, ``6a-depends`` and ``6a-rate``.
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
# Beside the exact norm, the formula t ‖z̄‖ ‖Wᵗ⁻¹z₀‖, which is right for numbers and sees the state only.

W = torch.diag(torch.tensor([1.25, 0.8]))
unstable, stable = torch.eye(2)
times = list(range(1, 61))
cases = {
    "z₀ unstable, z̄ unstable": (unstable, unstable),
    "z₀ unstable, z̄ stable": (unstable, stable),
    "z₀ stable, z̄ unstable": (stable, unstable),
    "z₀ stable, z̄ stable": (stable, stable),
}
exact, by_state = {}, {}
for name, (z0, zbar) in cases.items():
    exact[name] = [linear_rnn_gradient(W, z0, zbar, t).norm().item() for t in times]
    by_state[name] = [
        (t * torch.linalg.matrix_power(W, t - 1) @ z0).norm().item() * zbar.norm().item()
        for t in times
    ]
    print(f"{name}: exact {exact[name][-1]:.1e}, by the state {by_state[name][-1]:.1e} at t = 60")

# %%
# Verify
# ------
# Three of four explode, like 1.25ᵗ; judged by the state, one of them vanishes.

for name, norms in exact.items():
    factor = norms[-1] / norms[-2]
    assert (factor > 1.2) == (name != "z₀ stable, z̄ stable")
hidden = "z₀ stable, z̄ unstable"
assert exact[hidden][-1] > 1e9 * by_state[hidden][-1]
assert by_state[hidden][-1] < 1e-3
assert by_state["z₀ unstable, z̄ stable"][-1] > 20 * exact["z₀ unstable, z̄ stable"][-1]

# %%
# The figure
# ----------

figure, grid = plt.subplots(2, 2, figsize=(5.4, 5.2), sharex=True, sharey=True)
for axes, name in zip(grid.flat, cases, strict=True):
    axes.semilogy(times, exact[name], color=figures.BLUE, lw=2.2, label="exact")
    axes.semilogy(times, by_state[name], color=figures.ORANGE, ls="--", label="by the state")
    axes.set_title(name.replace(", ", "\n"), fontsize=10.5)
    axes.set_yticks([1e-6, 1, 1e6])
grid[0, 0].legend(loc="lower right")
grid[1, 0].text(4, 2e-5, "by the state: vanishes", color=figures.ORANGE)
for axes in grid[1]:
    axes.set_xlabel("steps t")
for axes in grid[:, 0]:
    axes.set_ylabel("size of the gradient")
figures.describe(
    figure,
    "Four panels, size of the gradient against the number of steps, exact and judged by the state alone. It explodes if the first state or the adjoint is on "
    "the unstable mode, and vanishes only if neither is. Judged by the state it vanishes where only the adjoint is unstable.",
)
plt.show()

# %%
# What to see
# -----------
# Bottom left: the state shrinks in every step, and the gradient explodes all the same, because the *adjoint* grows on its way back.
# Where both agree in growth rate, top right, the formula that sees the state only is still too large by a factor of order t.
