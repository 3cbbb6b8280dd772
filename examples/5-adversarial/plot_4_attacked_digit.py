"""
One digit, two changes of the same size
=======================================

Change every pixel of a digit by the same small amount, up or down. If a coin decides the signs, the
network hardly notices. If the gradient of its loss decides them, it gives another answer.

The derivation is in :doc:`/solutions/5-adversarial`; this script is evidence for the claims
``5-attack`` and ``5-accuracy``. (A reduced network: 16 and 32 channels, ten epochs on the
handwritten digits.)
"""

import matplotlib.pyplot as plt

from hw2lib import figures
from hw2lib.adversarial import random_sign_perturbation, signed_gradient_attack
from hw2lib.datasets import digits_data
from hw2lib.training import digits_network, predict

plt.style.use("hw2lib.figures")

# %%
# One network, three versions of each digit
# -----------------------------------------
# Validation digits as they are, after one signed step of ε = 32/255, and with random signs of that
# size, a hundred draws. A pixel that meets its bounds, 0 or 1, moves less.

data, eps = digits_data(), 32 / 255
model, _ = digits_network(data)
images, labels = data.validation_images, data.validation_labels
attacked = signed_gradient_attack(model, images, labels, eps=eps)
noisy = [random_sign_perturbation(images, eps=eps, seed=seed) for seed in range(100)]
before = predict(model, images).softmax(1)
after = predict(model, attacked).softmax(1)
with_noise = [predict(model, each).softmax(1) for each in noisy]

# %%
# Which digit to show? The first of which the network is sure, and after the attack almost as sure
# of a wrong answer.

sure = (before.argmax(1) == labels) & (before.amax(1) > 0.99)
fooled = (after.argmax(1) != labels) & (after.amax(1) > 0.8)
shown = int((sure & fooled).nonzero()[0])
truth = int(labels[shown])

# %%
# Verify
# ------
# On this digit none of the hundred random patterns changes the answer, and the one step does. Over
# all validation digits the step leaves more than a fifth wrong, and no random pattern a twentieth.

assert all(each[shown].argmax() == truth for each in with_noise)
assert after[shown].argmax() != truth
lost = (after.argmax(1) != labels).float().mean()
lost_to_noise = max((each.argmax(1) != labels).float().mean() for each in with_noise)
print(f"wrong after the step {lost:.1%}, with random signs at most {lost_to_noise:.1%}")
assert lost > 0.2
assert lost_to_noise < 0.05
assert (attacked - images).abs().max() <= eps + 1e-6

# %%
# Drawing the figure
# ------------------
# Ink is drawn as ink, in proportion to the pixel. Red pixels get more of it, blue ones less; blank
# ones are at 0 or 1 already.

columns = (
    ("the digit", images, before, figures.INK),
    ("+ random signs", noisy[0], with_noise[0], figures.INK),
    ("+ signs of ∇ℓ", attacked, after, figures.RED),
)
figure, panels = plt.subplots(2, 3, figsize=(5.2, 4.3))
for (name, pictures, probabilities, color), (change, result) in zip(columns, panels.T, strict=True):
    answer, probability = int(probabilities[shown].argmax()), probabilities[shown].max()
    figures.draw_pixels(result, pictures[shown, 0])
    figures.draw_pixels(change, (pictures - images)[shown, 0], largest=1.6 * eps, signed=True)
    change.set_title(name, fontsize=12, fontweight="normal", color=color)
    result.set_xlabel(f"“{answer}”, {100 * probability:.1f}\u202f%", color=color, fontweight="bold")
panels[0, 0].spines[:].set_visible(False)
panels[0, 0].text(
    4,
    4,
    "red: more ink,\nblue: less,\nblank: at its\nbound already",
    ha="center",
    va="center",
    color=figures.MUTED,
)
figures.headline(figure, "Same limit, 32/255: noise is harmless, the attack is not")
figures.describe(
    figure,
    f"A handwritten {truth} three times: as it is, with random signs of 32/255 added, and with "
    "the signs of the gradient added. The network gives the right answer to the first two and "
    "a wrong one to the third. Above, the two changes: a random pattern and a pattern of the "
    "same strength.",
)
plt.show()

# %%
# What to see
# -----------
# Both changes have the same size in every pixel, as far as the bounds allow it, and to the eye
# neither makes another digit of it. What differs is only which pixels go up and which go down.
