"""The tables of symbols: every letter of every solution page, each with one meaning on a page.

A letter with an accent or an index belongs to the row that shows it so (there the index i stands
for any), else to the row of its letter. Rows of the page's own solution come first, then the table
of what all pages share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from pages import without_code

from hw2lib.claims import ledger

ROOT = Path(__file__).resolve().parents[1]
SOLUTIONS = ROOT / "docs" / "solutions"
PAGES = sorted(SOLUTIONS.rglob("*.md"))
TWICE = {"e", "w", r"\ell"}  # letters of which a page has two rows, one of them for an index

FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
TOKEN = re.compile(
    r"\\\\(?:\[\w+\])?"  # the end of a row, with the space after it
    r"|\\(?:text|operatorname\*?|mathrm|begin|end)(?![a-z])\s*(?:\{[^{}]*\}|\w)"  # a word
    r"|(?:\\rVert|\\\|)_\{?F"  # the Frobenius norm
    r"|(?P<accent>\\(?:bar|dot|hat|overline|tilde)(?![a-z]))?[\s{]*"
    r"(?P<letter>\\math(?:bb|bf|cal)\s*\{?\w"
    r"|\\(?:var)?(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho"
    r"|sigma|tau|upsilon|phi|chi|psi|omega|ell|imath|jmath|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma"
    r"|Upsilon|Phi|Psi|Omega)(?![A-Za-z])"
    r"|[A-Za-z])(?=\}?'*(?:_(?P<index>\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|\w))?)"
    r"|\\[A-Za-z]+"  # any other command
)
STATE_AT_A_TIME = re.compile(r"(?<![A-Za-z\\])[chxz]\}?'*\s*\^\s*\{?\s*\(?\s*[tTk01](?![A-Za-z])")


class Symbol(NamedTuple):
    """A letter as it stands in a formula."""

    accent: str
    letter: str
    index: str

    @property
    def forms(self) -> list[str]:
        """How a table may show it, the most special form first."""
        accented = self.accent + self.letter
        indexed = [f"{accented}_{self.index}", f"{accented}_i"] if self.index else []
        return [*indexed, accented, self.letter]


class Row(NamedTuple):
    """A row of a table: its symbols, and the pages on which it holds ("all" for all)."""

    symbols: list[Symbol]
    pages: set[str]

    def holds_on(self, page: str) -> bool:
        """Say whether the row is one for a page."""
        return bool(self.pages & {page, "all"})


def symbols(formula: str) -> Iterator[Symbol]:
    """Yield the letters of a formula; words, operators and upright constants are none."""
    for token in TOKEN.finditer(formula):
        if token["letter"]:
            letter = re.sub(r"[\s{]", "", token["letter"])
            letter = {r"\imath": "i", r"\jmath": "j"}.get(letter, letter)
            yield Symbol(token["accent"] or "", letter, token["index"] or "")


def formulas(text: str) -> list[str]:
    """Return the formulas of a text, without those in its code."""
    text = re.sub(r"`[^`\n]*`", " ", without_code(text))
    return [displayed or inline for displayed, inline in FORMULA.findall(text)]


def shown(path: Path) -> list[str]:
    """Return the formulas of a page, with those of the claims in its table."""
    text = path.read_text(encoding="utf-8")
    wanted = {word for line in re.findall(r"```\{claims\} (.*)", text) for word in line.split()}
    named = [claim for claim in ledger() if claim.id in wanted]
    claims = named or [claim for claim in ledger() if claim.part in wanted]
    return formulas(text) + [
        formula for claim in claims for formula in formulas(f"{claim.statement}\n{claim.corrected}")
    ]


def place(path: Path) -> tuple[str, str]:
    """Return the solution of a page and the page's name in the tables."""
    solution = path.relative_to(SOLUTIONS).parts[0][0]
    if path.parent == SOLUTIONS:
        return solution, path.stem.partition("-")[2]
    return solution, "overview" if path.stem == "index" else path.stem[0]


