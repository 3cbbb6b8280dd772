"""The site's own extensions: each failure they promise really fails a build."""

import io
import itertools
import re
import shutil
import string
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import ahead
import explorables
import fonts
import freshness
import gallery
import hosting
import katex
import lean
import ledger
import leftovers
import nbformat
import networks
import notebook
import pytest
import sharing
import torch
from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import docutils_namespace
from sphinx_gallery import gen_rst
from sphinx_gallery.utils import get_md5sum

from hw2lib import training
from hw2lib.claims import Claim, Kind, Trial, Verdict
from hw2lib.datasets import digits_data

ROOT = Path(__file__).resolve().parents[1]

CLAIM = {
    "id": "1x-one",
    "part": "1x",
    "title": "One is itself",
    "kind": "identity",
    "statement": "One is $1$.",
    "printed": "One is 2.",
    "verdict": "corrected",
    "corrected": "1",
    "severity": 2,
    "accepted": True,
    "evidence": {
        "error": 3.2e-16,
        "tolerance": 1e-12,
        "cases": 12000,
        "worst": "a zero",
        "exact": False,
        "values": {"ratio": 287.3},
        "mutants": [
            {"name": "two", "share": 0.97, "error": 1.0, "condition": False},
            {"name": "one", "share": 1.0, "error": 1.0, "condition": True},
        ],
    },
}


