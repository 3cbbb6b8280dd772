"""Claims of Solution 5: the gradient of the loss with respect to the image."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hw2lib.adversarial import input_gradient
from hw2lib.claims.registry import Trial, claim, counterexample
from hw2lib.claims.solution_5_adversarial.shared import (
    COUNT,
    LARGE,
    Problem,
    Seen,
    attack,
    family,
    gradients,
    look,
    parameter,
    relu_networks,
    seen,
    validation,
    whom,
)
from hw2lib.claims.tools import (
    largest,
    medians,
    normal,
    relative,
    shortfall,
    size,
    spread,
    tensor,
)
from hw2lib.training import predict

# ---- in evaluation mode


class Batch(NamedTuple):
    """A network with layers that know training from evaluation, and a batch."""

    model: nn.Sequential
    batchnorm: bool
    dropout: bool
    images: Tensor
    labels: Tensor


def convolutional(rng: np.random.Generator, batchnorm: bool, dropout: float) -> nn.Sequential:
    """Return a small convolutional network with random weights and statistics."""
    channels = size(rng, 1, 4)
    model = nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.BatchNorm2d(channels) if batchnorm else nn.Identity(),
        nn.Dropout(dropout),
        nn.ReLU(),
        nn.Conv2d(channels, 3, 3, padding=1),
        nn.Flatten(),
        nn.Linear(3 * 16, 4),
    ).double()
    with torch.no_grad():
        for each in model.parameters():
            each.copy_(normal(rng, *each.shape))
        if batchnorm:
            parameter(model[1], "running_mean").copy_(normal(rng, channels))
            parameter(model[1], "running_var").copy_(normal(rng, channels).square() + 0.1)
    return model


def batches(rng: np.random.Generator) -> Iterator[tuple[str, Batch]]:
    """Yield networks with batch norm or dropout or both: one image, equal images, then random."""
    for number in itertools.count():
        batchnorm, dropout = [(True, 0.0), (False, 0.5), (True, 0.5)][number % 3]
        kind = " and ".join(["batch norm"] * batchnorm + ["dropout"] * (dropout > 0))
        count = 1 if number < 3 else size(rng, 2, 9)
        images, labels = normal(rng, count, 1, 4, 4), torch.as_tensor(rng.integers(0, 4, count))
        alike = 3 <= number < 6
        if alike:
            images = images[:1].repeat(count, 1, 1, 1)
        model = convolutional(rng, batchnorm, dropout)
        yield (
            f"{kind}, {count} images{', all alike' * alike}",
            Batch(model, batchnorm, dropout > 0, images, labels),
        )


def of_the_sum(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradients of the summed losses, in whatever mode the model is."""
    x = images.clone().requires_grad_()
    losses = cross_entropy(model(x), labels, reduction="sum")
    return torch.autograd.grad(losses, x)[0]


@claim(
    "5-eval-mode",
    kind="universal",
    verdict="theorem",
    statement=r"Let every layer in evaluation mode treat each image by itself and draw nothing at random, as convolutions, "
    r"dropout and batch norm with its running statistics do. Then the gradient of an image's loss is the same alone as in any batch, and the "
    r"same each time. In training mode batch norm makes it depend on the other images of the batch, "
    r"and dropout makes it random.",
    family=batches,
    tolerance=1e-10,
)
def gradient_is_taken_in_evaluation_mode(batch: Batch) -> Trial:
    model, batchnorm, dropout, images, labels = batch
    together, again = (input_gradient(model, images, labels) for _ in range(2))
    alone = input_gradient(model, images[:1], labels[:1])
    mutants = {}
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(len(images))
        trained = of_the_sum(model.train(), images, labels)[:1]
        if batchnorm and not dropout and len(images) > 1:
            by_itself = of_the_sum(model, images[:1], labels[:1])
            mutants["batch norm in training mode"] = relative(by_itself - trained, together)
        if dropout:
            once_more = of_the_sum(model, images, labels)[:1]
            mutants["dropout in training mode"] = relative(once_more - trained, together)
    return Trial(max(relative(together[:1] - alone, together), largest(together - again)), mutants)


@counterexample("5-eval-mode", "with its running statistics")
def no_running_statistics() -> float:
    model = nn.Sequential(
        nn.BatchNorm1d(1, affine=False, track_running_stats=False), nn.Linear(1, 2, bias=False)
    ).double()
    with torch.no_grad():
        parameter(model[1], "weight").copy_(tensor([[1.0], [-1.0]]))
    images, labels = tensor([[0.0], [1.0], [3.0]]), torch.zeros(3, dtype=torch.long)
    together, pair = (of_the_sum(model.eval(), images[:n], labels[:n]) for n in (3, 2))
    return relative(together[:2] - pair, together)


