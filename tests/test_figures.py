"""Pictures of notebooks: alt text, both grounds, nothing left open."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from bs4 import BeautifulSoup
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch import nn

from hw2lib import figures, parameters
from hw2lib.datasets import digits_data
from hw2lib.figures import draw_residual_network
from hw2lib.resnet import resnet18


def test_picture_has_both_grounds_and_alt_text():
    figure, axes = plt.subplots()
    axes.plot([0, 1], color=figures.BLUE)
    drawn = figures.picture(figure, 'A "rising" line <from> 0 to 1.')
    assert figure.number not in plt.get_fignums(), "left open, a notebook would show it again"
    assert figures.BLUE in drawn.light
    assert figures.DARK_TWINS[figures.BLUE] in drawn.dark
    light, dark = BeautifulSoup(drawn._repr_html_(), "html.parser").find_all("img")
    for image, theme in ((light, "only-light"), (dark, "only-dark")):
        assert image["alt"] == 'A "rising" line <from> 0 to 1.'
        assert theme in image["class"]
        assert image["src"].startswith("data:image/svg+xml,%3C?xml")
    assert dark["style"] == "display: none"


def test_paper_lies_around_the_labels_of_a_picture():
    figure, axes = plt.subplots()
    axes.text(0.2, 0.5, "a label")
    axes.text(0.6, 0.5, "in a box", bbox={"facecolor": figures.BLUE})
    drawn = figures.picture(figure, "A label, and another one in a box.")
    for svg, paper in (
        (drawn.light, figures.PAPER),
        (drawn.dark, figures.DARK_TWINS[figures.PAPER]),
    ):
        (label,) = re.findall("<g [^>]*paint-order[^>]*>", svg)
        assert f"stroke: {paper};" in label


def test_pictures_are_the_same_each_time():
    def draw():
        with plt.style.context("hw2lib.figures"):
            figure, axes = plt.subplots()
            axes.plot([0, 1])
            return figures.picture(figure, "A rising line from 0 to 1.")

    assert draw() == draw()


def test_pixels_are_ink_on_a_transparent_ground():
    from matplotlib.colors import to_hex
    from matplotlib.figure import Figure

    def colors(pixels, **options):
        axes = Figure().add_subplot()
        figures.draw_pixels(axes, pixels, **options)
        assert axes.get_ylim() == (len(pixels), 0)  # the first row is on top
        mesh = axes.collections[0]
        return mesh.to_rgba(mesh.get_array().ravel())

    blank, full = colors([[0.0], [2.0]], largest=2.0)
    assert blank[3] == 0
    assert to_hex(full, keep_alpha=True) == figures.INK + "ff"
    less, none, more = colors([[-1.0, 0.0, 1.0]], signed=True)
    assert to_hex(less) == figures.BLUE
    assert none[3] < 0.01
    assert to_hex(more) == figures.RED
    for largest in (0.0, -1.0):
        with pytest.raises(ValueError, match="largest must be positive"):
            colors([[1.0]], largest=largest)


def test_headlines_share_a_left_edge_and_are_wrapped():
    lefts = set()
    for label in ("", "a label that needs room"):
        with plt.style.context("hw2lib.figures"):
            figure, axes = plt.subplots()
            axes.set_ylabel(label)
            figures.headline(
                figure, "A finding of so many words that one line is not enough for it"
            )
            figure.draw_without_rendering()
            lefts.add(figure._suptitle.get_position()[0])
            first, second = figure.get_suptitle().splitlines()
            assert abs(len(first) - len(second)) < 12
            plt.close(figure)
    assert len(lefts) == 1
    with pytest.raises(ValueError, match="text must say"):
        figures.headline(figure, " ")


def test_headlines_break_where_the_sentence_does_if_that_is_not_far_off():
    figure = plt.figure(figsize=(5.2, 3.6))
    for text, first in (
        ("Loss above the least: all three arrive, unbalanced last", "Loss above the least:"),
        (
            "Loss: ten times closer costs a fixed number of steps more",
            "Loss: ten times closer costs",
        ),
        ("word " * 30, " ".join(["word"] * 11)),
    ):
        figures.headline(figure, text)
        assert figure.get_suptitle().splitlines()[0] == first
    plt.close(figure)


def test_coordinates_are_cut_to_hundredths_and_nothing_else():
    given = (
        '<path d="M 1.23456 2.5 L 3.999 4"/><g transform="translate(1.234 0.125) scale(0.015625)"/>'
        '<use x="73.753593" y="4" style="fill-opacity: 0.125"/>'
    )
    assert figures.cut_coordinates(given) == (
        '<path d="M 1.23 2.5 L 3.99 4"/><g transform="translate(1.23 0.12) scale(0.015625)"/>'
        '<use x="73.75" y="4" style="fill-opacity: 0.125"/>'
    )


def test_picture_does_not_change_with_the_last_digit():
    def drawn(x):
        figure = Figure()
        axes = figure.subplots()
        axes.plot([0, x], [1, 2], "o")
        axes.set(xlim=(0, 4 * x), ylim=(0, 3 + x))
        return figures.picture(figure, "Two points on white ground.")

    one, other = drawn(1.0), drawn(1.0 + 1e-12)
    assert one == other
    references = set(re.findall(r'#([mp]\w+)"|url\(#(p\w+)\)', one.light))
    assert {"".join(pair) for pair in references} <= set(re.findall(r'id="(\w+)"', one.light))
    assert {"p", "m"} == {"".join(pair)[0] for pair in references}


def test_no_text_is_smaller_than_a_phone_can_show():
    with plt.style.context("hw2lib.figures"):
        names = ("font.size", "xtick.labelsize", "ytick.labelsize", "axes.labelsize")
        assert min(plt.rcParams[name] for name in (*names, "legend.fontsize")) >= 12
    for script in (Path(figures.__file__).parents[1] / "examples").rglob("plot_*.py"):
        sizes = re.findall(
            r'\b(?:font)?size"?[=:] ?(\d+(?:\.\d+)?)', script.read_text(encoding="utf-8")
        )
        assert all(float(size) >= 12 for size in sizes), script


def drawn(model, shape=(3, 64, 64)):
    axes = Figure().add_subplot()
    draw_residual_network(axes, model, shape)
    return [text.get_text() for text in axes.texts][5:]


def test_drawing_of_resnet_says_what_is_there():
    texts = drawn(resnet18(), (3, 224, 224))
    assert texts[:6] == ["7×7, 64 /2", "64×112×112", "9536", "max-pool 3×3 /2", "64×56×56", "–"]
    third = texts.index("3×3, 128 /2 → 3×3, 128")
    assert texts[third + 1 : third + 5] == ["+", "1×1, 128 /2", "128×28×28", "230\u202f144"]
    assert texts.count("+") == 8
    assert sum(text.startswith("1×1") for text in texts) == 3
    assert texts[-6:-2] == ["average to 1×1", "512×1×1", "–", "linear 512 → 1000"]
    assert texts[-2:] == ["1000", "513\u202f000"]


def test_drawing_follows_the_order_of_execution():
    def conv(kernel):
        return nn.Conv2d(3, 3, kernel, padding=kernel // 2)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.side = nn.Linear(27, 2), nn.Sequential(conv(1), conv(1))
            self.one, self.two, self.late = conv(3), conv(3), conv(1)

        def forward(self, x):
            x = self.two(self.one(x)) + self.side(x) * 1
            return self.head(self.late(x).flatten(1))

    texts = drawn(Net(), (3, 3, 3))
    assert texts[:3] == ["3×3, 3 → 3×3, 3", "+", "1×1, 3 → 1×1, 3"]
    assert texts[5:] == ["1×1, 3", "3×3×3", "12", "linear 27 → 2", "2", "56"]


def test_norms_beside_blocks_are_drawn_and_poolings_have_no_parameters():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1), nn.MaxPool2d(2), nn.BatchNorm2d(2))
    texts = drawn(net, (3, 4, 4))
    assert texts == [
        *("norm", "3×4×4", "6"),
        *("1×1, 2", "2×4×4", "8"),
        *("max-pool 2×2 /2", "2×2×2", "–"),
        *("norm", "2×2×2", "4"),
    ]


def test_blank_description_is_refused():
    for blank in (" " * 25, "a" + " " * 30 + "b"):
        with pytest.raises(ValueError, match="description must say what the figure shows"):
            figures.describe(Figure(), blank)


def test_headline_may_begin_with_a_space():
    text = " a finding about the loss of a network, and its gradien"
    figure = Figure(figsize=(5.2, 3))
    figures.headline(figure, text)
    assert " ".join(figure.texts[0].get_text().split()) == text.strip()


def test_pixels_that_are_zero_are_blank():
    axes = Figure().add_subplot()
    figures.draw_pixels(axes, [[0.0, 1.0]], signed=True)
    (mesh,) = axes.collections
    mesh.update_scalarmappable()
    assert mesh.get_facecolor()[0, 3] == 0
    assert mesh.get_facecolor()[1, 3] == 1


def test_drawings_at_their_boundaries():
    figures.describe(Figure(), "x" * 20)
    assert figures.darken_svg("#1F6FB4") == "#68b3f2"
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=(1, 2)))
    assert figures.layer_text(model, "0").endswith(" /1×2")
    figures.draw_pixels(Figure().add_subplot(), torch.ones(2, 2, requires_grad=True))
    figure = Figure(figsize=(1, 1))
    figures.headline(figure, "one two " + "x" * 30)
    assert "x" * 30 in figure.get_suptitle()
    axes = Figure().add_subplot()
    linear = nn.Sequential(nn.Linear(100, 100, bias=False))
    figures.draw_residual_network(axes, linear, (100,))
    assert axes.texts[-1].get_text() == "10\u202f000"


def test_colours_tell_convolved_shortcuts_and_layers_with_parameters():
    axes = Figure().add_subplot()
    figures.draw_residual_network(axes, parameters.resnet18(), (3, 64, 64))
    shortcuts = [to_hex(line.get_color()) for line in axes.lines if len(line.get_xdata()) == 4]
    assert (shortcuts.count(figures.ORANGE), shortcuts.count(figures.MUTED)) == (3, 5)
    axes, model = Figure().add_subplot(), nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 1, 3))
    figures.draw_residual_network(axes, model, (1, 8, 8))
    edges = [to_hex(box.get_edgecolor()) for box in axes.patches[2::3]]
    assert edges == [figures.MUTED, figures.GREEN]


def test_pixel_statistics_are_those_of_double_precision():
    data = digits_data()
    mean = data.training_images.double().mean().item()
    assert data.pixel_statistics()[0] == pytest.approx([mean], rel=1e-12)


@pytest.mark.parametrize("box", ["0,0,374.4,259.2", " 0 0  374.4,\n259.2 ", "-1 -1 3.744e2 259.2"])
@pytest.mark.parametrize("mark", ["'", '"'])
def test_size_of_an_svg_however_its_box_is_written(box, mark):
    assert figures.svg_size(f"<svg viewBox={mark}{box}{mark}>") == (374, 259)


@pytest.mark.parametrize("box", ["0 0 1e400 2", "0 0 1", "a b c d", ""])
def test_box_that_is_none_is_refused(box):
    with pytest.raises(ValueError, match="svg must have a viewBox of four numbers"):
        figures.svg_size(f'<svg viewBox="{box}">')


def test_size_is_that_of_the_attribute_itself():
    assert figures.svg_size('<svg data-viewBox="0 0 9 9" viewBox="0 0 3 5">') == (3, 5)
    for box in ("0 0 -3 5", "0 0 0.4 0.3"):
        with pytest.raises(ValueError, match="the last two positive"):
            figures.svg_size(f'<svg viewBox="{box}">')


def test_negative_pixels_have_a_sign():
    figure, axes = plt.subplots()
    with pytest.raises(ValueError, match="pixels must be at least 0 if not signed, got -1"):
        figures.draw_pixels(axes, [[-1.0, 1.0]])
    figures.draw_pixels(axes, [[-1.0, 1.0]], signed=True)
    plt.close(figure)
