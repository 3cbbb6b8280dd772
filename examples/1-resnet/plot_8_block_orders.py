"""
One residual block in both orders: batch norm sets the scale of what it feeds
=============================================================================

Batch norm and ReLU stand next to each other in ResNet-18. What changes when they change places?
This sketch of one block is drawn from its traced graph, so it cannot disagree with the code.

The derivation is in :doc:`/solutions/1-resnet/a-batchnorm-order`; this script is evidence for the
claims ``1a-order`` and ``1a-moments``.
"""

import matplotlib.pyplot as plt
import torch
from torch import fx, nn

from hw2lib import figures
from hw2lib.resnet import BasicBlock

plt.style.use("hw2lib.figures")
torch.manual_seed(0)

# %%
# Trace the block in both orders
# ------------------------------
# ``torch.fx`` lists the operations in the order in which they run.

NAMES = {"conv": "3×3 conv", "bn": "batch norm", "relu": "ReLU", "add": "+"}
blocks = {first: BasicBlock(8, 8, batchnorm_first=first) for first in (True, False)}
orders = {}
for first, block in blocks.items():
    nodes = [str(node.target) for node in fx.symbolic_trace(block).graph.nodes if node.args]
    found = [next((n for key, n in NAMES.items() if key in node), None) for node in nodes]
    orders[first] = [name for name in found if name]
    print("batch norm first:" if first else "ReLU first:      ", " → ".join(orders[first]))

# %%
# Run them, and keep what leaves each batch norm
# ----------------------------------------------

outputs = []
for block in blocks.values():
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    block(torch.randn(16, 8, 12, 12))

# %%
# Verify
# ------
# In the reference order the block's first batch norm feeds a ReLU and its second a sum; in the
# other order the first feeds the next convolution and the second whatever comes after the block.
# Either way, what leaves a fresh one has mean 0 and variance 1.

assert orders[True][1:3] == ["batch norm", "ReLU"]
assert orders[True][4:] == ["batch norm", "+", "ReLU"]
assert orders[False][1:4] == ["ReLU", "batch norm", "3×3 conv"]
assert orders[False][4:] == ["+", "ReLU", "batch norm"]
assert len(outputs) == 4
for output in outputs:
    assert output.mean((0, 2, 3)).abs().max() < 1e-6
    assert (output.var((0, 2, 3), correction=0) - 1).abs().max() < 1e-3

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 5.6))
axes.set(xlim=(0, 10.4), ylim=(9.5, -0.95))
axes.axis("off")
line = {"ha": "center", "va": "center"}
for first, x in ((True, 2.1), (False, 7.3)):
    axes.text(x, -0.55, "reference" if first else "reverse", **line, fontsize=13, weight="bold")
    axes.text(x, 0.15, "$x$", **line, fontsize=12)
    for row, (name, before) in enumerate(
        zip([*orders[first], ""], ["", *orders[first]], strict=True)
    ):
        y = 1.3 + 1.15 * row
        normal = before == "batch norm"
        color, width = (figures.BLUE, 3) if normal else (figures.MUTED, 1.2)
        start = 0.45 if row == 0 else y - (0.91 if before == "+" else 0.8)
        axes.plot([x, x], [start, y - (0.24 if name == "+" else 0.36)], color=color, lw=width)
        if normal:
            axes.text(x + 0.22, y - 0.6, "variance 1", va="center", color=color, fontsize=12)
        if name == "+":
            axes.plot(
                [x + 0.2, x + 2.5, x + 2.5, x + 0.25],
                [y, y, 0.15, 0.15],
                color=figures.MUTED,
                lw=1.2,
            )
            axes.plot(x, y, "o", ms=15, mfc="none", mec=figures.MUTED)
        if name:
            bold = name == "batch norm"
            style = {
                "boxstyle": "round,pad=0.32",
                "fc": "none",
                "ec": figures.BLUE if bold else figures.MUTED,
            }
            axes.text(
                x,
                y,
                name,
                **line,
                color=figures.BLUE if bold else figures.INK,
                weight="bold" if bold else "normal",
                bbox=None if name == "+" else style,
            )
figures.headline(figure, "What leaves batch norm has variance 1")
figures.describe(
    figure,
    "One residual block in both orders, top-down, with its shortcut. Reference: convolution, "
    "batch norm, ReLU, convolution, batch norm, sum, ReLU. Reverse: convolution, ReLU, batch "
    "norm, convolution, sum, ReLU, batch norm. The line that leaves each batch norm is marked: "
    "variance 1.",
)
plt.show()

# %%
# What to see
# -----------
# Follow the bold lines. On the left the first one ends in a ReLU, but the second ends in a sum, and
# nothing fixes the variance of what leaves a sum. On the right the first ends in a convolution, the
# second in the next block, which is not drawn: in its convolution and its shortcut.
