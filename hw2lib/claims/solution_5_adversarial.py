"""Claims of Solution 5: a trained network, and what small perturbations do to it.

The network is the reduced one, :func:`hw2lib.training.digits_network` with its 10 epochs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cache, partial

import torch
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hw2lib.adversarial import (
    input_gradient,
    linear_prediction,
    random_sign_perturbation,
    signed_gradient_attack,
    steepest_direction,
)
from hw2lib.allcnn import AllCNN
from hw2lib.claims.registry import Evidence, claim, outside
from hw2lib.claims.tools import largest, random
from hw2lib.datasets import digits_data
from hw2lib.training import digits_network, evaluate, predict

SMALL, LARGE = 8 / 255, 32 / 255

outside(
    "5",
    printed="See the notebook.",
    statement="The notebook is lost. The question is answered anew here, by a notebook that the build "
    "runs; what is ours is checked below.",
)


# ---- networks and images that several checks share


@cache
def network(seed: int = 0, unseen_writers: bool = False) -> AllCNN:
    """Return a reduced network, trained once."""
    return digits_network(digits_data(unseen_writers=unseen_writers), seed=seed)[0]


@cache
def validation(unseen_writers: bool = False) -> tuple[Tensor, Tensor]:
    """Return the validation images and their labels."""
    data = digits_data(unseen_writers=unseen_writers)
    return data.validation_images, data.validation_labels


def mean_loss(images: Tensor, model: nn.Module | None = None) -> float:
    """Return the mean loss of the network on images that belong to the validation labels."""
    return evaluate(model or network(), images, validation()[1]).loss


def wrong(images: Tensor, model: nn.Module | None = None) -> int:
    """Return how many of the validation images, perturbed, are misclassified."""
    labels = validation()[1]
    return round(evaluate(model or network(), images, labels).error * len(labels))


def attacked(
    eps: float,
    model: nn.Module | None = None,
    *,
    steps: int = 1,
    project: bool = True,
    targeted: bool = False,
) -> Tensor:
    """Return the validation images after an attack on a network."""
    return signed_gradient_attack(
        model or network(),
        *validation(),
        eps=eps,
        steps=steps,
        project=project,
        targeted=targeted,
    )


# ---- the network


def parameters(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


@claim(
    "5-parameters",
    verdict="theorem",
    statement="All-CNN-C (biases, no batch norm) has $9\\,(3\\cdot96+2\\cdot96^2+96\\cdot192+"
    "3\\cdot192^2)+192^2+1920$ weights and $1258$ biases: $1\\,369\\,738$ parameters. Batch norm "
    "instead of the biases of all layers but the last adds one number a channel: $1\\,370\\,986$.",
)
def parameter_count_of_allcnn() -> Evidence:
    weights = 9 * (3 * 96 + 2 * 96**2 + 96 * 192 + 3 * 192**2) + 192**2 + 192 * 10
    biases = 3 * 96 + 5 * 192 + 10
    plain, normalised = parameters(AllCNN(batchnorm=False)), parameters(AllCNN())
    expected = 1_369_738

    def error(count: int) -> float:
        return abs(count - expected)

    return Evidence(
        max(error(plain), error(weights + biases), error(normalised - (biases - 10))),
        0,
        {
            "without biases": error(weights),
            "a third 3×3 convolution instead of the 1×1": error(plain + 8 * 192**2),
        },
        f"{plain:,} with biases, {normalised:,} with batch norm",
    )


@claim(
    "5-writers",
    verdict="measured",
    statement="Split at random, training and validation share their 14 writers; on three writers "
    "whom the network has never met, the error is more than twice as large. Their images are not "
    "harder in themselves: the network of the random split, which has seen most of them, errs on "
    "fewer.",
)
def unseen_writers_are_harder() -> Evidence:
    at_random = evaluate(network(), *validation()).error
    unseen = evaluate(network(unseen_writers=True), *validation(True)).error
    seen = evaluate(network(), *validation(True)).error
    return Evidence(
        at_random / unseen,
        0.5,
        {"the same writers' images, mostly seen": at_random / max(seen, 1 / 382)},
        f"{at_random:.1%} of the random split wrong, {unseen:.1%} of the unseen writers'",
    )


# ---- the gradient with respect to the image


@claim(
    "5-eval-mode",
    verdict="theorem",
    statement="In evaluation mode an image's gradient is its own. In training mode batch norm makes "
    "it depend on the other images of the batch, and dropout makes it random.",
)
def gradient_is_taken_in_evaluation_mode() -> Evidence:
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    model, (images, labels) = AllCNN(1, 10, 8, widths=(8, 8)).double(), validation()
    images = images[:8].double()
    gradient = partial(input_gradient, model)

    def in_training_mode(count: int) -> Tensor:
        model.train()
        x = images[:count].clone().requires_grad_()
        return torch.autograd.grad(cross_entropy(model(x), labels[:count], reduction="sum"), x)[0]

    first, batch, again = in_training_mode(1), in_training_mode(8), in_training_mode(8)
    alone, together = gradient(images[:1], labels[:1]), gradient(images, labels[:8])
    torch.set_rng_state(torch_state)
    scale = largest(together[:1])
    return Evidence(
        largest(alone - together[:1]) / scale,
        1e-12,
        {
            "training mode, alone and in a batch": largest(first - batch[:1]) / scale,
            "training mode, twice": largest(again - batch) / scale,
        },
        "the gradient of an image is the same alone and among seven others",
    )


@claim(
    "5-gradient-size",
    verdict="theorem",
    statement="For cross-entropy over the logits $z$ and probabilities $p$, "
    "$\\nabla_x\\ell=\\sum_{k\\ne y}p_k\\,\\nabla_x(z_k-z_y)$. So "
    "$\\|\\nabla_x\\ell\\|_1\\le(1-p_y)\\max_k\\|\\nabla_x(z_k-z_y)\\|_1$: where the network is sure of "
    "the right class, the gradient vanishes.",
)
def gradient_is_a_sum_over_wrong_classes() -> Evidence:
    model, (images, labels) = network(), validation()
    images, labels = images[:60].clone().requires_grad_(), labels[:60]
    logits = model(images)
    jacobian = torch.stack(
        [torch.autograd.grad(logits[:, k].sum(), images, retain_graph=True)[0] for k in range(10)],
        1,
    ).flatten(2)
    rows = torch.arange(60)
    probabilities = logits.softmax(1).detach()
    sure = probabilities[rows, labels]
    margins = jacobian - jacobian[rows, labels][:, None]
    gradient = input_gradient(model, images, labels).flatten(1)
    scale = largest(gradient)
    bound = (1 - sure) * margins.abs().sum(2).amax(1)
    exceeded = (gradient.abs().sum(1) - bound * (1 + 1e-3)).clamp(min=0).max().item()

    def error(weights: Tensor) -> float:
        return largest((weights[..., None] * margins).sum(1) - gradient) / scale

    return Evidence(
        max(error(probabilities), exceeded),
        1e-4,
        {
            "equal weights": error(torch.full_like(probabilities, 0.1)),
            "weights that sum to one": error(probabilities / (1 - sure)[:, None].clamp(min=1e-6)),
        },
        f"to {error(probabilities):.0e} of the largest gradient, in single precision",
    )


@claim(
    "5-misclassified",
    verdict="measured",
    statement="The gradient with respect to a misclassified image is far larger: the median of "
    "$\\|\\nabla_x\\ell\\|_1$ by more than a hundred times. Divided by $1-p_y$ the medians are within "
    "a factor of 10: the difference is the network's confidence, not the image.",
)
def misclassified_images_have_large_gradients() -> Evidence:
    images, labels = validation()
    norms, doubts, mistakes = [], [], []
    for seed in (0, 1):
        logits = predict(network(seed), images)
        norms.append(input_gradient(network(seed), images, labels).abs().flatten(1).sum(1))
        doubts.append(1 - logits.double().softmax(1)[torch.arange(len(labels)), labels])
        mistakes.append(logits.argmax(1) != labels)
    norm, doubt, mistake = map(torch.cat, (norms, doubts, mistakes))

    def ratio(size: Tensor) -> float:
        return (size[~mistake].median() / size[mistake].median()).item()

    scaled = ratio(norm / doubt)
    return Evidence(
        ratio(norm),
        0.01,
        {"divided by 1 − p": scaled},
        f"a median {1 / ratio(norm):,.0f} times as large, {1 / scaled:.1f} times after division",
    )


# ---- first-order theory


@claim(
    "5-first-order",
    verdict="holds",
    printed="(In the question:) the largest $d^\\top\\nabla\\ell$ with $\\|d\\|_\\infty\\le1$ is "
    "$\\|\\nabla\\ell\\|_1$, at $d=\\operatorname{sign}(\\nabla\\ell)$.",
    statement="$d^\\top g\\le\\sum_i|d_i||g_i|\\le\\|g\\|_1$, with equality at "
    "$d=\\operatorname{sign}(g)$, and only there if no entry of $g$ is zero. For the $\\ell_2$ ball the "
    "maximiser is $g/\\|g\\|_2$, for the $\\ell_1$ ball a single pixel.",
)
def signed_gradient_is_the_maximiser() -> Evidence:
    g = random(12, seed=3)
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=12)), dtype=g.dtype)
    best = (corners @ g).max().item()

    def error(direction: Tensor) -> float:
        return abs((direction @ g).item() - best)

    return Evidence(
        max(error(steepest_direction(g, math.inf)), abs(g.abs().sum().item() - best)),
        1e-12,
        {
            "the normalised gradient": error(g / g.norm()),
            "scaled to reach the boundary": error(g / g.abs().max()),
            "flipped sign": error(-g.sign()),
        },
        f"{best:.4f}, the largest of all {len(corners)} corners, and the ℓ1 norm",
    )


@claim(
    "5-T5",
    verdict="theorem",
    statement="A signed step of size $\\varepsilon$ takes the loss to $\\ell+\\varepsilon\\|\\nabla\\ell\\|_1"
    "+O(\\varepsilon^2)$; where no unit of a ReLU network switches, the loss is convex in $x$, and "
    "$\\ell+\\varepsilon\\|\\nabla\\ell\\|_1$ is a lower bound. For a linear classifier of two classes with "
    "margin $m=\\pm w^\\top x$ no other perturbation does better, for any $\\varepsilon$, and the loss "
    "becomes exactly $\\log(1+e^{-m+\\varepsilon\\|w\\|_1})$.",
)
def linear_prediction_has_a_quadratic_remainder() -> Evidence:
    model, (images, labels) = AllCNN(1, 10, 8, widths=(16, 32)).double(), validation()
    model.load_state_dict(network().state_dict())
    inside = images[:100].double().clamp(0.1, 0.9)  # no pixel meets its bounds
    losses = partial(image_losses, model, labels=labels[:100])
    gradient = input_gradient(model, inside, labels[:100])

    def order(predict_loss: Callable[[float], Tensor]) -> float:
        remainders = []
        for eps in (1e-5, 1e-6):
            after = losses(inside + eps * gradient.sign())
            remainders.append((after - predict_loss(eps)).abs().median().item())
        return math.log10(remainders[0] / remainders[1])

    clean = losses(inside)
    lengths = gradient.flatten(1).norm(dim=1)
    predicted = partial(linear_prediction, model, inside, labels[:100])
    found = order(lambda eps: predicted(eps=eps))
    after = losses(inside + 1e-5 * gradient.sign())
    above = (predicted(eps=1e-5) > after + 1e-15).double().mean().item()  # where a unit switched
    return Evidence(
        max(abs(found - 2), above, binary_error()),
        0.05,
        {
            "ε‖∇ℓ‖₂": abs(order(lambda eps: clean + eps * lengths) - 2),
            "the loss as it was": abs(order(lambda eps: clean) - 2),
        },
        f"remainder of order {found:.2f} at a hundred images",
    )


def image_losses(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return each image's loss."""
    return cross_entropy(predict(model, images), labels, reduction="none")


