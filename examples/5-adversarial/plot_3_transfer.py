"""
An attack on one network works against another
==============================================

Two networks of the same shape start from different weights and see the images in different orders. Perturb the images
against the first: is the second fooled as well?

The derivation is in :doc:`/solutions/5-adversarial`; this script is evidence for the claim ``5-transfer``.
(Reduced networks: 16 and 32 channels, ten epochs on the handwritten digits, three seeds.)
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
    print(f"against {name:13}", [f"{error:.1%}" for error in row.tolist()])

# %%
# Verify
# ------
# Whichever network the images were made against, every other errs at least twice as often as under random signs, and
# less often than under an attack of its own.

own = errors[2:].diagonal()
for source in range(3):
    for target in range(3):
        if source != target:
            assert errors[2 + source, target] > 2 * errors[1, target]
            assert errors[2 + source, target] < own[target]
            assert 0.1 < errors[2 + source, target] < 0.3

# %%
# The figure
# ----------

figure, axes = plt.subplots(figsize=(5.2, 4.4))
axes.imshow(errors.numpy(), cmap="Oranges", vmin=0, vmax=0.5, aspect="auto", alpha=0.85)
for row, line in enumerate(errors.tolist()):
    for column, error in enumerate(line):
        axes.text(
            column, row, f"{error:.1%}", ha="center", va="center", fontsize=12,
            color="black", fontweight="bold" if row == column + 2 else "normal",
        )  # fmt: skip
axes.set_xticks(range(3), [f"network {number}" for number in (1, 2, 3)])
axes.set_yticks(range(5), list(sources))
axes.tick_params(length=0)
axes.grid(False)
axes.spines[:].set_visible(False)
axes.set(xlabel="error of", ylabel="images perturbed against")
others = (errors[2:].sum() - own.sum()) / 6
axes.set_title(f"The others' attacks still fool {others:.0%}")
figures.describe(
    figure,
    "A table of errors of three networks: low on clean digits and with random signs, highest under a network's own attack, and between a tenth and three tenths on images perturbed against another network.",
)
plt.show()

# %%
# What to see
# -----------
# Bold: a network under its own attack. The other entries of the last three rows are attacks that never asked the network
# they fool. The networks share their data and their shape, not one weight; what they have learned is alike enough. To keep the
# weights secret is a weak defence against someone who has the data and guesses the architecture: it lowers the error under attack,
# but leaves it far above that under noise.
