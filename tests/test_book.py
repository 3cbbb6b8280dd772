"""The document from which the book is set: footnotes, links, solutions at the end."""

import book
import pytest
from selectolax.lexbor import LexborHTMLParser


@pytest.fixture(scope="module")
def document(site):
    return book.assemble()


def test_every_link_within_the_book_leads_to_one_place(document):
    ids = [element["id"] for element in document[0].find_all(id=True)]
    places = {f"#{id}" for id in ids}
    assert len(ids) == len(places)
    for link in document[0].find_all("a", href=True):
        assert link["href"].startswith("http") or link["href"] in places, link


def test_margin_notes_have_become_footnotes_of_the_same_numbers(document, site):
    page = "solutions/6-recurrent/c-clipping.html"
    notes = book.read(page).select(".margin-note")
    numbers = {book.label(page, note["id"]): note.select_one(".note-number").text for note in notes}
    footnotes = {note["id"]: note["data-number"] for note in document[0].select(".footnote")}
    assert numbers
    assert numbers.items() <= footnotes.items()
    assert not [id for id in footnotes if "index--" in id]  # the parts have them
    kinds = (".footnote", ".note-mark")
    beside = document[0].select(", ".join(f"{one} + {other}" for one in kinds for other in kinds))
    assert beside
    for mark in beside:  # or 2 and 3 would read as 23
        assert mark.previous_sibling.name is None, mark.parent
    assert not document[0].select(".margin-note, .notes, details, .page-contents")


def test_footnote_says_what_was_checked_and_names_its_claim(document):
    (footnote,) = document[0].select("[id$='c-clipping--note-6c-clip']")
    text = footnote.get_text()
    assert text.startswith(f"{footnote.b.get_text()}, ")
    assert "Checked" in text
    assert text.endswith("6c-clip")
    assert "All of it" not in text


def test_every_exercise_is_solved_at_the_end_and_both_are_linked(document):
    exercises = document[0].select(".is-exercise")
    solutions = document[0].select("#solutions-of-exercises .solution")
    assert len(exercises) == len(solutions) > 30
    for exercise, solution in zip(exercises, solutions, strict=True):
        assert exercise.select_one(".to-solution a")["href"] == f"#{solution['id']}"
        assert solution.select_one(".solution-title a")["href"] == f"#{exercise['id']}"
        title = solution.select_one(".solution-title").get_text()
        assert solution.get_text().strip() != title.strip(), "a solution without words"


def test_no_figure_is_printed_twice(document):
    pictures = [image["src"] for image in document[0].find_all("img")]
    assert len(pictures) == len(set(pictures)) > 40
    for still in document[0].select(".elsewhere"):
        (figure,) = document[0].select(still.find_all("a")[-1]["href"])
        assert figure.name == "figure"


def test_every_formula_is_there_once_and_has_its_text(document):
    body, formulas = document
    places = body.find_all("set-formula")
    assert {int(place["n"]) for place in places} == set(range(len(formulas)))
    assert all(place["aria-label"] for place in places)
    assert not body.select(".katex")


@pytest.mark.parametrize(
    ("mathml", "told"),
    [
        (
            "<mfrac><mi>a</mi><msqrt><msub><mi>b</mi><mn>1</mn></msub></msqrt></mfrac>",
            "(a)/(√(b_1))",
        ),
        ("<msubsup><mi>x</mi><mi>i</mi><mrow><mo>−</mo><mn>2</mn></mrow></msubsup>", "x_i^−2"),
        (
            "<munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover><mover><mi>A</mi><mo>^</mo></mover>",
            "∑_i^nA^^",
        ),
    ],
)
def test_formula_is_told_in_a_line(mathml, told):
    page = LexborHTMLParser(f"<math>{mathml}</math>")
    assert book.in_a_line(page.css_first("math")) == told


def test_contents_list_every_chapter(document):
    chapters = [chapter["id"] for chapter in document[0].body.find_all("section", class_="chapter")]
    listed = [link["href"].removeprefix("#") for link in document[0].select("nav.contents a")]
    assert listed == chapters
    assert len(chapters) > 20


def test_links_out_of_the_book_lead_to_the_hosted_site_or_are_none(monkeypatch, site):
    monkeypatch.delenv("SITE_URL", raising=False)
    page = "solutions/3-scale-invariance/a-gradient.html"
    content = book.chapter(page, [page], {})
    assert not content.select("a[href*='auto_examples']")
    monkeypatch.setenv("SITE_URL", "https://example.org/homework/")
    links = book.chapter(page, [page], {}).select("figcaption a")
    assert links[0]["href"].startswith("https://example.org/homework/auto_examples/3-scale-")


def test_missing_site_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(book, "SITE", tmp_path)
    with pytest.raises(SystemExit, match="nox -s docs"):
        book.main()


def test_missing_browser_says_what_to_install_before_any_work(monkeypatch, site):
    def none():
        raise FileNotFoundError("no Chromium: install one")

    monkeypatch.setattr(book, "installed_browser", none)
    monkeypatch.setattr(book, "assemble", lambda: pytest.fail("work before the check"))
    with pytest.raises(SystemExit, match="no Chromium: install one"):
        book.main()
