"""A browser, and the built site served to it under a strict Content-Security-Policy."""

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chromium import QUIET, installed_browser
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "_build" / "html"
POLICY = "default-src 'self'; style-src-attr 'unsafe-inline'"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files with the policy, and says nothing."""

    def end_headers(self) -> None:
        """Add the policy."""
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Serve the site on a free port of this machine."""
    handler = functools.partial(Handler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the browser once."""
    try:
        path = installed_browser()
    except FileNotFoundError as error:
        pytest.exit(str(error), returncode=1)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield running
        running.close()


@pytest.fixture
def visit(browser, address):
    """Return a function that opens a page; at the end no message and no other host is allowed.

    Messages that a test expects are taken from ``page.messages``.
    """
    contexts, opened = [], []

    def run(path: str, before: Callable[[Page], None] | None = None, **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.messages, page.hosts = [], set()
        page.on("console", lambda message: page.messages.append(message.text))
        page.on("pageerror", lambda error: page.messages.append(str(error)))
        page.on("request", lambda request: page.hosts.add(request.url.split("/")[2]))
        if before:
            before(page)
        page.goto(f"{address}/{path}", wait_until="domcontentloaded" if before else "load")
        opened.append(page)
        return page

    yield run
    for page in opened:
        assert page.messages == []
        assert page.hosts == {address.split("/")[2]}
    for context in contexts:
        context.close()
