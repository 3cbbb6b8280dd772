"""The built site: links, alt texts, titles, descriptions, no request to another host."""

import json
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import fonts
import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

ROOT = Path(__file__).resolve().parents[1]

LOADING = {"script": "src", "img": "src", "source": "src", "iframe": "src"}


@pytest.fixture(scope="session")
def pages(site):
    """Return the parsed pages of the site."""
    return {path: parsed(path) for path in sorted(site.rglob("*.html"))}


def parsed(path: Path) -> LexborHTMLParser:
    """Return a page as browsers understand it."""
    return LexborHTMLParser(path.read_text(encoding="utf-8"))


def attribute(element: LexborNode, name: str) -> str:
    """Return an attribute, "" if there is none."""
    return element.attributes.get(name) or ""


def classes(element: LexborNode) -> list[str]:
    """Return the classes of an element."""
    return attribute(element, "class").split()


def is_own(path: Path, site: Path) -> bool:
    """Say whether a page has content of ours (not search or an index)."""
    return path.relative_to(site).as_posix() not in {
        "search.html", "genindex.html", "py-modindex.html", "404.html",
    }  # fmt: skip


def test_all_pages_are_there(site, pages):
    names = {path.relative_to(site).as_posix() for path in pages}
    sources = [p for p in (ROOT / "docs").rglob("*.md") if "node_modules" not in p.parts]
    for source in sources:
        page = source.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert page.startswith(("_build", "auto_examples")) or page in names
    for script in (ROOT / "examples").rglob("plot_*.py"):
        page = script.relative_to(ROOT / "examples").with_suffix(".html").as_posix()
        assert f"auto_examples/{page}" in names


def test_every_internal_link_leads_somewhere(site, pages):
    anchors = {
        path: {attribute(tag, "id") for tag in page.css("[id]")} for path, page in pages.items()
    }
    broken = []
    home = urlsplit(os.environ.get("SITE_URL", "")).path.rstrip("/") + "/"
    for path, page in pages.items():
        # a host shows 404.html at any address, so that its links begin at the root
        root, start = (site, home) if path.name == "404.html" else (path.parent, "")
        for tag in page.css("a, link, script, img"):
            address = attribute(tag, "href") or attribute(tag, "src")
            link = urlsplit(address)
            if link.scheme or link.netloc or not (link.path or link.fragment):
                continue
            aim = unquote(link.path)
            target = (root / aim.removeprefix(start)).resolve() if aim else path
            if target.is_dir():
                target /= "index.html"
            known = anchors.get(target)
            lost = link.fragment and known is not None and unquote(link.fragment) not in known
            if lost or not target.is_file() or not aim.startswith(start if aim else ""):
                broken.append(f"{path.name} → {address}")
    assert not broken


def test_downloaded_notebooks_hold_no_role(site):
    notebooks = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.ipynb")}
    assert len(notebooks) > len([*(ROOT / "examples").rglob("plot_*.py")])  # and Solution 5's
    assert [path.name for path, text in notebooks.items() if re.search(r":\w+:`", text)] == []


def test_every_image_has_alt_text(pages):
    missing = [
        f"{path.name}: {attribute(image, 'src')}"
        for path, page in pages.items()
        for image in page.css("img")
        if len(attribute(image, "alt")) < 3
    ]
    assert not missing


def test_landmarks_of_one_kind_have_names(pages):
    for path, page in pages.items():
        names = [attribute(aside, "aria-label") for aside in page.css("aside")]
        assert all(names), path
        assert len(names) == len({*names}), path


def test_no_script_asks_where_every_heading_stands(pages):
    for path, page in pages.items():
        assert page.css("div.toc-sticky") or not page.css("div.toc-tree"), path
        assert not page.css(".toc-scroll"), path


def test_every_figure_has_a_size_before_it_comes(pages):
    for path, page in pages.items():
        for image in page.css("article img[src$='.svg'], article img[src^='data:']"):
            assert int(image.attributes["width"]) > 0, path
            assert int(image.attributes["height"]) > 0, path


