"""The numbers that explorables show are hw2lib's, at the start and after a few keys."""

import json
import math
import re

import numpy as np
import pytest
import torch
from browser.conftest import SITE
from browser.test_explorables import PLACES, live, summary
from models.cliff import descend, residual
from models.forget_gate import lstm_memories, network, rnn_jacobians, uniforms
from models.slide_the_data import line

from hw2lib.adversarial import signed_gradient_attack
from hw2lib.datasets import digits
from hw2lib.factorization import loss, low_rank_factors, truncation_error
from hw2lib.normalization import relu_off_probability
from hw2lib.recurrent import linear_rnn_gradient
from hw2lib.scale_invariance import equilibrium_angle, sphere_step

NUMBER = re.compile(r"(−?\d+(?:\.(\d+))?)(?:·10(−?\d+))?")


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def growth_lab(handles, sliders):
    (a, b), (c, _), z0, zbar = handles
    W = double([[a, 1], [0, c]] if b == 0 else [[a, 1], [-b * b, a]])
    z0, zbar = double(z0), double(zbar)
    before = torch.linalg.matrix_power(W, 59) @ z0
    return [
        abs(complex(a, b)),
        abs(complex(a, b)) if b else abs(c),
        (W @ before).norm(),
        linear_rnn_gradient(W, z0, zbar, 60).norm(),
        60 * zbar.norm() * before.norm(),
    ]


def rank_slider(handles, sliders):
    images, _ = digits()
    X, rank = images - images.mean(0), int(sliders[0])
    return [rank, truncation_error(X, rank), loss(X, *low_rank_factors(X, rank))]


