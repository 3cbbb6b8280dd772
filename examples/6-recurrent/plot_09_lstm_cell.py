"""
The cell of an LSTM: one path on which only forget gates multiply
=================================================================

An LSTM carries two vectors from step to step, the hidden state h and the cell c. Everything that
has weights reads h and the input. What does the cell itself pass through?

The derivation is in :doc:`/solutions/6-recurrent/d-lstm`; this script is evidence for the claims
``6d-lstm`` and ``6d-gates``.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from hw2lib import figures
from hw2lib.recurrent import lstm_jacobian

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# Verify
# ------
# Hold the hidden states at the values that they have in the run, so that only the bold path of the
# figure is left, and differentiate the last cell with respect to the first: the product of the
# forget gates remains, and nothing else. The whole derivative differs from it.

size, steps = 5, 6
lstm, inputs = nn.LSTM(3, size), torch.randn(steps, 3)
first_h, first_c = torch.randn(2, size)
run = lstm_jacobian(lstm, inputs, first_h, first_c)


def last_cell(c):
    """Return the last cell from the first, with all hidden states held fixed."""
    h, true_c = first_h, first_c
    for x in inputs:
        blocks = lstm.weight_ih_l0 @ x + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ h + lstm.bias_hh_l0
        i, f, g, o = blocks.detach().chunk(4)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c, true_c = f * c + i * g, f * true_c + i * g
        h = o * true_c.tanh()
    return c


direct = torch.autograd.functional.jacobian(last_cell, first_c)
assert torch.allclose(direct, torch.diag(run.forget_product))
assert not torch.allclose(run.jacobian[size:, size:], direct, atol=1e-3)
assert torch.allclose(last_cell(first_c), run.cell)

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 4.1))
axes.set(xlim=(0, 10), ylim=(0, 7.7))
axes.axis("off")
BOLD, FAINT = {"color": figures.BLUE, "lw": 4}, {"color": figures.MUTED, "lw": 1.3}


def arrow(start, end, look=FAINT):
    scale = 20 if look is BOLD else 10
    style = {"arrowstyle": "-|>", "mutation_scale": scale, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style | look)


def node(x, y, text, color):
    axes.text(x, y, text, color=color, ha="center", va="center", fontsize=13, weight="bold")
    axes.add_patch(plt.matplotlib.patches.Ellipse((x, y), 0.72, 0.72, fill=False, ec=color, lw=1.6))


cell, gates, hidden = 6.0, 2.6, 0.8
for start, end in ((0.7, 2.04), (2.76, 4.84), (5.56, 9.1)):
    arrow((start, cell), (end, cell), BOLD)
node(2.4, cell, "×", figures.BLUE)
node(5.2, cell, "+", figures.BLUE)
node(5.2, 4.4, "×", figures.MUTED)
node(8.2, 3.3, "×", figures.MUTED)
for x, name, what in (
    (2.4, "f", "forget"),
    (4.2, "i", "input"),
    (5.9, "g", "candidate"),
    (7.55, "o", "output"),
):
    color = figures.ORANGE if name == "f" else figures.INK
    axes.text(x, gates, name, color=color, ha="center", va="center", fontsize=14, weight="bold")
    axes.text(x, gates - 0.62, what, color=color, ha="center", va="center", fontsize=12)
    axes.plot([x, x], [hidden, gates - 0.95], **FAINT)
arrow((2.4, gates + 0.4), (2.4, cell - 0.4), FAINT | {"color": figures.ORANGE, "lw": 2.2})
arrow((4.25, gates + 0.4), (4.98, 4.1))
arrow((5.87, gates + 0.4), (5.42, 4.1))
arrow((5.2, 4.78), (5.2, cell - 0.4))
arrow((7.65, gates + 0.3), (7.95, 3.02))
arrow((8.2, cell - 0.1), (8.2, 3.68))
axes.text(8.35, 4.7, "tanh", color=figures.MUTED)
axes.plot([0.7, 7.55], [hidden, hidden], **FAINT)
arrow((8.2, 2.92), (8.2, hidden + 0.05))
arrow((8.2, hidden), (9.1, hidden))
for x, y, text, align in (
    (0.55, cell, "c", "right"),
    (9.25, cell, "c′", "left"),
    (0.55, hidden, "h", "right"),
    (9.25, hidden, "h′", "left"),
):
    color = figures.BLUE if y == cell else figures.MUTED
    axes.text(x, y, text, color=color, ha=align, va="center", fontsize=15, weight="bold")
axes.text(0.7, 6.75, "the cell’s path: × f, + i∘g, no weights", color=figures.BLUE)
axes.text(2.6, 0.15, "all weights are here: W times h, and the input", color=figures.MUTED)
figures.headline(figure, "On the bold path only forget gates multiply")
figures.describe(
    figure,
    "One step of an LSTM. The cell c runs along a bold line to the next cell: it is multiplied "
    "by the forget gate f, and input gate times candidate is added. All gates are computed "
    "with weights from the hidden state h below; the output gate times tanh of the new cell is "
    "the new hidden state.",
)
plt.show()

# %%
# What to see
# -----------
# Follow the bold line backwards: the gradient meets a factor f and a sum, which passes it on
# unchanged. Every other path from c′ back to the step before goes down through h and the weights.
# The drawing shows which factors there are, not how much each path carries; that has to be
# measured.
