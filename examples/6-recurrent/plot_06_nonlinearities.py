"""
The spectral radius alone does not decide, once there is a nonlinearity
=======================================================================

A random RNN, from h to σ(W h) at each step, with weights of growing size: at which rate do
gradients grow or shrink? For the identity the eigenvalues of W decide; do they for tanh, sigmoid
and ReLU? The rate is the largest Lyapunov exponent, the mean logarithm of the growth of a small
change.

The derivation is in :doc:`/solutions/6-recurrent/b-nonlinearities`; this script is evidence for the
claims ``6b-saturate`` and ``6b-eigen``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.recurrent import lyapunov_exponent

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# Exponents over the spectral radius
# ----------------------------------
# Gaussian weights of 64 units, scaled to the spectral radius on the axis; three seeds.

gains = torch.logspace(-0.5, 1.3, 16).tolist()
names = ("identity", "tanh", "sigmoid", "relu")


def exponents(name, seed):
    """Return the Lyapunov exponent at every gain."""
    generator = torch.Generator().manual_seed(seed)
    W = torch.randn(64, 64, generator=generator)
    W = W / torch.linalg.eigvals(W).abs().max()
    start = torch.randn(64, generator=generator)
    return [lyapunov_exponent(gain * W, name, start, steps=120, warm_up=60) for gain in gains]


rates = {name: torch.tensor([exponents(name, seed) for seed in range(3)]) for name in names}
spectral = torch.tensor(gains).log()

# %%
# Verify
# ------
# Without a nonlinearity the rate is log ρ(W). With one, it is not: at the largest spectral
# radius tanh and sigmoid stay far below, ReLU at every one, and by an amount that does not depend
# on it, since ReLU is homogeneous. Tanh explodes from 2 on, and not below 0.9.

assert (rates["identity"] - spectral).abs().max() < 0.05
for name in ("tanh", "sigmoid"):
    assert rates[name][:, -1].max() < spectral[-1] - 0.5
assert (rates["tanh"] - spectral)[:, spectral < 0].abs().max() < 0.05
assert rates["tanh"].max() > 0.2
assert rates["sigmoid"][:, :12].max() < 0
assert ((spectral - rates["relu"]).amin(1) > 0.1).all()
gap = spectral - rates["relu"]
assert (gap.amax(1) - gap.amin(1)).max() < 0.05
assert rates["tanh"][:, spectral.exp() < 0.9].max() < 0 < rates["tanh"][:, spectral.exp() > 2].min()
print(f"rates at ρ = {gains[-1]:.0f}, log ρ = {spectral[-1]:.2f}:")
for name, rate in rates.items():
    print(f"{name:8} {rate[:, -1].mean():.1f}")

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 4.2))
axes.axhline(0, color=figures.MUTED, lw=1)
looks = {
    "identity": (figures.MUTED, 1.4, "identity: log ρ(W)", 3.02),
    "tanh": (figures.BLUE, 3, "tanh", 0.95),
    "sigmoid": (figures.ORANGE, 1.4, "sigmoid", None),
    "relu": (figures.PURPLE, 1.4, "ReLU", None),
}
for name, values in rates.items():
    color, width, label, height = looks[name]
    finite = values.clamp(min=-6)
    middle = finite.median(0).values
    axes.plot(gains, middle, color=color, lw=width)
    axes.fill_between(gains, finite.amin(0), finite.amax(0), color=color, alpha=0.2, lw=0)
    axes.text(gains[-1] * 1.12, height or middle[-1], label, color=color, va="center")
axes.set(xscale="log", xlabel="spectral radius ρ(W)", xlim=(0.3, 150), ylim=(-3.2, 3.4))
axes.set_xticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
axes.set_yticks([-2, 0, 2])
axes.set_ylabel("growth rate a step")
axes.minorticks_off()
axes.text(145, -0.6, "vanish ↓", color=figures.MUTED, ha="right")
axes.text(145, 0.3, "explode ↑", color=figures.MUTED, ha="right")
figures.headline(figure, "Tanh, sigmoid and ReLU leave the line log ρ(W)")
figures.describe(
    figure,
    "Growth rate of gradients against the spectral radius of the weights for identity, tanh, "
    "sigmoid and ReLU, median and range of three seeds. The identity follows the logarithm of "
    "the spectral radius; tanh crosses zero near 1 and stays small, sigmoid is far below, ReLU "
    "lies below the line by a roughly constant amount.",
)
plt.show()

# %%
# What to see
# -----------
# The identity follows log ρ(W), and below 1 so nearly does tanh, whose state dies out there. ReLU
# lies below it by the same amount everywhere, since some of the units are off, so its gradients
# still vanish at ρ = 1. Tanh crosses zero between 0.9 and 2 and then explodes slowly: the larger
# the weights, the more units saturate. The sigmoid's slope of at most ¼ needs weights several times
# larger.
