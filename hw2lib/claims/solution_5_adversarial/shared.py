"""The networks of Solution 5's experiments: eight at once, trained when first asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hw2lib.adversarial import input_gradient, random_sign_perturbation, signed_gradient_attack
from hw2lib.allcnn import AllCNN, PixelNormalization
from hw2lib.claims.tools import eager, normal, size, tensor
from hw2lib.datasets import ImageData, digits_data
from hw2lib.parameters import parameter_groups
from hw2lib.training import predict, step_schedule

COUNT = 8
EPOCHS, BATCH, WIDTHS, DROPOUT = 3, 48, (8, 16), (0.1, 0.1)
SMALL, LARGE = 8 / 255, 32 / 255


# ---- several networks as one


def merge(layers: Sequence[nn.Module]) -> nn.Module:
    """Return layers of one shape as one layer that applies each to its own channels."""
    first, count = layers[0], len(layers)
    if isinstance(first, nn.Sequential):
        return nn.Sequential(*(merge(column) for column in zip(*layers, strict=True)))
    if isinstance(first, PixelNormalization):
        names = ("mean", "std")
        return PixelNormalization(
            *(torch.cat([getattr(layer, name) for layer in layers]) for name in names)
        )
    if isinstance(first, nn.Conv2d):
        merged: nn.Module = nn.Conv2d(
            count * first.in_channels,
            count * first.out_channels,
            first.kernel_size,  # type: ignore[arg-type]
            first.stride,  # type: ignore[arg-type]
            first.padding,  # type: ignore[arg-type]
            groups=count,
            bias=first.bias is not None,
        )
    elif isinstance(first, nn.BatchNorm2d):
        merged = nn.BatchNorm2d(count * first.num_features)
    else:
        return first
    states = [layer.state_dict() for layer in layers]
    merged.load_state_dict(
        {
            name: torch.cat([state[name] for state in states]) if value.ndim else value
            for name, value in states[0].items()
        }
    )
    return merged


class Family(nn.Module):
    """Networks of one shape side by side, each with the images that belong to it.

    Takes a batch (count · N, …), the first N images for the first network and so on, so that every
    function of hw2lib that takes a network takes a whole family; in training mode each network has
    its own batch statistics.
    """

    def __init__(self, models: Sequence[AllCNN]) -> None:
        super().__init__()
        self.count = len(models)
        parts = ((model.normalize, *model.features, model.classes) for model in models)
        self.layers = merge([nn.Sequential(*each) for each in parts])

    def forward(self, images: Tensor) -> Tensor:
        """Map images (count · N, 1, H, W) to logits (count · N, classes)."""
        beside = images.unflatten(0, (self.count, -1)).transpose(0, 1).flatten(1, 2)
        beside = beside.contiguous(memory_format=torch.channels_last)
        logits = self.layers(beside).mean((2, 3)).unflatten(1, (self.count, -1))
        return logits.transpose(0, 1).flatten(0, 1)


def attack(model: nn.Module, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
    """Attack networks side by side, with the images of all of them at once."""
    return signed_gradient_attack(model, images, labels, batch_size=len(images), **options)


def member(family: Family, number: int) -> AllCNN:
    """Return one network of a family, by itself."""
    model = AllCNN(1, 10, 8, widths=WIDTHS).eval()
    states = family.state_dict().values()
    own = (state.chunk(family.count)[number] if state.ndim else state for state in states)
    model.load_state_dict(dict(zip(model.state_dict(), own, strict=True)))
    return model


@cache
def family(seed: int) -> Family:
    """Train eight networks on the digits, by the recipe of :func:`hw2lib.training.fit`."""
    data, first = digits_data(), COUNT * seed
    mean, std = data.pixel_statistics()
    models = []
    with torch.random.fork_rng([]):
        for number in range(COUNT):
            torch.default_generator.manual_seed(first + number)
            model = AllCNN(1, 10, 8, widths=WIDTHS, dropout=DROPOUT, pixel_mean=mean, pixel_std=std)
            models.append(model)
        networks, threads = Family(models), torch.get_num_threads()
        torch.set_num_threads(1)  # for layers this small, threads mostly wait for each other
        try:
            train(networks, data, np.random.default_rng(first))
        finally:
            torch.set_num_threads(threads)
    return networks


def train(networks: Family, data: ImageData, rng: np.random.Generator) -> None:
    """Train each network on the images in an order of its own."""
    networks.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = eager(torch.optim.SGD)(
        parameter_groups(networks, 1e-3), lr=0.1, momentum=0.9, nesterov=True, fused=True
    )
    images, labels = data.training_images, data.training_labels
    for rate in step_schedule(EPOCHS).tolist():
        for group in optimizer.param_groups:
            group["lr"] = rate
        orders = torch.as_tensor(np.stack([rng.permutation(len(labels)) for _ in range(COUNT)]))
        for chosen in orders[:, : len(labels) // BATCH * BATCH].split(BATCH, 1):
            # a mean over each network's batch, a sum over the networks
            loss = COUNT * cross_entropy(networks(images[chosen.ravel()]), labels[chosen.ravel()])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    networks.eval()


class TwoLayers(nn.Module):
    """Fully connected networks with 64 hidden units, side by side as in the family."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw, hidden = torch.Generator().manual_seed(seed), 64
        self.first = nn.Parameter(torch.randn(COUNT, 64, hidden, generator=draw) / 32**0.5)
        self.shift = nn.Parameter(torch.zeros(COUNT, 1, hidden))
        self.second = nn.Parameter(torch.randn(COUNT, hidden, 10, generator=draw) / hidden**0.5)
        self.bias = nn.Parameter(torch.zeros(COUNT, 1, 10))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (count · N, …), the first N for the first, to logits (count · N, 10)."""
        beside = images.flatten(1).unflatten(0, (COUNT, -1))
        hidden = torch.baddbmm(self.shift, beside, self.first).relu()
        return torch.baddbmm(self.bias, hidden, self.second).flatten(0, 1)


def train_two_layers(data: Sequence[ImageData], seed: int, eps: float = 0.0) -> TwoLayers:
    """Train each network on its own data, attacked first in two projected steps if ε is not 0."""
    epochs, batch, model = 9, 128, TwoLayers(COUNT * seed)
    optimizer = eager(torch.optim.Adam)(model.parameters(), fused=True)
    fewest = min(len(each.training_labels) for each in data)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.01, total_steps=epochs * (fewest // batch)
    )
    draw = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        orders = [torch.randperm(len(each.training_labels), generator=draw) for each in data]
        for start in range(0, fewest // batch * batch, batch):
            pairs = [
                (each, order[start : start + batch])
                for each, order in zip(data, orders, strict=True)
            ]
            images = torch.cat([each.training_images[chosen] for each, chosen in pairs])
            labels = torch.cat([each.training_labels[chosen] for each, chosen in pairs])
            if eps:
                images = attack(model, images, labels, eps=eps, steps=2, step_size=0.625 * eps)
            loss = COUNT * cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@cache
def two_layers(seed: int, eps: float = 0.0) -> TwoLayers:
    """Train eight of these networks on the random split, on images changed by up to ε."""
    return train_two_layers([digits_data()] * COUNT, seed, eps)


# ---- networks of all kinds, for statements about every network


class Problem(NamedTuple):
    """A network in double precision, and a batch of images with their labels."""

    model: nn.Module
    images: Tensor
    labels: Tensor


def layered(rng: np.random.Generator, widths: Sequence[int], scale: float = 1.0) -> nn.Sequential:
    """Return a fully connected ReLU network with random weights and biases, in double precision."""
    layers: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in itertools.pairwise(widths):
        layers += [nn.Linear(wide, narrow, dtype=torch.float64), nn.ReLU()]
    with torch.no_grad():
        for layer in layers[1::2]:
            for parameter in layer.parameters():
                parameter.copy_(scale * normal(rng, *parameter.shape) / parameter.shape[-1] ** 0.5)
    return nn.Sequential(*layers[:-1])


def parameter(layer: nn.Module, name: str) -> Tensor:
    """Return a parameter or a buffer of a layer by its name."""
    return layer.state_dict(keep_vars=True)[name]


def problem(rng: np.random.Generator, model: nn.Module, *shape: int, classes: int) -> Problem:
    """Return random images inside the bounds of the pixels, and random labels."""
    labels = torch.as_tensor(rng.integers(0, classes, shape[0]))
    return Problem(model.eval(), tensor(rng.uniform(0, 1, shape)), labels)


def relu_networks(rng: np.random.Generator) -> Iterator[tuple[str, Problem]]:
    """Yield piecewise linear networks: linear, dead, sure, convolutional, then random ones."""
    yield "one class", problem(rng, layered(rng, [3, 1]), 2, 3, classes=1)
    yield "one pixel, two classes", problem(rng, layered(rng, [1, 2]), 2, 1, classes=2)
    yield "linear", problem(rng, layered(rng, [6, 4]), 3, 6, classes=4)
    dead = layered(rng, [5, 4, 3])
    with torch.no_grad():
        parameter(dead[1], "bias").fill_(-100.0)
    yield "every unit off", problem(rng, dead, 3, 5, classes=3)
    for scale in (1e-3, 10.0, 100.0):
        model = layered(rng, [6, 8, 5], scale)
        yield f"weights times {scale:g}", problem(rng, model, 3, 6, classes=5)
    tied = layered(rng, [6, 5, 4])
    with torch.no_grad():
        weight = parameter(tied[3], "weight")
        weight.copy_(weight[:1].expand(4, 5))
    yield "all classes alike", problem(rng, tied, 3, 6, classes=4)
    for batchnorm in (True, False):
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(int(rng.integers(2**31)))
            convolutional = AllCNN(1, 10, 8, widths=(4, 6), batchnorm=batchnorm).double()
        name = f"convolutional, batch norm {'on' if batchnorm else 'off'}"
        yield name, problem(rng, convolutional, 3, 1, 8, 8, classes=10)
    while True:
        pixels, classes = size(rng, 1, 12), size(rng, 2, 6)
        widths = [pixels, *(size(rng, 1, 12) for _ in range(size(rng, 1, 3))), classes]
        model = layered(rng, widths, scale=float(rng.choice([1.0, 3.0])))
        yield f"widths {widths}", problem(rng, model, 3, pixels, classes=classes)


# ---- what several claims ask of the networks of the random split, each computed once


class Seen(NamedTuple):
    """What networks answer to images: one row a network, one column an image."""

    loss: Tensor
    wrong: Tensor

    @property
    def mean(self) -> Tensor:
        """Each network's mean loss, in double precision."""
        return self.loss.double().mean(1)

    @property
    def error(self) -> Tensor:
        """Each network's share of wrong answers, in double precision."""
        return self.wrong.double().mean(1)


