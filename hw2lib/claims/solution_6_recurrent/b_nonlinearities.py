"""Claims of Solution 6(b): what a nonlinearity does to gradients through time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from functools import cache
from itertools import count, pairwise, product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_6_recurrent.shared import (
    SIGMA,
    STEEPEST,
    STEPS,
    WARM_UP,
    exponents,
    jacobian,
    norm,
    orbit,
    power,
)
from hw2lib.claims.tools import jacobian as jacobian_by_autograd
from hw2lib.claims.tools import (
    largest,
    medians,
    normal,
    relative,
    shortfall,
    size,
    spread,
    tensor,
    whole,
)
from hw2lib.recurrent import lyapunov_exponent, rnn_jacobian

SIZES, SEEDS = (16, 32, 64), 8


class Network(NamedTuple):
    """A network hₜ = σ(W hₜ₋₁ + uₜ): its nonlinearity's name, weights, inputs (T, p), start."""

    name: str
    W: Tensor
    inputs: Tensor
    start: Tensor


def networks(rng: np.random.Generator) -> Iterator[tuple[str, Network]]:
    """Yield networks of every nonlinearity: one unit, no weights, nilpotent, saturated, random."""
    for index in count():
        name = list(SIGMA)[index % 4]
        special = index // 4
        p, T = size(rng, 1, 6), size(rng, 1, 12)
        W, inputs = normal(rng, p, p), normal(rng, T, p)
        description = f"{name}, {p} random units, {T} steps"
        if special == 0:
            W, inputs, description = W[:1, :1], inputs[:, :1], f"{name}, one unit, {T} steps"
        elif special == 1:
            W, description = torch.zeros_like(W), f"{name}, weights 0"
        elif special == 2:
            W, description = (W + 1).triu(1), f"{name}, nilpotent weights, {p} units, {T} steps"
        elif special == 3:
            inputs, description = 3 * inputs, f"{name}, inputs that saturate it"
        elif special == 4:
            W = 4 * torch.linalg.qr(W).Q
            inputs, description = 0 * inputs, f"{name}, four times orthogonal, no inputs"
        yield description, Network(name, W, inputs, normal(rng, len(W)))


# ---- the bound, and what it does not say


@claim(
    "6b-necessary",
    kind="universal",
    verdict="theorem",
    statement=r"**When the Jacobian must vanish.** $\|\partial h_T/\partial h_0\|\le\bigl(\sup|\sigma'|\,\|W\|\bigr)^T$ for all inputs, with $\sup|\sigma'|=1$ for identity, tanh and ReLU, ¼ for the sigmoid. So "
    r"$\sup|\sigma'|\,\|W\|>1$ is necessary for it to explode. It is not sufficient: with weights that only point forward (a triangle with zeros on the diagonal, of any size) it is "
    r"exactly 0 after $p$ steps. Nor is $\rho(W)<1$ enough for it to vanish: with tanh, $W=\bigl[\begin{smallmatrix}1.1&1\\-1.3&-1.1\end{smallmatrix}\bigr]$ of $\rho=0.3$ and "
    r"inputs that hold the state at $(0,-0.999)$, the Jacobian of every step is the same matrix, of spectral radius {value}`radius:.2f`.",
    family=networks,
    tolerance=1e-12,
)
def slopes_and_norm_bound_the_jacobian(case: Network) -> Trial:
    name, W, inputs, start = case
    T = len(inputs)
    found = norm(jacobian(W, orbit(name, W, inputs, start).slopes))
    at_rest = norm(jacobian(W, orbit(name, W, *rest(name, W, T)).slopes))

    def excess(steepest: float, size_of_W: float) -> float:
        bound = (steepest * size_of_W) ** T
        return max(0.0, found - bound, at_rest - bound) / ((STEEPEST[name] * norm(W)) ** T or 1.0)

    forward = 100 * torch.ones_like(W).triu(1)
    inputs_of_p_steps = inputs[:1].expand(len(W), -1)
    dead = norm(jacobian(forward, orbit(name, forward, inputs_of_p_steps, start).slopes))
    radius = torch.linalg.eigvals(W).abs().max().item()
    wrong = {}
    if norm(W):
        wrong["with slopes of at most half of that"] = excess(STEEPEST[name] / 2, norm(W))
    if norm(W) > 1.1 * radius and T < 4:
        wrong["with ρ(W) for ‖W‖, over few steps"] = excess(STEEPEST[name], radius)
    if len(W) > 1:
        wrong["above 1 they explode"] = shortfall(dead, 1.0)
    radius, leaves_the_rest = radius_with_one_unit_saturated()
    wrong["they vanish wherever ρ(W) < 1"] = max(0.0, radius - 1)
    values = {"radius": radius}
    return Trial(max(excess(STEEPEST[name], norm(W)), dead, leaves_the_rest), wrong, values)


@cache
def radius_with_one_unit_saturated() -> tuple[float, float]:
    """Return the spectral radius of the step of a tanh network at rest, and how far it moves."""
    W, state = tensor([[1.1, 1.0], [-1.3, -1.1]]), tensor([0.0, -0.999])
    states, slopes = orbit("tanh", W, (state.atanh() - W @ state)[None], state)
    return torch.linalg.eigvals(jacobian(W, slopes)).abs().max().item(), largest(states[1] - state)


