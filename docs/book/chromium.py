"""An installed Chromium or Chrome: for the browser tests and the book."""

from __future__ import annotations

import os
import shutil

PROGRAMS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
)
QUIET = (  # a browser that calls no host of its own accord
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def installed_browser() -> str:
    """Return the path of a browser.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    for name in (os.environ.get("BROWSER_PATH", ""), *PROGRAMS):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise FileNotFoundError(
        "no Chromium or Chrome was found: install one (Debian: apt install chromium), "
        "or set BROWSER_PATH to the program"
    )
