"""Pictures of notebooks: alt text, both grounds, nothing left open."""

import matplotlib.pyplot as plt
from bs4 import BeautifulSoup

from hw2lib import figures


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


def test_pictures_are_the_same_each_time():
    def draw():
        with plt.style.context("hw2lib.figures"):
            figure, axes = plt.subplots()
            axes.plot([0, 1])
            return figures.picture(figure, "A rising line from 0 to 1.")

    assert draw() == draw()
