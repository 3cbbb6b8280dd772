"""The book as a PDF: tagged, with bookmarks and faces of its own; every link leads somewhere."""

from pathlib import Path

import book
import pikepdf
import pytest

A4 = (595.3, 841.9)  # points
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pdf():
    with pikepdf.open(book.TARGET) as opened:
        yield opened


def outlines(items):
    for item in items:
        yield item
        yield from outlines(item.children)


def fonts(pdf):
    """Yield every font that a page or what stands on it uses."""
    for thing in pdf.objects:
        if isinstance(thing, pikepdf.Dictionary) and thing.get("/Type") == "/Font":
            yield thing


def test_book_is_tagged_and_has_title_and_language(pdf):
    assert pdf.Root.MarkInfo.Marked
    assert str(pdf.Root.Lang) == "en"
    assert str(pdf.docinfo["/Title"]) == book.TITLE
    assert pdf.Root.StructTreeRoot


def test_formulas_and_figures_have_a_text_for_those_who_cannot_see_them(pdf):
    kinds = {}
    for thing in pdf.objects:
        if isinstance(thing, pikepdf.Dictionary) and thing.get("/Type") == "/StructElem":
            kinds.setdefault(str(thing.get("/S")), []).append("/Alt" in thing)
    assert all(kinds["/Figure"] + kinds["/Formula"])
    set_in_pages = (book.MADE / "book.html").read_text(encoding="utf-8")
    assert len(kinds["/Figure"]) == set_in_pages.count("<img ") > 0
    assert len(kinds["/Formula"]) == set_in_pages.count("<set-formula ") > 0


def test_every_page_is_of_one_size_and_none_is_empty(pdf):
    assert len(pdf.pages) > 1
    for number, page in enumerate(pdf.pages, 1):
        left, bottom, right, top = map(float, page.mediabox)
        assert (right - left, top - bottom) == pytest.approx(A4, abs=1), number
        drawn = {str(step.operator) for step in pikepdf.parse_content_stream(page)}
        assert drawn & {"Tj", "TJ", "Do"}, number


def test_bookmarks_name_every_chapter(pdf):
    with pdf.open_outline() as outline:
        titles = {item.title for item in outlines(outline.root)}
    chapters = [book.read(page).find("h1") for page in book.solution_pages(book.read("index.html"))]
    for heading in chapters:
        heading.select_one(".headerlink").decompose()
        text = " ".join(heading.get_text().split())
        if not heading.find("set-formula"):
            assert text in titles


def test_all_fonts_are_embedded(pdf):
    described = [font for font in fonts(pdf) if font.Subtype != "/Type0"]  # that names another
    assert len(described) > 10
    for font in described:
        files = {"/FontFile", "/FontFile2", "/FontFile3"} & set(font.FontDescriptor.keys())
        assert files, font.get("/BaseFont")
        assert str(font.BaseFont).partition("+")[2].startswith(("Source", "KaTeX")), font.BaseFont


def test_every_link_leads_to_a_place_or_an_address(pdf):
    named = set(pdf.Root.Dests.keys()) if "/Dests" in pdf.Root else set()
    links = [
        mark
        for page in pdf.pages
        for mark in page.get("/Annots", [])
        if mark.get("/Subtype") == "/Link"
    ]
    set_in_pages = (book.MADE / "book.html").read_text(encoding="utf-8")
    assert len(links) >= set_in_pages.count("<a ") > 0
    for link in links:
        if "/Dest" in link:
            aim = link.Dest
            assert isinstance(aim, pikepdf.Array) or str(aim) in named
        else:
            assert str(link.A.URI).startswith("http")
            assert not str(link.A.URI).startswith(book.ORIGIN)


def test_nothing_tells_when_or_where_it_was_made(pdf):
    assert set(pdf.docinfo.keys()) == {"/Title"}
    assert b"Date" not in pdf.Root.Metadata.read_bytes()
    written = [bytes(thing.read_bytes()) for thing in pdf.objects if is_readable(thing)]
    written.append(book.TARGET.read_bytes())
    assert not any(str(ROOT).encode() in content for content in written)


def is_readable(thing):
    """Return whether an object is a stream that is no picture: these are only numbers."""
    return isinstance(thing, pikepdf.Stream) and thing.get("/Subtype") != "/Image"
