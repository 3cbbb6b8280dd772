"""One look for all figures: a palette with a twin for dark grounds, and authored descriptions.

``plt.style.use("hw2lib.figures")`` loads the style that lies beside this module.
"""

from __future__ import annotations

import html
import io
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import nn

from hw2lib._checks import as_tensor, check_kind, check_number
from hw2lib._svg import svg_size
from hw2lib.architecture import ResidualBlock, outline
from hw2lib.parameters import NORMALIZATION

__all__ = [
    "DARK_TWINS",
    "Picture",
    "darken_svg",
    "describe",
    "draw_pixels",
    "draw_residual_network",
    "headline",
    "picture",
    "svg_size",
]

INK, MUTED, GRID, PAPER = "#1b2733", "#5b6770", "#d9dee3", "#ffffff"
BLUE, ORANGE, GREEN, PURPLE, RED = "#1f6fb4", "#c8560b", "#2e7d4f", "#7a4fa3", "#b8273d"

DARK_TWINS = {
    INK: "#e6eaee",
    MUTED: "#a5afb9",
    GRID: "#3a434c",
    PAPER: "#131416",
    BLUE: "#68b3f2",
    ORANGE: "#ff9d5c",
    GREEN: "#6cc490",
    PURPLE: "#c59df0",
    RED: "#ff8290",
}


def describe(figure: Figure, description: str) -> None:
    """Give a figure the text that a reader who cannot see it hears (its alt text).

    Parameters
    ----------
    figure : Figure
        The figure; its label is set.
    description : str
        One or two sentences: what is drawn, and the finding.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the description is shorter than 20 characters.

    References
    ----------
    W3C, "Web Content Accessibility Guidelines 2.2", success criterion 1.1.1.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> figure = Figure()
    >>> describe(figure, "A falling line: the loss against the rank.")
    >>> figure.get_label()
    'A falling line: the loss against the rank.'
    """
    check_kind("figure", figure, Figure)
    check_kind("description", description, str)
    text = " ".join(description.split())
    if len(text) < 20:
        raise ValueError(f"description must say what the figure shows, got {description!r}")
    figure.set_label(text)


def headline(figure: Figure, text: str) -> None:
    """Set a figure's title, its finding, at the figure's left edge.

    There it stands in the same place in all figures, however wide the labels of the axes are. A
    long one is wrapped into lines of about the same length, better still after a comma or colon.

    Parameters
    ----------
    figure : Figure
        The figure.
    text : str
        The finding; line breaks are kept.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the text is empty.

    References
    ----------
    Tufte, "The Visual Display of Quantitative Information", 2nd ed., 2001, chapter 9.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> figure = Figure(figsize=(5.2, 3.6))
    >>> headline(figure, "Loss above the least: all three arrive, unbalanced last")
    >>> print(figure.get_suptitle())
    Loss above the least:
    all three arrive, unbalanced last
    """
    check_kind("figure", figure, Figure)
    check_kind("text", text, str)
    if not text.strip():
        raise ValueError(f"text must say what the figure shows, got {text!r}")
    fits = max(1, int(10.4 * figure.get_figwidth()))
    lines = [part for line in text.splitlines() for part in wrap(line.strip(), fits)]
    edge = figure.get_figwidth() * 72
    figure.suptitle("\n".join(lines), x=0.5 / edge, ha="left")


def wrap(line: str, fits: int) -> list[str]:
    """Break a line that does not fit in two; a break after punctuation is worth 20 letters."""
    if len(line) <= fits:
        return [line]
    breaks = [(line[: space.start()], line[space.end() :]) for space in re.finditer(" ", line)]
    halves = [pair for pair in breaks if max(map(len, pair)) <= fits]
    if not halves:
        return textwrap.wrap(line, fits, break_long_words=False)
    first, second = min(
        halves, key=lambda pair: abs(len(pair[0]) - len(pair[1])) + 20 * pair[0][-1].isalnum()
    )
    return [first, second]


def darken_svg(svg: str) -> str:
    """Return an SVG for dark grounds: every colour of the palette replaced by its twin.

    Parameters
    ----------
    svg : str
        The source of the SVG for light grounds.

    Returns
    -------
    str
        The source of its twin.

    Raises
    ------
    TypeError
        If `svg` is not a string.

    References
    ----------
    W3C, "Web Content Accessibility Guidelines 2.2", success criterion 1.4.11 (contrast).

    Examples
    --------
    >>> darken_svg("stroke: #1f6fb4")
    'stroke: #68b3f2'
    """
    check_kind("svg", svg, str)
    palette = re.compile("|".join(DARK_TWINS), re.IGNORECASE)
    return palette.sub(lambda match: DARK_TWINS[match[0].lower()], svg)


