"""
Clipping by value can turn the gradient by almost arccos(1/√m)
==============================================================

There are two ways to clip a gradient: shorten it to a norm, or cut its entries. The first keeps its
direction; how far can the second turn it?

The derivation is in :doc:`/solutions/6-recurrent/c-clipping`; this script is evidence for the
claims ``6c-clip`` and ``6c-angle``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.recurrent import clip_by_norm, clip_by_value

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# The worst gradient, and random ones
# -----------------------------------
# The worst has one huge entry beside others of exactly the bound. Random ones are Gaussian and
# heavy-tailed (Student's t with 1.2 degrees of freedom), clipped at the size of a typical entry;
# 200 of each.


def cosine(g, h):
    return (g @ h / (g.norm() * h.norm())).item()


sizes = [2**k for k in range(15)]
worst, gaussian, heavy = [], [], []
for m in sizes:
    spike = torch.ones(m)
    spike[0] = 1e12
    worst.append(cosine(spike, clip_by_value(spike, 1.0)))
    for sampler, record in (
        (torch.distributions.Normal(0.0, 1.0), gaussian),
        (torch.distributions.StudentT(1.2), heavy),
    ):
        draws = sampler.sample((200, m))
        record.append([cosine(g, clip_by_value(g, 0.7)) for g in draws])
gaussian, heavy = torch.tensor(gaussian), torch.tensor(heavy)
bound = torch.tensor(sizes).double().rsqrt()

# %%
# Verify
# ------

typical, least = gaussian.median(1).values, heavy.amin(1)
g = torch.randn(50)
assert abs(cosine(g, clip_by_norm(g, 0.1)) - 1) < 1e-14
assert (torch.tensor(worst) - bound).abs().max() < 1e-7
assert (gaussian >= bound[:, None] - 1e-12).all()
assert (heavy >= bound[:, None] - 1e-12).all()
assert (typical[1:] > 0.85).all()
assert least[-1] < 0.1
print(f"m = {sizes[-1]}: bound {bound[-1]:.4f}, heavy-tailed {heavy[-1].min():.3f} at least")

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 4.0))
axes.axhline(1, color=figures.GREEN, lw=1.6)
for values, color in ((gaussian, figures.MUTED), (heavy, figures.PURPLE)):
    axes.plot(sizes, values.median(1).values, color=color, lw=1.5)
    axes.fill_between(sizes, values.amin(1), values.amax(1), color=color, alpha=0.16, lw=0)
axes.plot(sizes, worst, "o", color=figures.RED, ms=5)
axes.plot(sizes, bound, color=figures.RED, lw=2.6)
axes.text(2, 1.08, "by norm: direction kept", color=figures.GREEN, va="bottom")
axes.text(2e4, 0.86, "by value, Gaussian", color=figures.MUTED, ha="right", va="top")
axes.text(2e4, 0.045, "by value,\nheavy-tailed", color=figures.PURPLE, ha="right")
axes.text(60, 0.08, "worst case\n1/√m", color=figures.RED, ha="right", va="top")
axes.set(xscale="log", yscale="log", xlabel="entries m", ylabel="cosine", ylim=(0.006, 1.8))
axes.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
figures.headline(figure, "Never below 1/√m, but as near as you like")
figures.describe(
    figure,
    "Cosine of the angle between a gradient and its clipped version against the number of "
    "entries, logarithmic. Clipping by norm gives 1; by value the median over Gaussian "
    f"gradients stays above {typical.min():.1f}, heavy-tailed ones fall with m, and the worst "
    "case lies on the line one over the square root of m.",
)
plt.show()

# %%
# What to see
# -----------
# A Gaussian gradient is turned a little, from some ten entries on by about the same angle however
# many there are. A heavy-tailed one, the kind that one clips for, is turned towards a sign vector,
# the further, the more entries it has: among those with the most entries, some are nearly
# orthogonal to what they were. Clipping by norm keeps the direction of each.
