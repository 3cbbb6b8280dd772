"""What explorables take from the library: numbers that a browser should not have to compute."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hw2lib.adversarial import random_sign_perturbation, signed_gradient_attack
from hw2lib.datasets import digits
from hw2lib.factorization import loss, low_rank_factors

EPSILONS = [round(0.02 * k, 2) for k in range(16)]


def rank_slider() -> dict[str, Any]:
    """Return the digits' mean, directions and singular values, ten digits, the loss at each rank.

    The loss is that of the truncated factors, computed from all digits. Where a singular value is
    0, its direction is: any would do, and it is never needed.
    """
    images, labels = digits()
    mean = images.mean(0)
    X = images - mean
    values, rank = torch.linalg.svdvals(X), int(torch.linalg.matrix_rank(X))
    directions = torch.zeros_like(X[:64])
    directions[:rank] = low_rank_factors(X, rank).B / values[:rank, None].sqrt()
    losses = [X.square().sum(), *(loss(X, *low_rank_factors(X, rank)) for rank in range(1, 65))]
    return {
        "mean": rounded(mean, 5),
        "directions": rounded(directions, 6),
        "singularValues": rounded(values, 9),
        "losses": rounded(torch.stack(losses), 6),
        "digits": rounded(images[first_of_each(labels)], 0),
    }


def attack_a_digit() -> dict[str, Any]:
    """Return a linear classifier of the digits, ten digits, and how often it errs under attack.

    Logistic regression on the first 1200 digits, measured on the other 597.
    """
    images, labels = digits()
    images = images / 16
    model = nn.Linear(64, 10, dtype=torch.float64)
    weights, bias = fit(images[:1200], labels[:1200])
    with torch.no_grad():
        model.weight.copy_(weights)
        model.bias.copy_(bias)
    held_out, truth = images[1200:], labels[1200:]

    def wrong(changed: Tensor) -> float:
        return round((model(changed).argmax(1) != truth).double().mean().item(), 4)

    with torch.no_grad():
        belief = model(held_out).softmax(1)
    sure = (belief.argmax(1) == truth) & (belief.amax(1) > 0.9)
    shown = [int(((truth == digit) & sure).nonzero()[0]) for digit in range(10)]
    return {
        "weights": weights.tolist(),
        "bias": bias.tolist(),
        "digits": (held_out[shown] * 16).round().int().tolist(),
        "epsilons": EPSILONS,
        "wrong": {
            "signs": [
                wrong(signed_gradient_attack(model, held_out, truth, eps=e)) for e in EPSILONS
            ],
            "noise": [wrong(random_sign_perturbation(held_out, eps=e)) for e in EPSILONS],
        },
    }


def fit(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights and bias of scikit-learn's logistic regression, to three decimals."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=1000).fit(images.numpy(), labels.numpy())
    weights, bias = torch.as_tensor(fitted.coef_), torch.as_tensor(fitted.intercept_)
    return weights.round(decimals=3), bias.round(decimals=3)


def first_of_each(labels: Tensor) -> list[int]:
    """Return where each digit from 0 to 9 comes first."""
    return [int((labels == digit).nonzero()[0]) for digit in range(10)]


def rounded(values: Tensor, decimals: int) -> Any:
    """Return numbers as lists, to so many decimals, and 0 without a sign."""
    return (values.round(decimals=decimals) + 0.0).tolist()


DATA = {"rank-slider": rank_slider, "attack-a-digit": attack_a_digit}
