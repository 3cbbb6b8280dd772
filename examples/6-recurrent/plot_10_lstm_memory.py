"""
How much of the first cell an LSTM keeps depends on its forget bias
===================================================================

How much does the last cell state depend on the first? For an LSTM there is a direct path, the
product of the forget gates, and everything else, through the hidden state and the weights. How do
their sizes compare?

The derivation is in :doc:`/solutions/6-recurrent/d-lstm`; this script is evidence for the claims
``6d-others``, ``6d-better`` and ``6d-explode``.
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
# The whole is larger than the direct path, with each of these biases, and grows with the bias.
# "Nearer to 1" compares logarithms: an RNN with orthogonal weights is nearer to 1 than the LSTM
# without a bias, and that nearer than the default RNN.

whole, direct = (lstm[0.0][:, -1, part].median().item() for part in (0, 1))
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
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 4.4))
axes.axhline(1, color=figures.MUTED, lw=0.9)
lines = [(f"LSTM, bias {b:g}", lstm[b][:, :, 0], figures.BLUE, 1.4 + 0.6 * b) for b in biases]
lines += [(f"RNN, {name}", values, figures.ORANGE, 1.4) for name, values in rnn.items()]
for name, values, color, width in lines:
    middle = values.median(0).values
    axes.plot(lengths, middle, color=color, lw=width)
    axes.fill_between(lengths, values.amin(0), values.amax(0), color=color, alpha=0.13, lw=0)
    nudge = {"LSTM, bias 1": 3, "RNN, orthogonal": 0.25}.get(name, 1)
    axes.text(51.5, middle[-1] * nudge, name, color=color, va="center")
axes.set(
    yscale="log", xlabel="steps T", xlim=(5, 75), ylim=(1e-17, 1e3), ylabel="norm of the Jacobian"
)
axes.set_xticks([5, 20, 35, 50])
axes.set_yticks([1e-15, 1e-10, 1e-5, 1])
figures.headline(figure, "The larger the forget bias, the more is kept")
figures.describe(
    figure,
    "Size of the Jacobian over 5 to 50 steps, medians and ranges of eight seeds. An LSTM with "
    "forget bias 3 keeps it near 1 or above, with bias 1 it falls slowly, without bias fast; "
    "the default RNN falls fastest, an orthogonal one lies above the LSTM without bias.",
)

second, axes = plt.subplots(figsize=(5.2, 2.9))
for row, bias in enumerate(biases):
    parts = lstm[bias][:, -1].T
    middle = parts.median(1).values
    axes.plot(middle.flip(0), [row, row], color=figures.MUTED, lw=1)
    for part, color in ((1, figures.MUTED), (0, figures.BLUE)):
        axes.plot(
            [parts[part].amin(), parts[part].amax()], [row, row], color=color, lw=7, alpha=0.3
        )
        axes.plot(middle[part], row, "o", color=color, ms=8)
axes.text(lstm[0.0][:, -1, 1].median() * 2, -0.32, "direct path", color=figures.MUTED, ha="right")
axes.text(lstm[0.0][:, -1, 0].median(), -0.32, "the whole", color=figures.BLUE, ha="center")
axes.set(xscale="log", xlim=(1e-16, 1e2), ylim=(2.5, -0.75), xlabel="size over 50 steps")
axes.set_xticks([1e-15, 1e-10, 1e-5, 1])
axes.minorticks_off()
axes.set_yticks(range(3), [f"forget bias {bias:g}" for bias in biases])
figures.headline(second, "The whole is larger than the direct path")
figures.describe(
    second,
    "For forget biases 0, 1 and 3: the largest entry of the direct path over 50 steps, and the "
    "norm of the whole Jacobian, medians and ranges of eight seeds. The whole is larger each "
    "time.",
)
plt.show()

# %%
# What to see
# -----------
# First figure: the bias alone moves an LSTM from far below 1 to above it, and an RNN with
# orthogonal weights stays nearer to 1 than the LSTM that PyTorch gives by default. Second: the
# "other terms" are most of the gradient over 50 steps, with each of the three biases. With a bias
# of 3 the direct path alone falls below 1, while the whole Jacobian's norm lies above it.
