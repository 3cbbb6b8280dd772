"""
Split parameters by the type of their module: names fail on three of four networks
==================================================================================

Weight decay should touch the weights only. One could recognise batch norm by "bn" or "downsample.1"
in a parameter's name, which is right for ResNet-18. Is it a rule?

The derivation is in :doc:`/solutions/1-resnet/e-parameter-groups`; this script is evidence for the
claims ``1e-split``, ``1e-heuristic`` and ``1e-counts``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.parameters import name_rule_errors, name_rule_examples, parameter_groups
from hw2lib.resnet import resnet18

plt.style.use("hw2lib.figures")
torch.manual_seed(0)

# %%
# Three groups, ready for an optimiser
# ------------------------------------

model = resnet18(num_classes=10)
optimizer = torch.optim.SGD(parameter_groups(model, weight_decay=5e-4), lr=0.1, momentum=0.9)
for group in optimizer.param_groups:
    size = sum(p.numel() for p in group["params"])
    tensors, decay = len(group["params"]), group["weight_decay"]
    print(f"{group['name']:10} {tensors:3} tensors {size:12,}  decay {decay}")

# %%
# One step on a loss that is constant: only weight decay acts, and only on the weights.

before = {name: p.detach().clone() for name, p in model.named_parameters()}
(0 * sum(p.sum() for p in model.parameters())).backward()
optimizer.step()
moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}

# %%
# The name rule on four networks
# ------------------------------

networks = name_rule_examples()
wrong = {title: name_rule_errors(network) for title, network in networks.items()}
for title, errors in wrong.items():
    for name, (by_name, by_type) in list(errors.items())[:2]:
        print(f"{title}: {name} is {by_type}, the name says {by_name}")

# %%
# Verify
# ------

weights = {id(p) for p in optimizer.param_groups[0]["params"]}
assert moved == {name for name, p in model.named_parameters() if id(p) in weights}
assert [len(errors) for errors in wrong.values()] == [0, 4, 2, 9]

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 3.1))
counts = [len(list(network.parameters())) for network in networks.values()]
mistakes = [len(errors) for errors in wrong.values()]
shares = [100 * m / c for m, c in zip(mistakes, counts, strict=True)]
axes.barh(list(networks), [100] * 4, 0.55, fc=figures.GRID, alpha=0.6)
axes.barh(list(networks), shares, 0.55, color=figures.ORANGE)
for y, (mistake, count) in enumerate(zip(mistakes, counts, strict=True)):
    color = figures.ORANGE if mistake else figures.GREEN
    text = f"{mistake} of {count} wrong" if mistake else f"all {count} right"
    axes.text(102, y, text, va="center", color=color, weight="bold")
axes.invert_yaxis()
axes.set(xlim=(0, 145), xticks=[0, 50, 100])
axes.tick_params(axis="y", length=0)
axes.grid(visible=False)
axes.spines["left"].set_visible(False)
axes.spines["bottom"].set_bounds(0, 100)
axes.set_xlabel("parameter tensors in the wrong group, %", x=0, ha="left")
figures.headline(figure, "Names are right for one network of four")
figures.describe(
    figure,
    "Bars: the share of parameter tensors that the name rule puts into the wrong group: "
    + "; ".join(
        f"{mistake} of {count} in {title}"
        for mistake, count, title in zip(mistakes, counts, networks, strict=True)
    )
    + ".",
)
plt.show()

# %%
# What to see
# -----------
# In a Sequential, batch norm is called "1". In "subnet" a linear layer contains the letters "bn".
# In ResNet-D ``downsample.1`` is the convolution, and its weights would escape the decay. Asking
# for the type of the module is right in all four.
