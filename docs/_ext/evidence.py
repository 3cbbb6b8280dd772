"""Evidence beside the sentence that it supports: margin notes, and tables of a page's claims.

On the pages of the solutions the role ``claim`` puts a small number into the sentence and a note
of the same number beside its paragraph: what was checked, on how many cases, and, unfolded, the
worst of them, what was refused, and the command that checks it. Elsewhere the role is a badge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from docutils import nodes
from folds import Details, Summary
from ledger import RANK, ClaimDirective, LedgerRole, Outcome, cases_of, check_line
from sphinx import addnodes
from sphinx.application import Sphinx

from hw2lib.claims.typeset import typeset

PAGES = "solutions/"
NOTE, MARK = "margin-note", "note-mark"
PUNCTUATION = re.compile(r"[.,;:!?)]*")
KEY = "✗ wrong as printed, ○ short of the whole truth, ✓ what holds."
LIKE_A_POWER = re.compile(r"(\d|^)[.,;:!?)]*$")  # what a raised number must not touch


def link_to_card(id: str, docname: str, *content: nodes.Node) -> addnodes.pending_xref:
    """Return a link to a claim's card in the ledger."""
    return link_to(f"claim-{id}".lower(), docname, *content)


def link_to(label: str, docname: str, *content: nodes.Node) -> addnodes.pending_xref:
    """Return a link to a label."""
    return addnodes.pending_xref(
        "", *content, refdomain="std", reftype="ref", reftarget=label, refdoc=docname,
        refexplicit=True, refwarn=True,
    )  # fmt: skip


def brief(claim: Outcome) -> str:
    """Return what a folded note says of the check: verdict, exactness and cases."""
    evidence, verdict = claim["evidence"], claim["verdict"]
    if verdict in RANK:
        verdict = f"print {verdict}"  # or it would seem to be about the sentence beside it
    if evidence is None:
        return f"{verdict}, not checked"
    return f"{verdict} · {cases_of(evidence)}{', exact' if evidence['exact'] else ''}"


class ClaimRole(LedgerRole):
    """Evidence for the sentence before: a margin note on a solution's page, a badge elsewhere."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the mark in the sentence and the note that goes with it, or the badge."""
        claim = self.env.hw2lib_claims.get(self.text)
        if claim is None:
            return self.unknown(self.text)
        if not self.env.docname.startswith(PAGES):
            return [self.badge(claim)], []
        numbers = self.env.temp_data.setdefault("claim_numbers", {})
        known = self.text in numbers
        number = numbers.setdefault(self.text, len(numbers) + 1)
        link = nodes.reference("", str(number), refid=f"note-{self.text}", internal=True)
        mark = nodes.superscript("", "", link, classes=[MARK, f"is-{claim['verdict']}"])
        if known:
            return [mark], []
        mark["ids"].append(f"mark-{self.text}")
        return [mark, self.note(claim, number)], []

    def badge(self, claim: Outcome) -> nodes.inline:
        """Return the claim's id and verdict, linked to the ledger."""
        name = nodes.inline("", f"{claim['id']} · {claim['verdict']}")
        link = link_to_card(claim["id"], self.env.docname, name)
        return nodes.inline("", "", link, classes=["claim-badge", f"is-{claim['verdict']}"])

    def note(self, claim: Outcome, number: int) -> Details:
        """Return the note: number, title and what was checked; the rest unfolds."""
        note = Details(ids=[f"note-{claim['id']}"], classes=[NOTE, f"is-{claim['verdict']}"])
        note += Summary(
            "",
            "",
            nodes.inline("", str(number), classes=["note-number"]),
            nodes.Text(f" {claim['title']} "),
            nodes.inline("", brief(claim), classes=["note-brief"]),
        )
        body = nodes.paragraph()
        found, _ = self.inliner.parse(check_line(claim), self.lineno, None, body)
        card = link_to_card(claim["id"], self.env.docname, nodes.inline("", "All of it"))
        body += [*found, nodes.Text(" "), card, nodes.Text(".")]
        note += body
        if claim["evidence"] is not None:
            command = nodes.literal("", f"python -m hw2lib.claims {claim['id']}")
            note += nodes.paragraph("", "", command)
        return note


def place_notes(app: Sphinx, doctree: nodes.document) -> None:
    """Move each note beside the block of the page in which its claim is first named."""
    for note in list(doctree.findall(lambda node: has_class(node, NOTE))):
        block = note.parent
        note.parent.remove(note)
        while "noted" not in block["classes"] and not holds_blocks(block.parent):
            block = block.parent
        if "noted" not in block["classes"]:
            noted = nodes.container(classes=["noted"])
            block.parent.replace(block, noted)
            noted += [nodes.container(classes=["notes"]), block]
            block = noted
        block[0] += note
    for parent in {mark.parent for mark in doctree.findall(lambda node: has_class(node, MARK))}:
        parent[:] = settle(parent.children)


def settle(children: Iterable[nodes.Node]) -> list[nodes.Node]:
    """Join marks to the word before them, behind its punctuation, apart from a number's digits."""
    settled: list[nodes.Node] = []
    run: list[nodes.Node] = []  # marks with nothing but space between them
    space: list[nodes.Node] = []  # behind the last of them

    def join(text: str) -> None:
        """Append to the word before, if there is one."""
        word = settled.pop() if settled and isinstance(settled[-1], nodes.Text) else ""
        settled.extend([nodes.Text(word.rstrip() + text)] if word.rstrip() + text else [])

    def end_run(punctuation: str = "") -> None:
        if run:
            join(punctuation)
            run.sort(key=lambda mark: int(mark.astext()))
            word = settled[-1] if settled else nodes.Text("")
            if not isinstance(word, nodes.Text) or LIKE_A_POWER.search(word):
                run[0]["classes"].append("is-apart")
            for mark in run[1:]:
                mark["classes"].append("is-next")
            settled.extend(run)
            run.clear()
        settled.extend(space)
        space.clear()

    for child in children:
        if has_class(child, MARK):
            run.append(child)
            space.clear()
        elif run and isinstance(child, nodes.Text) and child.strip():
            space.clear()
            punctuation = PUNCTUATION.match(child)[0]
            end_run(punctuation)
            settled.append(nodes.Text(child[len(punctuation) :]))
        elif run and isinstance(child, nodes.Text):
            space = [child]
        else:
            end_run()
            settled.append(child)
    space.clear()
    end_run()
    return settled


