"""Solution 5: scores, loss and gradient of a linear classifier, and changes of one size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from hw2lib.adversarial import input_gradient, steepest_direction
from models import Comparison, Random


def classified(random: Random) -> Sequence[Any]:
    """Return a classifier, a picture and its class; some classifiers are very sure."""
    classes, pixels = random.integers(2, 6), random.integers(1, 9)
    size = random.choice([0.1, 1.0, 300.0])
    classifier = {
        "weights": (size * random.standard_normal((classes, pixels))).tolist(),
        "bias": random.standard_normal(classes).tolist(),
    }
    return classifier, random.uniform(size=pixels).tolist(), int(random.integers(classes))


def directed(random: Random) -> Sequence[Any]:
    """Return a direction, with zeros, and a size."""
    direction = random.standard_normal(6) * random.integers(0, 2, 6)
    return direction.tolist(), random.uniform()


def network(classifier: Any) -> nn.Module:
    """Return the classifier as a network in double precision."""
    weights = torch.tensor(classifier["weights"], dtype=torch.float64)
    model = nn.Linear(*weights.T.shape, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(weights)
        model.bias.copy_(torch.tensor(classifier["bias"], dtype=torch.float64))
    return model


def scores(classifier: Any, x: Any, label: int) -> torch.Tensor:
    """Return the network's scores, shape (1, classes)."""
    return network(classifier)(torch.tensor([x], dtype=torch.float64)).detach()


def cross_entropy(classifier: Any, x: Any, label: int) -> torch.Tensor:
    """Return the network's loss."""
    return nn.functional.cross_entropy(scores(classifier, x, label), torch.tensor([label]))


def gradient(classifier: Any, x: Any, label: int) -> torch.Tensor:
    """Return the gradient of the loss with respect to the picture."""
    images = torch.tensor([x], dtype=torch.float64)
    return input_gradient(network(classifier), images, torch.tensor([label]))


def beyond(random: Random) -> Sequence[Any]:
    """Return a picture and a change that leaves the bounds of its pixels here and there."""
    return random.uniform(size=6).tolist(), random.uniform(-1, 1, 6).tolist()


def within_bounds(x: Any, change: Any) -> Any:
    """Return the changed picture, cut off at 0 and 1."""
    return np.clip(np.add(x, change), 0, 1)


def greatest(direction: Any, eps: float) -> torch.Tensor:
    """Return the worst change of a size."""
    direction = torch.tensor(direction, dtype=torch.float64)
    return eps * steepest_direction(direction, float("inf"))


def parallel(direction: Any, eps: float) -> torch.Tensor:
    """Return the change of a size along a direction."""
    direction = torch.tensor(direction, dtype=torch.float64)
    most = direction.abs().max()
    return eps * direction / most if most else direction


COMPARISONS = [
    Comparison(
        "attack-a-digit",
        "logits",
        classified,
        scores,
        mutants=[("sum + weight * x[j]!", "sum - weight * x[j]!"), ("bias[k]!)", "0)")],
    ),
    Comparison(
        "attack-a-digit",
        "loss",
        classified,
        cross_entropy,
        mutants=[
            ("+ most - scores[label]!", "- scores[label]!"),
            ("Math.exp(score - most), 0", "score, 0"),
        ],
        size=lambda *case: 1 + scores(*case).abs().max().item(),
    ),
    Comparison(
        "attack-a-digit",
        "inputGradient",
        classified,
        gradient,
        mutants=[
            ("- weights[label]![j]!", "- 0"),
            ("power / sum", "power"),
            ("Math.exp(score - most));", "Math.exp(most - score));"),
        ],
        size=lambda classifier, x, label: np.abs(classifier["weights"]).max(),
    ),
    Comparison(
        "attack-a-digit",
        "probabilities",
        lambda random: (scores(*classified(random))[0].tolist(),),
        lambda values: torch.tensor(values, dtype=torch.float64).softmax(0),
        mutants=[("power / sum", "power"), ("score - most));", "most - score));")],
    ),
    Comparison(
        "attack-a-digit",
        "changed",
        beyond,
        within_bounds,
        mutants=[
            ("value + change[j]!, 0), 1)", "value - change[j]!, 0), 1)"),
            ("0), 1));", "0), 2));"),
        ],
    ),
    Comparison(
        "attack-a-digit",
        "corner",
        directed,
        greatest,
        mutants=[("eps * Math.sign(entry)", "eps * entry")],
    ),
    Comparison(
        "attack-a-digit",
        "along",
        directed,
        parallel,
        mutants=[("(eps * entry) / most", "eps * entry")],
    ),
]