def read_tables(text: str) -> dict[str, list[Row]]:
    """Return the rows of the section Symbols, by solution; those of all pages under ""."""
    section = re.search(r"^## Symbols$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    tables: dict[str, list[Row]] = {"": []}
    for line in section[1].splitlines():
        if line.startswith("### Solution "):
            rows = tables[line.split()[-1]] = []
        elif line.startswith("| $"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            firsts = [next(symbols(formula), None) for formula in formulas(cells[0])]
            pages = set(cells[1].split(", ")) if len(cells) == 3 else {"all"}
            row = Row([symbol for symbol in firsts if symbol], pages)
            (rows if len(tables) > 1 else tables[""]).append(row)
    return tables


TABLES = read_tables((ROOT / "docs" / "conventions.md").read_text(encoding="utf-8"))


def covering(symbol: Symbol, rows: list[Row]) -> list[Row]:
    """Return the rows to which a symbol belongs: one, if all is well."""
    for form in symbol.forms:
        if found := [row for row in rows if form in {listed.forms[0] for listed in row.symbols}]:
            return found
    return [row for row in rows if symbol.letter in {listed.letter for listed in row.symbols}]


def rows_for(symbol: Symbol, solution: str, page: str, tables: dict[str, list[Row]]) -> list[Row]:
    """Return the rows of a symbol on a page: those of its solution, else those of all pages."""
    own = [row for row in tables.get(solution, []) if row.holds_on(page)]
    return covering(symbol, own) or covering(symbol, tables[""])


def faults(
    solution: str, page: str, texts: list[str], tables: dict[str, list[Row]]
) -> Iterator[str]:
    """Yield what is wrong between the formulas of a page and the tables, and what to do."""
    used: set[tuple[int, str]] = set()
    found = {symbol.forms[0]: (symbol, formula) for formula in texts for symbol in symbols(formula)}
    for symbol, formula in found.values():
        rows = rows_for(symbol, solution, page, tables)
        used |= {(id(row), symbol.letter) for row in rows}
        if not rows:
            yield (
                f"no row covers ${symbol.forms[0]}$ in ${formula}$: add one for this page to the "
                "table of its solution, or take a letter that has one"
            )
        elif len(rows) > 1:
            yield (
                f"{len(rows)} rows cover ${symbol.forms[0]}$ in ${formula}$: rename one of the two "
                "on the page, or join the rows"
            )
    for row in tables.get(solution, []):
        if row.holds_on(page) and not (page == "overview" and row.pages == {"all"}):
            for listed in row.symbols:
                if (id(row), listed.letter) not in used:
                    yield (
                        f"the row of ${listed.forms[0]}$ names this page, which does not use it: "
                        "take the page off the row"
                    )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: "-".join(place(path)))
def test_every_symbol_has_one_meaning_on_a_page(path):
    found = list(faults(*place(path), shown(path), TABLES))
    name = path.relative_to(ROOT).as_posix()
    assert not found, "\n".join(f"{name}: {fault}" for fault in found)


def test_rows_name_pages_that_exist():
    there = {place(path) for path in PAGES} | {(solution, "all") for solution in TABLES}
    named = {
        (solution, page) for solution, rows in TABLES.items() for r in rows for page in r.pages
    }
    assert named <= there, f"no such page: {sorted(named - there)}"


def test_shared_rows_are_used():
    used = {
        (id(row), symbol.letter)
        for path in PAGES
        for formula in shown(path)
        for symbol in symbols(formula)
        for row in rows_for(symbol, *place(path), TABLES)
    }
    unused = {
        s.letter for row in TABLES[""] for s in row.symbols if (id(row), s.letter) not in used
    }
    assert not unused, "the table of all pages has symbols that no page uses so: take them off"


def test_few_letters_have_two_rows_on_a_page():
    found = set()
    for path in PAGES:
        pairs = {
            (symbol.letter, id(row))
            for formula in shown(path)
            for symbol in symbols(formula)
            for row in rows_for(symbol, *place(path), TABLES)
        }
        letters = [letter for letter, _ in pairs]
        found |= {letter for letter in letters if letters.count(letter) > 1}
    assert found == TWICE


# ---- what is found in a formula


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (r"\bar z", [r"\barz"]),
        (r"\overline{W}x", [r"\overlineW", "x"]),
        (r"W^\top", ["W"]),
        (r"\lVert x\rVert_2", ["x"]),
        (r"\lVert X\rVert_F^2+\|Y\|_F", ["X", "Y"]),
        (r"\frac{\frac ab}{\sqrt{c}}", ["a", "b", "c"]),
        (r"A\in\mathbb R^{m\times n}", ["A", r"\mathbbR", "m", "n"]),
        (r"\mathbb{E}\mathbf1", [r"\mathbbE", r"\mathbf1"]),
        (r"\sigma_{r+1}+\sigma'_T", [r"\sigma_{r+1}", "r", r"\sigma_T", "T"]),
        (r"\varepsilon_0\beta\eta", [r"\varepsilon_0", r"\beta", r"\eta"]),
        (r"\dot\imath+\dot f", [r"\doti", r"\dotf"]),
        (r"c_\text{in}\operatorname{tr}G\text{ for }k", [r"c_\text", "G", "k"]),
        (r"\begin{aligned}a&\\b\end{aligned}", ["a", "b"]),
        (r"\textstyle\sum_ig_i\mathrm dt,\mathrm{d}s", ["i", "g_i", "i", "t", "s"]),
        (r"2\cdot3\le\dots", []),
    ],
)
def test_letters_are_found(formula, expected):
    assert [symbol.forms[0] for symbol in symbols(formula)] == expected


