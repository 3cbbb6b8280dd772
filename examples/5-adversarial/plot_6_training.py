"""
Ten epochs are enough for the digits
====================================

The question asks for loss and error of training and validation, epoch by epoch. This is the reduced
run: the question's network with 16 and 32 channels, on handwritten digits of 8×8 pixels, with the
question's schedule in a tenth of its epochs.

What comes of it is in :doc:`/solutions/5-adversarial`; the number of parameters in full width is
the claim ``5-parameters``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.datasets import digits_data
from hw2lib.training import digits_network

plt.style.use("hw2lib.figures")

# %%
# Train three seeds
# -----------------
# Training losses are those of the steps, with dropout on and from the epoch's first weights to its
# last; validation losses are measured after the epoch, without dropout. That is why validation can
# be the lower curve.

data = digits_data()
histories = [digits_network(data, seed=seed)[1] for seed in range(3)]
curves = {
    (part, quantity): torch.stack(
        [torch.as_tensor(getattr(history, f"{part}_{quantity}")) for history in histories]
    )
    for part in ("training", "validation")
    for quantity in ("loss", "error")
}

# %%
# Verify
# ------
# Each of the three ends with fewer than two in a hundred of the validation digits wrong, and with a
# loss far below that of its first epoch.

error, loss = curves["validation", "error"], curves["validation", "loss"]
assert error[:, -1].max() < 0.02
assert (loss[:, -1] < loss[:, 0] / 5).all()

# %%
# Drawing the figure
# ------------------

figure, panels = plt.subplots(2, 1, figsize=(5.2, 5.2), sharex=True)
colors = {"training": figures.BLUE, "validation": figures.ORANGE}
epochs = range(1, error.shape[1] + 1)
for panel, quantity, unit in zip(panels, ("loss", "error"), (1, 100), strict=True):
    for part, color in colors.items():
        values = unit * curves[part, quantity]
        panel.plot(epochs, values[1:].T, color=color, lw=0.8, alpha=0.7)
        panel.plot(epochs, values[0], color=color, lw=2.4)
    panel.set_yscale("log")
    for last in (4, 8):
        panel.axvline(last + 0.5, color=figures.MUTED, ls=":", lw=0.9)
panels[0].set_yticks([0.03, 0.1, 0.3, 1], ["0.03", "0.1", "0.3", "1"])
panels[0].minorticks_off()
figures.headline(
    figure, f"Ten epochs, and {100 * error[:, -1].mean():.1f}\u202f% are wrong on average"
)
panels[0].text(2.35, 0.6, "training", color=figures.BLUE, fontweight="bold")
panels[0].text(1.1, 0.042, "validation", color=figures.ORANGE, fontweight="bold")
top = panels[0].get_ylim()[1]
for place, rate in ((2.5, "0.1"), (6.5, "0.01"), (9.4, "0.001")):
    panels[0].text(place, top, f"rate {rate}", ha="center", va="top", color=figures.MUTED)
panels[1].set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
panels[1].minorticks_off()
panels[0].set_ylabel("mean loss, nats")
panels[1].set(ylabel="wrong answers, %", xlabel="epoch", xticks=range(1, 11))
figures.describe(
    figure,
    "Training and validation loss and error over 10 epochs on log axes, three seeds: all fall "
    "overall, most steeply in the first epochs; the validation error ends below two per cent.",
)
plt.show()

# %%
# What to see
# -----------
# Most is learned at the first learning rate; the two smaller ones settle what is left. Bold: the
# first seed. Dotted: the learning rate is divided by ten.
