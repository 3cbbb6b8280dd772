"""
Dropout's two modes agree in expectation before a linear unit, not after its ReLU
=================================================================================

What do ``model.train()`` and ``model.eval()`` change? Batch norm goes from the statistics of the batch
to running ones, dropout from random to deterministic. The derivation is in
:doc:`/solutions/1-resnet/b-train-eval`; this script is evidence for the claims ``1b-running`` and
``1b-dropout``.
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
# The figure
# ----------

figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.2, 6.4))
top.plot(range(1, 61), running, color=figures.BLUE, label="running variance (eval)")
top.plot(range(1, 61), biased, ".", color=figures.ORANGE, label="of the batch (training)")
top.axhline(1, color=figures.MUTED, lw=1)
top.axhline(0.75, color=figures.MUTED, lw=1, ls="--")
top.set(ylim=(0.55, 1.5), xlabel="batch (4 values each)", ylabel="variance")
top.set_title("Training divides by 3/4 of eval's variance")
top.legend(ncols=1, loc="upper right")
bottom.plot(
    rates, gaps["linear", "inverted"], color=figures.GREEN, label="linear, both conventions"
)
for convention, style in (("inverted", "-"), ("original", "--")):
    values = gaps["ReLU", convention]
    bottom.plot(rates, values, color=figures.PURPLE, ls=style, label=f"ReLU, {convention}")
bottom.set(xlabel="dropout probability p", ylabel="training mean − eval")
bottom.set_title("A ReLU of a mix of units breaks it")
bottom.legend(loc="upper left")
figures.describe(
    figure,
    "Top: over 60 batches of four numbers the running variance settles at 1 while the batches' own biased "
    "variance scatters around 0.75. Bottom: the training mean minus the eval output of a linear unit after "
    "dropout is zero for every p; with a ReLU for p > 0 it is positive under both conventions.",
)
plt.show()

# %%
# What to see
# -----------
# Top: the two modes divide by different variances, by a factor n/(n − 1) on average; with batches of four
# it is 4/3, with large batches nobody notices. Bottom: both conventions of dropout agree with eval mode
# exactly, and at every p, if what follows is linear. A ReLU of the linear unit makes the training
# mean larger (Jensen's inequality), whichever convention is used.