def look(model: nn.Module, images: Tensor, labels: Tensor, count: int = COUNT) -> Seen:
    """Return the losses and mistakes of a family."""
    logits = predict(model, images, batch_size=len(images))
    losses = cross_entropy(logits, labels, reduction="none")
    return Seen(losses.view(count, -1), (logits.argmax(1) != labels).view(count, -1))


@cache
def validation() -> tuple[Tensor, Tensor]:
    """Return the validation images and labels, once for every network."""
    data = digits_data()
    return data.validation_images.repeat(COUNT, 1, 1, 1), data.validation_labels.repeat(COUNT)


@cache
def attacked(seed: int, eps: float, steps: int = 1, targeted: bool = False) -> Tensor:
    """Return the validation images after each network's attack, several steps being of ε/2."""
    images, labels = validation()
    if steps == 1:  # the gradient at the images is known
        change = (-eps if targeted else eps) * gradients(seed).sign().view_as(images)
        return (images + change).clamp(0.0, 1.0)
    return attack(
        family(seed), images, labels, eps=eps, steps=steps, step_size=eps / 2, targeted=targeted
    )


@cache
def seen(seed: int, eps: float = 0.0, steps: int = 1, targeted: bool = False) -> Seen:
    """Return what the networks answer after their attacks; at ε = 0 to the images."""
    images, labels = validation()
    after = attacked(seed, eps, steps, targeted) if eps else images
    return look(family(seed), after, labels)


@cache
def seen_at_random(seed: int, eps: float) -> Seen:
    """Return what the networks answer to the images under random signs."""
    images, labels = validation()
    return look(family(seed), random_sign_perturbation(images, eps=eps, seed=seed), labels)


@cache
def gradients(seed: int) -> Tensor:
    """Return the gradients of the networks at the validation images, flattened: (count, N, n)."""
    images, labels = validation()
    gradient = input_gradient(family(seed), images, labels, batch_size=len(images))
    return gradient.flatten(1).unflatten(0, (COUNT, -1))


def whom(values: Tensor, shortfalls: Tensor, what: str) -> str:
    """Return which network comes nearest to contradicting a claim, and its number."""
    worst = int(shortfalls.argmax())
    return f"network {worst + 1} of {len(values)}, {what} {values[worst].item():.3g}"
