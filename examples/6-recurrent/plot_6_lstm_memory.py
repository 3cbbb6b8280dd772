"""
How much of the first cell an LSTM keeps depends on its forget bias
===================================================================

How much does the last cell state depend on the first? For an LSTM there is a direct path, the product of the forget gates, and everything else, through the hidden state and the weights.
How do their sizes compare?

The derivation is in :doc:`/solutions/6-recurrent/d-lstm`; this script is evidence for the claims ``6d-others``, ``6d-better`` and ``6d-explode``.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from hw2lib import figures
from hw2lib.recurrent import lstm_jacobian, rnn_jacobian

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# Jacobians over 5 to 50 steps
# ----------------------------
# PyTorch's default initialisation, 24 units, random inputs, eight seeds.

size, lengths, seeds = 24, (5, 10, 20, 35, 50), range(8)
zero = torch.zeros(size)


def spectral_norm(J):
    return torch.linalg.matrix_norm(J, 2).item()


def lstm_sizes(seed, bias):
    """Return the whole Jacobian's norm and the largest forget product, for each length."""
    torch.manual_seed(seed)
    lstm, inputs = nn.LSTM(8, size), torch.randn(max(lengths), 8)
    with torch.no_grad():
        lstm.bias_ih_l0[size : 2 * size] += bias
    runs = [lstm_jacobian(lstm, inputs[:T], zero, zero) for T in lengths]
    return [[spectral_norm(r.jacobian[size:, size:]), r.forget_product.max().item()] for r in runs]


def rnn_sizes(seed, orthogonal):
    torch.manual_seed(seed)
    rnn, inputs = nn.RNN(8, size), torch.randn(max(lengths), 8)
    if orthogonal:
        nn.init.orthogonal_(rnn.weight_hh_l0)
    return [spectral_norm(rnn_jacobian(rnn, inputs[:T], zero).jacobian) for T in lengths]


biases = (0.0, 1.0, 3.0)
lstm = {bias: torch.tensor([lstm_sizes(seed, bias) for seed in seeds]) for bias in biases}
rnn = {
    name: torch.tensor([rnn_sizes(seed, name == "orthogonal") for seed in seeds])
    for name in ("default", "orthogonal")
}

# %%
# Verify
# ------
# The whole is larger than the direct path, with each of these biases, and grows with the bias. "Nearer to 1" compares
# logarithms: an RNN with orthogonal weights is nearer to 1 than the LSTM without a bias, and that nearer than the default RNN.

whole, direct = (lstm[0.0][:, -1, part].median().item() for part in (0, 1))
print(f"default LSTM over 50 steps: whole {whole:.0e}, direct path {direct:.0e}")
assert whole > 20 * direct
for bias in biases:
    whole, direct = lstm[bias][:, -1].median(0).values.tolist()
    print(f"forget bias {bias:g}: whole {whole:.1e}, direct path {direct:.1e}")
    assert whole > 2 * direct
last = [lstm[bias][:, -1, 0].median().item() for bias in biases]
assert last[0] < last[1] < 1 < last[2] < 10
default, orthogonal = (rnn[name][:, -1].median().item() for name in ("default", "orthogonal"))
print(f"RNN, default weights: {default:.1e}, orthogonal weights: {orthogonal:.1e}")
assert default < last[0] < orthogonal < 1

# %%
# The figure
# ----------

figure, axes = plt.subplots(figsize=(5.2, 6.0))
for bias, color in zip(biases, (figures.BLUE, figures.GREEN, figures.PURPLE), strict=True):
    values = lstm[bias]
    axes.plot(
        lengths,
        values[:, :, 0].median(0).values,
        "o-",
        color=color,
        ms=4,
        label=f"LSTM, forget bias {bias:g}",
    )
    axes.fill_between(
        lengths, values[:, :, 0].amin(0), values[:, :, 0].amax(0), color=color, alpha=0.2, lw=0
    )
    axes.plot(lengths, values[:, :, 1].median(0).values, ":", color=color, lw=1.8)
for (name, values), style in zip(rnn.items(), ("-", "--"), strict=True):
    axes.plot(
        lengths, values.median(0).values, style, color=figures.ORANGE, label=f"RNN, {name} weights"
    )
    axes.fill_between(
        lengths, values.amin(0), values.amax(0), color=figures.ORANGE, alpha=0.15, lw=0
    )
axes.plot([], [], ":", color=figures.MUTED, label="direct path alone")
axes.set_yscale("log")
axes.set(xlabel="steps T", ylabel="size of the Jacobian through time", ylim=(1e-16, 1e4))
axes.set_title("A forget bias keeps more; the rest is not small")
axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, fontsize=9.5)
figures.describe(
    figure,
    "Size of the Jacobian over 5 to 50 steps, medians and ranges of eight seeds. An LSTM with forget bias 3 keeps it near 1 or above, with bias 1 it falls slowly, without bias fast; the default RNN falls fastest, an orthogonal "
    "one lies above the LSTM without bias. Dotted: the direct path alone, far below the whole for bias 0.",
)
plt.show()

# %%
# What to see
# -----------
# Solid against dotted, colour by colour: the "other terms" are most of the gradient, with each of the three biases. With a
# bias of 3 the direct path alone falls below 1, while the whole Jacobian's norm lies above it. And an RNN with orthogonal
# weights (dashed) stays nearer to 1 than the LSTM that PyTorch gives by default.
