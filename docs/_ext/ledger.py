"""Claims on pages: roles and directives that pull a claim in by its id, never by its text.

The checks run once for a state of hw2lib, beside the gallery's scripts; their outcomes are kept
beside Sphinx's own cache. A claim that fails, or an unknown id, fails the build.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from gallery import write_atomically
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.display import progress_message
from sphinx.util.docutils import SphinxDirective, SphinxRole

from hw2lib._processes import end_with_parent
from hw2lib.claims.registry import Claim, Evidence, Kind, Verdict, fill, quote
from hw2lib.claims.typeset import typeset

logger = logging.getLogger(__name__)
Outcome = dict[str, Any]

ROUNDING = 1e-6  # errors below come from rounding; their digits depend on the machine,
NOISE = 1e-11  # and below this their order of magnitude too

RANK = {"corrected": 0, "sharpened": 1, "conditional": 2}
SEVERITY = {
    3: "A reader who trusts the print goes wrong",
    2: "Wrong or unproved as printed",
    1: "Vague, or wrong by a detail",
    0: "Right under a condition that is not in print",
}


def begin(app: Sphinx) -> None:
    """Begin to check the claims, in a process of its own, unless the cache has the outcomes."""
    if not cache_of(app).is_file():
        app.hw2lib_pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=end_with_parent)
        app.hw2lib_checks = app.hw2lib_pool.submit(checked)


def cache_of(app: Sphinx) -> Path:
    """Return where the outcomes are kept: a file for each state of hw2lib."""
    return Path(app.doctreedir) / f"claims-{app.config.hw2lib_digest}.json"


def checked() -> list[Outcome]:
    """Check every claim; return the outcomes."""
    from hw2lib.claims import ledger

    return [outcome(claim, claim.run()) for claim in ledger()]


def outcomes(cache: Path, result: Callable[[], list[Outcome]]) -> list[Outcome]:
    """Return every claim with the outcome of its check, from the cache if it has them."""
    if not cache.is_file():
        with progress_message("checking the claims"):
            found = result()
        failed = [claim["id"] for claim in found if not claim["accepted"]]
        if failed:
            ids = " ".join(failed)
            raise ExtensionError(f"claims fail: {ids}; see python -m hw2lib.claims {ids}")
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, json.dumps(found))
    return json.loads(cache.read_text(encoding="utf-8"))


def outcome(claim: Claim, evidence: Evidence | None) -> Outcome:
    """Return a claim and its evidence as plain data, with the values it quotes filled in."""
    names = ("id", "part", "title", "kind", "printed", "verdict", "severity")
    values = evidence.values if evidence else {}
    texts = {
        name: fill(claim.id, values, getattr(claim, name)) for name in ("statement", "corrected")
    }
    checked = None if evidence is None else {
        "error": evidence.error,
        "tolerance": evidence.tolerance,
        "cases": evidence.cases,
        "worst": evidence.worst,
        "exact": evidence.exact,
        "values": dict(evidence.values),
        "mutants": [
            {"name": m.name, "share": m.share, "error": m.error, "condition": m.condition}
            for m in evidence.mutants
        ],
    }  # fmt: skip
    return (
        {name: getattr(claim, name) for name in names}
        | texts
        | {"accepted": claim.accepts(evidence), "evidence": checked}
    )


def load(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Load the outcomes before any page is read."""
    if docnames:
        found = outcomes(cache_of(app), lambda: app.hw2lib_checks.result())
        env.hw2lib_claims = {claim["id"]: claim for claim in found}
    if hasattr(app, "hw2lib_pool"):
        app.hw2lib_pool.shutdown()  # before Sphinx forks


def errata(claims: Sequence[Outcome]) -> list[Outcome]:
    """Return what is wrong or weak in print, worst first, else in the order of the original."""
    wrong = [claim for claim in claims if claim["verdict"] in RANK]
    return sorted(wrong, key=lambda claim: (-claim["severity"], RANK[claim["verdict"]]))


def check_line(claim: Outcome) -> str:
    """Return Markdown for what was checked, what was refused, and which conditions are needed."""
    evidence = claim["evidence"]
    if evidence is None:
        return "Not checked: no computation here could refute it."
    return " ".join(
        [
            tried(claim),
            *listed("Refused", [m for m in evidence["mutants"] if not m["condition"]]),
            *listed("Fails without", [m for m in evidence["mutants"] if m["condition"]]),
        ]
    )


