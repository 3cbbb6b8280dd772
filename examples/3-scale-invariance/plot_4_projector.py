"""
The chain-rule route is right for invariant functions, and fails gradually with batch norm’s ε
==============================================================================================

Is ∇f(x) = P∇f(u)/‖x‖, with u = x/‖x‖ and P = I − uuᵀ, the gradient of f? And does the projector do
anything?

The derivation is in :doc:`/solutions/3-scale-invariance/d-chain-rule`; this script is evidence for
the claims ``3b-chain``, ``3b-chain-epsilon`` and ``3b-projector``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.scale_invariance import batchnorm_loss, chain_rule_gradient, function_gradient

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# Two functions in the plane
# --------------------------
# The point is x = 2u. First a function that is scale invariant, then one that is not. The route
# takes the gradient at u, removes what points along u, and halves the rest.

u = torch.tensor([0.8, 0.6])
c = torch.tensor([-0.5, 1.5])


def cosine(z):
    return c @ z / z.norm()


pictures = {"f(λx) = f(x)": cosine, "f linear": lambda z: c @ z}
arrows = {
    title: (function_gradient(f, u), function_gradient(f, 2 * u), chain_rule_gradient(f, 2 * u))
    for title, f in pictures.items()
}

# %%
# A unit behind batch norm
# ------------------------
# The relative error of the route at eight points, for ε from 0 up.

n = 8
inputs, targets = torch.randn(40, n), torch.randn(40).tanh()
epsilons = torch.logspace(-8, 2, 41)


def relative_error(f, x):
    """Return how far the chain-rule route is from the gradient."""
    gradient = function_gradient(f, x)
    return (chain_rule_gradient(f, x) - gradient).norm() / gradient.norm()


points = [2 * torch.randn(n, generator=torch.Generator().manual_seed(s)) for s in range(100, 108)]
exact = torch.stack([relative_error(batchnorm_loss(inputs, targets), x) for x in points])
losses = [batchnorm_loss(inputs, targets, eps.item()) for eps in epsilons]
errors = torch.stack([torch.stack([relative_error(f, x) for x in points]) for f in losses])

# %%
# Verify
# ------
# For the invariant functions the route is exact to rounding, and the gradient has nothing along u
# for P to remove; for the linear function neither holds. With batch norm the error is proportional
# to ε while ε is small.

(at_u, at_x, route), (linear_u, linear_x, linear_route) = arrows.values()
assert (route - at_x).abs().max() < 1e-15
assert abs(at_u @ u) < 1e-15
assert (linear_route - linear_x).norm() > 0.5
assert abs(linear_u @ u) > 0.4
assert exact.max() < 1e-12
small = epsilons < 1e-3
slopes = errors[small].log().diff(dim=0) / epsilons[small].log().diff()[:, None]
print(f"slopes for small ε: {slopes.min():.3f} to {slopes.max():.3f}")
assert (slopes - 1).abs().max() < 0.01
assert 0.7 < errors[-1].min() <= errors.max() < 1
assert all(4 < x.norm() < 9 for x in points)

# %%
# Drawing the figures
# -------------------

figure, both = plt.subplots(1, 2, figsize=(5.2, 3.6))
for axes, (title, (first, true, shown)) in zip(both, arrows.items(), strict=True):
    axes.plot([0, 2.25 * u[0]], [0, 2.25 * u[1]], color=figures.MUTED, lw=1, zorder=1)
    axes.plot(0, 0, "o", color=figures.MUTED, ms=4)
    for start, arrow, color, width in (
        (u, first, figures.BLUE, 1.6),
        (2 * u, true, figures.GREEN, 6),
        (2 * u, shown, figures.RED, 2),
    ):
        style = {"arrowstyle": "-|>", "color": color, "lw": width, "shrinkA": 0, "shrinkB": 0}
        axes.annotate(
            "", start + 0.8 * arrow, start, arrowprops=style | {"mutation_scale": 9 + 3 * width}
        )
    axes.plot(*torch.stack([u, 2 * u]).T, "o", color=figures.INK, ms=6, zorder=5)
    axes.text(0.92, 0.5, "u", va="top")
    axes.text(1.72, 1.1, "x = 2u", va="top")
    axes.text(
        *(u + 0.8 * first + torch.tensor([0, 0.08])), "∇f(u)", color=figures.BLUE, ha="center"
    )
    axes.set(aspect="equal", xlim=(-0.3, 2.35), ylim=(-0.1, 2.75))
    axes.axis("off")
    axes.set_title(title)
bold = {"ha": "center", "weight": "bold"}
both[0].text(1.25, 2.02, "P∇f(u)/2", color=figures.RED, **bold)
both[0].text(1.25, 1.78, "= ∇f(x)", color=figures.GREEN, **bold)
both[1].text(1.2, 2.5, "∇f(x)", color=figures.GREEN, **bold)
both[1].text(1.6, 1.5, "P∇f(u)/2", color=figures.RED, weight="bold")
figures.headline(figure, "The formula gives the gradient on the left only")
figures.describe(
    figure,
    "Two panels with a ray, the unit vector u and x = 2u on it. For an invariant function the "
    "gradient at u is across the ray, and half of it is the gradient at x. For a linear "
    "function the gradient is the same everywhere and oblique to the ray; its part across the "
    "ray, halved, is another arrow than the gradient at x.",
)

figure, axes = plt.subplots(figsize=(5.2, 3.6))
axes.loglog(epsilons, errors, color=figures.BLUE, lw=1, alpha=0.3)
axes.loglog(epsilons, errors[:, 0], color=figures.BLUE, lw=2.6)
axes.axvline(1e-5, color=figures.MUTED, lw=1, ls=(0, (4, 3)))
axes.text(1.5e-5, 3, "PyTorch’s ε", color=figures.MUTED, fontsize=12)
axes.set(xlabel="ε of batch norm", xlim=(1e-8, 1e2), ylim=(1e-10, 20))
figures.headline(figure, "Relative error: proportional to ε, for small ε")
figures.describe(
    figure,
    "Relative error of the chain-rule route against batch norm's ε at eight points, in "
    "logarithmic axes: lines of slope one, which bend below an error of one when ε is no "
    "longer small.",
)
plt.show()

# %%
# What to see
# -----------
# On the left, the halved gradient at u lies on the gradient at x: the literal gradient of f at u is
# the right one, and P has nothing to remove. On the right, without invariance, the route gives
# another vector. With batch norm the failure is gradual: slight for PyTorch's ε = 10⁻⁵, and at
# these points, of lengths from 4 to 9, most of the gradient where ε is 100. (How large it gets
# there depends on the length.) If ⟨∇f(x), x⟩ = 0 at every x ≠ 0, f is invariant and the route
# exact; at a single point an exact route implies ⟨∇f(x), x⟩ = 0, but not conversely.
