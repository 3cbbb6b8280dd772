"""
The gradient explodes, although the loss sees nothing grow
==========================================================

With W = (2, 1; 0, ½) and z₀ = (0, 1) the first entry of the state grows, the second is halved in
every step. The loss looks at the second entry only, z̄ = (0, 1). So what it sees vanishes. Does the
gradient?

The derivation is in :doc:`/solutions/6-recurrent/e-rate`; this script is evidence for the claims
``6e-closed`` and ``6e-rate``.
"""

import matplotlib.pyplot as plt
import torch

from hw2lib import figures
from hw2lib.recurrent import linear_rnn_gradient

plt.style.use("hw2lib.figures")
torch.set_default_dtype(torch.float64)

# %%
# One start, two modes
# --------------------
# Three times the start is the sum of two eigenvectors, (2, 0) to the eigenvalue 2 and (−2, 3) to
# ½. The gradient is linear in z₀, so each of them has its own share of it: the pair of this mode of
# the state with the adjoint's only mode, whose eigenvalue is ½.

W = torch.tensor([[2.0, 1.0], [0.0, 0.5]])
start, zbar = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0])
parts = {2.0: torch.tensor([2.0, 0.0]), 0.5: torch.tensor([-2.0, 3.0])}
times = list(range(1, 21))
gradients = [linear_rnn_gradient(W, start, zbar, t) for t in times]
pairs = {
    value: [linear_rnn_gradient(W, z, zbar, t) / 3 for t in times] for value, z in parts.items()
}
seen = [(zbar @ torch.linalg.matrix_power(W, t) @ start).item() for t in times]

# %%
# Verify
# ------
# The two pairs add up to the gradient, and each is its geometric sum, of ½ with 2 and of ½ with ½.

sums = {
    2.0: [2 / 3 * (2.0**t - 0.5**t) for t in times],
    0.5: [t * 0.5 ** (t - 1) for t in times],
}
for gradient, *both in zip(gradients, *pairs.values(), strict=True):
    assert torch.allclose(gradient, sum(both), rtol=1e-12, atol=0)
for value, z in parts.items():
    for pair, total in zip(pairs[value], sums[value], strict=True):
        assert torch.allclose(3 * pair, total * torch.outer(zbar, z), rtol=1e-12, atol=0)
assert seen == [0.5**t for t in times]
assert 4e5 < gradients[-1].norm() < 6e5
for t in (3, 20):
    print(f"t = {t}: seen {seen[t - 1]:.1e}, gradient {gradients[t - 1].norm():.1e}")

# %%
# Drawing the figure
# ------------------

figure, axes = plt.subplots(figsize=(5.2, 3.6))
axes.axhline(1, color=figures.MUTED, lw=0.9)
axes.semilogy(times, [pair.norm() for pair in pairs[2.0]], color=figures.BLUE, lw=3)
axes.semilogy(times, [pair.norm() for pair in pairs[0.5]], color=figures.MUTED, lw=1.4)
axes.semilogy(times, seen, color=figures.ORANGE, ls="--", lw=1.5)
axes.text(10, 9e3, "adjoint on ½, state on 2", color=figures.BLUE, ha="right")
axes.text(19.8, 4e-2, "adjoint on ½, state on ½", color=figures.MUTED, ha="right")
seen_label = "what the loss sees:\nthe state’s second entry"
axes.text(1.4, 1e-5, seen_label, color=figures.ORANGE)
axes.set(xlabel="steps t", ylabel="size", xlim=(1, 20.3), ylim=(3e-7, 1e7))
axes.set_xticks([1, 5, 10, 15, 20])
axes.set_yticks([1e-6, 1e-3, 1, 1e3, 1e6])
figures.headline(figure, "Of the gradient’s two pairs of modes one grows")
figures.describe(
    figure,
    "Sizes against the number of steps, logarithmic. The pair of the adjoint’s mode ½ with the "
    "state’s mode 2 grows, soon twofold in every step, to half a million after 20. The pair of ½ "
    "with ½ vanishes, and so does what the loss sees of the state.",
)
plt.show()

# %%
# What to see
# -----------
# What grows is the derivative with respect to the weight from unit 1 to unit 2. The weight is 0, so
# the loss does not see unit 1; but a small change of it would show unit 1, which grows like the
# derivative.
