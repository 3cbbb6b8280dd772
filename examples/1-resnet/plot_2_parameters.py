"""
Parameters pile up late in ResNet-18, work does not
===================================================

How many parameters has each part of ResNet-18, and how much work is it? Both are counted from the
network, layer by layer, and set beside the printed solution's table, three of whose entries differ.

The derivation is in :doc:`/solutions/1-resnet/c-architecture`; this script is evidence for the
claims ``1c-stem`` to ``1c-total`` and ``1c-work``.
"""

import matplotlib.pyplot as plt
import numpy as np

from hw2lib import figures
from hw2lib.parameters import parameter_table
from hw2lib.resnet import resnet18

plt.style.use("hw2lib.figures")

# %%
# Count, layer by layer
# ---------------------
# A convolution and the batch norm after it are one layer. A multiply–accumulate (MAC) is one
# product added to a sum; only convolutions and the linear layer are counted.

layers = parameter_table(resnet18(), input_shape=(3, 224, 224)).by_layer()
layers

# %%
# The printed table beside the computed one
# -----------------------------------------

printed = {
    "conv1": 9408,
    "layer1": 147968,
    "layer2": 525568,
    "layer3": 2099712,
    "layer4": 8393688,
    "fc": 513000,
}
printed_total = 11698512
computed = {row.name: row.parameters for row in layers.by_block().rows}
print(f"{'':8}{'printed':>12}{'computed':>12}{'difference':>12}")
for name, count in computed.items():
    print(f"{name:8}{printed[name]:12,}{count:12,}{printed[name] - count or '':>12}")
total = sum(computed.values())
print(f"{'total':8}{printed_total:12,}{total:12,}{printed_total - total:12,}")
print(f"{'row sum':8}{sum(printed.values()):12,}{total:12,}{sum(printed.values()) - total:12,}")

# %%
# The printed total swaps two digits, and the last stage is short. The stem's column, "7x7", counts
# its convolution alone, while the columns of the stages include their batch norms. The printed row
# adds up to neither total.
#
# Verify
# ------

assert total == layers.total == 11_689_512
assert layers.macs == 1_814_073_344
last = ("layer4.0.conv1", "layer4.0.conv2", "layer4.1.conv1", "layer4.1.conv2")
different = {name for name in computed if computed[name] != printed[name]}
assert different == {"conv1", "layer4"}
assert printed["conv1"] == resnet18().conv1.weight.numel() == computed["conv1"] - 2 * 64
assert printed_total != total
assert sorted(str(printed_total)) == sorted(str(total))
assert sum(a != b for a, b in zip(str(printed_total), str(total), strict=True)) == 2
assert printed["layer4"] < computed["layer4"]
assert sum(printed.values()) not in (total, printed_total)
assert sum(row.parameters for row in layers.rows if row.name in last) > layers.total / 2
keeping = [
    row for row in layers.rows if "conv" in row.name[1:] and not row.name.endswith("0.conv1")
]
keeping += [row for row in layers.rows if row.name == "layer1.0.conv1"]
assert len({row.macs for row in keeping}) == 1
stages = layers.by_block().rows
assert stages[4].parameters > stages[1].parameters
assert stages[4].macs < stages[1].macs

# %%
# Drawing the figure
# ------------------

rows = layers.rows
y = np.arange(len(rows))
figure, sides = plt.subplots(1, 2, figsize=(5.2, 5.8), sharey=True)
shares = (
    (
        "parameters, %",
        figures.BLUE,
        100 * np.array([row.parameters for row in rows]) / layers.total,
    ),
    (
        "multiplications, %",
        figures.ORANGE,
        100 * np.array([row.macs for row in rows]) / layers.macs,
    ),
)
for axes, (title, color, share) in zip(sides, shares, strict=True):
    axes.barh(y, share, 0.72, color=color)
    for edge in np.flatnonzero(
        np.diff([int(row.name[5]) if "." in row.name else 0 for row in rows])
    ):
        axes.axhline(edge + 0.5, color=figures.GRID, lw=1)
    axes.set(xlim=(0, 22), xticks=[0, 10, 20], ylim=(len(rows) - 0.4, -0.6))
    axes.set_title(title, color=color, fontsize=12)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
names = [row.name.replace("layer", "").replace(".0.downsample.0", ".0 shortcut") for row in rows]
sides[0].set_yticks(y, ["stem" if name == "conv1" else name for name in names])
figures.headline(figure, "Parameters pile up late, work does not")
figures.describe(
    figure,
    "Bars for each of the 21 layers: left its share of the parameters, right its share of the "
    "multiplications. Four layers of the last stage hold most parameters; the work is spread "
    "over all 3×3 layers.",
)
plt.show()

# %%
# What to see
# -----------
# Where a stage halves the image, it doubles the channels: a 3×3 convolution then has four times the
# weights and a quarter of the positions, so the same number of multiplications. The parameters pile
# up at the end, while every 3×3 convolution that keeps its input's size costs the same.
