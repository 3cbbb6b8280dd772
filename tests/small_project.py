"""A small copy of the project: every extension, a few pages and scripts, built in seconds."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPHINX = ("sphinx", "-q", "-W", "-n", "-d", "_build/doctrees", ".", "_build/html")
SCRIPTS = ("2-factorization/plot_1_landscape.py", "6-recurrent/plot_04_hump.py")
DERIVATION = re.compile(r"\nThe derivation .*?(?=\n\n|\"\"\")", re.DOTALL)  # its page is not copied
INDEX = """# A small site

A first page {{cite}}`{key}`, with $x^2$ and a figure.

$$z = 1$$ (one)

(run-it)=
To run it, install it.

(heading)=
## A figure

```{{gallery-figure}} 6-recurrent/plot_04_hump
A caption.
```

```{{toctree}}
{pages}
```
"""
REFERENCES = """# References

Under {ref}`heading` lies a figure, and {eq}`one` is an equation.

```{bibliography}
```
"""


class Project:
    """A project's folder, and how to build its site."""

    def __init__(self, root: Path) -> None:
        self.root, self.docs, self.site = root, root / "docs", root / "docs" / "_build" / "html"

    def build(
        self, *, clean: bool = False, expect: int = 0, jobs: int = 2, **environment: str
    ) -> str:
        """Build the site in as many processes; return what the build says."""
        if clean:
            for folder in (self.docs / "_build" / "html", self.docs / "auto_examples"):
                shutil.rmtree(folder, ignore_errors=True)
            for path in (self.docs / "_build" / "doctrees").glob("*.*"):
                if not path.name.startswith("claims-"):  # twenty seconds, and named by a digest
                    path.unlink()
        known = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
        process = subprocess.run(
            [sys.executable, "-m", *SPHINX, "-j", str(jobs)],
            cwd=self.docs, env=known | {"PYTHONPATH": str(self.root)} | environment,
            capture_output=True, text=True, check=False, encoding="utf-8",
        )  # fmt: skip
        assert process.returncode == expect, process.stderr
        return process.stderr

    def write_index(self, *pages: str, key: str = "boyd2004convex") -> None:
        """Write the root page."""
        text = INDEX.format(pages="\n".join(pages), key=key)
        (self.docs / "index.md").write_text(text, encoding="utf-8")

    def files(self) -> dict[str, bytes]:
        """Return the site's files by name."""
        paths = sorted(path for path in self.site.rglob("*") if path.is_file())
        return {path.relative_to(self.site).as_posix(): path.read_bytes() for path in paths}


def different(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Return the names of files that are not the same in both."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


PAGES = ("auto_examples/index", "api/figures", "solutions/4-moved", "ledger/4-moved", "references")


def copy(target: Path) -> Project:
    """Copy the project with a few of its pages and scripts."""
    left_out = shutil.ignore_patterns("__pycache__", "_build", "auto_examples", "node_modules")
    for folder in ("docs", "hw2lib"):
        shutil.copytree(ROOT / folder, target / folder, ignore=left_out)
    shutil.copy(ROOT / "requirements.lock", target)
    project = Project(target)
    for page in [*project.docs.rglob("*.md")]:
        if page.relative_to(project.docs).with_suffix("").as_posix() not in PAGES:
            page.unlink()
    (project.docs / "404.md").write_text(
        "---\norphan: true\n---\n# No page here\n\nThe [first page](index) is.\n", encoding="utf-8"
    )
    for folder in ("", *(script.partition("/")[0] for script in SCRIPTS)):
        (target / "examples" / folder).mkdir(parents=True)
        shutil.copy(ROOT / "examples" / folder / "GALLERY_HEADER.rst", target / "examples" / folder)
    for script in SCRIPTS:
        text = (ROOT / "examples" / script).read_text(encoding="utf-8")
        alone = DERIVATION.sub("\nThe derivation is in :doc:`/index`.", text)
        assert alone != text
        (target / "examples" / script).write_text(alone, encoding="utf-8")
    (project.docs / "references.md").write_text(REFERENCES, encoding="utf-8")
    (project.docs / "node_modules").symlink_to(ROOT / "docs" / "node_modules")
    project.write_index(*PAGES)
    return project