def binary_error() -> float:
    """Return the error of the closed form for a linear classifier, against all corners of the box."""
    w, x, eps = random(8, seed=4), random(8, seed=5), 0.3
    corners = eps * torch.tensor(list(itertools.product((-1.0, 1.0), repeat=8)), dtype=w.dtype)
    largest_loss = torch.nn.functional.softplus(-(x + corners) @ w).max()
    formula = torch.nn.functional.softplus(-x @ w + eps * w.abs().sum())
    return abs((largest_loss - formula).item())


@claim(
    "5-linear-range",
    verdict="measured",
    statement="On the digits, at $\\varepsilon=8/255$ the linear prediction explains more than half of "
    "the rise of the mean loss; at $32/255$ less than a third: the units that switch make it worse.",
)
def linear_prediction_explains_small_steps() -> Evidence:
    clean = mean_loss(validation()[0])
    lengths = input_gradient(network(), *validation()).flatten(1).norm(dim=1).mean().item()

    def share(eps: float, rise: float | None = None) -> float:
        predicted = linear_prediction(network(), *validation(), eps=eps).mean().item()
        explained = predicted - clean if rise is None else rise
        return explained / (mean_loss(attacked(eps)) - clean)

    def error(small: float, large: float) -> float:
        return max(0.5 / small, 3 * large)

    small, large = share(SMALL), share(LARGE)
    return Evidence(
        error(small, large),
        1,
        {
            "the two exchanged": error(large, small),
            "ε‖∇ℓ‖₂": error(share(SMALL, SMALL * lengths), share(LARGE, LARGE * lengths)),
        },
        f"{small:.0%} of the rise at 8/255, {large:.0%} at 32/255",
    )