def has_class(node: nodes.Node, name: str) -> bool:
    """Say whether a node is an element of a class."""
    return isinstance(node, nodes.Element) and name in node["classes"]


def holds_blocks(node: nodes.Element) -> bool:
    """Say whether notes may stand beside this node's children: of a page, a list, what unfolds."""
    return isinstance(node, (nodes.section, nodes.document, nodes.list_item, Details))


class PartDirective(ClaimDirective):
    """Name the claims with these ids, or whose ids begin with what is none: ``{claims} 1a``.

    One line a claim, with those of other pages that are named on this one. Every claim must be
    named by one page's table: the ledger links there.
    """

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return a table."""
        numbers = self.env.temp_data.setdefault("claim_numbers", {})
        own = [claim["id"] for claim in self.chosen()]
        shown = [claim for claim in self.claims if claim["id"] in {*own, *numbers}]
        shown.sort(key=lambda claim: numbers.get(claim["id"], len(numbers) + 1))
        rows = [self.row(claim, numbers.get(claim["id"]), claim["id"] in own) for claim in shown]
        heads = [
            [nodes.Text(text)] for text in ("no.", "claim", "kind", "cases", "mutants refused")
        ]
        return [table(heads, rows, classes=["claims-table"])]

    def chosen(self) -> list[Outcome]:
        """Return the claims that the argument names."""
        ids = {claim["id"] for claim in self.claims}
        chosen: set[str] = set()
        for wanted in self.arguments[0].split():
            found = {wanted} & ids or {id for id in ids if id.startswith(wanted)}
            if not found:
                parts = ", ".join(dict.fromkeys(claim["part"] for claim in self.claims))
                raise self.error(f"no claim's id begins with {wanted!r}; the parts are {parts}")
            chosen |= found
        return [claim for claim in self.claims if claim["id"] in chosen]

    def row(self, claim: Outcome, number: int | None, own: bool) -> list[list[nodes.Node]]:
        """Return a claim's cells; a claim of this page's own is linked here from the ledger."""
        place: nodes.Node = nodes.inline("", "·")
        if number is not None:
            mark = f"mark-{claim['id']}"
            place = nodes.reference("", str(number), refid=mark, internal=True)
        verdict = nodes.inline("", claim["verdict"], classes=[f"is-{claim['verdict']}"])
        title = link_to_card(claim["id"], self.env.docname, nodes.inline("", claim["title"]))
        evidence = claim["evidence"]
        cases = refused = "–"
        if evidence is not None:
            cases = typeset(evidence["cases"]) + (", exact" if evidence["exact"] else "")
            refused = typeset(len(evidence["mutants"]))
        name: list[nodes.Node] = [title, nodes.Text(" "), verdict]
        if own:
            name.insert(0, self.target("derivation", claim))
        plain = ([nodes.Text(text)] for text in (claim["kind"], cases, refused))
        return [[place], name, *plain]


class PrintedDirective(PartDirective):
    """What the printed solutions say of these claims, folded: quotation and what holds instead.

    The content, if there is any, stands first.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return a box that unfolds."""
        printed = [claim for claim in self.chosen() if claim["printed"]]
        audited = [claim for claim in printed if claim["verdict"] in RANK]
        good = [claim for claim in printed if claim["verdict"] == "holds"]
        if not (audited or good or self.content):
            raise self.error(f"nothing of {self.arguments[0]!r} is in print")
        body = ["\n".join(self.content)]
        body += [
            f"```{{container}} printed-claim\n{sign(claim)}{claim['printed']}\n\n"
            f"[✓]{{.sign}}{claim['corrected']} {{claim}}`{claim['id']}`\n```"
            for claim in audited
        ]
        if audited:
            body.append(f"[{KEY}]{{.printed-key}}")
        if good:
            held = " ".join(f"{{claim}}`{claim['id']}`" for claim in good)
            body.append(f"Other statements are right as printed {held}.")
        text = "\n\n".join(body)
        title = "If you have the printed solutions"
        return self.parse(f"````{{dropdown}} {title}\n:class: printed\n{text}\n````")


def sign(claim: Outcome) -> str:
    """Return what stands before a quotation: a cross only if every fair reading of it fails."""
    return f"[{'✗' if claim['verdict'] == 'corrected' else '○'}]{{.sign}}"


def table(
    heads: Sequence[Sequence[nodes.Node]],
    rows: Sequence[Sequence[Sequence[nodes.Node]]],
    classes: list[str],
) -> nodes.table:
    """Return a table of inline cells."""

    def row(cells: Sequence[Sequence[nodes.Node]]) -> nodes.row:
        return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))

    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in heads), cols=len(heads))
    group += nodes.thead("", row(heads))
    group += nodes.tbody("", *map(row, rows))
    return nodes.table("", group, classes=classes)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register role and directives."""
    app.add_role("claim", ClaimRole())
    app.add_directive("claims", PartDirective)
    app.add_directive("printed", PrintedDirective)
    app.connect("doctree-read", place_notes, priority=400)  # before formulas are joined to them
    return {"parallel_read_safe": True, "parallel_write_safe": True}
