"""
The loss climbs along one direction and hardly moves along the others
=====================================================================

Walk from an image along the signs of its gradient, then along signs drawn at random. Both walks change every pixel by the
same amount. What happens to the loss, and how far does the linear prediction ℓ + ε‖∇ℓ‖₁ carry?

The derivation is in :doc:`/solutions/5-adversarial`; this script is evidence for the claims ``5-T5``, ``5-linear-range`` and
``5-attack``. (Reduced networks: 16 and 32 channels, ten epochs on the handwritten digits, three seeds.)
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.adversarial import (
    linear_prediction,
    random_sign_perturbation,
    signed_gradient_attack,
)
from hw2lib.datasets import digits_data
from hw2lib.training import digits_network, evaluate

plt.style.use("hw2lib.figures")

# %%
# Walk away from the validation images
# ------------------------------------
# One step of each length, up the gradient and down it; pixels stay between 0 and 1.

data = digits_data()
images, labels = data.validation_images, data.validation_labels
steps = [0, 4, 8, 16, 24, 32]


def losses(seed):
    """Train a network; return its mean loss along the walks and the prediction, each by step."""
    model, _ = digits_network(data, seed=seed)
    walks = {"up the gradient": [], "down the gradient": [], "random": [], "prediction": []}
    for step in steps:
        eps = step / 255
        for name, down in (("up the gradient", False), ("down the gradient", True)):
            moved = signed_gradient_attack(model, images, labels, eps=eps, targeted=down)
            walks[name].append(evaluate(model, moved, labels).loss)
        walks["random"].append(
            [
                evaluate(model, random_sign_perturbation(images, eps=eps, seed=k), labels).loss
                for k in range(3)
            ]
        )
        walks["prediction"].append(linear_prediction(model, images, labels, eps=eps).mean().item())
    return {name: torch.tensor(values) for name, values in walks.items()}


runs = [losses(seed) for seed in range(3)]

# %%
# Verify
# ------
# For every seed: at ε = 8/255 the loss more than doubles, at 32/255 it is more than five times the largest of the random
# walks; the prediction carries more than half of the first rise, and less than a third of the second.

small, large = steps.index(8), steps.index(32)
for walks in runs:
    up, clean = walks["up the gradient"], walks["up the gradient"][0]
    rise = (walks["prediction"] - clean)[1:] / (up - clean)[1:]
    assert up[small] > 2 * clean
    assert up[large] > 5 * walks["random"][large].max()
    assert rise[small - 1] > 0.5
    assert rise[large - 1] < 1 / 3
    assert walks["down the gradient"][large] < clean

# %%
# The figure
# ----------

figure, axes = plt.subplots(figsize=(5.2, 4.3))
for walks in runs:
    axes.plot(steps, walks["up the gradient"], color=figures.RED, lw=1.6)
    axes.plot(steps, walks["prediction"], color=figures.INK, ls="--", lw=1.1)
    axes.plot(steps, walks["random"], color=figures.MUTED, lw=0.7, alpha=0.7)
    axes.plot(steps, walks["down the gradient"], color=figures.BLUE, lw=1.6)
for text, color, x, y in (
    ("signs of the gradient", figures.RED, 20, 0.75),
    ("prediction ℓ + ε‖∇ℓ‖₁", figures.INK, 32, 0.28),
    ("signs at random", figures.MUTED, 32, 0.082),
    ("against the gradient", figures.BLUE, 14, 0.002),
):
    axes.text(x, y, text, ha="right", color=color, fontweight="bold")
axes.set(
    yscale="log",
    xlabel="change of every pixel ε, in 255ths",
    ylabel="mean loss of the validation digits, nats",
    xlim=(0, 33),
)
axes.set_title("Only the gradient's signs raise the loss")
figures.describe(
    figure,
    "Mean loss on a log axis against the size of the change, three networks: along the signs of the gradient it rises from about 0.03 to above 1, the linear prediction rises to about 0.2, along random signs it hardly moves, against the gradient it falls.",
)
plt.show()

# %%
# What to see
# -----------
# Three lines of a colour are three seeds; the grey ones three random walks for each. The prediction is right for small
# steps, and then too low: the network bends, and nearly always upwards. Random signs of the same size are harmless, so
# robustness to noise says nothing about robustness to an adversary.
