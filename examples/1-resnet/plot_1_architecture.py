"""
ResNet-18 is eight basic blocks, three of which change the size
===============================================================

What does the network look like? The drawing below is not made by hand: ``torch.fx`` traces the
network, and every addition in the traced graph is a residual block. Its longer branch holds two
convolutions; its shorter one is either the identity or a 1×1 convolution with batch norm.

The derivation is in :doc:`/solutions/1-resnet/c-architecture`; this script is evidence for the
claim ``1c-figure``.
"""

import matplotlib.pyplot as plt

from hw2lib.architecture import residual_blocks
from hw2lib.figures import describe, draw_residual_network, headline
from hw2lib.parameters import parameter_table
from hw2lib.resnet import resnet18

plt.style.use("hw2lib.figures")

# %%
# Trace the network
# -----------------
# A block is named after the module in which it lies; the shapes are those of a 224×224 image.

image = (3, 224, 224)
model = resnet18()
blocks = residual_blocks(model, image)
for block in blocks:
    print(
        f"{block.name}  {len(block.branch)} convolutions  shortcut: {block.shortcut or 'identity'}"
    )

# %%
# Verify
# ------
# Eight blocks of two convolutions; where the size changes, and only there, the shortcut has a
# convolution of its own.

assert [len(block.branch) for block in blocks] == [2] * 8
sizes = [(64, 56, 56)] + [block.output for block in blocks]
for before, block in zip(sizes, blocks, strict=False):
    assert bool(block.shortcut) == (block.output != before)
assert sum(bool(block.shortcut) for block in blocks) == 3
stages = [blocks[start : start + 2] for start in range(0, 8, 2)]
total = parameter_table(model).total
assert sum(block.parameters for block in stages[-1]) > 2 / 3 * total
assert all(first.parameters < second.parameters for first, second in stages[1:])

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 7.4))
draw_residual_network(axes, model, image)
headline(figure, "Three of the eight shortcuts need a convolution")
describe(
    figure,
    "ResNet-18 drawn top-down: a 7×7 stem and a max-pooling, eight blocks of two 3×3 convolutions "
    "with a shortcut each, an average and a linear layer; three shortcuts, where the image is "
    "halved, hold a 1×1 convolution. "
    "Output shape and parameters stand beside each block.",
)
plt.show()

# %%
# What to see
# -----------
# Down the network the image shrinks by two at each orange shortcut while the channels double. The
# last stage alone holds more than two thirds of the parameters. From the second stage on, the first
# block of a stage holds fewer than the second: its first convolution reads half as many channels.
