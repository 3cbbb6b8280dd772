"""
The gradient explodes if the state or the adjoint meets an unstable mode
========================================================================

The gradient of a linear RNN depends on the first state z₀ and on z̄, the gradient at the last one.
May one leave z̄ out, as a mere factor, and judge by the size of the state? Four cases show what
happens: each of the two vectors, neither of them 0, on the stable or on the unstable mode of
W = diag(1.25, 0.8).

The derivation is in :doc:`/solutions/6-recurrent/a-linear-gradient`; this script is evidence for
the claims ``6a-gradient``, ``6a-norm``, ``6a-zbar``, ``6a-depends`` and ``6e-rate``.
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
# Beside the exact norm, the formula t ‖z̄‖ ‖Wᵗ⁻¹z₀‖, which is right for numbers and sees the state
# only.

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
# Three of four grow by more than a fifth in the last step; judged by the state, one of them
# vanishes.

for name, norms in exact.items():
    factor = norms[-1] / norms[-2]
    assert (factor > 1.2) == (name != "z₀ stable, z̄ stable")
hidden = "z₀ stable, z̄ unstable"
assert exact[hidden][-1] > 1e9 * by_state[hidden][-1]
assert by_state[hidden][-1] < 1e-3
assert by_state["z₀ unstable, z̄ stable"][-1] > 20 * exact["z₀ unstable, z̄ stable"][-1]
assert torch.allclose(*(torch.tensor(exact[n]) for n in ("z₀ unstable, z̄ stable", hidden)))

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 4.2))
both, _, one, none = exact.values()
axes.axhline(1, color=figures.MUTED, lw=0.9)
axes.semilogy(times, both, color=figures.MUTED, lw=1.3)
axes.semilogy(times, one, color=figures.BLUE, lw=3)
axes.semilogy(times, none, color=figures.MUTED, lw=1.3)
state = [torch.linalg.matrix_power(W, t - 1) @ stable for t in times]
axes.semilogy(times, [z.norm() for z in state], color=figures.ORANGE, ls="--", lw=1.5)
axes.text(29, 3e5, "both unstable", color=figures.MUTED, ha="right")
axes.text(
    60, 2.5e3, "z₀ stable, z̄ unstable,\nor the reverse", color=figures.BLUE, ha="right", va="top"
)
axes.text(33, 1.5e-1, "both stable", color=figures.MUTED)
axes.text(22, 1e-4, "a stable state\nby itself", color=figures.ORANGE, ha="right", va="top")
axes.set(xlim=(0, 61), ylim=(1e-7, 1e9), xlabel="steps t")
axes.set_yticks([1e-6, 1e-3, 1, 1e3, 1e6])
figures.headline(figure, "One unstable vector is enough: the gradient’s size")
figures.describe(
    figure,
    "Size of the gradient against the number of steps. It explodes if both vectors, or just "
    "one of the two, are on the unstable mode, and vanishes if both are stable. The state by "
    "itself vanishes when it is on the stable mode, also where the gradient explodes.",
)
plt.show()

# %%
# What to see
# -----------
# The bold line is two cases at once: with one of the two vectors on the unstable mode, it does not
# matter which. If it is z̄, the state shrinks in every step (dashed), and the gradient explodes all
# the same, because the *adjoint* grows on its way back.