def tried(claim: Outcome) -> str:
    """Return a sentence on the cases that were tried and the worst of them."""
    evidence = claim["evidence"]
    cases, exactly = cases_of(evidence), " exactly" if evidence["exact"] else ""
    worst = f" ({evidence['worst']})" if evidence["worst"] else ""
    if evidence["tolerance"] == 0:
        return f"Checked{exactly} on {cases}{worst}."
    limit = typeset(evidence["tolerance"], ".1g")
    if 0 < evidence["error"] < ROUNDING:
        power = max(NOISE, 10.0 ** math.ceil(math.log10(evidence["error"])))
        if power >= evidence["tolerance"]:
            return f"Checked on {cases}; no error exceeds {limit}, which is allowed."
        return f"Checked on {cases}; no error exceeds {typeset(power, '.1g')}, {limit} is allowed."
    return (
        f"Checked{exactly} on {cases}; the largest error is {typeset(evidence['error'])}{worst}, "
        f"{limit} is allowed."
    )


def cases_of(evidence: Outcome) -> str:
    """Return on how many cases a claim was checked: "1 case", "100 cases"."""
    count = evidence["cases"]
    return f"{typeset(count)} {'case' if count == 1 else 'cases'}"


def listed(heading: str, mutants: Sequence[Outcome]) -> list[str]:
    """Return a sentence on some mutants: in how many cases, unless all, each was refused."""
    names = [
        (f"“{m['name']}”" if m["condition"] else m["name"])
        + (f" (in {typeset(m['share'], '.0%')} of the cases)" if m["share"] < 1 else "")
        for m in mutants
    ]
    return [f"{heading}: {'; '.join(names)}."] if names else []


def card(claim: Outcome) -> str:
    """Return Markdown for one claim: badge, print, correction, statement and check."""
    parts = [f"{{claim}}`{claim['id']}` {{ref}}`derivation <derivation-{claim['id']}>`"]
    if claim["printed"]:
        parts.append(f"*In print:* {claim['printed']}")
    if claim["corrected"]:
        heading = "Holds" if claim["verdict"] == "conditional" else "Instead"
        parts.append(f"*{heading}:* {claim['corrected']}")
    parts.append(claim["statement"])
    parts.append(f"```{{container}} claim-check\n{check_line(claim)}\n```")
    if claim["verdict"] in RANK:
        parts.append(f"*Try it:* `python -m hw2lib.claims {claim['id']}`")
    body = "\n\n".join(parts)
    return f"````{{container}} claim-card claim-{claim['verdict']}\n{body}\n````\n"


class ClaimDirective(SphinxDirective):
    """A directive that writes Markdown made from the claims."""

    @property
    def claims(self) -> list[Outcome]:
        """All claims with their outcomes, in order."""
        return list(self.env.hw2lib_claims.values())

    def target(self, kind: str, claim: Outcome) -> nodes.target:
        """Return a place to which pages can link: the "claim" itself or its "derivation"."""
        label = f"{kind}-{claim['id']}"
        self.note_target(label, claim["id"])
        return nodes.target("", "", ids=[nodes.make_id(label)])

    def note_target(self, label: str, title: str) -> None:
        """Let pages link to a place on this one by its label."""
        domain = self.env.domains.standard_domain
        domain.note_hyperlink_target(label.lower(), self.env.docname, nodes.make_id(label), title)

    def parse(self, markdown: str) -> list[nodes.Node]:
        """Parse Markdown in place."""
        holder = nodes.Element()
        lines = StringList(markdown.splitlines(), self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, holder, match_titles=True)
        return holder.children


def found_by_id(claim: Outcome) -> addnodes.index:
    """Return an entry by which search finds a claim's card first when it is asked for its id."""
    id = claim["id"]
    return addnodes.index(entries=[("single", id, nodes.make_id(f"claim-{id}"), "main", None)])