@counterexample("5-eval-mode", "draw nothing at random: pooling in windows that are drawn")
def windows_at_random() -> float:
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(0)
        pooling = nn.FractionalMaxPool2d(2, output_ratio=0.7)
        model = nn.Sequential(pooling, nn.Flatten(), nn.Linear(25, 2)).double().eval()
        image, label = torch.rand(1, 1, 8, 8).double(), torch.zeros(1, dtype=torch.long)
        one, other = (of_the_sum(model, image, label) for _ in range(2))
    return relative(one - other, one)


# ---- its size


@claim(
    "5-gradient-size",
    kind="universal",
    verdict="theorem",
    statement=r"For cross-entropy over the logits $z$, differentiable at $x$, and probabilities $p$, "
    r"$\nabla_x\ell=\sum_{k\ne y}p_k\,\nabla_x(z_k-z_y)$. So "
    r"$\|\nabla_x\ell\|_1\le(1-p_y)\max_{k\ne y}\|\nabla_x(z_k-z_y)\|_1$: the surer the network is of the "
    r"right class, the smaller is what bounds the gradient, as long as the logits' own gradients stay as they are.",
    family=relu_networks,
    tolerance=1e-12,
)
def gradient_is_a_sum_over_wrong_classes(problem: Problem) -> Trial:
    model, images, labels = problem
    x = images.clone().requires_grad_()
    logits = model.eval()(x)
    jacobian = torch.stack(
        [
            torch.autograd.grad(logits[:, k].sum(), x, retain_graph=True)[0].flatten(1)
            for k in range(logits.shape[1])
        ],
        1,
    )
    rows = torch.arange(len(labels))
    margins = jacobian - jacobian[rows, labels][:, None]
    probabilities = logits.detach().softmax(1).index_put((rows, labels), tensor(0.0))
    doubt = probabilities.sum(1)
    gradient = input_gradient(model, images, labels).flatten(1)
    lengths = margins.abs().sum(2).amax(1)
    scale = lengths.max().item() or 1.0

    def error(weights: Tensor) -> float:
        return largest((weights[..., None] * margins).sum(1) - gradient) / scale

    def excess(bound: Tensor) -> float:
        return shortfall(0.0, (gradient.abs().sum(1) - bound).max().item()) / scale

    mutants = {}
    if lengths.max() > 0 and logits.shape[1] > 1:
        even = torch.full_like(probabilities, 1 / logits.shape[1])
        mutants = {
            "equal weights": error(even),
            "weights that sum to one": error(probabilities / doubt[:, None].clamp(min=1e-300)),
        }
    return Trial(max(error(probabilities), excess(doubt * lengths)), mutants)


@claim(
    "5-misclassified",
    kind="measured",
    verdict="measured",
    statement=r"The gradient with respect to a misclassified digit is typically far larger than that with respect to one "
    r"classified correctly: in eight networks, each wrong on {value}`count_least:d` to {value}`count_most:d` of the digits, the median "
    r"of $\|\nabla_x\ell\|_1$ over these is {value}`ratio:.0f` times that over the others "
    r"(from {value}`ratio_least:.0f` to {value}`ratio_most:.0f`). Divided by $1-p_y$ it is {value}`divided:.1f` "
    r"times (from {value}`divided_least:.1f` to {value}`divided_most:.1f`): in each network most of the factor (more than its square root) goes with $1-p_y$.",
)
def misclassified_images_have_large_gradients(seed: int) -> Trial:
    images, labels = validation()
    logits = predict(family(seed), images, batch_size=len(images)).double()
    probabilities = logits.softmax(1).scatter(1, labels[:, None], 0.0)
    wrong = seen(seed).wrong
    norms = gradients(seed).double().abs().sum(2)
    doubts = probabilities.sum(1).view_as(norms)
    plain, divided = ratios(norms, wrong), ratios(norms / doubts, wrong)

    def error(plain: Tensor, divided: Tensor) -> float:
        """By how much a network misses 15 times, or its square root after division."""
        return max(
            shortfall(plain.min().item(), 15) / 15,
            shortfall(1.0, (divided / plain.sqrt()).max().item()),
        )

    return Trial(
        error(plain, divided),
        {"without the division": error(plain, plain), "no difference": error(divided, divided)},
        spread("ratio", plain.tolist())
        | spread("divided", divided.tolist())
        | spread("count", wrong.sum(1).tolist()),
        cases=len(plain),
        worst=whom(plain, -plain, "ratio"),
    )


