"""
Eval mode: another variance in batch norm, another mean behind the ReLU of a linear unit
========================================================================================

What do ``model.train()`` and ``model.eval()`` change? Batch norm goes from the statistics of the
batch to running ones, dropout from random to deterministic.

The derivation is in :doc:`/solutions/1-resnet/b-train-eval`; this script is evidence for the claims
``1b-running`` and ``1b-dropout``.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from hw2lib import figures
from hw2lib.dropout import dropout_outputs
from hw2lib.normalization import running_statistics

plt.style.use("hw2lib.figures")
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

# %%
# Batch norm: an exponential average of the *unbiased* variance
# -------------------------------------------------------------
# Batches of only four numbers with true variance 1, so that the bias (a factor 3/4) shows.

batches = [torch.randn(4, 256) for _ in range(60)]
batchnorm = nn.BatchNorm1d(256)
running = []
for batch in batches:
    batchnorm(batch)
    running.append(batchnorm.running_var.mean().item())
biased = torch.stack([batch.var(0, correction=0).mean() for batch in batches])

# %%
# Dropout: the mean over all masks against the output in eval mode
# ----------------------------------------------------------------
# Ten units, so all 1024 masks can be averaged exactly. After the dropout comes a linear unit with
# input 0 in eval mode, alone or with a ReLU.

x, weight = torch.rand(10) + 0.5, torch.randn(10)
weight = weight - (weight @ x) / (x @ x) * x
rates = torch.linspace(0, 0.9, 19).tolist()


def mean_minus_eval(function, rate, convention):
    outputs = dropout_outputs(function, x, rate, convention)
    return (outputs.training_mean - outputs.evaluation).item()


gaps = {
    (name, convention): [mean_minus_eval(function, rate, convention) for rate in rates]
    for name, function in (
        ("linear", lambda z: z @ weight),
        ("ReLU", lambda z: torch.relu(z @ weight)),
    )
    for convention in ("original", "inverted")
}

# %%
# Verify
# ------

final = running_statistics(batches)
assert (final.variance - batchnorm.running_var).abs().max() < 1e-12
print(f"running variance {running[-1]:.3f}, mean variance of the batches {biased.mean():.3f}")
print(f"training mean minus eval after the ReLU, p = 0.9: {gaps['ReLU', 'inverted'][-1]:.3f}")
assert abs(running[-1] - 1) < 0.05
assert abs(biased.mean() / running[-1] - 0.75) < 0.03
for convention in ("original", "inverted"):
    assert max(map(abs, gaps["linear", convention])) < 1e-12
    assert min(gaps["ReLU", convention][1:]) > 0.1

# %%
# Batch norm: two variances
# -------------------------

figure, axes = plt.subplots(figsize=(5.2, 3.5))
axes.axhline(1, color=figures.GRID, lw=1)
axes.axhline(0.75, color=figures.GRID, lw=1)
axes.plot(range(1, 61), biased, "o", ms=3, color=figures.ORANGE)
axes.plot(range(1, 61), running, color=figures.BLUE, lw=3)
axes.text(60, 1.06, "eval: running variance", color=figures.BLUE, ha="right", weight="bold")
axes.text(60, 0.60, "training: variance of each batch", color=figures.ORANGE, ha="right")
axes.set(ylim=(0.5, 1.2), yticks=[0.5, 0.75, 1], yticklabels=["½", "¾", "1"])
axes.set(xlabel="training batch (4 values a channel)", ylabel="variance")
axes.grid(visible=False)
figures.headline(figure, "The two modes use different variances")
figures.describe(
    figure,
    "Over 60 batches of four numbers of variance 1 the running variance, which eval mode uses, "
    "stays near 1, while the batches' own biased variances, which training mode uses, scatter "
    "around three quarters.",
)
plt.show()

# %%
# Dropout: what the masks average to
# ----------------------------------

figure, axes = plt.subplots(figsize=(5.2, 3.5))
axes.plot(rates, gaps["linear", "inverted"], color=figures.GREEN, lw=3)
axes.plot(rates, gaps["ReLU", "inverted"], color=figures.PURPLE, lw=3)
axes.plot(rates, gaps["ReLU", "original"], color=figures.PURPLE, lw=1.2)
axes.text(0.9, -0.07, "a linear unit", color=figures.GREEN, ha="right", va="top", weight="bold")
end, small = gaps["ReLU", "inverted"][13], gaps["ReLU", "original"][10]
axes.text(
    rates[13] - 0.02, end + 0.1, "after a ReLU", color=figures.PURPLE, ha="right", weight="bold"
)
axes.text(
    rates[10],
    small - 0.1,
    "after a ReLU, original convention",
    color=figures.PURPLE,
    ha="center",
    va="top",
)
axes.set(ylim=(-0.35, None), yticks=[0, 1, 2])
axes.set(xlabel="dropout probability p", ylabel="training mean − eval")
axes.grid(visible=False)
figures.headline(figure, "Equal on average before the ReLU, not after it")
figures.describe(
    figure,
    "The training mean minus the eval output of a linear unit after dropout is zero for every p "
    "below 1; of its ReLU it is positive for every p above 0, under both conventions.",
)
plt.show()

# %%
# What to see
# -----------
# First figure: the two modes use variances that differ by a factor n/(n − 1) on average; with
# batches of four it is 4/3, with large batches nobody notices. Second: both conventions of dropout
# agree with eval mode exactly, at every p below 1, if what follows is linear. A ReLU of the linear
# unit makes the training mean larger (Jensen's inequality), whichever convention is used.