def test_formulas_are_found():
    text = "Let $a$ and\n$$\nb\n$$ (eq-b)\n`$c$` too.\n```python\n$d$\n```\n```{proof}\n$e$\n```\n"
    assert [formula.strip() for formula in formulas(text)] == ["a", "b", "e"]


def test_letters_of_every_page_but_one_are_found():
    for path in PAGES:
        letters = {symbol.letter for formula in shown(path) for symbol in symbols(formula)}
        assert len(letters) >= (2 if path.name != "4-moved.md" else 0), path


# ---- what is found between pages and tables

EXAMPLE = r"""
## Symbols

| symbol | meaning |
|---|---|
| $\lVert\cdot\rVert$ | norm |
| $i$, $k$ | indices |
| $e_i$ | unit vector |

### Solution 1

| symbol | pages | meaning |
|---|---|---|
| $W$, $z_0$ | a, b | weights, state |
| $\bar z$ | a | gradient |
| $k$ | b | a count |
| $\sigma_1\ge\sigma_2$ | all | singular values |

## Shapes
"""


@pytest.mark.parametrize(
    ("page", "formula", "expected"),
    [
        ("a", r"W^kz_k+\bar z_k+\sigma_i", ["z_k"]),  # as much of either row
        ("a", r"W^kz_0+\bar z+\sigma_ie_i", []),
        ("a", r"W\bar z\sigma_1", ["z_0"]),  # stale: only the gradient is there
        ("b", r"Wz_0k\sigma", []),
        ("b", r"Wz_0\sigma", ["k"]),  # stale
        ("b", r"Wz_0k\sigma\tau", [r"\tau"]),  # no row
        ("overview", "i", []),
        ("overview", "W", ["W"]),  # a row for other pages
    ],
)
def test_faults_are_found(page, formula, expected):
    found = list(faults("1", page, [formula], read_tables(EXAMPLE)))
    assert len(found) == len(expected), found
    for fault, symbol in zip(found, expected, strict=True):
        assert f"${symbol}" in fault


def test_two_rows_for_one_symbol_are_found():
    tables = read_tables(EXAMPLE.replace("| $k$ | b", "| $W$, $k$ | b"))
    assert any("2 rows cover $W$" in fault for fault in faults("1", "b", ["Wz_0k\\sigma"], tables))


# ---- time is a subscript


def test_bare_times_above_a_state_are_found():
    for formula in (r"z^{(t)}", "h^t", r"\bar z^{T-1}", "{z}^k", r"x^{(0)}", "z^{t+1}", "c'^t"):
        assert STATE_AT_A_TIME.search(formula), formula
    for formula in (r"W^tz_0", r"(W^\top)^{t-1}", r"x^\top", "x^2", r"h^{*2}", "h_t", r"\max^t"):
        assert not STATE_AT_A_TIME.search(formula), formula


@pytest.mark.parametrize("path", [p for p in PAGES if place(p)[0] == "6"], ids=lambda p: p.stem)
def test_time_is_a_subscript_and_a_power_a_superscript(path):
    bare = [formula for formula in shown(path) if STATE_AT_A_TIME.search(formula)]
    assert not bare, f"write the time of a state as a subscript: {bare}"
