"""
The gradient is a sum over every use of the weights
===================================================

A linear RNN uses the same W at every step, :math:`z_{k+1} = W z_k`. Unrolled in time it is a chain:
the states go forward, the gradients of the loss with respect to the states, the *adjoints*, come
back. What does W receive?

The derivation is in :doc:`/solutions/6-recurrent/a-linear-gradient`; this script is evidence for
the claims ``6a-gradient`` and ``6a-zbar``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.recurrent import linear_rnn_gradient

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# Four steps, forward and back
# ----------------------------
# W = diag(3/2, 1/2). The state starts on the stable mode and halves in every step; the adjoint
# meets the unstable mode and grows by a half in every step back.

W, steps = torch.diag(torch.tensor([1.5, 0.5])), 4
zbar, z0 = torch.eye(2)
states, adjoints = [z0], [zbar]
for _ in range(steps):
    states.append(W @ states[-1])
    adjoints.insert(0, W.T @ adjoints[0])

# %%
# Verify
# ------
# Each use of W takes a state in and is answered by the adjoint at the state after it; the sum of
# their outer products is the gradient that automatic differentiation finds. The state shrinks, the
# adjoint grows on its way back, and the first use contributes most.

terms = [torch.outer(adjoints[k + 1], states[k]) for k in range(steps)]
weights = W.clone().requires_grad_()
end = z0
for _ in range(steps):
    end = weights @ end
(gradient,) = torch.autograd.grad(zbar @ end, weights)
assert torch.equal(sum(terms), gradient)
assert torch.allclose(gradient, linear_rnn_gradient(W, z0, zbar, steps))
sizes = [term.norm().item() for term in terms]
assert sizes == sorted(sizes, reverse=True)
assert adjoints[0].norm() > 5 > 1 > 16 * states[-1].norm() - 1e-12
print("size of the terms:", sizes)

# %%
# Drawing the figure
# ------------------
# The area of a disc is the length of its vector.

figure, axes = plt.subplots(figsize=(5.2, 3.5))
axes.set(xlim=(-0.55, 4.5), ylim=(-1.6, 2.0), aspect="equal")
axes.axis("off")
forward, back, between = 1.1, -0.55, 0.27


def arrow(start, end, color):
    style = {"arrowstyle": "-|>", "color": color, "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style)


for k in range(steps + 1):
    for vector, y, color in ((states[k], forward, figures.BLUE), (adjoints[k], back, figures.RED)):
        radius = 0.145 * vector.norm().item() ** 0.5
        axes.add_patch(plt.Circle((k, y), radius, color=color, lw=0))
    axes.text(k, forward + 0.3, f"$z_{k}$", color=figures.BLUE, ha="center", fontsize=16)
    axes.text(k, back - 0.68, f"$\\bar z_{k}$", color=figures.RED, ha="center", fontsize=16)
for k in range(steps):
    arrow((k + 0.24, forward), (k + 0.8, forward), figures.BLUE)
    axes.text(k + 0.5, forward + 0.12, "$W$", color=figures.BLUE, ha="center")
    arrow((k + 0.65, back), (k + 0.42, back), figures.RED)
    axes.text(k + 0.55, back + 0.16, r"$W^{\!\top}$", color=figures.RED, ha="center")
    term = rf"$\bar z_{k + 1} z_{k}^{{\!\top}}$"
    axes.text(k + 0.5, between, term, ha="center", va="center", fontsize=17)
    if k:
        axes.text(k, between, "$+$", ha="center", va="center", fontsize=17)
axes.text(-0.5, forward + 0.66, "states, forward: here they shrink", color=figures.BLUE)
axes.text(-0.5, back - 0.98, "adjoints, backward: here they grow", color=figures.RED)
figures.headline(figure, "The gradient is a sum over every use of W")
figures.describe(
    figure,
    "A linear network unrolled over four steps. Above, states go right through W and shrink; "
    "below, adjoints come back left through the transpose of W and grow. Between them each use "
    "of W contributes the adjoint after it times the state before it.",
)
plt.show()

# %%
# What to see
# -----------
# Read one column: a use of W knows the state that came in and the adjoint that comes back. The
# states alone would say that everything dies out; the adjoints of the early steps say the opposite,
# and the product is what counts.
