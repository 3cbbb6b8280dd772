"""
At a saddle, exchange a singular value or fill a free place: both go down
=========================================================================

A critical point keeps some singular values of X and leaves others out. If it is not the minimum, a
small move improves the choice: exchange a kept value for a larger missing one, or, if a place is
free, fill it.

The derivation is in :doc:`/solutions/2-factorization/d-landscape`; this script is evidence for the
claim ``2d-landscape``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.factorization import critical_point, loss

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# The two moves
# -------------
# X is diagonal here, so its singular vectors are unit vectors e₁, …, e₄. There are two places, r =
# 2.

sigma = torch.tensor([4.0, 3.0, 2.0, 1.0])
X, e = torch.diag(sigma), torch.eye(4)


def bend(A, B, dA, dB):
    """Return the second-order change of the loss along (dA, dB)."""
    return ((dA @ B + A @ dB).square().sum() - 2 * ((X - A @ B) * (dA @ dB)).sum()).item()


# Exchange: σ₁ and σ₃ are kept, and e₂ is turned into what holds e₃.
A, B = critical_point(X, [0, 2], 2)
x, y = torch.linalg.pinv(A) @ e[2], torch.linalg.pinv(B.T) @ e[2]
turn = torch.outer(e[1], y), torch.outer(x, e[1])
exchange = bend(A, B, *turn)

# Fill: only σ₁ is kept, and e₂ goes into the free column.
A_free, B_free = critical_point(X, [0], 2)
w = torch.tensor([0.0, 1.0])
put = torch.outer(e[1], w), torch.outer(w, e[1])
fill = bend(A_free, B_free, *put)
print(f"exchange bends the loss by {exchange:.3f}, filling by {fill:.3f}")

# %%
# Verify
# ------
# The exchange bends the loss by 2 − 2σ₂/σ₃, filling by −2σ₂; and a small step along either lowers
# it.

assert abs(exchange - (2 - 2 * sigma[1] / sigma[2])) < 1e-12
assert abs(fill - (-2 * sigma[1])) < 1e-12
t = 0.1
assert loss(X, A + t * turn[0], B + t * turn[1]) < loss(X, A, B)
assert loss(X, A_free + t * put[0], B_free + t * put[1]) < loss(X, A_free, B_free)

# %%
# Drawing the figure
# ------------------

figure, panels = plt.subplots(1, 2, figsize=(5.2, 3.0), sharey=True)
figure.get_layout_engine().set(wspace=0.16)
names = [f"$\\sigma_{i}$" for i in (1, 2, 3, 4)]
for axes, title, kept in zip(
    panels, ("Exchange", "Fill a free place"), ((0, 2), (0,)), strict=True
):
    for i, value in enumerate(sigma.tolist()):
        held = i in kept
        face = figures.BLUE if held else "none"
        edge = figures.BLUE if held else figures.MUTED
        axes.bar(i, value, 0.62, color=face, edgecolor=edge, lw=1.4, ls="-" if held else ":")
        axes.text(i, -0.15, names[i], ha="center", va="top", color=edge, size=16)
    axes.set(xlim=(-0.6, 3.6), ylim=(-0.6, 5.2))
    axes.axis("off")
    axes.set_title(title)
arrow = {"arrowstyle": "-|>", "color": figures.RED, "lw": 2.2}
bent = arrow | {"connectionstyle": "arc3,rad=0.45"}
panels[0].annotate("", (1.05, 3.1), (2.05, 2.1), arrowprops=bent)
panels[1].annotate("", (1, 3.0), (1, 0.3), arrowprops=arrow)
panels[0].text(3.6, 3.9, "larger for smaller", color=figures.RED, ha="right", weight="bold")
panels[1].text(1.45, 3.3, "put it in", color=figures.RED, weight="bold")
panels[0].text(0, 4.25, "kept", color=figures.BLUE, ha="center")
panels[1].text(2.5, 2.25, "missing", color=figures.MUTED, ha="center")
figures.headline(figure, "Both moves lower the loss")
figures.describe(
    figure,
    "Four bars of falling height, the singular values. Left, the first and third are kept, and "
    "an arrow exchanges the third for the larger second. Right, only the first is kept, and an "
    "arrow fills the free place with the second.",
)
plt.show()

# %%
# What to see
# -----------
# Filled bars are kept, dotted ones missing. Only one choice allows neither move: the r largest.