def attack_a_digit(handles, sliders):
    (file,) = SITE.parent.glob("doctrees/explorables-*/attack-a-digit.json")
    data, eps, digit = json.loads(file.read_text()), sliders[0], int(sliders[1])
    model = torch.nn.Linear(64, 10, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(double(data["weights"]))
        model.bias.copy_(double(data["bias"]))
    image, label = double([data["digits"][digit]]) / 16, torch.tensor([digit])
    attacked = signed_gradient_attack(model, image, label, eps=eps)
    with torch.no_grad():
        scores = model(attacked)
        losses = [torch.nn.functional.cross_entropy(model(x), label) for x in (image, attacked)]
    return [digit, eps, scores.argmax(), 100 * scores.softmax(1).max(), *losses]


def valley(handles, sliders):
    ((a, b),), (x, rate) = handles, sliders
    total, path = a + b, [(a, b)]
    for _ in range(160):
        residual = x - a * b
        a, b = a + 2 * rate * residual * b, b + 2 * rate * residual * a
        path.append((a, b))
    distances = [math.hypot(*point) for point in path]
    nearest = min(distances)
    return [total, distances.index(nearest), nearest, (x - a * b) ** 2]


def sphere_walker(handles, sliders):
    (x,), (rate, decay, momentum) = double(handles), sliders
    gradient = double([x[1], -x[0]]) / x.square().sum()
    shrunk = x * (1 - rate * decay)
    turned = sphere_step(shrunk, gradient, rate).angle
    settled = math.degrees(equilibrium_angle(rate, decay, momentum))
    return [x.norm(), math.degrees(turned), settled, settled]


def batchnorm_bench(handles, sliders):
    ((bias, _),), (gamma, beta) = handles, sliders
    offset = gamma * bias / math.sqrt(1 + 1e-5)
    return [bias, offset, 100 * relu_off_probability(beta, gamma)]


def cliff(handles, sliders):
    """Return what the clipped path shows; the free one amplifies rounding."""
    path = descend(handles[0], sliders[1], "norm", 10 ** sliders[0], 280)
    return [path.diff(dim=0).norm(dim=1).max(), residual(*path[-1]).square()]


def forget_gate(handles, sliders):
    (bias, steps), units = (sliders[0], int(sliders[1])), 8
    rest = [0.0] * units
    lstm, rnn = (network(13, blocks, units, 50) for blocks in (4, 1))
    *_, by_cell, kept = lstm_memories({"W": lstm[0], "drives": lstm[1][:steps]}, bias, rest, rest)
    jacobian = rnn_jacobians({"W": rnn[0], "drives": rnn[1][:steps]}, rest)[-1]
    return [bias, steps, max(kept), np.linalg.norm(by_cell, 2), np.linalg.norm(jacobian, 2)]


def slide_the_data(handles, sliders):
    ((place, _),), penalty = handles, 10 ** sliders[0]
    drawn = np.array(uniforms(7, 48)).reshape(-1, 2)
    noise = np.sqrt(-2 * np.log(1 - drawn[:, 0])) * np.cos(2 * np.pi * drawn[:, 1])
    along = (np.arange(24) - 11.5) / 8
    points = np.stack([along + place, 3 + along + 0.4 * noise], 1)
    return [place, penalty, *(line(points, penalty, penalised)[0] for penalised in (False, True))]


CASES = {
    "cliff": (
        "Clipped, the longest step is # and the loss at the end #. "
        "Not clipped, the longest step is @ and the loss at the end @.",
        cliff,
        [("slider", 1, "ArrowLeft"), ("handle", 0, "ArrowRight")],
    ),
    "forget-gate": (
        "With # added to the forget biases and T = #, the direct path keeps at most #; "
        "the whole Jacobian has norm #, the RNN’s #.",
        forget_gate,
        [("slider", 0, "ArrowRight"), ("slider", 1, "ArrowLeft")],
    ),
    "slide-the-data": (
        "Points around x = #, penalty λ = #: the line has slope # with a free intercept, "
        "# with a penalised one.",
        slide_the_data,
        [("handle", 0, "ArrowRight"), ("slider", 0, "ArrowLeft")],
    ),
    "growth-lab": (
        "|λ1| = #, |λ2| = #. After 60 steps the state has size #, the gradient #; "
        "the formula for one unit says #.",
        growth_lab,
        [("handle", 0, "ArrowUp"), ("handle", 2, "Home")],
    ),
    "rank-slider": (
        "Rank #: the lost tail sums to #; ‖X − AB‖2, computed from all 1797 digits, is #.",
        rank_slider,
        [("slider", 0, "ArrowRight")],
    ),
    "attack-a-digit": (
        "A #, every pixel changed by at most #: the answer is #, wrong, with # %; "
        "the loss goes from # to #.",
        attack_a_digit,
        [("slider", 0, "End"), ("slider", 1, "ArrowRight")],
    ),
    "valley": (
        "a + b = # at the start. The path is nearest to the saddle at step #, "
        "at the distance #; at step 160 the loss is #.",
        valley,
        [("handle", 0, "Shift+ArrowRight"), ("slider", 0, "ArrowRight")],
    ),
    "sphere-walker": (
        "Step 1 turns x, of length #, by #°. Predicted in balance: #°; "
        "the last 30 of 90 steps: #° (root mean square).",
        sphere_walker,
        [("handle", 0, "ArrowRight"), ("slider", 1, "ArrowRight")],
    ),
    "batchnorm-bench": (
        "Bias #, moved k = 0 training batches ago, adds nothing in training mode and # in eval "
        "mode. Of normal values around β a ReLU would zero # %.",
        batchnorm_bench,
        [("handle", 0, "ArrowLeft"), ("slider", 1, "ArrowRight")],
    ),
}


def numbers(text, template):
    """Return each number that stands in a text for a # of a template, and half its last digit.

    For an @ there may be any number.
    """
    pattern = re.escape(template).replace(r"\#", f"({NUMBER.pattern})").replace("@", r"\S+?")
    found = re.fullmatch(pattern, " ".join(text.split()))
    assert found, text
    result = []
    for number in found.groups()[::4]:
        mantissa, places, exponent = NUMBER.fullmatch(number).groups()
        power = 10.0 ** int((exponent or "0").replace("−", "-"))
        value = float(mantissa.replace("−", "-")) * power
        result.append((value, 0.501 * power / 10 ** len(places or "")))
    return result


def test_every_explorable_has_a_case():
    assert CASES.keys() == {name for name, _ in PLACES}


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_the_librarys(name, visit):
    template, expected, keys = CASES[name]
    page = visit(next(path for other, path in PLACES if other == name))
    explorable = live(page, name)
    controls = {
        "handle": explorable.locator(".handle"),
        "slider": explorable.locator("input[type=range]"),
    }

    def check():
        handles = [
            [float(value) for value in handle.get_attribute("data-at").split()]
            for handle in controls["handle"].all()
        ]
        sliders = [float(slider.input_value()) for slider in controls["slider"].all()]
        shown = numbers(summary(explorable), template)
        for (value, allowed), wanted in zip(shown, expected(handles, sliders), strict=True):
            assert value == pytest.approx(float(wanted), abs=allowed, rel=0)

    check()
    for kind, index, key in keys:
        before = summary(explorable)
        controls[kind].nth(index).press(key)
        assert summary(explorable) != before
        check()