@dataclass(frozen=True)
class Picture:
    """A finished figure, as SVG for light and for dark grounds; a notebook shows it as HTML.

    Attributes
    ----------
    light, dark : str
        The sources.
    description : str
        Its alt text.
    """

    light: str
    dark: str
    description: str

    def _repr_html_(self) -> str:
        """Return both images; outside the site, which switches by these classes, the light one."""
        alt = html.escape(self.description, quote=True)
        width, height = svg_size(self.light)
        return "".join(
            f'<img class="{theme} notebook-figure" style="{style}" alt="{alt}" '
            f'width="{width}" height="{height}" '
            f'src="data:image/svg+xml,{quote(svg, safe=" /:;,=()-_.!~*+?@")}">'
            for svg, theme, style in (
                (self.light, "only-light", ""),
                (self.dark, "only-dark", "display: none"),
            )
        )


def picture(figure: Figure, description: str) -> Picture:
    """Finish a figure of a notebook: give it its alt text, draw it for both grounds, close it.

    Parameters
    ----------
    figure : Figure
        The figure.
    description : str
        As for :func:`describe`.

    Returns
    -------
    Picture
        Shown if it is a cell's last value.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the description is shorter than 20 characters.

    References
    ----------
    W3C, "Web Content Accessibility Guidelines 2.2", success criteria 1.1.1 and 1.4.11.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> picture(Figure(), "A falling line: the loss against the rank.").light[:5]
    '<?xml'
    """
    describe(figure, description)
    labels = (text for axes in figure.axes for text in axes.texts if not text.get_bbox_patch())
    for number, label in enumerate(labels):
        label.set_gid(f"label-{number}")
    buffer = io.StringIO()
    alt = str(figure.get_label())
    figure.savefig(
        buffer, format="svg", transparent=True, metadata={"Date": None, "Description": alt}
    )
    plt.close(figure)
    light = clear_labels(number_references(cut_coordinates(buffer.getvalue())))
    return Picture(light, darken_svg(light), alt)


def clear_labels(svg: str) -> str:
    """Keep lines from crossing an SVG's labels: paper lies around each letter, three points wide.

    Letters are drawn a hundred units high and scaled.
    """
    paper = f"paint-order: stroke; stroke: {PAPER}; stroke-width: 25; stroke-linejoin: round"
    return re.sub(r'<g id="label-\d+"', rf'\g<0> style="{paper}"', svg)


def cut_coordinates(svg: str) -> str:
    """Cut an SVG's coordinates to hundredths of a point: a third of its size.

    What rounding makes of them on another processor goes with the rest.
    """
    coordinates = r'(?<= d=")[^"]+|(?<= [xy]=")[^"]+|(?<=translate\()[^)]+'
    return re.sub(coordinates, lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), svg)


def number_references(svg: str) -> str:
    """Name an SVG's markers and clip paths by their order: matplotlib hashes their coordinates."""
    names: dict[str, str] = {}
    return re.sub(
        r'(?<=[#"])([mp])[0-9a-f]{10}\b',
        lambda found: names.setdefault(found[0], f"{found[1]}{len(names)}"),
        svg,
    )


def draw_pixels(axes: Axes, pixels: Any, *, largest: float = 1.0, signed: bool = False) -> None:
    """Draw an image as squares of ink, the more opaque the larger the pixel; 0 is left blank.

    The ground stays transparent and the ink has a dark twin, so a page's ground shows through.

    Parameters
    ----------
    axes : Axes
        Drawn over, without ticks, in a quiet frame.
    pixels : Tensor or array
        Shape (height, width), from 0 to `largest`; if `signed`, from -`largest`.
    largest : float
        The pixel that is drawn at full strength; larger ones are drawn like it.
    signed : bool
        Draw what is positive red and what is negative blue.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, `pixels` is no matrix, or `largest` is not positive.

    References
    ----------
    W3C, "Web Content Accessibility Guidelines 2.2", success criterion 1.4.11 (contrast).

    Examples
    --------
    >>> figure, axes = plt.subplots()
    >>> draw_pixels(axes, [[0.0, 1.0], [0.5, 0.0]])
    >>> bool(axes.yaxis_inverted())  # the first row is on top
    True
    >>> plt.close(figure)
    """
    check_kind("axes", axes, Axes)
    pixels = as_tensor("pixels", pixels, ndim=2)
    largest = check_number("largest", largest, "positive", lambda value: value > 0)
    check_kind("signed", signed, bool)
    ink = [(0, INK + "00"), (1, INK)]
    change = [(0, BLUE), (0.5, BLUE + "00"), (0.5, RED + "00"), (1, RED)]
    if not signed and (pixels < 0).any():
        raise ValueError(f"pixels must be at least 0 if not signed, got {pixels.min().item():.3g}")
    colors = LinearSegmentedColormap.from_list("pixels", change if signed else ink)
    values, least = pixels.detach().cpu().numpy(), -largest if signed else 0
    values = np.ma.masked_equal(values, 0)  # left blank: no colour of the map is quite transparent
    axes.pcolormesh(values, cmap=colors, vmin=least, vmax=largest)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_ylim(len(pixels), 0)
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=GRID)