class LedgerDirective(ClaimDirective):
    """Show the claims of a solution, part by part; the role ``claim`` links to them."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a section a part."""
        claims = [claim for claim in self.claims if claim["part"].startswith(self.arguments[0])]
        if not claims:
            solutions = ", ".join(dict.fromkeys(claim["part"][0] for claim in self.claims))
            raise self.error(f"no claims of {self.arguments[0]!r}; there are solutions {solutions}")
        result: list[nodes.Node] = []
        for part in dict.fromkeys(claim["part"] for claim in claims):
            section = nodes.section(ids=[f"part-{part}"], names=[f"part {part}"])
            section += nodes.title("", f"Part {part[0]}({part[1:]})" if part[1:] else "All parts")
            self.note_target(f"part-{part}", part)
            for claim in claims:
                if claim["part"] == part:
                    section += found_by_id(claim)
                    section += self.target("claim", claim)
                    section += self.parse(card(claim))
            result.append(section)
        return result


class ErrataDirective(ClaimDirective):
    """Show what is wrong or weak in print, by severity."""

    def run(self) -> list[nodes.Node]:
        """Return a section a severity."""
        wrong = errata(self.claims)
        result: list[nodes.Node] = []
        for severity, title in SEVERITY.items():
            section = nodes.section(ids=[f"severity-{severity}"], names=[title.lower()])
            section += nodes.title("", title)
            for claim in wrong:
                if claim["severity"] == severity:
                    section += self.parse(card(claim))
            result.append(section)
        return result


class LedgerRole(SphinxRole):
    """A role that looks its text up among the claims."""

    def problem(self, message: str) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Report an error at the role's line."""
        return [], [self.inliner.reporter.error(message, line=self.lineno)]

    def unknown(self, id: str) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Report an id that no claim has, with those that look alike."""
        alike = difflib.get_close_matches(id, self.env.hw2lib_claims, cutoff=0.5)
        hint = f"; did you mean {' or '.join(alike)}?" if alike else ""
        return self.problem(f"no claim has the id {id!r}{hint}")


class ValueRole(LedgerRole):
    """A value that a claim's check computed: ``6d-others:ratio``, with a format ``…:ratio:.1%``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the value, typeset."""
        id, _, wanted = self.text.partition(":")
        claim = self.env.hw2lib_claims.get(id)
        if claim is None:
            return self.unknown(id)
        try:
            text = quote(id, claim["evidence"]["values"] if claim["evidence"] else {}, wanted)
        except ValueError as error:
            return self.problem(str(error))
        return [nodes.inline("", text, classes=["value"])], []


class CountRole(LedgerRole):
    """How many claims: ``all``, of a verdict, a kind (``kind-limit``), a solution; ``cases``, …."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the count as text."""
        counts = count(list(self.env.hw2lib_claims.values()))
        if self.text not in counts:
            return self.problem(f"claim-count takes {', '.join(counts)}, got {self.text!r}")
        return [nodes.inline("", typeset(counts[self.text]), classes=["value"])], []


def count(claims: Sequence[Outcome]) -> dict[str, int]:
    """Return how many claims, cases, wrong conclusions and needed conditions there are."""
    checked = [claim["evidence"] for claim in claims if claim["evidence"]]
    conditions = [mutant["condition"] for evidence in checked for mutant in evidence["mutants"]]
    counts = {
        **dict.fromkeys(map(str, Verdict), 0),
        **dict.fromkeys((f"kind-{kind}" for kind in Kind), 0),
        "all": len(claims),
        "checked": len(checked),
        "cases": sum(evidence["cases"] for evidence in checked),
        "exact": sum(evidence["exact"] for evidence in checked),
        "mutants": conditions.count(False),
        "conditions": conditions.count(True),
    }
    for solution in dict.fromkeys(claim["part"][0] for claim in claims):
        counts |= {f"solution-{solution}{end}": 0 for end in ("", *(f"-{each}" for each in RANK))}
    for claim in claims:
        solution = f"solution-{claim['part'][0]}"
        counts[claim["verdict"]] += 1
        counts[f"kind-{claim['kind']}"] += 1
        counts[solution] += 1
        if claim["verdict"] in RANK:
            counts[f"{solution}-{claim['verdict']}"] += 1
    return counts


def setup(app: Sphinx) -> dict[str, bool]:
    """Register roles and directives."""
    app.connect("builder-inited", begin, priority=200)  # before the gallery's scripts
    app.connect("env-before-read-docs", load)
    app.add_role("value", ValueRole())
    app.add_role("claim-count", CountRole())
    app.add_directive("ledger", LedgerDirective)
    app.add_directive("errata", ErrataDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
