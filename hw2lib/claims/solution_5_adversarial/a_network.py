"""Claims of Solution 5: the network, and the digits that it is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hw2lib.allcnn import AllCNN
from hw2lib.claims.registry import Trial, claim, outside
from hw2lib.claims.solution_5_adversarial.shared import (
    COUNT,
    SMALL,
    Seen,
    attack,
    look,
    train_two_layers,
    two_layers,
    validation,
)
from hw2lib.claims.tools import shortfall, size, spread
from hw2lib.datasets import ImageData, digits, digits_data, digits_forms

outside(
    "5",
    printed="See the Jupyter notebook.",
    statement="The notebook is lost. The question is answered anew here, by a notebook that the build "
    "runs; what is ours is checked below.",
)


# ---- the network


class Shape(NamedTuple):
    """Classes, channels of the images, and widths before and after the first stride."""

    classes: int
    channels: int
    narrow: int
    wide: int


QUESTION = Shape(10, 3, 96, 192)


def shapes(rng: np.random.Generator) -> Iterator[tuple[str, Shape]]:
    """Yield the question's network, the reduced ones, the least one, then random shapes."""
    yield "the question's", QUESTION
    yield "the reduced one", Shape(10, 1, 16, 32)
    yield "every width 1", Shape(1, 1, 1, 1)
    yield "narrower after the stride", Shape(3, 2, 9, 2)
    while True:
        shape = Shape(*(size(rng, 1, 12) for _ in range(4)))
        yield "{} classes, {} channels, widths {} and {}".format(*shape), shape


def count(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def network(shape: Shape, batchnorm: bool) -> AllCNN:
    """Return the all-convolutional network of a shape, for images of 4×4 pixels."""
    widths = (shape.narrow, shape.wide)
    return AllCNN(shape.channels, shape.classes, 4, widths=widths, batchnorm=batchnorm)


@claim(
    "5-parameters",
    kind="identity",
    verdict="theorem",
    statement=r"All-CNN-C (biases, no batch norm) on images of $C_0$ channels, with widths $C_1$ and $C_2$ and $K$ "
    r"classes, has $9\,(C_0C_1+2C_1^2+C_1C_2+3C_2^2)+C_2^2+C_2K$ weights and $3C_1+5C_2+K$ biases. Batch norm instead of the "
    r"biases of all layers but the last adds one number a channel, $3C_1+5C_2$. In the question's size, "
    r"$C_0=3$, $C_1=96$, $C_2=192$, $K=10$, that is {value}`weights` weights and {value}`biases` biases, "
    r"{value}`plain` parameters together, and {value}`normalised` with batch norm.",
    family=shapes,
    exact=True,
)
def parameter_count_of_allcnn(shape: Shape) -> Trial:
    k, c, a, b = shape
    weights, biases = 9 * (c * a + 2 * a**2 + a * b + 3 * b**2) + b**2 + b * k, 3 * a + 5 * b + k
    plain, normalised = (count(network(shape, batchnorm)) for batchnorm in (False, True))
    values = {"weights": weights, "biases": biases, "plain": plain, "normalised": normalised}
    return Trial(
        max(abs(plain - weights - biases), abs(normalised - plain - (biases - k))),
        {
            "without biases": abs(plain - weights),
            "a third 3×3 convolution instead of the 1×1": abs(plain - weights - biases - 8 * b**2),
            "two numbers a channel": abs(normalised - plain - 2 * (biases - k)),
        },
        values if shape == QUESTION else {},
    )


# ---- writers


@cache
def handwriting() -> tuple[Tensor, Tensor, Tensor, tuple[str, ...]]:
    """Return images, labels and forms of all digits, and the classes' names, read once."""
    flat, labels = digits()
    images = (flat / 16).float().view(-1, 1, 8, 8)
    return images, labels, digits_forms(), digits_data().classes


def without_forms(chosen: np.ndarray) -> ImageData:
    """Return the digits, those of some forms kept for validation."""
    images, labels, forms, classes = handwriting()
    held_out = torch.isin(forms, torch.as_tensor(chosen))
    return ImageData(
        images[~held_out], labels[~held_out], images[held_out], labels[held_out], classes
    )


class Hands(NamedTuple):
    """What networks answer to digits of known hands and of others, before and after a step."""

    known: Seen
    known_attacked: Seen
    unseen: Seen
    unseen_attacked: Seen
    trained_on: Seen


@cache
def hands(seed: int) -> Hands:
    """Train networks without three forms each; look at them, and at those of the random split."""
    rng = np.random.default_rng([5, seed])
    forms = [without_forms(rng.choice(14, 3, replace=False)) for _ in range(COUNT)]
    fewest = min(len(data.validation_labels) for data in forms)
    others = (
        torch.cat([data.validation_images[:fewest] for data in forms]),
        torch.cat([data.validation_labels[:fewest] for data in forms]),
    )
    split, unseen = two_layers(seed), train_two_layers(forms, seed)

    def attacked(model: nn.Module, images: Tensor, labels: Tensor) -> Seen:
        after = attack(model, images, labels, eps=SMALL)
        return look(model, after, labels)

    return Hands(
        look(split, *validation()),
        attacked(split, *validation()),
        look(unseen, *others),
        attacked(unseen, *others),
        look(split, *others),
    )


@claim(
    "5-writers",
    kind="measured",
    verdict="measured",
    statement=r"Split at random, training and validation share their writers: eight networks of one hidden layer err on "
    r"{value}`known:.1%` (from {value}`known_least:.1%` to {value}`known_most:.1%`) of the validation digits. "
    r"Eight others, each trained without three of the 14 forms, drawn at random, err on {value}`unseen:.1%` of "
    r"{value}`count:d` digits of those (from {value}`unseen_least:.1%` to {value}`unseen_most:.1%`: the forms differ much). On average over the eight the "
    r"error is {value}`error_ratio:.1f` times as large and the loss {value}`loss_ratio:.1f` times; a signed step of "
    r"$8/255$ then multiplies the mean loss by {value}`unseen_attack:.1f` instead of {value}`known_attack:.1f`.",
)
def unseen_writers_are_harder(seed: int) -> Trial:
    found = hands(seed)
    known_attack = total(found.known_attacked) / total(found.known)
    unseen_attack = total(found.unseen_attacked) / total(found.unseen)

    def ratios(seen: Seen) -> tuple[float, float]:
        return (
            (seen.error.mean() / found.known.error.mean()).item(),
            total(seen) / total(found.known),
        )

    def error(errors: float, losses: float, multiplied: float) -> float:
        return max(
            shortfall(errors, 1.6), shortfall(losses, 1.6), shortfall(known_attack, multiplied)
        )

    (errors, losses), trained_on = ratios(found.unseen), ratios(found.trained_on)
    return Trial(
        error(errors, losses, unseen_attack),
        {"the same forms, most of them trained on": error(*trained_on, unseen_attack)},
        {
            **spread("known", found.known.error.tolist()),
            **spread("unseen", found.unseen.error.tolist()),
            "error_ratio": errors,
            "loss_ratio": losses,
            "known_attack": known_attack,
            "unseen_attack": unseen_attack,
            "count": found.unseen.wrong.shape[1],
        },
        cases=COUNT,
    )


def total(seen: Seen) -> float:
    """Return the mean loss over all networks of a family."""
    return seen.mean.mean().item()
