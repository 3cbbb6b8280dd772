"""
Sure and right: almost no gradient
==================================

Backpropagation does not stop at the first layer: it gives one number a pixel, how much the loss
rises with a little more ink there. How does this gradient look for digits that the network gets
right, and for those that it gets wrong?

The derivation is in :doc:`/solutions/5-adversarial`; this script is evidence for the claims
``5-gradient-size`` and ``5-misclassified``. (A reduced network: 16 and 32 channels, ten epochs on
the handwritten digits.)
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.adversarial import input_gradient
from hw2lib.datasets import digits_data
from hw2lib.training import digits_network, predict

plt.style.use("hw2lib.figures")

# %%
# The gradient of every validation digit
# --------------------------------------
# Shown are a typical digit that the network gets right (its probability of the right class is the
# median of those), the one of which it is least sure among them, and two that it gets wrong.

data = digits_data()
model, _ = digits_network(data)
images, labels = data.validation_images, data.validation_labels
gradients = input_gradient(model, images, labels)
sizes = gradients.abs().flatten(1).sum(1)
probabilities = predict(model, images).softmax(1)
truth = probabilities[torch.arange(len(labels)), labels]
answers = probabilities.argmax(1)
right = (answers == labels).nonzero()[:, 0]
right = right[truth[right].argsort()]
mistakes = (answers != labels).nonzero()[:, 0]
shown = [int(right[len(right) // 2]), int(right[0]), *mistakes[:2].tolist()]

# %%
# Verify
# ------
# The gradient of every misclassified digit is more than ten times as large as the typical one. It
# is 1 − p times a slope, that of the log-odds against the label. The slopes differ too, but the
# factor 1 − p differs more: at least a half for every mistake, it is small for the typical digit.
# Where the network is right and sure, p > 0.99, no gradient is a tenth as large as that of any
# mistake.

assert sizes[mistakes].min() > 10 * sizes[right].median()
assert (1 - truth[mistakes]).min() >= 0.5
factor, slope = (
    (values[mistakes].min() / values[right].median()).item()
    for values in (1 - truth, sizes / (1 - truth))
)
assert factor > 10 * slope
sure = right[truth[right] > 0.99]
assert sizes[sure].max() < 0.1 * sizes[mistakes].min()
print(f"median over right digits {sizes[right].median():.2g}, wrong {sizes[mistakes].median():.2g}")

# %%
# Drawing the figure
# ------------------

figure, panels = plt.subplots(2, 4, figsize=(5.2, 3.5))
names = ("right, typical", "right, unsure", "wrong", "wrong")
for index, name, (top, bottom) in zip(shown, names, panels.T, strict=True):
    color = figures.RED if name == "wrong" else figures.INK
    figures.draw_pixels(top, images[index, 0])
    said = f"\n{labels[index]} read as {answers[index]}" if name == "wrong" else ""
    top.set_title(
        name + (said or f"\na {labels[index]}"), fontsize=12, color=color,
        fontweight="normal",
    )  # fmt: skip
    gradient = gradients[index, 0]
    figures.draw_pixels(bottom, gradient, largest=float(gradient.abs().max()), signed=True)
    size = float(sizes[index])
    bottom.set_xlabel(
        f"{size:.0f}" if size >= 10 else f"{size:.2g}", fontsize=14, fontweight="bold", color=color
    )
panels[0, 0].set_ylabel("digit")
panels[1, 0].set_ylabel("its gradient")
figure.supxlabel("size of the gradient, ‖∇ℓ‖₁", fontsize=12, color=figures.INK)
figures.headline(figure, "Sure and right: almost no gradient. Wrong: a large one")
figures.describe(
    figure,
    "Four digits, one that the network gets right and is sure of, one that it gets right but "
    "is unsure of, two that it gets wrong; below each its gradient, red where more ink raises "
    "the loss, blue where less does, and the size of the gradient: tiny for the first, large "
    "for the wrong ones.",
)
plt.show()

# %%
# What to see
# -----------
# Red: more ink there raises the loss; blue: less ink does. Every gradient is drawn on its own
# scale, or the first could not be seen; the numbers are the sizes.
