"""Links land where they point, Back returns, a print has its proofs, search finds claims by id."""

import pytest

TARGETS = [
    ("conventions.html", "claims"),
    ("solutions/2-factorization/e-descent.html", "how-fast"),
    ("ledger/2-factorization.html", "claim-2d-landscape"),
    ("ledger/6-recurrent.html", "claim-6c-rotation"),
    ("ledger/6-recurrent.html", "claim-6a-leak"),
]
TOP = "id => document.getElementById(id).getBoundingClientRect().top"


def at_rest(page):
    """Wait until the page scrolls no longer."""
    page.wait_for_function("""() => new Promise((done) => {
        const y = scrollY;
        setTimeout(() => done(scrollY === y), 300);
    })""")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(("path", "target"), TARGETS)
def test_link_lands_at_the_top_of_the_screen(visit, path, target, width):
    page = visit(f"{path}#{target}", viewport={"width": width, "height": 844})
    at_rest(page)
    assert 0 <= page.evaluate(TOP, target) <= 140


def test_back_returns_to_where_one_was(visit):
    page = visit("ledger/6-recurrent.html", viewport={"width": 390, "height": 844})
    page.evaluate("scrollTo(0, 4000)")
    at_rest(page)
    page.goto(page.url.replace("ledger/6-recurrent", "references"))
    page.go_back()
    at_rest(page)
    assert abs(page.evaluate("scrollY") - 4000) < 10


def test_printed_page_has_its_proofs(visit):
    page = visit("solutions/2-factorization/e-descent.html")
    proof = page.locator("details.dropdown .is-proof").first
    assert not proof.is_visible()
    page.emulate_media(media="print")
    assert proof.is_visible()


@pytest.mark.parametrize("id", ["2b-row", "5-parameters"])
def test_search_for_a_claim_finds_its_card_first(visit, id):
    page = visit(f"search.html?q={id}")
    page.wait_for_selector("ul.search li a")
    page.wait_for_function("!document.querySelector('.search-summary').textContent.includes('…')")
    first = page.locator("ul.search li a").first.get_attribute("href")
    assert first.endswith(f"#claim-{id}")