EXTENSIONS = [
    *("freshness", "katex", "typography", "ledger", "folds", "evidence", "environments"),
    "explorables",
    "myst_parser",
]


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Return a function that builds a site of one page and returns its HTML and its warnings."""
    monkeypatch.setattr(ledger, "outcomes", lambda *given: [CLAIM])
    for slow in ("ledger.begin", "fonts.write_fonts", "explorables.write_bundles"):  # of no page
        monkeypatch.setattr(slow, lambda *given: None)

    def run(text, page="index"):
        source, output, warnings = tmp_path / "source", tmp_path / "output", tmp_path / "warnings"
        (source / page).parent.mkdir(parents=True)
        (source / f"{page}.md").write_text("# Page\n\n" + text, encoding="utf-8")
        settings = {
            "extensions": EXTENSIONS,
            "root_doc": page,
            "html_math_renderer": "katex",
            "source_suffix": {".md": "markdown"},  # else Sphinx changes its own default
            "myst_enable_extensions": ["dollarmath", "attrs_inline"],
        }
        with warnings.open("w+", encoding="utf-8") as stream, docutils_namespace():
            app = Sphinx(
                source,
                None,
                output,
                tmp_path / "doctrees",
                "html",
                settings,
                status=None,
                warning=stream,
            )
            app.build()
            stream.seek(0)
            return (output / f"{page}.html").read_text(encoding="utf-8"), stream.read()

    return run


def test_formula_is_set_without_script(build):
    html, warnings = build("Inline $a^2$ and\n\n$$\nE=mc^2\n$$ (eq-energy)\n\nin {eq}`eq-energy`.")
    assert not warnings
    assert html.count('class="katex"') == 2
    assert '<span class="eqno">(1)' in html
    assert "katex.min.js" not in html


@pytest.mark.parametrize("formula", [r"\frac{a}", r"\unknown", r"x_", r"\begin{aligned} a"])
def test_formula_that_does_not_render_is_a_warning(build, formula):
    _, warnings = build(f"A formula ${formula}$.")
    assert "WARNING: formula" in warnings


def test_failed_build_fails_again_and_a_repaired_one_succeeds(tmp_path):
    source, settings = tmp_path / "source", {"extensions": ["freshness", "katex", "myst_parser"]}
    source.mkdir()
    settings |= {
        "html_math_renderer": "katex",
        "source_suffix": {".md": "markdown"},
        "myst_enable_extensions": ["dollarmath", "attrs_inline"],
    }

    def warnings(formula):
        (source / "index.md").write_text(f"# Page\n\nA formula ${formula}$.\n")
        stream = io.StringIO()
        with docutils_namespace():
            folders = (source, None, tmp_path / "output", tmp_path / "trees", "html")
            Sphinx(*folders, settings, status=None, warning=stream).build()
        return stream.getvalue()

    for _ in range(2):
        assert "WARNING: formula" in warnings(r"\frac{a}")
    assert "katex-error" in (tmp_path / "output" / "index.html").read_text()
    assert not warnings("a")
    assert not list((tmp_path / "trees").glob(freshness.UNFINISHED))


def test_interrupted_build_reads_every_page_again(tmp_path):
    pickle = tmp_path / "environment.pickle"
    pickle.touch()
    freshness.drop_unfinished_environment(tmp_path)
    assert pickle.exists()
    freshness.drop_unfinished_environment(tmp_path)  # no build has ended in between
    assert not pickle.exists()


def test_claim_is_shown_with_its_values(build):
    html, warnings = build(
        "```{claims} 1x\n```\n\n{value}`1x-one:ratio` {value}`1x-one:ratio:.1f` "
        "{claim-count}`corrected` {claim-count}`cases`, {ref}`part <part-1x>` with "
        "{claim-count}`solution-1` claim\n\n```{ledger} 1\n```"
    )
    assert not warnings
    text = html.replace("\u202f", " ")
    assert "1x-one · corrected" in text
    assert 'href="#part-1x"' in text
    assert "12 000 cases; no error exceeds 10<sup>−12</sup>, which is allowed." in text
    assert "Refused: two (in 97 % of the cases). Fails without: “one”." in text
    for value in ("290", "287.3", "12 000"):
        assert f'<span class="value">{value}</span>' in text
    assert text.index("One is 2.") < text.index("One is <span")


def test_rounding_is_told_alike_whatever_the_machine_makes_of_it():
    def line(error):
        return ledger.tried(CLAIM | {"evidence": CLAIM["evidence"] | given | {"error": error}})

    given = {"tolerance": 1e-9}
    assert line(9.5e-15) == line(7.7e-14) == line(9e-12)
    assert "no error exceeds 10⁻¹¹, 10⁻⁹ is allowed." in line(9.5e-15)
    assert "no error exceeds 10⁻⁹, which is allowed." in line(6e-10)


def test_error_that_is_more_than_rounding_is_shown_with_its_worst_case():
    evidence = CLAIM["evidence"] | {"error": 0.0321, "tolerance": 0.05}
    line = ledger.tried(CLAIM | {"evidence": evidence})
    assert line.endswith("cases; the largest error is 0.032 (a zero), 0.05 is allowed.")


def test_note_stands_beside_the_paragraph_of_its_claim(build):
    html, warnings = build(
        "A first paragraph.\n\n- One {claim}`1x-one`, and once more {claim}`1x-one`.\n\n"
        "Another.\n\n## Evidence\n\n```{claims} 1x\n```\n\n```{ledger} 1\n```",
        page="solutions/page",
    )
    assert not warnings
    page = BeautifulSoup(html, "html.parser")
    (noted,) = page.select("li > .noted")
    assert noted.find("p", recursive=False).get_text(strip=True) == "One,1and once more.1"
    (note,) = noted.select(".notes details")
    summary = note.summary.get_text(" ", strip=True).replace("\u202f", " ")
    assert summary == "1 One is itself print corrected · 12 000 cases"
    assert "python -m hw2lib.claims 1x-one" in note.get_text()
    assert note.find("a", href="#claim-1x-one")
    for mark in noted.select(".note-mark a"):
        assert mark["href"] == f"#{note['id']}"
    row = page.select_one(".claims-table tbody tr")
    assert row.find("a")["href"] == f"#{noted.select_one('.note-mark')['id']}"
    assert row.find(id="derivation-1x-one")


def test_numbers_of_notes_stand_behind_the_punctuation_and_apart_from_digits(build):
    html, warnings = build(
        "A word {claim}`1x-one`. At most 4 {claim}`1x-one`, below $W$ {claim}`1x-one` "
        "{claim}`1x-one`.\n\n"
        "```{claims} 1x\n```\n\n```{ledger} 1\n```",
        page="solutions/page",
    )
    assert not warnings
    paragraph = BeautifulSoup(html, "html.parser").select_one(".noted > p")
    marks = paragraph.select(".note-mark")
    before = [str(mark.previous_sibling or "") for mark in marks]
    assert before[0].endswith("A word.")
    assert before[1].endswith("At most 4,")
    assert [("is-apart" in mark["class"]) for mark in marks] == [False, True, True, False]
    assert [("is-next" in mark["class"]) for mark in marks] == [False, False, False, True]
    assert re.search(r"below W{1,2}\.11$", paragraph.get_text().replace(" ", " ").strip())


def test_space_behind_a_mark_is_kept_before_what_is_no_text(build):
    html, warnings = build(
        "It holds {claim}`1x-one` *always*, and {claim}`1x-one`\n$x=1$.\n\n"
        "```{claims} 1x\n```\n\n```{ledger} 1\n```",
        page="solutions/page",
    )
    assert not warnings
    paragraph = BeautifulSoup(html, "html.parser").select_one(".noted > p")
    text = paragraph.get_text().replace("\n", " ")
    assert text.startswith("It holds1 always, and1 x")


def test_indices_are_set_in_the_digits_of_the_text(build):
    html, warnings = build("Between σ₁ and 10⁻⁹, but `x₁`.", page="solutions/page")
    assert not warnings
    paragraph = BeautifulSoup(html, "html.parser").find("p")
    assert [each.get_text() for each in paragraph.find_all(["sub", "sup"])] == ["1", "−9"]
    assert paragraph.get_text() == "Between σ1 and 10−9, but x₁."


def test_short_formula_keeps_its_bracket_its_punctuation_and_its_note(build):
    html, warnings = build(
        "Let it be ($a$), or $b$ {claim}`1x-one`.\n\n```{claims} 1x\n```\n\n```{ledger} 1\n```",
        page="solutions/page",
    )
    assert not warnings
    first, second = BeautifulSoup(html, "html.parser").select(".noted > p .together")
    assert first.get_text().startswith("(")
    assert first.get_text().endswith("),")
    assert second.select_one(".note-mark")


def test_ties_names_and_low_signs_of_plain_text(build):
    html, warnings = build("As part (b) says, e = 1; see 1c-fc, ‖d‖∞ and ℓ2, and “$a$”. `x = 1`")
    assert not warnings
    text = BeautifulSoup(html, "html.parser").p
    assert "part\xa0(b) says, e\xa0=\xa01;" in text.get_text()
    assert [low.get_text() for low in text.select("sub")] == ["∞", "2"]
    assert [kept.get_text()[0] for kept in text.select(".together")] == ["1", "“"]
    assert text.code.get_text() == "x = 1"


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("See part (b), figure 2(c) and 1(e): the i-th, e.g. on the x-axis.", []),
        ("A function with f(λx) = f(x), or log ρ(W).", ["f", "λx", "f", "x", "ρ", "W"]),
        ("Either (a, b) or (−A, −B); a sum a − b.", ["a", "b", "A", "B", "a", "b"]),
        ("P = I − uuᵀ, and at tᵢ it is 3x − Wᵗ⁻¹.", ["P", "I", "uu", "t", "i", "x", "W", "t"]),
        ("Each A of shape (m, r), `x` and **x**.", ["A", "m", "r"]),
    ],
)
def test_variables_of_plain_text_are_set_as_such(build, text, variables):
    html, warnings = build(text, page="api/page")
    assert not warnings
    page = BeautifulSoup(html, "html.parser")
    assert [each.get_text() for each in page.select("p .variable")] == variables


def test_variables_are_left_to_formulas_on_other_pages(build):
    html, _ = build("A function f = 1.", page="solutions/page")
    assert not BeautifulSoup(html, "html.parser").select(".variable")


def test_long_formula_may_break_inside_and_keeps_its_punctuation(build):
    html, warnings = build("Let $a+a+a+a+a+a+a+a+a+a=b+b+bcd$, and $a+a=b$.")
    assert not warnings
    long, short = BeautifulSoup(html, "html.parser").select("p .together")
    assert long.get_text().endswith(",")
    assert len(long.select("wbr")) == len(long.select(".katex-base")) - 1 > 0
    assert not short.select("wbr")


def test_formula_does_not_break_between_bars(build):
    html, _ = build(r"It is $\|X-A^*B^*-a-b-c-d-e-f\|=|1-b|+|a-2b|+c$, always, and so on.")
    text = str(BeautifulSoup(html, "html.parser").select_one("p .katex-html"))
    before = [re.sub(r"<[^>]*>", "", piece) for piece in text.split("<wbr/>")[:-1]]
    assert before, "no place to break"
    assert before[0].endswith("=")
    assert all("".join(before[: n + 1]).count("∣") % 2 == 0 for n in range(len(before)))


STRUT = re.compile(r'class="katex-strut" style="height:([\d.]+)em')


def test_formula_of_medium_length_breaks_on_phones_only(build):
    sums = (
        "a+b+c=d+e+f",
        "a+a+a+a+a+a+a+a+a+a=b+b+b",
        "a+a+a+a+a+a+a+a+a+a+a+a=b+b+b+b+b+b+b+b+b+b+b",
    )
    html, warnings = build(" and ".join(f"${each}$" for each in sums))
    assert not warnings
    formulas = BeautifulSoup(html, "html.parser").select("p .math")
    assert [bool(formula.select("wbr")) for formula in formulas] == [False, True, True]
    assert ["breaks-on-phones" in formula["class"] for formula in formulas] == [False, True, False]


def test_rows_with_fractions_stand_apart(build):
    terms = ("e", r"\tfrac de", r"\frac de")
    rows = r"$$\begin{aligned} a&=b\\ c&=%s \end{aligned}$$"
    html, warnings = build("\n\n".join(rows % term for term in terms))
    assert not warnings
    displays = BeautifulSoup(html, "html.parser").select(".katex-display")
    _, small, large = (float(STRUT.search(str(each))[1]) for each in displays)
    assert large > small + 0.9


def test_long_formula_does_not_break_within_brackets(build):
    html, warnings = build(r"Let $\lVert a+b\rVert^2+(c+d)+\lvert a-b\rvert=e+f+g+h+i$.")
    assert not warnings
    parts = str(BeautifulSoup(html, "html.parser").select_one(".katex-html")).split("<wbr/>")
    shown = [BeautifulSoup(part, "html.parser").get_text() for part in parts]
    assert shown == ["∥a+b∥2+", "(c+d)+", "∣a−b∣=", "e+", "f+", "g+", "h+i"]


def test_long_formula_does_not_break_after_a_dot_or_before_a_short_end(build):
    html, _ = build(r"Let $a+a+a+a+a+a+a+a+a+a\cdot a=b+b+b+b+b+b+b\cdot b>0$ be so.")
    parts = str(BeautifulSoup(html, "html.parser").select_one(".katex-html")).split("<wbr/>")
    shown = [BeautifulSoup(part, "html.parser").get_text() for part in parts]
    assert shown == [*["a+"] * 9, "a⋅a=", *["b+"] * 6, "b⋅b>0"]


def test_print_box_without_print_is_an_error(build):
    _, warnings = build("```{printed} 1y\n```")
    assert "no claim's id begins with '1y'" in warnings


def test_ledger_of_an_unknown_solution_names_those_there_are(build):
    _, warnings = build("```{ledger} 7\n```")
    assert "no claims of '7'; there are solutions 1" in warnings


def test_print_is_quoted_with_what_holds_instead(build):
    html, warnings = build(
        "```{printed} 1x\nA remark.\n```\n\n```{claims} 1x\n```\n\n```{ledger} 1\n```"
    )
    assert not warnings
    box = BeautifulSoup(html, "html.parser").select_one("details.printed").get_text(" ", strip=True)
    assert re.search("A remark. ✗ One is 2. ✓ 1 1x-one", box)


def test_environments_are_numbered_and_found_by_their_labels(build):
    html, warnings = build(
        "```{lemma}\n:label: lemma-a\nOne.\n```\n\n```{proof}\n$$ a $$\n```\n\n"
        "```{theorem} Of *two*\n:label: theorem-b\nTwo.\n```\n\n"
        "```{exercise}\nThree.\n```\n\nBy {ref}`lemma-a` and {ref}`theorem-b`."
    )
    assert not warnings
    page = BeautifulSoup(html, "html.parser")
    blocks = page.select(".environment")
    heads = [block.p.get_text(" ", strip=True).replace("\xa0", " ") for block in blocks]
    assert heads == [
        "Lemma 1 . One.",
        "Proof .",
        "Theorem 2 (Of two ) . Two.",
        "Exercise 1 . Three.",
    ]
    links = {link.get_text(): link["href"] for link in page.select("a.reference")}
    assert links["Lemma 1"] == "#lemma-a"
    assert links["Theorem 2"] == "#theorem-b"
    assert page.select_one(".is-proof").get_text(strip=True).endswith("∎")


def test_search_indexes_words_not_formulas(build, tmp_path):
    _, warnings = build("A word and $\\mathrm{hidden}$.\n\n$$\n\\mathrm{displayed}\n$$")
    assert not warnings
    index = (tmp_path / "output" / "searchindex.js").read_text()
    assert "word" in index
    assert "hidden" not in index
    assert "mathrm" not in index
    assert "displayed" not in index


def test_search_index_does_not_tell_which_pages_were_written_last():
    entries = {"b": [("single", "x", "b-x", "", None)], "a": [("single", "x", "a-x", "", None)]}
    search = SimpleNamespace(
        _mapping={"gone": set(), "kept": {"a"}}, _title_mapping={}, _index_entries={"b": ["x"]}
    )
    index = SimpleNamespace(entries=entries)
    app = SimpleNamespace(
        builder=SimpleNamespace(indexer=search),
        env=SimpleNamespace(domains=SimpleNamespace(index_domain=index)),
    )
    leftovers.mend_search(app)
    assert list(search._index_entries.items()) == [("a", [("x", "a-x", "")]), ("b", ["x"])]
    assert list(search._mapping) == ["kept"]


def test_punctuation_stays_with_its_own_formula(build):
    html, warnings = build("Let $a$, $b$, and $c$, as well as $d$. A dot after $e$.")
    assert not warnings
    words = re.sub(r"<[^>]*>", "", html)
    assert "as well as" in words
    assert ",," not in words
    assert ".." not in words
    assert html.count('class="together"') == 5


@pytest.mark.parametrize(
    "text",
    [
        "{claim}`1x-two`",
        "{value}`1x-two:ratio`",
        "{value}`1x-one`",
        "{value}`1x-one:shape`",
        "{value}`1x-one:ratio:d`",
        "{claim-count}`wrong`",
        "```{claims} 9\n```",
        "```{claims} 1x-one 1x-lost\n```",
        "```{printed} 1x-one 9\n```",
    ],
)
def test_unknown_claim_is_an_error(build, text):
    _, warnings = build(text)
    assert "ERROR" in warnings


def test_failing_claim_stops_the_build(tmp_path, monkeypatch):
    monkeypatch.setattr("hw2lib.claims.ledger", lambda: (failing(),))
    with pytest.raises(ExtensionError, match="claims fail: 1z-x"):
        ledger.outcomes(tmp_path / "claims.json", ledger.checked)
    assert not list(tmp_path.iterdir())


def failing():
    """Return a claim whose right form is off by 1."""
    return Claim(
        "1z-x", "1z", Kind.MEASURED, "s", "p", Verdict.HOLDS,
        check=lambda seed: Trial(1.0, {"m": 2.0}, cases=8),
    )  # fmt: skip


def test_errata_are_ordered_by_severity_then_verdict():
    def entry(name, verdict, severity):
        return CLAIM | {"id": name, "verdict": verdict, "severity": severity}

    entries = [
        entry("in-part", "conditional", 0),
        entry("vague", "sharpened", 1),
        entry("too-small", "sharpened", 3),
        entry("fine", "holds", 0),
        entry("number", "corrected", 2),
        entry("headline", "corrected", 3),
    ]
    found = [entry["id"] for entry in ledger.errata(entries)]
    assert found == ["headline", "too-small", "number", "vague", "in-part"]


def test_digest_changes_with_library_lock_and_scraper(tmp_path):
    drawing = [f"docs/_ext/{name}" for name in (*freshness.DRAWING, "ledger.py")]
    drawing.append("docs/conf.py")
    library = ("hw2lib/a.py", "hw2lib/b.mplstyle", "hw2lib/c.npz")
    for name in (*library, "requirements.lock", "docs/package-lock.json", *drawing):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    seen = {freshness.digest(freshness.sources(tmp_path), tmp_path)}
    for path in freshness.sources(tmp_path):
        path.write_text("two")
        seen.add(freshness.digest(freshness.sources(tmp_path), tmp_path))
    (tmp_path / "README.md").write_text("not a source")
    seen.add(freshness.digest(freshness.sources(tmp_path), tmp_path))
    assert len(seen) == 1 + 5 + len(drawing)


def test_stale_gallery_is_dropped_once(tmp_path):
    checksum = tmp_path / "1-topic" / "plot_x.py.md5"
    checksum.parent.mkdir()
    checksum.write_text("old")
    assert freshness.drop_stale_gallery(tmp_path, "new")
    assert not checksum.exists()
    checksum.write_text("rebuilt before an interruption")
    assert not freshness.drop_stale_gallery(tmp_path, "new")
    assert checksum.exists()


def test_static_files_that_may_be_stale_are_dropped(tmp_path):
    old, stamp = tmp_path / "_static" / "old.css", tmp_path / "stamp"
    for state, is_kept in (("one", True), ("two", False)):
        old.parent.mkdir(exist_ok=True)
        old.touch()
        stamp.write_text("one")
        freshness.drop_stale_statics(tmp_path, stamp, state)
        assert old.exists() == is_kept


def test_removed_script_takes_only_its_own_files_along(tmp_path):
    examples, made = tmp_path / "examples", tmp_path / "gallery"
    names = ("plot_2_rank", "plot_2_rank_one")
    for folder in (examples / "a", made / "a" / "images" / "thumb"):
        folder.mkdir(parents=True)
    (examples / "a" / "plot_2_rank_one.py").touch()
    files = {
        name: [
            made / "a" / f"{name}.rst",
            made / "a" / f"{name}.py.md5",
            *(made / "a" / "images" / f"sphx_glr_{name}_001{end}.svg" for end in ("", "_dark")),
            made / "a" / "images" / "thumb" / f"sphx_glr_{name}_thumb.svg",
        ]
        for name in names
    }
    for file in itertools.chain(*files.values()):
        file.touch()
    freshness.drop_orphans(made, examples)
    assert sorted(each for each in made.rglob("*") if each.is_file()) == sorted(files[names[1]])


def test_pictures_of_a_notebook_are_those_that_its_page_shows(tmp_path):
    site, source = tmp_path / "site", tmp_path / "source"
    for folder in (site / "_images", site / "_downloads", source):
        folder.mkdir(parents=True)
    (source / "book.md").write_text("---\nfile_format: mystnb\n---\n# Book\n", encoding="utf-8")
    (source / "plain.md").write_text("# Plain\n", encoding="utf-8")
    (site / "book.html").write_text('<img src="_images/book-1.svg"/>', encoding="utf-8")
    kept = ("book.html", "plain.html", "book.ipynb", "_images/book-1.svg")
    left = ("_images/book-2.svg", "_images/plain-1.svg", "plain.ipynb", "gone.html")
    for name in (*kept[1:], *left):
        (site / name).touch()
    env = SimpleNamespace(
        found_docs={"book", "plain"},
        images={},
        dlfiles={},
        doc2path=lambda page: source / f"{page}.md",
    )
    app = SimpleNamespace(
        outdir=site, srcdir=source, env=env, config=SimpleNamespace(html_baseurl="")
    )
    found = {path.relative_to(site).as_posix() for path in leftovers.leftovers(app)}
    assert found == set(left)


def test_tags_take_the_title_as_text_and_a_figure_of_a_script(tmp_path, monkeypatch):
    monkeypatch.setattr(sharing, "write_card", lambda figure, folder: f"card of {figure.name}")
    title = nodes.title("", "R&D of “q”")
    app = SimpleNamespace(
        srcdir=tmp_path,
        outdir=tmp_path,
        env=SimpleNamespace(titles={"page": title}),
        config=SimpleNamespace(project="Site", html_baseurl="https://a.example/"),
        builder=SimpleNamespace(images={"made/plot.svg": "plot.svg"}),
    )
    own, drawn = ('<img src="_images/page-1.svg"/>', '<img src="_images/plot.svg"/>')
    for body, cards in ((own + drawn, 1), (own, 0)):
        context = {"metatags": "", "body": body, "pageurl": "x", "title": "R&amp;D of “q”"}
        sharing.add_tags(app, "page", "page.html", context, nodes.document(None, None))
        assert '<meta property="og:title" content="R&amp;D of “q”" />' in context["metatags"]
        assert context["metatags"].count("card of plot.svg") == cards


def test_zip_holds_nothing_of_one_that_was_not_finished(tmp_path):
    half = hosting.ZIP.replace(".zip", ".part")
    for name in ("index.html", half):
        (tmp_path / name).touch()
    config = SimpleNamespace(hw2lib_downloads=[("Zip", hosting.ZIP)])
    builder = SimpleNamespace(format="html")
    hosting.write_downloads(SimpleNamespace(outdir=tmp_path, config=config, builder=builder), None)
    with ZipFile(tmp_path / hosting.ZIP) as archive:
        assert [name.rpartition("/")[2] for name in archive.namelist()] == ["index.html"]
    assert not (tmp_path / half).exists()


def test_card_has_another_name_when_it_has_another_look(tmp_path, monkeypatch):
    figure, look = tmp_path / "plot.svg", tmp_path / "sharing.py"
    monkeypatch.setattr(sharing, "__file__", str(look))
    names = set()
    for ink, ground in (("red", "white"), ("red", "black"), ("blue", "white")):
        figure.write_text(ink)
        look.write_text(ground)
        names.add(sharing.name_of_card(figure))
    assert len(names) == 3


@pytest.mark.parametrize("address", ["you.example/homework/", "ftp://a.example/", "https:///a/"])
def test_address_of_the_site_that_is_none_is_refused(address):
    with pytest.raises(ExtensionError, match="SITE_URL must be like https://"):
        hosting.check_address(None, SimpleNamespace(html_baseurl=address, hw2lib_repository=""))
    for right in ("", "https://owner.github.io/name/", "http://localhost:8000/"):
        hosting.check_address(None, SimpleNamespace(html_baseurl=right, hw2lib_repository=""))
    with pytest.raises(ExtensionError, match="REPOSITORY_URL must be like"):
        hosting.check_address(
            None, SimpleNamespace(html_baseurl="", hw2lib_repository="https://gitlab.com/a/b")
        )


def test_link_to_run_quotes_a_name_once():
    place = hosting.repository("https://github.com/owner/name")
    (_, colab), (_, binder) = place.links_to_run("a/plot_%C3%A9.ipynb")
    assert colab.endswith("/gh-pages/a/plot_%C3%A9.ipynb")
    assert binder.endswith("?labpath=a/plot_%C3%A9.ipynb")


@pytest.mark.parametrize("role", ["{ref}`theorem-of-another-page`", "{eq}`eq-of-another-page`"])
def test_notebook_that_refers_to_a_label_of_another_page_is_refused_by_name(role):
    with pytest.raises(ExtensionError, match=re.escape(role)):
        notebook.plain(f"By {role}.", {}, {})


def test_formula_on_one_line_has_its_number_in_the_notebook():
    source = "---\nkernelspec:\n  name: python3\n---\n\nSee {eq}`eq-a`: $$x$$ (eq-a)\n"
    (cell,) = nbformat.reads(notebook.take_away(source, {}, {}), 4).cells
    assert cell.source == r"See (1): $$x\tag{1}$$"


def test_shared_networks_are_those_that_a_script_trains_itself(tmp_path, monkeypatch):
    own, own_history = training.digits_network(seed=1, epochs=1)
    monkeypatch.setattr(networks, "KEPT", tmp_path)
    monkeypatch.setattr(training, "digits_network", training.digits_network)  # put back at the end
    networks.share()
    for _ in range(2):
        model, history = training.digits_network(seed=1, epochs=1)
        assert all(map(torch.equal, model.state_dict().values(), own.state_dict().values()))
        assert all(map(torch.equal, history, own_history))
    kept = [len(list(tmp_path.rglob("*.pt")))]
    for other in ({"seed": 2}, {"data": digits_data(unseen_writers=True)}):
        training.digits_network(**{"seed": 1, "epochs": 1} | other)
        kept.append(len(list(tmp_path.rglob("*.pt"))))
    assert kept == [1, 2, 3]


def test_script_is_stale_until_its_checksum_is_there(tmp_path):
    script, gallery_folder = tmp_path / "examples" / "1" / "plot_x.py", tmp_path / "gallery"
    script.parent.mkdir(parents=True)
    script.write_text("x = 1\n")
    assert freshness.stale_scripts(tmp_path / "examples", gallery_folder) == [script]
    checksum = gallery_folder / "1" / "plot_x.py.md5"
    checksum.parent.mkdir(parents=True)
    checksum.write_text(get_md5sum(str(script), "t"))
    assert not freshness.stale_scripts(tmp_path / "examples", gallery_folder)
    script.write_text("x = 2\n")
    assert freshness.stale_scripts(tmp_path / "examples", gallery_folder) == [script]


def test_one_script_of_those_that_the_gallery_goes_through_is_handed_over(tmp_path, monkeypatch):
    def make_page(name, target, source, gallery_conf):
        return name, target, gallery_conf, threading.get_ident()

    def went_through():
        for name in names:
            made = gen_rst.generate_file_rst(name, "target", str(tmp_path), {"a": 1})
            assert made[:-1] == (name, "target", {"a": 1})
            yield made[-1] != threading.get_ident()

    names = ("plot_a.py", "plot_b.py", "plot_c.py")
    for name in names:
        (tmp_path / name).touch()
    monkeypatch.setattr(gen_rst, "generate_file_rst", make_page)
    ahead.hand_over(tmp_path / "plot_b.py", ThreadPoolExecutor(1))
    assert list(went_through()) == [False, True, False]
    assert gen_rst.generate_file_rst is make_page


def test_notebook_runs_again_only_when_the_digest_changes(tmp_path, monkeypatch):
    source, log = tmp_path / "source", tmp_path / "runs"
    source.mkdir()
    (source / "index.md").write_text(
        "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n# Page\n\n```{code-cell}\n"
        f"print('run', file=open({str(log)!r}, 'a'))\n```\n"
    )

    def runs(digest):
        monkeypatch.setattr(freshness, "digest", lambda paths, root: digest)
        settings = {
            "extensions": ["freshness", "myst_nb"],
            "nb_execution_mode": "cache",
            "source_suffix": {".md": "myst-nb"},
        }
        with docutils_namespace():
            folders = (source, None, tmp_path / "output", tmp_path / "trees", "html")
            Sphinx(*folders, settings, status=None, warningiserror=True).build()
        return log.read_text().count("run")

    assert [runs("one"), runs("one"), runs("two"), runs("two")] == [1, 1, 2, 2]


def test_notebook_to_take_away_says_in_plain_markdown_what_the_directives_say():
    source = """---