# ---- attacks


@claim(
    "5-attack",
    verdict="measured",
    statement="One signed step of $\\varepsilon=8/255$ more than doubles the mean loss on the digits; "
    "signs at random, of the same size, change it by less than a third.",
)
def one_step_doubles_the_loss() -> Evidence:
    images = validation()[0]
    clean, after = mean_loss(images), mean_loss(attacked(SMALL))
    at_random = mean_loss(random_sign_perturbation(images, eps=SMALL))
    return Evidence(
        max(clean / after, 1.5 * abs(at_random / clean - 1)),
        0.5,
        {
            "signs at random": clean / at_random,
            "down instead of up": clean / mean_loss(attacked(SMALL, targeted=True)),
        },
        f"{after / clean:.1f} times the loss, {at_random / clean:.2f} times with random signs",
    )


@claim(
    "5-projection",
    verdict="theorem",
    statement="Five steps of $\\varepsilon$ with projection stay within $\\varepsilon$ of the image, rounding "
    "included; without it they move pixels by up to $5\\varepsilon$, and are another, stronger attack. "
    "Adding a clipped perturbation to the image can overshoot by a rounding error.",
)
def projection_keeps_the_ball() -> Evidence:
    images = validation()[0]

    def excess(perturbed: Tensor) -> float:
        return ((perturbed.double() - images.double()).abs().max() - SMALL).clamp(min=0).item()

    far = attacked(SMALL, steps=5, project=False)
    clipped = images + (far - images).clamp(-SMALL, SMALL)
    return Evidence(
        excess(attacked(SMALL, steps=5)),
        0,
        {"without projection": excess(far), "clipped, then added": excess(clipped)},
        f"0 with projection, {255 * excess(far):.0f}/255 beyond without",
    )