def draw_residual_network(axes: Axes, model: nn.Module, input_shape: Sequence[int]) -> None:
    """Draw a residual network top-down from its traced graph: one row a block.

    Left the convolutions of the long branch, to their right the shortcut that joins it in a sum,
    then the shape that leaves the block and its parameters, batch norm included. Layers and
    poolings outside of blocks have rows of their own, in the order of execution.

    Parameters
    ----------
    axes : Axes
        Drawn over; its own axes are hidden.
    model : nn.Module
        A residual network that ``torch.fx`` can trace.
    input_shape : sequence of int
        Shape of one image, for example (3, 224, 224).

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the model does not accept such images.

    References
    ----------
    He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, figure 3.

    Examples
    --------
    >>> from hw2lib.resnet import resnet18
    >>> axes = Figure().add_subplot()
    >>> draw_residual_network(axes, resnet18(), (3, 224, 224))
    >>> [text.get_text() for text in axes.texts][-3:]
    ['linear 512 → 1000', '1000', '513\u202f000']
    """
    check_kind("axes", axes, Axes)
    items = outline(model, input_shape)
    if not items:
        raise ValueError("model must have a layer with parameters, got none")
    axes.set(xlim=(0, 10), ylim=(len(items) + 0.1, -1.1))
    axes.axis("off")
    for x, title in ((2.2, "layers"), (5.4, "shortcut"), (7.45, "output"), (9.95, "parameters")):
        align = "right" if title == "parameters" else "center"
        axes.text(x, -0.85, title, ha=align, color=MUTED)
    axes.text(2.2, -0.3, "image " + "×".join(map(str, input_shape)), ha="center", va="center")
    for row, item in enumerate(items):
        y = row + 0.5
        axes.plot(
            [2.2, 2.2], [row - 0.25 if row else -0.05, row + 0.25], color=MUTED, lw=1.3, zorder=0
        )
        if isinstance(item, ResidualBlock):
            draw_block(axes, y, item, model)
        else:
            color = GREEN if item.parameters else MUTED
            draw_box(axes, (0.1, 4.3), y, layer_text(model, item.name), color)
        shape = "×".join(map(str, item.output))
        axes.text(7.45, y, shape, ha="center", va="center")
        count = item.parameters if item.parameters < 10_000 else f"{item.parameters:,}"
        text = str(count).replace(",", "\u202f") if count else "–"
        axes.text(9.95, y, text, ha="right", va="center")


def draw_block(axes: Axes, y: float, block: ResidualBlock, model: nn.Module) -> None:
    """Draw the branch of a block in one box, and its shortcut around it to the sum."""
    texts = [layer_text(model, name) for name in block.branch]
    draw_box(axes, (0.1, 4.3), y, " → ".join(texts), BLUE)
    top, bottom, right = y - 0.35, y + 0.44, 5.4
    color = ORANGE if block.shortcut else MUTED
    axes.plot([2.2, right, right, 2.2], [top, top, bottom, bottom], color=color, lw=1.3, zorder=0)
    axes.plot([2.2, 2.2], [y + 0.3, bottom], color=MUTED, lw=1.3, zorder=0)
    plus = {"boxstyle": "circle,pad=0.05", "fc": PAPER, "ec": MUTED}
    axes.text(2.2, bottom, "+", ha="center", va="center", bbox=plus)
    if block.shortcut:
        texts = [layer_text(model, name) for name in block.shortcut]
        draw_box(axes, (4.55, 6.25), y, " → ".join(texts), ORANGE)


def draw_box(axes: Axes, span: tuple[float, float], y: float, text: str, color: str) -> None:
    """Draw a tinted box with a text."""
    style = "round,pad=0,rounding_size=0.12"
    for face, edge, alpha in ((PAPER, "none", 1.0), (color, "none", 0.16), ("none", color, 1.0)):
        box = FancyBboxPatch(
            (span[0], y - 0.25), span[1] - span[0], 0.5, style, fc=face, ec=edge, alpha=alpha
        )
        axes.add_patch(box)
    axes.text(sum(span) / 2, y, text, ha="center", va="center")


def layer_text(model: nn.Module, name: str) -> str:
    """Return a layer in short: kernel, channels, and the stride if it is not 1."""
    layer = model.get_submodule(name)
    match layer:
        case nn.Linear():
            return f"linear {layer.in_features} → {layer.out_features}"
        case nn.AdaptiveAvgPool2d():
            return f"average to {by(layer.output_size)}"
        case nn.MaxPool2d() | nn.AvgPool2d():
            kind = "max-pool" if isinstance(layer, nn.MaxPool2d) else "average"
            return f"{kind} {by(layer.kernel_size)} /{by(layer.stride, once=True)}"
        case _ if isinstance(layer, NORMALIZATION):
            return "norm"
        case nn.Conv2d():
            stride = "" if set(layer.stride) == {1} else f" /{by(layer.stride, once=True)}"
            return f"{by(layer.kernel_size)}, {layer.out_channels}{stride}"
    raise TypeError(f"model must be made of Conv2d, Linear and pooling layers, got {name}: {layer}")


def by(size: Any, once: bool = False) -> str:
    """Return a size of one or two numbers as text: "3×3", or 3 if equal ones are said once."""
    pair = (size, size) if isinstance(size, int) else tuple(size)
    return str(pair[0]) if once and len(set(pair)) == 1 else "×".join(map(str, pair))