def test_pages_load_the_styles_that_they_use(site, pages):
    sheets = {
        path.relative_to(site).as_posix(): " ".join(
            sheet.attributes["href"] for sheet in page.css("link[rel='stylesheet']")
        )
        for path, page in pages.items()
    }
    for path, names in sheets.items():
        assert "styles.css" in names
        assert len(names.split()) <= 3
        assert ("mystnb" in names) == (path == "solutions/5-adversarial.html")
        assert ("sg_gallery" in names) == path.startswith("auto_examples/")
    for path, page in pages.items():
        waited_for = {
            Path(urlsplit(script.attributes["src"]).path).name
            for script in page.css("script[src]:not([defer])")
        }
        assert waited_for == {"theme.js"} or path.name == "search.html"


def test_every_page_has_title_and_description(site, pages):
    descriptions = {}
    for path, page in pages.items():
        assert page.css_first("head > title").text().strip()
        if is_own(path, site):
            found = page.css_first("meta[name='description']")
            assert found is not None, path
            assert len(attribute(found, "content")) >= 20, path
            assert "\\" not in attribute(found, "content"), f"{path}: a formula's source"
            descriptions[path] = attribute(found, "content")
    assert len(set(descriptions.values())) == len(descriptions), "two pages share a description"


def test_no_page_asks_another_host(site, pages):
    foreign = []
    for path, page in pages.items():
        loaded = [
            tag.attributes[key]
            for name, key in LOADING.items()
            for tag in page.css(f"{name}[{key}]")
        ]
        loaded += [
            tag.attributes["href"]
            for tag in page.css("link")
            if {"stylesheet", "preload", "icon", "preconnect"} & {*attribute(tag, "rel").split()}
        ]
        foreign += [f"{path.name}: {url}" for url in loaded if urlsplit(url).netloc]
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        foreign += [f"{sheet.name}: {mark}" for mark in ("url(http", "@import") if mark in text]
    assert not foreign


def test_site_has_no_digest_of_the_machine_that_built_it(site):
    assert not list(site.rglob(".buildinfo*"))


def test_formulas_need_no_script_and_none_failed(pages):
    assert sum(len(page.css(".katex")) for page in pages.values()) > 300
    for page in pages.values():
        assert not page.css(".katex-error, script[src*='katex']")


def test_fonts_have_every_character_of_the_formulas(site, pages):
    from fontTools.ttLib import TTFont

    files = (site / "_static" / "katex" / "fonts").glob("*.woff2")
    known = {chr(code) for file in files for code in TTFont(file).getBestCmap()}
    shown = {
        character
        for page in pages.values()
        for formula in page.css(".katex-html")
        for character in formula.text()
    }
    assert len(shown) > 100
    assert shown - known <= set("\u200b\xa0"), "characters without a glyph"
    for name, styled in fonts.characters(pages).items():
        if name and styled:
            font = TTFont(site / "_static" / "katex" / "fonts" / f"KaTeX_{name}.woff2")
            assert set(map(ord, styled)) <= set(font.getBestCmap()) | {0x200B}, name


def test_faces_of_the_text_have_every_letter(site, pages):
    from fontTools.ttLib import TTFont

    files = (site / "_static" / "fonts").glob("source-serif-4-*-normal.woff2")
    known = {chr(code) for file in files for code in TTFont(file).getBestCmap()}
    shown = {letter for path in pages for letter in text_without_formulas(path)}
    latin = {letter for letter in shown if letter.isalpha() and letter < "ɐ"}
    assert {"é", "Ł", "ą"} <= latin
    assert latin <= known


def text_without_formulas(path: Path) -> str:
    article = parsed(path).css_first("article")
    for formula in article.css(".katex"):
        formula.decompose()
    return article.text()


def test_figures_come_in_light_and_dark(site, pages):
    figures = [figure for page in pages.values() for figure in page.css("figure.gallery-figure")]
    shown = "".join(figure.html for figure in figures)
    for script in (ROOT / "examples").rglob("plot_*.py"):
        assert script.stem in shown, "no solution page shows its figure"
    for figure in figures:
        light, dark = figure.css("img")
        assert "only-light" in classes(light)
        assert "only-dark" in classes(dark)
        assert figure.css("a[href*='auto_examples']")


