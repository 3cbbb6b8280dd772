"""
Clipping by value can turn the gradient by almost arccos(1/√n)
==============================================================

There are two ways to clip a gradient: shorten it to a norm, or cut its entries. The first keeps its direction; how far can the second turn it?

The derivation is in :doc:`/solutions/6-recurrent/c-clipping`; this script is evidence for the claims ``6c-clip`` and ``6c-T6``.
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
# The worst has one huge entry beside others of exactly the bound. Random ones are Gaussian and heavy-tailed (Student's t with 1.2 degrees of freedom), clipped at
# the size of a typical entry; 200 of each.


def cosine(g, h):
    return (g @ h / (g.norm() * h.norm())).item()


sizes = [2**k for k in range(15)]
worst, gaussian, heavy = [], [], []
for n in sizes:
    spike = torch.ones(n)
    spike[0] = 1e12
    worst.append(cosine(spike, clip_by_value(spike, 1.0)))
    for sampler, record in (
        (torch.distributions.Normal(0.0, 1.0), gaussian),
        (torch.distributions.StudentT(1.2), heavy),
    ):
        draws = sampler.sample((200, n))
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
print(
    f"n = {sizes[-1]}: bound {bound[-1]:.4f}, heavy-tailed {heavy[-1].min():.3f} to {heavy[-1].max():.3f}"
)

# %%
# The figure
# ----------

figure, axes = plt.subplots(figsize=(5.2, 3.9))
axes.axhline(1, color=figures.GREEN, label="by norm: direction kept")
for values, color, label in (
    (gaussian, figures.BLUE, "by value: Gaussian"),
    (heavy, figures.PURPLE, "by value: heavy-tailed"),
):
    axes.plot(sizes, values.median(1).values, color=color, label=label)
    axes.fill_between(sizes, values.amin(1), values.amax(1), color=color, alpha=0.22, lw=0)
axes.plot(sizes, worst, "o", color=figures.RED, ms=4, label="by value: worst case")
axes.plot(sizes, bound, color=figures.RED, lw=1.2)
axes.set_xscale("log")
axes.set_yscale("log")
axes.set(xlabel="entries n", ylabel="cosine with the gradient", ylim=(0.006, 1.4))
axes.set_title("Never below 1/√n (line), but as near as you like")
axes.legend(loc="lower left")
figures.describe(
    figure,
    "Cosine of the angle between a gradient and its clipped version against the number of entries, logarithmic. Clipping by norm gives 1; by value the median over Gaussian gradients "
    f"stays above {typical.min():.1f}, heavy-tailed ones fall with n, and the worst case lies on the line one over the square root of n.",
)
plt.show()

# %%
# What to see
# -----------
# A Gaussian gradient is turned a little, by about the same angle whatever the number of entries. A heavy-tailed one, the kind
# that one clips for, is turned towards a sign vector, the more the more entries it has: among those with the most entries,
# some are nearly orthogonal to what they were. Clipping by norm keeps the direction of each.
