"""Every page below a sub-path, under the strict policy, and from a disk: nothing is refused."""

import functools
import http.server
import threading

import pytest
from conftest import SITE, Handler

PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))


@pytest.fixture(scope="module")
def below(tmp_path_factory):
    """Serve the site as a project's site is served: below the project's name."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "repo").symlink_to(SITE, target_is_directory=True)
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/repo/"
        server.shutdown()


def test_every_page_loads_below_a_sub_path_without_a_message(browser, below):
    page = browser.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append((page.url, message.text)))
    page.on("pageerror", lambda error: said.append((page.url, str(error))))
    page.on("response", lambda answer: asked.append((answer.status, answer.url)))
    for name in PAGES:
        if (
            name != "404.html"
        ):  # which a host shows at any address, so that it names the root's files
            page.goto(below + name, wait_until="networkidle")
    page.close()
    assert said == []
    assert [url for status, url in asked if status >= 400] == []


def test_from_a_disk_pages_have_their_faces_and_lack_nothing_else(browser):
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    session = page.context.new_cdp_session(page)
    for method in ("DOM.enable", "CSS.enable"):
        session.send(method)
    for name, selector, face in (
        ("index.html", "article p", "Source Serif 4"),
        ("api/training.html", "article h1", "Source Sans 3"),
    ):
        page.goto((SITE / name).as_uri(), wait_until="networkidle")
        page.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame))")
        root = session.send("DOM.getDocument")["root"]["nodeId"]
        node = session.send("DOM.querySelector", {"nodeId": root, "selector": selector})
        used = session.send("CSS.getPlatformFontsForNode", {"nodeId": node["nodeId"]})["fonts"]
        assert max(used, key=lambda font: font["glyphCount"])["familyName"].startswith(face)
    page.close()
    refused = [text for text in said if "blocked by CORS" in text]
    assert all(".woff2' from origin" in text for text in refused)  # the preloads
    rest = [text for text in said if text not in refused]
    assert all("preload" in text or "net::ERR_FAILED" in text for text in rest), rest


def test_search_finds_pages_from_a_disk(browser):
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{(SITE / 'search.html').as_uri()}?q=clipping", wait_until="load")
    page.wait_for_selector("#search-results li a")
    titles = page.locator("#search-results li a").all_inner_texts()
    page.close()
    assert any("Clipping" in title for title in titles)
    assert errors == []
