"""
The loss climbs along the gradient’s signs far more than along random ones
==========================================================================

Walk from an image along the signs of its gradient, then along signs drawn at random. Both walks
change every pixel by at most ε. What happens to the loss, how far does the linear prediction ℓ +
ε‖∇ℓ‖₁ carry, and what does it lack: the bounds of the pixels, the network's kinks, or the curvature
of the loss?

The derivation is in :doc:`/solutions/5-beyond`; this script is evidence for the claims
``5-dual``, ``5-linear-range`` and ``5-attack``. (Reduced networks: 16 and 32 channels, ten epochs
on the handwritten digits, three seeds.)
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.adversarial import (
    input_gradient,
    linear_prediction,
    locally_affine_loss,
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
steps = [0, 1, 4, 8, 16, 24, 32]


def losses(seed):
    """Train a network; return its mean loss along the walks and the prediction, each by step."""
    model, _ = digits_network(data, seed=seed)
    names = ("up the gradient", "down the gradient", "random", "prediction", "ReLUs held")
    walks = {name: [] for name in (*names, "within the bounds")}
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
        up = signed_gradient_attack(model, images, labels, eps=eps)
        walks["ReLUs held"].append(locally_affine_loss(model, images, labels, up).mean().item())
        gradient = input_gradient(model, images, labels)
        within = (gradient * (up - images)).flatten(1).sum(1).mean().item()
        walks["within the bounds"].append(walks["prediction"][0] + within)
    five = signed_gradient_attack(model, images, labels, eps=32 / 255, steps=5, step_size=16 / 255)
    walks["five steps"] = evaluate(model, five, labels).loss
    return {name: torch.tensor(values) for name, values in walks.items()}


runs = [losses(seed) for seed in range(3)]

# %%
# Verify
# ------
# For every seed: at ε = 8/255 the loss more than doubles; at 32/255 it has risen more than ten
# times as much as on any of the random walks. The prediction is too high at 1/255, for it counts
# changes that the bounds of the pixels forbid; without these it carries more than two fifths of the
# rise at 8/255 and less than a third at 32/255. With all ReLUs held as they are at the image, it is
# more than half of the rise at 32/255 as well, and misses less than half of what the linear
# prediction does. And five steps of ε/2 within the same box reach more than the one step: the signs
# are best to first order, not beyond.

small, large = steps.index(8), steps.index(32)
for walks in runs:
    up, clean = walks["up the gradient"], walks["up the gradient"][0]
    rise = (walks["within the bounds"] - clean)[1:] / (up - clean)[1:]
    assert walks["prediction"][1] - clean > 1.1 * (up[1] - clean)
    assert rise[0] < 1
    assert walks["five steps"] > up[large]
    assert up[small] > 2 * clean
    assert up[large] - clean > 10 * (walks["random"][large].max() - clean)
    assert rise[small - 1] > 0.4
    assert rise[large - 1] < 1 / 3
    assert walks["ReLUs held"][large] - clean > 0.5 * (up[large] - clean)
    missing = up[large] - walks["within the bounds"][large]
    assert (up[large] - walks["ReLUs held"][large]).abs() < 0.5 * missing
    assert walks["down the gradient"][large] < clean

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 4.2))
for number, walks in reversed(list(enumerate(runs))):
    bold = 1 if number == 0 else 0.4
    axes.plot(steps, walks["random"], color=figures.MUTED, lw=1.2 * bold, alpha=0.7)
    axes.plot(steps, walks["prediction"], color=figures.INK, ls="--", lw=1.6 * bold)
    axes.plot(steps, walks["ReLUs held"], color=figures.PURPLE, ls=":", lw=2 * bold)
    axes.plot(steps, walks["up the gradient"], color=figures.RED, lw=2.8 * bold)
for text, color, x, y, weight in (
    ("signs of the gradient", figures.RED, 21, 0.86, "bold"),
    ("ReLUs held", figures.PURPLE, 32, 0.36, "normal"),
    ("linear: ℓ + ε‖∇ℓ‖₁", figures.INK, 32, 0.083, "normal"),
    ("signs at random", figures.MUTED, 32, 0.0115, "normal"),
):
    axes.text(x, y, text, ha="right", color=color, fontweight=weight)
axes.set(
    yscale="log",
    xlabel="change of every pixel ε, in 255ths",
    ylabel="mean loss, nats",
    xlim=(0, 33),
    ylim=(0.0085, 1.4),
    xticks=[0, 8, 16, 24, 32],
)
axes.set_yticks([0.01, 0.03, 0.1, 0.3, 1], ["0.01", "0.03", "0.1", "0.3", "1"])
axes.minorticks_off()
figures.headline(figure, "The gradient’s signs beat random signs")
figures.describe(
    figure,
    "Mean loss on a log axis against the size of the change, three networks: along the signs "
    "of the gradient it rises more than ten times as much as along random signs, the dotted "
    "line of the network with its ReLUs held follows it most of the way, the dashed linear "
    "prediction falls behind.",
)
plt.show()

# %%
# What to see
# -----------
# Bold is the first of three seeds; the grey lines are three random walks for each. The prediction
# is first too high, for it counts changes that the bounds of the pixels forbid, and then far too
# low. The dotted lines say why: hold all ReLUs as they are at the image, and the network is affine;
# but its loss still bends upwards, and that is most of what the prediction lacks. The units that
# switch may add to the loss or take from it. Random signs of the same size do far less: robustness
# to noise says little about robustness to an adversary.