file_format: mystnb
kernelspec:
  name: python3
---
# Page

````{container} answer
**Which?** All of them.
````

```{theorem} Landscape
:label: theorem-landscape
Every one, by {eq}`eq-one`.
```

````{dropdown} Further
```{proof}
Trivial, says {cite:t}`someone2020paper`.
```
````

```{code-cell}
1
```

```{lemma}
Follows from {ref}`theorem-landscape`:

$$
x
$$ (eq-one)
```

```{gallery-figure} 1-resnet/plot_one
:number: 2
Seen.
```

```{printed} 1x
It is lost.
```

````{exercise}
How many?

```{dropdown} Solution
One.
```
````

```{scripts}
```

```{claims} 1x
```
"""
    cells = nbformat.reads(
        notebook.take_away(source, {}, {"someone2020paper": "A paper."}), as_version=4
    )["cells"]
    text = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    assert not re.search(r"\{[\w:-]+\}[`\s]|```|:label:|:number:|\(eq-", text)
    assert "**Which?** All of them." in text
    assert "**Theorem 1 (Landscape).** Every one, by (1)." in text
    assert "<summary>Further</summary>\n\n*Proof.* Trivial, says [someone2020paper]. ∎" in text
    assert "**Lemma 2.** Follows from Theorem 1:" in text
    assert r"\tag{1}$$" in text
    assert "`1-resnet/plot_one.py`:* Seen." in text
    assert "<summary>If you have the printed solutions</summary>\n\nIt is lost." in text
    assert "**Exercise 1.** How many?" in text
    assert text.endswith("## References\n\n- [someone2020paper] A paper.")
    assert "<summary>Solution</summary>\n\nOne." in text


def test_scripts_share_no_state_of_torch():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(5)
    gallery.reset_torch({}, "plot_x.py")
    assert torch.get_default_dtype() == torch.float32
    assert torch.initial_seed() == 0


def test_figure_without_alt_text_is_refused(tmp_path):
    import matplotlib.pyplot as plt

    plt.figure()
    block = {"image_path_iterator": iter([str(tmp_path / "x.png")]), "src_file": "plot_x.py"}
    with pytest.raises(ExtensionError, match=r"plot_x\.py: a figure without alt text"):
        gallery.scrape(None, block, {"src_dir": str(tmp_path)})
    plt.close("all")


def test_scraped_figure_is_reproducible_and_has_a_dark_twin(tmp_path):
    import matplotlib.pyplot as plt

    from hw2lib.figures import BLUE, DARK_TWINS, describe

    texts = []
    for name in ("one", "two"):
        with plt.style.context("hw2lib.figures"):
            figure, axes = plt.subplots()
            axes.plot([0, 1], color=BLUE)
            describe(figure, "A line & nothing else, rising.")
            block = {"image_path_iterator": iter([str(tmp_path / f"{name}.png")]), "src_file": "x"}
            markup = gallery.scrape(None, block, {"src_dir": str(tmp_path)})
        assert ":alt: A line & nothing else, rising." in markup
        texts.append((tmp_path / f"{name}.svg").read_text())
        dark = (tmp_path / f"{name}_dark.svg").read_text()
        assert BLUE in texts[-1]
        assert BLUE not in dark
        assert DARK_TWINS[BLUE] in dark
        assert gallery.alt_text(dark) == "A line & nothing else, rising."
    assert texts[0] == texts[1]


def test_missing_katex_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(katex, "DIST", tmp_path)
    katex.renderer.cache_clear()
    with pytest.raises(ExtensionError, match="python -m nox -s docs"):
        katex.renderer()
    katex.renderer.cache_clear()


def test_missing_font_of_formulas_fails_the_build(monkeypatch, tmp_path):
    package = tmp_path / "katex"
    shutil.copytree(katex.DIST.parent, package)
    (package / "dist" / "fonts" / "KaTeX_Math-Italic.ttf").unlink()
    monkeypatch.setattr(fonts, "FORMULAS", package / "dist")
    with pytest.raises(ExtensionError, match=r"font KaTeX_Math-Italic.ttf is missing: remove docs"):
        fonts.fonts_of_formulas()


def test_fonts_keep_what_pages_show(tmp_path, monkeypatch):
    from fontTools.ttLib import TTFont

    page, text, formulas = tmp_path / "page.html", tmp_path / "fonts", tmp_path / "katex" / "fonts"
    for folder in (text, formulas):
        folder.mkdir(parents=True)
    faces = ("source-serif-4-latin-400-normal", "source-serif-4-latin-ext-400-normal")
    monkeypatch.setattr(fonts, "SITE", faces)  # of two dozen, a second for each
    of_formulas = [
        fonts.FORMULAS / "fonts" / f"KaTeX_Main-{kind}.ttf" for kind in ("Regular", "Bold")
    ]
    assert set(of_formulas) < set(fonts.fonts_of_formulas())
    monkeypatch.setattr(fonts, "fonts_of_formulas", lambda: of_formulas)
    main = formulas / "KaTeX_Main-Regular.woff2"

    def letters(shown, font=main):
        page.write_text(f"<p class='B'>{shown}</p>", encoding="utf-8")
        fonts.write_fonts([page], tmp_path)
        return "".join(map(chr, sorted(TTFont(font).getBestCmap())))

    assert letters("A&amp;ΩA") == "&AΩ"
    before = main.stat().st_mtime_ns
    assert letters("<b>ΩA</b>&amp;") == "&AΩ"
    assert main.stat().st_mtime_ns == before, "written again"
    assert letters("Az") == "Az"
    assert letters('A<span class="mord mathbf">x</span>') == "Ax"
    assert set(TTFont(formulas / "KaTeX_Main-Bold.woff2").getBestCmap()) == {ord("x")}
    serif = text / "source-serif-4-latin-400-normal.woff2"
    assert "é" in letters("é", serif)
    assert "é" not in letters("e", serif)
    typed = set(string.printable) - set(string.whitespace)
    assert typed | {"²"} <= set(letters("e", serif)), "what readers type, and explorables show"
    rare = letters("eŁ", text / "source-serif-4-latin-ext-400-normal.woff2")
    assert "Ł" in rare
    assert "ć" not in rare
    for font in (main, serif):
        assert not {"fpgm", "prep", "cvt "} & set(TTFont(font).keys())


def test_pages_load_one_style_sheet_and_only_scripts_that_they_use():
    def lists():
        names = ("site.css", "styles.css", "clipboard.min.js", "doctools.js")
        files = [SimpleNamespace(filename=f"_static/{name}", attributes={}) for name in names]
        return {"css_files": files[:2], "script_files": files[2:]}

    for body, expected in (("", 1), ('<div class="highlight">', 2)):
        context = {"body": body, **lists()}
        lean.leave_out(None, "page", "page.html", context, None)
        assert [style.filename for style in context["css_files"]] == ["_static/styles.css"]
        assert len(context["script_files"]) == expected
        assert all(script.attributes["defer"] for script in context["script_files"])


def test_joined_styles_find_the_fonts(monkeypatch):
    monkeypatch.setattr("furo.get_pygments_stylesheet", lambda: ".highlight {}")
    styles = lean.joined_styles()
    assert "url(katex/fonts/KaTeX_Main-Regular.woff2)" in styles
    assert 'url("fonts/source-serif-4-latin-400-normal.woff2")' in styles
    assert styles.index(".highlight") < styles.index("normalize.css") < styles.index("--measure")


def test_pictures_of_a_style_sheet_become_files():
    styles = """a { content: url("data:image/svg+xml;charset=utf-8,%3Csvg a='b'%3E"); } b {}"""
    ((name, picture),) = lean.pictures(styles).items()
    assert re.fullmatch(r"icon-\w{8}\.svg", name)
    assert picture == "<svg a='b'>"


def test_unknown_explorable_names_those_there_are(build):
    _, warnings = build("```{explorable} growth-lap\n:figure: a/plot_b\nTry.\n```")
    assert "no explorable 'growth-lap'; there are" in warnings
    assert "growth-lab" in warnings


def test_explorable_without_figure_is_an_error(build):
    _, warnings = build("```{explorable} growth-lab\nTry.\n```")
    assert "needs the option :figure:" in warnings


def test_explorable_has_the_caption_of_its_figure_and_its_own(build, monkeypatch):
    def figure(directive):
        texts = "\n".join(directive.content).split("\n\n")
        phrases = [nodes.inline("", text) for text in [*texts, "Script and data."]]
        return [nodes.figure("", nodes.caption("", "", *phrases))]

    monkeypatch.setattr(explorables.GalleryFigure, "run", figure)
    html, warnings = build(
        "```{explorable} growth-lab\n:figure: a/plot_b\n:flat:\nOne.\n\nTwo.\n```"
    )
    assert not warnings
    frame = BeautifulSoup(html, "html.parser").find(id="explorable-growth-lab")
    assert frame["class"] == ["explorable", "is-flat"]
    assert frame["data-explorable"] == "growth-lab"
    assert frame.select_one(".of-figure").get_text() == "One."
    assert frame.select_one(".of-explorable").get_text() == "Two."


def test_explorable_without_its_own_caption_is_an_error(build, monkeypatch):
    figure = nodes.figure(
        "", nodes.caption("", "", nodes.inline("", "One."), nodes.inline("", "S."))
    )
    monkeypatch.setattr(explorables.GalleryFigure, "run", lambda directive: [figure])
    _, warnings = build("```{explorable} growth-lab\n:figure: a/plot_b\nOne.\n```")
    assert "'growth-lab' needs two paragraphs" in warnings


def test_missing_bundler_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(explorables, "ESBUILD", tmp_path / "esbuild")
    with pytest.raises(
        ExtensionError,
        match="esbuild is missing: remove docs/node_modules and run 'python -m nox -s docs'",
    ):
        explorables.esbuild(explorables.SOURCES / "explorables.ts")


def test_faulty_source_fails_with_what_esbuild_says(tmp_path):
    source = tmp_path / "model.ts"
    source.write_text("export const a = ;", encoding="utf-8")
    with pytest.raises(ExtensionError, match=r"(?s)esbuild: .*model\.ts:1:17"):
        explorables.esbuild(source, "--bundle")


def test_missing_face_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(fonts, "PACKAGES", tmp_path)
    with pytest.raises(ExtensionError, match=r"source-sans-3-latin-400-normal.*nox -s docs"):
        fonts.file_of("source-sans-3-latin-400-normal", "woff")


def test_configuration_stays_short():
    assert len((ROOT / "docs" / "conf.py").read_text().splitlines()) <= 100