def interval(images: Tensor) -> tuple[float, float]:
    """Return the 95 % confidence interval (Wilson's) of the share of wrong answers."""
    found = binomtest(wrong(images), len(images)).proportion_ci(method="wilson")
    return found.low, found.high


@claim(
    "5-accuracy",
    verdict="measured",
    statement="At $\\varepsilon=32/255$ one signed step raises the error far beyond doubt: the 95 % "
    "confidence intervals, clean and attacked, do not meet. Signs at random of the same size "
    "leave them overlapping.",
)
def one_step_lowers_the_accuracy() -> Evidence:
    images = validation()[0]
    clean, after = interval(images), interval(attacked(LARGE))
    at_random = interval(random_sign_perturbation(images, eps=LARGE))
    return Evidence(
        clean[1] / after[0],
        1,
        {"signs at random": clean[1] / at_random[0]},
        f"{clean[0]:.1%} to {clean[1]:.1%} wrong before, {after[0]:.1%} to {after[1]:.1%} after",
    )


@claim(
    "5-transfer",
    verdict="measured",
    statement="Images made against one network fool another, trained from another seed: at "
    "$\\varepsilon=32/255$ they raise its error well above that of random signs, though less than "
    "its own attack does.",
)
def attacks_transfer() -> Evidence:
    images, ours, theirs = validation()[0], network(0), network(1)
    own, other = wrong(attacked(LARGE, theirs), theirs), wrong(attacked(LARGE, ours), theirs)
    at_random = wrong(random_sign_perturbation(images, eps=LARGE), theirs)

    def error(transferred: int) -> float:
        return max(at_random / transferred, transferred / own)

    count = len(images)
    return Evidence(
        error(other),
        0.9,
        {"signs at random": error(at_random), "its own attack": error(own)},
        f"error {other / count:.0%}; its own attack {own / count:.0%}, random signs "
        f"{at_random / count:.0%}",
    )


