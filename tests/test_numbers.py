"""No measured number is typed: decimals in statements and prose come from the checks.

The exceptions, constants that we chose for worked examples and numbers that are proved, are listed
in ``typed_numbers.toml``, page by page and claim by claim.
"""

import re
import tomllib
from pathlib import Path

import pytest
from pages import without_code

from hw2lib.claims import ledger

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = tomllib.loads((ROOT / "tests" / "typed_numbers.toml").read_text(encoding="utf-8"))
PAGES = sorted(
    path
    for path in (ROOT / "docs").rglob("*.md")
    if not {"node_modules", "_build", "auto_examples"} & set(path.relative_to(ROOT).parts)
)
SCRIPTS = sorted((ROOT / "examples").rglob("plot_*.py"))

TYPED = re.compile(
    r"(?<![\w.])\d+\.\d+(?!\.\d)"  # 0.45, not 1.2.3
    r"|\d+(?=(?:\s|\\[,;]|\N{NARROW NO-BREAK SPACE})?(?:\\?%|per cent))"  # 97 %
    r"|10\^\{?[-\d]+"  # 10^{-7}
    r"|\b\d+e[-+]?\d+\b"  # 3e-16
    r"|10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+"  # 10⁻⁷
)
NOT_PROSE = (
    r"\A---\n.*?\n---\n",  # front matter
    r"\{(?:value|claim|cite|ref|doc|eq|func|mod|class)\}`[^`]*`",  # roles
    r"`[^`\n]*`",  # code in a line
)


def typed(text):
    """Return the numbers typed in a text, without those in its code and in what it quotes."""
    text = without_code(text)
    for pattern in NOT_PROSE:
        text = re.sub(pattern, " ", text, flags=re.MULTILINE | re.DOTALL)
    return set(TYPED.findall(text))


def prose_of_script(text):
    """Return the texts of a gallery script: its docstring and its comment blocks."""
    blocks = re.findall(r"^# %%\n((?:#.*\n)*)", text, re.MULTILINE)
    return text.split('"""')[1] + "\n".join(block.replace("# ", "") for block in blocks)


def test_typed_numbers_are_found():
    assert typed("about 0.45, 97 % and $12\\,\\%$, $3\\cdot10^{-7}$, 2e-16, 4·10⁻³") == {
        "0.45", "97", "12", "10^{-7", "2e-16", "10⁻³",
    }  # fmt: skip
    assert not typed("2 layers, `x = 0.5`, {value}`6d-others:ratio:.2g`, version 1.2.3")
    assert not typed("```python\nx = 0.5\n```\n~~~pycon\n>>> 0.5\n~~~\n")
    assert typed("```{dropdown} Solution\nIt is 0.5.\n```\nIt was 0.7.\n") == {"0.5", "0.7"}
    assert typed("````{exercise}\nA 0.1.\n```pycon\n>>> 0.2\n```\n````\n0.3") == {"0.1", "0.3"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_types_a_measured_number(page):
    name = page.relative_to(ROOT / "docs").as_posix()
    assert typed(page.read_text(encoding="utf-8")) <= set(ALLOWED.get(name, []))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_no_script_types_a_measured_number(script):
    name = script.relative_to(ROOT / "examples").as_posix()
    text = prose_of_script(script.read_text(encoding="utf-8"))
    assert typed(text) <= set(ALLOWED.get(name, []))


@pytest.mark.parametrize("claim", ledger(), ids=lambda claim: claim.id)
def test_no_claim_types_a_measured_number(claim):
    assert typed(f"{claim.statement} {claim.corrected}") <= set(ALLOWED.get(claim.id, []))


def test_every_exception_is_used():
    texts = {p.relative_to(ROOT / "docs").as_posix(): p.read_text("utf-8") for p in PAGES}
    texts |= {
        p.relative_to(ROOT / "examples").as_posix(): prose_of_script(p.read_text("utf-8"))
        for p in SCRIPTS
    }
    texts |= {claim.id: f"{claim.statement} {claim.corrected}" for claim in ledger()}
    unused = {name: set(listed) - typed(texts[name]) for name, listed in ALLOWED.items()}
    assert not {name: rest for name, rest in unused.items() if rest}
