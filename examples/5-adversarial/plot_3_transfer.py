"""
An attack on one network works against another
==============================================

Two networks of the same shape start from different weights and see the images in different orders.
Perturb the images against the first: is the second fooled as well?

The derivation is in :doc:`/solutions/5-beyond`; this script is evidence for the claim
``5-transfer``. (Reduced networks: 16 and 32 channels, ten epochs on the handwritten digits, three
seeds.)
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.adversarial import random_sign_perturbation, signed_gradient_attack
from hw2lib.datasets import digits_data
from hw2lib.training import digits_network, evaluate

plt.style.use("hw2lib.figures")

# %%
# Three networks, each attacked by each
# -------------------------------------
# One signed step of ε = 32/255, and random signs of the same size for comparison.

data, eps = digits_data(), 32 / 255
images, labels = data.validation_images, data.validation_labels
models = [digits_network(data, seed=seed)[0] for seed in range(3)]
sources = {"none": images, "random signs": random_sign_perturbation(images, eps=eps)} | {
    f"network {number}": signed_gradient_attack(model, images, labels, eps=eps)
    for number, model in enumerate(models, 1)
}
errors = torch.tensor(
    [
        [evaluate(model, perturbed, labels).error for model in models]
        for perturbed in sources.values()
    ]
)
for name, row in zip(sources, errors, strict=True):
    print(f"against {name:13}", ", ".join(f"{error:.1%}" for error in row.tolist()))

# %%
# Verify
# ------
# Whichever network the images were made against, every other errs at least twice as often as under
# random signs, and less often than under an attack of its own.

own = errors[2:].diagonal()
for source in range(3):
    for target in range(3):
        if source != target:
            assert errors[2 + source, target] > 2 * errors[1, target]
            assert errors[2 + source, target] < own[target]
            assert 0.1 < errors[2 + source, target] < 0.3

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 3.1))
for target, row in enumerate(errors.T.tolist()):
    _, noise, *attacks = (100 * error for error in row)
    others = [error for source, error in enumerate(attacks) if source != target]
    axes.plot([noise, attacks[target]], [target] * 2, color=figures.GRID, lw=1.4, zorder=0)
    axes.plot(noise, target, "o", color=figures.MUTED, ms=7)
    axes.plot(others, [target] * 2, "o", color=figures.ORANGE, ms=10)
    axes.plot(attacks[target], target, "o", color=figures.RED, ms=7)
    if target == 0:
        for place, text, color in (
            (noise, "random signs", figures.MUTED),
            (sum(others) / 2, "another’s attack", figures.ORANGE),
            (attacks[target], "its own attack", figures.RED),
        ):
            weight = "bold" if color == figures.ORANGE else "normal"
            axes.text(place, -0.3, text, ha="center", color=color, fontweight=weight)
axes.set_yticks(range(3), [f"network {number}" for number in (1, 2, 3)])
axes.tick_params(axis="y", length=0)
axes.grid(axis="y", visible=False)
axes.spines["left"].set_visible(False)
axes.set(xlabel="wrong answers, %", xlim=(-1.5, 41), ylim=(2.4, -0.7))
others = (errors[2:].sum() - own.sum()) / 6
figures.headline(figure, f"The others’ attacks still fool {100 * others:.0f}\u202f%")
figures.describe(
    figure,
    "Wrong answers of three networks: few with random signs, most under a network's own "
    "attack, and between a tenth and three tenths on images perturbed against another network.",
)
plt.show()

# %%
# What to see
# -----------
# Bold: attacks that never asked the network they fool. The networks share their data and their
# shape, not one weight; what they have learned is alike enough. To keep the weights secret is a
# weak defence against someone who has the data and guesses the architecture: it lowers the error
# under attack, but leaves it far above that under noise.