# ---- dimension


@claim(
    "5-random",
    verdict="theorem",
    statement="For random signs the first-order change $\\varepsilon\\,s^\\top g$ has mean 0 and standard "
    "deviation $\\varepsilon\\|g\\|_2$; the signed gradient's is $\\varepsilon\\|g\\|_1$. Their ratio "
    "$\\|g\\|_1/\\|g\\|_2$ lies between 1 (one pixel counts) and $\\sqrt n$ (all count alike).",
)
def random_signs_change_by_the_two_norm() -> Evidence:
    g = random(10, seed=6)
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=10)), dtype=g.dtype)
    changes = corners @ g
    spread = changes.square().mean().sqrt().item()
    ends = [torch.eye(9)[0], torch.ones(9)]
    ratios = [(end.abs().sum() / end.norm()).item() for end in ends]
    return Evidence(
        max(
            abs(changes.mean().item()),
            abs(spread - g.norm().item()),
            abs(ratios[0] - 1),
            abs(ratios[1] - 3),
        ),
        1e-6,
        {
            "the ℓ1 norm": abs(spread - g.abs().sum().item()),
            "the ℓ∞ norm": abs(spread - largest(g)),
        },
        f"standard deviation {spread:.4f} over all {len(corners)} sign patterns",
    )


@claim(
    "5-dimension",
    verdict="theorem",
    statement="Show a linear classifier every image enlarged, each pixel repeated $k\\times k$ times. The "
    "classifier of least norm that gives the same scores has each weight divided by $k^2$. It has "
    "$k^2$ times as many inputs, and is as vulnerable as before: $\\|w\\|_1$ is unchanged. But random "
    "signs do $k$ times less: $\\|w\\|_2$ is divided by $k$.",
)
def more_pixels_alone_do_no_harm() -> Evidence:
    k, w = 3, random(4, 4, seed=7)
    images = random(40, 4, 4, seed=8)
    scores = images.flatten(1) @ w.flatten()

    def enlarge(x: Tensor) -> Tensor:
        return x.repeat_interleave(k, -1).repeat_interleave(k, -2)

    # the solution of least norm, found without the formula
    found = torch.linalg.lstsq(enlarge(images).flatten(1), scores, driver="gelsd").solution
    divided = (enlarge(w) / k**2).flatten()
    return Evidence(
        max(
            largest(found - divided),
            abs(found.abs().sum() - w.abs().sum()).item(),
            abs(found.norm() - w.norm() / k).item(),
        ),
        1e-10,
        {
            "the worst case grows with the pixels": abs(
                found.abs().sum() - k**2 * w.abs().sum()
            ).item(),
            "random signs do as before": abs(found.norm() - w.norm()).item(),
        },
        f"‖w‖₁ = {found.abs().sum():.4f} with {16 * k**2} pixels as with 16",
    )