def ratios(sizes: Tensor, wrong: Tensor) -> Tensor:
    """Return, network by network, the median of the wrong answers over that of the right ones."""
    pairs = zip(sizes, wrong, strict=True)
    middles = [medians(size[mask][None]) + medians(size[~mask][None]) for size, mask in pairs]
    return tensor([above / below for above, below in middles])


# ---- its sign, where the network is sure

SHARPER = 8


class Sharper(nn.Module):
    """A network with its logits multiplied: the same answers, only surer."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits."""
        return SHARPER * self.model(images)


class Signs:
    """The logits of a network, and the signs of their gradients, from one pass forward."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images.clone().requires_grad_(), labels
        self.logits = model(self.images)

    def of(self, cotangent: Tensor) -> Tensor:
        """Return the signs of a combination of the logits' gradients, each image with its own."""
        combined = (self.logits * cotangent).sum()
        return torch.autograd.grad(combined, self.images, retain_graph=True)[0].sign()

    def naive(self) -> Tensor:
        """Return the signs of the gradient by softmax minus one-hot, as it is usually computed."""
        one_hot = nn.functional.one_hot(self.labels, self.logits.shape[1])
        return self.of(self.logits.detach().softmax(1) - one_hot)

    def exact(self) -> Tensor:
        """Return them by the sum over the other classes, which does not cancel."""
        others = self.logits.detach().scatter(1, self.labels[:, None], -torch.inf).softmax(1)
        return self.of(others.scatter(1, self.labels[:, None], -1.0))


@claim(
    "5-sure",
    kind="measured",
    verdict="measured",
    statement=r"For $k\ne y$ the derivative of the loss in $z_k$ is $p_k$; in $z_y$ it is $p_y-1=-\sum_{k\ne y}p_k$. Computed as "
    r"$p_y-1$ it cancels where the network is sure. Multiply the logits of eight networks by eight: their answers stay the same. But in "
    r"single precision $p_y$ is then 1 on {value}`rounded:.0%` of the digits (median), and {value}`single:.0%` of the "
    r"signs of the gradient are wrong, in double precision {value}`double:.0%`. At $\varepsilon=32/255$ one step along them makes the networks err on "
    r"{value}`naive:.0%`, along the right signs on {value}`right:.0%` (as they were, before the multiplication: {value}`before:.0%`). "
    r"Computed as $-\sum_{k\ne y}p_k$, every $p_k$ relative to that sum, it loses at most one sign in a thousand (here {value}`lost:d` of {value}`signs:d`).",
    tolerance=1e-3,
)
def signs_of_a_sure_network_need_no_difference(seed: int) -> Trial:
    images, labels = validation()
    model = Sharper(family(seed))
    in_single = Signs(model, images, labels)
    in_double = Signs(copy.deepcopy(model).double(), images.double(), labels)
    single, double, signs = in_single.naive(), in_double.naive(), in_double.exact()
    # within bounds that no pixel meets, the whole step is seen
    ours = attack(model, images, labels, eps=LARGE, bounds=(-1.0, 2.0)) - images

    def wrong(found: Tensor) -> Tensor:
        """Return each network's share of wrong signs."""
        return (found.sign() != signs).double().view(COUNT, -1).mean(1)

    def after(found: Tensor) -> Seen:
        return look(model, (images + LARGE * found.float()).clamp(0.0, 1.0), labels)

    right, naive = after(ours.sign()).error, after(single).error
    rounded = in_single.logits.detach().softmax(1)
    sure = rounded.gather(1, labels[:, None]).view(COUNT, -1) == 1

    def error(found: Tensor, gain: Tensor) -> float:
        """Return the largest share of wrong signs, or by how much a gain of 0.05 is missed."""
        return max(wrong(found).max().item(), shortfall(gain.min().item(), 0.05))

    return Trial(
        error(ours, right - naive),
        {
            "softmax minus one-hot, single precision": error(single, right - naive),
            "softmax minus one-hot, double precision": error(double, right - naive),
            "the right signs are no better": error(ours, naive - naive),
        },
        {"lost": int((ours.sign() != signs).sum()), "signs": signs.numel()}
        | spread("single", wrong(single).tolist())
        | spread("double", wrong(double).tolist())
        | spread("rounded", sure.double().mean(1).tolist())
        | spread("naive", naive.tolist())
        | spread("right", right.tolist())
        | spread("before", seen(seed, LARGE).error.tolist()),
        cases=COUNT,
        worst=whom(wrong(ours), wrong(ours), "share of wrong signs"),
    )