def rest(name: str, W: Tensor, T: int) -> tuple[Tensor, Tensor]:
    """Return inputs and a start at which the network rests where its slope is largest."""
    point = torch.full((len(W),), {"sigmoid": 0.5, "relu": 1.0}.get(name, 0.0), dtype=W.dtype)
    before = {"relu": 1.0}.get(name, 0.0)
    return (before - W @ point).expand(T, -1), point


class Resting(NamedTuple):
    """A nonlinearity, a signed permutation, a rate and a number of steps."""

    name: str
    Q: Tensor
    rate: float
    steps: int


def resting_networks(rng: np.random.Generator) -> Iterator[tuple[str, Resting]]:
    """Yield networks at rest at their largest slope, with signed permutations as weights."""
    for index in count():
        name, rate = list(SIGMA)[index % 4], (2.0, 0.5, 8.0, 0.25)[index // 4 % 4]
        p, steps = size(rng, 1, 6), size(rng, 1, 8)
        Q = torch.eye(p, dtype=torch.float64)[rng.permutation(p)] * tensor(rng.choice([-1, 1], p))
        yield f"{name}, {p} units, rate {rate:g}, {steps} steps", Resting(name, Q, rate, steps)


@claim(
    "6b-all",
    kind="existence",
    verdict="holds",
    printed=r"Overall, all nonlinearities can cause problems with exploding/vanishing gradients in RNNs.",
    statement=r"For identity, tanh, sigmoid and ReLU alike, and for every rate $r>0$, there are weights, inputs and a start with $\|\partial h_T/\partial h_0\|=r^T$: "
    r"a state of rest at the largest slope, and a multiple of an orthogonal matrix for $W$.",
    family=resting_networks,
    exact=True,
)
def every_nonlinearity_explodes_and_vanishes(case: Resting) -> Trial:
    name, Q, rate, steps = case
    W = Q * rate / STEEPEST[name]
    inputs, start = rest(name, W, steps)
    J = by_autograd_through(name, W, inputs, start)

    def error(claimed: float) -> float:
        return largest(J.T @ J - claimed ** (2 * steps) * torch.eye(len(Q), dtype=J.dtype))

    wrong = {"the slope does not matter": error(rate / STEEPEST[name])} if name == "sigmoid" else {}
    wrong["it only vanishes" if rate > 1 else "it only explodes"] = error(1 / rate)
    return Trial(error(rate), wrong)


def by_autograd_through(name: str, W: Tensor, inputs: Tensor, start: Tensor) -> Tensor:
    """Return the Jacobian of the last state by automatic differentiation."""

    def last(h: Tensor) -> Tensor:
        for u in inputs:
            h = SIGMA[name](h @ W.T + u)  # one start a row
        return h

    return jacobian_by_autograd(last, start)


def gaussian(rng: np.random.Generator, p: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a batch of Gaussian weights of spectral radius about 1, starts, and inputs."""
    W = normal(rng, SEEDS, p, p) / p**0.5
    return W, normal(rng, SEEDS, p), normal(rng, WARM_UP + STEPS, SEEDS, p)


class Flat(NamedTuple):
    """Inputs of one sign, all at least a in magnitude."""

    a: float
    x: Tensor
    y: Tensor


def flat_inputs(rng: np.random.Generator) -> Iterator[tuple[str, Flat]]:
    """Yield inputs of squashing functions on one side of 0: at a and beyond, near and far."""
    for index in count():
        a = (0.0, 0.5, 1.0, 2.0, 5.0)[index % 5] if index < 10 else float(rng.uniform(0, 6))
        sign = float(rng.choice([-1, 1]))
        spread_out = 10 ** rng.uniform(-3, 1, (2, 20))
        spread_out[0, 0] = 0.0  # a itself, where the bound is sharp
        x, y = sign * (a + tensor(spread_out))
        yield f"from {sign * a:.2g} on", Flat(a, x, y)


@claim(
    "6b-flat",
    kind="universal",
    verdict="conditional",
    printed=r"…saturating nonlinearities like tanh and sigmoid is problematic because the activations do not change much even if the inputs to the nonlinearity change a lot; "
    r"this is particularly problematic for long sequence lengths…",
    statement=r"In their flat parts: while an input stays on one side of 0, at least $a$ away from it, tanh changes by at most $1-\tanh^2a$ times what the input does, and the sigmoid by at most $\operatorname{sig}(a)\operatorname{sig}(-a)$ times that. "
    r"In between tanh passes changes on: from $-1$ to $1$ it changes by {value}`middle:.0%` of what its input does. And the longer the sequence, the less is left where each step keeps at most a share $q<1$: at most $q^T$ (claim 6b-necessary).",
    corrected="in their flat parts, on one side of 0",
    family=flat_inputs,
    tolerance=1e-12,
)
def squashing_functions_are_flat_far_from_zero(case: Flat) -> Trial:
    a, x, y = case
    moved, level = (x - y).abs(), tensor(a)

    def excess(change: Tensor, slope: Tensor) -> float:
        return largest((change - slope * moved).clamp(min=0) / moved.clamp(min=1e-300))

    tanh, sigmoid = (x.tanh() - y.tanh()).abs(), (x.sigmoid() - y.sigmoid()).abs()
    slopes = 1 - level.tanh().square(), level.sigmoid() * (-level).sigmoid()
    middle = (math.tanh(1) - math.tanh(-1)) / 2
    return Trial(
        max(excess(tanh, slopes[0]), excess(sigmoid, slopes[1])),
        {
            "half of that slope": excess(tanh, slopes[0] / 2),
            "of the sigmoid, its value times that of tanh": excess(sigmoid, slopes[0] * slopes[1]),
        },
        {"middle": middle},
    )


@counterexample("6b-flat", "on one side of 0: from −1 to 1")
def tanh_between_its_flat_parts() -> float:
    return max(0.0, (math.tanh(1) - math.tanh(-1)) / 2 - (1 - math.tanh(1) ** 2))


@claim(
    "6b-saturate",
    kind="measured",
    verdict="holds",
    printed=r"…saturating nonlinearities like tanh and sigmoid … often result in vanishing gradients.",
    statement=r"Often, yes: with recurrent weights of PyTorch's default size, uniform between $\pm1/\sqrt p$, and independent standard normal numbers added to every unit, gradients shrink in every tanh and sigmoid network tried: they are multiplied by {value}`tanh:.2f` (tanh) and {value}`sigmoid:.2f` (sigmoid) a step, in "
    r"the median. Not always: the slopes are at most 1 and ¼, and larger weights make up for it. Gaussian tanh networks of 96 to 128 units without inputs, at three times "
    r"the critical size, are chaotic, and their gradients grow by a factor of {value}`chaotic:.2f` a step, in the median.",
)
def saturating_networks_shrink_by_default_and_explode_at_large_weights(seed: int) -> Trial:
    rng = np.random.default_rng(seed)
    tanh, sigmoid, chaotic = [], [], []
    for p in SIZES:
        uniform = tensor(rng.uniform(-1, 1, (SEEDS, p, p))) / p**0.5
        _, start, inputs = gaussian(rng, p)
        tanh += exponents("tanh", uniform, start, inputs).tolist()
        sigmoid += exponents("sigmoid", uniform, start, inputs).tolist()
    for p in (96, 112, 128):
        W, start, _ = gaussian(rng, p)
        chaotic += exponents("tanh", 3 * W, start).tolist()
    alone = lyapunov_exponent(3 * W[0], "tanh", start[0], STEPS, WARM_UP)
    agreement = abs(alone - chaotic[-SEEDS])
    growth = max(*tanh, *sigmoid)
    return Trial(
        max(
            shortfall(-growth, 0.2),
            shortfall(min(chaotic), 0.05),
            shortfall(statistics.median(chaotic), math.log(1.2)),
            shortfall(max(tanh) - max(sigmoid), 0.5),
            max(0.0, agreement - 0.15),
        ),
        {"tanh always makes them vanish": shortfall(-max(chaotic), 0.2)},
        {
            **spread("tanh", [*map(math.exp, tanh)]),
            **spread("sigmoid", [*map(math.exp, sigmoid)]),
            # no extremes: chaotic orbits depend on how sums are rounded
            "chaotic": math.exp(statistics.median(chaotic)),
        },
        cases=len(tanh) + len(sigmoid) + len(chaotic),
    )


@counterexample("6b-saturate", "weights of the default size")
def tanh_with_larger_weights() -> float:
    rng = np.random.default_rng(0)
    uniform = tensor(rng.uniform(-1, 1, (SEEDS, 32, 32))) / 32**0.5
    _, start, inputs = gaussian(rng, 32)
    return shortfall(-exponents("tanh", 7 * uniform, start, inputs).max().item(), 0.2)


# ---- ReLU


class Masked(NamedTuple):
    """Weights of whole numbers, and which units are on at each step, (T, p)."""

    W: Tensor
    masks: Tensor


def masked_networks(rng: np.random.Generator) -> Iterator[tuple[str, Masked]]:
    """Yield ReLU networks with sparse weights and random units off."""
    yield "1×1, on", Masked(tensor([[3.0]]), tensor([[1.0], [1.0]]))
    yield "1×1, off once", Masked(tensor([[3.0]]), tensor([[1.0], [0.0], [1.0]]))
    yield "all units off at one step", Masked(whole(rng, 3, 3), tensor([[1] * 3, [0] * 3, [1] * 3]))
    yield (
        "one unit on, without a weight to itself",
        Masked(tensor([[0.0, 2.0], [1.0, 1.0]]), tensor([[1.0, 0.0]] * 3)),
    )
    while True:
        p, T = size(rng, 2, 5), size(rng, 2, 6)
        W = whole(rng, p, p) * tensor(rng.random((p, p)) < 0.6)
        masks = tensor(rng.random((T, p)) < 0.5)
        yield f"{p} units, {T} steps, about half of them off", Masked(W, masks)


@claim(
    "6b-relu-off",
    kind="universal",
    verdict="holds",
    printed=r"ReLU can result in vanishing or exploding gradients, the former happens if the inputs to ReLU are negative.",
    statement=r"Exactly so: if those of *all* units are negative at one step, the gradient through it is 0; more generally, it is 0 between two units if every path of non-zero weights from one to the other meets a unit that is off. "
    r"That the inputs of some units are negative is not enough: one unit $i$ that stays on while all others are off carries $w_{ii}^{T-1}$ times the $i$-th row of $W$, which explodes if $|w_{ii}|>1$.",
    family=masked_networks,
    exact=True,
)
def gradient_is_zero_where_every_path_is_cut(case: Masked) -> Trial:
    W, masks = case
    T, p = masks.shape
    inputs = (2 * masks - 1).requires_grad_()  # 1 or −1
    (slopes,) = torch.autograd.grad(inputs.relu().sum(), inputs)
    J = jacobian(W, slopes)
    cut = torch.eye(p, dtype=W.dtype)
    for mask in masks:
        cut = ((mask[:, None] * ((W != 0).to(W) @ cut)) > 0).to(W)
    off_once = torch.cat([slopes, torch.zeros(1, p, dtype=W.dtype), slopes])
    alone = torch.zeros_like(masks)
    alone[:, 0] = 1.0
    carried = torch.zeros_like(W)
    carried[0] = W[0, 0] ** (T - 1) * W[0]
    through_one = jacobian(W, alone)
    wrong = {}
    if W[0, 0]:
        wrong["one unit off is enough"] = largest(through_one)
    if W[0, 0].abs() > 1:
        wrong["it carries the row of W unchanged"] = largest(
            through_one - carried / W[0, 0] ** (T - 1)
        )
        wrong["it carries wᵢᵢᵀ times the row"] = largest(through_one - W[0, 0] * carried)
    return Trial(
        max(
            largest(J[cut == 0]),
            largest(jacobian(W, off_once)),
            largest(through_one - carried),
        ),
        wrong,
    )


@counterexample("6b-relu-off", "all units")
def one_unit_of_two_is_off() -> float:
    return largest(jacobian(tensor([[2.0, 1.0], [1.0, 1.0]]), tensor([[1.0, 0.0]] * 5)))


def symmetric_samples(rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    """Yield whole numbers that occur as often as their negatives."""
    yield "one pair", tensor([1.0, -1.0])
    yield "with zeros", tensor([3.0, -3.0, 0.0, 0.0])
    yield "one outlier among ones", tensor([1000.0, -1000.0, *[1.0, -1.0] * 20])
    while True:
        z = whole(rng, size(rng, 1, 50), largest=int(10 ** rng.uniform(0, 5)))
        yield f"{2 * len(z)} numbers", torch.cat([z, -z])


@claim(
    "6b-relu-scale",
    kind="identity",
    verdict="conditional",
    printed=r"…the input magnitude is unchanged by the nonlinearity…",
    statement=r"That of units that are on; the others are set to 0. For every symmetric distribution with a second moment ReLU halves the mean square, "
    r"$\mathbb E\operatorname{relu}(x)^2=\frac12\mathbb Ex^2$, which is where the 2 in He's initialisation comes from.",
    corrected=r"of active units; it halves the mean square of a symmetric input",
    family=symmetric_samples,
    exact=True,
)
def relu_halves_the_mean_square(z: Tensor) -> Trial:
    kept, whole_sum = z.relu().square().sum(), z.square().sum()

    def error(share: float) -> float:
        return abs((kept - share * whole_sum).item())

    return Trial(error(0.5), {"unchanged": error(1.0), "a quarter": error(0.25)})


@counterexample("6b-relu-scale", "symmetric")
def relu_keeps_what_is_positive() -> float:
    z = tensor([1.0, 2.0])
    return abs((z.relu().square().sum() - 0.5 * z.square().sum()).item())


class Cut(NamedTuple):
    """Weights of known eigenvalues ±iρ, the rate with which their ReLU network grows, steps."""

    W: Tensor
    radius: float
    rate: float
    steps: int


def cut_networks(rng: np.random.Generator) -> Iterator[tuple[str, Cut]]:
    """Yield weights (g, 1; −g² − ρ², −g), some beside other units that stay off."""
    for index in count():
        rate, radius = size(rng, 3, 10) / 2, size(rng, 0, 18) / 2
        others = index % 4
        W = tensor([[rate, 1.0], [-(rate**2 + radius**2), -rate]])
        if others:
            W = torch.block_diag(W, -radius * torch.eye(others, dtype=torch.float64))
        steps = size(rng, 2, 9)
        yield (
            f"g = {rate:g}, ρ = {radius:g}, {len(W)} units, {steps} steps",
            Cut(W, radius, rate, steps),
        )


def relu_network(W: Tensor) -> nn.RNN:
    """Return a ReLU network of these weights."""
    rnn = nn.RNN(1, len(W), nonlinearity="relu", bias=False).double()
    with torch.no_grad():
        rnn.get_parameter("weight_hh_l0").copy_(W)
    return rnn


@claim(
    "6b-eigen",
    kind="existence",
    verdict="corrected",
    severity=3,
    printed=r"…therefore the eigenvalues of the weight matrices in the fully-connected parts of the RNN (as also for standard deep networks) determine the magnitude of the output.",
    statement=r"The products of $D_tW$ do, with $D_t$ the slopes; the eigenvalues of $W$ only if one $W$ serves every step, and while all units are on. For every $g>1$ and $\rho\ge0$ the matrix $W=\bigl[\begin{smallmatrix}g&1\\-(g^2+\rho^2)&-g\end{smallmatrix}\bigr]$ has eigenvalues $\pm i\rho$, "
    r"and its ReLU network without inputs, started at $e_1$, grows like $g^t$, state and gradient (for $\rho=0$ the linear network is dead after two steps). "
    r"And for every $\rho$ the weights $-\rho I$ have the spectral radius $\rho$ and kill every non-negative state in one step. In a deep network the layers have different matrices, and their eigenvalues say nothing even without a nonlinearity: "
    r"layers $\bigl[\begin{smallmatrix}0&g\\0&0\end{smallmatrix}\bigr]$ and its transpose in turn have eigenvalues 0 only, and multiply $e_2$ by $g$ each.",
    corrected=r"the products of $D_tW$ do; the eigenvalues of $W$ only if one $W$ serves every step, while all units are on",
    family=cut_networks,
    exact=True,
)
def products_of_masked_weights_decide(case: Cut) -> Trial:
    W, radius, rate, t = case
    p = len(W)
    first = torch.eye(p, dtype=torch.float64)[0]
    run = rnn_jacobian(relu_network(W), torch.zeros(t, 1), first)
    negative = -radius * torch.eye(p, dtype=torch.float64)
    dead = rnn_jacobian(relu_network(negative), torch.zeros(1, 1), 3 * first)
    expected = torch.zeros_like(W)
    expected[0, :2] = tensor([rate**t, rate ** (t - 1)])
    layer, deep = tensor([[0.0, rate], [0.0, 0.0]]), tensor([0.0, 1.0])
    for step in range(t):
        deep = (layer if step % 2 == 0 else layer.T) @ deep
    corner = W[:2, :2]
    eigenvalues = largest(corner @ corner + radius**2 * torch.eye(2, dtype=torch.float64))
    wrong = {"the gradient is that of the linear network": largest(run.jacobian - power(W, t))}
    if radius != rate:  # else the two rates happen to agree
        wrong["the state grows like ρ(W)ᵗ"] = abs(run.state.norm().item() - radius**t)
    return Trial(
        max(
            eigenvalues,
            largest(run.state - rate**t * first),
            largest(run.jacobian - expected),
            largest(dead.state),
            largest(dead.jacobian),
            largest(layer @ layer),
            abs(deep.sum().item() - rate**t),
        ),
        wrong,
    )


@claim(
    "6b-more-common",
    kind="measured",
    verdict="conditional",
    printed=r"Exploding gradients are more common with ReLUs …",
    statement=r"True where inputs keep the tanh units away from 0. For Gaussian weights of spectral radius about $g$ and inputs of standard deviation 1, gradients of ReLU networks are multiplied by more a step than those of tanh networks with the same weights, in the median, at every size (16 to 64 units) and every $g$ tried, from 1.2 to 5; at $g=1.7$ by "
    r"{value}`relu:.2f`, those of tanh networks by {value}`tanh:.2f`, in the median. The condition is needed: near 0 the tanh has slope 1 for *all* units, the ReLU for some only, and at $g=1.2$, as long as the state stays there, gradients of the tanh network grow and those of the ReLU network do not.",
    corrected=r"where inputs saturate the tanh; while the state stays near zero it is the other way round",
)
def relu_gradients_grow_more_when_driven(seed: int) -> Trial:
    rng = np.random.default_rng(seed)
    margins, relu, tanh = [], [], []
    gains = tensor([1.7, 1.2, 3.0, 5.0])
    for p in SIZES:
        W, start, inputs = gaussian(rng, p)
        scaled = gains[:, None, None, None] * W
        by_relu, by_tanh = (
            exponents(name, scaled, start, inputs).view(len(gains), SEEDS)
            for name in ("relu", "tanh")
        )
        margins += [a - b for a, b in zip(medians(by_relu), medians(by_tanh), strict=True)]
        relu += by_relu[0].exp().tolist()
        tanh += by_tanh[0].exp().tolist()
    between = max(shortfall(statistics.median(relu), 1.05), shortfall(-max(tanh), -0.98))
    return Trial(
        max(shortfall(min(margins), 0.02), between),
        {"tanh networks grow as fast": shortfall(-statistics.median(margins), 0.0)},
        {**spread("relu", relu), **spread("tanh", tanh), **spread("margin", margins)},
        cases=len(margins) * SEEDS * 2,
    )


@counterexample("6b-more-common", "away from 0")
def tanh_explodes_first_near_zero() -> float:
    W, start, _ = gaussian(np.random.default_rng(0), 32)
    tiny, silence = start * 1e-60, torch.zeros(WARM_UP + STEPS, SEEDS, 32, dtype=torch.float64)
    rates = medians(
        torch.stack([exponents(name, 1.2 * W, tiny, silence) for name in ("relu", "tanh")])
    )
    return min(shortfall(rates[0] - rates[1], 0.02), rates[1], -rates[0])  # tanh explodes alone


# ---- the gradient in the weights


def adjoints(network: Network, zbar: Tensor) -> Tensor:
    """Return the gradients a₁ … a_T of zbar·h_T at the arguments of σ, (T, p)."""
    slopes = orbit(*network).slopes
    found = [slopes[-1] * zbar]
    for slope in slopes[:-1].flip(0):
        found.append(slope * (network.W.T @ found[-1]))
    return torch.stack(found[::-1])


def weight_terms(network: Network, zbar: Tensor) -> Tensor:
    """Return the terms aₜhₜ₋₁ᵀ of the gradient in W at steps 1 … T, (T, p, p)."""
    return adjoints(network, zbar)[:, :, None] * orbit(*network).states[:-1, None, :]


def weight_gradient_by_autograd(network: Network, zbar: Tensor) -> Tensor:
    """Return the gradient of zbar·h_T in W by automatic differentiation."""
    name, W, inputs, h = network
    weight = W.clone().requires_grad_()
    for u in inputs:
        h = SIGMA[name](weight @ h + u)
    (gradient,) = torch.autograd.grad(h @ zbar, weight)
    return gradient


@claim(
    "6b-weights",
    kind="identity",
    verdict="theorem",
    statement=r"**The gradient in the weights.** For $h_t=\sigma(Wh_{t-1}+u_t)$ and $\bar z$ the gradient at $h_T$ it is $\sum_{t=1}^Ta_th_{t-1}^\top$ with $a_T=D_T\bar z$ and "
    r"$a_t=D_tW^\top a_{t+1}$: recent terms have few factors. Only the oldest, with $W^\top a_1=(\partial h_T/\partial h_0)^\top\bar z$, has those of all steps.",
    family=networks,
    tolerance=1e-9,
)
def weight_gradient_is_a_sum_over_times(case: Network) -> Trial:
    zbar = torch.linspace(-1, 1, len(case.W), dtype=torch.float64) + 0.3
    terms, exact = weight_terms(case, zbar), weight_gradient_by_autograd(case, zbar)
    states, slopes = orbit(*case)
    found = adjoints(case, zbar)
    whole_product = jacobian(case.W, slopes).T @ zbar

    def error(claimed: Tensor) -> float:
        return relative(claimed - exact, exact)

    wrong = {}
    if largest(exact):
        wrong["with hₜ for hₜ₋₁"] = error(found.T @ states[1:])
        if len(terms) > 1 and largest(case.W):
            wrong["the oldest term alone"] = error(terms[0])
    return Trial(
        max(error(terms.sum(0)), relative(case.W.T @ found[0] - whole_product, whole_product)),
        wrong,
    )


@claim(
    "6b-recent",
    kind="measured",
    verdict="measured",
    statement=r"So the gradient in the weights need not vanish where $\partial h_T/\partial h_0$ does. For sigmoid networks with $\|W\|=1$ the latter is at most $4^{-T}$, after 80 steps {value}`jacobian:.1g` in the "
    r"median; the norm of the gradient in $W$ is {value}`short:.3f` at $T=5$ and {value}`long:.3f` at $T=80$ (unit $\bar z$, the same last inputs). What is lost is the part that old states should have in it.",
)
def recent_terms_survive(seed: int) -> Trial:
    rng = np.random.default_rng(seed)
    jacobians, short, long, old = [], [], [], []
    for p, _ in product(SIZES, range(SEEDS)):
        W, inputs, start = normal(rng, p, p), normal(rng, 80, p), normal(rng, p)
        network = Network("sigmoid", W / norm(W), inputs, start)
        zbar = normal(rng, p)
        terms = weight_terms(network, zbar / zbar.norm())
        recent = weight_terms(network._replace(inputs=inputs[-5:]), zbar / zbar.norm())
        jacobians.append(norm(jacobian(network.W, orbit(*network).slopes)))
        long.append(terms.sum(0).norm().item())
        short.append(recent.sum(0).norm().item())
        old.append(terms[:-20].sum(0).norm().item() / long[-1])
    change = max(abs(b / a - 1) for a, b in zip(short, long, strict=True))
    return Trial(
        max(
            shortfall(0.25**80, max(jacobians)),
            max(0.0, change - 0.1),
            shortfall(1e-10, max(old)),
        ),
        {r"it vanishes with $\partial h_T/\partial h_0$": shortfall(-max(long), -1e-10)},
        {**spread("jacobian", jacobians), **spread("short", short), **spread("long", long)}
        | spread("old", old),
        cases=len(long),
    )


class Truncation(NamedTuple):
    """A network with sup|σ′|·‖W‖ = q, the gradient at its end, and how many terms are kept."""

    network: Network
    q: float
    zbar: Tensor
    kept: int


def truncations(rng: np.random.Generator) -> Iterator[tuple[str, Truncation]]:
    """Yield networks with q < 1 whose gradient is cut off after some steps."""
    for description, network in networks(rng):
        if norm(network.W):
            q = rng.uniform(0.1, 0.95)
            W = network.W * q / norm(network.W) / STEEPEST[network.name]
            T = len(network.inputs)
            kept = size(rng, 1, T)
            yield (
                f"{description}, q = {q:.2f}, {kept} kept",
                Truncation(network._replace(W=W), q, normal(rng, len(W)), kept),
            )


def bias_and_bound(case: Truncation) -> tuple[float, float]:
    """Return the norm of what is cut off, and its bound with the largest state that is cut off."""
    network, q, zbar, kept = case
    terms = weight_terms(network, zbar)
    cut = terms[: len(terms) - kept].sum(0).norm().item()
    tallest = orbit(*network).states.norm(dim=1).max().item()
    return cut, STEEPEST[network.name] * zbar.norm().item() * tallest * q**kept / (1 - q)


@claim(
    "6b-truncated",
    kind="universal",
    verdict="theorem",
    statement=r"**Truncated backpropagation is biased.** Keep the last $m$ terms of the gradient in the weights. If $q=\sup|\sigma'|\,\|W\|<1$, the rest is at most "
    r"$\sup|\sigma'|\,\|\bar z\|\,\max_t\|h_t\|\;q^m/(1-q)$, however long the sequence; for a linear unit at rest in 1, run for $T$ steps, it is $1-q^{T-m}$ times that.",
    family=truncations,
    tolerance=1e-12,
)
def truncation_bias_is_bounded(case: Truncation) -> Trial:
    cut, bound = bias_and_bound(case)
    unit = steady_unit(case.q, case.kept)
    unit_cut, unit_bound = bias_and_bound(unit)
    older = len(unit.network.inputs) - unit.kept

    def error(factor: float) -> float:
        return max(0.0, cut - factor * bound, unit_cut - factor * unit_bound) / max(
            bound, unit_bound
        )

    return Trial(
        max(error(1.0), abs(unit_cut / unit_bound - (1 - case.q**older))),
        {
            "there is no bias": max(cut, unit_cut) / max(bound, unit_bound),
            "at most half as large": max(error(0.5), shortfall(0.5 * unit_bound, unit_cut)),
        },
    )


def steady_unit(q: float, kept: int) -> Truncation:
    """Return a linear unit at rest in 1, run until more steps add less than a tenth."""
    one, T = tensor([1.0]), kept + math.ceil(math.log(0.1) / math.log(min(q, 0.99)))
    inputs = tensor([[1 - q]]).expand(T, 1)
    return Truncation(Network("identity", tensor([[q]]), inputs, one), q, one, kept)


@counterexample("6b-truncated", "$q<1$: at 1.1 what is cut off grows with the length")
def truncated_gradient_of_an_expanding_unit() -> float:
    network = Network("identity", tensor([[1.1]]), tensor([[-0.1]] * 100), tensor([1.0]))
    half = network._replace(inputs=network.inputs[:50])
    cuts = [weight_terms(each, tensor([1.0]))[:-3].sum().item() for each in (half, network)]
    return shortfall(2 * cuts[0], cuts[1])


# ---- which nonlinearities suit


def orthogonals(rng: np.random.Generator) -> Iterator[tuple[str, Network]]:
    """Yield linear networks whose weights are whole multiples of orthogonal matrices."""
    for index in count():
        p, T = size(rng, 1, 5), size(rng, 1, 6)
        Q = torch.eye(p, dtype=torch.float64)[rng.permutation(p)] * tensor(rng.choice([-1, 1], p))
        if index % 2:
            turn = tensor([[3.0, -4.0], [4.0, 3.0]])
            Q = torch.block_diag(*[turn] * max(1, p // 2))
            Q = Q[rng.permutation(len(Q))]
        yield (
            f"{len(Q)} units, {'five times' if index % 2 else ''} orthogonal, {T} steps",
            Network("identity", Q, whole(rng, T, len(Q)), whole(rng, len(Q)) + 0.5),
        )


@claim(
    "6b-orthogonal",
    kind="identity",
    verdict="theorem",
    statement=r"**Orthogonal weights.** With the identity, $W=rQ$, $r>0$ and $Q$ orthogonal, every gradient's length is multiplied by exactly $r^T$: kept for ever if $r=1$. With tanh or ReLU for the identity "
    r"no gradient becomes longer than that, and in general some become shorter; not so for ReLU with $W=I$, inputs that are not negative and a positive start, where $\partial h_T/\partial h_0=I$.",
    family=orthogonals,
    tolerance=1e-12,
)
def orthogonal_weights_keep_lengths(case: Network) -> Trial:
    p, T = len(case.W), len(case.inputs)
    scale = case.W[0].square().sum()
    identity = torch.eye(p, dtype=torch.float64)

    def gram(name: str) -> Tensor:
        J = jacobian(case.W, orbit(name, case.W, case.inputs, case.start).slopes)
        return J.T @ J

    def error(name: str) -> float:
        return largest(gram(name) - scale**T * identity)

    positive = orbit("relu", identity, case.inputs.abs(), case.start.abs()).slopes
    longer = [torch.linalg.eigvalsh(gram(n) / scale**T).max().item() for n in ("tanh", "relu")]
    return Trial(
        max(
            error("identity"),
            largest(jacobian(identity, positive) - identity),
            max(0.0, max(longer) - 1),
        ),
        {"tanh keeps it too": error("tanh"), "ReLU keeps it too": error("relu")},
    )


@counterexample("6b-orthogonal", "orthogonal")
def shear_changes_lengths() -> float:
    J = power(tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    return largest(J.T @ J - torch.eye(2, dtype=torch.float64))


class Latch(NamedTuple):
    """A unit tanh(wh + u), the largest input, and the inputs."""

    w: float
    largest_input: float
    inputs: np.ndarray


def fold(w: float) -> float:
    """Return the input at which one of the two states of rest of tanh(wh + u) disappears."""
    if w <= 1:
        return 0.0
    h = math.sqrt(1 - 1 / w)
    return w * h - math.atanh(h)


def latches(rng: np.random.Generator) -> Iterator[tuple[str, Latch]]:
    """Yield units with w > 1 and inputs that are never large enough to flip them."""
    for index in count():
        w = (1.2, 1.5, 2.0, 5.0)[index] if index < 4 else rng.uniform(1.2, 6)
        bound = (rng.uniform(0, 0.995) if index % 2 else 0.995) * fold(w)
        kind = ("constant, against the bit", "random", "alternating")[index % 3]
        steady = np.full(300, -bound)
        inputs = {0: steady, 1: rng.uniform(-bound, bound, 300), 2: steady * (-1) ** np.arange(300)}
        yield f"w = {w:.2f}, inputs up to {bound:.2f}, {kind}", Latch(w, bound, inputs[index % 3])


def state_of_rest(w: float, u: float = 0.0) -> float:
    """Return the unit's upper state of rest under a steady input: where it settles from 1."""
    h, before = 1.0, math.inf
    while h < before:
        h, before = math.tanh(w * h + u), h
    return before


def hold(w: float, inputs: np.ndarray) -> tuple[float, float]:
    """Run the unit from its upper state of rest; return its lowest state and log ∂h_T/∂h₀."""
    lowest, logarithm = state_of_rest(w), 0.0
    h = lowest
    for u in inputs.tolist():
        h = math.tanh(w * h + u)
        lowest = min(lowest, h)
        logarithm += math.log(w * (1 - h * h))
    return lowest, logarithm


@claim(
    "6b-latch",
    kind="universal",
    verdict="theorem",
    statement=r"**What keeps a bit loses its gradient.** A unit $h_t=\tanh(wh_{t-1}+u_t)$ with $w>1$ keeps the sign of its state for ever against all inputs $|u_t|\le b<u^*$, "
    r"$u^*=wh^*-\operatorname{artanh}h^*$, $h^*=\sqrt{1-1/w}$, if it starts at a state of rest (without input) other than 0; and then $|\partial h_T/\partial h_0|\le s^T$ with $s=w(1-h_b^2)<1$, $h_b$ the largest solution of "
    r"$h=\tanh(wh-b)$. A steady input against the sign, larger than $u^*$, flips it. (Bengio, Simard and Frasconi prove the like of hyperbolic attractors.)",
    family=latches,
    tolerance=1e-9,
)
def latched_bit_has_no_gradient(case: Latch) -> Trial:
    w, bound, inputs = case
    state, logarithm = hold(w, inputs)
    lowest = state_of_rest(w, -bound)
    q = w * (1 - lowest**2)
    flipped, _ = hold(w, np.full(400, -1.005 * fold(w)))
    return Trial(
        max(
            shortfall(state, lowest),
            max(0.0, logarithm - len(inputs) * math.log(q)),
            max(0.0, q - 1),
            max(0.0, flipped),
        ),
        {
            "no input can flip it": shortfall(flipped, 0.0),
            "its gradient survives": shortfall(logarithm, -3.0),
        },
    )


@counterexample("6b-latch", "at a state of rest: from 0.01")
def bit_that_starts_nearer_to_zero() -> float:
    h = 0.01
    for _ in range(300):
        h = math.tanh(2 * h - 0.5 * fold(2.0))
    return shortfall(h, 0.0)


@counterexample("6b-latch", "$b<u^*$")
def bit_that_is_flipped() -> float:
    state, _ = hold(2.0, np.full(300, -1.1 * fold(2.0)))
    return shortfall(state, 0.0)


@counterexample("6b-latch", "other than 0: there the slope is $w>1$")
def unit_at_rest_in_zero() -> float:
    zero = tensor([0.0])
    slope = orbit("tanh", tensor([[2.0]]), zero[None], zero).slopes.item()
    return shortfall(1.0, 2.0 * slope)


@claim(
    "6b-suits",
    kind="measured",
    verdict="measured",
    statement=r"**Which nonlinearities suit an RNN?** With orthogonal $W$ and inputs of standard deviation ¼ a gradient is multiplied a step by {value}`identity:.2f` (identity), {value}`tanh:.2f` (tanh), "
    r"{value}`relu:.2f` (ReLU), {value}`sigmoid:.2f` (sigmoid), in the median, and in this order at every size tried. With inputs of standard deviation 2 tanh and ReLU change places ({value}`tanh_driven:.2f` and {value}`relu_driven:.2f`). "
    r"With PyTorch's default weights instead of orthogonal ones tanh has {value}`default:.2f`.",
)
def sigmoid_suits_worst_and_orthogonal_weights_help(seed: int) -> Trial:
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    runs = 0
    for p in SIZES:
        W, start, inputs = gaussian(rng, p)
        Q, small = torch.linalg.qr(W).Q, tensor(rng.uniform(-1, 1, W.shape)) / p**0.5
        weights, driven = torch.stack([Q, Q, small]), torch.stack([inputs / 4, 2 * inputs], 1)
        driven = torch.cat([driven, driven[:, :1]], 1)
        for name, keys in (
            ("identity", ["identity"]),
            ("tanh", ["tanh", "tanh_driven", "default"]),
            ("relu", ["relu", "relu_driven"]),
            ("sigmoid", ["sigmoid"]),
        ):
            n = len(keys)
            rates = exponents(name, weights[:n], start, driven[:, :n]).exp().view(n, SEEDS)
            runs += rates.numel()
            for key, middle in zip(keys, medians(rates), strict=True):
                found.setdefault(key, []).append(middle)

    def least(better: str, worse: str) -> float:
        return min(a - b for a, b in zip(found[better], found[worse], strict=True))

    order = ["identity", "tanh", "relu", "sigmoid"]
    pairs = [*pairwise(order), ("relu_driven", "tanh_driven"), ("tanh", "default")]
    return Trial(
        max(
            *(shortfall(least(*pair), 0.01) for pair in pairs),
            *(max(0.0, abs(rate - 1) - 1e-9) for rate in found["identity"]),
        ),
        {
            "the sigmoid does as well as tanh": shortfall(-least("tanh", "sigmoid"), 0.0),
            "tanh does better than ReLU, whatever the inputs": least("relu_driven", "tanh_driven"),
        },
        {key: statistics.median(each) for key, each in found.items()},
        cases=runs,
    )
