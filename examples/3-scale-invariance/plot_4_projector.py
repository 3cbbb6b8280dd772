"""
The chain-rule route is right for invariant functions, and fails gradually with batch norm's ε
==============================================================================================

Is ∇f(x) = P∇f(u)/‖x‖, with u = x/‖x‖ and P = I − uuᵀ, the gradient of f? And does the projector do anything? The
derivation is in :doc:`/solutions/3-scale-invariance/d-chain-rule`; this script is evidence for the claims
``3b-chain``, ``3b-chain-epsilon`` and ``3b-projector``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.scale_invariance import (
    batchnorm_loss,
    chain_rule_gradient,
    function_gradient,
    tangent_projector,
)

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# Eight functions, three of them scale invariant
# ----------------------------------------------

n = 8
c, M, inputs, targets = (
    torch.randn(n),
    torch.randn(n, n),
    torch.randn(40, n),
    torch.randn(40).tanh(),
)
functions = {
    "cosine to a vector": lambda x: c @ x / x.norm(),
    "Rayleigh quotient": lambda x: x @ M @ x / (x @ x),
    "batch norm, ε = 0": batchnorm_loss(inputs, targets),
    "batch norm, ε = 10⁻⁵": batchnorm_loss(inputs, targets, 1e-5),
    "batch norm, ε = 10⁻³": batchnorm_loss(inputs, targets, 1e-3),
    "batch norm, ε = 0.1": batchnorm_loss(inputs, targets, 0.1),
    "without batch norm": lambda x: ((inputs @ x).tanh() - targets).square().mean(),
    "linear": lambda x: c @ x,
}
invariant = 3  # the first three


def relative_errors(f, seed):
    """Return how wrong the chain-rule route is, and how much the projector changes."""
    x = 2 * torch.randn(n, generator=torch.Generator().manual_seed(seed))
    u, g = x / x.norm(), function_gradient(f, x)
    route = (chain_rule_gradient(f, x) - g).norm() / g.norm()
    at_u = function_gradient(f, u)
    projector = (tangent_projector(u) @ at_u - at_u).norm() / at_u.norm()
    return torch.stack([route, projector])


errors = {
    name: torch.stack([relative_errors(f, seed) for seed in range(100, 108)])
    for name, f in functions.items()
}

# %%
# Verify
# ------
# For the invariant functions both are rounding errors; for the others neither is. With batch norm a hundred times the ε
# gives about a hundred times the error of the route; without batch norm the error is about as large as the gradient.

for index, error in enumerate(errors.values()):
    if index < invariant:
        assert error.max() < 1e-12
    else:
        assert error.min() > 1e-8
    if index > invariant + 2:
        assert error[:, 0].log2().abs().max() < 1
small, medium = (errors[f"batch norm, ε = {eps}"][:, 0] for eps in ("10⁻⁵", "10⁻³"))
assert (medium / small / 100 - 1).abs().max() < 0.01

# %%
# The figure
# ----------

figure, axes = plt.subplots(figsize=(5.4, 5.4))
for row, error in enumerate(errors.values()):
    for column, (color, marker) in enumerate(((figures.BLUE, "o"), (figures.ORANGE, "s"))):
        axes.plot(
            error[:, column] + 1e-17,
            [row + 0.18 * (2 * column - 1)] * 8,
            marker,
            color=color,
            ms=5,
            alpha=0.8,
        )
axes.plot([], [], "o", color=figures.BLUE, label="error of the chain-rule route")
axes.plot([], [], "s", color=figures.ORANGE, label="what the projector takes away")
axes.axhspan(-0.5, invariant - 0.5, color=figures.GREEN, alpha=0.1, lw=0)
axes.text(1e-9, 0.1, "scale invariant", color=figures.GREEN, ha="center")
axes.set_xscale("log")
axes.set_xlim(5e-18, 50)
axes.set_yticks(range(len(functions)), functions)
axes.set_ylim(len(functions) - 0.4, -0.6)
axes.grid(axis="y", visible=False)
axes.set_xlabel("relative size")
axes.set_title("Exact for invariant functions only")
axes.legend(loc="lower left", bbox_to_anchor=(0, 0.12))
figures.describe(
    figure,
    "For eight functions and eight points each: the relative error of the chain-rule route and of leaving out the projector. "
    "For the three scale-invariant functions both are rounding errors below 1e-12. With batch norm they grow with ε; "
    "and for the two functions without batch norm the route misses by about the size of the gradient.",
)
plt.show()

# %%
# What to see
# -----------
# In the green band the route agrees with the gradient to rounding, with the literal gradient of f at u. The same
# functions have nothing along u for the projector to take away. Below, without invariance, both fail at these
# points: slightly for PyTorch's ε = 10⁻⁵, more for larger ε, by about the gradient's own size without batch norm. If ⟨∇f(x), x⟩ = 0 at
# every x ≠ 0, f is invariant and the route exact; at a single point neither test implies the other.