def test_notebook_is_executed_and_can_be_downloaded(site, pages):
    path = site / "solutions" / "5-adversarial.html"
    page = pages[path]
    images = page.css(".cell_output img.notebook-figure")
    assert len(images) == 2
    for light, dark in zip(images[::2], images[1::2], strict=True):
        assert "only-light" in classes(light)
        assert "only-dark" in classes(dark)
        assert len(attribute(light, "alt")) > 60
        picture = (path.parent / light.attributes["src"]).read_text(encoding="utf-8")
        assert 'id="SourceSans3-Regular-' in picture, "drawn in another face than the site's"
    assert page.css("details.plotting > .cell_input")
    assert not page.css("details.admonition")
    assert [len(table.css("tr")) for table in page.css(".cell_output table")] == [4, 4]
    link = page.css_first("a[download]")
    notebook = (site / "solutions" / link.attributes["href"]).read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(notebook)["cells"] if cell["id"] != "install-hw2lib"]
    assert sum(cell["cell_type"] == "code" for cell in cells) == 8
    text = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    assert not re.search(r"\{[\w-]+\}`|^ *```\{|\(eq-", text, re.MULTILINE), "left as MyST"
    assert r"\tag{1}$$" in text


def test_nothing_that_a_strict_policy_refuses_stands_in_a_page(site, pages):
    for path, page in pages.items():
        assert not [script for script in page.css("script:not([src])") if script.text()], path
        assert not page.css("style"), path
        attributes = {name for element in page.css("*") for name in element.attributes}
        assert not [name for name in attributes if name.startswith("on")], path
    assert "data:" not in (site / "_static" / "styles.css").read_text(encoding="utf-8")


def test_scripts_can_be_downloaded(pages):
    for path, page in pages.items():
        if path.name.startswith("plot_"):
            links = {Path(attribute(a, "href")).suffix for a in page.css("a[download]")}
            assert {".py", ".ipynb"} <= links


def test_script_pages_show_the_figure_first_and_link_their_claims(pages):
    for path, page in pages.items():
        if path.name.startswith("plot_"):
            article = page.css_first("article")
            shown = [tag.tag for tag in article.css("img, pre")]
            assert shown[:2] == ["img", "img"], path
            assert article.css("details.plotting pre"), path
            links = [attribute(link, "href") for link in article.css("a")]
            assert re.search(r"ledger/\d-[\w-]+\.html#claim-", "\n".join(links)), path
            assert "../../index.html#run-it" in links, f"{path} does not say how to run it"


def test_every_note_has_its_row_in_the_table_of_its_page(pages):
    for path, page in pages.items():
        if page.css(".margin-note") and path.name != "index.html":
            notes = {number.text() for number in page.css(".note-number")}
            rows = {link.text() for link in page.css(".claims-table a[href^='#mark-']")}
            assert notes == rows, path


def test_reference_links_claims_and_scripts(site, pages):
    page = pages[site / "api" / "factorization.html"]
    listed = {link.text() for link in page.css(".module-table dt a")}
    assert {"low_rank_factors", "loss_hessian", "Factors"} <= listed
    block = page.css_first("[id='hw2lib.factorization.low_rank_factors']").parent
    assert block.css("a[href$='ledger/2-factorization.html#claim-2b-optimum']")
    assert block.css("a[href*='auto_examples/2-factorization/plot_2']")


def test_errata_and_ledger_show_every_claim(site, pages):
    from hw2lib.claims import ledger

    def badges(page):
        return {badge.text() for badge in pages[site / page].css("article .claim-badge")}

    errata = badges("errata.html")
    cards = {path.name[0]: badges(path) for path in (site / "ledger").glob("[1-6]-*.html")}
    for claim in ledger():
        badge = f"{claim.id} · {claim.verdict}"
        assert badge in cards[claim.part[0]]
        assert (badge in errata) == (claim.verdict in ("corrected", "sharpened", "conditional"))


def test_landing_page_counts_what_the_ledger_holds(site, pages):
    from hw2lib.claims import ledger

    text = " ".join(pages[site / "index.html"].css_first("article").text().split())
    corrected = sum(claim.verdict == "corrected" for claim in ledger())
    assert f"{sum(claim.check is not None for claim in ledger())} claims" in text
    assert f"{corrected} statements" in text
    assert len(pages[site / "index.html"].css("article .solution svg.idea")) == 5
