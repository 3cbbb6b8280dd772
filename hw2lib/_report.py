"""The figures that the question asks of a network in full width, from its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from hw2lib import figures
from hw2lib.training import History

PARTS = {"training": figures.BLUE, "validation": figures.ORANGE}
DOTS = 200  # an inch


class Shown(NamedTuple):
    """Images, the gradients of their losses, their labels, what the network answers, the names."""

    images: Tensor
    gradients: Tensor
    labels: Tensor
    answers: Tensor
    classes: Sequence[str]


def write_figures(
    checkpoint: Path, history: History, shown: Shown, losses: Mapping[str, Sequence[float]]
) -> list[Path]:
    """Draw all beside a checkpoint, named after it; return their files. No epoch, no curves."""
    with plt.style.context("hw2lib.figures"):
        drawn = {"gradients": draw_gradients(shown), "losses": draw_losses(losses)}
        if len(history.learning_rate):
            drawn["curves"] = draw_history(history)
    files = []
    for name, figure in drawn.items():
        file = checkpoint.with_name(f"{checkpoint.stem}-{name}.png")
        try:
            figure.savefig(file, dpi=DOTS)
        except OSError as error:
            raise OSError(f"figure {file} cannot be written: {error}") from error
        files.append(file)
    return files


def draw_history(history: History) -> Figure:
    """Draw loss and error of training and validation, epoch by epoch."""
    figure = Figure(figsize=(5.2, 5.2))
    epochs = range(1, len(history.learning_rate) + 1)
    panels = figure.subplots(2, 1, sharex=True)
    for panel, quantity, unit in zip(panels, ("loss", "error"), (1, 100), strict=True):
        for part, color in PARTS.items():
            values = unit * getattr(history, f"{part}_{quantity}")
            panel.plot(epochs, values, color=color, lw=2, label=part)
        for last in (history.learning_rate.diff().nonzero()[:, 0] + 1).tolist():
            panel.axvline(last + 0.5, color=figures.MUTED, ls=":", lw=0.9)
        panel.set_ylim(bottom=0)
    panels[0].set_ylabel("mean loss, nats")
    panels[1].set(ylabel="wrong answers, %", xlabel="epoch (dotted: another learning rate)")
    panels[1].xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend()
    error = 100 * history.validation_error[-1].item()
    figures.headline(figure, f"After {len(epochs)} epochs {error:.1f}\u202f% are wrong")
    return figure


def draw_gradients(shown: Shown) -> Figure:
    """Draw each image above its gradient, the mean over the channels, on a scale of its own."""
    count = len(shown.images)
    figure = Figure(figsize=(1.7 * count, 4.6))
    panels = figure.subplots(2, count, squeeze=False)
    for image, gradient, label, answer, (top, bottom) in zip(*shown[:4], panels.T, strict=True):
        name, said = (shown.classes[int(number)] for number in (label, answer))
        color = figures.INK if name == said else figures.RED
        draw_image(top, image)
        top.set_title(f"{name}\n{'right' if name == said else f'read as {said}'}", color=color)
        mean = gradient.mean(0)
        figures.draw_pixels(bottom, mean, largest=mean.abs().max().item() or 1.0, signed=True)
        size = gradient.abs().sum().item()
        bottom.set_xlabel(f"{size:.0f}" if size >= 10 else f"{size:.2g}", color=color)
    figure.supxlabel("red: more there raises the loss; number: ‖∇ℓ‖₁", fontsize=12)
    figures.headline(figure, "Images, and the gradients of their losses")
    return figure


def draw_image(axes: Axes, image: Tensor) -> None:
    """Draw an image of three channels in its colours, one of a single channel as ink."""
    if len(image) == 3:
        axes.imshow(image.permute(1, 2, 0).cpu().numpy())
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
    else:
        figures.draw_pixels(axes, image[0])


def draw_losses(losses: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the mean loss of 100 images against the step of each attack."""
    figure = Figure(figsize=(5.2, 4.0))
    axes = figure.subplots()
    for (title, values), color in zip(losses.items(), (figures.PURPLE, figures.RED), strict=True):
        axes.plot(range(len(values)), values, "-o", color=color, lw=2, label=title)
    axes.set(xlabel="step of 8/255", ylabel="mean loss of 100 images, nats")
    axes.set_ylim(bottom=0)
    axes.legend()
    figures.headline(figure, "The loss under attack")
    return figure
